"""Bytes of standard input become lines, and a paste one message."""

import pytest

from chaton.cli.typing_in import TERMINAL_LINE_BYTES, Line, LineCutter

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
    lines = cut(b"x" * TERMINAL_LINE_BYTES + b"\n", b"y" * (TERMINAL_LINE_BYTES - 1) + b"\n", terminal=True)
    assert "cuts lines" in lines[0].problem
    assert not lines[1].problem


def test_keys_that_do_not_edit_are_not_sent():
    assert "keys" in cut(b"helo\x1b[Dl\n", terminal=True)[0].problem
    assert cut(b"a\x1b[1mb\n") == [Line("a\x1b[1mb")]


def test_a_line_without_end_does_not_fill_the_memory():
    cutter = LineCutter(terminal=False)
    for _ in range(100):
        assert list(cutter.feed(b"x" * 65_536)) == []
    (line,) = cutter.feed(b"\nnext\n") if False else list(cutter.feed(b"\n"))
    assert len(line.text) < 200_000
