"""Nicks: what may be one, which are alike, and how two alike are told apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaton.errors import UsageError
from chaton.identity.ids import Identity
from chaton.room.names import distinguish, mixes_scripts, nick_key, prepare_nick

ADA, BEN, CYD = (Identity(bytes([number]) * 32) for number in (1, 2, 3))


@pytest.mark.parametrize(
    ("typed", "kept"),
    [("ada", "ada"), ("Ada", "Ada"), ("  ada  lovelace ", "ada lovelace"), ("ａｄａ", "ada"), ("Адам", "Адам"),
     ("明日香", "明日香"), ("みどりABC", "みどりABC"), ("r2-d2", "r2-d2"), ("x" * 32, "x" * 32)],
)  # fmt: skip
def test_nicks_are_prepared(typed: str, kept: str) -> None:
    assert prepare_nick(typed) == kept


@pytest.mark.parametrize("typed", ["", " ", "a\x00b", "a\u202eb", "a\u200bb", "a\nb", "\x1b[31mred", "x" * 33, "аda"])
def test_what_cannot_be_a_nick_is_refused(typed: str) -> None:
    with pytest.raises(UsageError):
        prepare_nick(typed)


@pytest.mark.parametrize(("one", "other"), [("ada", "ADA"), ("раура", "paypa"), ("ａda", "ada"), ("Ada ", "ada")])
def test_nicks_that_people_would_confuse_are_alike(one: str, other: str) -> None:
    assert nick_key(one) == nick_key(other)


@given(st.text(max_size=40))
def test_any_text_has_a_key(text: str) -> None:
    assert isinstance(nick_key(text), str)


def test_mixed_scripts() -> None:
    assert mixes_scripts("аda")
    assert not mixes_scripts("ada 7")
    assert not mixes_scripts("みどり 明日香 ABC")


def test_the_later_of_two_alike_gets_a_suffix() -> None:
    shown = distinguish([(BEN, "ada", 5), (ADA, "ada", 2), (CYD, "", 7)])
    assert shown == {ADA: "ada", BEN: "ada~02020202", CYD: "~03030303"}
