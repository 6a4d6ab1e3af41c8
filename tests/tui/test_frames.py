"""Whole frames as text: what a person sees of one scene at several sizes.

A frame that is meant to be another is replaced by hand: the failing test prints what was drawn.
"""

import time
from pathlib import Path

import pytest

from chaton.client.replies import ReactionFacts
from tests.tui.screen import opened, screen_text, shows, until
from tests.tui.scripted import BEN, ME, OTHER, ROOM, START, Scripted, facts, line, member

FOLDER = Path(__file__).parent / "frames"
CLEO = "c" * 64
FRAMES = {
    "wide": ((110, 24), ["f2"]),
    "usual": ((80, 24), []),
    "small": ((60, 15), []),
    "choosing": ((80, 24), ["ctrl+up"]),
    "command": ((80, 24), list("/kick")),
    "emoji": ((80, 24), [*":sm", "tab"]),
    "searching": ((80, 24), ["ctrl+r", *"disk"]),
}  # fmt: skip


def scene():
    """A day in a room: talk, an answer, a file, something withheld, something without its key, news elsewhere."""
    question = line(
        3, "who looks at the disk of db1? it is at 91 % and what comes in tonight will not fit", sender="ben"
    )
    said = [
        line(1, "cleo joined, invited by ben", kind="record", at=START - 86_400_000),
        line(2, "good morning", own=True),
        question,
        line(4, "I do\ngive me a minute", kind="reply", re=question.id, sender="cleo", identity=CLEO, edited=True),
        line(5, "opens a terminal", kind="action", sender="cleo", identity=CLEO),
        line(6, "waiting for ben's key", kind="unread", asked=0),
        line(7, "before and after", kind="file", file="df.txt", file_size=2_048, sender="cleo", identity=CLEO, lost=1),
        line(8, "ada: cleaned up and pushed", reactions=[ReactionFacts(emoji="🎉", nicks=["ada", "cleo"], own=True)]),
    ]
    people = [
        member("ada", ME, role="owner"),
        member("ben", BEN, role="admin", compared=True),
        member("cleo", CLEO, online=False),
    ]
    rooms = [
        facts(ROOM, "ops", topic="what runs and what does not", read=6, members=3),
        facts(OTHER, "lobby", unread=4),
        facts("3" * 64, "@ben", peer="ben", unread=1, mentions=1),
    ]
    return Scripted(rooms=rooms, lines={ROOM: said}, members=people)


@pytest.fixture(autouse=True)
def _there_and_then(monkeypatch):
    for module in ("window", "finding"):
        monkeypatch.setattr(f"chaton.tui.{module}.now_ms", lambda: START + 60_000)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("name", FRAMES)
async def test_a_frame(name):
    size, keys = FRAMES[name]
    wanted = (FOLDER / f"{name}.txt").read_text(encoding="utf-8").rstrip("\n")
    async with opened(scene(), size=size) as (window, pilot):
        await shows(pilot, "pushed")
        await pilot.press(*keys)
        await until(pilot, lambda: screen_text(window).rstrip("\n") == wanted)
