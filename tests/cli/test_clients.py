"""The clients that stay: JSON lines, the line client in a real terminal, and ``chaton up``."""

import json
import re
import subprocess
import sys

import pexpect
import pyte
import pytest

from tests.cli.conftest import COMMAND, PATIENCE_S, Relay, environment, ok, until

HEX = r"[0-9a-f]{64}"
# What stands below a line that was typed in a terminal, once it is in the room.
SENT = r"#\d+ \[\d\d:\d\d\] sent(\x1b\[0m)?\r\n"
KEYS = {
    "joined": {"room_id", "nick", "identity", "members"},
    "message": {"seq", "at", "id", "sender", "identity", "kind", "text", "to", "own", "re", "file"},
    "sent": {"seq", "id", "ref"},
    "member": {"action", "nick", "identity", "by", "reason", "n"},
    "presence": {"nick", "online"},
    "topic": {"text", "by"},
    "warning": {"code", "detail"},
    "refused": {"code", "detail", "ref"},
    "closed": {"code", "detail"},
}


def terminal(person, *args, **env):
    """A program in a terminal of 100 columns, line by line."""
    command = [*COMMAND[1:], "--profile", str(person.profile), *args]
    spawned = pexpect.spawn(
        COMMAND[0],
        command,
        env=environment(**({"CHATON_PLAIN": "1"} | env)),
        dimensions=(30, 100),
        timeout=PATIENCE_S,
        encoding="utf-8",
        echo=True,
    )
    spawned.delaybeforesend = None
    return spawned


def ended(program):
    program.expect(pexpect.EOF)
    program.close()
    return program.exitstatus


# --- JSON ---


def test_json_events_are_as_documented(room, person, started):
    bob = started(person("bob").start("join", "-", "--nick", "bob", "--json"))
    bob.say(room.link())
    events = [bob.event("joined")]
    room.ok("send", "ops", "hello bob")
    room.ok("send", "ops", "--to", "bob", "psst")
    room.ok("topic", "ops", "a topic")
    bob.say("hello")
    events += [bob.event("message", own=True), bob.event("sent")]
    bob.say("/nothing")
    events += [bob.event("refused")]
    bob.say("/nick robert")
    events += [bob.event("member", action="nick")]
    bob.say("/react ^ :+1:")
    events += [bob.event("message", kind="react")]
    room.ok("kick", "ops", "robert", "--reason", "enough")
    events += [bob.event("member", action="kicked"), bob.event("closed")]
    for event in events:
        assert KEYS[event["event"]] <= event.keys()
        assert event["v"] == 1
        assert re.fullmatch(HEX, event["room"])
    assert events[0]["room_id"] == room.room
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", events[1]["at"])
    assert (events[2]["ref"], events[3]["ref"]) == (1, 2)
    assert events[5]["re"] is not None
    assert (events[-1]["code"], events[-2]["by"]) == ("kicked", "alice")
    assert "enough" in events[-1]["detail"]
    assert bob.end()[0] == 3


def test_json_tells_direct_messages_and_topics(room, person, started):
    bob = started(person("bob").start("join", "-", "--nick", "bob", "--json"))
    bob.say(room.link())
    bob.event("joined")
    room.ok("send", "ops", "--to", "bob", "psst")
    whisper = bob.event("message")
    assert (whisper["text"], whisper["to"], whisper["room"] == room.room) == ("psst", "bob", False)
    room.ok("topic", "ops", "a topic")
    assert bob.event("topic")["text"] == "a topic"


def test_at_the_end_of_input_all_is_sent(room):
    lines = [f"line {i}" for i in range(90)]
    events = room.events("open", "ops", "--json", input="\n".join(lines))
    sent = [event for event in events if event["event"] == "sent"]
    assert sorted(event["ref"] for event in sent) == list(range(1, 91))
    assert events[-1] == events[-1] | {"event": "closed", "code": "quit"}
    told = [json.loads(line) for line in room.ok("tail", "ops", "--json").splitlines()]
    assert [line["text"] for line in told] == lines


def test_a_bad_line_is_refused_and_the_next_one_counts(room):
    text = b"one\n\xff\xfe\n" + b"x" * 70_000 + b"\n/kcik alice\n//slash\n/quit\nnever\n"
    events = room.events("open", "ops", "--json", input=text)
    assert [event["ref"] for event in events if event["event"] == "refused"] == [2, 3, 4]
    told = [json.loads(line)["text"] for line in room.ok("tail", "ops", "--json").splitlines()]
    assert told == ["one", "/slash"]


def test_every_slash_command_is_carried_out(room, person):
    bob = person("bob")
    identity = bob.join(room.link(), "bob")
    bob.ok("send", "ops", "from bob")
    lines = [
        "first", "/last 5", "/who", "/whois bob", "/log", "/verify bob", "/topic new one", "/topic", "/name ops",
        "/invite 3 2h", "/invites", "/search bob", "/rekey", "/ignore bob", "/unignore bob", "/mute bob", "/unmute bob",
        "/op bob", "/deop bob", "/nick alicia", "/rooms", "/help", "/kick bob bye", f"/ban {identity}",
        f"/unban {identity}", "/clear", "/close",
    ]  # fmt: skip
    events = room.events("open", "ops", "--json", input="\n".join(lines))
    names = [event["event"] for event in events]
    assert "refused" not in names, events
    assert {"members", "log", "codes", "signed", "room", "link", "invites", "ok", "rooms", "help", "message"} <= set(
        names
    )
    assert [event["code"] for event in events if event["event"] == "closed"] == ["closed"]


def test_what_is_typed_while_the_relay_is_away_is_sent_later(person, started, tmp_path):
    data = tmp_path / "data"
    relay = Relay("--listen", "127.0.0.1:0", "--data", data)
    started(relay.program)
    alice = person("alice")
    alice.ok("room", "new", "ops", "--relay", relay.address, "--pin", relay.pin, "--nick", "alice")
    stays = started(alice.start("open", "ops", "--json"))
    stays.event("joined")
    relay.program.process.terminate()
    relay.program.process.wait()
    assert stays.event("warning")["code"] == "reconnecting"
    stays.say("typed in the dark")
    again = Relay("--listen", relay.address, "--data", data)
    started(again.program)
    assert stays.event("sent")["ref"] == 1
    assert stays.end()[0] == 0


def test_one_can_quit_while_a_command_waits(person, started, tmp_path):
    relay = Relay("--listen", "127.0.0.1:0", "--data", tmp_path / "data")
    started(relay.program)
    alice = person("alice")
    alice.ok("room", "new", "ops", "--relay", relay.address, "--pin", relay.pin, "--nick", "alice")
    bob = person("bob")
    bob.join(alice.ok("invite", "ops").strip(), "bob")
    by_command, by_key = started(alice.start("open", "ops", "--json")), terminal(bob, "open", "ops", "--plain")
    by_command.event("joined")
    by_key.expect("you are in ops")
    relay.program.process.terminate()
    relay.program.process.wait()
    by_command.event("warning")
    by_key.expect("offline")
    by_command.say("/who")
    by_command.say("/quit")
    by_key.sendline("/who")
    by_key.sendeof()
    # A request itself gives up after 30 s and says something else.
    assert "before the end" in by_command.event("refused", ref=1)["detail"]
    assert by_command.event("closed")["code"] == "quit"
    by_key.expect("before the end")
    assert ended(by_key) == 4


def test_a_direct_message_does_not_take_over_what_a_room_calls_the_last(room, person, started):
    person("bob").join(room.link(), "bob")
    alice = started(room.start("open", "ops", "--json"))
    alice.event("joined")
    alice.say("in the room")
    message = alice.event("sent")["id"]
    person("bob").ok("send", "ops", "--to", "alice", "psst")
    alice.event("message", text="psst")
    alice.say("/react ^ :+1:")
    assert alice.event("message", kind="react")["re"] == message


def test_what_was_shown_is_not_new(room, person):
    person("bob").join(room.link(), "bob")
    person("bob").ok("send", "ops", "hello")
    room.ok("tail", "ops")
    assert "1 new" in room.ok("rooms")
    room.ok("open", "ops", "--plain", input="/quit\n")
    assert "new" not in room.ok("rooms")


def test_a_relay_that_comes_back_with_another_key_ends_it(person, started, tmp_path):
    relay = Relay("--listen", "127.0.0.1:0", "--data", tmp_path / "one", "--memory")
    started(relay.program)
    alice = person("alice")
    alice.ok("room", "new", "ops", "--relay", relay.address, "--pin", relay.pin, "--nick", "alice")
    stays = started(alice.start("open", "ops", "--json"))
    stays.event("joined")
    relay.program.process.terminate()
    relay.program.process.wait()
    impostor = Relay("--listen", relay.address, "--data", tmp_path / "two", "--memory")
    started(impostor.program)
    assert stays.event("closed")["code"] == "security"
    assert stays.process.wait(PATIENCE_S) == 5
    assert alice.run("send", "ops", "x").returncode == 5


# --- the line client in a terminal ---


def test_two_people_talk_in_terminals(room, person):
    alice = terminal(room, "open", "ops", "--plain")
    alice.expect("you are in ops as alice")
    bob = terminal(person("bob"), "join", "--plain")
    bob.expect("invite link: ")
    bob.sendline(room.link())
    bob.expect("your nick")
    bob.sendline("Alice")
    bob.expect("taken")
    bob.expect(r"your nick \[Alice2\]: ")
    bob.sendline("bob")
    bob.expect("you are in ops as bob")
    alice.expect("bob joined")
    bob.sendline("hello alice")
    alice.expect(r"\[\d\d:\d\d\] <bob> hello alice\r\n")
    alice.sendline("/msg bob psst")
    bob.expect("<alice -> bob> psst")
    bob.sendline("/last 1")
    bob.expect(r"#\d+ \[\d\d:\d\d\] <bob> hello alice")
    bob.sendline("/jion")
    bob.expect("did you mean /join")
    alice.sendline("/ban bob")
    alice.expect("type yes to go on")
    alice.sendline("no")
    alice.expect("nothing was done")
    alice.sendline("/kick bob too loud")
    alice.expect("was kicked by alice .*too loud")
    bob.expect("you were kicked: alice .*too loud")
    assert ended(bob) == 3
    alice.sendline("/quit")
    alice.expect("bye")
    assert ended(alice) == 0


def test_a_paste_of_sixty_lines_is_one_message(room):
    alice = terminal(room, "open", "ops", "--plain")
    alice.expect("you are in ops")
    pasted = "\r".join([f"line {i} " + "y" * 70 for i in range(59)] + ["/close"])
    alice.send(f"\x1b[200~{pasted}\x1b[201~\r")
    alice.expect(SENT)
    alice.sendeof()
    alice.expect("bye")
    assert ended(alice) == 0
    (told,) = [json.loads(line) for line in room.ok("tail", "ops", "--json").splitlines()]
    assert told["text"] == pasted.replace("\r", "\n")


def on_screen(*pieces):
    """The rows that a terminal shows of what a program and the terminal's own echo have written."""
    screen = pyte.Screen(100, 30)
    pyte.Stream(screen).feed("".join(pieces))
    return [row.rstrip() for row in screen.display if row.strip()]


def test_a_terminal_shows_an_own_line_once_and_its_number(room):
    alice = terminal(room, "open", "ops", "--plain", NO_COLOR="1")
    alice.expect("ends\r\n")
    alice.sendline("hello")
    alice.expect(SENT)
    number = re.search(r"#\d+", alice.after)[0]
    shown = on_screen(alice.before, alice.after)
    assert (shown[0], len(shown)) == ("hello", 2)
    alice.sendline(f"/edit {number} hello all")
    alice.expect(r"\[\d\d:\d\d\] \* alice changed alice: \"hello\" to: hello all\r\n")
    assert "#" not in alice.before.rpartition("\r\n")[2]  # What is only about a message has no number of its own.
    alice.sendline("//slash")
    alice.expect(r"#\d+ \[\d\d:\d\d\] <alice> /slash")  # It is not in the room as it stands above.


def test_what_comes_in_leaves_what_is_being_typed_as_it_stands(room, person, started):
    alice = terminal(room, "open", "ops", "--plain", NO_COLOR="1")
    alice.expect("ends\r\n")
    bob = started(person("bob").start("join", "-", "--nick", "bob", "--json"))
    bob.say(room.link())
    alice.expect("bob is online\r\n")
    for typed in ("h", "half a thought", "x" * 99, "y" * 100, "z" * 130):
        alice.send(typed)
        alice.expect_exact(typed)
        bob.say("in between")
        alice.expect(r"#\d+ \[\d\d:\d\d\] <bob> in between\r\n")
        *above, last = on_screen(typed, alice.before, alice.after)
        assert "".join(above) == typed
        assert re.fullmatch(r"#\d+ \[\d\d:\d\d\] <bob> in between", last)
        alice.sendline(" to its end")
        alice.expect(SENT)
    assert json.loads(room.ok("tail", "ops", "--json", "-n", "1"))["text"] == "z" * 130 + " to its end"


def test_ctrl_c_ends_cleanly(room):
    alice = terminal(room, "open", "ops", "--plain")
    alice.expect_exact("\x1b[?2004h")
    alice.expect("you are in ops")
    alice.sendintr()
    alice.expect_exact("\x1b[?2004l")
    assert ended(alice) == 130
    assert "Traceback" not in (alice.before or "")


def test_sigterm_leaves_the_terminal_clean(room):
    alice = terminal(room, "open", "ops", "--plain")
    alice.expect("you are in ops")
    alice.kill(15)
    alice.expect_exact("\x1b[?2004l")
    assert ended(alice) == 143


def test_a_line_too_long_for_the_terminal_is_not_sent_cut(room):
    alice = terminal(room, "open", "ops", "--plain")
    alice.expect("you are in ops")
    for _ in range(10):
        alice.send("z" * 500)
        alice.expect("z{100}")
    alice.send("\r")
    alice.expect("cuts lines")
    alice.expect(pexpect.TIMEOUT, timeout=1)  # What comes at once may be the rest of a paste.
    alice.sendline("short")
    alice.expect(SENT)
    alice.sendeof()
    assert ended(alice) == 0


def test_a_dumb_terminal_gets_no_escapes(room):
    alice = terminal(room, "open", "ops", TERM="dumb")
    alice.expect("you are in ops")
    alice.sendline("hello")
    alice.expect(SENT)
    assert "\x1b" not in alice.before
    assert "  " not in alice.before
    alice.sendeof()
    alice.expect(pexpect.EOF)
    assert "\x1b" not in alice.before


def test_a_terminal_that_wraps_at_once_is_not_filled(room):
    alice = terminal(room, "open", "ops", TERM="ansi")
    alice.expect("ends\r\n")
    alice.sendline("hello")
    alice.expect(SENT)
    assert "  " not in alice.before


def test_a_terminal_is_told_that_send_waits(room):
    alice = terminal(room, "send", "ops")
    alice.expect("reading from stdin, Ctrl\\+D to end")
    alice.sendline("typed")
    alice.sendeof()
    assert ended(alice) == 0
    assert "typed" in room.ok("tail", "ops")


def test_a_passphrase_is_asked_for(person):
    alice = person("alice")
    made = terminal(alice, "identity", "new", "--passphrase")
    for answer in ("secret words", "secret words"):
        made.expect(": ")
        made.sendline(answer)
    made.expect(HEX)
    assert "secret words" not in made.before
    assert ended(made) == 0
    shown = terminal(alice, "identity", "show")
    shown.expect("passphrase of the profile: ")
    shown.sendline("wrong words")
    assert ended(shown) == 6


def test_a_pipe_talks_in_plain_lines(room):
    room.ok("open", "ops", "--plain", input="one\ntwo\n")
    assert re.search(r"<alice> one\n.*<alice> two", room.ok("tail", "ops"))


# --- up ---


@pytest.fixture
def up(started, person, tmp_path):
    """Starts ``chaton up`` without a terminal, and gives its program and link."""

    def start(*args):
        program = started(person("owner").start("up", *args))
        return program, program.line()

    return start


def test_up_without_a_terminal(up, person):
    program, link = up("--listen", "127.0.0.1:0", "--nick", "owner", "--uses", "3")
    person("bob").join(link, "bob")
    person("bob").ok("send", "lobby", "hello")
    assert "hello" in person("owner").ok("tail", "lobby")
    address = json.loads(person("owner").ok("rooms", "--json"))["rooms"][0]["relay"]
    ok("health", address)
    program.process.terminate()
    code, out, err = program.end()
    assert (code, out) == (0, "")
    assert "stopping the relay" in err
    until(lambda: person("bob").run("send", "lobby", "x").returncode == 4)
    again, second = up()
    person("carol").join(second, "carol")
    assert "hello" in person("owner").ok("tail", "lobby")
    assert len(json.loads(person("owner").ok("rooms", "--json"))["rooms"]) == 1
    assert json.loads(person("owner").ok("rooms", "--json"))["rooms"][0]["relay"] == address
    again.process.terminate()
    assert again.end()[0] == 0


def test_up_in_a_terminal(person):
    owner = terminal(person("owner"), "up", "--listen", "127.0.0.1:0", "--room", "team", "--nick", "owner", "--plain")
    owner.expect(r"(chaton:[A-Za-z0-9_-]+)\x1b")
    link = owner.match[1]
    owner.expect("you are in team as owner")
    second = terminal(person("owner"), "up", "--plain")
    second.expect("running already")
    second.expect("you are in team as owner")
    person("bob").join(link, "bob")
    owner.expect("bob joined")
    second.sendeof()
    assert ended(second) == 0
    owner.sendline("still here")
    owner.expect(SENT)
    owner.sendeof()
    owner.expect("stopping the relay")
    assert ended(owner) == 0


def test_ctrl_c_stops_the_relay_too(person):
    owner = terminal(person("owner"), "up", "--listen", "127.0.0.1:0", "--nick", "owner", "--plain")
    owner.expect("you are in lobby")
    owner.sendintr()
    owner.expect("stopping the relay")
    assert ended(owner) == 130
    assert person("owner").run("members", "lobby").returncode == 4


def test_up_where_something_else_listens(person, relay):
    done = person("owner").run("up", "--listen", relay.address)
    assert done.returncode == 2
    assert "another relay listens" in done.stderr
    assert "--listen" in done.stderr


def test_up_takes_the_certificates_that_are_here(up, person, tmp_path, monkeypatch):
    pin = ok("certs", cwd=tmp_path).removeprefix("pin ").strip()
    monkeypatch.chdir(tmp_path)
    program, _ = up("--listen", "127.0.0.1:0")
    address = json.loads(person("owner").ok("rooms", "--json"))["rooms"][0]["relay"]
    ok("health", address, "--pin", pin)
    program.process.terminate()
    assert program.end()[0] == 0


def test_the_help_imports_nothing_heavy():
    program = "import sys; sys.argv[1:] = ['--help']; from chaton.cli.main import main\ntry: main()\nexcept SystemExit: pass\n"
    program += "print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    assert "tail" in done.stdout
    loaded = set(done.stderr.split())
    assert not loaded & {"asyncio", "cryptography", "sqlite3", "ssl", "nacl", "msgspec", "chaton.client.client"}
