"""The timeline: a room's lines on the screen, wrapped once each, drawn row by row."""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, TypeGuard

from rich.style import Style
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from chaton.client.replies import LineFacts
from chaton.tui.book import Book, Item, Note
from chaton.tui.looks import Look
from chaton.tui.rows import Draft, moment, paragraph, rows

_WELCOME: Final = (
    "Welcome to Chaton.\n\nYou are in no room yet. Paste an invite link below, then a space and the nick to take, and "
    "press Enter.\n\nOr quit (Ctrl+Q) and run   chaton up   to open a room of your own."
)
_LAID_OUT: Final = 300  # Lines that are wrapped at once: the last ones, and as many more when somebody scrolls there.
_NEAR_TOP: Final = 5  # Rows from the top where older lines are fetched.


@dataclass(slots=True)
class _Block:
    """A line and its rows; drawn again when any of what it was made of is another.

    Attributes:
        before: The line of the room before it: where the day is another, that stands above it.
        is_first_new: Whether what is new begins here.
        is_beginning: Whether nothing older is held: one joined here, or made the room.
        about: What it answers, as far as that is held.
    """

    item: Item
    before: LineFacts | None
    is_first_new: bool
    is_beginning: bool
    about: LineFacts | None
    rows: list[Strip]


class Timeline(ScrollView, inherit_bindings=False):
    """A room's lines. Stays at the end while it is there, and holds its place while somebody reads back."""

    DEFAULT_CSS = """
    Timeline { width: 1fr; height: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1; padding: 0 1;
        scrollbar-color: $foreground 30%; scrollbar-background: $background; scrollbar-color-hover: $foreground 50%;
        scrollbar-background-hover: $background; scrollbar-color-active: $foreground 50%;
        scrollbar-background-active: $background; scrollbar-corner-color: $background;
    }
    """
    can_focus = True
    FOCUS_ON_CLICK = False  # What is typed goes where one types, until a message is chosen.

    class AtTop(Message):
        """Older lines are wanted."""

    class Moved(Message):
        """The place in the room is another, or the chosen line."""

    class Picked(Message):
        """A line was clicked on."""

    def __init__(self, look: Look, *, id: str | None = None) -> None:  # noqa: A002  # As Textual calls it.
        super().__init__(id=id)
        self.look = look
        self.book: Book | None = None
        self.chosen: int = 0
        self._version = -1
        self._start: tuple[int, int | str] | None = None  # The first line that is laid out, once somebody reads back.
        self._blocks: list[_Block] = []
        self._ends: list[int] = []
        self._cache: dict[int, _Block] = {}
        self._drawn: tuple[int, int] = (0, 0)  # The width, and the column of nicks.
        self._follow = True
        self._welcome: list[Strip] = []

    # --- what is shown ---

    def show(self, book: Book | None) -> None:
        """Show another room, at its end, or where what is new begins."""
        self.book, self.chosen, self._follow = book, 0, True
        self._cache.clear()
        self.update(force=True)

    def restyle(self, look: Look) -> None:
        """Draw everything in another look."""
        self.look = look
        self._cache.clear()
        self.update(force=True)

    def update(self, *, force: bool = False) -> None:
        """Draw what has changed in the room."""
        book, width = self.book, self._width
        if book is None or width <= 0:
            self._blocks, self._ends, self.virtual_size = [], [], Size(0, 0)
            self._welcome = paragraph(_WELCOME, max(1, width), self.look)
            self.refresh()
            return
        draft = Draft.of(book, width, self.look)
        drawn = (width, draft.column)
        if not force and (book.version, drawn) == (self._version, self._drawn):
            return
        anchor = self._anchor()
        if self._follow:
            book.trim()
            self._start = None
        elif self._start is None and self._blocks:
            self._start = _place_of(self._blocks[0].item)
        if drawn != self._drawn:
            self._cache.clear()
        self._version, self._drawn = book.version, drawn
        self._lay_out(book, draft)
        self.virtual_size = Size(width, self._ends[-1] if self._ends else 0)
        self._hold(anchor)
        self.refresh()

    @property
    def _width(self) -> int:
        return self.size.width - 1  # A scrollbar may come.

    def _lay_out(self, book: Book, draft: Draft) -> None:
        blocks, cache = [], {}
        items = book.items()
        start = max(0, len(items) - _LAID_OUT)
        if self._start is not None:
            start = next((number for number in range(start) if _place_of(items[number]) == self._start), start)
        before = next((one for one in reversed(items[:start]) if isinstance(one, LineFacts)), None)
        for item in items[start:]:
            block = self._block(item, before, book, draft)
            blocks.append(block)
            cache[id(item)] = block
            before = item if isinstance(item, LineFacts) else before
        self._blocks, self._cache = blocks, cache
        self._ends = list(accumulate(len(block.rows) for block in blocks))

    def _block(self, item: Item, before: LineFacts | None, book: Book, draft: Draft) -> _Block:
        line = item if isinstance(item, LineFacts) else None
        about = book.quoted(line.re) if line is not None and line.re else None
        is_first_new = _is_first_new(item, before, book)
        is_beginning = before is None and line is not None and book.complete and line.seq == book.first
        known = self._cache.get(id(item))
        if known is not None and known.item is item and known.before is before and known.about is about:
            waits = line is not None and line.kind == "unread" and line.asked
            if (known.is_first_new, known.is_beginning) == (is_first_new, is_beginning) and not waits:
                return known
        new_day = _is_new_day(item, before)
        made = rows(item, draft, new_day=new_day, is_first_new=is_first_new, is_beginning=is_beginning)
        return _Block(item, before, is_first_new, is_beginning, about, made)

    # --- where one is ---

    @property
    def at_end(self) -> bool:
        """Whether the newest line is on the screen."""
        return self._follow

    @property
    def below(self) -> int:
        """How many messages are below the screen."""
        if self._follow or not self._ends:
            return 0
        bottom = int(self.scroll_offset.y) + self.size.height
        return len(self._blocks) - bisect_right(self._ends, bottom)

    def _anchor(self) -> tuple[Item, int] | None:
        """The line at the top of the screen, and how many of its rows are above it."""
        if self._follow or not self._ends:
            return None
        top = int(self.scroll_offset.y)
        number = min(bisect_right(self._ends, top), len(self._blocks) - 1)
        block = self._blocks[number]
        return block.item, top - (self._ends[number] - len(block.rows))

    def _hold(self, anchor: tuple[Item, int] | None) -> None:
        """Stay at the end, or where the same line is at the top as before."""
        if anchor is None:
            self.scroll_to(y=self.max_scroll_y, animate=False, force=True)
            return
        place = _place_of(anchor[0])
        for block, end in zip(self._blocks, self._ends, strict=True):
            if _place_of(block.item) == place:
                self.scroll_to(y=end - len(block.rows) + anchor[1], animate=False, force=True)
                return

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Note whether the end is shown, and ask for more at the top."""
        super().watch_scroll_y(old_value, new_value)
        self._follow = new_value >= self.max_scroll_y
        if new_value <= _NEAR_TOP and new_value < old_value:
            self.post_message(self.AtTop())
        self.post_message(self.Moved())

    def go_to_end(self) -> None:
        """Show the newest line."""
        self.chosen, self._follow = 0, True
        self.scroll_to(y=self.max_scroll_y, animate=False, force=True)
        self.post_message(self.Moved())
        self.refresh()

    def reach_back(self, seq: int | None = None) -> bool:
        """Lay out older lines of those that are held, as far as an event if one is named; whether there were any."""
        self.update()
        items = self.book.items() if self.book is not None else []
        older = items[: len(items) - len(self._blocks)]
        if seq is not None:
            named = (number for number, one in enumerate(older) if isinstance(one, LineFacts) and one.seq >= seq)
            older = older[: next(named, -1) + 1]
        if not older:
            return False
        self._follow = False
        self._start = _place_of(older[max(0, len(older) - _LAID_OUT)])
        self.update(force=True)
        return True

    def go_to(self, seq: int) -> bool:
        """Show the line of an event, or the first one after it; whether there is one."""
        self.reach_back(seq)
        for block, end in zip(self._blocks, self._ends, strict=True):
            if isinstance(block.item, LineFacts) and block.item.seq >= seq:
                self._follow = False
                self.scroll_to(y=max(0, end - len(block.rows) - 2), animate=False, force=True)
                return True
        return False

    def move(self, pages: float) -> None:
        """Scroll by so many screens; further back than the top, older lines are wanted."""
        if pages < 0 and self.scroll_offset.y <= _NEAR_TOP:
            self.post_message(self.AtTop())
        self.scroll_to(y=self.scroll_offset.y + round(pages * max(1, self.size.height - 2)), animate=False, force=True)

    # --- the chosen line ---

    def choose(self, step: int) -> LineFacts | None:
        """Choose the message before or after the chosen one, and show it."""
        places = [block.item.seq for block in self._blocks if _is_said(block.item)]
        if not places:
            return None
        now = bisect_right(places, self.chosen) - 1 if self.chosen else len(places)
        number = now + step
        if number < 0 and self.reach_back():
            return self.choose(step)
        self.chosen = places[max(0, number)] if number < len(places) else 0
        self._bring_into_view()
        return self.book.at(self.chosen) if self.book is not None else None

    def _bring_into_view(self) -> None:
        self.refresh()
        self.post_message(self.Moved())
        if not self.chosen:
            self.go_to_end()
            return
        for block, end in zip(self._blocks, self._ends, strict=True):
            if isinstance(block.item, LineFacts) and block.item.seq == self.chosen:
                start, top = end - len(block.rows), int(self.scroll_offset.y)
                if start < top or end > top + self.size.height:
                    self._follow = False
                    self.scroll_to(y=max(0, end - self.size.height // 2), animate=False, force=True)

    def on_click(self, event: events.Click) -> None:
        """Choose the line that was clicked on."""
        row = int(self.scroll_offset.y) + event.y - self._blank_above
        number = bisect_right(self._ends, row)
        item = self._blocks[number].item if row >= 0 and number < len(self._blocks) else None
        self.chosen = item.seq if item is not None and _is_said(item) and item.seq != self.chosen else 0
        self.refresh()
        self.post_message(self.Picked())

    # --- drawing ---

    def on_resize(self) -> None:
        """Wrap anew."""
        if self.book is not None and self._follow:
            self.book.trim()
        self.update(force=True)  # Other rows may have come in view, even where nothing is wrapped anew.

    def render_line(self, y: int) -> Strip:
        """One row of the screen."""
        row = int(self.scroll_offset.y) + y - self._blank_above
        back = Style(bgcolor=self.background_colors[1].rich_color)
        if self.book is None and 0 < y <= len(self._welcome):
            return self._welcome[y - 1].apply_style(back).extend_cell_length(self.size.width, back)
        if row < 0 or not self._ends or row >= self._ends[-1]:
            return Strip.blank(self.size.width, back)
        number = bisect_right(self._ends, row)
        block = self._blocks[number]
        strip = block.rows[row - self._ends[number] + len(block.rows)]
        is_chosen = isinstance(block.item, LineFacts) and block.item.seq == self.chosen and self.chosen > 0
        return strip.apply_style(self.look.chosen if is_chosen else back).adjust_cell_length(
            self.size.width, self.look.chosen if is_chosen else back
        )

    @property
    def _blank_above(self) -> int:
        """Few lines stand at the bottom, next to where one types."""
        return max(0, self.size.height - (self._ends[-1] if self._ends else 0))


def _place_of(item: Item) -> tuple[int, int | str]:
    """What a line is known by when it is drawn anew."""
    match item:
        case LineFacts():
            return item.seq, 0
        case Note():
            return item.seq, item.text
    return item.ref, "pending"


def _is_said(item: Item) -> TypeGuard[LineFacts]:
    return isinstance(item, LineFacts) and item.kind not in {"record", "unread"}


def _is_new_day(item: Item, before: LineFacts | None) -> bool:
    if not isinstance(item, LineFacts):
        return False
    return before is None or moment(item.at).date() != moment(before.at).date()


def _is_first_new(item: Item, before: LineFacts | None, book: Book) -> bool:
    """Whether what somebody has not seen begins here. Whoever has seen nothing needs no line."""
    if not isinstance(item, LineFacts) or item.own or not book.marker or item.seq <= book.marker:
        return False
    return before is not None and before.seq <= book.marker
