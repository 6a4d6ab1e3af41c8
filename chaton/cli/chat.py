"""A room that one types into: what the line client and the JSON client have in common.

Messages are handed over in the order in which they were typed and not waited for; a command is carried out before the
next line is. Reading goes on meanwhile, so that one can quit while a command waits for a relay that is away. At the end
of input what is still on its way is waited for.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias, TypeVar

from chaton.cli.face import Backend, Face
from chaton.cli.typing_in import Line
from chaton.client import slash
from chaton.client.news import AnyNotice, ConnectionChanged, room_of
from chaton.client.replies import LineFacts, Lines, MemberList, Ok, RoomFacts, SentFacts
from chaton.client.requests import Act, AnyRequest, GetFile, Join, Members, Open, Seen, Send, SendFile, Tail, Whois
from chaton.errors import ChatonError, Fork, SecurityStop, Unreachable, UsageError
from chaton.session.notices import Ended, Joined, MemberChanged, PresenceChanged, Said, Waiting, Warned, Working
from chaton.session.text import clean

ON_THEIR_WAY_MAX: Final = 64  # More lines are not read before some of these are in the room.
_AHEAD_MAX: Final = 64  # Lines that are read while a command is under way.
_SEEN_S: Final = 1  # What was shown is written down so much later, all at once.
_QUIT_S: Final = 5  # How long /quit waits for them; what is later goes out at the next start.
_EXIT_REFUSED: Final = 3
_EXIT_UNREACHABLE: Final = 4
_EXIT_SECURITY: Final = 5
_ENDS: Final = {"left": 0, "closed": 0, "security": _EXIT_SECURITY}
_REPEATED_LINES: Final = 20
# What the client says of a message that is sealed already and goes out by itself: it must not be said twice.
_ON_ITS_WAY: Final = "stays in the outbox"

_Reply = TypeVar("_Reply")
_Lasting: TypeAlias = Send | SendFile | GetFile  # What goes on while the next lines are read.
_Lines: TypeAlias = "asyncio.Queue[Line | None]"


@dataclass(slots=True)
class Chat:
    """One client in one room at a time.

    Attributes:
        backend: Carries out.
        face: Shows.
        repeat: How many lines of before are shown on entering.
    """

    backend: Backend
    face: Face
    repeat: int = 0
    facts: RoomFacts | None = None
    _nicks: dict[str, str] = field(default_factory=dict)
    _ids: dict[int, str] = field(default_factory=dict)
    _last: str = ""
    _last_own: str = ""
    _shown: set[str] = field(default_factory=set)
    _waiting: list[AnyNotice] = field(default_factory=list)
    _on_their_way: dict[asyncio.Task[None], tuple[_Lasting, int]] = field(default_factory=dict)
    _ref: int = 0
    _seen: int = 0
    _seeing: asyncio.Task[None] | None = None
    _hurry: asyncio.Event = field(default_factory=asyncio.Event)
    _asked: slash.Ask | None = None
    _unreached: bool = False
    _is_finishing: bool = False
    _is_over: bool = False

    async def run(self, first: AnyRequest, lines: AsyncIterator[Line]) -> int:
        """Enter a room by a ``Join`` or ``Open`` and stay until the end; the exit code.

        Raises:
            ChatonError: One does not come in.
        """
        # From before the request on, so that nothing is missed between its answer and the first look.
        listening = asyncio.create_task(self._listen(self.backend.notices()))
        tasks = {listening}
        try:
            await self._enter(first)
            typing = asyncio.create_task(self._type(lines, listening))
            tasks.add(typing)
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return listening.result() if listening.done() else typing.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            self._give_up()
            await self._mark_seen()

    async def ask(self, request: AnyRequest, kind: type[_Reply]) -> _Reply:
        """Perform a request whose answer is of one kind."""
        reply = await self.backend.perform(request)
        assert isinstance(reply, kind)
        return reply

    # --- what happens ---

    async def _listen(self, notices: AsyncIterator[AnyNotice]) -> int:
        async for notice in notices:
            if self.facts is None and not isinstance(notice, Waiting | ConnectionChanged | Working):
                self._waiting.append(notice)
                continue
            code = self._take_notice(notice)
            if code is not None:
                return code
        self.face.ended(self._room, "relay-gone", "the client of this profile has ended")
        return _EXIT_UNREACHABLE

    @property
    def _room(self) -> str:
        return self.facts.room if self.facts is not None else ""

    def _take_notice(self, notice: AnyNotice) -> int | None:
        """Show what happened, where it belongs here; the exit code where it is the end."""
        if isinstance(notice, ConnectionChanged):
            return self._connection(notice)
        # On the way in, no room is here yet, and what takes so long is told of whichever it is.
        here = self.facts is None or str(room_of(notice) or "") == self._room
        if isinstance(notice, Ended) and here:
            self.face.ended(self._room, notice.code, notice.detail)
            return _ENDS.get(notice.code, _EXIT_REFUSED)
        direct = isinstance(notice, Said) and notice.to is not None
        if not here and not direct and not isinstance(notice, Warned | Waiting):
            return None
        if isinstance(notice, Joined):
            return None  # One has entered already, and comes back by itself.
        if isinstance(notice, Said) and not self._is_new(notice):
            return None
        if isinstance(notice, MemberChanged):
            self._nicks[str(notice.identity)] = notice.detail if notice.action == "nick" else notice.nick
        self.face.notice(notice)
        return None

    def _connection(self, notice: ConnectionChanged) -> int | None:
        if self.facts is not None and notice.address != self.facts.relay:
            return None
        if notice.state == "stopped" and self.facts is not None:
            is_security = notice.code == "security"
            self.face.ended(self._room, "security" if is_security else "relay-gone", notice.detail)
            return _EXIT_SECURITY if is_security else _EXIT_UNREACHABLE
        self.face.notice(notice)
        return None

    def _is_new(self, said: Said) -> bool:
        message = str(said.id)
        if message in self._shown:
            return False
        if str(said.room) == self._room:
            self._note(message, said.seq, said.kind, own=said.own)
        else:
            self._shown.add(message)  # A direct message: its number, and ^, are those of another room.
        return True

    def _note(self, message: str, seq: int, kind: str, *, own: bool) -> None:
        self._shown.add(message)
        self._see(seq)
        if kind in {"edit", "delete", "react"}:
            return
        self._ids[seq] = message
        self._last = message
        if own:
            self._last_own = message

    def _see(self, seq: int) -> None:
        self._seen = max(self._seen, seq)
        if self._seeing is None:
            self._seeing = asyncio.create_task(self._see_later())

    async def _see_later(self) -> None:
        await asyncio.sleep(_SEEN_S)
        self._seeing = None
        await self._mark_seen()

    async def _mark_seen(self) -> None:
        """Write down what was shown: it is not new any more."""
        if self._seeing is not None:
            self._seeing.cancel()
            self._seeing = None
        seen, self._seen = self._seen, 0
        if seen:
            # Nothing depends on it, and the room may have ended.
            with contextlib.suppress(ChatonError, TimeoutError):
                async with asyncio.timeout(_QUIT_S):
                    await self.ask(Seen(room=self._room, seq=seen), Ok)

    # --- coming in ---

    async def _enter(self, request: AnyRequest) -> None:
        """Join or open a room and show it. What happened meanwhile is shown behind its beginning."""
        facts = await self.ask(request, RoomFacts)
        people = (await self.ask(Members(room=facts.room), MemberList)).members
        before = await self._before(facts)
        await self._mark_seen()
        self._ids.clear()
        self._last = self._last_own = ""
        self._nicks = {one.identity: one.nick for one in people}
        self.facts = facts
        self.face.entered(facts, people)
        for line in before:
            self._note(line.id, line.seq, line.kind, own=line.own)
        if before:
            self.face.history(before)
        waiting, self._waiting = self._waiting, []
        for notice in waiting:
            if not isinstance(notice, PresenceChanged):  # The list of members is newer.
                self._take_notice(notice)

    async def _before(self, facts: RoomFacts) -> list[LineFacts]:
        if not self.repeat:
            return []
        lines = (await self.ask(Tail(room=facts.room), Lines)).lines
        return lines[-self.repeat :]

    # --- what is typed ---

    async def _type(self, lines: AsyncIterator[Line], listening: asyncio.Task[int]) -> int:
        ahead: _Lines = asyncio.Queue(_AHEAD_MAX)
        reading = asyncio.create_task(self._read(lines, ahead))
        try:
            while (line := await ahead.get()) is not None:
                self._ref += 1
                if await self._take_in_time(line, self._ref) or self._is_over:
                    await self._finish(_QUIT_S)
                    break
            else:
                await reading
                await self._finish(_QUIT_S if self.face.asks else None)
        finally:
            reading.cancel()
        if self._is_over:
            # That one has left, or closed the room, is told as every end is.
            await asyncio.wait({listening}, timeout=_QUIT_S)
        if not listening.done():
            self.face.ended(self._room, "quit", "")
        return _EXIT_UNREACHABLE if self._unreached else 0

    async def _read(self, lines: AsyncIterator[Line], ahead: _Lines) -> None:
        """Read on while a command is under way. Somebody who wants to go is not kept by it."""
        async for line in lines:
            self.face.typed(line.text)
            if slash.is_quit(line.text):
                self._hurry.set()
            await ahead.put(line)
        if self.face.asks:
            self._hurry.set()
        await ahead.put(None)

    async def _take_in_time(self, line: Line, ref: int) -> bool:
        taking, hurry = asyncio.create_task(self._take(line, ref)), asyncio.create_task(self._hurry.wait())
        try:
            await asyncio.wait({taking, hurry}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({taking}, timeout=_QUIT_S)
            if taking.done():
                return taking.result()
            self._unreached = True
            error = Unreachable("this was not answered before the end: " + clean(line.text))
            self.face.failed(error, self._room, ref)
            return False
        finally:
            taking.cancel()
            hurry.cancel()

    async def _take(self, line: Line, ref: int) -> bool:
        """Do what a line asks for; whether it was to quit."""
        try:
            typed = self._parsed(line)
            if isinstance(typed, slash.Local):
                return await self._local(typed)
            if typed is not None and typed.confirm and self.face.asks:
                await self._ask_back(typed)
            elif typed is not None:
                await self._do(typed.request, ref)
        except ChatonError as error:
            self.face.failed(error, self._room, ref)
            if isinstance(error, SecurityStop) and not isinstance(error, Fork):
                raise  # A fork is looked at from inside, by /verify.
        return False

    def _parsed(self, line: Line) -> slash.Typed | None:
        asked, self._asked = self._asked, None
        if line.problem:
            raise UsageError(line.problem)
        if asked is not None:
            if line.text.strip().lower() in {"y", "yes"}:
                return slash.Ask(asked.request)
            raise UsageError("that was not yes, so nothing was done")
        place = slash.Place(self._room, list(self._nicks.values()), self._find, self._last_of)
        return slash.parse(line.text, place, pasted=line.pasted)

    def _find(self, number: int) -> str:
        if number not in self._ids:
            raise UsageError(f"there is no message #{number} here", hint="/last shows the numbers of the last messages")
        return self._ids[number]

    def _last_of(self, own: bool) -> str:
        return self._last_own if own else self._last

    async def _ask_back(self, typed: slash.Ask) -> None:
        sentence, request = typed.confirm, typed.request
        if isinstance(request, Act) and request.who:
            # What cannot be undone names the identity: two people may have nicks that look alike.
            found = (await self.ask(Whois(room=request.room, who=request.who), MemberList)).members
            sentence += "".join(f"; {one.nick} is {one.identity[:16]}…" for one in found)
        self._asked = typed
        self.face.question(sentence)

    async def _local(self, command: slash.Local) -> bool:
        match command.name:
            case "quit":
                return True
            case "last":
                await self._repeat(command.argument)
            case "open":
                await self._enter(Open(room=command.argument))
            case "join":
                link, _, nick = command.argument.partition(" ")
                assert self.facts is not None
                await self._enter(Join(link=link, nick=nick.strip() or self.facts.nick))
            case _:
                self.face.local(command)
        return False

    async def _repeat(self, argument: str) -> None:
        count = int(argument) if argument.isdecimal() and len(argument) <= 5 else _REPEATED_LINES  # noqa: PLR2004
        request = Tail(room=self._room)
        told = await self.ask(request, Lines)
        last = told.lines[-count:] if count else []
        for line in last:
            self._note(line.id, line.seq, line.kind, own=line.own)
        self.face.reply(request, Lines(room=told.room, lines=last))

    async def _do(self, request: AnyRequest, ref: int) -> None:
        if not isinstance(request, _Lasting):
            self.face.reply(request, await self.backend.perform(request))
            self._is_over |= isinstance(request, Act) and request.what in {"leave", "close"}
            return
        while len(self._on_their_way) >= ON_THEIR_WAY_MAX:
            await asyncio.wait(self._on_their_way, return_when=asyncio.FIRST_COMPLETED)
        sending = asyncio.create_task(self._send(request, ref))
        self._on_their_way[sending] = request, ref
        sending.add_done_callback(lambda done: self._on_their_way.pop(done, None))

    async def _send(self, request: _Lasting, ref: int) -> None:
        """Say something until it is in the room, or fetch a file until it is here, however long the relay is away."""
        while True:
            try:
                reply = await self.backend.perform(request)
                if isinstance(reply, SentFacts):
                    self.face.sent(reply, ref)
                else:
                    self.face.reply(request, reply)
            except ChatonError as error:
                if isinstance(error, Unreachable) and not self._is_finishing and _ON_ITS_WAY not in error.hint:
                    continue
                self._unreached |= isinstance(error, Unreachable)
                self.face.failed(error, request.room, ref)
            return

    async def _finish(self, seconds: float | None) -> None:
        """Wait for what is on its way."""
        self._is_finishing = True
        if self._on_their_way:
            await asyncio.wait(set(self._on_their_way), timeout=seconds)
        self._unreached |= bool(self._on_their_way)

    def _give_up(self) -> None:
        """Nothing that was typed is lost without a word."""
        pending, self._on_their_way = self._on_their_way, {}
        for task, (request, ref) in pending.items():
            task.cancel()
            self.face.failed(_unfinished(request), request.room, ref)


def _unfinished(request: _Lasting) -> Unreachable:
    if isinstance(request, GetFile):
        return Unreachable("the file was not here yet", hint="/get goes on where it stopped")
    what = clean(request.text if isinstance(request, Send) else request.path)
    return Unreachable(f"this was not in the room yet: {what}", hint="look at chaton tail before you send it again")
