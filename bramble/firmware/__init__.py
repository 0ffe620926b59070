"""The files of the boot partition that a Raspberry Pi's firmware reads."""
