"""The panes beside the timeline: rooms at the left, members at the right; and the lines above and below it."""

from collections.abc import Iterable
from typing import Final

from rich.cells import cell_len, set_cell_size
from rich.text import Text
from textual import events
from textual.message import Message
from textual.widget import Widget

from chaton.client.replies import MemberFacts, RoomFacts
from chaton.client.words import count
from chaton.limits import DAY_MS
from chaton.tui.book import Book
from chaton.tui.looks import Look
from chaton.tui.rows import ago

_BAR_ROWS: Final = 3
_SAFETY_MARGIN: Final = 4  # The mark, and the bar's padding.
_NUMBERED: Final = 10  # Rooms that Alt and a digit go to.
_ROWS_WITH_MARKS: Final = 3  # For a room between two that say what is left out.
_ROLE_MARKS: Final = {"owner": "◆", "admin": "▲", "mod": "△"}


def fitted(text: str, cells: int) -> str:
    """A text cut to a width, with a mark where it is."""
    return text if cell_len(text) <= cells else set_cell_size(text, max(0, cells - 1)).rstrip() + "…"


def name_of(facts: RoomFacts) -> str:
    """What a room is called in lists; a direct room's name begins with ``@``."""
    return facts.name or facts.room[:8]


def in_sight(total: int, at: int, rows: int) -> range:
    """Which of so many entries are shown in so many rows: as many as there is space for, number ``at`` among them.

    Where some are left out at an end a row is left for saying so, if there are three rows at least.
    """
    if total <= rows:
        return range(total)
    if rows < _ROWS_WITH_MARKS:
        start = min(at, total - rows)
        return range(start, start + rows)
    start = at - (rows - 2) // 2
    if start <= 1:
        return range(rows - 1)
    if start + rows - 2 >= total - 1:
        return range(total - rows + 1, total)
    return range(start, start + rows - 2)


class RoomList(Widget):
    """The rooms, with how many lines are new and how many of them name one; the current one is always in sight."""

    DEFAULT_CSS = "RoomList { width: 22; height: 1fr; background: $surface; padding: 0 1; }"

    class Picked(Message):
        """A room was clicked on."""

        def __init__(self, room: str) -> None:
            super().__init__()
            self.room = room

    def __init__(self, look: Look) -> None:
        super().__init__()
        self.look = look
        self.books: list[Book] = []
        self.current = ""

    def show(self, books: list[Book], current: str) -> None:
        """Show these rooms."""
        self.books, self.current = books, current
        self.refresh()

    def render(self) -> Text:
        """One row a room, and what is left out above and below."""
        shown = self._shown()
        rows = [self._row(number, self.books[number]) for number in shown]
        if len(shown) < self.size.height:
            above, below = shown.start, len(self.books) - shown.stop
            rows[:0] = [self._more(above)] * (above > 0)
            rows += [self._more(below)] * (below > 0)
        return Text("\n").join(rows) if self.books else Text("no rooms yet", self.look.dim)

    def _more(self, number: int) -> Text:
        return Text(f"… {number} more", self.look.dim)

    def _shown(self) -> range:
        at = next((number for number, book in enumerate(self.books) if book.facts.room == self.current), 0)
        return in_sight(len(self.books), at, self.size.height)

    def _row(self, number: int, book: Book) -> Text:
        is_here = book.facts.room == self.current
        key = f"{(number + 1) % _NUMBERED}" if number < _NUMBERED else " "
        mark = f" ●{book.mentions}" if book.mentions else f" {book.unread}" if book.unread else ""
        width = max(4, self.size.width - 2 - cell_len(mark))
        style = self.look.strong if is_here or book.unread else self.look.text
        if book.facts.status not in {"in", "joining"}:
            style = self.look.dim
        name = fitted(name_of(book.facts), width)
        row = Text.assemble((key, self.look.dim), " " if not is_here else ("›", self.look.named), (name, style))
        gap = self.size.width - cell_len(row.plain) - cell_len(mark)
        return row.append(" " * max(0, gap)).append(mark, self.look.named if book.mentions else self.look.strong)

    def on_click(self, event: events.Click) -> None:
        """Go to the room that was clicked on."""
        shown = self._shown()
        is_marked = shown.start > 0 and len(shown) < self.size.height
        number = shown.start + event.y - is_marked
        if number in shown:
            self.post_message(self.Picked(self.books[number].facts.room))


class People(Widget):
    """Who is in the room: role, nick, and whether online, by the relay's word."""

    DEFAULT_CSS = "People { width: 26; height: 1fr; background: $surface; padding: 0 1; }"

    class Picked(Message):
        """Somebody was clicked on."""

        def __init__(self, identity: str) -> None:
            super().__init__()
            self.identity = identity

    def __init__(self, look: Look) -> None:
        super().__init__()
        self.look = look
        self.members: list[MemberFacts] = []

    def show(self, members: list[MemberFacts]) -> None:
        """Show these people: who is online first."""
        self.members = sorted(members, key=lambda one: (one.pending, not one.online))
        self.refresh()

    def render(self) -> Text:
        """One row a member."""
        rows = [Text(count(len(self.members), "member"), self.look.dim)]
        shown = self.members[: max(0, self.size.height - 2)]
        rows += [self._row(one) for one in shown]
        if len(shown) < len(self.members):
            rows.append(Text(f"and {len(self.members) - len(shown)} more: /who", self.look.dim))
        return Text("\n").join(rows)

    def _row(self, one: MemberFacts) -> Text:
        marks = {"waits": one.pending, "muted": one.muted, "bot": one.bot, "✓": one.compared, "ignored": one.ignored}
        behind = "".join(f" {word}" for word, holds in marks.items() if holds)
        width = self.size.width - 4 - cell_len(behind)
        nick = Text(fitted(one.nick, max(4, width)), self.look.nick(one.identity) if one.online else self.look.dim)
        online = ("●" if one.online else "○", self.look.good if one.online else self.look.dim)
        return Text.assemble(online, " ", (_ROLE_MARKS.get(one.role, " "), self.look.dim), " ", nick).append(
            behind, self.look.dim
        )

    def on_click(self, event: events.Click) -> None:
        """Look at who was clicked on."""
        if 1 <= event.y <= len(self.members):
            self.post_message(self.Picked(self.members[event.y - 1].identity))


class Bar(Widget):
    """One row of text across the screen; one that wraps has a few where it must."""

    DEFAULT_CSS = "Bar { height: 1; width: 1fr; padding: 0 1; background: $surface; }"

    def __init__(self, *, id: str, wraps: bool = False) -> None:  # noqa: A002  # As Textual calls it.
        super().__init__(id=id)
        self.text = Text()
        self._wraps = wraps
        if wraps:
            self.styles.height, self.styles.max_height = "auto", _BAR_ROWS

    def say(self, text: Text) -> None:
        """Show another text."""
        if text != self.text:
            self.text = text
            self.refresh(layout=self._wraps)

    def render(self) -> Text:
        """The text, cut where it ends."""
        if self._wraps:
            return self.text
        shown = self.text.copy()
        shown.truncate(self.size.width, overflow="ellipsis")
        return shown


def title(book: Book, look: Look, elsewhere: Iterable[Book] = ()) -> Text:
    """Where one is, what is new ``elsewhere`` where no list of rooms tells it, and what the room is about."""
    topic = book.facts.topic.replace("\n", " ")
    text = Text.assemble((name_of(book.facts), look.strong))
    waiting = [one for one in elsewhere if one.unread and one is not book]
    if waiting:
        named = any(one.mentions for one in waiting)
        places = ", ".join(f"{name_of(one.facts)} {one.unread}" for one in waiting)
        text.append(f"  {'●' if named else ''}new in {places} (Alt+A)", look.named if named else look.strong)
    return text.append(f"  {topic}", look.dim) if topic else text


def safety(book: Book, look: Look, now: int, columns: int) -> Text:
    """Whether the room is safe, in plain words; what is wrong comes first, and says what to do.

    Of what is right, as much is said as fits ``columns``, the most important first.
    """
    facts = book.facts
    wrong = _wrong(facts)
    if wrong:
        return Text(f"! {wrong}", look.bad)
    whose = "you two" if facts.peer else count(facts.members, "member")
    key = f"key turned {ago(now - facts.turned)}" if facts.turned else "a new key with the next message"
    parts = ["connected", "only members can read", whose, "relay pinned", key]
    alarm = f"! {found}  " if (found := _alarm(book, now)) else ""
    while len(parts) > 1 and cell_len(alarm + " · ".join(parts)) > columns - _SAFETY_MARGIN:
        parts.pop()
    return Text.assemble((alarm, look.bad), ("● ", look.good), (" · ".join(parts), look.dim))


def _alarm(book: Book, now: int) -> str:
    """What somebody should have seen within a day. The line it is about stays, and says it as well."""
    recent = [line for line in book.alarming.values() if now - line.at < DAY_MS]
    if lost := sum(line.lost for line in recent if not line.pruned):
        return f"{count(lost, 'message')} withheld by the relay, or lost: the place is marked"
    return "stale: somebody removed may have read a message, which is marked" if recent else ""


def _wrong(facts: RoomFacts) -> str:
    if facts.status in {"out", "stopped"}:
        return f"you are not in this room any more: {facts.why or 'it ended'}"
    if facts.forked:
        return "FORK: somebody holds another history; sending is stopped. /verify, compare, then /verify ok"
    if facts.closed:
        return "the room is closed: nothing more is said in it"
    if facts.pending or facts.status == "joining":
        return "waiting to be let in by an admin"
    if facts.connection != "online":
        state = {
            "connecting": "connecting…",
            "stopped": "disconnected, and no admin removed you; /reconnect tries again",
        }
        why = f": {facts.trouble}" if facts.trouble else ""
        return state.get(facts.connection, "offline, trying again") + "; what you type is kept and sent later" + why
    return ""
