"""The bar above where one types: what takes long, until it is over."""

from chaton.client.news import Progress
from chaton.client.requests import GetFile
from chaton.identity.ids import BlobId, RoomId
from chaton.session.notices import Working
from chaton.session.text import SafeText
from tests.tui.screen import hides, opened, screen_text, shows
from tests.tui.scripted import OTHER, ROOM, Scripted, facts

NEW = "9" * 64


def step(done, total=None, *, what="log", room=ROOM):
    return Working(RoomId.from_hex(room), what, done, total)


async def test_long_work_is_shown_until_it_is_over():
    backend = Scripted()
    async with opened(backend, size=(140, 30)) as (_window, pilot):
        for done in (0, 412):
            backend.news.put_nowait(step(done, 1_000, what="key"))
            await shows(pilot, f"\n *giving members the key: {done} of 1,000 done")
        backend.news.put_nowait(step(1_000, 1_000, what="key"))
        await hides(pilot, "giving members the key")


async def test_it_says_for_which_room_unless_it_is_the_one_that_is_shown():
    backend = Scripted(rooms=[facts(), facts(OTHER, "ops")])
    async with opened(backend, size=(140, 30)) as (_window, pilot):
        for work in (step(4_100, what="events", room=OTHER), step(3_200), step(256, room=NEW)):
            backend.news.put_nowait(work)
        await shows(pilot, "reading the log: 3,200 records so far   ops: opening what came meanwhile: 4,100 so far")
        backend.news.put_nowait(step(3_200, 3_200))
        await shows(pilot, "\n *ops: opening what came meanwhile: 4,100 so far   reading the log")


async def test_it_stands_beside_files_and_outlives_them():
    backend = Scripted()
    async with opened(backend, size=(140, 30)) as (window, pilot):
        file = Progress(RoomId.from_hex(ROOM), BlobId.zero(), SafeText("plan.pdf"), 1, 4, up=False)
        for notice in (file, step(500, what="events")):
            backend.news.put_nowait(notice)
        await shows(pilot, "↓ plan.pdf ━+ 25% of 4 bytes   opening what came meanwhile: 500")
        await window.desk.move(GetFile(room=ROOM, re="1" * 8, directory="/tmp"))
        await hides(pilot, "plan.pdf")
        assert "opening what came meanwhile: 500" in screen_text(window)
