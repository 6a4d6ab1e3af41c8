"""A question that comes up while somebody types: what is typed on is no answer to it."""

import pytest
from textual import events

from chaton.client.replies import MemberList, Signed
from chaton.client.requests import Act, Whois
from chaton.tui import screens
from chaton.tui.screens import Question
from tests.tui.screen import opened, rows_of, screen_text, shows, until
from tests.tui.scripted import BEN, ROOM, Scripted, member

LISTENS = "y does it · n or Esc does not"


@pytest.fixture
def backend():
    return Scripted(
        answers={
            Act: Signed(room=ROOM, n=4, record="", what="kick"),
            Whois: MemberList(room=ROOM, members=[member("ben", BEN)]),
        }
    )


async def ask(pilot):
    await pilot.press(*("space" if one == " " else one for one in "/kick ben"), "enter")
    await shows(pilot, "this removes ben")


async def test_it_is_deaf_at_first(backend, monkeypatch):
    monkeypatch.setattr(screens, "_DEAF_S", 3_600)
    async with opened(backend) as (window, pilot):
        await ask(pilot)
        await pilot.press("y", "n", "escape", "enter", "q", *"yes I think so")
        assert isinstance(window.screen, Question)
        assert LISTENS not in screen_text(window)
        assert not backend.requests(Act)
        window.screen._listen()
        await shows(pilot, LISTENS)
        await pilot.press("y")
        await until(pilot, lambda: backend.requests(Act))


async def test_a_key_from_before_it_listened_that_comes_late_is_dropped(backend, monkeypatch):
    monkeypatch.setattr(screens, "_DEAF_S", 3_600)
    async with opened(backend) as (window, pilot):
        await ask(pilot)
        early = events.Key("y", "y")
        window.screen._listen()
        await shows(pilot, LISTENS)
        window.post_message(early)
        await pilot.press("x")
        assert isinstance(window.screen, Question)
        assert not backend.requests(Act)


async def test_it_listens_by_itself_after_a_moment(backend):
    assert screens._DEAF_S == 0.4
    async with opened(backend) as (window, pilot):
        await ask(pilot)
        await shows(pilot, LISTENS)
        await pilot.press("n")
        await until(pilot, lambda: not isinstance(window.screen, Question))
        assert not any("this removes" in row for row in rows_of(window))
        assert not backend.requests(Act)
