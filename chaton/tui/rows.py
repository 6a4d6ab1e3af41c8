"""One line of a room becomes rows of the screen: the time, the nick in a column of its own, and the text, wrapped."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from typing import Final

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.strip import Strip

from chaton.client.naming import mentions
from chaton.client.replies import LineFacts, ReactionFacts
from chaton.client.words import count, size_text
from chaton.limits import SECOND_MS
from chaton.session.text import clean
from chaton.tui.book import Book, Item, Note, Pending
from chaton.tui.looks import Look

NARROW: Final = 58  # Below this many columns nicks stand before the text instead of in a column.
_NICK_CELLS: Final = (5, 14)  # The column of nicks, as wide as who is there needs.
_TIME: Final = 6
_QUOTE_CELLS: Final = 60
_LAST_SECOND: Final = 253_402_214_400  # The day before the last one, so that no time zone leaves the year 9999.
# Wraps and cuts by cells, without a terminal: what is drawn is drawn by the program's own screen.
_CONSOLE: Final = Console(
    file=StringIO(), width=10_000, color_system="truecolor", force_terminal=True, legacy_windows=False
)


def moment(at: int) -> datetime:
    """A time in ms, where one is."""
    return datetime.fromtimestamp(min(at // SECOND_MS, _LAST_SECOND), UTC).astimezone()


@dataclass(frozen=True, slots=True)
class Draft:
    """What a line looks like depends on.

    Attributes:
        width: Columns there are.
        look: The styles.
        me: One's own nick: lines that name it stand out.
        column: Cells for nicks.
        quoted: The line that a reply is about.
        now: The time in ms, for lines that say how long they wait.
    """

    width: int
    look: Look
    me: str
    column: int
    quoted: Callable[[str | None], LineFacts | None]
    now: int

    @classmethod
    def of(cls, book: Book, width: int, look: Look) -> "Draft":
        """How a room's lines are drawn now."""
        longest = max((cell_len(one.nick) for one in book.members), default=0)
        column = min(max(longest, _NICK_CELLS[0]), _NICK_CELLS[1])
        return cls(width, look, book.facts.nick, column, book.quoted, time.time_ns() // 1_000_000)


def rows(item: Item, draft: Draft, *, new_day: bool, is_first_new: bool, is_beginning: bool = False) -> list[Strip]:
    """The rows of a line, with what belongs above it: where one began to read, a day, where what is new begins."""
    above = []
    if is_beginning:
        above.append(_rule("your history begins here; nothing older can be read", draft, draft.look.dim))
    if new_day:
        above.append(_rule(f"{moment(item.at):%A, %d %B %Y}", draft, draft.look.dim))
    if is_first_new:
        above.append(_rule("new", draft, draft.look.warning))
    if isinstance(item, LineFacts) and item.lost:
        above += _hanging(_lost(item, draft), "", Style(), item.at, draft)
    return [*above, *_rows(item, draft)]


def _rows(item: Item, draft: Draft) -> list[Strip]:
    match item:
        case Note():
            return _hanging(
                Text(item.text, draft.look.tone(item.tone)), "*", draft.look.tone(item.tone), item.at, draft
            )
        case Pending():
            return _pending(item, draft)
    return _line(item, draft)


def _line(line: LineFacts, draft: Draft) -> list[Strip]:
    look = draft.look
    who = look.nick(line.identity)
    if line.kind == "record":
        style = look.bad if line.own else look.dim  # One's own is the one that put one out.
        return _hanging(Text(line.text, style), "*", style, line.at, draft)
    if line.kind == "unread":
        return _hanging(_unread(line, draft), line.sender, look.dim, line.at, draft)
    text = _body(line, draft)
    if line.kind == "action":
        text = Text.assemble((line.sender, who), " ", text)
        return _hanging(_after(text, line, draft), "*", who, line.at, draft)
    return _hanging(_after(text, line, draft), line.sender, who, line.at, draft)


def _body(line: LineFacts, draft: Draft) -> Text:
    look = draft.look
    match line.kind:
        case "deleted":
            return Text("took a message back", look.dim)
        case "redacted":
            return Text("a message that a moderator removed", look.dim)
        case "unknown":
            return Text("sent something that this version cannot show", look.dim)
        case "file":
            text = Text.assemble(
                ("▤ ", look.dim), (line.file or "", look.strong), (f"  {size_text(line.file_size)}", look.dim)
            )
            text.append(f"  /get {line.seq}", look.dim)
            return text.append(f"\n{line.text}", look.text) if line.text else text
    named = not line.own and mentions(line.text, draft.me)
    return Text(line.text, look.named if named else look.text)


def _after(text: Text, line: LineFacts, draft: Draft) -> Text:
    """The text with what belongs to it: whom it answers before, marks and reactions behind."""
    look = draft.look
    if line.kind == "reply" or (line.edited and line.re):
        text = Text.assemble(_quote(line, draft), "\n", text)
    if line.edited:
        text.append(" (edited)", look.dim)
    if line.stale:
        text.append("  ! sent before a removal was known; who was removed may have read it", look.warning)
    if line.reactions:
        text.append("\n")
        text.append_text(_reactions(line.reactions, look))
    return text


def _quote(line: LineFacts, draft: Draft) -> Text:
    about = draft.quoted(line.re)
    if about is None:
        return Text("┌ an earlier message", draft.look.dim)
    said = about.text.replace("\n", " ") or about.kind
    cut = said if cell_len(said) <= _QUOTE_CELLS else set_cell_size(said, _QUOTE_CELLS - 1).rstrip() + "…"
    return Text.assemble(
        ("┌ ", draft.look.dim), (about.sender, draft.look.nick(about.identity)), (f" {cut}", draft.look.dim)
    )


def _reactions(reactions: list[ReactionFacts], look: Look) -> Text:
    text = Text()
    for one in reactions:
        text.append(f"{one.emoji} {len(one.nicks)}  ", look.strong if one.own else look.dim)
    return text


def _unread(line: LineFacts, draft: Draft) -> Text:
    asked = f", asked {ago(draft.now - line.asked)}" if line.asked else ""
    return Text(f"[cannot be shown: {line.text}{asked}]", draft.look.dim)


def _lost(line: LineFacts, draft: Draft) -> Text:
    what = "too old for the relay, and deleted there" if line.pruned else "withheld by the relay, or lost"
    style = draft.look.dim if line.pruned else draft.look.warning
    return Text(f"! {count(line.lost, 'message')} of {line.sender} before this: {what}", style)


def _pending(pending: Pending, draft: Draft) -> list[Strip]:
    look = draft.look
    text = Text(clean(pending.text) or pending.kind, look.dim)
    if pending.failed:
        text.append(f"\nnot sent: {pending.failed} · Alt+R sends it again, Alt+X drops it", look.bad)
        return _hanging(text, draft.me, look.bad, pending.at, draft)
    text.append("  sending…", look.dim)
    return _hanging(text, draft.me, look.dim, pending.at, draft)


def paragraph(text: str, width: int, look: Look) -> list[Strip]:
    """A text of the program's own over the whole width."""
    return [_strip(line, width) for line in Text(text, look.text).wrap(_CONSOLE, width)]


def ago(ms: int) -> str:
    """How long ago, as people say it."""
    seconds = max(0, ms // SECOND_MS)
    for unit, size in (("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def _rule(label: str, draft: Draft, style: Style) -> Strip:
    """A line across, with a word in it."""
    text = f"── {label} "
    rest = max(0, draft.width - cell_len(text))
    return _strip(Text.assemble((text, style), ("─" * rest, draft.look.rule)), draft.width)


def _hanging(text: Text, nick: str, style: Style, at: int, draft: Draft) -> list[Strip]:
    """Time and nick, then the text, its further rows beneath its first one."""
    head = Text(f"{moment(at):%H:%M} ", draft.look.dim)
    if draft.width >= NARROW:
        head.append_text(_column(nick, draft.column, style))
        head.append("│ ", draft.look.rule)
    else:
        head.append_text(_fitted(nick, _NICK_CELLS[1], style))
        head.append("" if nick == "" else " ", style)
    hang = cell_len(head.plain) if draft.width >= NARROW else _TIME
    # A narrow screen begins the text behind the nick and goes on beneath it: its first row is shorter by ``lead``.
    lead = cell_len(head.plain) - hang
    padded = Text(" " * lead).append_text(text) if lead else text
    first, *further = padded.wrap(_CONSOLE, max(8, draft.width - hang), overflow="fold", tab_size=4) or [Text()]
    lines = [head.append_text(first[lead:] if lead else first), *(_further(line, hang, draft) for line in further)]
    return [_strip(line, draft.width) for line in lines]


def _further(line: Text, hang: int, draft: Draft) -> Text:
    if draft.width >= NARROW:
        return Text(" " * (hang - 2)).append("│ ", draft.look.rule).append_text(line)
    return Text(" " * hang).append_text(line)


def _column(nick: str, cells: int, style: Style) -> Text:
    """A nick in its column, to the right. What tells two of one nick apart stands at the end, so the middle is cut."""
    fitted = _fitted(nick, cells, style)
    return Text(" " * (cells - cell_len(fitted.plain))).append_text(fitted).append(" ")


def _fitted(nick: str, cells: int, style: Style) -> Text:
    if cell_len(nick) <= cells:
        return Text(nick, style)
    head, _, suffix = nick.rpartition("~")
    tail = f"~{suffix}" if head and cell_len(suffix) < cells - 2 else ""
    return Text(set_cell_size(nick, cells - 1 - cell_len(tail)).rstrip() + "…" + tail, style)


def _strip(text: Text, width: int) -> Strip:
    text.end = ""
    segments = list(text.render(_CONSOLE))
    blank = width - sum(segment.cell_length for segment in segments)
    if blank < 0:
        return Strip(segments).adjust_cell_length(width)
    return Strip([*segments, Segment(" " * blank)], width)
