"""Bytes of standard input become lines, and a paste one message."""

import asyncio
import os
import tty

import pytest

from chaton.cli.typing_in import TERMINAL_LINE_BYTES, Line, LineCutter, read_lines

START, END = b"\x1b[200~", b"\x1b[201~"


def cut(*chunks, terminal=False):
    cutter = LineCutter(terminal=terminal)
    return [line for chunk in chunks for line in cutter.feed(chunk)] + list(cutter.end())


def test_lines():
    assert cut(b"one\ntwo\r\n\nthree") == [Line("one"), Line("two"), Line(""), Line("three")]


@pytest.mark.parametrize("terminal", [False, True])
def test_the_cut_of_the_chunks_does_not_matter(terminal):
    data = "grüß dich\n".encode() + START + b"a\nb" + END + b" c\nlast"
    whole = cut(data, terminal=terminal)
    assert cut(*(data[i : i + 1] for i in range(len(data))), terminal=terminal) == whole
    for at in range(len(data)):
        assert cut(data[:at], data[at:], terminal=terminal) == whole


def test_a_paste_is_one_line():
    pasted = b"\n".join(b"line %d" % i for i in range(60))
    assert cut(START + pasted + END + b"\n", b"next\n", terminal=True) == [
        Line(pasted.decode(), pasted=True),
        Line("next"),
    ]


def test_a_paste_in_the_middle_of_a_line():
    assert cut(b"see " + START + b"a\nb\n" + END + b" there\n", terminal=True) == [
        Line("see a\nb\n there", pasted=True)
    ]
    assert cut(START + b"a\n" + END + b"\n", terminal=True) == [Line("a", pasted=True)]


def test_a_pipe_has_no_pastes():
    assert cut(START + b"a\nb" + END + b"\n") == [Line("\x1b[200~a"), Line("b\x1b[201~")]


def test_what_cannot_be_sent_is_said_and_the_next_line_counts():
    lines = cut(b"\xff\xfe\nfine\n")
    assert "UTF-8" in lines[0].problem
    assert lines[1] == Line("fine")


def test_a_terminal_that_cuts_lines_is_noticed():
    fits = b"y" * (TERMINAL_LINE_BYTES - 1) + b"\n"
    assert [line.problem for line in cut(fits, fits, terminal=True)] == ["", ""]
    (line,) = cut(b"x" * TERMINAL_LINE_BYTES + b"\n", terminal=True)
    assert "cuts lines" in line.problem


# As the terminal gives it: it holds so many bytes and the newline, and has lost the end mark.
CUT = START + b"x" * (TERMINAL_LINE_BYTES - len(START)) + b"\n"


def test_a_paste_that_was_cut_swallows_nothing_behind_it():
    cutter = LineCutter(terminal=True)
    (line,) = cutter.feed(CUT)
    assert "cuts lines" in line.problem
    cutter.quiet()
    assert list(cutter.feed(b"hello\n/quit\n")) == [Line("hello"), Line("/quit")]


def test_no_line_of_a_paste_that_was_cut_counts():
    for first in (CUT, b"y" * TERMINAL_LINE_BYTES + b"\n", b"y" * (TERMINAL_LINE_BYTES - 3) + START[:3] + b"\n"):
        cutter = LineCutter(terminal=True)
        assert [line.text for line in cutter.feed(first)] == [""]
        assert list(cutter.feed(b"/close\n/kick ada\n/le")) == []
        assert list(cutter.feed(b"ave\n" + END[:3])) == []
        told = list(cutter.feed(END[3:] + b"\nhello\n"))
        assert told == [Line(""), Line("hello")]


def test_what_follows_a_cut_paste_on_its_line_is_not_sent():
    cutter = LineCutter(terminal=True)
    lines = [*cutter.feed(CUT + b"more\nlast" + END + b"/close\n"), *cutter.feed(b"hello\n")]
    assert [line.text for line in lines] == ["", "", "hello"]
    assert "paste" in lines[1].problem


async def test_silence_ends_a_paste_that_was_cut():
    ours, theirs = os.openpty()
    tty.setcbreak(theirs)
    lines = read_lines(theirs)
    os.write(ours, CUT[:-1] + b"/close")
    os.write(ours, b"\n/kick ada\n")
    assert "cuts lines" in (await anext(lines)).problem
    following = asyncio.ensure_future(anext(lines))
    # Whatever the machine is busy with, the silence is one only after all of the paste was read.
    done, _ = await asyncio.wait({following}, timeout=1.5)
    assert not done
    os.write(ours, b"hello\n")
    assert await following == Line("hello")
    await lines.aclose()
    os.close(ours)
    os.close(theirs)


def test_keys_that_do_not_edit_are_not_sent():
    assert "keys" in cut(b"helo\x1b[Dl\n", terminal=True)[0].problem
    for key in (b"\x01", b"\x08", b"\x0b", b"\x00", b"\x7f"):
        assert "keys" in cut(b"/me" + key + b"x\n", terminal=True)[0].problem
        assert "keys" in cut(START + b"a\n" + key + END + b"\n", terminal=True)[0].problem
    assert cut(b"a\tb\n", terminal=True) == [Line("a\tb")]
    assert cut(b"a\x1b[1mb\n") == [Line("a\x1b[1mb")]


def test_a_line_without_end_does_not_fill_the_memory():
    cutter = LineCutter(terminal=False)
    for _ in range(100):
        assert list(cutter.feed(b"x" * 65_536)) == []
    (line,) = cutter.feed(b"\nnext\n") if False else list(cutter.feed(b"\n"))
    assert len(line.text) < 200_000
