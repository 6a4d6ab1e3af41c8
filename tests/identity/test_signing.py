"""Signatures against the vectors: one a label, and none under a weak key."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaton.errors import BadSignature
from chaton.identity.ids import Identity
from chaton.identity.statement import Label, Seed, is_valid_point, signed_bytes, verify

HERE = Path(__file__).parent
VECTORS = json.loads((HERE.parent / "vectors" / "signing.json").read_text())
# Ours, and no part of the protocol's vectors: R is weak, or not canonical, and S was computed from the seed of the
# vectors' first good case so that the equation of a lax verifier holds.
WEAK_R = json.loads((HERE / "refused_signatures.json").read_text())


@pytest.mark.parametrize("case", VECTORS["good"], ids=lambda case: f"{case['label']} {len(case['body']) // 2}")
def test_good(case: dict) -> None:
    label, body = Label(case["label"].encode()), bytes.fromhex(case["body"])
    seed = Seed(bytes.fromhex(case["seed"]))
    assert seed.public.hex() == case["public"]
    assert signed_bytes(label, body).hex() == case["signed"]
    assert seed.sign(label, body).hex() == case["signature"]
    verify(label, Identity.from_hex(case["public"]), body, bytes.fromhex(case["signature"]))


@pytest.mark.parametrize("case", [*VECTORS["refused"], *WEAK_R], ids=lambda case: case["why"])
def test_refused(case: dict) -> None:
    with pytest.raises(BadSignature) as caught:
        verify(
            Label(case["label"].encode()),
            Identity.from_hex(case["public"]),
            bytes.fromhex(case["body"]),
            bytes.fromhex(case["signature"]),
        )
    assert caught.value.reason == "signature"


def test_every_label_has_a_vector() -> None:
    assert {case["label"].encode() for case in VECTORS["good"]} == {label.value for label in Label}
    assert {len(signed_bytes(label, b"")) for label in Label} == {32}


@given(raw=st.binary(min_size=32, max_size=32), signature=st.binary(max_size=70))
def test_any_key_and_signature_raise_typed_errors_only(raw: bytes, signature: bytes) -> None:
    with pytest.raises(BadSignature):
        verify(Label.RECORD, Identity(raw), b"body", signature)


def test_the_neutral_element_is_no_key() -> None:
    assert not is_valid_point(b"\x01" + bytes(31))
    assert is_valid_point(Seed(bytes(32)).public)
