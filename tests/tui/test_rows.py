"""Rows of the screen: exactly as wide as asked for, with every word that was said, and nothing that was not meant."""

import re
import time
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from chaton.client.replies import ReactionFacts
from chaton.session.text import clean, clean_line
from chaton.tui import looks
from chaton.tui.book import Book, Note, Pending
from chaton.tui.looks import Look
from chaton.tui.rows import NARROW, Draft, ago, paragraph, rows
from tests.tui.scripted import BEN, ME, START, facts, line, member

LOOK = Look.of(looks.DARK)
NARROWEST = 21  # The time, the widest nick and a blank.

# What somebody may send: escapes, direction overrides, zero widths, markup, towers of marks, wide and joined signs.
HOSTILE = [
    "\x1b[2J\x1b]0;owned\x07", "\x9b31m", "\u202eevil\u202c", "\u2066x\u2069", "a\u200bb\u200fc\ufeff", "[bold red]x[/]",
    "[/]", "[link=file:///etc/passwd]x[/link]", "\\[x", "e" + "\u0301" * 200, "👩‍👩‍👧‍👦" * 9, "🏳️‍🌈", "漢字" * 20, "\t\ta\tb", "\r\n\r",
    "\x00\x7f\x85", "\u2028x\u2029y", "\u3000" * 30, "x" * 300, "a b " * 60, "﷽" * 8, "\U000e0041", "ᅟᅠ", "🇦" * 7,
]  # fmt: skip
texts = st.one_of(
    st.text(max_size=200),
    st.lists(st.sampled_from(HOSTILE), max_size=6).map("".join),
    st.lists(st.sampled_from(HOSTILE), max_size=4).map("\n".join),
)
widths = st.integers(20, 200)


def draft(width, *, members=(), quoted=lambda _id: None, look=LOOK, now=START):
    book = Book(facts(), members=[member("ada", ME), *members])
    made = Draft.of(book, width, look)
    return Draft(made.width, made.look, made.me, made.column, quoted, now)


def drawn(item, width=100, *, new_day=False, is_first_new=False, **more):
    return rows(item, draft(width, **more), new_day=new_day, is_first_new=is_first_new)


def text_of(strips):
    return [strip.text.rstrip() for strip in strips]


def is_harmless(character):
    return unicodedata.category(character) not in {"Cc", "Cs"} and not (
        0x202A <= ord(character) <= 0x202E
        or 0x2066 <= ord(character) <= 0x2069
        or ord(character) in {0x200E, 0x200F, 0x061C}
    )


def every_kind(text, nick):
    """The same text in every place that others can fill."""
    safe, name = str(clean(text)), str(clean_line(nick))
    about = line(1, safe, sender=name)
    reactions = [ReactionFacts(emoji=str(clean_line(text)) or "x", nicks=[name], own=False)]
    yield from (
        line(
            2,
            safe,
            kind=kind,
            sender=name,
            lost=lost,
            reactions=reactions,
            edited=kind == "text",
            re=about.id,
            stale=True,
        )
        for kind, lost in (
            ("text", 0),
            ("action", 1),
            ("reply", 0),
            ("record", 0),
            ("unread", 0),
            ("deleted", 0),
            ("unknown", 2),
        )
    )
    yield line(3, safe, kind="file", sender=name, file=str(clean_line(text)), file_size=1)
    yield Note(1, safe, "bad", START)
    yield Pending(1, "text", text, None, START)
    yield Pending(1, "text", text, None, START, failed=safe)


@settings(max_examples=150, deadline=None)
@given(texts, texts, widths)
@example(text="x" * 300, nick="漢字" * 20, width=20)
@example(text="漢" * 40, nick="n" * 40, width=21)
def test_every_row_is_as_wide_as_the_screen_and_harmless(text, nick, width):
    about = line(1, str(clean(text)), sender=str(clean_line(nick)))
    made = draft(width, members=[member(str(clean_line(nick)), BEN)], quoted=lambda _id: about)
    for item in every_kind(text, nick):
        for strip in rows(item, made, new_day=True, is_first_new=True):
            assert strip.cell_length == width, item
            assert sum(cell_len(segment.text) for segment in strip) == width, item
            assert all(map(is_harmless, strip.text)), item
            assert not any(segment.control for segment in strip)
            assert not any(segment.style and segment.style.link for segment in strip)


@settings(max_examples=150, deadline=None)
@given(texts, widths.filter(lambda width: width >= NARROWEST), st.text(alphabet="abcdefghijkl", max_size=20))
@example("x" * 300, 60, "averylongnick")
@example("漢字" * 30, 22, "ben")
@example("[bold red]x[/]", 80, "ben")
def test_nothing_that_was_said_is_lost_by_wrapping(text, width, nick):
    """Markup is text like any other, and no character falls between two rows."""
    said = str(clean(text))
    strips = drawn(line(1, said, sender=nick), width, members=[member(nick, BEN)])
    shown = "".join(strip.text for strip in strips)
    wanted = re.sub(r"\s", "", said)
    kept = iter(re.sub(r"\s", "", shown))
    assert all(character in kept for character in wanted), (wanted, shown)


def test_a_wide_screen_has_a_column_for_nicks_and_a_narrow_one_begins_with_them():
    assert text_of(drawn(line(1, "hello"), NARROW))[0][5:] == "   ben │ hello"
    assert text_of(drawn(line(1, "hello"), NARROW - 1))[0][5:] == " ben hello"


def test_further_rows_stand_below_the_first():
    wide = text_of(drawn(line(1, "one\ntwo"), 100))
    assert wide[1].index("two") == wide[0].index("one")
    narrow = text_of(drawn(line(1, "one\ntwo"), NARROW - 1))
    assert narrow[1] == "      two"


def test_the_end_of_a_nick_that_tells_two_apart_is_never_cut():
    nick = "a-very-long-nick-indeed~1a2b3c4d"
    for width in (NARROW - 1, NARROW):
        assert "…~1a2b3c4d" in drawn(line(1, "x", sender=nick), width, members=[member(nick, BEN)])[0].text


def test_the_column_is_as_wide_as_who_is_there_needs():
    short = text_of(drawn(line(1, "x"), 100, members=[member("ben", BEN)]))[0]
    long = text_of(drawn(line(1, "x"), 100, members=[member("maximilian", BEN)]))[0]
    assert long.index("│") - short.index("│") == len("maximilian") - 5


def styles(strips, text):
    return [segment.style for strip in strips for segment in strip if text in segment.text]


def test_a_line_that_names_one_stands_out_but_not_ones_own():
    assert styles(drawn(line(1, "Ada: look")), "Ada: look")[0].color == LOOK.named.color
    assert styles(drawn(line(1, "adamant")), "adamant")[0].color == LOOK.text.color
    assert styles(drawn(line(1, "I am ada", own=True)), "I am ada")[0].color == LOOK.text.color


def test_own_messages_say_their_state():
    assert drawn(Pending(1, "text", "hi", None, START))[0].text.rstrip().endswith("hi  sending…")
    refused = text_of(drawn(Pending(1, "text", "hi", None, START, failed="you are muted")))
    assert refused[0].endswith("hi")
    assert refused[1].endswith("not sent: you are muted · Alt+R sends it again, Alt+X drops it")
    assert drawn(Pending(1, "delete", "", None, START, failed="no"))[0].text.rstrip().endswith("delete")


def test_what_is_told_of_each_kind():
    told = {
        "deleted": "took a message back", "redacted": "a message that a moderator removed",
        "unknown": "sent something that this version cannot show",
    }  # fmt: skip
    for kind, words in told.items():
        assert words in drawn(line(1, "", kind=kind))[0].text
    assert drawn(line(1, "waves", kind="action"))[0].text.rstrip().endswith("* │ ben waves")
    file = text_of(drawn(line(7, "the plan", kind="file", file="plan.pdf", file_size=2048)))
    assert file[0].endswith("▤ plan.pdf  2.0 KB  /get 7")
    assert file[1].endswith("the plan")


def test_a_message_that_cannot_be_read_says_why_and_how_long_it_waits():
    waits = line(1, "waiting for ben's key", kind="unread", asked=START - 10_000)
    assert "[cannot be shown: waiting for ben's key, asked 10 s ago]" in drawn(waits)[0].text
    never = line(1, "sent before you joined", kind="unread")
    assert "[cannot be shown: sent before you joined]" in drawn(never)[0].text


@pytest.mark.parametrize(
    ("pruned", "words"), [(False, "withheld by the relay, or lost"), (True, "too old for the relay, and deleted there")]
)
def test_missing_messages_have_a_line_before_the_next_one(pruned, words):
    told = text_of(drawn(line(9, "here", lost=2, pruned=pruned)))
    assert told[0].endswith(f"! 2 messages of ben before this: {words}")
    assert told[1].endswith("here")


def test_replies_quote_and_what_is_not_held_is_called_earlier():
    about = line(1, "the first\nof two rows " + "x" * 200, sender="cleo")
    told = text_of(drawn(line(2, "yes", kind="reply", re=about.id), quoted=lambda _id: about))
    assert re.search(r"┌ cleo the first of two rows x+…$", told[0])
    assert told[1].endswith("│ yes")
    assert "┌ an earlier message" in drawn(line(2, "yes", kind="reply", re=about.id))[0].text


def test_marks_stand_behind_the_text():
    reactions = [
        ReactionFacts(emoji="👍", nicks=["a", "b"], own=True),
        ReactionFacts(emoji="🎉", nicks=["a"], own=False),
    ]
    told = text_of(drawn(line(1, "done", edited=True, stale=True, reactions=reactions)))
    assert "done (edited)  ! sent before a removal was known; who was removed may have read it" in told[0]
    assert told[1].endswith("👍 2  🎉 1")


def test_day_and_new_lines_stand_above_across_the_screen():
    told = drawn(line(1, "x"), 80, new_day=True, is_first_new=True)
    assert re.fullmatch(r"── \w+, \d\d \w+ 20\d\d ─+", told[0].text)
    assert re.fullmatch(r"── new ─+", told[1].text)


def test_without_colours_there_are_none_and_what_is_bad_is_reversed():
    plain = Look.of(looks.DARK, colours=False)
    for item in every_kind("hello ada", "ben"):
        for strip in drawn(item, look=plain, new_day=True, is_first_new=True):
            assert not any(segment.style and (segment.style.color or segment.style.bgcolor) for segment in strip)
    assert plain.bad.reverse
    assert plain.warning.bold


@pytest.mark.parametrize("theme", [looks.DARK, looks.LIGHT])
def test_everything_can_be_read_on_its_background(theme):
    """WCAG: 4.5 to 1 for text, 3 to 1 for what is bold or only beside the point."""
    look = Look.of(theme)
    for style in (look.text, look.strong, look.good, look.warning, look.bad, look.named):
        assert contrast(style, theme.background) >= 4.5, style
    for style in (look.dim, *look.nicks):
        assert contrast(style, theme.background) >= 3.5, style


def contrast(style, background):
    def light(triplet):
        parts = [one / 255 for one in triplet]
        red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    ours, theirs = light(style.color.get_truecolor()), light(bytes.fromhex(background[1:]))
    return (max(ours, theirs) + 0.05) / (min(ours, theirs) + 0.05)


def test_somebody_is_drawn_in_a_style_of_the_key_not_of_the_nick():
    one, other = "00000000" + "0" * 56, "00000001" + "0" * 56
    assert LOOK.nick(one) != LOOK.nick(other)
    assert drawn(line(1, "x", identity=one))[0] != drawn(line(1, "x", identity=other))[0]


@pytest.mark.parametrize(
    ("ms", "words"),
    [(-5, "0 s ago"), (0, "0 s ago"), (59_999, "59 s ago"), (60_000, "1 min ago"), (3_599_999, "59 min ago"), (3_600_000, "1 h ago"), (10**12, "277777 h ago")],
)  # fmt: skip
def test_how_long_ago(ms, words):
    assert ago(ms) == words


@pytest.mark.parametrize("at", [0, 2**63 - 1])
def test_a_relay_may_state_any_time(at):
    assert drawn(line(1, "x", at=at), new_day=True)[-1].text.rstrip().endswith("x")


@given(widths)
def test_a_text_of_the_program_fills_the_width(width):
    assert {
        strip.cell_length for strip in paragraph("Welcome to a room of your own.\n\nPaste a link.", width, LOOK)
    } == {width}


def test_a_time_is_the_local_one(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        assert drawn(line(1, "x", at=1_800_000_000_000))[0].text.startswith("13:30 ")
    finally:
        monkeypatch.undo()
        time.tzset()
