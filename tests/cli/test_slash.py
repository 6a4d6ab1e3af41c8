"""What a typed line means."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaton.client import slash
from chaton.client.duration import parse_duration_ms
from chaton.client.incoming import default_directory
from chaton.client.requests import (
    Act,
    GetFile,
    Ignore,
    Invite,
    Log,
    Members,
    Open,
    Rekey,
    Search,
    Send,
    SendFile,
    Verify,
    Whois,
)
from chaton.client.slash import Ask, Local, Place, parse
from chaton.errors import UsageError
from chaton.limits import TEXT_BYTES_MAX

HERE = Place(
    "r",
    ("alice", "Bob Smith", "Bob", "ada lovelace", "cafe0123 x"),
    lambda number: {12: "cd" * 32}[number],
    lambda own: "ab" * 32 if own else "ef" * 32,
)


def request(line, **more):
    typed = parse(line, HERE, **more)
    assert isinstance(typed, Ask), typed
    return typed.request


def send(text="", **more):
    return Send(room="r", text=text, **more)


def act(what, **more):
    return Act(room="r", what=what, **more)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("hello", send("hello")),
        ("  indented", send("  indented")),
        ("//etc/passwd", send("/etc/passwd")),
        ("///", send("//")),
        ("/me waves", send("waves", kind="action")),
        ("/me two\nlines", send("two\nlines", kind="action")),
        ("/msg alice hi there", send("hi there", to="alice")),
        ("/query alice hi", send("hi", to="alice")),
        ("/msg Ada Lovelace hi", send("hi", to="ada lovelace")),
        ("/msg ada hi", send("hi", to="ada")),
        ('/msg "Bob" Smith is here', send("Smith is here", to="Bob")),
        ('/msg @"Bob Smith": hi', send("hi", to="Bob Smith")),
        ("/msg Bob hi", send("hi", to="Bob")),
        ('/msg "Bob Smith" hi', send("hi", to="Bob Smith")),
        ("/msg @alice: hi", send("hi", to="alice")),
        ("/reply #12 yes", send("yes", kind="reply", re="cd" * 32)),
        ("/reply 12 yes", send("yes", kind="reply", re="cd" * 32)),
        ("/reply 0123abcd yes", send("yes", kind="reply", re="0123abcd")),
        ("/reply ^ yes", send("yes", kind="reply", re="ef" * 32)),
        ("/edit ^ better", send("better", kind="edit", re="ab" * 32)),
        ("/delete ^", send(kind="delete", re="ab" * 32)),
        ("/react #12 👍", send("👍", kind="react", re="cd" * 32)),
        ("/unreact #12 👍", send("👍", kind="react", re="cd" * 32, add=False)),
        ("/send /tmp/x", SendFile(room="r", path="/tmp/x")),
        ("/send /tmp/x  look at page 3", SendFile(room="r", path="/tmp/x", text="look at page 3")),
        ('/send "/tmp/my plan" it\'s new', SendFile(room="r", path="/tmp/my plan", text="it's new")),
        ("/send '/tmp/my plan'", SendFile(room="r", path="/tmp/my plan")),
        (r"/send /tmp/my\ plan\\ new", SendFile(room="r", path="/tmp/my plan\\", text="new")),
        ("/file x", SendFile(room="r", path=str(Path.cwd() / "x"))),
        ("/send ~/x", SendFile(room="r", path=str(Path.home() / "x"))),
        ("/get #12", GetFile(room="r", re="cd" * 32, directory=str(default_directory()))),
        ("/get ^ /tmp", GetFile(room="r", re="ef" * 32, directory="/tmp")),
        ('/get 0123abcd "my files"', GetFile(room="r", re="0123abcd", directory=str(Path.cwd() / "my files"))),
        ("/nick carol", act("nick", text="carol")),
        ("/topic new topic", act("topic", text="new topic")),
        ("/topic", Open(room="r")),
        ("/kick alice too loud", act("kick", who="alice", text="too loud")),
        ("/KICK alice", act("kick", who="alice")),
        ("/ban 0123456789abcdef", act("ban", who="0123456789abcdef")),
        ("/unban alice", act("unban", who="alice")),
        ("/mute alice", act("mute", who="alice")),
        ("/unmute alice", act("unmute", who="alice")),
        ("/role alice mod", act("role", who="alice", text="mod")),
        ("/op alice", act("role", who="alice", text="mod")),
        ("/deop alice", act("role", who="alice", text="member")),
        ("/admit alice", act("admit", who="alice")),
        ("/redact #12", act("redact", text="cd" * 32)),
        ("/uninvite 4", act("uninvite", text="4")),
        ("/leave", act("leave")),
        ("/part", act("leave")),
        ("/close", act("close")),
        ("/invite", Invite(room="r")),
        ("/invite 20 2h guest post-only", Invite(room="r", uses=20, life_ms=7_200_000, guest=True, post_only=True)),
        ("/who", Members(room="r")),
        ("/names", Members(room="r")),
        ("/whois alice", Whois(room="r", who="alice")),
        ("/log", Log(room="r")),
        ("/verify", Verify(room="r")),
        ("/verify ok", Verify(room="r", ok=True)),
        ("/verify alice ok", Verify(room="r", who="alice", ok=True)),
        ("/rekey", Rekey(room="r")),
        ("/ignore alice", Ignore(room="r", who="alice")),
        ("/unignore alice", Ignore(room="r", who="alice", ignored=False)),
        ("/search disk full", Search(room="r", text="disk full")),
    ],
)
def test_a_line_becomes_a_request(line, expected):
    assert request(line) == expected


@pytest.mark.parametrize("line", ["", "  ", "\n"])
def test_an_empty_line_is_nothing(line):
    assert parse(line, HERE) is None


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("/help kick", Local("help", "kick")),
        ("/exit", Local("quit")),
        ("/open ops", Local("open", "ops")),
        ("/last", Local("last")),
    ],
)
def test_some_commands_are_for_the_program(line, expected):
    assert parse(line, HERE) == expected


@pytest.mark.parametrize(
    "line",
    [
        "/etc/passwd is broken", "/", "/ text", "/msg", "/msg alice", "/kick", "/me", "/reply", "/reply #12",
        "/reply bad text", "/edit #12", "/react #12", "/react #12 two words", "/react #12 " + "x" * 33, "/role alice",
        "/role alice king", "/nick", "/search", "/send", '/send "/tmp/x', '/send "" text', "/get", "/get x /tmp", "/invite 0", "/invite 1001", "/invite 0001001", "/invite ²",
        "/invite soon", "/whois",
    ],
)  # fmt: skip
def test_what_is_no_command_is_never_sent(line):
    with pytest.raises(UsageError) as caught:
        parse(line, HERE)
    assert caught.value.hint


@given(name=st.sampled_from([one.name for one in slash.COMMANDS]), rest=st.text() | st.text("0123456789²½٣#^ h"))
def test_no_argument_is_more_than_misunderstood(name, rest):
    with contextlib.suppress(UsageError):
        assert isinstance(parse(f"/{name} {rest}", Place("r", HERE.nicks)), Ask | Local)


@pytest.mark.parametrize("line", ["/get #12 extra words", '/get ^ "/tmp/a b" c', r"/get 0123abcd a\ b c"])
def test_what_stands_behind_a_directory_is_not_thrown_away(line):
    """Whoever writes more than one word means no directory, or one with spaces: none is made, in whatever place."""
    with pytest.raises(UsageError, match="more than one directory, so nothing was fetched") as caught:
        parse(line, HERE)
    assert '"' in caught.value.hint


@pytest.mark.parametrize(
    "line", ["/msg Bob Smith hi", "/msg bob smith: hi", "/kick Bob Smith", "/msg cafe0123 x hi", "/whois @Bob Smith"]
)
def test_where_a_nick_ends_is_not_guessed(line):
    with pytest.raises(UsageError, match="several nicks") as caught:
        parse(line, HERE)
    assert '"' in caught.value.hint


@pytest.mark.parametrize("line", [" /kick alice", "\t/me waves", "  //text", "\n/kick alice", "\u00a0/quit", " /x\n"])
def test_a_command_behind_a_space_is_not_sent(line):
    with pytest.raises(UsageError, match="begins with a space") as caught:
        parse(line, HERE)
    assert "//" in caught.value.hint


def test_the_nearest_command_is_proposed():
    with pytest.raises(UsageError) as caught:
        parse("/jion x", HERE)
    assert "/join" in caught.value.hint


@pytest.mark.parametrize("text", ["/kick alice\nplease", "one\n/kick alice", "/unknown\nx"])
def test_a_text_of_several_lines_carries_nothing_out(text):
    assert request(text) == send(text)


def test_a_paste_of_several_lines_is_sent_as_it_is():
    for text in ("/me one\n/kick alice", "//one\ntwo"):
        assert request(text, pasted=True) == send(text)
    assert request("/me waves", pasted=True) == send("waves", kind="action")


@pytest.mark.parametrize("line", ["/msg straße hi", "/msg STRASSE hi", "/msg Strasse: hi"])
def test_a_nick_is_known_in_any_case(line):
    assert parse(line, Place("r", ("Straße", "Stra"))).request == send("hi", to="Straße")


def test_what_cannot_be_undone_is_asked_about():
    for line in ("/ban alice", "/close", "/leave", "/redact #12", "/role alice owner"):
        assert parse(line, HERE).confirm
    for line in ("/kick alice", "/mute alice", "/role alice mod", "hello"):
        assert not parse(line, HERE).confirm


def test_a_text_too_long_is_refused():
    assert request("x" * TEXT_BYTES_MAX)
    for line in ("x" * (TEXT_BYTES_MAX + 1), "é" * TEXT_BYTES_MAX, "/me " + "x" * (TEXT_BYTES_MAX + 1)):
        with pytest.raises(UsageError, match="bytes"):
            parse(line, HERE)


def test_every_command_has_its_help():
    lines = "\n".join(slash.help_lines())
    for one in slash.COMMANDS:
        assert one.usage in lines
        for name in (one.name, *one.aliases):
            assert one.does in slash.help_lines(name)[0]


@pytest.mark.parametrize(
    ("text", "expected"), [("30s", 30_000), ("90m", 5_400_000), ("24h", 86_400_000), ("2w", 1_209_600_000)]
)
def test_lengths_of_time(text, expected):
    assert parse_duration_ms(text) == expected


@pytest.mark.parametrize("text", ["", "0h", "1", "h", "-1h", "1.5h", "1y", "1h30m", "٣h"])
def test_what_is_no_length_of_time(text):
    with pytest.raises(UsageError):
        parse_duration_ms(text)
