"""The SSD as roles after storage may use it: mounted, in a folder that only root may write."""

from __future__ import annotations

from bramble.snapshot import FileState, Snapshot, Unknown
from bramble.steps import Step

OTHERS = 0o022


def unusable(mount: str | None, look: Snapshot) -> str | None:
    """Say why nothing of ours can lie on the SSD now; return None where it can."""
    if mount is None:
        return "there is to be no SSD (storage.ssd.device is off)"
    if isinstance(look.mounts, Unknown):
        return look.mounts.why
    if not any(found.target == mount for found in look.mounts):
        return f"no SSD is mounted at {mount}"
    root = look.file(mount)
    if isinstance(root, FileState):
        return open_to_others(mount, root)
    return root.why if isinstance(root, Unknown) else f"there is no {mount}"


def open_to_others(mount: str, root: FileState) -> str | None:
    """Say why root must not write there (others could plant a link); None where only root may."""
    if root.owner == "root" and not root.mode & OTHERS:
        return None
    return (
        f"{mount} is {root.mode:04o} of {root.owner}, so that others than root may write there: "
        f"`sudo chown root:root {mount} && sudo chmod 0755 {mount}`"
    )


def left_on_card(folder: str) -> str:
    """Return where the card's models lie after the switch to the SSD, until they are removed."""
    return f"{folder}.card"


def clear_card(folder: str, look: Snapshot) -> Step:
    """Return the step that removes the card's models, once those on the SSD are verified."""
    name, left = "Remove the models from the card", left_on_card(folder)
    seen = look.file(left)
    if not (isinstance(seen, FileState) and seen.kind == "directory"):
        return Step(name, None)
    query = {"what": "clear", "folder": folder, "left": left, "to": None, "mount": None}
    return Step(name, f"{left} is there", "place_models", query, detached=True, timeout_s=600)
