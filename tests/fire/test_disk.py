"""A disk that refuses: senders are told so by a word, readers live on, and all is well once the disk is."""

import asyncio
import random
import resource
import shutil
import subprocess
import sys
from contextlib import contextmanager

import apsw
import pytest

from chaton.relay import engine
from chaton.relay.store.sqlite import SqliteStore
from chaton.room.envelope import message_id
from chaton.room.records import Info
from chaton.wire import frames
from tests.client.conftest import said
from tests.fire.faults import disk_full, failing_disk, lost, read_only
from tests.fire.relay import UNLIMITED, HurtRelay, rooms_on_disk
from tests.relay.client import Closed, RawClient
from tests.relay.helpers import ANN, OWNER, events, follow, open_room, say, seat
from tests.relay.play import Script, bundle, identity, login_answer, parcel, seed

FAULTS = {
    "full": {"write": disk_full},
    "read-only": {"write": read_only},
    "input-output": {"write": lost},
    "fsync": {"sync": lost},
}


@pytest.fixture
def disk():
    with failing_disk() as disk:
        yield disk


@pytest.fixture
async def house(house, disk, monkeypatch):
    monkeypatch.setattr(engine, "MEND_INTERVAL_S", 0.02)
    yield house
    disk.heal()


def every_request(script: Script, owner: RawClient, posted: list[frames.ParcelTo]) -> list:
    """One of each that writes, numbered from 1,000."""
    said = [
        (frames.Send, script.room, script.message()),
        (frames.Submit, script.room, script.sign(OWNER, Info(b"lost")).raw),
        (frames.Create, Script(OWNER).genesis.raw),
        (frames.Publish, bundle(OWNER, owner.welcome.now).raw),
        (frames.Direct, identity(ANN)),
        (frames.Parcels, script.room, posted),
        (frames.Put, script.room, b"b" * 32, 600, 0, bytes(600)),
    ]
    return [kind(ref, *rest) for ref, (kind, *rest) in enumerate(said, 1_000)]


async def patiently(client: RawClient, kind: type, *fields: object) -> object:
    """Ask until the relay no longer says that its disk refuses."""
    async with asyncio.timeout(20):
        while getattr(answer := await client.ask(kind, *fields), "code", None) == "store-failed":
            assert answer.retry_ms > 0
            await asyncio.sleep(0)
        return answer


async def come_in(house, who) -> RawClient:
    """Log in, again while that is refused: what stood behind a failed commit is not known for a moment."""
    async with asyncio.timeout(20):
        while True:
            client = await house.connect()
            await client.say(frames.Login(login_answer(who, client.pin, client.welcome.nonce)))
            try:
                answer = await client.until(lambda told: isinstance(told, frames.LoggedIn | frames.Refused))
            except Closed:
                continue
            if isinstance(answer, frames.LoggedIn):
                return client
            assert answer.code == "store-failed"


@pytest.mark.parametrize("fault", FAULTS)
async def test_whoever_writes_is_told_and_whoever_reads_reads_on(house, disk, fault):
    house.open()
    script = Script(OWNER)
    owner, ann = await open_room(house, script), await seat(house, script, ANN)
    keys = bundle(ANN, ann.welcome.now)
    assert isinstance(await ann.ask(frames.Publish, keys.raw), frames.Done)
    envelopes = [await say(owner, script) for _ in range(20)]
    before = (script.history.s, script.history.last)

    vars(disk).update(FAULTS[fault])
    asked = every_request(script, owner, [frames.ParcelTo(identity(ANN), parcel(keys))])
    for round_of in range(3):
        await owner.say(*asked)
        for frame in asked:
            answer = await owner.until(lambda told, ref=frame.ref: getattr(told, "ref", None) == ref)
            assert answer.code == "store-failed", (round_of, frame)
            assert "disk" in answer.detail
    assert disk.failed
    # Somebody comes in, reads the log and all that was said; who is here is still here.
    reader = await come_in(house, ANN)
    assert isinstance(await reader.ask(frames.Ping), frames.Pong)
    await patiently(reader, frames.Log, script.room, -1)
    assert isinstance(await patiently(reader, frames.Follow, script.room, 0), frames.CaughtUp)
    assert _known(house) == {script.room: before}
    told = await events(reader, before[0])
    assert [event.body for event in told if event.kind == 1] == envelopes

    disk.heal()
    for frame in asked:
        _ref, *fields = (getattr(frame, name) for name in frame.__struct_fields__)
        answer = await patiently(owner, type(frame), *fields)
        assert not isinstance(answer, frames.Refused), answer
    assert [event.s for event in await events(reader, before[0] + 2)] == list(range(1, before[0] + 3))
    running = _known(house)
    assert len(running) == 3
    await house.close()
    disk.replace()
    assert _places(rooms_on_disk(house.options["data"])) == running


def _known(house) -> dict:
    """How far each room has come, as the running relay knows it."""
    return _places(house.relay.memory.rooms)


def _places(rooms) -> dict:
    return {room: (known.history.s, known.history.last) for room, known in rooms.items()}


async def test_a_disk_that_comes_and_goes_leaves_no_half_of_anything(house, disk, caplog):
    """Forty changes of weather while two speak: what was accepted is there in order, what was refused is not."""
    house.open(limits=UNLIMITED)
    script = Script(OWNER)
    owner = await open_room(house, script)
    ann = await seat(house, script, ANN)
    await follow(ann, script)
    accepted = []
    for number in range(40):
        if number % 2:
            vars(disk).update(list(FAULTS.values())[number // 2 % len(FAULTS)])
        else:
            disk.heal()
        for _ in range(5):
            envelope = script.message()
            answer = await owner.ask(frames.Send, script.room, envelope)
            if isinstance(answer, frames.Accepted):
                script.history.add(message_id(envelope))
                accepted.append(envelope)
            else:
                assert answer.code == "store-failed"
    disk.heal()
    accepted.append(envelope := script.message())
    assert isinstance(await patiently(owner, frames.Send, script.room, envelope), frames.Accepted)
    script.history.add(message_id(envelope))
    assert [event.body for event in await events(ann, script.history.s) if event.kind == 1] == accepted
    # Not once for each of a hundred.
    assert caplog.text.count("a commit failed") == caplog.text.count("the store works again") == 1
    await house.close()
    disk.replace()
    kept = rooms_on_disk(house.options["data"])[script.room]
    assert (kept.history.s, kept.history.last) == (script.history.s, script.history.last)


async def test_the_power_is_cut(house, disk, tmp_path):
    """At 30 moments, between what is asked: all that was acknowledged by then is on the disk, and a whole history."""
    house.open(limits=UNLIMITED)
    dice, script = random.Random(3), Script(OWNER)
    owner = await open_room(house, script)
    images = []
    for number in range(30):
        for _ in range(dice.randrange(1, 6)):
            await say(owner, script, dice.choice((256, 8_192)))
        under_way = [script.message() for _ in range(5)]
        await owner.say(*(frames.Send(ref, script.room, envelope) for ref, envelope in enumerate(under_way, 1_000)))
        images.append((tmp_path / f"image {number}", script.history.s, script.history.last))
        disk.lose_power(images[-1][0], dice)
        for ref, envelope in enumerate(under_way, 1_000):
            answer = await owner.until(lambda told, ref=ref: getattr(told, "ref", None) == ref)
            assert answer.transcript == script.history.add(message_id(envelope))
    await house.close()
    disk.replace()
    for image, s, transcript in images:
        kept = rooms_on_disk(image)[script.room]
        assert kept.history.s >= s
        assert kept.history.at(s) == transcript


def test_killed_between_any_two_writes_of_its_first_start(disk, tmp_path):
    """As it makes its database and closes it: the next start goes on from there."""
    data, images = tmp_path / "data", []

    def keep() -> None:
        images.append(shutil.copytree(data, tmp_path / f"image {len(images)}"))

    disk.changed = keep
    SqliteStore(data).close()
    disk.replace()
    assert len(images) > 5
    for image in images:
        assert rooms_on_disk(image) == {}


async def test_another_program_holds_the_database(house):
    """The sqlite3 shell with a transaction open: after 2 s of it a message is refused; then as if nothing had been."""
    house.open()
    script = Script(OWNER)
    owner = await open_room(house, script)
    ann = await seat(house, script, ANN)
    await follow(ann, script)
    await say(owner, script)
    other = apsw.Connection(str(house.options["data"] / "relay.db"))
    other.execute("BEGIN IMMEDIATE")
    assert (await owner.ask(frames.Send, script.room, script.message())).code == "store-failed"
    assert isinstance(await patiently(ann, frames.Follow, script.room, 0), frames.CaughtUp)
    other.execute("ROLLBACK")
    other.close()
    answer = await patiently(owner, frames.Send, script.room, envelope := script.message())
    script.history.add(message_id(envelope))
    assert (answer.s, answer.transcript) == (script.history.s, script.history.last)
    assert (await events(ann, script.history.s))[-1].body == envelope


# --- a whole relay, and people with clients ---


async def _garden(relay, town):
    ann, ben = await town.person("ann"), await town.person("ben")
    annes = await ann.create(relay.address, "garden", nick="ann")
    return annes, await ben.join(await annes.invite(), nick="ben")


async def _talk_until_refused(relay, annes) -> list[str]:
    """Say long things until the relay's disk takes no more."""
    lines = []
    async with asyncio.timeout(60):
        while "a commit failed" not in relay.log:
            lines.append(f"{len(lines)} " + "x" * 30_000)
            annes.say(lines[-1], len(lines))
            await asyncio.sleep(0.005 * len(annes.room.outbox))
    return lines


async def _everybody_has(rooms, lines) -> None:
    for room in rooms:
        await room.driver.until(lambda room=room: len(room.backlog()) >= len(lines) and not room.room.outbox)
        assert [str(line.text) for line in room.backlog()] == lines


async def _live_through_a_full_disk(relay, town, free) -> None:
    annes, bens = await _garden(relay, town)
    await annes.send("0")
    lines = ["0", *await _talk_until_refused(relay, annes)]
    pid = relay.pid
    await bens.in_step()
    assert isinstance(await _health(relay), frames.Pong)
    free()
    await _everybody_has([annes, bens], lines)
    await bens.send("all is well")
    await said(annes.notices(), "all is well")
    assert relay.pid == pid
    held = (annes.room.view.history.s, annes.room.view.history.last)
    assert await relay.stop() == 0
    (kept,) = rooms_on_disk(relay.data).values()
    assert (kept.history.s, kept.history.last) == held


async def _health(relay) -> object:
    stranger = await RawClient.connect("127.0.0.1", relay.port, bytes.fromhex(relay.pin))
    await stranger.login(seed(77))
    try:
        return await stranger.ask(frames.Ping)
    finally:
        stranger.close()


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="no other process's limits can be set here")
async def test_people_live_through_files_that_may_not_grow(relay, town):
    """The limit of a user's quota: what is written beyond it is refused by the system, until there is more."""
    _, hard = resource.prlimit(relay.pid, resource.RLIMIT_FSIZE)
    _let_files_grow_by(relay, 600_000)
    await _live_through_a_full_disk(
        relay, town, lambda: resource.prlimit(relay.pid, resource.RLIMIT_FSIZE, (hard, hard))
    )


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="no other process's limits can be set here")
async def test_a_relay_whose_disk_is_full_ends_and_begins_again(relay, town):
    annes, bens = await _garden(relay, town)
    _let_files_grow_by(relay, 600_000)
    lines = await _talk_until_refused(relay, annes)
    assert await asyncio.wait_for(relay.stop(), 10) == 0, relay.log
    await relay.start()
    await _everybody_has([annes, bens], lines)


def _let_files_grow_by(relay, size: int) -> None:
    _, hard = resource.prlimit(relay.pid, resource.RLIMIT_FSIZE)
    allowed = relay.data.joinpath("relay.db-wal").stat().st_size + size
    resource.prlimit(relay.pid, resource.RLIMIT_FSIZE, (allowed, hard))


@contextmanager
def small_disk(place):
    """A file system of 2 MB, where one may be mounted."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


async def test_people_live_through_a_disk_that_is_full(town, tmp_path):
    with small_disk(tmp_path / "small") as place:
        relay = HurtRelay(place / "relay")
        await relay.start()
        ballast = place / "ballast"
        ballast.write_bytes(bytes(1_000_000))
        await _live_through_a_full_disk(relay, town, ballast.unlink)
        shutil.rmtree(place / "relay")
