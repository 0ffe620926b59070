"""The fault matrix: what goes wrong, and what is to come of it; tests say which of it they prove.

A test that proves a row is marked `@pytest.mark.fault("F13")`. `promise` is the number of the promise in
README.md that the row is about.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One fault, what is expected of it, and which promise that is."""

    id: str
    promise: int
    fault: str
    expected: str


PROMISES = {
    1: "At any instant each managed file is the whole old or the whole new version, on ext4 and on "
    "FAT.",
    2: "After a kill or a power cut at any step the node boots and accepts SSH, one run converges, "
    "and the one after it changes nothing.",
    3: "What serves was verified and passed its gate; otherwise its predecessor serves again.",
    4: "You are not locked out: what a deploy changes of sshd, of keys and of sudo's rule, the node "
    "takes back by itself unless a new login confirms it.",
    5: "No run hangs, and one bad host costs the others nothing.",
    6: "Plan, verify and dry runs write nothing.",
    7: "Secrets appear nowhere but where they are used.",
}

ROWS = (
    Row(
        "F1",
        2,
        "The deploying computer is killed before or after any of its remote commands",
        "no half-written file; the next run converges, the one after it changes nothing",
    ),
    Row(
        "F2",
        2,
        "The deploying computer is killed in the middle of an upload or of a long step",
        "the old file is whole; a detached step continues, and the next run follows it",
    ),
    Row(
        "F3",
        2,
        "The node loses power before or after any remote command",
        "it boots, answers on SSH, its file systems are clean, and the next run converges",
    ),
    Row(
        "F4",
        1,
        "A power cut loses or reorders the writes that were not flushed yet",
        "each file is the whole old or the whole new one",
    ),
    Row(
        "F5",
        5,
        "A node vanishes without a word",
        "it fails within 30 s, the others continue, and the exit code says so",
    ),
    Row(
        "F6",
        5,
        "The network goes and comes several times",
        "the run ends, or fails with a reason; then one run converges",
    ),
    Row(
        "F7",
        3,
        "The connection ends in the middle of a release's transfer",
        "what came is not used; it is resumed or sent again, and verified by its sha256",
    ),
    Row(
        "F8",
        3,
        "A model's download is cut ten times",
        "it is resumed, and at most 5 % more than its size is sent",
    ),
    Row(
        "F9",
        3,
        "A model's server ignores Range, answers 416, tells a wrong size, or stalls",
        "the part is begun again, or the fetch fails with the cause; a stall ends within 60 s",
    ),
    Row(
        "F10",
        3,
        "In the place of the model comes another content, a web page or a Git LFS pointer",
        "it is refused, both hashes are named, and the old model serves on",
    ),
    Row(
        "F11",
        3,
        "A model is damaged after it was verified: zeros at its end, or a flipped bit",
        "the known answer fails, what was good serves again; reading it back finds it",
    ),
    Row(
        "F12",
        3,
        "A release crashes (SIGILL), exits or hangs",
        "the release of before serves again",
    ),
    Row(
        "F13",
        1,
        "The disk fills up at any write",
        "the old file is whole, what came is removed, and the room that is lacking is reported",
    ),
    Row(
        "F14",
        1,
        "The disk has no inodes left, or is remounted read-only",
        "an error that names it, and no part of a file",
    ),
    Row(
        "F15",
        5,
        "Another program holds apt's lock, for a while or for ever",
        "it is waited for by its name, at most 10 minutes; then the run fails with it",
    ),
    Row(
        "F16",
        2,
        "dpkg is killed in the middle",
        "the next run finishes what it left and converges",
    ),
    Row(
        "F17",
        5,
        "A mirror gives 404, nothing, or a wrong signature",
        "it is tried again, then the run fails; nothing unsigned is ever installed",
    ),
    Row(
        "F18",
        5,
        "The clock stands in 1970, or ten years ahead",
        "it is reported before anything needs a certificate, with what to do",
    ),
    Row(
        "F19",
        3,
        "The service runs out of memory while it loads its model",
        "at most 5 starts in 10 minutes, then it stays failed and the reason is reported; a deploy "
        "refuses what cannot fit",
    ),
    Row(
        "F20",
        3,
        "The service is killed while it serves",
        "it serves again within the time of a load and 10 s",
    ),
    Row(
        "F21",
        2,
        "The kernel hangs, and the watchdog resets the board",
        "it boots, the service is back, and a run can continue",
    ),
    Row(
        "F22",
        2,
        "The node reboots in the middle of a run",
        "the next run converges",
    ),
    Row(
        "F23",
        4,
        "A change of sshd's options, of keys or of sudo's rule would lock everybody out",
        "the node takes it back by itself within 120 s; bramble changes no firewall yet",
    ),
    Row(
        "F24",
        4,
        "A host's key is unknown or another one",
        "it is refused: no login is tried and no command is run",
    ),
    Row(
        "F25",
        5,
        "Two runs change one node at once",
        "the second waits, or ends with the name of what holds it; nothing is interleaved",
    ),
    Row(
        "F26",
        2,
        "The deploying computer sleeps in the middle of a compile",
        "the compile ends, the next run follows it and compiles nothing again",
    ),
    Row(
        "F27",
        5,
        "One of several nodes is dead or slow",
        "the others end, the summary names it, and the exit code says so",
    ),
    Row(
        "F28",
        7,
        "A secret is used: the token of a model hub, sudo's password, a client's key, a certificate's",
        "it is in no argv, environment of others, log, difference, JSON, /tmp, journal or unit",
    ),
    Row(
        "F29",
        1,
        "A link, a folder or an immutable file is in the place of a managed file",
        "it is refused with its cause and left as it is",
    ),
    Row(
        "F30",
        3,
        "What a rollback would go back to is broken itself",
        "one attempt at most, SSH stays, and it is reported",
    ),
)

BY_ID = {row.id: row for row in ROWS}
