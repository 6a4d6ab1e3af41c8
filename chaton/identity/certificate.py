"""The pin of a relay: the hash of the key in its TLS certificate (docs/protocol.md §8).

Name, issuer and expiry of the certificate are not looked at: a renewed certificate with the same key has the same pin.
"""

import warnings
from hashlib import sha256

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import InvalidVersion, load_der_x509_certificate

from chaton.errors import Malformed
from chaton.identity.ids import Pin


def pin_of_der(der: bytes) -> Pin:
    """SHA-256 of the SubjectPublicKeyInfo of a DER certificate, as the TLS layer hands it over.

    Raises:
        Malformed: No certificate, or a key of an unknown kind.
    """
    try:
        with warnings.catch_warnings():
            # The library warns of oddities such as a serial number of zero, which a stranger's relay may well show.
            warnings.simplefilter("ignore")
            key = load_der_x509_certificate(der).public_key()
        spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, TypeError, InvalidVersion, UnsupportedAlgorithm) as cause:
        raise Malformed("no X.509 certificate with a key that is known here") from cause
    return Pin(sha256(spki).digest())
