"""The fleet's own certificate authority: a key that stays on this computer, a certificate for each host.

It follows RFC 5280 as far as clients check it: P-256, no authority below it, names in the certificates'
subjectAltName alone (RFC 2818), and 397 days at most for those, which is what browsers take.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bramble import durable
from bramble.access.certificates import AUTHORITY as CERTIFICATE
from bramble.access.certificates import AUTHORITY_KEY as KEY
from bramble.access.certificates import FOLDER, file_of
from bramble.remote import atomic

AUTHORITY_DAYS, HOST_DAYS = 3650, 397
# Clocks of clients may be behind.
EARLIER = datetime.timedelta(days=1)
_USAGE = {
    "digital_signature": False,
    "content_commitment": False,
    "key_encipherment": False,
    "data_encipherment": False,
    "key_agreement": False,
    "key_cert_sign": False,
    "crl_sign": False,
    "encipher_only": False,
    "decipher_only": False,
}


class AuthorityError(Exception):
    """An authority that cannot be used; the text says where, why, and what to do."""


def issue(inventory: Path, host: str, names: Sequence[str], now: datetime.datetime) -> Path:
    """Write the certificate and key of a host with these names and addresses; return their file.

    The authority is made first where there is none. Raise AuthorityError where it cannot be read.
    """
    folder = inventory / FOLDER
    if not (folder / CERTIFICATE).exists() and not (folder / KEY).exists():
        _found(folder, now)
    authority, authority_key = _authority(folder)
    key = ec.generate_private_key(ec.SECP256R1())
    until = min(now + datetime.timedelta(days=HOST_DAYS), authority.not_valid_after_utc)
    certificate = (
        _begun(_name(names[0]), authority.subject, key, now - EARLIER, until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**{**_USAGE, "digital_signature": True}), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([*map(_general, names)]), critical=False)
        .add_extension(_issuer(authority_key), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    file = file_of(inventory, host)
    _write_secret(file, _pem(certificate) + _pem_of(key))
    return file


def names_of(file: Path) -> tuple[str, ...]:
    """Return the names and addresses in a host's certificate; none where it cannot be read."""
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (OSError, ValueError, x509.ExtensionNotFound):
        return ()
    return tuple(str(name.value) for name in found.value)


def _found(folder: Path, now: datetime.datetime) -> None:
    """Make the authority; its key gets its name first, so that a certificate never lacks it."""
    key, name = ec.generate_private_key(ec.SECP256R1()), _name("bramble fleet authority")
    until = now + datetime.timedelta(days=AUTHORITY_DAYS)
    usage = x509.KeyUsage(**{**_USAGE, "key_cert_sign": True, "crl_sign": True})
    certificate = (
        _begun(name, name, key, now - EARLIER, until)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir(mode=0o700, exist_ok=True)
    _write_secret(folder / KEY, _pem_of(key))
    durable.replace(folder / CERTIFICATE, _pem(certificate))


def _authority(folder: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Read the authority and its key, which must belong together."""
    advice = "restore both from your backup, or move them away to make a new authority"
    try:
        certificate = x509.load_pem_x509_certificate((folder / CERTIFICATE).read_bytes())
        key = serialization.load_pem_private_key((folder / KEY).read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise AuthorityError(f"{folder}: {CERTIFICATE} and {KEY}: {error}; {advice}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != (
        certificate.public_key()
    ):
        raise AuthorityError(f"{folder}: {KEY} is not the key of {CERTIFICATE}; {advice}")
    return certificate, key


def _begun(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    since: datetime.datetime,
    until: datetime.datetime,
) -> x509.CertificateBuilder:
    """Return what all certificates have."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _issuer(key: ec.EllipticCurvePrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _name(text: str) -> x509.Name:
    # X.520 ends a common name at 64 characters.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _pem_of(key: ec.EllipticCurvePrivateKey) -> str:
    form = serialization.PrivateFormat.PKCS8
    none = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, none).decode()


def _write_secret(file: Path, text: str) -> None:
    """Replace a file that only its owner may read, whoever could read the one before."""
    atomic.write(str(file.absolute()), text, 0o600, (os.geteuid(), os.getegid()))
