"""Take from a process with this folder in PYTHONPATH what only Linux gives Python, as on macOS."""

import os
import socket
import sys
import sysconfig
import urllib.request  # noqa: F401 - see below

LACKING = {
    os: ("posix_fadvise", "posix_fallocate", "sched_getaffinity", "memfd_create", "O_DIRECT"),
    socket: ("TCP_USER_TIMEOUT",),
}

for module, names in LACKING.items():
    for name in names:
        delattr(module, name)
        if name in getattr(module, "__all__", ()):
            module.__all__.remove(name)


def sendfile(*arguments):
    """Another system's call of this name takes other things."""
    raise OSError("sendfile is Linux's own here")


os.sendfile = sendfile
# These, and urllib.request above, load parts of this system as it is, before it is called another.
sysconfig.get_config_vars()
sys.platform = "darwin"
