"""Each command as a real process: what it prints where, and how it ends."""

import json
import re
import stat
import subprocess
import time

import pytest

from tests.cli.conftest import COMMAND, ROOT, Relay, environment, ok, run, until

COMMANDS = re.findall(r'^        "([a-z]+)": \("', (ROOT / "chaton" / "cli" / "main.py").read_text(), re.MULTILINE)
HEX = "[0-9a-f]{64}"
TEXT = "héllo wörld ☂"


def data(output):
    return [json.loads(line) for line in output.splitlines()]


# --- help and usage ---


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name):
    for flag in ("--help", "-h"):
        assert ok(name, flag).startswith(f"Usage: chaton {name}")


def test_the_help_shows_every_command():
    shown = ok("--help")
    assert len(COMMANDS) >= 29
    assert all(re.search(rf"^  {name} ", shown, re.MULTILINE) for name in COMMANDS)


def test_help_warns_of_arguments_that_others_see():
    assert "other users" in ok("join", "--help")
    assert "other users" in ok("send", "--help")


@pytest.mark.parametrize(
    ("args", "guess"),
    [
        (["jion"], "'join'"),
        (["sned", "ops"], "'send'"),
        (["join", "--nik", "x"], "--nick"),
        (["identity", "nwe"], "'new'"),
    ],
)
def test_what_is_mistyped_is_guessed(args, guess):
    done = run(*args)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("chaton: error: ")
    assert guess in done.stderr
    assert "chaton: hint: see chaton" in done.stderr


def test_without_a_command_the_help_is_shown():
    done = run()
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage: chaton" in done.stderr


def test_version():
    assert re.fullmatch(r"chaton \d+\.\d+\.\d+\n", ok("--version"))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell):
    assert "_CHATON_COMPLETE" in ok("completion", shell)


def test_completion_completes():
    done = run(_CHATON_COMPLETE="bash_complete", COMP_WORDS="chaton unm", COMP_CWORD="1")
    assert "unmute" in done.stdout


def test_a_traceback_is_for_debug_only(person):
    args = ["identity", "show"]
    assert "Traceback" not in person("nobody").run(*args).stderr
    for done in (person("nobody").run("--debug", *args), person("nobody").run(*args, "--debug")):
        assert "Traceback" in done.stderr
        assert done.returncode == 6


@pytest.mark.parametrize(
    ("env", "args", "coloured"),
    [({}, [], False), ({"CLICOLOR_FORCE": "1"}, [], True), ({"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, [], False),
     ({"NO_COLOR": "1"}, ["--color", "always"], True), ({"CLICOLOR_FORCE": "1"}, ["--color", "never"], False)],
)  # fmt: skip
def test_colour(env, args, coloured, person):
    done = run("--profile", person("nobody").profile, *args, "identity", "show", **env)
    assert ("\x1b[" in done.stderr) is coloured


# --- keys ---


def test_identity(person, tmp_path):
    alice = person("alice")
    made = alice.ok("identity", "new")
    assert re.fullmatch(r"[0-9a-f]{64}\n", made)
    assert alice.ok("identity", "show") == made
    assert data(alice.ok("identity", "show", "--json"))[0]["identity"] == made.strip()
    again = alice.run("identity", "new")
    assert again.returncode == 2
    assert stat.S_IMODE(alice.profile.stat().st_mode) == 0o700


def test_a_passphrase_locks_the_profile(person, tmp_path):
    alice, right, wrong = person("alice"), tmp_path / "right", tmp_path / "wrong"
    right.write_text("a good one\nsecond line\n")
    wrong.write_text("another one\n")
    made = alice.ok("identity", "new", "--passphrase-file", right)
    missing = alice.run("identity", "show")
    assert missing.returncode == 6
    assert "CHATON_PASSPHRASE_FILE" in missing.stderr
    refused = alice.run("identity", "show", CHATON_PASSPHRASE_FILE=str(wrong))
    assert refused.returncode == 6
    assert alice.ok("identity", "show", CHATON_PASSPHRASE_FILE=str(right)) == made
    alice.ok("identity", "passphrase", "--remove", CHATON_PASSPHRASE_FILE=str(right))
    assert alice.ok("identity", "show") == made


def test_an_identity_is_moved(person, tmp_path):
    alice, there, secret, out = person("alice"), person("there"), tmp_path / "secret", tmp_path / "key"
    secret.write_text("for the way\n")
    made = alice.ok("identity", "new")
    alice.ok("identity", "export", "--out", out, "--passphrase-file", secret)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert alice.run("identity", "export", "--out", out, "--passphrase-file", secret).returncode == 2
    assert alice.run("identity", "export").returncode == 2
    assert there.ok("identity", "import", out, "--passphrase-file", secret) == made
    secret.write_text("not this one\n")
    assert person("else").run("identity", "import", out, "--passphrase-file", secret).returncode == 6
    assert person("else").run("identity", "import", secret, "--passphrase-file", secret).returncode == 2


# --- relays ---


def test_serve_says_one_exact_line_and_ends_well(started, tmp_path):
    relay = Relay("--listen", "127.0.0.1:0", "--data", tmp_path)
    started(relay.program)
    assert re.fullmatch(r"listening on 127\.0\.0\.1:\d+ pin [0-9a-f]{64}", relay.first_line)
    relay.program.process.terminate()
    code, out, err = relay.program.end()
    assert (code, out) == (0, "")
    assert "Traceback" not in err


def test_serve_with_a_configuration(started, tmp_path):
    ok("certs", "--out", tmp_path)
    config = tmp_path / "relay.toml"
    config.write_text('listen = "127.0.0.1:0"\ndata = "data"\ncert = "server.pem"\nkey = "server.key"\n')
    relay = Relay("--config", config, "--memory")
    started(relay.program)
    assert relay.pin == ok("certs", "--out", tmp_path).removeprefix("pin ").strip()
    config.write_text("listne = 1\n")
    done = run("serve", "--config", config)
    assert done.returncode == 2
    assert "listne" in done.stderr


def test_a_port_in_use(relay, tmp_path):
    done = run("serve", "--listen", relay.address, "--data", tmp_path, "--memory")
    assert done.returncode == 2
    assert done.stderr.count("chaton: error:") == 1
    assert "Traceback" not in done.stderr


def test_a_key_that_is_none(tmp_path):
    ok("certs", "--out", tmp_path)
    (tmp_path / "server.key").write_text("nothing")
    done = run(
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--memory",
        "--cert",
        tmp_path / "server.pem",
        "--key",
        tmp_path / "server.key",
        "--data",
        tmp_path,
    )
    assert done.returncode == 2
    assert "server.key" in done.stderr
    assert run("serve", "--cert", tmp_path / "server.pem").returncode == 2


def test_certificates(tmp_path):
    first = ok("certs", "--out", tmp_path, "--host", "chat.example", "--days", "10")
    assert re.fullmatch(r"pin [0-9a-f]{64}\n", first)
    assert {path.name for path in tmp_path.iterdir()} == {"ca.pem", "ca.key", "server.pem", "server.key"}
    assert stat.S_IMODE((tmp_path / "server.key").stat().st_mode) == 0o600
    assert ok("certs", "--out", tmp_path) == first
    assert ok("certs", "--out", tmp_path, "--force") != first
    assert run("certs", "--out", tmp_path, "--host", "a b").returncode == 2


def test_health(relay):
    assert relay.pin in ok("health", relay.address, "--pin", relay.pin)
    told = data(ok("health", relay.address, "--json"))[0]
    assert told["pin"] == relay.pin
    assert told["version"]
    assert run("health", relay.address, "--pin", "0" * 64).returncode == 5
    assert run("health", "127.0.0.1:1").returncode == 4
    assert run("health", "127.0.0.1").returncode == 2


def test_doctor(person, relay):
    alice = person("alice")
    assert "none in" in alice.ok("doctor")
    alice.ok("identity", "new")
    checks = {check["what"]: check for check in data(alice.ok("doctor", relay.address, "--json"))}
    assert checks["profile"]["verdict"] == checks["clock"]["verdict"] == checks["encrypted store"]["verdict"] == "ok"
    (alice.profile / "profile.key").chmod(0o644)
    done = alice.run("doctor")
    assert done.returncode == 1
    assert "profile.key" in done.stdout


# --- rooms ---


def test_a_room_from_its_beginning(room, person, tmp_path):
    assert re.fullmatch(r"[0-9a-f]{64}", room.room)
    assert "ops" in room.ok("rooms")
    facts = data(room.ok("rooms", "--json"))[0]["rooms"][0]
    assert facts["room"] == room.room
    assert "type" not in facts
    bob = person("bob")
    identity = bob.join(room.link(), "bob")
    members = data(bob.ok("members", room.room[:8], "--json"))[0]["members"]
    assert [(one["nick"], one["role"]) for one in members] == [("alice", "owner"), ("bob", "member")]
    room.ok("send", "ops", TEXT)
    assert data(bob.ok("tail", "ops", "--json"))[0]["text"] == TEXT
    codes = [data(one.ok("verify", "ops", "--json"))[0]["code"] for one in (room, bob)]
    assert codes[0] == codes[1]
    room.ok("verify", "ops", "bob", "--ok")
    assert data(room.ok("members", "ops", "--json"))[0]["members"][1]["compared"]
    log = data(bob.ok("log", "ops", "--json"))[0]["lines"]
    assert [line["n"] for line in log] == list(range(len(log)))
    assert log[-1]["identity"] == identity
    done = bob.run("leave", "ops")
    assert done.returncode == 0
    gone = bob.run("send", "ops", "x")
    assert gone.returncode == 3


def test_send_takes_its_text_from_anywhere(room, tmp_path):
    file = tmp_path / "text"
    file.write_text("from a file\n")
    room.ok("send", "ops", "an", "argument")
    room.ok("send", "ops", input="a pipe\n")
    room.ok("send", "ops", "-", input="a dash\n")
    room.ok("send", "ops", "-m", "-m begins with a dash")
    room.ok("send", "ops", "--file", file)
    room.ok("send", "ops", "--file", "-", input="two\nlines\n")
    sent = data(room.ok("send", "ops", "last", "--json"))[0]
    lines = data(room.ok("tail", "ops", "--json"))
    assert [line["text"] for line in lines] == [
        "an argument", "a pipe", "a dash", "-m begins with a dash", "from a file", "two\nlines", "last",
    ]  # fmt: skip
    assert lines[-1]["id"] == sent["id"]
    assert [line["text"] for line in data(room.ok("tail", "ops", "--json", "--after", sent["seq"] - 1))] == ["last"]
    assert [line["text"] for line in data(room.ok("tail", "ops", "--json", "-n", "2"))] == ["two\nlines", "last"]
    assert data(room.ok("tail", "ops", "--json", "--since", "1h")) == lines
    assert re.search(r"^\[\d\d:\d\d\] <alice> two\n  \| lines$", room.ok("tail", "ops"), re.MULTILINE)


@pytest.mark.parametrize("args", [[], ["-"], ["--file", "-"], ["-m", " "], ["a", "-m", "b"], ["--file", "/nowhere"]])
def test_what_cannot_be_sent(room, args):
    done = room.run("send", "ops", *args)
    assert done.returncode == 2
    assert "chaton: hint:" in done.stderr


def test_a_message_too_long_or_not_text(room):
    assert room.run("send", "ops", input="x" * 70_000).returncode == 2
    assert room.run("send", "ops", input=b"\xff\xfe").returncode == 2
    room.ok("send", "ops", input="x" * 65_000)


def test_a_reader_that_goes_away(room):
    for i in range(3):
        room.ok("send", "ops", f"line {i} " + "x" * 60_000)
    command = f"set -o pipefail; {' '.join(COMMAND)} --profile {room.profile} tail ops | head -c 10"
    done = subprocess.run(["bash", "-c", command], capture_output=True, env=environment(), timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_tail_follows(room, started):
    room.ok("send", "ops", "before")
    tail = started(room.start("tail", "ops", "--json", "-f"))
    assert tail.event("message")["text"] == "before"
    room.ok("send", "ops", "after")
    assert tail.event("message")["text"] == "after"
    tail.process.terminate()
    assert tail.end()[0] == 143


# --- links ---


def test_an_invite_is_alone_on_standard_output(room):
    assert re.fullmatch(r"chaton:[A-Za-z0-9_-]+\n", room.ok("invite", "ops", "--uses", "3", "--expires", "2h", "--qr"))
    live = data(room.ok("invites", "ops", "--json"))[0]["invites"]
    assert [one["uses_left"] for one in live] == [3]
    room.ok("uninvite", "ops", live[0]["n"])
    assert data(room.ok("invites", "ops", "--json"))[0]["invites"] == []
    assert room.run("uninvite", "ops", live[0]["n"]).returncode == 3
    assert room.run("invite", "ops", "--expires", "soon").returncode == 2


def test_links_that_do_not_let_in(room, person):
    link = room.link()
    middle = len(link) // 2
    flipped = link[:middle] + ("A" if link[middle] != "A" else "B") + link[middle + 1 :]
    for bad in (flipped, link[:-3], "https://example.org/x", ""):
        done = person("bob").run("join", "-", "--nick", "bob", input=bad + "\n")
        assert done.returncode == 3, bad
        assert "Traceback" not in done.stderr
        assert not person("bob").profile.exists()
    person("bob").join(link, "bob")
    used = person("carol").run("join", "-", "--nick", "carol", input=link)
    assert used.returncode == 3
    revoked = room.link()
    n = data(room.ok("invites", "ops", "--json"))[0]["invites"][0]["n"]
    room.ok("uninvite", "ops", n)
    assert person("carol").run("join", "-", "--nick", "carol", input=revoked).returncode == 3


def test_a_link_that_has_expired(room, person):
    link = room.link("--expires", "1s")
    end = time.time() + 1
    until(lambda: time.time() > end)
    done = person("bob").run("join", "-", "--nick", "bob", input=link)
    assert done.returncode == 3
    assert "expired" in done.stderr


def test_joining_needs_a_nick_and_a_link(room, person):
    done = person("bob").run("join", "-", input=room.link() + "\n")
    assert done.returncode == 2
    assert "--nick" in done.stderr
    assert person("bob").run("join", "--nick", "bob").returncode == 2
    assert person("bob").run("join", "-", "--nick", "bob").returncode in {2, 3}


def test_a_nick_that_is_taken(room, person):
    done = person("bob").run("join", "-", "--nick", "Alice", input=room.link())
    assert done.returncode == 3
    assert "taken" in done.stderr


def test_joining_twice_opens(room, person):
    link = room.link()
    person("bob").join(link, "bob")
    again = person("bob").events("join", "-", "--json", input=link)
    assert again[0]["event"] == "joined"
    assert again[0]["nick"] == "bob"


# --- what goes wrong on the way ---


def test_a_relay_that_is_gone(person, started, tmp_path):
    relay = Relay("--listen", "127.0.0.1:0", "--data", tmp_path / "data", "--memory")
    started(relay.program)
    alice = person("alice")
    alice.ok("room", "new", "ops", "--relay", relay.address, "--pin", relay.pin, "--nick", "alice")
    relay.program.process.terminate()
    relay.program.process.wait()
    for args in (["send", "ops", "x"], ["tail", "ops"], ["members", "ops"]):
        assert alice.run(*args).returncode == 4, args
    assert alice.run("send", "ops", "x", "--timeout", "0.5").returncode == 4
    assert "ops" in alice.ok("rooms")


def test_a_relay_with_another_key(person, relay, started, tmp_path):
    done = person("alice").run("room", "new", "ops", "--relay", relay.address, "--pin", "ab" * 32, "--nick", "alice")
    assert done.returncode == 5
    assert "chaton: hint:" in done.stderr
    assert (
        person("alice").run("room", "new", "x", "--relay", relay.address, "--pin", "xyz", "--nick", "a").returncode == 2
    )


def test_rooms_and_people_that_are_not_there(room, person):
    unknown = room.run("send", "nowhere", "x")
    assert (unknown.returncode, "chaton rooms" in unknown.stderr) == (2, True)
    assert room.run("kick", "ops", "nobody").returncode == 3
    assert room.run("get", "ops", "77").returncode == room.run("redact", "ops", "77").returncode == 3
    assert person("nobody").run("send", "ops", "x").returncode == 6


def test_another_room_is_made_where_the_others_are(room, relay):
    done = room.run("room", "new", "second")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(HEX + "\n", done.stdout)
    for taken in (relay.address, relay.pin[:8], "alice"):
        assert taken in done.stderr
    made = {one["name"]: one for one in data(room.ok("rooms", "--json"))[0]["rooms"]}
    assert (made["second"]["relay"], made["second"]["nick"]) == (relay.address, "alice")
    done = room.run("room", "new", "third", "--relay", relay.address, "--pin", relay.pin, "--nick", "ann")
    assert (done.returncode, done.stderr) == (0, "")
    done = room.run("room", "new", "fourth", "--nick", "ann")
    assert (done.returncode, "alice" in done.stderr, relay.address in done.stderr) == (0, False, True)


def test_of_several_relays_one_is_named(room, relay, started, tmp_path):
    other = Relay("--listen", "127.0.0.1:0", "--data", tmp_path / "data", "--memory")
    started(other.program)
    room.ok("room", "new", "far", "--relay", other.address, "--pin", other.pin, "--nick", "ann")
    done = room.run("room", "new", "x")
    assert done.returncode == 2
    assert relay.address in done.stderr
    assert other.address in done.stderr
    done = room.run("room", "new", "x", "--relay", other.address)
    assert (done.returncode, "ann" in done.stderr, "alice" in done.stderr) == (0, True, False)


def test_where_no_room_is_yet_a_relay_is_named(room, person, relay):
    done = person("bob").run("room", "new", "x", "--nick", "bob")
    assert (done.returncode, "--relay" in done.stderr) == (2, True)
    assert not person("bob").profile.exists()
    done = room.run("room", "new", "x", "--relay", "127.0.0.1:1")
    assert (done.returncode, "--pin" in done.stderr) == (2, True)


def test_a_name_that_fits_two_rooms(room, relay):
    room.ok("room", "new", "ops", "--relay", relay.address, "--pin", relay.pin, "--nick", "alice")
    done = room.run("send", "ops", "x")
    assert done.returncode == 2
    assert room.room[:8] in done.stderr


# --- moderation ---


def test_moderation(room, person):
    bob = person("bob")
    bob.join(room.link(), "bob")
    bob.ok("send", "ops", "something rude")
    assert bob.run("kick", "ops", "alice").returncode == 3
    seq = data(room.ok("tail", "ops", "--json"))[0]["seq"]
    room.ok("redact", "ops", seq)
    assert "rude" not in room.ok("tail", "ops")
    room.ok("mute", "ops", "bob")
    assert bob.run("send", "ops", "x").returncode == 3
    room.ok("unmute", "ops", "bob")
    bob.ok("send", "ops", "thanks")
    room.ok("role", "ops", "bob", "mod")
    room.ok("topic", "ops", "quiet please")
    assert bob.ok("topic", "ops") == "quiet please\n"
    room.ok("topic", "ops", "--name", "operations")
    signed = data(room.ok("kick", "operations", "bob", "--reason", "enough", "--json"))[0]
    assert signed["event"] == "signed"
    done = bob.run("send", room.room[:8], "x")
    assert done.returncode == 3
    assert "enough" in done.stderr
    room.ok("close", "operations")
    assert room.run("send", "operations", "x").returncode == 3


def test_a_ban_holds_until_it_is_lifted(room, person):
    bob = person("bob")
    identity = bob.join(room.link(), "bob")
    room.ok("ban", "ops", "bob")
    assert bob.run("join", "-", "--nick", "bob", input=room.link()).returncode == 3
    room.ok("unban", "ops", identity)
    bob.join(room.link(), "bob")


def test_a_kick_that_deletes_a_link_gives_another(room, person):
    link = room.link("--uses", "5")
    person("bob").join(link, "bob")
    told = room.ok("kick", "ops", "bob")
    fresh = re.search(r"^chaton:\S+$", told, re.MULTILINE)[0]
    assert person("carol").run("join", "-", "--nick", "carol", input=link).returncode == 3
    person("carol").join(fresh, "carol")


def test_a_record_is_signed_now_and_handed_in_later(room, person, tmp_path):
    person("bob").join(room.link(), "bob")
    kick, late = tmp_path / "kick", tmp_path / "late"
    room.ok("kick", "ops", "bob", "--out", kick)
    room.ok("topic", "ops", "x", "--out", late)
    assert room.run("topic", "ops", "y", "--out", late).returncode == 2
    assert len(data(room.ok("members", "ops", "--json"))[0]["members"]) == 2
    room.ok("submit", kick)
    assert len(data(room.ok("members", "ops", "--json"))[0]["members"]) == 1
    moved = room.run("submit", late)
    assert moved.returncode == 1
    assert "moved" in moved.stderr
    kick.write_text("no record")
    assert room.run("submit", kick).returncode == 2


def test_whoever_joins_waits_to_be_let_in(person, relay, started):
    alice, bob = person("alice"), person("bob")
    alice.ok("room", "new", "vip", "--relay", relay.address, "--pin", relay.pin, "--nick", "alice", "--approve")
    joining = started(bob.start("join", "-", "--nick", "bob", "--json"))
    joining.say(alice.ok("invite", "vip").strip())
    assert joining.event("warning")["code"] == "waiting"
    alice.ok("admit", "vip", "bob")
    assert joining.event("joined")["nick"] == "bob"
    assert joining.end()[0] == 0


def test_two_commands_at_once_share_a_profile(room, started):
    stays = started(room.start("open", "ops", "--json"))
    assert stays.event("joined")["nick"] == "alice"
    room.ok("send", "ops", "through the other process")
    assert stays.event("message")["text"] == "through the other process"


def test_demo():
    shown = ok("demo")
    assert shown.count("   ok  ") >= 15
    assert "refused (" in shown


def test_peer_text_reaches_no_terminal(room, person):
    evil = "\x1b[2J\x1b]0;owned\x07\u202eevil\r"
    bob = person("bob")
    bob.join(room.link(), "bob")
    bob.ok("send", "ops", input="a" + evil + "\nb")
    bob.ok("send", "ops", "--to", "alice", input=evil)
    for args in (["tail", "ops"], ["tail", "ops", "--json"], ["rooms"], ["members", "ops"]):
        shown = room.ok(*args)
        assert not set(shown) & set("\x1b\x07\r\u202e"), args
        assert "\\u001b" not in shown


def test_what_is_quoted_in_an_error_is_clean(room):
    done = room.run("send", "\x1b[31mred", "x")
    assert "\x1b" not in done.stderr
