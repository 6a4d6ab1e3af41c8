"""Clocks that jump by a day, the relay's and the clients': service goes on, and nothing is locked, lost or misdated."""

import time

import pytest

from chaton.client import driver
from chaton.errors import Refused
from chaton.limits import DAY_MS, HOUR_MS
from chaton.relay import server
from chaton.relay.config import Limits, Rate, Rates
from chaton.relay.hub import turns
from chaton.session.notices import Warned
from chaton.wire import frames
from tests.client.conftest import QUICK, heard, said
from tests.relay.helpers import ANN, OWNER, events, follow, open_room, say, seat, submit
from tests.relay.play import Script, bundle, identity, parcel

DAY = pytest.mark.parametrize("jump", [DAY_MS, -DAY_MS], ids=["forward", "back"])


class Clock:
    """The machine's, and how far somebody has set it off."""

    def __init__(self) -> None:
        self.off = 0

    def __call__(self) -> int:
        return time.time_ns() // 1_000_000 + self.off


@pytest.fixture
def relays(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(server, "clock", clock)
    return clock


@pytest.fixture
def clients(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(driver, "clock", clock)
    return clock


# --- the relay's clock ---


@DAY
async def test_a_turn_ends_and_the_next_one_comes(house, relays, jump, monkeypatch):
    monkeypatch.setattr(turns, "TURN_MS", 100)
    house.open()
    script = Script(OWNER)
    owner = await open_room(house, script)
    ann = await seat(house, script, ANN)
    assert isinstance(await ann.ask(frames.Turn, script.room), frames.YourTurn)
    relays.off = jump
    assert isinstance(await owner.ask(frames.Turn, script.room), frames.YourTurn)
    begun = time.monotonic()
    assert isinstance(await ann.ask(frames.Turn, script.room), frames.YourTurn)
    assert time.monotonic() - begun < 5


@DAY
async def test_who_waits_for_a_turn_already_gets_it(house, relays, jump, monkeypatch):
    monkeypatch.setattr(turns, "TURN_MS", 500)
    house.open()
    script = Script(OWNER)
    owner = await open_room(house, script)
    ann = await seat(house, script, ANN)
    assert isinstance(await ann.ask(frames.Turn, script.room), frames.YourTurn)
    await owner.say(frames.Turn(77, script.room))
    await owner.ask(frames.Ping)
    relays.off = jump
    await owner.ask(frames.Ping)  # After each turn of its loop the relay sets its alarm anew.
    begun = time.monotonic()
    assert (await owner.expect(frames.YourTurn)).ref == 77
    assert time.monotonic() - begun < 5


@DAY
async def test_who_was_limited_waits_no_longer_than_told(house, relays, jump):
    rates = Rates(messages=Rate(per_second=20, burst=2))
    house.open(limits=Limits(identity=rates))
    script = Script(OWNER)
    owner = await open_room(house, script)
    while isinstance(answer := await owner.ask(frames.Send, script.room, script.message()), frames.Accepted):
        continue
    assert (answer.code, answer.retry_ms <= 50) == ("limited", True)
    relays.off = jump
    begun = time.monotonic()
    while isinstance(answer := await owner.ask(frames.Send, script.room, script.message()), frames.Refused):
        assert (answer.code, answer.retry_ms <= 100) == ("limited", True)
    assert time.monotonic() - begun < 2


@DAY
async def test_a_room_goes_on_and_its_events_are_dated_by_the_relay(house, relays, jump):
    house.open()
    script = Script(OWNER)
    owner = await open_room(house, script)
    ann = await seat(house, script, ANN)
    await follow(ann, script)
    before = server.clock()
    await say(owner, script)
    relays.off = jump
    await say(owner, script)
    ben = await house.client(ANN)
    assert abs(ben.welcome.now - server.clock()) < 5_000
    told = await events(ann, script.history.s)
    assert [event.s for event in told] == list(range(1, script.history.s + 1))
    assert abs(told[-2].at - before) < 5_000
    assert abs(told[-1].at - before - jump) < 5_000
    await house.close()
    house.open()
    again = await house.client(ANN)
    await follow(again, script)
    assert [event.s for event in await events(again, script.history.s)] == [event.s for event in told]
    await say(await house.client(OWNER), script)


async def test_retention_after_a_jump_drops_what_the_rule_says_and_no_more(house, relays):
    house.open()
    script = Script(OWNER)
    owner = await open_room(house, script)
    for age_days in (31, 29.5, 28.5, 0):
        relays.off = int(-age_days * DAY_MS)
        await say(owner, script)
    relays.off = 0
    gone = await _pruned(house)
    assert gone == [2]
    relays.off = DAY_MS
    assert await _pruned(house) == [2, 3]
    relays.off = -DAY_MS
    assert await _pruned(house) == [2, 3]


async def _pruned(house) -> list[int]:
    """Let the retention of 30 days begin, as it does hourly; the events whose body is gone."""
    house.relay._prune()
    reader = await house.client(OWNER)
    (room,) = reader.logged_in.rooms
    await reader.ask(frames.Follow, room.room, 0)
    return [event.s for event in await events(reader, room.s) if event.kind == 2]


@DAY
async def test_what_waits_for_somebody_still_waits(house, relays, jump):
    house.open()
    script = Script(OWNER)
    owner = await open_room(house, script)
    ann = await seat(house, script, ANN)
    keys = bundle(ANN, ann.welcome.now, life=13 * DAY_MS)
    assert isinstance(await ann.ask(frames.Publish, keys.raw), frames.Done)
    ann.close()
    posted = [frames.ParcelTo(identity(ANN), parcel(keys))]
    assert await owner.ask(frames.Parcels, script.room, posted) == frames.ParcelsStored(owner.refs, [], [])
    relays.off = jump
    house.relay.engine.expire()
    assert await owner.ask(frames.Parcels, script.room, posted) == frames.ParcelsStored(owner.refs, [], [])
    ann = await house.client(ANN)
    tokens = [(await ann.expect(frames.Parcel)).token for _ in posted * 2]
    await ann.expect(frames.ParcelsEnd)
    assert tokens == sorted(set(tokens))
    await submit(owner, script, script.invite(ANN))


# --- a client, when the two clocks part ---


async def _garden(home, town):
    home.open()
    ann, ben = await town.person("ann"), await town.person("ben")
    annes = await ann.create(home.address, "garden", nick="ann")
    return annes, await ben.join(await annes.invite(), nick="ben")


def _published(home, client) -> int:
    return home.relay.memory.bundles[client.identity].row.counter


async def _warned(news, code: str) -> Warned:
    return await heard(news, lambda notice: isinstance(notice, Warned) and notice.code == code)


@DAY
async def test_people_go_on_talking_when_the_relays_clock_is_set(home, town, relays, jump):
    annes, bens = await _garden(home, town)
    await annes.send("before")
    relays.off = jump
    await annes.send("after")
    await said(bens.notices(), "after")
    async with town.client("cyd") as cyd:
        news = cyd.notices()
        if jump > 0:
            with pytest.raises(Refused) as refused:  # The invite's day is over by this relay's clock.
                await cyd.join(await annes.invite(), nick="cyd")
            assert refused.value.code == "invite-expired"
        else:
            cyds = await cyd.join(await annes.invite(), nick="cyd")
            await annes.driver.until(lambda: len(annes.members) == 3)
            await cyds.in_step()
        assert "min apart" in str((await _warned(news, "clock")).detail)
        assert cyd.identity not in home.relay.memory.bundles


@DAY
async def test_a_client_whose_clock_is_set_says_so_and_publishes_nothing(home, town, clients, jump):
    annes, bens = await _garden(home, town)
    await bens.send("before")
    await annes.invite(life_ms=HOUR_MS)
    shown = {who: keys.row.counter for who, keys in home.relay.memory.bundles.items()}
    invites = set(annes.room.view.state.invites)
    assert invites
    clients.off = jump
    assert "min apart" in str((await _warned(annes.notices(), "clock")).detail)
    await annes.in_step()
    await bens.in_step()
    for room in (annes, bens):
        room.driver.session._last_round = 0  # The next tick looks for everything that is due.
        room.driver.tick()
    await annes.describe(topic="what is submitted first is in the log first")
    await bens.driver.round_trip()
    assert {who: keys.row.counter for who, keys in home.relay.memory.bundles.items()} == shown
    assert set(annes.room.view.state.invites) == invites
    clients.off = 0
    await bens.send("after")
    await said(annes.notices(), "after")
    await annes.send("and back")
    await said(bens.notices(), "and back")
    await annes.driver.until(lambda: not annes.driver.session.arrival.skewed)


async def test_a_clock_that_is_set_right_lets_keys_be_published_again(home, town, clients):
    home.open()
    ann = await town.person("ann", timing=QUICK)
    clients.off = 2 * HOUR_MS
    annes = await ann.create(home.address, "garden", nick="ann")
    assert ann.identity not in home.relay.memory.bundles
    clients.off = 0
    await annes.driver.until(lambda: ann.identity in home.relay.memory.bundles)
    assert abs(_published(home, ann) - clients()) < 60_000
