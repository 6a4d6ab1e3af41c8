"""The window over a real relay: what one person does, the other one's screen shows."""

from contextlib import asynccontextmanager

import pytest

from chaton.client.requests import Page
from chaton.tui.screens import Question
from chaton.tui.window import Window
from chaton.wire import frames
from tests.client.conftest import IMPATIENT
from tests.tui.screen import hides, shows, until


@asynccontextmanager
async def window_of(client, room, *expected):
    window = Window(client, str(room.id))
    async with window.run_test(size=(100, 30)) as pilot:
        await shows(pilot, *(expected or ("● connected", "only members can read")))
        yield window, pilot
        await window.desk.close()


async def type_in(pilot, text):
    await pilot.press(*("space" if one == " " else one for one in text), "enter")


async def sure(window, pilot):
    await until(pilot, lambda: isinstance(window.screen, Question))
    await shows(pilot, "y does it")
    await pilot.press("y")


@pytest.fixture
async def garden(house, cable, town):
    """Ada's and Ben's clients, both in the room "garden" by way of a cable."""
    ada, ben = await town.person("ada", timing=IMPATIENT), await town.person("ben", timing=IMPATIENT)
    room = await ada.create(cable.address, "garden", nick="ada")
    await ben.join(await room.invite(), nick="ben")
    return ada, ben, room


async def test_two_windows_talk(garden):
    ada, ben, room = garden
    async with window_of(ada, room) as (_, here), window_of(ben, room) as (_, there):
        await shows(here, "ben joined, invited by ada", "2 members")
        await type_in(here, "hello")
        await shows(there, "ada │ hello")
        await shows(here, "ada │ hello")
        await hides(here, "sending…")
        await type_in(there, "/reply ^ yes")
        await shows(here, "┌ ada hello", "│ yes")
        await type_in(here, "/edit ^ hello all")
        await shows(there, r"hello all \(edited\)", "┌ ada hello all")
        await type_in(there, "/react ^ :tada:")
        await shows(here, "🎉 1")
        await type_in(there, "/me waves")
        await shows(here, r"\* │ ben waves")
        await type_in(there, "/delete ^")
        await shows(here, "took a message back")
        await hides(here, "ben waves")


async def test_a_topic_and_a_redaction_are_seen_by_both(garden):
    ada, ben, room = garden
    async with window_of(ada, room) as (window, here), window_of(ben, room) as (_, there):
        await type_in(there, "something rude")
        await shows(here, "something rude")
        await type_in(here, "/redact ^")
        await sure(window, here)
        await shows(there, "a message that a moderator removed")
        await hides(there, "something rude")
        await type_in(here, "/topic the plan")
        await shows(there, "garden  the plan", r"ada \([0-9a-f]{8}\) named the room garden, topic: the plan")


async def test_who_is_kicked_reads_who_and_why(garden):
    ada, ben, room = garden
    async with window_of(ada, room) as (window, here), window_of(ben, room) as (_, there):
        await type_in(here, "/kick ben too loud")
        await sure(window, here)
        await shows(here, r"ben was kicked by ada \([0-9a-f]{8}\): too loud")
        await shows(there, r"you were kicked by ada \([0-9a-f]{8}\): too loud")
        await shows(there, r"! you are not in this room any more: ada \([0-9a-f]{8}\) removed you: too loud")
        await type_in(there, "may I?")
        await shows(there, "not sent: ", "may I?")


async def test_a_relay_that_is_away_and_back(garden, house):
    ada, _, room = garden
    async with window_of(ada, room) as (_, here):
        await house.close()
        await shows(here, "! (offline|connecting)", "what you type is kept and sent later")
        await type_in(here, "typed while away")
        await shows(here, "typed while away  sending…")
        house.open()
        await shows(here, "● connected", "ada │ typed while away")
        await hides(here, "sending…")


async def test_what_is_unsent_and_what_is_half_typed_is_there_after_a_restart(house, cable, town):
    async with town.client("ada", timing=IMPATIENT) as ada:
        room = await ada.create(cable.address, "garden", nick="ada")
        async with window_of(ada, room) as (_, here):
            await house.close()
            await shows(here, "! (offline|connecting)")
            await type_in(here, "typed while away")
            await shows(here, "sending…")
            await here.press(*"half", "ctrl+q")
            await until(here, lambda: here.app._exit)
    again = await town.person("ada", timing=IMPATIENT)
    async with window_of(again, room, "typed while away  sending…", "\n.*half") as (_, here):
        house.open()
        await hides(here, "sending…")
        await shows(here, "ada │ typed while away", "● connected")


async def test_a_message_without_its_key_has_a_line_that_the_message_takes(garden, cable):
    ada, ben, room = garden
    handlers = next(iter(ben.drivers)).session._handlers
    put = handlers[frames.Parcel]
    handlers[frames.Parcel] = lambda _frame: None  # Ada's key does not come.
    async with window_of(ben, room) as (_, there), window_of(ada, room) as (_, here):
        await type_in(here, "a secret")
        await shows(there, r"ada │ \[cannot be shown: waiting for ada's key")
        await shows(there, r"asked \d+ s ago")
        await type_in(there, "hm")
        handlers[frames.Parcel] = put
        cable.cut()  # The relay tells of parcels again at each login.
        await shows(there, r"ada │ a secret\n.*ben │ hm")
        await hides(there, "cannot be shown")


async def test_a_page_is_full_though_records_among_it_changed_nothing(house, town):
    """They are no line; a page that is short would be taken for the beginning of the history."""
    ada = await town.person("ada")
    room = await ada.create(house.address, "garden", nick="ada")
    for number in range(1, 7):
        await room.send(f"said {number}")
        await room.nick("ada")
    turned, before = [], 0
    while page := (await ada.perform(Page(room=str(room.id), before=before, limit=2))).lines:
        assert len(page) == 2
        turned[:0] = page
        before = page[0].seq
    assert [one.text for one in turned] == [f"said {number}" for number in range(1, 7)]
