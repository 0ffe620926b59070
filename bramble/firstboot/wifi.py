"""The key of a Wi-Fi network, derived on this computer, so that no card holds the passphrase itself."""

from __future__ import annotations

import hashlib
import re

LEAST, MOST = 8, 63
_DERIVED = re.compile(r"[0-9a-fA-F]{64}")


class PassphraseError(Exception):
    """A passphrase that no network takes; the text does not repeat it."""


def psk(ssid: str, passphrase: str) -> str:
    """Return the 64 digits that WPA2 derives; a passphrase that has this form already is returned."""
    if _DERIVED.fullmatch(passphrase):
        return passphrase.lower()
    if not (passphrase.isascii() and passphrase.isprintable() and LEAST <= len(passphrase) <= MOST):
        raise PassphraseError(
            f"the Wi-Fi passphrase has {len(passphrase)} characters, allowed: {LEAST} to {MOST} of ASCII"
        )
    # IEEE 802.11, annex J.4.1.
    return hashlib.pbkdf2_hmac("sha1", passphrase.encode(), ssid.encode(), 4096, 32).hex()
