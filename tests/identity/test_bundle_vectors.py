"""Which bundles of others are accepted, at which time and after which ones (docs/protocol.md §4)."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaton.errors import BundleRefused, Malformed, ProtocolError
from chaton.identity.bundle import Bundle, parcel_recipient
from chaton.identity.ids import BundleId

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "bundle.json").read_text())


def judge(case: dict) -> str:
    try:
        bundle = Bundle.decode(bytes.fromhex(case["bundle"]))
        if not case["known"]:
            raise BundleRefused("nobody one knows", reason="stranger")
        bundle.check_counter(case["seen_ctr"], BundleId.from_hex(case["seen_bid"]) if case["seen_bid"] else None)
        bundle.check_time(case["now"])
    except ProtocolError as refused:
        return refused.reason
    return "accept"


@pytest.mark.parametrize("case", VECTORS["accept"], ids=lambda case: case["name"])
def test_accept(case: dict) -> None:
    assert judge(case) == case["result"]


@pytest.mark.parametrize("case", VECTORS["make"], ids=lambda case: case["bid"][:8])
def test_fields_of_a_bundle(case: dict) -> None:
    bundle = Bundle.decode(bytes.fromhex(case["bundle"]))
    assert (bundle.identity.hex(), bundle.counter, bundle.expires) == (case["identity"], case["ctr"], case["exp"])
    assert bundle.id.hex() == case["bid"]
    assert (len(bundle.x25519), len(bundle.mlkem768)) == (32, 1184)


@given(st.binary(max_size=1400) | st.binary(min_size=1328, max_size=1328).map(lambda tail: b"CB\x01" + tail))
def test_any_bytes_raise_typed_errors_only(raw: bytes) -> None:
    with pytest.raises(ProtocolError):
        Bundle.decode(raw)


@given(st.binary(max_size=100) | st.binary(min_size=1744, max_size=1744).map(lambda tail: b"CX\x01" + tail))
def test_a_parcel_names_its_bundle_or_is_malformed(raw: bytes) -> None:
    if len(raw) == 1747:
        assert parcel_recipient(raw) == raw[3:35]
    else:
        with pytest.raises(Malformed):
            parcel_recipient(raw)
