"""The paths that each program of bramble/remote/ writes, for the page of files."""

from __future__ import annotations

from collections.abc import Mapping

# What the programs of bramble/remote/ write besides whole files of the plan: the query's key that
# names the path, a suffix, and what lies there.
WRITTEN: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "apt_install": (),
    "set_clock": (),
    "set_hostname": (("path", "", "the line of 127.0.1.1, with `base.hostname` only"),),
    "try_ssh": (),
    "systemd": (),
    "remove_files": (),
    "command": (),
    "reexec": (),
    "reboot": (),
    "refuse": (),
    "receive": (),
    "log_room": (),
    "apt_source": (
        ("keyring", "", "the key of log2ram's repository, with `storage.log2ram` only"),
    ),
    "format_disk": (("note", "", "while the disk is being formatted"),),
    "edit_fstab": (
        ("path", "", "edited in place: our line below a comment of ours, options that lines lack"),
        ("path", ".bak", "its text before the last change"),
    ),
    "mount_disk": (("folder", "", "where the SSD is mounted"),),
    "edit_boot": (
        ("path", "", "edited in place: its other tokens or lines stay"),
        ("path", ".bak", "its text before the last change"),
    ),
    "stage_eeprom": (
        ("defaults", "", "the line `FIRMWARE_RELEASE_STATUS`, with `boot.eeprom.update` only"),
        ("staged", "", "written by rpi-eeprom-update, taken by the bootloader at the next boot"),
    ),
    "service": (),
    "set_aside": (),
    "give_to_root": (),
    "serve_release": (
        (
            "home",
            "/good.json",
            "the release and model that passed the gate last, their speed and unit, and those before",
        ),
        ("home", "/previous", "link to the release that was good before"),
        ("home", "/rejected/", "why a release or model had to go, a file for each"),
    ),
    "prune_releases": (),
    "zram": (),
    "kernel_values": (),
    "drop_swap": (),
    "swap_file": (
        ("path", "", "the swap file, mode 0600; beside it `.NAME.bramble` while it is being made"),
    ),
    "write_files": (),
    "serve_edge": (),
    "try_firewall": (("listed", "", "the table as the kernel listed it when it was confirmed"),),
    "switch_engine": (("path", "", "link to the current release, in which `smoke.json` is"),),
    "build_engine": (
        (
            "work",
            "",
            "source, and the build folder of `bramble-build`, kept for the next build; on an SSD below "
            "`bramble/`",
        ),
        ("ccache", "", "compiler cache of `bramble-build`; on an SSD below `bramble/`"),
        ("release", "", "one release: `bin/` and `manifest.json`"),
    ),
    "prune_models": (),
    "place_models": (
        ("folder", "", "link to `bramble/models` on the SSD, where there is one"),
        ("left", "", "the card's models, until those of the SSD passed the gate"),
        ("to", "", "the models, on the SSD"),
    ),
    "fetch_model": (
        ("path", "", "the model, mode 0644"),
        ("path", ".json", "its stamp: sha256, size and time when it was verified"),
        ("path", ".part", "while it is being fetched"),
        ("path", ".fit", "its dimensions, of a model that `models.lock` does not know"),
        ("path", ".damaged", "its stamp, once `bramble model verify` found the file damaged"),
    ),
}
