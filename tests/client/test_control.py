"""Asking the process that has a profile open; commands that want one profile at once."""

import asyncio
import contextlib
import os
import stat
import sys
from pathlib import Path

import msgspec
import pytest

from chaton import errors
from chaton.client import control, gateway, replies
from chaton.client import requests as ask
from chaton.client.control import ControlServer, NobodyHolds, socket_path
from chaton.client.gateway import open_backend
from chaton.client.news import ConnectionChanged, Subscription, notice_of_plain, notice_to_plain, write_special
from chaton.client.profile import Profile
from chaton.errors import Malformed, PinMismatch, ProfileError, ProfileLocked, Refused, Unreachable, UsageError
from chaton.identity.ids import Identity, MessageId, Pin, RoomId
from chaton.room.records import Role
from chaton.session.notices import FileFacts, Joined, Person, Said, Sent
from chaton.session.text import SafeText
from tests.client.conftest import QUICK, heard

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def garden(house, town):
    ann = await town.person("ann")
    return await ann.create(house.address, "garden", nick="Ann")


async def test_a_request_is_carried_out_by_who_holds_the_profile(garden, town):
    home = town.root / "ann"
    assert stat.S_IMODE((home / "control.sock").stat().st_mode) == 0o600
    sent = await control.ask(home, ask.Send(room="garden", text="from outside"))
    assert [line.text for line in garden.backlog()] == ["from outside"]
    lines = await control.ask(home, ask.Tail(room="garden"))
    assert (lines.lines[0].id, lines.lines[0].seq) == (sent.id, sent.seq)


async def test_errors_come_across_as_what_they_are(garden, town):
    home = town.root / "ann"
    with pytest.raises(Refused, match="nobody in the room is called “zoe”") as refused:
        await control.ask(home, ask.Act(room="garden", what="kick", who="zoe"))
    assert (refused.value.code, refused.value.hint) == ("no-member", "/who lists them, or chaton members ROOM")
    with pytest.raises(UsageError, match="no role"):
        await control.ask(home, ask.Act(room="garden", what="role", who="ann", text="king"))


@pytest.mark.parametrize("error", [
    UsageError("a", hint="b"), Refused("limited", "a", retry_ms=5, hint="b"), Unreachable("a"), PinMismatch("a"),
    errors.StoreError("a"), errors.InvalidLog("a"), errors.WrongPassphrase("a"), NobodyHolds("a"), Malformed("a"),
    errors.ChatonError("a"),
])  # fmt: skip
async def test_every_error_comes_across(tmp_path, error):
    async def perform(_request):
        raise error

    async with ControlServer(tmp_path, perform, lambda: Subscription(lambda *_: True)):
        with pytest.raises(errors.ChatonError) as told:
            await control.ask(tmp_path, ask.Rooms())
    expected = Unreachable if isinstance(error, NobodyHolds) else type(error)
    assert type(told.value) is expected
    assert (str(told.value), told.value.hint) == (str(error), error.hint)
    if isinstance(error, Refused):
        assert (told.value.code, told.value.retry_ms) == ("limited", 5)


async def test_notices_come_across(garden, town, house):
    bob = await town.person("bob")
    async with control.follow(town.root / "ann") as told:
        bobs = await bob.join(await garden.invite(), nick="Bob")
        await bobs.send("hello")
        here = [notice async for notice in _until(garden.notices(), "hello")]
        there = [notice async for notice in _until(told, "hello")]
    assert there == here[-len(there) :]
    assert len(there) >= 3


async def _until(news, text):
    async with asyncio.timeout(20):
        async for notice in news:
            yield notice
            if getattr(notice, "text", None) == text:
                return


def test_every_notice_is_the_same_after_its_journey():
    person = Person(Identity(b"i" * 32), SafeText("Ann"), Role.OWNER, online=True)
    room, text = RoomId(b"r" * 32), SafeText("tèxt\n2")
    said = Said(
        room, 3, 4, MessageId(b"m" * 32), text, person.identity, "file", text, False, None, None, FileFacts(text, 9)
    )
    for notice in (
        Joined(room, text, text, text, person.identity, (person, person)),
        said,
        Sent(room, 1, said.id, -5),
        ConnectionChanged(Pin(b"p" * 32), text, "offline", 5, "unreachable", text),
    ):
        plain = msgspec.json.decode(msgspec.json.encode(notice_to_plain(notice), enc_hook=write_special))
        again = notice_of_plain(plain)
        assert again == notice
        assert type(getattr(again, "text", text)) is SafeText
    for nonsense in (None, [], ["Said", {}], ["Nothing", {}], ["Sent", {"room": "xx", "seq": 1, "id": "", "ref": 1}]):
        with pytest.raises(Malformed):
            notice_of_plain(nonsense)


@pytest.mark.parametrize(
    "line", [b"", b"nonsense\n", b"{}\n", b'{"type":"Send"}\n', b"[" * 100_000 + b"\n", b"x" * 2**20 + b"\n"]
)
async def test_nonsense_is_refused_and_the_next_one_served(garden, town, line):
    path = socket_path(town.root / "ann")
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(line)
    if line:
        answer = msgspec.json.decode(await reader.readline())
        assert (answer["type"], answer["kind"]) == ("Failure", "UsageError")
    writer.close()
    assert isinstance(await control.ask(town.root / "ann", ask.Rooms()), replies.RoomList)


async def test_an_asker_who_goes_away_takes_the_request_back(tmp_path):
    begun, ended = asyncio.Event(), asyncio.Event()

    async def perform(_request):
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with ControlServer(tmp_path, perform, lambda: Subscription(lambda *_: True)):
        asking = asyncio.create_task(control.ask(tmp_path, ask.Rooms()))
        await asyncio.wait_for(begun.wait(), 10)
        asking.cancel()
        await asyncio.wait_for(ended.wait(), 10)


async def test_a_holder_that_ends_meanwhile_is_told(tmp_path):
    begun = asyncio.Event()

    async def perform(_request):
        begun.set()
        await asyncio.Event().wait()

    async with ControlServer(tmp_path, perform, lambda: Subscription(lambda *_: True)):
        asking = asyncio.create_task(control.ask(tmp_path, ask.Rooms()))
        await asyncio.wait_for(begun.wait(), 10)
    with pytest.raises(Unreachable, match="ended before it answered"):
        await asking
    with pytest.raises(NobodyHolds):
        await control.ask(tmp_path, ask.Rooms())


async def test_a_directory_with_a_long_name(tmp_path, monkeypatch):
    monkeypatch.setattr(control.tempfile, "gettempdir", lambda: str(tmp_path))
    deep = tmp_path / ("x" * 90) / ("y" * 90)
    deep.mkdir(parents=True)

    async def perform(_request):
        return replies.Ok()

    path = socket_path(deep)
    assert path.parent == tmp_path / f"chaton-{os.getuid()}"
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    if len(os.fsencode(path)) < 100:
        async with ControlServer(deep, perform, lambda: Subscription(lambda *_: True)):
            assert await control.ask(deep, ask.Rooms()) == replies.Ok()
    path.parent.chmod(0o755)
    with pytest.raises(ProfileError, match="read by others"):
        socket_path(deep)


# --- the gateway ---


async def test_a_command_opens_a_profile_that_is_free(house, town, garden):
    async with open_backend(town.root / "bob", create=True, timing=QUICK) as backend:
        facts = await backend.perform(ask.Join(link=(await garden.invite()).encode(), nick="Bob"))
        assert (facts.name, facts.status, facts.members) == ("garden", "in", 2)
    async with open_backend(town.root / "bob", timing=QUICK) as backend:
        await backend.perform(ask.Send(room="garden", text="a command"))
        assert not (town.root / "bob" / "control.sock").exists()
    assert [line.text for line in garden.backlog()] == ["a command"]
    with pytest.raises(ProfileError, match="no profile"):
        async with open_backend(town.root / "nobody"):
            pass


async def test_a_command_goes_through_who_has_the_profile_open(house, town, garden):
    home = town.root / "bob"
    async with open_backend(home, create=True, timing=QUICK) as backend:
        await backend.perform(ask.Join(link=(await garden.invite()).encode(), nick="Bob"))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.client.holder", str(home), cwd=ROOT,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        assert await process.stdout.readline() == b"open\n"
        async with open_backend(home, timing=QUICK) as backend:
            news = backend.notices()
            listening = asyncio.create_task(heard(news, lambda notice: getattr(notice, "text", "") == "to all"))
            await backend.perform(ask.Open(room="garden"))
            await garden.send("to all")
            assert (await listening).sender == "Ann"
            await backend.perform(ask.Send(room="garden", text="through the holder"))
            with contextlib.suppress(AttributeError):
                await news.aclose()
    finally:
        process.stdin.close()
        await process.wait()
    assert garden.backlog()[-1].text == "through the holder"


async def test_commands_at_once_wait_for_each_other(house, town, garden):
    home = town.root / "bob"

    async def send(number):
        async with open_backend(home, timing=QUICK) as backend:
            await backend.perform(ask.Send(room="garden", text=f"{number}"))

    async with open_backend(home, create=True, timing=QUICK) as backend:
        await backend.perform(ask.Join(link=(await garden.invite()).encode(), nick="Bob"))
    await asyncio.gather(*(send(number) for number in range(5)))
    await garden.driver.until(lambda: len(garden.backlog()) == 5)
    assert sorted(line.text for line in garden.backlog()) == list("01234")


async def test_a_profile_that_stays_locked(town, monkeypatch):
    monkeypatch.setattr(gateway, "LOCK_PATIENCE_S", 0.1)
    with Profile.create(town.root / "ann"), pytest.raises(ProfileLocked, match="has the profile"):
        async with open_backend(town.root / "ann"):
            pass
