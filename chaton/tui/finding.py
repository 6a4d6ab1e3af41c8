"""What a chooser finds: lines of a room by their text, and rooms by their name."""

from rich.text import Text

from chaton.client.replies import Lines
from chaton.client.requests import Search
from chaton.errors import ChatonError
from chaton.tui.desk import Desk
from chaton.tui.looks import Look
from chaton.tui.panes import fitted, name_of
from chaton.tui.screens import Choice

_WANTED_MIN = 2  # Characters; one would find nearly every line.
_SHOWN_CELLS = 200


async def lines(desk: Desk, room: str, wanted: str, look: Look) -> list[Choice]:
    """Lines of a room that hold a text, the newest first, each known by its event."""
    wanted = wanted.strip()
    if len(wanted) < _WANTED_MIN:
        return []
    try:
        found = await desk.ask(Search(room=room, text=wanted), Lines)
    except ChatonError as error:
        desk.note(str(error), "bad")
        return []
    return [
        Choice(
            str(line.seq),
            Text.assemble(
                (f"#{line.seq} ", look.dim),
                (line.sender, look.nick(line.identity)),
                " " + fitted(line.text.replace("\n", " "), _SHOWN_CELLS),
            ),
        )
        for line in reversed(found.lines)
    ]


async def rooms(desk: Desk, wanted: str) -> list[Choice]:
    """Rooms whose name holds a text, each known by its id."""
    fitting = [one.facts for one in desk.books.values() if wanted.casefold() in name_of(one.facts).casefold()]
    return [Choice(facts.room, Text(name_of(facts))) for facts in fitting]
