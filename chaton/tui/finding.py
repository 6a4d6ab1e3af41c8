"""What a chooser finds: lines of a room by their text, and rooms by their name."""

import re

from rich.text import Text

from chaton.client.replies import LineFacts, Lines
from chaton.client.requests import Search
from chaton.errors import ChatonError
from chaton.tui.desk import Desk, now_ms
from chaton.tui.looks import Look
from chaton.tui.panes import fitted, name_of
from chaton.tui.rows import moment
from chaton.tui.screens import Choice

_WANTED_MIN = 2  # Characters; one would find nearly every line.
_SHOWN_CELLS = 200
_BEFORE_MAX = 80  # Characters that stand before what was found; of more, the last _BEFORE are shown.
_BEFORE = 40


async def lines(desk: Desk, room: str, wanted: str, look: Look) -> list[Choice]:
    """Lines of a room that hold a text, the newest first, each known by its event."""
    wanted = wanted.strip()
    if len(wanted) < _WANTED_MIN:
        return []
    try:
        told = await desk.ask(Search(room=room, text=wanted), Lines)
    except ChatonError as error:
        desk.note(str(error), "bad")
        return []
    now = now_ms()
    return [Choice(str(line.seq), found(line, wanted, look, now)) for line in reversed(told.lines)]


def found(line: LineFacts, wanted: str, look: Look, now: int) -> Text:
    """A line that holds a text: its number, when it was said, by whom, and the text, which stands out."""
    text = line.text.replace("\n", " ")
    first = re.search(re.escape(wanted), text, re.IGNORECASE)
    if first is not None and first.start() > _BEFORE_MAX:
        text = "…" + text[first.start() - _BEFORE :]
    said = Text(fitted(text, _SHOWN_CELLS))
    said.highlight_words([wanted], look.found, case_sensitive=False)
    sender = (line.sender, look.nick(line.identity))
    return Text.assemble((f"#{line.seq} {_when(line.at, now)} ", look.dim), sender, " ", said)


def _when(at: int, now: int) -> str:
    """A day and its time, of another year the year; as wide in each case."""
    said = moment(at)
    return f"{said:%d %b %H:%M}" if said.year == moment(now).year else f"{said:%d %b  %Y}"


async def rooms(desk: Desk, wanted: str) -> list[Choice]:
    """Rooms whose name holds a text, each known by its id."""
    fitting = [one.facts for one in desk.books.values() if wanted.casefold() in name_of(one.facts).casefold()]
    return [Choice(facts.room, Text(name_of(facts))) for facts in fitting]
