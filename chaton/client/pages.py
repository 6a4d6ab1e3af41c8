"""A room's past as a person scrolls through it: what was said, who came and went, and what cannot be read and why."""

import heapq
from collections.abc import Iterator
from typing import Final

import msgspec

from chaton.client.facts import line_facts
from chaton.client.replies import LineFacts, ReactionFacts, UnsentFacts
from chaton.client.words import member_sentence, nick
from chaton.identity.ids import ChainId, Identity
from chaton.limits import UINT_MAX
from chaton.room.records import Close, Invite, Record, Redact, Remove, Uninvite
from chaton.session.content import Alive, Content, React, Unreadable, read_body
from chaton.session.keyring import Peers
from chaton.session.memory import EventEntry
from chaton.session.notices import MemberChanged, TopicChanged
from chaton.session.room import Room
from chaton.session.telling import WHY_UNREAD, kind_name
from chaton.session.text import clean
from chaton.session.thread import Line
from chaton.session.timeline import PassedRecord

PAGE_MAX: Final = 5_000
_UNTOLD: Final = (Invite, Uninvite, Redact)  # A redaction stands at the place of its message.
_DAMAGED: Final = "it is damaged, or made by a program that breaks the rules"


def page(room: Room, peers: Peers, before: int, limit: int) -> list[LineFacts]:
    """At most ``limit`` lines before event ``before`` (0: the last ones), in order; fewer only where there are no more.

    A record that changed nothing is no line: what stands before it takes its place.
    """
    until, limit = before or UINT_MAX, min(limit, PAGE_MAX)
    lines: list[LineFacts] = []
    while len(lines) < limit:
        places = (one for one in _places(room, peers) if one.s < until)
        last = heapq.nlargest(limit - len(lines), places, key=lambda one: one.s)
        if not last:
            break
        until = last[-1].s
        told = (_told(room, one) for one in reversed(last))
        lines[:0] = [line for line in told if line.text or line.kind != "record"]
    return lines


def _places(room: Room, peers: Peers) -> Iterator[Line | EventEntry | PassedRecord]:
    """Everything that may be a line, in no order. What somebody ignored has said is left out."""
    yield from (line for line in room.timeline.thread.lines.values() if not peers.ignored(line.identity))
    yield from (one for one in room.timeline.messages.values() if one.state in {"held", "unopened"})
    yield from (one for one in room.timeline.passed if not isinstance(room.view.records[one.n].body, _UNTOLD))


def _told(room: Room, place: Line | EventEntry | PassedRecord) -> LineFacts:
    match place:
        case Line():
            return _said(room, place)
        case EventEntry():
            return _unread(room, place)
    return _recorded(room, place)


def _said(room: Room, line: Line) -> LineFacts:
    entry = room.timeline.messages[line.id]
    facts = line_facts(room.timeline.said(entry, line))
    lost = entry.lost + entry.lost_before
    reactions = _reactions(room, line)
    return msgspec.structs.replace(
        facts, edited=line.edited, reactions=reactions, lost=lost, pruned=entry.pruned, stale=entry.stale
    )


def _reactions(room: Room, line: Line) -> list[ReactionFacts]:
    """Each emoji once, in the order of its first one."""
    by: dict[str, list[Identity]] = {}
    for one in line.reactions:
        by.setdefault(str(clean(one.emoji)), []).append(one.identity)
    me = room.context.me
    return [
        ReactionFacts(emoji=emoji, nicks=[str(room.teller.called(who)) for who in whose], own=me in whose)
        for emoji, whose in by.items()
    ]


def _unread(room: Room, entry: EventEntry) -> LineFacts:
    """A message that cannot be shown, and why. Who sent it is the relay's word until it is opened."""
    sender = entry.sender or room.context.me
    name, asked = str(room.teller.called(sender)), 0
    if entry.state == "held":
        why = f"waiting for {nick(name)}'s key"
        asked = room.sender.asked.get(entry.chain, 0) if isinstance(entry.chain, ChainId) else 0
    else:
        why = WHY_UNREAD.get(entry.reason, _DAMAGED)
    return LineFacts(
        seq=entry.s, at=entry.at, id=entry.id.hex(), sender=name, identity=str(sender), kind="unread", text=why,
        to=None, own=False, re=None, asked=asked,
    )  # fmt: skip


def _recorded(room: Room, passed: PassedRecord) -> LineFacts:
    record = room.view.records[passed.n]
    return LineFacts(
        seq=passed.s, at=passed.at, id=str(record.head), sender=str(room.teller.called(record.actor)),
        identity=str(record.actor), kind="record", text=_sentence(room, passed), to=None, own=_removes_me(room, record),
        re=None,
    )  # fmt: skip


def _removes_me(room: Room, record: Record) -> bool:
    """Whether a record put oneself out of the room: then its line is one's own."""
    body = record.body
    return isinstance(body, Remove) and room.view.register.seats[body.inst].identity == room.context.me


def _sentence(room: Room, passed: PassedRecord) -> str:
    """What a record did; empty for one that changed nothing, such as the same nick again."""
    record = room.view.records[passed.n]
    match room.teller.changed(record, passed.at):
        case MemberChanged() as changed:
            return member_sentence(changed)
        case TopicChanged() as changed:
            return f"{_signer(room, record)} named the room {changed.name}, topic: {changed.text}"
    return f"{_signer(room, record)} closed the room" if isinstance(record.body, Close) else ""


def _signer(room: Room, record: Record) -> str:
    return f"{nick(str(room.teller.called(record.actor)))} ({record.actor.short})"


def unsent(room: Room) -> list[UnsentFacts]:
    """What waits in the outbox, in order. Heartbeats are nobody's words."""
    said = ((entry.ref, read_body(entry.body)) for entry in room.outbox)
    return [_waiting(ref, content) for ref, content in said if not isinstance(content, Alive | Unreadable)]


def _waiting(ref: int, content: Content) -> UnsentFacts:
    text = content.emoji if isinstance(content, React) else getattr(content, "text", "")
    about = getattr(content, "message", None)
    return UnsentFacts(ref=ref, kind=kind_name(content), text=str(clean(text)), re=str(about) if about else None)
