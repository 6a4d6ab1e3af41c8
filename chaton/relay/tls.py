"""The relay's side of TLS: 1.3 only, one P-256 key, no tickets, ALPN ``chaton/1`` (docs/protocol.md §8)."""

import logging
import ssl
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.x509 import load_pem_x509_certificate

from chaton.errors import UsageError
from chaton.identity.ids import Pin
from chaton.relay import certs
from chaton.relay.config import Config
from chaton.relay.peer import ALPN

_HINT = "name them with --cert and --key, or make new ones with chaton certs"
_log = logging.getLogger(__name__)


class KeyPair(NamedTuple):
    """The files of a certificate and its key."""

    certificate: Path
    key: Path


def own_pair(config: Config) -> KeyPair:
    """The files that are configured, else where the relay has its own."""
    if config.cert is not None and config.key is not None:
        return KeyPair(config.cert, config.key)
    directory = config.data / "certs"
    return KeyPair(directory / certs.SERVER_CERTIFICATE, directory / certs.SERVER_KEY)


def key_pair(config: Config) -> KeyPair:
    """The files that are configured, else the relay's own in its data directory, made there the first time.

    Raises:
        UsageError: The listening address is no name for a certificate.
        StoreError: They cannot be made.
    """
    pair = own_pair(config)
    if config.cert is None and not (pair.certificate.exists() and pair.key.exists()):
        hosts, addresses = list(certs.DEFAULT_HOSTS), list(certs.DEFAULT_ADDRESSES)
        host = config.address[0]
        known = hosts if not _is_address(host) else addresses
        if host not in known:
            known.append(host)
        certs.generate(pair.key.parent, hosts, addresses, certs.DEFAULT_DAYS, now=datetime.now(UTC), force=False)
        _log.info("made a certificate in the data directory")
    return pair


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def make_context(pair: KeyPair) -> ssl.SSLContext:
    """What the listening socket is wrapped with.

    Raises:
        UsageError: A file cannot be read, or is not what it should be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0
    context.set_alpn_protocols([ALPN])
    load_pair(context, pair)
    return context


def load_pair(context: ssl.SSLContext, pair: KeyPair) -> None:
    """Use a certificate and its key from the next connection on; raises as ``make_context``."""
    try:
        # Without a password of ours, OpenSSL would ask for one on the terminal and wait.
        context.load_cert_chain(pair.certificate, pair.key, password=lambda: b"")
    except ssl.SSLError as cause:
        raise UsageError(f"{pair.key} is not the key of {pair.certificate}, or one is damaged", hint=_HINT) from cause
    except OSError as cause:
        reason = cause.strerror or "an error of the disk"
        raise UsageError(f"{pair.certificate} or {pair.key} cannot be read: {reason}", hint=_HINT) from cause


def read_pin(pair: KeyPair) -> Pin:
    """The pin of a certificate, which must be of a P-256 key; raises ``UsageError`` as ``make_context``."""
    try:
        pem = pair.certificate.read_bytes()
    except OSError as cause:
        raise UsageError(f"{pair.certificate} cannot be read: {cause.strerror}", hint=_HINT) from cause
    pin = certs.pin_of(pem)
    key = load_pem_x509_certificate(pem).public_key()
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise UsageError(f"{pair.certificate} is not of a P-256 key", hint=_HINT)
    return pin


def another_key(pair: KeyPair) -> UsageError:
    """Why a certificate is not taken over by a running relay."""
    hint = "renew the certificate with the old key; a new key means a restart, and new links for everybody"
    return UsageError(f"{pair.certificate} is of another key than the relay runs with", hint=hint)
