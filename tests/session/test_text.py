"""Hostile text: whatever comes in, nothing that a terminal obeys comes out."""

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


@pytest.mark.parametrize("mark", ["\u0301", "\u20dd"], ids=["beside", "around"])
def test_towers_of_marks_are_cut(mark: str) -> None:
    assert clean("z" + mark * 500 + "y" + mark) == "z" + mark * MARKS_MAX + "y" + mark
    assert clean(mark * 500) == mark * MARKS_MAX


def test_endless_lines_are_cut() -> None:
    assert clean("\n" * 10 * LINES_MAX).count("\n") == LINES_MAX - 1


@pytest.mark.parametrize(
    ("first", "last", "shown"),
    [
        (0x09, 0x09, "    "),
        (0x0A, 0x0A, "\n"),
        (0x0D, 0x0D, ""),
        (0x20, 0x7E, None),
        (0x7F, 0x7F, "␡"),
        (0x80, 0x9F, "\ufffd"),
        (0xA0, 0xAC, None),
        (0xAD, 0xAD, ""),
        (0xAE, 0x02FF, None),
        (0x061B, 0x061B, None),
        (0x061C, 0x061C, ""),
        (0x061D, 0x061D, None),
        (0x200A, 0x200A, None),
        (0x200B, 0x200B, ""),
        (0x200C, 0x200D, None),
        (0x200E, 0x200F, ""),
        (0x2010, 0x2027, None),
        (0x2028, 0x2029, "\n"),
        (0x202A, 0x202E, "\ufffd"),
        (0x202F, 0x205F, None),
        (0x2060, 0x206F, "\ufffd"),
        (0x2070, 0x20CF, None),
        (0xFE00, 0xFEFE, None),
        (0xFEFF, 0xFEFF, ""),
        (0xFF00, 0xFFEF, None),
        (0xFFF0, 0xFFFB, "\ufffd"),
        (0xFFFC, 0xFFFF, None),
        (0xDFFFF, 0xDFFFF, None),
        (0xE0000, 0xE00FF, "\ufffd"),
        (0xE0100, 0xE01EF, None),
        (0xE01F0, 0xE0FFF, "\ufffd"),
        (0xE1000, 0xE1000, None),
    ],
    ids=lambda value: f"{value:04x}" if isinstance(value, int) else "",
)
def test_each_character_of_a_range_is_shown_as_the_others(first: int, last: int, shown: str | None) -> None:
    for code in range(first, last + 1):
        assert clean(chr(code)) == (chr(code) if shown is None else shown), f"{code:04x}"


def test_controls_have_pictures() -> None:
    for code in {*range(0x20)} - {0x09, 0x0A, 0x0D}:
        assert clean(chr(code)) == chr(0x2400 + code)


def test_a_lone_surrogate_is_replaced() -> None:
    assert clean("a\ud800b\udfff") == "a?b?"
