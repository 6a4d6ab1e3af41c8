"""What a submitted line does in the window: text is said, a command carried out, its answer shown."""

from typing import Final, Protocol

from rich.text import Text

from chaton.client import answers, slash
from chaton.client.replies import (
    AnyReply,
    Codes,
    InviteList,
    LinkText,
    LogLines,
    MemberFacts,
    MemberList,
    Ok,
    RoomFacts,
    RoomList,
    Saved,
    SentFacts,
    Signed,
)
from chaton.client.requests import Act, AnyRequest, Connect, GetFile, Join, Search, Send, SendFile, Verify, Whois
from chaton.client.words import count, local_time, nick, size_text
from chaton.errors import ChatonError, UsageError
from chaton.tui.book import Book
from chaton.tui.desk import Desk
from chaton.tui.screens import Invitation

_WIDE: Final = 106  # Columns from which the help stands in two columns.
_KEYS_NARROW: Final = """Enter sends, Ctrl+J begins another line, Tab completes
PageUp scrolls, Esc goes to the newest line
Alt+A next unread, Alt+1 … 0 room by number
Ctrl+K finds a room, Ctrl+R searches, F2 members
Ctrl+Up chooses a message, F4 shows the last invite link
Alt+R sends again, Alt+X drops what was refused
Ctrl+Q quits; you stay a member

"""
_HELP_KEYS: Final = """Keys
  Enter             send            Ctrl+J, Alt+Enter   another line
  Tab, Shift+Tab    complete        Up, Down            what was typed before
  PageUp, PageDown  scroll          Esc                 to the newest line
  Alt+A             next unread     Alt+1 … Alt+0       room by number
  Alt+Up, Alt+Down  room before, after (also Ctrl+P, Ctrl+N)
  Ctrl+K            find a room (where nothing is typed)
  Ctrl+R            search          F2, Alt+M           members
  Ctrl+Up           choose a message, then: r reply, e edit, d take back, + react, c copy, i about it, x hide
  Alt+R, Alt+X      send again, or drop, what was refused
  F3                the list of rooms   F4 the last invite link   Ctrl+T light or dark   Ctrl+L draw anew
  Ctrl+Q            quit; you stay a member

Commands
"""


class Stage(Protocol):
    """What the screen offers to a command. ``columns``: how wide it is."""

    @property
    def columns(self) -> int:
        """How wide it is."""
        ...

    async def sure(self, sentence: Text) -> bool:
        """Whether a person confirms."""
        ...

    def read(self, title: str, text: Text) -> None:
        """Show a text to read."""
        ...

    def meet(self, room: str, facts: MemberFacts) -> None:
        """Show what is known of somebody."""
        ...

    def hand_over(self, invitation: Invitation) -> None:
        """Show an invite link."""
        ...

    def offer(self, invitation: Invitation) -> None:
        """Keep an invite link at hand, for when it is wanted."""
        ...

    def search(self, text: str) -> None:
        """Search the room."""
        ...

    async def go(self, room: str) -> None:
        """Show a room."""
        ...

    def leave(self) -> None:
        """End the program."""
        ...


def _help(name: str, columns: int) -> list[str]:
    """How commands are written, and what they do: in two columns, or beneath one another where those do not fit."""
    if name or columns >= _WIDE:
        return slash.help_lines(name)
    return [f"{one.usage}\n    {one.does}" for one in slash.COMMANDS]


class Actor:
    """See the module."""

    def __init__(self, desk: Desk, stage: Stage) -> None:
        self._desk = desk
        self._stage = stage

    async def take(self, text: str, room: str, *, pasted: bool) -> None:
        """Do what a line asks for that was typed in a room; what cannot be is told there."""
        book = self._desk.books.get(room)
        try:
            if book is None:
                await self._take_roomless(text)
                return
            typed = slash.parse(text, self._place(book), pasted=pasted)
            if isinstance(typed, slash.Local):
                await self._local(typed)
            elif typed is not None and await self._is_meant(typed):
                await self._do(typed.request)
        except ChatonError as error:
            self._tell(error, room)

    def _tell(self, error: ChatonError, room: str) -> None:
        hint = f"; {error.hint}" if error.hint else ""
        if self._desk.book is None:
            self._stage.read("that did not work", Text(f"{error}{hint}"))
        else:
            self._desk.note(f"{error}{hint}", "bad", room)

    async def _take_roomless(self, text: str) -> None:
        """Where there is no room yet, a link is what one pastes."""
        if slash.is_quit(text):
            self._stage.leave()
            return
        link, _, rest = text.strip().removeprefix("/join").strip().partition(" ")
        if not link.startswith("chaton:") or not rest.strip():
            raise UsageError("you are in no room yet", hint="paste an invite link, a space, and the nick to take")
        await self._join(link, rest.strip())

    def _place(self, book: Book) -> slash.Place:
        def find(number: int) -> str:
            line = book.at(number)
            if line is None or line.kind in {"record", "unread"}:
                raise UsageError(f"there is no message #{number} here", hint="Ctrl+Up chooses one")
            if line.kind in {"deleted", "redacted"}:
                raise UsageError(f"message #{number} was taken away: nothing can be done with it any more")
            return line.id

        nicks = [one.nick for one in book.members]
        return slash.Place(book.facts.room, nicks, find, lambda own: book.last_said(own=own))

    async def _is_meant(self, typed: slash.Ask) -> bool:
        """Whether something is to be done: what changes the room for somebody is asked about first."""
        request = typed.request
        question = typed.confirm
        if isinstance(request, Act) and request.what == "kick":
            question = f"this removes {request.who} from the room; all keys are changed"
        if not question:
            return True
        sentence = Text(question)
        if isinstance(request, Act) and request.who:
            # What cannot be undone names the identity: two people may have nicks that look alike.
            for one in (await self._desk.ask(Whois(room=request.room, who=request.who), MemberList)).members:
                sentence.append(f"\n\n{one.nick} is {one.identity[:16]}…")
            sentence.append(f"\nreason: {request.text or 'none given'}")
        is_sure = await self._stage.sure(sentence)
        if not is_sure:
            self._desk.note("nothing was done")
        return is_sure

    async def _local(self, command: slash.Local) -> None:
        match command.name:
            case "quit":
                self._stage.leave()
            case "help":
                keys = "" if command.argument else (_HELP_KEYS if self._stage.columns >= _WIDE else _KEYS_NARROW)
                self._stage.read("help", Text(keys + "\n".join(_help(command.argument, self._stage.columns))))
            case "clear":
                assert self._desk.book is not None
                self._desk.book.clear()
                self._desk.changed()
            case "last":
                self._desk.note("everything said before is above: PageUp")
            case "open":
                await self._open(command.argument)
            case "join":
                link, _, taken = command.argument.partition(" ")
                await self._join(link, taken.strip())

    async def _open(self, name: str) -> None:
        wanted = name.strip().casefold()
        fitting = [room for room, book in self._desk.books.items() if book.facts.name.casefold() == wanted]
        begun = [room for room in self._desk.books if len(wanted) >= 8 and room.startswith(wanted)]  # noqa: PLR2004
        found = list(dict.fromkeys([*fitting, *begun]))
        if len(found) != 1:
            problem = "several rooms are called that" if found else "there is no room of that name"
            raise UsageError(problem, hint="Ctrl+K shows them all")
        await self._stage.go(found[0])

    async def _join(self, link: str, name: str) -> None:
        book = self._desk.book
        taken = name or (book.facts.nick if book is not None else "")
        facts = await self._desk.ask(Join(link=link, nick=taken), RoomFacts)
        await self._desk.look_at_rooms()
        await self._stage.go(facts.room)
        self._desk.note(f"you are in {facts.name} as {facts.nick}; F1 shows commands and keys")

    async def _do(self, request: AnyRequest) -> None:
        match request:
            case Send(to=""):
                self._desk.say(request)
            case SendFile() | GetFile():
                self._show(request, await self._desk.move(request))  # type: ignore[arg-type]
            case Search():
                self._stage.search(request.text)
            case _:
                self._show(request, await self._desk.ask(request, object))  # type: ignore[arg-type]

    def _show(self, request: AnyRequest, reply: AnyReply) -> None:
        match reply:
            case Signed():
                self._signed(reply)
            case LinkText():
                self._stage.hand_over(_invitation(reply))
            case MemberList(members=[one]) if isinstance(request, Whois):
                self._stage.meet(request.room, one)
            case Ok() | Saved() | SentFacts() | RoomFacts():
                if not isinstance(request, SendFile):  # Its line is in the room.
                    self._desk.note(_short(request, reply), "good" if isinstance(reply, Saved) else "info")
            case _:
                self._stage.read(_TITLES.get(type(reply), "answer"), Text("\n".join(answers.of_reply(reply))))
        if isinstance(request, Verify) and request.ok:
            self._desk.note("noted as compared", "good")

    def _signed(self, signed: Signed) -> None:
        """The record itself comes as a line of the room."""
        if signed.link:
            about = "The link they came by had uses left and is deleted. This one takes its place."
            self._stage.offer(Invitation(signed.link, about))
            self._desk.note("the link they came by had uses left and is deleted; F4 shows the one in its place")
        if signed.lost_uses:
            uses = count(signed.lost_uses, "use")
            self._desk.note(f"the link they came by had {uses} left and is deleted; the admins were told")


def _short(request: AnyRequest, reply: Ok | Saved | SentFacts | RoomFacts) -> str:
    """An answer that fits one line."""
    match reply:
        case Saved():
            return f"saved as {reply.path}, {size_text(reply.size)}"
        case SentFacts() if isinstance(request, Send):
            return f"sent to {nick(request.to)} alone; your direct messages are at the end of the list"
        case RoomFacts():
            return f"topic: {reply.topic or '(none)'}"
    return "trying now" if isinstance(request, Connect) else "done"


def _invitation(reply: LinkText) -> Invitation:
    people = "one person" if reply.uses == 1 else f"{reply.uses} people"
    until = f", until {local_time(reply.expires)}" if reply.expires else ""
    return Invitation(reply.link, f"This link lets {people} in{until}. They run: chaton join")


_TITLES: Final[dict[type, str]] = {
    MemberList: "members", LogLines: "moderation log", Codes: "safety codes", InviteList: "invites", RoomList: "rooms",
}  # fmt: skip
