"""Hostile text: whatever comes in, nothing that a terminal obeys comes out."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaton.session.text import LINES_MAX, MARKS_MAX, clean, clean_line

FORBIDDEN = {*range(0x0A), *range(0x0B, 0x20), *range(0x7F, 0xA0), 0xAD, 0x061C, 0x200B, 0x200E, 0x200F,
             *range(0x2028, 0x202F), *range(0x2060, 0x2070), 0xFEFF, *range(0xFFF9, 0xFFFC),
             *range(0xE0000, 0xE0080), *range(0xD800, 0xE000)}  # fmt: skip


@given(st.text(alphabet=st.characters(categories=None), max_size=300))
def test_any_text_becomes_harmless(text: str) -> None:
    for made in (clean(text), clean_line(text)):
        assert not {ord(character) for character in made} & FORBIDDEN
        made.encode()
    assert "\n" not in clean_line(text)


@given(st.text(max_size=100))
def test_cleaning_twice_changes_nothing(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[31mred", "␛[31mred"),
        ("\x1b]0;title\x07", "␛]0;title␇"),
        ("a\u202eb", "a\ufffdb"),
        ("a\rb", "ab"),
        ("a\r\nb", "a\nb"),
        ("a\u200bb\ufeff", "ab"),
        ("a\tb", "a    b"),
        ("\x9b31m", "\ufffd31m"),
        ("a\u2028b", "a\nb"),
        ("\x7f", "␡"),
        ("👩‍🚀", "👩‍🚀"),
        ("نمی‌خواهم", "نمی‌خواهم"),
    ],
)
def test_what_stands_for_what(hostile: str, shown: str) -> None:
    assert clean(hostile) == shown


def test_towers_of_marks_are_cut() -> None:
    tower = clean("z" + "\u0301" * 500)
    assert sum(unicodedata.category(character) == "Mn" for character in tower) == MARKS_MAX


def test_endless_lines_are_cut() -> None:
    assert clean("\n" * 10 * LINES_MAX).count("\n") == LINES_MAX - 1
