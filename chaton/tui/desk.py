"""What stands between the client and the screen: asks, takes the news, and keeps a ``Book`` for each room.

The screen never waits: it calls a method here, and is told by ``changed`` that something is to be drawn anew.
"""

import asyncio
import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from msgspec.structs import replace

from chaton.client.facts import line_facts
from chaton.client.gateway import Backend
from chaton.client.naming import mentions
from chaton.client.news import AnyNotice, ConnectionChanged, Progress, room_of
from chaton.client.replies import Lines, MemberFacts, MemberList, Ok, RoomFacts, RoomList
from chaton.client.requests import AnyRequest, Connect, Draft, GetFile, Members, Page, Rooms, Seen, Send, SendFile
from chaton.client.words import count
from chaton.errors import ChatonError
from chaton.session import notices
from chaton.tui.book import Book, Pending
from chaton.tui.chores import Chores
from chaton.tui.moving import Moving

PAGE: Final = 300
_CATCH_UP: Final = 30
_LOOK_AGAIN_S: Final = 0.2  # Facts that many news have changed are asked for once.
_CLOSE_S: Final = 1
_NS_IN_MS: Final = 1_000_000
_MISSING: Final = {"withheld", "pruned", "stale"}  # Warnings that stand at a line, which knows them by itself.

_Reply = TypeVar("_Reply")


def now_ms() -> int:
    """The machine's time in ms."""
    return time.time_ns() // _NS_IN_MS


@dataclass(slots=True)
class Desk:
    """See the module.

    Attributes:
        backend: Carries out.
        changed: Called after every change of what is to be seen.
        called: Called when somebody speaks to the person: the room, and what it is (a mention or a direct message).
        books: Every room by its id, in the order of the list.
        current: The id of the room that is shown; empty for none.
        looking: Whether a person looks at the end of the current room: what comes is seen.
        moving: How far what takes long is.
    """

    backend: Backend
    changed: Callable[[], None] = lambda: None
    called: Callable[[Book], None] = lambda _book: None
    books: dict[str, Book] = field(default_factory=dict)
    current: str = ""
    looking: bool = True
    moving: Moving = field(default_factory=Moving)
    _ref: int = field(default_factory=lambda: now_ms() * 1_000)
    _stale: set[tuple[str, int]] = field(default_factory=set)  # Lines that are others now, by room and event.
    _recorded_since: dict[str, int] = field(default_factory=dict)  # Rooms with new records, and after which event.
    _looking_again: bool = False
    _seen: dict[str, int] = field(default_factory=dict)
    _untold: set[str] = field(default_factory=set)
    chores: Chores = field(init=False)

    def __post_init__(self) -> None:
        """What goes wrong beside the screen is told in the room."""
        self.chores = Chores(lambda error: self.note(str(error), "bad"))

    @property
    def book(self) -> Book | None:
        """The room that is shown."""
        return self.books.get(self.current)

    async def ask(self, request: AnyRequest, kind: type[_Reply]) -> _Reply:
        """Perform a request whose answer is of one kind."""
        reply = await self.backend.perform(request)
        assert isinstance(reply, kind)
        return reply

    # --- rooms ---

    async def begin(self, room: str) -> None:
        """Learn which rooms there are, show one, and connect."""
        await self.look_at_rooms()
        first = room if room in self.books else next(iter(self.books), "")
        if first:
            await self.show(first)
        await self.ask(Connect(), Ok)

    async def look_at_rooms(self) -> None:
        """Ask for every room's facts anew."""
        known = (await self.ask(Rooms(), RoomList)).rooms
        kept = {one.room: one for one in known if one.status in {"in", "joining"} or one.room in self.books}
        for room, facts in kept.items():
            book = self.books.setdefault(room, Book(facts))
            book.facts = facts
        self.books = {room: self.books[room] for room in sorted(kept, key=lambda room: _order(kept[room]))}
        self.changed()

    async def show(self, room: str) -> None:
        """Go to a room. What comes while it is looked at is seen."""
        if (left := self.book) is not None and self.current != room:
            left.marker = max(left.marker, left.last)
            left.trim()
        self.current = room
        book = self.books[room]
        if not book.loaded:
            book.loaded = True  # What comes while the page is on its way belongs to it.
            try:
                await self._turn(book, before=0)
            except ChatonError:
                book.loaded = False
                raise
        await self.look_at_members(room)
        self.see()

    async def look_at_members(self, room: str) -> None:
        """Ask who is in a room."""
        members = (await self.ask(Members(room=room, wait=False), MemberList)).members
        if (book := self.books.get(room)) is not None:
            book.members = members
            self.changed()

    async def turn_back(self) -> bool:
        """Fetch older lines of the room that is shown; whether there were any."""
        book = self.book
        if book is None or book.complete:
            return False
        return await self._turn(book, before=book.first)

    async def _turn(self, book: Book, *, before: int) -> bool:
        page = await self.ask(Page(room=book.facts.room, before=before, limit=PAGE), Lines)
        book.turn_back(page.lines, PAGE)
        book.waits(page.unsent, now_ms())
        self.changed()
        return bool(page.lines)

    def see(self) -> None:
        """What the current room shows is seen by a person, if one looks."""
        book = self.book
        if book is None or not self.looking:
            return
        book.seen()
        if book.last > self._seen.get(self.current, book.facts.read):
            if not self._untold:
                self.chores.begin(self._tell_what_is_seen())
            self._seen[self.current] = book.last
            self._untold.add(self.current)
        self.changed()

    async def _tell_what_is_seen(self) -> None:
        """Many lines come at once: what was seen of them is told once."""
        await asyncio.sleep(_LOOK_AGAIN_S)
        untold, self._untold = self._untold, set()
        for room in untold:
            await self._quietly(Seen(room=room, seq=self._seen[room]))

    def look_away(self) -> None:
        """Nobody looks any more: what comes from now on is new."""
        self.looking = False
        if (book := self.book) is not None:
            book.marker = max(book.marker, book.last)

    def keep_draft(self, room: str, text: str) -> None:
        """Remember what was typed and not sent."""
        book = self.books.get(room)
        if book is not None and book.facts.draft != text:
            book.facts = replace(book.facts, draft=text)
            self.chores.begin(self._quietly(Draft(room=room, text=text)))

    def online(self) -> list[MemberFacts]:
        """Who else is online in the room that is shown, by the relay's word."""
        book = self.book
        members = book.members if book is not None else []
        return [one for one in members if one.online and book is not None and one.identity != book.facts.identity]

    # --- speaking ---

    def say(self, send: Send) -> None:
        """Say something: it is shown at once as on its way, and stays in the outbox until it is in the room."""
        self._ref += 1
        book = self.books[send.room]
        book.marker = max(book.marker, book.last)  # Whoever answers has read what was new.
        book.hold(Pending(self._ref, send.kind if send.add else "unreact", send.text, send.re or None, now_ms()))
        self.chores.begin(self._hand_over(book, replace(send, wait=False, ref=self._ref), self._ref))
        self.changed()

    async def _hand_over(self, book: Book, send: Send, ref: int) -> None:
        try:
            await self.ask(send, Ok)
        except ChatonError as error:
            self._fail(book, ref, str(error), send.text, send.kind)

    def _fail(self, book: Book, ref: int, why: str, text: str, kind: str = "text") -> None:
        pending = book.pending.get(ref) or Pending(ref, kind, text, None, now_ms())
        book.hold(dataclasses.replace(pending, failed=why))
        self.changed()

    def retry(self) -> bool:
        """Say once more what was refused last; whether there was anything."""
        book = self.book
        failed = book.last_failed() if book is not None else None
        if book is None or failed is None:
            return False
        book.drop(failed.ref)
        kind, add = ("react", False) if failed.kind == "unreact" else (failed.kind, True)
        self.say(Send(room=book.facts.room, text=failed.text, kind=kind, re=failed.re or "", add=add))
        return True

    def give_up(self) -> Pending | None:
        """Take the message that was refused last away; what it was."""
        book = self.book
        failed = book.last_failed() if book is not None else None
        if book is None or failed is None:
            return None
        dropped = book.drop(failed.ref)
        self.changed()
        return dropped

    async def move(self, request: SendFile | GetFile) -> object:
        """Send or fetch a file, which takes as long as it takes."""
        try:
            return await self.backend.perform(request)
        finally:
            self.moving.end_files(up=isinstance(request, SendFile))
            self.changed()

    def note(self, text: str, tone: str = "info", room: str = "") -> None:
        """A line of the program's own, in a room or the one that is shown."""
        if (book := self.books.get(room or self.current)) is not None:
            book.note(text, tone, now_ms())
            self.changed()

    # --- news ---

    async def listen(self) -> None:
        """Take the news until there are none any more."""
        async for notice in self.backend.notices():
            self.take(notice)

    def take(self, notice: AnyNotice) -> None:
        """Something happened."""
        book = self.books.get(str(room_of(notice) or ""))
        match notice:
            case notices.Said():
                self._said(notice, book)
            case notices.Sent() if book is not None:
                book.drop(notice.ref)
                self._look_again()
            case notices.Rejected() if book is not None:
                self._fail(book, notice.ref, str(notice.detail), str(notice.text))
            case notices.Redacted() if book is not None:
                self._renew(book, str(notice.message))
            case notices.Warned():
                self._warned(notice, book)
            case notices.Joined() if book is not None:
                self.chores.begin(self._read_anew(book))
            case notices.PresenceChanged() if book is not None:
                self._look_again()
            case ConnectionChanged():
                self._look_again()
            case Progress() | notices.Working():
                self.moving.take(notice)
            case _:
                self._recorded(notice, book)
        self.changed()

    def _said(self, said: notices.Said, book: Book | None) -> None:
        if book is None:
            self._look_again()  # A room that is new, such as a direct one: its first page will hold this.
            return
        if said.kind in {"edit", "delete", "react"}:
            self._renew(book, str(said.re))
            return
        # A room that was not looked at yet is read from the profile when it is.
        is_new = book.put(line_facts(said)) if book.loaded else said.seq > book.facts.read
        if book is not self.book:
            book.trim()
        if is_new and not said.own:
            self._came(said, book)

    def _came(self, said: notices.Said, book: Book) -> None:
        names_me = mentions(said.text, book.facts.nick)
        if self.looking and book is self.book:
            self.see()
        else:
            book.unread += 1
            book.mentions += names_me
        if names_me or said.to is not None:
            self.called(book)

    def _warned(self, warned: notices.Warned, book: Book | None) -> None:
        if warned.seq and book is not None:
            self._stale.add((book.facts.room, warned.seq))  # Its line says by itself why it cannot be read.
            self._look_again()
            if warned.code != "fork":
                return
        if warned.code == "reconnecting" or warned.code in _MISSING:
            return
        room = book.facts.room if book is not None else self.current
        self.note(f"{warned.detail} ({warned.code})", "bad" if warned.code in {"fork", "clone"} else "warning", room)
        self._look_again()

    def _recorded(self, notice: AnyNotice, book: Book | None) -> None:
        """Something changed the room: the line of its record is in the profile."""
        if book is not None and isinstance(notice, notices.MemberChanged):
            # Where somebody takes the nick of one who has gone, the lines of that one are told apart from now on.
            is_taken = book.has_other(notice.detail if notice.action == "nick" else notice.nick, str(notice.identity))
            since = self._recorded_since.get(book.facts.room, book.last)
            self._recorded_since[book.facts.room] = book.first - 1 if is_taken else since
        elif book is not None and isinstance(notice, notices.TopicChanged | notices.Ended):
            self._recorded_since.setdefault(book.facts.room, book.last)
        elif book is not None and isinstance(notice, notices.LinkWanted):
            uses = count(notice.uses, "use")
            sentence = f"{notice.by} removed somebody whose link had {uses} left; /invite {notice.uses} makes another"
            self.note(sentence, "warning", book.facts.room)
        self._look_again()

    async def _read_anew(self, book: Book) -> None:
        """A room was joined again, and tells its messages anew: they may stand elsewhere than before."""
        room = book.facts.room
        await self.ask(Members(room=room, wait=True), MemberList)
        book.clear()
        book.loaded = False
        await self.look_at_rooms()
        if room == self.current:
            await self.show(room)

    def _renew(self, book: Book, message: str) -> None:
        """The line of a message is another now."""
        seq = book.seq_of(message)
        if seq is not None:
            self._stale.add((book.facts.room, seq))
            self._look_again()

    def _look_again(self) -> None:
        if not self._looking_again:
            self._looking_again = True
            self.chores.begin(self._look_soon())

    async def _look_soon(self) -> None:
        await asyncio.sleep(_LOOK_AGAIN_S)
        self._looking_again = False
        stale, self._stale = self._stale, set()
        recorded, self._recorded_since = self._recorded_since, {}
        for room, seq in stale:
            await self._renew_line(room, seq)
        for room, since in recorded.items():
            await self._catch_up(room, since)
        await self.look_at_rooms()
        if self.current in self.books:
            await self.look_at_members(self.current)

    async def _renew_line(self, room: str, seq: int) -> None:
        """Fetch the line of one event."""
        book = self.books.get(room)
        if book is not None and book.loaded and seq >= book.first:
            for line in (await self.ask(Page(room=room, before=seq + 1, limit=1), Lines)).lines:
                if line.seq == seq:
                    book.put(line)

    async def _catch_up(self, room: str, since: int) -> None:
        """Fetch every line behind an event: the records that came are among them."""
        book, before = self.books.get(room), 0
        while book is not None and book.loaded:
            page = (await self.ask(Page(room=room, before=before, limit=_CATCH_UP), Lines)).lines
            for line in page:
                if line.seq > since:
                    book.put(line)
            if len(page) < _CATCH_UP or page[0].seq <= since:
                break
            before = page[0].seq
        if room == self.current:
            self.see()

    async def _quietly(self, request: AnyRequest) -> None:
        await self.ask(request, Ok)

    async def close(self) -> None:
        """Finish what is quick, and give the rest up: the outbox keeps what was said."""
        await self.chores.close(_CLOSE_S)


def _order(facts: RoomFacts) -> tuple[bool, str, str]:
    """Rooms before direct ones, by name."""
    return bool(facts.peer), facts.name.casefold(), facts.room
