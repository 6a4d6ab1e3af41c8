"""Long work: what of it is told, and that it holds up nothing else."""

import asyncio
import itertools
from collections import defaultdict

import pytest

from chaton.client import dial, patience
from chaton.client.driver import Driver
from chaton.client.patience import Patience
from chaton.errors import StoreError
from chaton.identity.ids import RoomId
from chaton.session import room as rooms
from chaton.session.notices import Working
from tests.client.conftest import heard

ROOM, OTHER = RoomId(b"r" * 32), RoomId(b"o" * 32)


def step(done, total=None, *, room=ROOM, what="log"):
    return Working(room, what, done, total)


# --- the rule, by a clock of the test's ---


def test_what_is_over_within_a_second_is_never_told():
    rule = Patience()
    assert rule.heard(step(0), 5_000) == []
    assert rule.heard(step(256), 5_999) == []
    assert rule.due(5_999) == []
    assert rule.heard(step(300, 300), 6_100) == []
    assert rule.due(60_000) == []


def test_what_lasts_is_told_once_a_second_and_its_end():
    rule = Patience()
    rule.heard(step(0), 0)
    rule.heard(step(100), 900)
    assert rule.due(1_000) == [step(100)]
    assert rule.heard(step(200), 1_500) == []
    assert rule.heard(step(300), 2_000) == [step(300)]
    assert rule.due(2_999) == []
    assert rule.due(3_500) == []  # Nothing is further than it was.
    assert rule.heard(step(400), 3_500) == [step(400)]
    assert rule.heard(step(450, 450), 3_600) == [step(450, 450)]
    assert rule.due(9_000) == []


def test_even_what_does_not_move_is_told_once():
    rule = Patience()
    rule.heard(step(0, 5, what="key"), 0)
    assert rule.due(1_200) == [step(0, 5, what="key")]
    assert rule.due(2_400) == []


def test_work_that_begins_again_has_a_second_of_its_own():
    rule = Patience()
    rule.heard(step(0), 0)
    rule.heard(step(0, 0), 900)
    assert rule.heard(step(0), 1_000) == []
    assert rule.heard(step(10), 1_900) == []
    assert rule.heard(step(20), 2_000) == [step(20)]


def test_works_do_not_hide_each_other():
    rule = Patience()
    rule.heard(step(1), 0)
    rule.heard(step(2, room=OTHER), 500)
    rule.heard(step(3, 9, what="key"), 600)
    assert rule.due(1_000) == [step(1)]
    assert rule.due(1_600) == [step(2, room=OTHER), step(3, 9, what="key")]


def test_given_up_work_is_ended_where_it_was_told():
    rule = Patience()
    rule.heard(step(7), 0)
    rule.due(1_000)
    rule.heard(step(2, room=OTHER), 1_000)
    assert rule.end() == [step(7, 7)]
    assert rule.due(9_000) == rule.end() == []


# --- a client over a real relay ---


@pytest.fixture
async def away(house, town, monkeypatch):
    """What makes Ben's client: in the room "ops" 40 things were said while he was away."""
    monkeypatch.setattr(rooms, "_TAKEN_STEP", 10)
    anne = await town.person("anne")
    room = await anne.create(house.address, "ops", nick="anne")
    async with town.client("ben") as ben:
        await ben.join(await room.invite(), nick="ben")
    for number in range(40):
        room.say(str(number))
    await anne.flush()
    return lambda: town.client("ben")


async def told(client, wait):
    """What is told of long work until something is done."""
    news, steps = client.notices(), []

    async def collect():
        async for notice in news:
            steps.extend([notice] * isinstance(notice, Working))

    collecting = asyncio.ensure_future(collect())
    await wait
    await client.drivers[0].round_trip()
    collecting.cancel()
    await asyncio.wait({collecting})
    return steps


async def test_a_client_tells_nothing_of_what_is_quick(away):
    async with away() as ben:
        assert await told(ben, ben.open("ops")) == []
        assert len(ben.room("ops").backlog()) == 40


async def test_a_client_tells_what_lasts_and_that_it_is_over(away, monkeypatch):
    monkeypatch.setattr(patience, "_INTERVAL_MS", 0)
    async with away() as ben:
        steps = await told(ben, ben.open("ops"))
        opened = [(one.done, one.total) for one in steps if one.what == "events"]
        assert opened == [(0, None), (10, None), (20, None), (30, None), (40, 40)]
        assert {one.room for one in steps} == {ben.room("ops").id}


async def test_a_step_that_does_not_come_is_told_by_the_clock(away, monkeypatch):
    """The relay says nothing more: it is the tick that tells how far one is."""
    running = itertools.count(0, 10_000)
    monkeypatch.setattr("chaton.client.driver._running", lambda: next(running))
    monkeypatch.setattr("chaton.client.driver.Driver._clock_was_set", lambda _driver: False)
    async with away() as ben:
        driver, news = ben.drivers[0], ben.notices()
        await ben.open("ops")
        driver._patience.heard(step(3), 0)
        assert await heard(news, lambda notice: notice == step(3))


async def test_a_disk_that_refuses_ends_what_was_told(away, monkeypatch):
    async with away() as ben:
        await ben.open("ops")
        driver, news = ben.drivers[0], ben.notices()
        driver._patience.heard(step(3), -1_000_000)
        await heard(news, lambda notice: notice == step(3))

        def refuse(*_):
            raise StoreError("the disk is full")

        monkeypatch.setattr(ben.profile, "commit", refuse)
        with pytest.raises(StoreError):
            driver.do(lambda session: None)
        assert await heard(news, lambda notice: notice == step(3, 3))


async def test_others_have_their_turn_between_two_reads(away, monkeypatch):
    """A whole backlog is there already: keys are pressed between its parts all the same."""
    turns, seen = 0, defaultdict(list)  # Anne's client hears of it, too.
    take_in = Driver.take_in

    async def turn():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(dial, "_READ_BYTES", 1_024)
    monkeypatch.setattr(Driver, "take_in", lambda driver, heard: seen[driver].append(turns) or take_in(driver, heard))
    async with away() as ben:
        turning = asyncio.ensure_future(turn())
        await ben.open("ops")
        turning.cancel()
        reads = seen[ben.drivers[0]]
    assert len(reads) > 10
    assert len(set(reads)) == len(reads)
