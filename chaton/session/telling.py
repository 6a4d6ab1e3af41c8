"""From records and messages to sentences: names, topics, and who did what to whom."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from chaton.errors import ProtocolError
from chaton.identity.ids import Identity, Instance
from chaton.identity.secret import RoomInfoKey
from chaton.limits import RECORDS_MAX
from chaton.room.names import distinguish
from chaton.room.records import (
    Admit,
    Ban,
    Info,
    Invite,
    Join,
    Leave,
    Mute,
    Nick,
    Record,
    Remove,
    Role,
    SetRole,
)
from chaton.room.state import Member
from chaton.session.content import Action, Content, Delete, Edit, File, React, Reply, Text, Unreadable
from chaton.session.notices import MemberChanged, Notice, Person, TopicChanged
from chaton.session.text import SafeText, clean, clean_line
from chaton.session.view import View
from chaton.vault.info import open_info

EMPTY = SafeText("")

WHY_UNREAD = {
    "bare": "the relay deleted it as soon as it came, or withholds it",
    "index": "it was sent before you were given its key, or is a repetition",
    "chain": "its sender had moved on to newer keys",
    "muted": "its sender was muted",
    "sender": "its sender was no member at that time",
    "closed": "the room was closed",
    "signature": "somebody else than the owner of its key wrote it",
    "future": "it names events that you were not shown; the relay may be withholding some",
    "fork": "its sender holds another history of the room",
}

_KIND_NAMES: dict[type, str] = {
    Text: "text", Action: "action", Reply: "reply", Edit: "edit", Delete: "delete", React: "react", File: "file",
    Unreadable: "unknown",
}  # fmt: skip


def kind_name(content: Content | Unreadable) -> str:
    """The word for a kind of message."""
    return _KIND_NAMES[type(content)]


@dataclass(slots=True)
class Teller:
    """Knows how a room and the people in it are named.

    Args:
        view: The member's view of the room.
        rik: What opens the sealed texts; None in a direct room, which has none.
        elsewhere: How other rooms name somebody: a direct room has no nicks of its own.
    """

    view: View
    rik: RoomInfoKey | None
    elsewhere: Callable[[Identity], SafeText]
    online: set[Identity] = field(default_factory=set)
    _names: dict[Identity, SafeText] = field(default_factory=dict)
    _names_at: int = -1
    _opened: dict[bytes, SafeText] = field(default_factory=dict)

    def text(self, info: bytes) -> SafeText:
        """A sealed text, made harmless; empty where it does not open."""
        if self.rik is None:
            return EMPTY
        if info not in self._opened:
            try:
                self._opened[info] = clean(open_info(self.rik, info))
            except ProtocolError:
                self._opened[info] = EMPTY
        return self._opened[info]

    @property
    def name(self) -> SafeText:
        """The room's name."""
        return self._named(self.view.state.info)[0]

    @property
    def topic(self) -> SafeText:
        """The room's topic."""
        return self._named(self.view.state.info)[1]

    def names(self) -> dict[Identity, SafeText]:
        """The names of everybody in the room, each its own."""
        both = (*self.view.state.members, *self.view.state.pending)
        return {identity: self.called(identity) for identity in both}

    def called(self, identity: Identity) -> SafeText:
        """The name of somebody, who may be out by now."""
        if self.rik is None:
            return self.elsewhere(identity)
        if self._names_at != self.view.state.n:
            self._names = {who: SafeText(name) for who, name in distinguish(self._claims()).items()}
            self._names_at = self.view.state.n
        return self._names.get(identity, SafeText(f"~{identity.short}"))

    def _claims(self) -> Iterator[tuple[Identity, str, int]]:
        """Who claims which nick since which record. Of two alike, those who are out come after all who are in."""
        latest = {seat.identity: seat.standings[-1] for seat in self.view.register.seats.values()}
        for identity, last in latest.items():
            inside = identity in self.view.state.members or identity in self.view.state.pending
            yield identity, clean_line(self.text(last.nick)), last.nick_n + (0 if inside else RECORDS_MAX)

    def people(self) -> tuple[Person, ...]:
        """Everybody in the room: by rank, then by name."""
        members = self.view.state.members.values()
        people = (self._person(member) for member in members)
        return tuple(sorted(people, key=lambda person: (-person.role, person.nick.casefold())))

    def _person(self, member: Member) -> Person:
        online, bot = member.identity in self.online, not member.reads
        return Person(member.identity, self.called(member.identity), member.role, online, member.muted, bot)

    def changed(self, record: Record, at: int) -> Notice | None:
        """What a record did, for those who watch; None for invites and what is told otherwise."""
        body = record.body
        match body:
            case Info():
                name, topic = self._named(body.info)
                return TopicChanged(self.view.room, name, topic, self.called(record.actor))
            case Join():
                action = "pending" if self.view.state.approve else "joined"
                name, inviter = self._nick(body.info, record.actor), self._inviter(record.n, body)
                return self._member(record, at, action, record.actor, name=name, detail=inviter)
            case Nick():
                nick = self._nick(body.info, record.actor)
                return self._member(record, at, "nick", record.actor, name=self._nick_before(record), detail=nick)
            case Admit():
                return self._member(record, at, "admitted", self._who(body.inst))
            case Leave():
                return self._member(record, at, "left", record.actor)
            case Remove():
                action = "banned" if body.ban else "kicked"
                return self._member(record, at, action, self._who(body.inst), reason=clean_line(self.text(body.info)))
            case Ban():
                return self._member(record, at, "banned" if body.op else "unbanned", body.identity)
            case Mute():
                return self._member(record, at, "muted" if body.op else "unmuted", self._who(body.inst))
            case SetRole():
                role = SafeText(Role(body.role).name.lower())
                return self._member(record, at, "role", self._who(body.inst), detail=role)
        return None

    def log_line(self, record: Record) -> str:
        """One line of the moderation log: what was done, to whom."""
        notice = self.changed(record, record.t)
        if isinstance(notice, MemberChanged):
            what = "new nick" if notice.action == "nick" else notice.action
            about = "" if notice.identity == record.actor else f" {notice.nick}"
            invited = notice.action in {"joined", "pending"}
            detail = f"{', invited by' * invited} {notice.detail}" if notice.detail else ""
            return f"{what}{about}{detail}" + (f" ({notice.reason})" if notice.reason else "")
        if isinstance(notice, TopicChanged):
            return f"named the room {notice.name!s}" + (f", topic: {clean_line(notice.text)}" if notice.text else "")
        return type(record.body).__name__.lower()

    def _member(
        self,
        record: Record,
        at: int,
        action: str,
        who: Identity,
        *,
        name: SafeText = EMPTY,
        reason: SafeText = EMPTY,
        detail: SafeText = EMPTY,
    ) -> MemberChanged:
        return MemberChanged(
            room=self.view.room,
            action=action,
            nick=name or self.called(who),
            identity=who,
            by=self.called(record.actor),
            by_identity=record.actor,
            reason=reason,
            n=record.n,
            at=at,
            detail=detail,
            me=who == self.view.me,
        )

    def _who(self, inst: Instance) -> Identity:
        """Whom a membership belongs or belonged to."""
        return self.view.register.seats[inst].identity

    def _inviter(self, n: int, join: Join) -> SafeText:
        """Who made the invite that record ``n`` joined by."""
        before = reversed(self.view.records[:n])
        made = next((one for one in before if isinstance(one.body, Invite) and one.body.key == join.key), None)
        return self.called(made.actor) if made is not None else EMPTY

    def _nick_before(self, record: Record) -> SafeText:
        """How the signer of a NICK was called until then."""
        inst = self.view.register.inst_of(record.actor, record.n - 1)
        standing = self.view.register.seats[inst].at(record.n - 1) if inst else None
        return self._nick(standing.nick if standing else b"", record.actor)

    def _nick(self, info: bytes, identity: Identity) -> SafeText:
        return SafeText(clean_line(self.text(info)) or f"~{identity.short}")

    def _named(self, info: bytes) -> tuple[SafeText, SafeText]:
        name, _, topic = self.text(info).partition("\n")
        return clean_line(name), SafeText(topic)
