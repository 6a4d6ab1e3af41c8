"""Planted markers, looked for in everything that a session leaves behind: logs, errors, reprs, files, arguments."""

import base64
import gc
import json
import logging
import os
import re
import signal
import tempfile
import traceback
from pathlib import Path

import pytest

from chaton.client.profile import Profile
from chaton.errors import ChatonError
from chaton.identity.secret import Secret
from chaton.room.link import Link
from chaton.session.content import Plaintext
from chaton.session.memory import EventEntry
from chaton.vault import at_rest
from tests.adversary.conftest import Trio
from tests.cli.conftest import Person, Program, person, relay, room, started

__all__ = ["person", "relay", "room", "started"]

TEXTS = ("vermilion-kestrel", "cobalt-marmot", "ochre-lantern")
FILE = ("umber-falcon", "sepia-otter", "russet-heron")  # An attachment's name, what is in it, its caption.
XDG = ("DATA_HOME", "CONFIG_HOME", "STATE_HOME", "CACHE_HOME", "RUNTIME_DIR", "DOWNLOAD_DIR")


def forms(secret: bytes) -> list[bytes]:
    """How bytes may stand somewhere: as they are, in hex, in base64 at each offset, as Python shows them."""
    shown = repr(secret)[2:-1].encode()
    coded = [base64.urlsafe_b64encode(bytes(shift) + secret)[4 * (shift > 0) : -4] for shift in range(3)]
    plain = [code.replace(b"-", b"+").replace(b"_", b"/") for code in coded]
    return [secret, secret.hex().encode(), secret.hex().upper().encode(), shown, *coded, *plain]


def found(haystack: bytes, secrets: dict[str, bytes]) -> list[str]:
    return [name for name, secret in secrets.items() if any(form in haystack for form in forms(secret))]


def secrets_of(trio: Trio) -> dict[str, bytes]:
    """Every key that is alive in three clients, and the link's."""
    secrets = {"invite seed": trio.link.seed.reveal(), "room key": trio.link.rik.reveal()}
    for one in trio.all:
        secrets[f"{one.name}'s identity"] = one.client.profile.seed.reveal()
        room, keyring = one.chat.room, one.chat.driver.session.keyring
        if room.sender.chain is not None:
            secrets[f"{one.name}'s chain"] = room.sender.chain.grant().secret.reveal()
        for own in keyring._opened.values():
            secrets[f"{one.name}'s box key"] = own.box.reveal()
            secrets[f"{one.name}'s ML-KEM key"] = own.mlkem.reveal()
        for known in room.reader.chains.values():
            if known.read is not None:
                secrets[f"{known.statement.id.short} as {one.name} reads it"] = known.read.secret.reveal()
    return secrets


def reprs() -> bytes:
    """What every living object of ours shows of itself; of containers, the dictionaries that hold such objects."""
    ours = [one for one in gc.get_objects() if type(one).__module__.startswith("chaton")]
    assert len(ours) > 300
    return "\n".join(repr(one) for one in ours if not isinstance(one, str)).encode()


async def failures(trio: Trio, town, plan: Path) -> list[ChatonError]:
    """Errors of many kinds, most of them about a text."""
    guest, ben, cyd = await town.person("guest"), trio.ben.chat, trio.cyd.chat
    other = Link(trio.link.address, trio.room, 1, trio.ada.chat.room.view.state.head, trio.link.seed, trio.link.rik)
    adas = next(line for line in ben.backlog() if line.text == TEXTS[0])
    await trio.ada.chat.mute("cyd")
    await trio.cyd.until(lambda: trio.cyd.chat.room.member.muted)
    attempts = (
        lambda: guest.join(trio.link, nick="late"),
        lambda: guest.join(other, nick="late"),
        lambda: ben.kick("ada", TEXTS[2]),
        lambda: ben.edit(adas.id, TEXTS[1]),
        lambda: ben.react(adas.id, TEXTS[1] * 9),
        lambda: ben.send(TEXTS[0] * 6_000),
        lambda: ben.send(TEXTS[0] + "\ud800"),
        lambda: ben.send_file(plan, FILE[2] * 6_000),
        lambda: cyd.send(TEXTS[1]),
    )
    return [await failure(attempt) for attempt in attempts]


async def failure(attempt) -> ChatonError:
    with pytest.raises(ChatonError) as failed:
        await attempt()
    return failed.value


def report(error: ChatonError, *, with_locals: bool = False) -> bytes:
    """The error and its causes as ``--debug`` shows them, and what to do next; or as a collector of variables would."""
    lines = [*traceback.TracebackException.from_exception(error, capture_locals=with_locals).format()]
    cause: BaseException | None = error
    while cause is not None:
        lines += [str(cause), getattr(cause, "hint", "")]
        cause = cause.__cause__ or cause.__context__
    return "\n".join(lines).encode(errors="replace")


def left_below(directory: Path, *but: Path) -> bytes:
    """The path and the bytes of every file that is there, in whatever directory."""
    assert all(path.is_file() for path in but)
    files = (path for path in directory.rglob("*") if path.is_file() and path not in but)
    return b"\n".join(bytes(path) + b"\n" + path.read_bytes() for path in files)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    """Whatever looks for a directory of its user or for temporary files finds it below the test's own."""
    for name in ("HOME", "TMPDIR", *(f"XDG_{what}" for what in XDG)):
        (tmp_path / "home" / name).mkdir(parents=True)
        monkeypatch.setenv(name, str(tmp_path / "home" / name))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path / "home"


@pytest.fixture
def plan(tmp_path) -> Path:
    """A file to send, of which name and bytes can be recognised."""
    path = tmp_path / "source" / f"{FILE[0]}.txt"
    path.parent.mkdir()
    path.write_text(FILE[1])
    return path


def plant(home: Path, secrets: dict[str, bytes]) -> None:
    """Leave each secret somewhere, in one of the forms in turn."""
    for number, secret in enumerate(secrets.values()):
        shown = (secret, secret.hex().encode(), base64.b64encode(b"x" + secret + b"y"))[number % 3]
        (home / "TMPDIR" / f".left{number}").write_bytes(b"so: " + shown + b"\n")


@pytest.fixture
def everything_logged(caplog):
    caplog.set_level(logging.DEBUG)
    return caplog


async def test_no_key_is_anywhere_and_no_text_in_logs_errors_or_files(
    everything_logged, trio, town, plan, home
) -> None:
    await trio.ada.chat.send(TEXTS[0])
    await (await trio.ada.chat.direct("ben")).send(TEXTS[1])
    sent = await trio.ada.chat.send_file(plan, FILE[2])
    await trio.ben.sees(FILE[2])
    saved = await trio.ben.chat.get_file(sent.id)
    assert saved.is_relative_to(home)
    keys = secrets_of(trio) | {"file key": trio.ben.chat.room.timeline.file(sent.id).key.reveal()}
    errors = await failures(trio, town, plan)
    # Who pastes half a link has it in a variable as a text; as Chaton prints it, a traceback has no variables.
    half = await failure(lambda: trio.cyd.client.join(trio.link.encode()[:-3] + "AAA", nick="late"))
    await trio.ada.chat.kick("cyd", TEXTS[2])
    await trio.ben.until(lambda: trio.ben.chat.room.view.state.epoch == 1)
    keys |= {f"{name}, later": key for name, key in secrets_of(trio).items()}
    texts = {text: text.encode() for text in TEXTS + FILE}
    logs = everything_logged.text.encode()
    assert found(logs, keys | texts) == []
    told, collected = b"".join(map(report, [*errors, half])), b"".join(report(one, with_locals=True) for one in errors)
    assert found(told, keys | texts) == []
    assert found(collected, keys) == []
    assert found(reprs(), keys) == []
    left = left_below(home.parent, plan, saved)
    assert found(left, keys | texts) == []
    assert len(keys) > 24
    # The search itself works: what may stand there is found in each place, and what is left behind anywhere.
    assert found(told, {"why": b"you are muted", "hint": b"ask an admin"}) == ["why", "hint"]
    assert set(TEXTS) < set(found(collected, texts))
    assert found(reprs(), {"ben": bytes(trio.ben.identity)}) == ["ben"]
    assert found(left, {"room": bytes(trio.room)}) == ["room"]
    plant(home, keys | texts)
    assert found(left_below(home.parent, plan, saved), keys | texts) == list(keys | texts)


def kept_by(*people: Person) -> dict[str, bytes]:
    """Every key that the profiles hold, read with their own."""
    secrets = {}
    for one in people:
        with Profile.open(one.profile) as profile:
            secrets[f"{one.profile.name}'s identity"] = profile.seed.reveal()
            entries = [entry for relay in profile.relays() for entry in profile.load(relay)]
        for number, entry in enumerate(entries):
            values = {name: getattr(entry, name) for name in entry.__struct_fields__}
            if isinstance(entry, EventEntry) and entry.plain:
                values["file"] = getattr(Plaintext.decode(entry.plain).content, "key", None)
            names = (name for name, value in values.items() if isinstance(value, Secret))
            secrets |= {f"{one.profile.name}'s {entry.KIND} {number} {name}": values[name].reveal() for name in names}
    return secrets


def test_processes_leave_no_key_and_no_text_behind(person, started, plan, home, tmp_path) -> None:
    """A relay and two people, each told to show what happens inside, with files and errors, to their end."""
    options = ("--listen", "127.0.0.1:0", "--data", str(tmp_path / "relay"))
    serving = started(Program(["--debug", "serve", *options]))
    address, pin = re.fullmatch(r"listening on (\S+) pin (\S+)", serving.line()).groups()
    ada, ben, shown = person("ada"), person("ben"), []

    def do(who: Person, *words: object, code: int = 0, **more) -> str:
        done = who.run("--debug", *words, **more)
        assert done.returncode == code, done
        shown.append(done.stderr)
        return done.stdout

    do(ada, "room", "new", "ops", "--relay", address, "--pin", pin, "--nick", "ada")
    link = do(ada, "invite", "ops").strip()
    do(ben, "join", "-", "--nick", "ben", input=link)
    do(ada, "send", "ops", input=TEXTS[0])
    do(ada, "send", "ops", "--attach", plan, FILE[2])
    told = [json.loads(line) for line in do(ben, "tail", "ops", "--json").splitlines()]
    assert [event["text"] for event in told] == [TEXTS[0], FILE[2]]
    saved = Path(do(ben, "get", "ops", told[-1]["seq"]).strip())
    do(ben, "kick", "ops", "ada", "--reason", TEXTS[1], code=3)
    do(ben, "send", "ops", input=TEXTS[2] * 6_000, code=2)
    serving.process.terminate()
    code, _, relays = serving.end()
    assert (code, saved.read_text()) == (0, FILE[1])
    secrets = kept_by(ada, ben) | {"invite seed": Link.decode(link).seed.reveal()}
    secrets |= {text: text.encode() for text in TEXTS + FILE}
    said = "\n".join([relays, *shown]).encode()
    assert found(said, secrets) == []
    assert found(left_below(tmp_path, plan, saved), secrets) == []
    kinds = " ".join(secrets)
    assert all(kind in kinds for kind in ("ada's identity", "rik", "chain", "box", "mlkem", "file"))
    assert all("Traceback" in one for one in shown[-2:])
    assert "made a certificate" in relays
    plant(home, secrets)
    assert found(left_below(tmp_path, plan, saved), secrets) == list(secrets)


def test_a_passphrase_and_what_it_guards_are_nowhere(everything_logged, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(at_rest, "_PASSES", 1)
    monkeypatch.setattr(at_rest, "_MEMORY_BYTES", 8192)
    home, passphrase, guess = tmp_path / "locked", "saffron-heron", "saffron-heros"
    with Profile.create(home, passphrase=passphrase) as made:
        secrets = {"passphrase": passphrase.encode(), "guess": guess.encode(), "seed": made.seed.reveal()}
    with pytest.raises(ChatonError) as wrong:
        Profile.open(home, passphrase=guess)
    report = "".join(traceback.TracebackException.from_exception(wrong.value).format())
    left = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    assert found((report + everything_logged.text).encode() + left, secrets) == []
    assert left


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="reads /proc/PID/cmdline")
def test_a_link_from_a_pipe_is_in_no_argument_log_title_or_crash_report(room, person, started) -> None:
    link = room.link("--uses", "3")
    ben = person("ben")
    program = started(ben.start("--debug", "join", "-", "--nick", "ben", "--json", PYTHONFAULTHANDLER="1"))
    program.say(link)
    joined = program.event("joined")
    place = Path(f"/proc/{program.process.pid}")
    visible = (place / "cmdline").read_bytes() + (place / "environ").read_bytes() + (place / "comm").read_bytes()
    os.kill(program.process.pid, signal.SIGABRT)
    code, out, err = program.end()
    assert code == -signal.SIGABRT
    assert "Fatal Python error" in err
    left = left_below(ben.profile.parent)
    for secret in (link, link[7:], link[-60:-6]):
        assert secret.encode() not in visible + out.encode() + err.encode() + left
    assert joined["nick"] == "ben"
    refused = ben.run("--debug", "join", "-", "--nick", "ben", input=link[:-5] + "AAAAA")
    assert refused.returncode in {2, 3}
    assert link[40:80] not in refused.stdout + refused.stderr


def test_the_search_finds_what_it_is_for() -> None:
    secret = bytes(range(32))
    for form in (secret, secret.hex().encode(), repr(secret).encode(), base64.b64encode(b"xy" + secret + b"z")):
        assert found(b"..." + form + b"...", {"it": secret}) == ["it"]
    assert found(b"", {"it": secret}) == []
