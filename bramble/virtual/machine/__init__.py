"""Virtual Pis, machine kind: an emulated Cortex-A72 or A76 with a kernel, disks and a watchdog.

They prove what a container cannot: zram, swap, the watchdog, the kernel command line, a real reboot.
They are slow, so fleets stay containers.
"""
