"""The relay's certificates: a small authority of its own and a server certificate, as four PEM files.

Chaton's clients check the server key's pin alone; the authority is for other tools that look at the port (``openssl``,
monitoring). A key is made once and kept: renewing gives the same key a new certificate, so pins and links stay good.
"""

import contextlib
import os
import re
import tempfile
from collections.abc import Sequence
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from chaton.errors import StoreError, UsageError
from chaton.identity.certificate import pin_of_der
from chaton.identity.ids import Pin

CA_CERTIFICATE = "ca.pem"
CA_KEY = "ca.key"
SERVER_CERTIFICATE = "server.pem"
SERVER_KEY = "server.key"

DEFAULT_HOSTS = ("localhost",)
DEFAULT_ADDRESSES = ("127.0.0.1", "::1")
DEFAULT_DAYS = 365
DAYS_MAX = 3_650

_CA_LIFE = timedelta(days=DAYS_MAX)
# Valid from an hour ago, as the clock of whoever looks at it may be behind ours.
_BACKDATE = timedelta(hours=1)
_HOST_CHARACTERS_MAX = 253
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*")
_PUBLIC_MODE = 0o644
_SECRET_MODE = 0o600
_CA_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "chaton relay authority")])
_SERVER_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "chaton relay")])


class _Issuer(NamedTuple):
    """A certificate authority: what signs, and what it shows."""

    key: EllipticCurvePrivateKey
    certificate: x509.Certificate


def generate(
    out: Path, hosts: Sequence[str], addresses: Sequence[str], days: int, *, now: datetime, force: bool
) -> Pin:
    """Write ``ca.pem ca.key server.pem server.key`` to a directory and return the pin of the server's key.

    Keys that are there are kept, and the certificates renewed with them. ``server.pem`` is the server's certificate
    followed by its authority's. Each file is replaced as a whole, so a relay may read them at any moment.

    Args:
        out: The directory; made with mode 0700 where there is none.
        hosts: DNS names for the server certificate. No hosts and no addresses: those of the certificate that is
            there, else ``DEFAULT_HOSTS`` and ``DEFAULT_ADDRESSES``.
        addresses: IP addresses for it, without a zone.
        days: How long the server certificate is valid from ``now``, 1 to ``DAYS_MAX``; the authority has ten years.
        now: An aware time.
        force: Replace the keys that are there: the pin changes, and links with the old one stop working.

    Raises:
        UsageError: A host, an address or the number of days makes no sense. Nothing was written.
        StoreError: A file cannot be read or written, or is not what its name says.
    """
    names = _names(hosts, addresses)
    if not 1 <= days <= DAYS_MAX:
        raise UsageError(f"a certificate cannot be valid for {days} days", hint=f"choose 1 to {DAYS_MAX} days")
    now = now.replace(microsecond=0)  # What a certificate can say; else one of ten years would outlive its issuer.
    _make_directory(out)
    names = names or _names_before(out / SERVER_CERTIFICATE) or _names(DEFAULT_HOSTS, DEFAULT_ADDRESSES)
    end = now + timedelta(days=days)
    issuer = _authority(out, now, end, force=force)
    key = _key(out / SERVER_KEY, force=force)
    certificate = _server_certificate(issuer, key.public_key(), names, now, end)
    _write(out / SERVER_CERTIFICATE, _pem(certificate) + _pem(issuer.certificate), _PUBLIC_MODE)
    return pin_of_der(certificate.public_bytes(Encoding.DER))


def pin_of(pem: bytes) -> Pin:
    """The pin of the first certificate in a PEM file: what the relay shows and a link names.

    Raises:
        UsageError: No certificate in it.
    """
    return pin_of_der(_first_certificate(pem).public_bytes(Encoding.DER))


def expiry_of(pem: bytes) -> datetime:
    """When the first certificate in a PEM file ends, in UTC.

    Raises:
        UsageError: No certificate in it.
    """
    return _first_certificate(pem).not_valid_after_utc


def _names(hosts: Sequence[str], addresses: Sequence[str]) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = [x509.DNSName(_host(host)) for host in hosts]
    names += [x509.IPAddress(_address(address)) for address in addresses]
    return list(dict.fromkeys(names))


def _host(text: str) -> str:
    host = text.lower()
    if _is_address(host):
        raise UsageError(f"{_quoted(text)} is an IP address, not a host name", hint="name it with --ip instead")
    if len(host) > _HOST_CHARACTERS_MAX or not _HOST.fullmatch(host):
        raise UsageError(
            f"{_quoted(text)} is not a host name",
            hint="write it like relay.example, without a port; an international name in its xn-- form",
        )
    return host


def _address(text: str) -> IPv4Address | IPv6Address:
    if not _is_address(text):
        raise UsageError(
            f"{_quoted(text)} is not an IP address",
            hint="write it like 192.0.2.7 or 2001:db8::7, without port, brackets or zone; a name goes to --host",
        )
    return ip_address(text)


def _is_address(text: str) -> bool:
    """A zone such as ``%eth0`` means something on one machine only, and a certificate has no place for it."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _quoted(text: str) -> str:
    return ascii(text[:80])


def _names_before(path: Path) -> list[x509.GeneralName]:
    """The names of the certificate that is being renewed, so that renewing needs no memory of how it was made."""
    if not _exists(path):
        return []
    try:
        extensions = _first_certificate(_read(path)).extensions
        return list(extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except (UsageError, ValueError, x509.ExtensionNotFound) as cause:
        raise StoreError(
            f"{path} holds no certificate whose names could be kept",
            hint="name the hosts and addresses anew with --host and --ip",
        ) from cause


def _authority(out: Path, now: datetime, end: datetime, *, force: bool) -> _Issuer:
    """The authority in ``out``; its certificate is renewed if it does not fit its key or would end before ``end``."""
    key = _key(out / CA_KEY, force=force)
    path = out / CA_CERTIFICATE
    kept = _kept_authority(path, key.public_key(), end)
    if kept is not None:
        return _Issuer(key, kept)
    made = _ca_certificate(key, now)
    _write(path, _pem(made), _PUBLIC_MODE)
    return _Issuer(key, made)


def _kept_authority(path: Path, key: EllipticCurvePublicKey, end: datetime) -> x509.Certificate | None:
    if not _exists(path):
        return None
    try:
        certificate = x509.load_pem_x509_certificate(_read(path))
        if certificate.subject != _CA_NAME or certificate.public_key() != key:
            return None
        certificate.verify_directly_issued_by(certificate)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.InvalidVersion):
        # A broken certificate is no loss: its key is there, and the certificate is made from it again.
        return None
    return certificate if certificate.not_valid_after_utc >= end else None


def _ca_certificate(key: EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    builder = _builder(_CA_NAME, key.public_key(), now, now + _CA_LIFE)
    builder = builder.issuer_name(_CA_NAME)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
    return builder.sign(key, SHA256())


def _server_certificate(
    issuer: _Issuer, key: EllipticCurvePublicKey, names: list[x509.GeneralName], now: datetime, end: datetime
) -> x509.Certificate:
    builder = _builder(_SERVER_NAME, key, now, end)
    builder = builder.issuer_name(issuer.certificate.subject)
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
    builder = builder.add_extension(authority, critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(digital_signature=True), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(issuer.key, SHA256())


def _builder(subject: x509.Name, key: EllipticCurvePublicKey, now: datetime, end: datetime) -> x509.CertificateBuilder:
    """What both certificates have: a name, a key and its identifier, a random serial number, a time."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def _first_certificate(pem: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem)
    except (ValueError, x509.InvalidVersion) as cause:
        raise UsageError(
            "the file holds no certificate in PEM form",
            hint="name a file that begins with the relay's own certificate (-----BEGIN CERTIFICATE-----)",
        ) from cause


def _key(path: Path, *, force: bool) -> EllipticCurvePrivateKey:
    """The P-256 key in a file, made where there is none. With ``force`` a new one takes its place."""
    if force or not _exists(path):
        key = generate_private_key(SECP256R1())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        # If another process made one between our look and our write, that one is kept, and read below.
        with contextlib.suppress(FileExistsError):
            _write(path, pem, _SECRET_MODE, replace=force)
            return key
    return _kept_key(path)


def _kept_key(path: Path) -> EllipticCurvePrivateKey:
    pem = _read(path)
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as cause:
        raise _unusable(path) from cause
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise _unusable(path)
    _close_to_others(path)
    return key


def _unusable(path: Path) -> StoreError:
    return StoreError(
        f"{path} is not an unencrypted P-256 private key in PEM form, so it was left alone",
        hint="bring the right key back from your backup, or replace it with --force (its pin then changes)",
    )


def _close_to_others(path: Path) -> None:
    """A key that was copied here may have come with the mode of any file."""
    try:
        if path.stat().st_mode & 0o077:
            path.chmod(_SECRET_MODE)
    except OSError as cause:
        raise _refused(path, "closed to other users", cause) from cause


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as cause:
        raise _refused(path, "made a directory", cause) from cause


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as cause:
        raise _refused(path, "looked at", cause) from cause


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as cause:
        raise _refused(path, "read", cause) from cause


def _write(path: Path, data: bytes, mode: int, *, replace: bool = True) -> None:
    """Put a whole file in place, with its mode from the start and on disk before it has its name.

    Raises:
        FileExistsError: It is there already and ``replace`` is false.
        StoreError: The disk or its permissions refuse.
    """
    try:
        # mkstemp opens with mode 0600 whatever the umask is, so a key is at no moment open to others.
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(file.fileno(), mode)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            _give_name(Path(name), path, replace=replace)
        finally:
            Path(name).unlink(missing_ok=True)
        _sync_directory(path.parent)
    except FileExistsError:
        raise
    except OSError as cause:
        raise _refused(path, "written", cause) from cause


def _give_name(temporary: Path, path: Path, *, replace: bool) -> None:
    """A rename replaces; a hard link is the one way to take a name only if nobody has it."""
    if replace:
        temporary.replace(path)
    else:
        path.hardlink_to(temporary)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        # Some file systems cannot sync a directory; they keep names in order by themselves.
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refused(path: Path, done: str, cause: OSError) -> StoreError:
    return StoreError(
        f"{path} cannot be {done}: {cause.strerror}",
        hint="look at its owner, its permissions and the disk's free space, or name another directory with --out",
    )
