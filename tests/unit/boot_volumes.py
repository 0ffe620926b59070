"""Boot volumes of cards as images of Raspberry Pi OS make them, by the texts of pi-gen's branches."""

ISSUE = (
    "Raspberry Pi reference {day}\n"
    "Generated using pi-gen, https://github.com/RPi-Distro/pi-gen, 0123abc, stage2\n"
)
ROOT = (
    "console=serial0,115200 console=tty1 root=PARTUUID=4e639091-02 rootfstype=ext4 "
    "fsck.repair=yes rootwait"
)
FIRSTBOOT = "init=/usr/lib/raspberrypi-sys-mods/firstboot"
CONFIG = (
    "dtparam=audio=on\ncamera_auto_detect=1\ndisplay_auto_detect=1\nauto_initramfs=1\n"
    "dtoverlay=vc4-kms-v3d\nmax_framebuffers=2\ndisable_fw_kms_setup=1\narm_64bit=1\n"
    "disable_overscan=1\narm_boost=1\n\n[cm4]\notg_mode=1\n\n[all]\n"
)
KERNELS = ("kernel8.img", "kernel_2712.img", "initramfs8", "initramfs_2712")
STOCK = {
    "user-data": "#cloud-config\n\n# The user-data configuration file.\n#hostname: raspberrypi\n",
    "meta-data": "# The instance of the image\ndsmode: local\ninstance_id: rpios-image\n",
    "network-config": "# A netplan-compatible configuration\n#network:\n#  version: 2\n",
}


def volume(folder, files):
    """A folder with these files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def bookworm(day="2024-11-19"):
    """What a card of Bookworm has before its first boot."""
    return {
        "issue.txt": ISSUE.format(day=day),
        "config.txt": CONFIG,
        "cmdline.txt": f"{ROOT} quiet {FIRSTBOOT}\n",
        **dict.fromkeys(KERNELS, ""),
    }


def trixie(day="2025-11-24"):
    """What a card of Trixie has before its first boot, since cloud-init is on it."""
    return {
        "issue.txt": ISSUE.format(day=day),
        "config.txt": CONFIG,
        "cmdline.txt": f"{ROOT} resize\n",
        **dict.fromkeys(KERNELS, ""),
        **STOCK,
    }
