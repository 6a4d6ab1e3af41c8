"""Planted markers, looked for in everything that a session leaves behind: logs, errors, reprs, files, arguments."""

import base64
import gc
import logging
import os
import signal
import traceback
from pathlib import Path

import pytest

from chaton.client.profile import Profile
from chaton.errors import ChatonError
from chaton.room.link import Link
from chaton.vault import at_rest
from tests.adversary.conftest import Trio
from tests.cli.conftest import person, relay, room, started

__all__ = ["person", "relay", "room", "started"]

TEXTS = ("vermilion-kestrel", "cobalt-marmot", "ochre-lantern")


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


async def provoke(trio: Trio, town) -> str:
    """Errors of many kinds, as a crash report would show them that also has all local variables."""
    guest = await town.person("guest")
    other = Link(trio.link.address, trio.room, 1, trio.ada.chat.room.view.state.head, trio.link.seed, trio.link.rik)
    reports = [
        await report(attempt, with_locals=True)
        for attempt in (
            lambda: guest.join(trio.link, nick="late"),
            lambda: guest.join(other, nick="late"),
            lambda: trio.ben.chat.kick("ada", TEXTS[2]),
            lambda: trio.ben.chat.send("x" * 70_000),
        )
    ]
    # Who pastes half a link has it in a variable as a text; as Chaton prints it, a traceback has no variables.
    reports.append(await report(lambda: guest.join(trio.link.encode()[:-3] + "AAA", nick="late"), with_locals=False))
    return "\n".join(reports)


async def report(attempt, *, with_locals: bool) -> str:
    with pytest.raises(ChatonError) as failed:
        await attempt()
    return "".join(traceback.TracebackException.from_exception(failed.value, capture_locals=with_locals).format())


@pytest.fixture
def everything_logged(caplog):
    caplog.set_level(logging.DEBUG)
    return caplog


async def test_no_secret_is_in_logs_reports_reprs_or_files(everything_logged, trio, town, house, tmp_path) -> None:
    await trio.ada.chat.send(TEXTS[0])
    await (await trio.ada.chat.direct("ben")).send(TEXTS[1])
    await trio.ben.sees(TEXTS[0])
    keys = secrets_of(trio)
    reports = await provoke(trio, town)
    await trio.ada.chat.kick("cyd", TEXTS[2])
    await trio.ben.until(lambda: trio.ben.chat.room.view.state.epoch == 1)
    texts = {text: text.encode() for text in TEXTS}
    logs = everything_logged.text.encode()
    assert found(logs, keys | texts) == []
    assert found(reports.encode(), keys) == []
    assert found(reprs(), keys) == []
    disk = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert found(disk, keys | texts) == []
    assert len(keys) > 12
    # The search itself works: what may stand there is found in each place.
    assert found(reports.encode(), {"n": b"late"}) == ["n"]
    assert found(reprs(), {"ben": bytes(trio.ben.identity)}) == ["ben"]
    assert found(disk, {"room": bytes(trio.room)}) == ["room"]


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
    left = b"".join(path.read_bytes() for path in ben.profile.rglob("*") if path.is_file())
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
