"""The library as its users see it: ``import chaton`` and what it gives."""

import asyncio
import subprocess
import sys

import pytest

import chaton
from chaton.client.client import Client
from chaton.client.news import WAITING_MAX, Subscription
from chaton.errors import Unreachable, UsageError
from chaton.identity.ids import Pin, RoomId
from chaton.session.notices import Redacted, Warned
from chaton.session.text import SafeText
from tests.client.conftest import said

RELAY = Pin(b"r" * 32)


def test_importing_it_costs_nothing():
    program = "import sys; before = set(sys.modules); import chaton; print(sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "['chaton']\n"


def test_its_names():
    assert chaton.Client is Client
    assert {name for name in chaton.__all__ if getattr(chaton, name)} == {
        "ChatRoom",
        "Client",
        "Profile",
        "__version__",
    }
    with pytest.raises(AttributeError, match="no attribute 'Clint'"):
        _ = chaton.Clint


async def test_the_example_of_the_documentation(house, town):
    async with chaton.Client(town.root / "ann") as ann, chaton.Client(str(town.root / "db1")) as client:
        link = (await (await ann.create(house.address, "alerts", nick="Ann")).invite()).encode()
        room = await client.join(link, nick="db1")
        sent = await room.send("disk 91%")
        async for notice in room.notices():
            if getattr(notice, "id", None) == sent.id and hasattr(notice, "text"):
                assert (notice.text, notice.own) == ("disk 91%", True)
                break


async def test_a_client_that_is_not_open():
    client = Client("/nowhere")
    with pytest.raises(UsageError):
        _ = client.identity


async def test_closing_ends_the_news_and_fails_who_waits(house, town):
    client = town.client("ann")
    async with client as ann:
        annes = await ann.create(house.address, "garden", nick="Ann")
        news = ann.notices()
        waiting = asyncio.create_task(annes.driver.until(lambda: False))
        await asyncio.sleep(0)
    with pytest.raises(Unreachable, match="closed"):
        await waiting
    assert [notice async for notice in news] == []


async def test_a_profile_that_is_given_open_stays_open(house, town):
    with chaton.Profile.create(town.root / "ann") as profile:
        for _ in range(2):
            async with chaton.Client(profile) as ann:
                assert ann.identity == profile.me
        assert profile.setting("x") is None


async def test_a_handle_hears_from_its_beginning_on(house, town):
    ann = await town.person("ann")
    annes = await ann.create(house.address, "garden", nick="Ann")
    await annes.send("first")
    later = ann.room("garden")
    await annes.send("second")
    assert (await said(annes.notices(), "first")).seq < (await said(later.notices(), "second")).seq
    assert not later.notices()._waiting


def notice(number):
    return Redacted(RoomId(b"r" * 32), None, SafeText("x"), number)


async def test_a_slow_reader_is_told_what_it_lost():
    news = Subscription(lambda _relay, _notice: True)
    for number in range(WAITING_MAX + 5):
        news.put(RELAY, notice(number))
    news.close()
    told = [each async for each in news]
    assert isinstance(told[0], Warned)
    assert told[0].code == "lagging"
    assert told[0].detail.startswith("5 ")
    assert [each.n for each in told[1:]] == list(range(5, WAITING_MAX + 5))


async def test_only_what_is_wanted_is_told_and_nothing_after_the_end():
    news = Subscription(lambda _relay, told: told.n % 2 == 0)
    for number in range(4):
        news.put(RELAY, notice(number))
    news.close(Unreachable("gone"))
    news.put(RELAY, notice(6))
    told = []
    with pytest.raises(Unreachable, match="gone"):
        await _collect(news, told)
    assert told == [0, 2]


async def _collect(news, told):
    async for each in news:
        told.append(each.n)
