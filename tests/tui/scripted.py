"""A backend that answers from a script, so that a window can be shown anything at once."""

import asyncio
from dataclasses import dataclass, field

from chaton.client.replies import (
    AnyReply,
    LineFacts,
    Lines,
    MemberFacts,
    MemberList,
    Ok,
    RoomFacts,
    RoomList,
    UnsentFacts,
)
from chaton.client.requests import AnyRequest, Members, Page, Rooms, Search
from chaton.identity.ids import Identity, MessageId, RoomId
from chaton.session.notices import Said
from chaton.session.text import clean

ME = "a" * 64
BEN = "b" * 64
ROOM = "1" * 64
OTHER = "2" * 64
START = 1_800_000_000_000


def facts(room=ROOM, name="lobby", **more):
    given = {"topic": "", "nick": "ada", "identity": ME, "status": "in", "relay": "localhost:5555", "members": 2,
             "connection": "online", "role": "owner"}  # fmt: skip
    return RoomFacts(room=room, name=name, **(given | more))


def member(nick, identity, **more):
    given = {"role": "member", "online": True, "muted": False, "bot": False, "guest": False, "pending": False,
             "compared": False, "ignored": False, "invited_by": "", "code": "12345 12345 12345 12345 12345 12345"}  # fmt: skip
    return MemberFacts(nick=nick, identity=identity, **(given | more))


def line(seq, text, *, kind="text", own=False, sender="ben", identity=BEN, at=None, **more):
    given = {"to": None, "re": None}
    return LineFacts(
        seq=seq, at=START + seq * 1000 if at is None else at, id=f"{seq:064x}", sender="ada" if own else sender,
        identity=ME if own else identity, kind=kind, text=text, own=own, **(given | more),
    )  # fmt: skip


def said(seq, text, *, room=ROOM, sender="ben", identity=BEN, own=False, **more):
    return Said(
        room=RoomId.from_hex(room), seq=seq, at=START + seq * 1000, id=MessageId.from_hex(f"{seq:064x}"),
        sender=clean(sender), identity=Identity.from_hex(ME if own else identity), kind=more.pop("kind", "text"),
        text=clean(text), own=own, **more,
    )  # fmt: skip


@dataclass
class Scripted:
    """Rooms with lines; everything else that is asked is answered by ``answers``, and written down in ``asked``."""

    rooms: list[RoomFacts] = field(default_factory=lambda: [facts()])
    lines: dict[str, list[LineFacts]] = field(default_factory=dict)
    members: list[MemberFacts] = field(default_factory=lambda: [member("ada", ME, role="owner"), member("ben", BEN)])
    unsent: list[UnsentFacts] = field(default_factory=list)
    answers: dict[type, AnyReply | Exception] = field(default_factory=dict)
    asked: list[AnyRequest] = field(default_factory=list)
    news: asyncio.Queue = field(default_factory=asyncio.Queue)

    async def perform(self, request: AnyRequest) -> AnyReply:
        self.asked.append(request)
        answer = self.answers.get(type(request))
        if isinstance(answer, Exception):
            raise answer
        if answer is not None:
            return answer
        match request:
            case Rooms():
                return RoomList(rooms=list(self.rooms))
            case Members():
                return MemberList(room=request.room, members=list(self.members))
            case Page():
                known = [
                    one for one in self.lines.get(request.room, []) if not request.before or one.seq < request.before
                ]
                return Lines(
                    room=request.room, lines=known[-request.limit :], unsent=[] if request.before else self.unsent
                )
            case Search():
                found = [one for one in self.lines.get(request.room, []) if request.text in one.text]
                return Lines(room=request.room, lines=found)
        return Ok()

    async def notices(self):
        while True:
            yield await self.news.get()

    def requests(self, kind):
        return [one for one in self.asked if isinstance(one, kind)]

    def has_said(self, seq, text, *, room=ROOM, **more):
        """Somebody says something: it is in the profile, and among the news."""
        own = more.get("own", False)
        more = ({"sender": "ada"} if own else {}) | more
        given = {key: value for key, value in more.items() if key in {"sender", "identity", "kind"}}
        self.lines.setdefault(room, []).append(line(seq, text, own=own, **given))
        self.news.put_nowait(said(seq, text, room=room, **more))
