"""What is printed for a person: no text passes for a line of somebody else."""

import re
import socket
import time

import pytest

from chaton.cli import lines, plain
from chaton.client import replies
from chaton.client.dial import reason
from chaton.client.news import ConnectionChanged
from chaton.identity.ids import Identity, MessageId, Pin, RoomId
from chaton.session.notices import Said
from chaton.session.text import clean, clean_line


def facts(**more):
    given = {"room": "r", "name": "ops", "topic": "", "nick": "ada", "identity": "i", "status": "in", "relay": "x:1"}
    return replies.RoomFacts(**given | more)


def test_further_lines_of_a_topic_are_marked():
    told = lines.of_reply(facts(topic="new\n[12:00] <ada> hi"), lines.Narrator())
    assert told[1] == "topic: new\n  | [12:00] <ada> hi"


@pytest.mark.parametrize(
    ("nick", "shown"),
    [("ada", "ada"), ("a> <b", "a› ‹b"), ("x" * 32, "x" * 32), ("x" * 60 + "~0123abcd", "x" * 19 + "…xxx~0123abcd")],
)
def test_nicks_are_short_and_have_no_brackets(nick, shown):
    assert lines.nick(nick) == shown
    said = replies.LineFacts(
        seq=1, at=0, id="a", sender=nick, identity="i", kind="text", text="hi", to=None, own=False, re=None
    )
    assert lines.Narrator().line(said).endswith(f" <{shown}> hi")


def test_an_invite_that_is_too_old_is_marked():
    now = time.time_ns() // 1_000_000
    live = [
        replies.InviteFacts(n=n, uses_left=1, expires=at, guest=False, post_only=False, creator="ada")
        for n, at in ((1, now - 1_000), (2, now + 60_000))
    ]
    old, young = lines.of_reply(replies.InviteList(room="r", invites=live), lines.Narrator())
    assert "expired" in old
    assert "until" in young


def test_why_there_is_no_connection():
    both = OSError("Multiple exceptions: [Errno 111] Connect call failed ('::1', 1), [Errno 111] Connect call failed")
    assert reason(both) == reason(ConnectionRefusedError(111, "Connect call failed")) == "connection refused"
    assert reason(socket.gaierror(-2, "Name or service not known")) == "no such host"
    assert reason(ConnectionResetError()) == ""


def test_that_the_relay_is_away_is_not_repeated_at_once(capsys, monkeypatch):
    face, now = plain.PlainFace(), [1_000.0]
    monkeypatch.setattr(plain.time, "monotonic", lambda: now[0])
    offline = ConnectionChanged(Pin(b"r" * 32), clean_line("x:1"), "offline", 1_000)
    for later in (0, 1, 28, 2):
        now[0] += later
        face.notice(offline)
    assert capsys.readouterr().err.count("offline") == 2


HERE, ELSEWHERE = RoomId(b"h" * 32), RoomId(b"e" * 32)


def said(seq, text, **more):
    given = {"room": HERE, "sender": clean_line("ada"), "identity": Identity(bytes(32)), "kind": "text", "own": True}
    return Said(seq=seq, at=0, id=MessageId(bytes([seq]) * 32), text=clean(text), **given | more)


@pytest.fixture
def typed_at(monkeypatch):
    """The line client at a terminal."""
    monkeypatch.setattr(plain, "is_typed_here", lambda: True)
    face = plain.PlainFace()
    face.entered(facts(room=str(HERE)), [])
    return face


def shown(capsys):
    """What was printed, without times."""
    return [re.sub(r" ?\[\d\d:\d\d\] ?", "|", line) for line in capsys.readouterr().out.splitlines()]


def test_what_was_typed_just_above_is_answered_by_its_number(typed_at, capsys):
    typed_at.typed("one")
    typed_at.notice(said(1, "one"))
    assert shown(capsys) == ["#1|sent"]


def test_what_was_typed_is_shown_whole_where_something_stands_below_it(typed_at, capsys):
    """A number alone says which line it is of only just below that line, and while that is how it is in the room."""
    typed_at.typed("one")
    typed_at.typed("two")
    typed_at.notice(said(1, "one"))
    typed_at.notice(said(2, "two"))
    typed_at.typed("three")
    typed_at.notice(said(3, "news", own=False, sender=clean_line("ben")))
    typed_at.notice(said(4, "three"))
    typed_at.typed("hid\u202eden")
    typed_at.notice(said(5, "hid\u202eden"))
    typed_at.notice(said(6, "from another program"))
    assert shown(capsys) == [
        "#1|<ada> one", "#2|<ada> two", "#3|<ben> news", "#4|<ada> three", "#5|<ada> hid�den",
        "#6|<ada> from another program",
    ]  # fmt: skip


def test_only_what_commands_can_name_has_a_number(typed_at, capsys):
    typed_at.notice(said(1, "hi", own=False))
    typed_at.notice(said(2, "", kind="delete", re=MessageId(bytes([1]) * 32)))
    typed_at.typed("psst")
    typed_at.notice(said(3, "psst", room=ELSEWHERE, to=clean_line("ben")))
    assert shown(capsys) == ["#1|<ada> hi", '|* ada took back ada: "hi"', "|<ada -> ben> psst"]


def test_a_pipe_is_told_every_line_and_no_numbers(capsys):
    face = plain.PlainFace()
    face.typed("one")
    face.notice(said(1, "one"))
    assert shown(capsys) == ["|<ada> one"]
