"""One room as the window holds it: its lines in order, what is on its way, and what is new. Pure."""

from bisect import insort
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from chaton.client.replies import LineFacts, MemberFacts, RoomFacts, UnsentFacts

KEPT_AT_MOST: Final = 2_000  # Lines held of a room that nobody scrolls back in; the profile has all of them.
KEPT_AFTER_TRIM: Final = 1_000
_ACTS: Final = {"edit", "delete", "react", "unreact"}
_UNSAID: Final = {"record", "unread"}


@dataclass(frozen=True, slots=True)
class Note:
    """A line of the program's own, behind event ``seq``. ``tone``: info, good, warning, bad."""

    seq: int
    text: str
    tone: str
    at: int


@dataclass(frozen=True, slots=True)
class Pending:
    """An own message that is not in the room yet, as it was typed. ``failed`` says why it never will be."""

    ref: int
    kind: str
    text: str
    re: str | None
    at: int
    failed: str = ""

    @property
    def is_line(self) -> bool:
        """Whether it will be a line of its own, and not an edit or reaction."""
        return self.kind not in _ACTS


Item: TypeAlias = LineFacts | Note | Pending
_Place: TypeAlias = tuple[int, int]


@dataclass(slots=True)
class Book:
    """See the module.

    Attributes:
        facts: The room.
        members: Who is in it.
        pending: Own messages by the number they were given.
        marker: The last event that had been seen when somebody last looked; "new" stands behind it.
        complete: Whether nothing older is in the profile.
        alarming: Lines before which messages are missing, or that somebody removed may have read.
        version: Grows with each change of what is shown.
    """

    facts: RoomFacts
    members: list[MemberFacts] = field(default_factory=list)
    pending: dict[int, Pending] = field(default_factory=dict)
    marker: int = 0
    complete: bool = False
    loaded: bool = False
    version: int = 0
    unread: int = 0
    mentions: int = 0
    alarming: dict[int, LineFacts] = field(default_factory=dict)
    _cleared: int = 0  # The newest event when the lines were let go: what is noted then stands behind it.
    _items: dict[_Place, LineFacts | Note] = field(default_factory=dict)
    _order: list[_Place] = field(default_factory=list)
    _by_id: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begin with what the facts say is new."""
        self.marker, self.unread, self.mentions = self.facts.read, self.facts.unread, self.facts.mentions

    # --- what is in it ---

    def items(self) -> list[Item]:
        """Everything to show, in order; what is on its way is last."""
        waiting = [one for one in self.pending.values() if one.is_line or one.failed]
        return [*(self._items[place] for place in self._order), *waiting]

    @property
    def first(self) -> int:
        """The event of the oldest line held, 0 for none."""
        return next((seq for seq, note in self._order if not note), 0)

    @property
    def last(self) -> int:
        """The event of the newest line, 0 for none."""
        return self._order[-1][0] if self._order else self._cleared

    def at(self, seq: int) -> LineFacts | None:
        """The line of an event."""
        found = self._items.get((seq, 0))
        return found if isinstance(found, LineFacts) else None

    def seq_of(self, message: str) -> int | None:
        """The event of a message, if its line is held."""
        return self._by_id.get(message)

    def quoted(self, message: str | None) -> LineFacts | None:
        """The line that a reply is about, if it is held."""
        seq = self._by_id.get(message or "")
        return self.at(seq) if seq is not None else None

    def last_said(self, *, own: bool = False) -> str:
        """The id of the last message, or the last own one; empty where there is none."""
        lines = (self._items[place] for place in reversed(self._order))
        said = (one for one in lines if isinstance(one, LineFacts) and one.kind not in _UNSAID)
        return next((one.id for one in said if one.own or not own), "")

    def talkers(self) -> list[str]:
        """The nicks of others, whoever spoke last first, then everybody else."""
        spoke = [one.sender for one in map(self._items.get, reversed(self._order)) if isinstance(one, LineFacts)]
        others = [one.nick for one in self.members if one.identity != self.facts.identity]
        return [nick for nick in dict.fromkeys([*spoke, *others]) if nick in others]

    def has_other(self, nick: str, identity: str) -> bool:
        """Whether a line shows a nick that is not this person's."""
        lines = (one for one in self._items.values() if isinstance(one, LineFacts) and one.identity != identity)
        return any(one.sender.casefold() == nick.casefold() for one in lines)

    # --- changes ---

    def put(self, line: LineFacts) -> bool:
        """Take in a line, or what has become of one; whether it is a new one, or one that can be read only now."""
        place = (line.seq, 0)
        before = self._items.get(place)
        if before is None:
            insort(self._order, place)
        self._items[place] = line
        self._by_id[line.id] = line.seq
        self.alarming.pop(line.seq, None)
        if (line.lost and not line.pruned) or line.stale:
            self.alarming[line.seq] = line
        self.version += 1
        was_unread = isinstance(before, LineFacts) and before.kind == "unread"
        return before is None or (was_unread and line.kind != "unread")

    def note(self, text: str, tone: str, at: int) -> None:
        """Say something behind everything that is there now."""
        place = (self.last, self._order[-1][1] + 1 if self._order else 1)
        self._items[place] = Note(place[0], text, tone, at)
        self._order.append(place)
        self.version += 1

    def turn_back(self, lines: list[LineFacts], asked: int) -> None:
        """Take in an older page, of ``asked`` lines if there are so many."""
        for line in lines:
            self.put(line)
        self.complete = len(lines) < asked

    def waits(self, unsent: list[UnsentFacts], at: int) -> None:
        """Take in what the outbox holds from before."""
        for one in unsent:
            self.pending.setdefault(one.ref, Pending(one.ref, one.kind, one.text, one.re, at))
        self.version += 1

    def hold(self, pending: Pending) -> None:
        """Show something as on its way, or as refused."""
        self.pending[pending.ref] = pending
        self.version += 1

    def drop(self, ref: int) -> Pending | None:
        """It is in the room, or given up."""
        self.version += 1
        return self.pending.pop(ref, None)

    def last_failed(self) -> Pending | None:
        """The last own message that was refused and not given up."""
        return next((one for one in reversed(self.pending.values()) if one.failed), None)

    def clear(self) -> None:
        """Show nothing of before. It can be scrolled back to."""
        self._cleared = max(self._cleared, self.last)
        self._items.clear()
        self._order.clear()
        self._by_id.clear()
        self.alarming.clear()
        self.complete = False
        self.version += 1

    def trim(self) -> None:
        """Let go of the oldest lines, when there are many."""
        if len(self._order) <= KEPT_AT_MOST:
            return
        dropped, self._order = self._order[:-KEPT_AFTER_TRIM], self._order[-KEPT_AFTER_TRIM:]
        for place in dropped:
            line = self._items.pop(place)
            if isinstance(line, LineFacts):
                self._by_id.pop(line.id, None)
                self.alarming.pop(line.seq, None)
        self.complete = False
        self.version += 1

    def seen(self) -> None:
        """Somebody looks at the room, at its end: nothing is unread."""
        self.unread = self.mentions = 0
