"""Connections that break, relays that restart, disks that are full: nothing lost, nothing doubled."""

import asyncio
import contextlib
import gc
import os
import random
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from chaton.client.client import Client
from chaton.client.dial import dial
from chaton.client.news import ConnectionChanged
from chaton.client.profile import Profile
from chaton.client.requests import Act, Submit
from chaton.errors import ChatonError, PinMismatch, Refused, StoreError, Unreachable
from chaton.room.link import Address
from chaton.session.memory import OutboxEntry
from chaton.session.notices import Ended, Sent, Warned
from tests.client.conftest import IMPATIENT, QUICK, heard, said

ROOT = Path(__file__).parents[2]


def state(name, code=None):
    return lambda notice: isinstance(notice, ConnectionChanged) and notice.state == name and code in {None, notice.code}


async def garden(house, town, cable):
    """Ann goes straight to the relay, Bob by the cable."""
    ann, bob = await town.person("ann"), await town.person("bob")
    annes = await ann.create(house.address, "garden", nick="Ann")
    link = await annes.invite()
    return annes, await bob.join(through(cable, link), nick="Bob")


def through(cable, link):
    return type(link)(cable.address, link.room, link.n, link.head, link.seed, link.rik)


def texts(room):
    return [line.text for line in room.backlog()]


async def test_a_cut_connection_comes_back(house, town, cable):
    annes, bobs = await garden(house, town, cable)
    news = bobs.notices()
    await heard(news, state("online"))
    cable.cut()
    told = await heard(news, state("offline", "unreachable"))
    assert told.retry_ms > 0
    assert told.detail
    await heard(news, state("connecting"))
    await heard(news, state("online"))
    await annes.send("are you back?")
    await said(news, "are you back?")


@pytest.mark.parametrize("seed", range(6))
async def test_cuts_at_any_byte_lose_and_double_nothing(house, town, cable, seed):
    annes, bobs = await garden(house, town, cable)
    chance = random.Random(seed)
    for number in range(24):
        if chance.random() < 0.5:
            cable.up_left, cable.down_left = chance.randrange(1, 9_000), chance.randrange(1, 9_000)
        bobs.say(f"bob {number}", number)
        annes.say(f"ann {number}", number)
        if chance.random() < 0.3:
            await heard(bobs.notices(), lambda notice: isinstance(notice, Sent))
    cable.up_left = cable.down_left = None
    everything = sorted([f"bob {number}" for number in range(24)] + [f"ann {number}" for number in range(24)])
    for room in (annes, bobs):
        await room.driver.until(lambda room=room: len(texts(room)) >= len(everything))
        assert sorted(texts(room)) == everything
        assert [text for text in texts(room) if text.startswith("bob")] == [f"bob {number}" for number in range(24)]
    assert texts(annes) == texts(bobs)
    assert annes.code() == bobs.code()


async def test_a_send_survives_a_cut_before_its_answer(house, town, cable):
    annes, bobs = await garden(house, town, cable)
    await bobs.send("before")
    cable.down_left = 1  # The relay hears the message; its answer is cut.
    await bobs.send("through the cut")
    await annes.driver.until(lambda: len(texts(annes)) == 2)
    assert texts(annes) == ["before", "through the cut"]
    assert cable.made == 2


@pytest.mark.parametrize("way", ["up_left", "down_left"])
async def test_a_record_from_a_file_survives_a_cut_before_its_answer(house, town, cable, way):
    """Whether the relay has taken it already or has not even heard it: it is in the log once."""
    annes, bobs = await garden(house, town, cable)
    bob = town.people["bob"]
    signed = await bob.perform(Act(room=str(bobs.id), what="nick", text="Robert", sign_only=True))
    setattr(cable, way, 1)
    assert await bob.perform(Submit(record=signed.record)) == signed
    await annes.in_step()
    assert [person.nick for person in annes.members] == ["Ann", "Robert"]
    assert (annes.room.view.state.n, cable.made) == (signed.n, 2)


async def test_a_record_from_a_file_that_comes_too_late_is_refused_behind_a_cut(house, town, cable):
    annes, bobs = await garden(house, town, cable)
    bob = town.people["bob"]
    signed = await bob.perform(Act(room=str(bobs.id), what="nick", text="Robert", sign_only=True))
    cable.up_left, cable.dead = 1, True
    handing_in = asyncio.create_task(bob.perform(Submit(record=signed.record)))
    await heard(bobs.notices(), state("offline"))
    await annes.nick("Anna")
    cable.dead = False
    cable.cut()
    with pytest.raises(Refused) as refused:
        await handing_in
    assert refused.value.code == "head-moved"


async def test_a_relay_restarts(house, town, cable):
    annes, bobs = await garden(house, town, cable)
    await annes.send("before")
    await house.close()
    await heard(bobs.notices(), state("offline"))
    bobs.say("while you were away", 7)
    house.open()
    sent = await heard(bobs.notices(), lambda notice: isinstance(notice, Sent))
    assert sent.ref == 7
    await annes.driver.until(lambda: texts(annes) == ["before", "while you were away"])


async def test_what_was_not_said_in_time_is_taken_back(house, town, cable):
    ann = await town.person("ann")
    annes = await ann.create(house.address, "garden", nick="Ann")
    link = await annes.invite()
    async with town.client("bob", timing=IMPATIENT) as bob:
        bobs = await bob.join(through(cable, link), nick="Bob")
        cable.dead = True
        cable.cut()
        await heard(bobs.notices(), state("offline"))
        with pytest.raises(Unreachable, match=r"gave no answer within 0\.3 s") as late:
            await bobs.send("too late")
        assert "do not send it again" not in late.value.hint
        cable.dead = False
        cable.cut()
        await bobs.send("in time")
    assert texts(annes) == ["in time"]


async def test_a_request_that_was_given_up_is_not_carried_out_later(house, town, cable):
    ann = await town.person("ann", timing=IMPATIENT)
    annes = await ann.create(cable.address, "garden", nick="Ann")
    cable.dead = True
    cable.cut()
    await heard(annes.notices(), state("offline"))
    with pytest.raises(Unreachable):
        await annes.describe(topic="given up")
    asking = asyncio.create_task(annes.describe(topic="cancelled"))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    cable.dead = False
    cable.cut()
    await heard(annes.notices(), state("online"))
    await annes.driver.round_trip()
    assert (annes.topic, annes.room.view.state.n) == ("", 1)


async def test_a_login_elsewhere_ends_the_older_one_for_good(house, town):
    ann = await town.person("ann")
    annes = await ann.create(house.address, "garden", nick="Ann")
    news = annes.notices()
    with Profile.create(town.root / "copy", seed=ann.profile.seed) as copy:
        async with Client(copy, timing=QUICK) as second:
            second.driver(house.address).line.start()
            stopped = await heard(news, state("stopped"))
            assert stopped.code == "replaced"
            with pytest.raises(Refused) as refused:
                await annes.send("hello?")
            assert refused.value.code == "replaced"
    ann.reconnect()
    await heard(news, state("online"))
    await annes.send("hello!")


async def test_a_clone_is_told(house, town):
    ann = await town.person("ann")
    await ann.create(house.address, "garden", nick="Ann")
    with Profile.create(town.root / "copy", seed=ann.profile.seed) as copy:
        async with Client(copy, timing=QUICK) as second:
            room = await second.create(house.address, "another", nick="Ann")
            assert room.members[0].identity == ann.identity
    news = ann.notices()
    ann.reconnect()
    warned = await heard(news, lambda notice: isinstance(notice, Warned))
    assert warned.code == "clone"


async def test_another_key_is_found_out_before_a_byte_is_said(house, town, cable):
    ann = await town.person("ann")
    wrong = Address("127.0.0.1", cable.port, type(house.pin)(b"x" * 32))
    with pytest.raises(PinMismatch):
        await ann.create(wrong, "garden", nick="Ann")
    # A TLS handshake and its end went up, and nothing that could be a login.
    assert 0 < cable.carried[0] < 800


async def test_a_relay_that_is_not_there_is_told_at_once_to_a_command(house, town):
    address = house.address
    await house.close()
    async with town.client("ann", lasting=False) as ann:
        with pytest.raises(Unreachable, match=f"no relay answers at 127.0.0.1:{address.port}"):
            await ann.create(address, "garden", nick="Ann")


async def test_a_dial_that_is_given_up_at_any_moment_leaves_no_socket(house, recwarn):
    for turns in range(60):
        dialling = asyncio.create_task(dial(house.address))
        for _ in range(turns):
            await asyncio.sleep(0)
        dialling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await (await dialling).close()
        del dialling
        for _ in range(3):
            await asyncio.sleep(0)
        gc.collect()
    assert not [each for each in recwarn if f"{house.port})>" in str(each.message)]


async def test_another_address_of_the_same_relay_is_tried(house, town, cable):
    ann = await town.person("ann")
    annes = await ann.create(cable.address, "garden", nick="Ann")
    ann.driver(house.address)  # Learnt while connected: it is tried first from the next time on.
    await cable.close()
    await heard(annes.notices(), state("offline"))
    await annes.send("by the other way")
    assert len(ann.drivers) == 1


async def test_silence_ends_a_connection(house, town, cable):
    quick = replace(QUICK, ping_ms=30, silence_ms=200)
    ann = await town.person("ann", timing=quick)
    annes = await ann.create(cable.address, "garden", nick="Ann")
    assert annes.driver.line.state.state in {"connecting", "online"}
    for writer in cable.writers:
        writer.transport.pause_reading()
    told = await heard(annes.notices(), state("offline"))
    assert "silent" in told.detail
    await heard(annes.notices(), state("online"))


async def test_a_full_disk_refuses_and_nothing_leaves(house, town):
    ann, bob = await town.person("ann"), await town.person("bob")
    annes = await ann.create(house.address, "garden", nick="Ann")
    bobs = await bob.join(await annes.invite(), nick="Bob")
    await bobs.send("before")
    database = bob.profile._database
    pages = database.pragma("page_count")
    database.pragma("max_page_count", pages)
    big = "x" * 30_000
    with pytest.raises(StoreError, match="disk is full"):
        await bobs.send(big)
    news = bobs.notices()
    told = await heard(news, state("offline", "store"))
    assert "disk is full" in told.detail
    database.pragma("max_page_count", 2**30)
    await bobs.send("after")
    await annes.driver.until(lambda: len(texts(annes)) == 2)
    assert texts(annes) == ["before", "after"] == texts(bobs)
    assert not [entry for entry in bob.profile.load(bobs.driver.pin) if isinstance(entry, OutboxEntry)]


async def test_what_is_forgotten_leaves_the_log_beside_the_profile_while_it_runs(house, town):
    ann = await town.person("ann", timing=replace(QUICK, wipe_ms=50))
    annes = await ann.create(house.address, "garden", nick="Ann")
    log, before = town.root / "ann" / "profile.db-wal", 0
    for text in ("one", "two"):
        before = max(before, log.stat().st_size)
        await annes.send(text)
        await annes.driver.until(lambda: log.stat().st_size == 0)
    assert before > 0


@pytest.mark.parametrize("lines", [1, 5, 40])
async def test_killed_and_started_again(house, town, cable, lines):
    """Every line that was taken is in the room, once, in order, however hard the process was killed."""
    ann = await town.person("ann")
    annes = await ann.create(house.address, "garden", nick="Ann")
    link = await annes.invite()
    async with town.client("bob") as bob:
        await bob.join(through(cable, link), nick="Bob")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.client.speaker", str(town.root / "bob"),
        cwd=ROOT, stdout=asyncio.subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    for _ in range(lines):
        assert await process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    rest = await process.stdout.read()
    await process.wait()
    taken = lines + len(rest.split())
    async with town.client("bob") as bob:
        bobs = await bob.open("garden")
        await bob.flush()
        await annes.driver.until(lambda: len(texts(annes)) >= taken)
        got = texts(annes)
        assert got[:taken] == [f"line {number}" for number in range(taken)]
        assert len(got) <= taken + 1
        assert texts(bobs) == got


async def test_flush_waits_for_everything(house, town, cable):
    ann, bob = await town.person("ann"), await town.person("bob")
    annes = await ann.create(cable.address, "garden", nick="Ann")
    bobs = await bob.join(await annes.invite(), nick="Bob")
    for number in range(50):
        annes.say(f"{number}", number)
    cable.cut()
    await ann.flush()
    assert not annes.room.outbox
    await bobs.driver.until(lambda: len(texts(bobs)) == 50)


async def test_the_cable_cuts_where_it_is_told_to(house, cable):
    reader, writer = await asyncio.open_connection("127.0.0.1", cable.port)
    cable.up_left = 3
    writer.write(b"12345")
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()
    assert (cable.carried[0], cable.up_left) == (3, None)


@pytest.mark.parametrize("before_end", [40, 60, 150, 250, 350, 450, 600, 900, 1_500, 3_000])
@pytest.mark.parametrize("way", ["up", "down"])
async def test_joining_through_a_line_that_breaks(house, town, cable, way, before_end):
    """A link for one use is used once, wherever the line breaks, and the joiner is in."""
    ann, bob, cleo = await town.person("ann"), await town.person("bob"), await town.person("cleo")
    annes = await ann.create(house.address, "garden", nick="Ann")
    cleos = await cleo.join(through(cable, await annes.invite()), nick="Cleo")
    assert cleos.room.member is not None
    carried = cable.carried[way == "down"]  # A joiner needs about so many bytes.
    setattr(cable, f"{way}_left", max(700, carried - before_end))
    bobs = await bob.join(through(cable, await annes.invite()), nick="Bob")
    cable.up_left = cable.down_left = None
    await bobs.send("I am in")
    await annes.driver.until(lambda: texts(annes) == ["I am in"])
    assert len(annes.room.view.state.members) == 3
    assert cable.made == 3


async def test_a_client_that_goes_online_hears_of_what_it_missed(house, town):
    ann = await town.person("ann")
    annes = await ann.create(house.address, "garden", nick="Ann")
    async with town.client("bob") as bob:
        await bob.join(await annes.invite(), nick="Bob")
    await annes.send("while you slept")
    await annes.kick("Bob", "asleep")
    async with town.client("bob") as bob:
        news = bob.notices()
        bob.go_online()
        await heard(news, lambda notice: isinstance(notice, Ended) and "asleep" in notice.detail)
        assert bob.room("garden").room.entry.why == "kicked"
        assert bob.room("garden").code() == annes.code()


async def test_a_bug_of_ours_does_not_look_like_a_silent_relay(house, town, monkeypatch, caplog):
    ann = await town.person("ann")
    annes = await ann.create(house.address, "garden", nick="Ann")

    def fail(_frame, _now):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(annes.driver.session, "receive", fail)
    with pytest.raises(ChatonError, match="Chaton failed: ZeroDivisionError") as told:
        await annes.send("x")
    assert told.value.hint == "please report this"
    assert "a bug" in caplog.text
