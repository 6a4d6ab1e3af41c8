"""Which bundles of others are accepted, at which time and after which ones (docs/protocol.md §4)."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaton.errors import BundleRefused, Malformed, ProtocolError
from chaton.identity.bundle import Bundle, bundle_body, parcel_recipient
from chaton.identity.ids import BundleId, Identity
from chaton.identity.statement import Label, Seed

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


@pytest.mark.parametrize("case", VECTORS["make"], ids=lambda case: case["bid"][:8])
def test_what_the_identity_signs(case: dict) -> None:
    raw = bytes.fromhex(case["bundle"])
    bundle = Bundle.decode(raw)
    body = bundle_body(bundle.identity, bundle.counter, bundle.expires, bundle.x25519, bundle.mlkem768)
    assert body == raw[:1267]
    assert (bundle.counter, bundle.expires, str(bundle.id)) == (case["ctr"], case["exp"], case["bid"])
    assert (bundle.raw, str(bundle.identity)) == (raw, case["identity"])


def signed(counter: int, expires: int) -> Bundle:
    seed = Seed(bytes(range(32)))
    body = bundle_body(Identity(seed.public), counter, expires, bytes(32), bytes(1184))
    return Bundle.decode(body + seed.sign(Label.BUNDLE, body))


def test_times_are_read_to_their_first_byte() -> None:
    bundle = signed(0x0102030405060708, 0xF1F2F3F4F5F6F7F8)
    assert (bundle.counter, bundle.expires) == (0x0102030405060708, 0xF1F2F3F4F5F6F7F8)


def test_a_counter_that_only_a_message_has_named_is_taken_once() -> None:
    bundle, other = signed(7, 8), signed(7, 9)
    bundle.check_counter(7, None)
    bundle.check_counter(7, bundle.id)
    with pytest.raises(BundleRefused):
        bundle.check_counter(7, other.id)
    with pytest.raises(BundleRefused):
        bundle.check_counter(8, None)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"CX\x01",
        b"CX\x01" + bytes(1743),
        b"CX\x01" + bytes(1745),
        b"CX\x02" + bytes(1744),
        b"CB\x01" + bytes(1744),
    ],
)
def test_what_is_no_parcel_names_no_bundle(raw: bytes) -> None:
    with pytest.raises(Malformed):
        parcel_recipient(raw)
