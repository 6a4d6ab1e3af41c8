"""The profile's key under a passphrase. Argon2id is made cheap here, except where its cost is what is tested."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.exceptions import RuntimeError as SodiumError
from nacl.pwhash import argon2id

from chaton.errors import Malformed, ProfileError, UsageError, WrongPassphrase
from chaton.vault import at_rest
from chaton.vault.at_rest import WRAPPED_BYTES, unwrap, wrap
from chaton.vault.entropy import system_entropy
from chaton.vault.keys import ProfileKey

from .vectors import Counting, Recorded, flipped

KEY = ProfileKey(b"p" * 32)


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at_rest, "_PASSES", argon2id.OPSLIMIT_MIN)
    monkeypatch.setattr(at_rest, "_MEMORY_BYTES", argon2id.MEMLIMIT_MIN)


def test_the_cost_is_moderate_and_the_bytes_stay_what_they_are() -> None:
    assert at_rest._PASSES == argon2id.OPSLIMIT_MODERATE
    assert at_rest._MEMORY_BYTES == argon2id.MEMLIMIT_MODERATE
    entropy = Recorded("5a" * 16, "3c" * 24)
    raw = wrap(KEY, "correct horse", entropy)
    # Made once, checked with another Argon2id, and kept: profiles of version 01 must open for good.
    assert raw.hex() == (
        "435701" + "5a" * 16 + "3c" * 24
        + "5531a2381400c906a9023ebe0bd8e85314220a9dc5a87c2649a5c5e5794a16f7924411408a5c370e5b4835ff7cf6603a"
    )  # fmt: skip
    assert unwrap(raw, "correct horse").reveal() == KEY.reveal()


@pytest.mark.usefixtures("cheap")
class TestCheap:
    def test_there_and_back(self) -> None:
        raw = wrap(KEY, "correct horse", system_entropy)
        assert len(raw) == WRAPPED_BYTES == 91
        assert KEY.reveal() not in raw
        assert unwrap(raw, "correct horse").reveal() == KEY.reveal()

    @pytest.mark.parametrize("wrong", ["", "correct hors", "correct horse ", "Correct horse", "battery"])
    def test_another_passphrase_is_wrong(self, wrong: str) -> None:
        with pytest.raises(WrongPassphrase):
            unwrap(wrap(KEY, "correct horse", system_entropy), wrong)

    def test_wrapping_twice_gives_other_bytes(self) -> None:
        entropy = Counting("wrap")
        assert wrap(KEY, "x", entropy)[3:19] != wrap(KEY, "x", entropy)[3:19]

    def test_one_letter_written_in_two_ways_is_one_passphrase(self) -> None:
        assert unwrap(wrap(KEY, "caf\u00e9", system_entropy), "cafe\u0301").reveal() == KEY.reveal()

    def test_an_empty_passphrase_protects_nothing(self) -> None:
        with pytest.raises(UsageError):
            wrap(KEY, "", system_entropy)

    def test_half_a_character_is_no_passphrase(self) -> None:
        with pytest.raises(UsageError):
            wrap(KEY, "\udcff", system_entropy)
        with pytest.raises(UsageError):
            unwrap(wrap(KEY, "x", system_entropy), "\udcff")

    def test_a_flipped_bit_anywhere_is_refused(self) -> None:
        raw = wrap(KEY, "x", Counting("wrap"))
        for position in range(WRAPPED_BYTES):
            with pytest.raises(Malformed if position < 3 else WrongPassphrase):
                unwrap(flipped(raw, position, position % 8), "x")

    def test_a_machine_without_memory_is_told_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def no_memory(*_args: object, **_options: object) -> bytes:
            raise SodiumError("Unexpected library error")

        monkeypatch.setattr(at_rest.argon2id, "kdf", no_memory)
        with pytest.raises(ProfileError, match="256 MiB"):
            wrap(KEY, "x", system_entropy)


@given(st.binary(max_size=120).filter(lambda raw: len(raw) != WRAPPED_BYTES or raw[:3] != b"CW\x01"))
def test_other_bytes_are_malformed_before_any_work_is_done(raw: bytes) -> None:
    with pytest.raises(Malformed):
        unwrap(raw, "x")


def test_a_later_version_is_malformed() -> None:
    with pytest.raises(Malformed):
        unwrap(b"CW\x02" + bytes(88), "x")


@pytest.mark.parametrize("size", [0, 87, 89, 1_000])
def test_another_length_is_malformed(size: int) -> None:
    with pytest.raises(Malformed):
        unwrap(b"CW\x01" + bytes(size), "x")
