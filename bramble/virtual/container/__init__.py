"""Virtual Pis, container kind: systemd-nspawn on this machine's own kernel.

They start in seconds and there can be many: they prove deploys, fleets and reboots.
"""
