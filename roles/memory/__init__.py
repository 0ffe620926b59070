"""memory: compressed swap in RAM, a swap file on the SSD behind it, and the kernel's taste for them."""
