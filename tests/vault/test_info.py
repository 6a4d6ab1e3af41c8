"""Sealed names and reasons against the vectors; how long they may be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaton.errors import Malformed, UsageError
from chaton.identity.secret import RoomInfoKey
from chaton.vault import info as module
from chaton.vault.entropy import system_entropy
from chaton.vault.info import open_info, seal_info, text_bytes_max

from .vectors import Recorded, flipped, load

VECTORS = load("info")
RIK = RoomInfoKey(b"i" * 32)


def rik_of(case: dict) -> RoomInfoKey:
    return RoomInfoKey(bytes.fromhex(case["rik"]))


@pytest.mark.parametrize("case", VECTORS["good"], ids=lambda case: str(len(case["text"]) // 2))
def test_seals_and_opens_as_the_vector(case: dict) -> None:
    text = bytes.fromhex(case["text"])
    assert module._pad(text).hex() == case["padded"]
    assert seal_info(rik_of(case), text.decode(), 256, Recorded(case["nonce"])).hex() == case["info"]
    assert open_info(rik_of(case), bytes.fromhex(case["info"])) == text.decode()


@pytest.mark.parametrize("case", VECTORS["refused"], ids=lambda case: case["why"])
def test_refuses_for_the_reason_of_the_vector(case: dict) -> None:
    with pytest.raises(Malformed) as caught:
        open_info(rik_of(case), bytes.fromhex(case["info"]))
    assert caught.value.reason == case["reason"]


@pytest.mark.parametrize("case", VECTORS["too_long"], ids=lambda case: str(case["limit"]))
def test_a_text_that_is_too_long_names_the_most(case: dict) -> None:
    limit, size = case["limit"], case["bytes"]
    assert text_bytes_max(limit) == size - 1
    assert len(seal_info(RIK, "x" * (size - 1), limit, system_entropy)) <= limit
    with pytest.raises(UsageError, match=rf"{size} bytes.* {size - 1} "):
        seal_info(RIK, "x" * size, limit, system_entropy)


@pytest.mark.parametrize("limit", [256, 512, 1024])
def test_bytes_count_and_not_characters(limit: int) -> None:
    most = text_bytes_max(limit) // 3
    assert len(seal_info(RIK, "☂" * most, limit, system_entropy)) <= limit
    with pytest.raises(UsageError):
        seal_info(RIK, "☂" * (most + 1), limit, system_entropy)


@given(limit=st.integers(104, 1024))
def test_the_longest_text_fills_its_field_whatever_length_that_has(limit: int) -> None:
    longest = seal_info(RIK, "x" * text_bytes_max(limit), limit, system_entropy)
    assert limit - 64 < len(longest) <= limit


def test_half_a_character_is_refused_in_both_directions() -> None:
    with pytest.raises(UsageError):
        seal_info(RIK, "\ud83d", 256, system_entropy)
    for raw in (b"\xff", b"\xed\xa0\xbd", b"\xc0\x80", b"\xe2\x98"):
        sealed = bytes(module.SecretBox(RIK.reveal()).encrypt(module._pad(raw)))
        with pytest.raises(Malformed) as caught:
            open_info(RIK, sealed)
        assert caught.value.reason == "format"


@given(st.text(max_size=60))
def test_there_and_back(text: str) -> None:
    sealed = seal_info(RIK, text, 1024, system_entropy)
    assert (len(sealed) - 40) % 64 == 0
    assert open_info(RIK, sealed) == text


@given(position=st.integers(0, 103), bit=st.integers(0, 7))
def test_any_flipped_bit_is_refused(position: int, bit: int) -> None:
    with pytest.raises(Malformed):
        open_info(RIK, flipped(seal_info(RIK, "cat", 256, Recorded("00" * 24)), position, bit))


@given(st.binary(max_size=1024))
def test_any_bytes_raise_typed_errors_only(raw: bytes) -> None:
    with pytest.raises(Malformed):
        open_info(RIK, raw)


@given(st.binary(max_size=200) | st.binary(max_size=130).map(lambda text: (text + b"\x80").ljust(128, b"\0")))
def test_padding_has_one_form_only(padded: bytes) -> None:
    try:
        text = module._unpad(padded)
    except Malformed:
        return
    assert module._pad(text) == padded
