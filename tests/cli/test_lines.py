"""What is printed for a person: no text passes for a line of somebody else."""

import socket
import time

import pytest

from chaton.cli import lines, plain
from chaton.client import replies
from chaton.client.dial import reason
from chaton.client.news import ConnectionChanged
from chaton.identity.ids import Pin
from chaton.session.text import clean_line


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
