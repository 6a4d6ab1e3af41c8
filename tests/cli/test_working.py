"""How far long work is: a line that changes on a terminal, a line a second elsewhere, an event for programs."""

import asyncio
import sys

import pytest

from chaton.cli import events
from chaton.cli.chat import Chat
from chaton.cli.plain import PlainFace
from chaton.cli.progress import ProgressLine, telling
from chaton.client.replies import RoomFacts
from chaton.client.requests import Join
from chaton.identity.ids import RoomId
from chaton.session.notices import Working
from tests.tui.scripted import OTHER, ROOM, Scripted, facts


def step(done, total=None, *, what="log", room=ROOM):
    return Working(RoomId.from_hex(room), what, done, total)


def rows(text):
    """What a terminal shows of what was written, each state of its last row after the other."""
    return [row.strip() for row in text.split("\r") if row.strip()]


@pytest.fixture
def watched(monkeypatch):
    """Makes standard error a terminal. For the test to call, as pytest has another one before it begins."""
    return lambda: monkeypatch.setattr(sys.stderr, "isatty", lambda: True)


def test_each_kind_says_what_it_is(capsys):
    for work in (step(3_200), step(412, 1_000, what="key"), step(4_100, what="events"), step(7, what="later")):
        ProgressLine().show_work(work)
    assert capsys.readouterr().err.splitlines() == [
        "* reading the log: 3,200 records so far",
        "* giving members the key: 412 of 1,000 done",
        "* opening what came meanwhile: 4,100 so far",
        "* working: 7 done",
    ]


def test_elsewhere_than_on_a_terminal_lines_are_only_added(capsys):
    face = PlainFace()
    for work in (step(256), step(512), step(600, 600)):
        face.notice(work)
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == "* reading the log: 256 records so far\n* reading the log: 512 records so far\n"


def test_on_a_terminal_one_line_changes_and_goes(capsys, watched):
    watched()
    face = PlainFace()
    for work in (step(256), step(512)):
        face.notice(work)
    written = capsys.readouterr().err
    assert rows(written) == ["* reading the log: 256 records so far", "* reading the log: 512 records so far"]
    assert "\n" not in written
    face.notice(step(600, 600))
    assert rows(capsys.readouterr().err) == []


def test_two_rooms_do_not_take_turns_at_the_line(capsys):
    line = ProgressLine()
    for room, done in ((ROOM, 200), (OTHER, 900), (ROOM, 400), (OTHER, 1_300)):
        line.show_work(step(done, what="events", room=room))
    line.show_work(step(500, 500, what="events", room=ROOM))
    line.show_work(step(1_700, what="events", room=OTHER))
    told = capsys.readouterr().err.splitlines()
    assert [text.removeprefix("* opening what came meanwhile: ") for text in told] == [
        "200 so far", "400 so far", "1,700 so far",
    ]  # fmt: skip


def test_programs_have_an_event_of_its_own():
    assert events.of_notice(step(412, 1_000, what="key")) == {
        "v": 1, "event": "working", "room": ROOM, "what": "key", "done": 412, "total": 1_000,
    }  # fmt: skip
    assert events.of_notice(step(256))["total"] is None


# --- on the way into a room ---


class Slow(Scripted):
    """A relay that lets one in when the test says so."""

    def __init__(self):
        super().__init__()
        self.admits = asyncio.Event()

    async def perform(self, request):
        if isinstance(request, Join):
            await self.admits.wait()
            return facts()
        return await super().perform(request)


class Noting:
    """A face that writes down which work it is shown, and whether one is in by then."""

    asks = False

    def __init__(self):
        self.entered_room, self.works = False, []

    def entered(self, entered: RoomFacts, _members):
        self.entered_room = entered.room == ROOM

    def notice(self, notice):
        self.works.append((self.entered_room, notice.done))

    def __getattr__(self, _name):
        return lambda *_: None


async def until(holds):
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - what follows from news sets no event
            await asyncio.sleep(0.005)


async def test_who_waits_to_come_in_is_told_why_it_takes_so_long():
    backend, face, typed = Slow(), Noting(), asyncio.Event()

    async def lines():
        await typed.wait()
        return
        yield

    chat = asyncio.ensure_future(Chat(backend, face).run(Join(link="l", nick="ada"), lines()))
    backend.news.put_nowait(step(256))
    await until(lambda: face.works)
    backend.admits.set()
    await until(lambda: face.entered_room)
    for work in (step(1, what="events", room=OTHER), step(2, what="events")):
        backend.news.put_nowait(work)
    await until(lambda: len(face.works) > 1)
    typed.set()
    assert await chat == 0
    assert face.works == [(False, 256), (True, 2)]


# --- one command ---


async def follow(backend):
    async with telling(backend):
        await until(backend.news.empty)
        await asyncio.sleep(0)


async def test_a_command_shows_it_to_whoever_watches(capsys, watched):
    watched()
    backend = Scripted()
    for work in (step(256, 999, what="key"), step(512, 999, what="key")):
        backend.news.put_nowait(work)
    await follow(backend)
    assert rows(capsys.readouterr().err) == [
        "* giving members the key: 256 of 999 done", "* giving members the key: 512 of 999 done",
    ]  # fmt: skip


async def test_a_script_is_shown_nothing(capsys):
    backend = Scripted()
    async with telling(backend):
        backend.news.put_nowait(step(256))
        await asyncio.sleep(0)
    assert capsys.readouterr().err == ""
    assert backend.news.qsize() == 1
