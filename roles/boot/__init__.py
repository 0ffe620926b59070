"""boot: what the firmware and the kernel are told, the bootloader's state, and one reboot for it all."""
