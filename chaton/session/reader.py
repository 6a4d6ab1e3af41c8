"""Opening the messages of a room, in the order of docs/protocol.md §§6 and 7.

A chain's state changes only at the very end of ``_open``: whatever is refused on the way changes nothing.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TypeAlias

from chaton.errors import ChainRefused, MessageRefused, ProtocolError
from chaton.identity.ids import ChainId, Identity, Instance, RoomId
from chaton.limits import (
    CHAIN_INDEX_MAX,
    CHAINS_EARLY_MAX,
    EARLY_PER_ROOM_MAX,
    HELD_PER_CHAIN_MAX,
    HELD_PER_ROOM_MAX,
    RECORDS_MAX,
)
from chaton.room.envelope import Envelope
from chaton.session.register import Seat
from chaton.session.view import View
from chaton.vault.chain import ChainStatement, Grant, ReadChain


@dataclass(slots=True)
class KnownChain:
    """A chain whose key was accepted. ``read`` is None once it is spent: the id stays, the secret goes.

    Attributes:
        started: Whether a message of it was opened; the first one retires the chains before it.
        pruned: How many bare ids the room had shown when its last message was opened.
    """

    statement: ChainStatement
    read: ReadChain | None
    started: bool
    pruned: int


@dataclass(frozen=True, slots=True)
class HeldMessage:
    """A message that waits for its chain: event ``s``, the last record ``n`` before it, and its bytes."""

    s: int
    n: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class Opened:
    """A message that was read.

    Attributes:
        s: Its event.
        plain: What it says, unpadded.
        lost: Messages of its chain missing just before it; ``pruned`` if retention explains them.
        lost_before: Messages missing at the end of the sender's chain before this one.
        doubled: Messages at that end which the sender was told were refused: it has sealed them anew.
        stale: It was sent before its sender knew of a removal, so the one removed may have read it.
    """

    s: int
    sender: Identity
    inst: Instance
    plain: bytes
    lost: int
    pruned: bool
    lost_before: int
    doubled: int
    stale: bool


@dataclass(frozen=True, slots=True)
class Held:
    """A message that waits for its chain's key."""

    chain: ChainId


@dataclass(frozen=True, slots=True)
class Unopened:
    """A message that stays unread. ``fork``: it shows that its sender holds another history of the room."""

    s: int
    reason: str
    inst: Instance | None = None

    @property
    def fork(self) -> bool:
        """Whether the room must stop sending until a person has compared codes."""
        return self.reason == "fork"


Outcome: TypeAlias = Opened | Held | Unopened


@dataclass(slots=True)
class Reader:
    """All that one member needs to open what others send in one room.

    Attributes:
        last: Of each membership, its last opened message: event and chain.
        early: Chain keys of records that the fold has not reached, by sender.
        pruned: How many bare ids this room has shown.
        ended: Chains that were spent since they were kept last.
        dropped_messages: Held messages that the bounds have dropped; ``dropped_grants`` the same of early keys.
    """

    view: View
    chains: dict[ChainId, KnownChain] = field(default_factory=dict)
    last: dict[tuple[Identity, Instance], tuple[int, ChainId]] = field(default_factory=dict)
    held: OrderedDict[ChainId, list[HeldMessage]] = field(default_factory=OrderedDict)
    early: dict[Identity, list[Grant]] = field(default_factory=dict)
    pruned: int = 0
    ended: list[KnownChain] = field(default_factory=list)
    dropped_messages: list[HeldMessage] = field(default_factory=list)
    dropped_grants: list[Grant] = field(default_factory=list)

    def take_over(self, earlier: "Reader", *, same: bool) -> None:
        """Go on from an earlier time in the room. What another membership was given is known, and opens nothing."""
        self.chains = earlier.chains
        self.dropped_messages += [message for held in earlier.held.values() for message in held]
        if same:
            self.early = earlier.early
            return
        for known in self.chains.values():
            known.read = None
        self.ended += self.chains.values()
        self.dropped_grants += [grant for early in earlier.early.values() for grant in early]

    def receive(self, raw: bytes) -> Outcome:
        """Judge and open the message that is the room's last event: its place in the transcript is taken already."""
        s, n = self.view.history.s, self.view.n
        try:
            envelope = self._parse(raw)
            known = self.chains.get(envelope.header.chain)
            if known is None:
                self._hold(envelope.header.chain, HeldMessage(s, n, envelope.raw))
                return Held(envelope.header.chain)
            return self._open(known, envelope, s, n)
        except ProtocolError as refusal:
            return self._unopened(raw, s, refusal)

    def accept(self, room: RoomId, sender: Identity, grant: Grant) -> list[Outcome] | None:
        """Judge a chain key from a parcel of ``sender`` for ``room``, and open what waited for it.

        Returns:
            What was held for it, judged in the order of events; None if the key is known or waits for the fold.

        Raises:
            ChainRefused: sender, epoch, fork.
        """
        statement = grant.statement
        if statement.id in self.chains:
            return None
        if (statement.room, statement.sender) != (room, sender) or room != self.view.room or sender == self.view.me:
            raise ChainRefused("a chain key that is not its sender's own", reason="sender")
        if statement.n > RECORDS_MAX:
            raise ChainRefused("a chain key from behind the end of any log", reason="sender")
        if statement.n > self.view.state.n:
            self._keep_early(sender, grant)
            return None
        self._judge(statement)
        known = KnownChain(statement, ReadChain.accept(grant), started=False, pruned=self.pruned)
        self.chains[statement.id] = known
        return self._open_held(known)

    def ripe(self) -> list[Grant]:
        """Take out the early chain keys that the fold has reached, to be judged now."""
        n = self.view.state.n
        grants = [grant for kept in self.early.values() for grant in kept if grant.statement.n <= n]
        self.early = {
            sender: left
            for sender, kept in self.early.items()
            if (left := [grant for grant in kept if grant.statement.n > n])
        }
        return grants

    def touched(self) -> list[KnownChain]:
        """The chains that have ended since this was asked last: what is to be kept anew."""
        ended, self.ended = self.ended, []
        return ended

    def _parse(self, raw: bytes) -> Envelope:
        envelope = Envelope.decode(raw)
        if envelope.header.room != self.view.room:
            raise MessageRefused("a message of another room", reason="room")
        return envelope

    def _judge(self, statement: ChainStatement) -> None:
        state = self.view.state
        if state.seated(statement.sender, statement.inst) is None:
            raise ChainRefused("a chain key of somebody who is no member", reason="sender")
        if state.head_at(statement.n) != statement.head:
            raise ChainRefused("a chain key that was made in another history of the room", reason="fork")
        if state.epochs[statement.n] != statement.epoch:
            raise ChainRefused("a chain key that counts other removals", reason="epoch")

    def _keep_early(self, sender: Identity, grant: Grant) -> None:
        kept = self.early.setdefault(sender, [])
        kept.append(grant)
        self.dropped_grants += kept[:-CHAINS_EARLY_MAX]
        del kept[:-CHAINS_EARLY_MAX]
        while sum(map(len, self.early.values())) > EARLY_PER_ROOM_MAX:
            first = next(iter(self.early))
            self.dropped_grants.append(self.early[first].pop(0))
            if not self.early[first]:
                del self.early[first]

    def _hold(self, chain: ChainId, message: HeldMessage) -> None:
        messages = self.held.setdefault(chain, [])
        messages.append(message)
        self.dropped_messages += messages[:-HELD_PER_CHAIN_MAX]
        del messages[:-HELD_PER_CHAIN_MAX]
        while sum(map(len, self.held.values())) > HELD_PER_ROOM_MAX:
            oldest = min(self.held, key=lambda one: self.held[one][0].s)
            self.dropped_messages.append(self.held[oldest].pop(0))
            if not self.held[oldest]:
                del self.held[oldest]

    def _open_held(self, known: KnownChain) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for message in self.held.pop(known.statement.id, []):
            try:
                outcomes.append(self._open(known, Envelope.decode(message.raw), message.s, message.n))
            except ProtocolError as refusal:
                outcomes.append(self._unopened(message.raw, message.s, refusal))
        who = (known.statement.sender, known.statement.inst)
        if known.started and self.last[who][1] != known.statement.id:
            known.read = None  # A newer chain of this membership has spoken since.
        return outcomes

    def _open(self, known: KnownChain, envelope: Envelope, s: int, n: int) -> Opened:
        """§7 from "signature by cpk" on; ``n`` is the last record just before event ``s``."""
        header, statement, view = envelope.header, known.statement, self.view
        if known.read is None:
            raise MessageRefused("a message of a chain that is over", reason="chain")
        known.read.check_signature(envelope)  # Before any ratcheting: hashing is done for the chain's maker alone.
        seat = self._speaker(statement, n)
        if not known.read.index <= header.index <= CHAIN_INDEX_MAX:
            raise MessageRefused("a message that was read before, or beyond the end of its chain", reason="index")
        if header.s >= s:
            raise MessageRefused("a message that claims to have seen itself", reason="future")
        if not view.agrees(header.s, header.transcript) or not view.knows_head(header.n, header.head, n):
            raise MessageRefused("its sender holds another history of this room", reason="fork")
        lost = header.index - known.read.index
        plain, known_read = known.read.open(envelope)
        missing, counted = self._retire(known, s)
        lost_before, doubled = max(missing, 0), max(-missing, 0)
        pruned = 0 < lost + lost_before <= self.pruned - counted
        known.read, known.pruned = known_read, self.pruned
        stale = statement.epoch != view.state.epochs[n]
        return Opened(s, seat.identity, seat.inst, plain, lost, pruned, lost_before, doubled, stale)

    def _speaker(self, statement: ChainStatement, n: int) -> Seat:
        """The membership that speaks, if it was in the room and allowed to speak after record ``n``."""
        if self.view.register.closed_by(n):
            raise MessageRefused("a message in a closed room", reason="closed")
        seat = self.view.register.seat(statement.sender, statement.inst)
        standing = seat.at(n) if seat else None
        if seat is None or standing is None or not standing.live:
            raise MessageRefused("a message of somebody who was no member", reason="sender")
        if standing.muted:
            raise MessageRefused("a message of somebody who was muted", reason="muted")
        return seat

    def _retire(self, known: KnownChain, s: int) -> tuple[int, int]:
        """End the chains before this one at its first message.

        Returns:
            How many of their messages never came, less than zero if more came than the sender knows to be in the room;
            and how many bare ids the room had shown when the last one did.
        """
        statement = known.statement
        who = (statement.sender, statement.inst)
        last_s, last_chain = self.last.get(who, (-1, None))
        first, known.started = not known.started, True
        if s < last_s:
            return 0, known.pruned  # It was held, and a newer chain has spoken since: it retires nothing.
        self.last[who] = (s, statement.id)
        if not first:
            return 0, known.pruned
        before = self._end(statement.prev, who)
        if last_chain is not None:
            self._end(last_chain, who)
        if before is None:
            return 0, known.pruned
        ended, missing = self.chains[statement.prev], statement.prev_count - before.index
        if not ended.started:
            missing = max(missing, 0)  # Its key alone came, behind messages that were refused perhaps.
        return missing, min(ended.pruned, known.pruned)

    def _end(self, chain: ChainId, who: tuple[Identity, Instance]) -> ReadChain | None:
        """Forget a chain's secret, and give it to be looked at for the last time. Only its maker ends it."""
        known = self.chains.get(chain)
        if known is None or (known.statement.sender, known.statement.inst) != who:
            return None
        read, known.read = known.read, None
        if read is not None:
            self.ended.append(known)
        return read

    def _unopened(self, raw: bytes, s: int, refusal: ProtocolError) -> Unopened:
        known = self._chain_of(raw)
        return Unopened(s, refusal.reason, known.statement.inst if known else None)

    def _chain_of(self, raw: bytes) -> KnownChain | None:
        return self.chains.get(ChainId(raw[35:67])) if len(raw) >= 67 else None  # noqa: PLR2004 - see Header
