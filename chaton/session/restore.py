"""Bringing a session's rooms back from what was kept (see ``chaton.session.memory``)."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from chaton.errors import ChatonError
from chaton.identity.ids import ChainId, Head, Identity, MessageId, RoomId, Transcript
from chaton.room.records import Redact
from chaton.room.transcript import History
from chaton.session.context import Context
from chaton.session.keyring import Keyring, Peers
from chaton.session.memory import (
    ChainEntry,
    EarlyEntry,
    Entry,
    EventEntry,
    ForkEntry,
    HeldEntry,
    OutboxEntry,
    OwnBundleEntry,
    PeerEntry,
    RecalledEntry,
    RecordEntry,
    RoomEntry,
)
from chaton.session.reader import HeldMessage, KnownChain
from chaton.session.room import Room
from chaton.session.text import SafeText
from chaton.session.timeline import PassedRecord
from chaton.session.view import View
from chaton.vault.chain import ChainStatement, Grant, ReadChain
from chaton.wire.frames import KIND_PRUNED, KIND_RECORD


@dataclass(slots=True)
class RoomMemory:
    """Everything kept of one room, each kind in its order."""

    records: list[RecordEntry] = field(default_factory=list)
    events: list[EventEntry] = field(default_factory=list)
    recalled: list[RecalledEntry] = field(default_factory=list)
    chains: list[ChainEntry] = field(default_factory=list)
    held: list[HeldEntry] = field(default_factory=list)
    early: list[EarlyEntry] = field(default_factory=list)
    outbox: list[OutboxEntry] = field(default_factory=list)


_OF_ROOM: dict[type[Entry], str] = {
    RecordEntry: "records", EventEntry: "events", RecalledEntry: "recalled", ChainEntry: "chains", HeldEntry: "held",
    EarlyEntry: "early", OutboxEntry: "outbox",
}  # fmt: skip


@dataclass(slots=True)
class Memory:
    """Everything kept, sorted out."""

    rooms: list[RoomEntry] = field(default_factory=list)
    bundles: list[OwnBundleEntry] = field(default_factory=list)
    peers: list[PeerEntry] = field(default_factory=list)
    of_room: defaultdict[RoomId, RoomMemory] = field(default_factory=lambda: defaultdict(RoomMemory))

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> "Memory":
        """Sort entries that come in the order of their kind and place."""
        memory = cls()
        whole: dict[type[Entry], list[Any]] = {
            RoomEntry: memory.rooms, OwnBundleEntry: memory.bundles, PeerEntry: memory.peers,
        }  # fmt: skip
        for entry in entries:
            if isinstance(entry, ForkEntry):
                continue  # Evidence is for people; the session needs only to know that there was a fork.
            if type(entry) in whole:
                whole[type(entry)].append(entry)
            else:
                getattr(memory.of_room[entry.room], _OF_ROOM[type(entry)]).append(entry)  # type: ignore[attr-defined]
        return memory


def restore_room(  # noqa: PLR0917 - what every room is made of
    context: Context,
    keyring: Keyring,
    peers: Peers,
    entry: RoomEntry,
    memory: RoomMemory,
    known_as: Callable[[Identity], SafeText],
) -> Room:
    """A room as it was when the last batch was kept.

    Raises:
        ChatonError: What was kept does not fit together: the profile is damaged.
    """
    room = Room(context, peers, keyring, entry, _view(context, entry, memory), known_as, memory.outbox)
    for chain in memory.chains:
        room.reader.chains[chain.id] = _known(chain)
    for held in memory.held:
        room.reader.held.setdefault(ChainId(held.raw[35:67]), []).append(HeldMessage(held.s, held.n, held.raw))
    for early in memory.early:
        room.reader.early.setdefault(early.sender, []).append(Grant.decode(early.grant))
    room.timeline.recalled = {MessageId(recalled.id): recalled for recalled in memory.recalled}
    _replay(room, memory.events)
    return room


def _view(context: Context, entry: RoomEntry, memory: RoomMemory) -> View:
    if entry.peer is not None:
        view = View.of_pair(context.me, entry.peer)
    else:
        history = History(entry.first_s, Transcript(entry.first_t))
        raws = [record.raw for record in memory.records]
        view = View.of_log(context.me, raws, history, entry.first_n, trusted=True)
    for event in memory.events:
        if event.s <= entry.first_s:
            continue  # Of an earlier membership: shown, and no part of this one's transcript.
        view.history.add(Head(event.id) if event.kind == KIND_RECORD else MessageId(event.id))
        view.n += event.kind == KIND_RECORD
    if view.n > view.state.n:
        raise ChatonError("the profile holds events of a room without their records")
    return view


def _known(chain: ChainEntry) -> KnownChain:
    statement = ChainStatement.decode(chain.statement)
    read = ReadChain(statement, chain.index, chain.secret) if chain.secret is not None else None
    return KnownChain(statement, read, chain.started, chain.pruned)


def _replay(room: Room, events: list[EventEntry]) -> None:
    """Lines, redactions and the last chain of each sender, in the order of events."""
    n = room.entry.first_n
    room.timeline.redact_all(room.view.records[: n + 1], room.entry.first_s)
    for event in events:
        if event.kind == KIND_RECORD:
            if event.s <= room.entry.first_s:
                continue
            n += 1
            room.timeline.passed.append(PassedRecord(event.s, n, event.at))
            if isinstance(room.view.records[n].body, Redact):
                room.timeline.redact(room.view.records[n], event.s)
        elif event.kind == KIND_PRUNED:
            room.reader.pruned += 1
            if event.s > room.entry.gone_s:
                room.bare.append((event.s, MessageId(event.id)))
        elif event.state in {"opened", "own"}:
            room.inbox.put_back(event)
        else:
            room.timeline.note(event)
    if room.entry.status == "out":
        # What the log held beyond the events when one learned to be out.
        room.timeline.redact_all(room.view.records[n + 1 :], room.view.history.s + 1)
