import json
from pathlib import Path

import pytest
from cryptography.x509 import load_der_x509_certificate

from chaton.errors import Malformed
from chaton.identity.certificate import pin_of_der


@pytest.mark.parametrize("der", [b"", b"no certificate", b"\x30\x80" + bytes(200)])
def test_what_is_no_certificate_has_no_pin(der):
    with pytest.raises(Malformed, match="certificate"):
        pin_of_der(der)


def test_an_odd_serial_number_is_no_reason_to_complain():
    """The library warns of one that is negative; a pin is of the key alone."""
    vectors = json.loads((Path(__file__).parent.parent / "vectors" / "login.json").read_text())["certificates"]
    der = bytearray.fromhex(vectors[0]["der"])
    at = der.index(b"\xa0\x03\x02\x01\x02\x02") + 7
    der[at] |= 0x80
    with pytest.warns(Warning, match="serial"):
        load_der_x509_certificate(bytes(der))
    assert pin_of_der(bytes(der)).hex() == vectors[0]["spki"]
