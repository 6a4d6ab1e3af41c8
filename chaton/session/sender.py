"""Speaking in a room: the outbox and the own chain (docs/protocol.md §§6 and 7).

Everything said is in the outbox until it comes back as an event. Sealed bytes are sent again as they are, after a
reconnect or a restart; they are sealed anew only when the relay has refused them. A new chain is begun only when every
sealed message is decided, so that it can say how much of the last one was used.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from chaton.errors import ChatonError, Refused, UsageError
from chaton.identity.ids import ChainId, Identity, MessageId
from chaton.limits import (
    CHAIN_LIFE_MS,
    CHAIN_MESSAGES,
    HELD_PER_ROOM_MAX,
    MINUTE_MS,
    NEED_INTERVAL_MS,
    SECOND_MS,
    SHOWN_AFTER_MS,
    TEXT_BYTES_MAX,
)
from chaton.room.envelope import Header
from chaton.session.audience import Delivery
from chaton.session.content import Content, Plaintext
from chaton.session.context import Context
from chaton.session.errand import Errand
from chaton.session.keyring import Keyring, Peers
from chaton.session.memory import OutboxEntry, RoomEntry
from chaton.session.notices import Rejected, Warned, Working
from chaton.session.text import clean, clean_line
from chaton.session.view import View
from chaton.vault.chain import SendChain
from chaton.vault.parcel import KIND_CHAIN, KIND_NEED, Need
from chaton.wire import frames

WINDOW: Final = 16  # messages under way at once
ATTEMPTS_MAX: Final = 5
_AGAIN_LATER: Final = {"limited", "store-failed"}
_SEAL_ANEW: Final = {"epoch-moved", "bad-history"}


@dataclass(slots=True)
class Sender:
    """One's own side of a room.

    Attributes:
        outbox: What is not in the room yet, in the order it was said.
        chain: The live chain, in memory only.
        served: Who has its key.
        unreachable: Who cannot be given it, and when that was tried last.
        answered: Who asked for it and was answered, and when.
        asked: Chains whose key was asked for, and when.
        under_way: Numbers of outbox entries that the relay has not answered yet; ``accepted`` those it has, and when.
        missed: Whether the person knows that some of the latter are not shown.
        paused_at: When the relay asked to wait for ``paused_ms``; ``paused_epoch``: or as soon as the room has
            left this epoch, which the relay knows to be over before its event is here.
        is_open: Whether messages may go out now: connected, caught up, not forked, not closed.
        shown_name: How an identity is named to a person.
    """

    context: Context
    keyring: Keyring
    peers: Peers
    view: View
    entry: RoomEntry
    outbox: list[OutboxEntry]
    is_open: Callable[[], bool]
    shown_name: Callable[[Identity], str]
    chain: SendChain | None = None
    served: set[Identity] = field(default_factory=set)
    unreachable: dict[Identity, int] = field(default_factory=dict)
    answered: dict[Identity, int] = field(default_factory=dict)
    asked: dict[ChainId, int] = field(default_factory=dict)
    under_way: set[int] = field(default_factory=set)
    accepted: dict[int, int] = field(default_factory=dict)
    missed: bool = False
    paused_at: int = 0
    paused_ms: int = 0
    paused_epoch: int = -1
    serving: bool = False

    def say(self, content: Content, ref: int) -> None:
        """Put something into the outbox.

        Raises:
            UsageError: It is too long for one message.
        """
        body = bytes([content.KIND]) + content.encode()
        if len(body) - 1 > TEXT_BYTES_MAX:
            raise UsageError(
                f"a message has at most {TEXT_BYTES_MAX} bytes, this one {len(body) - 1}",
                hint="send it in parts, or as a file",
            )
        self.entry.number += 1
        said = OutboxEntry(room=self.view.room, number=self.entry.number, ref=ref, body=body)
        self.outbox.append(said)
        self.context.keep(self.entry)
        self.context.keep(said)
        self.pump()

    def withdraw(self, ref: int) -> bool:
        """Take out of the outbox what was never sealed, so that no copy of it can be anywhere."""
        entry = next((one for one in self.outbox if one.ref == ref and not one.envelope), None)
        if entry is None:
            return False
        self.outbox.remove(entry)
        self.context.forget(entry)
        return True

    def pump(self) -> None:
        """Send what can be sent now."""
        if not self.is_open() or self.serving or self._paused():
            return
        for entry in self._undecided():
            if entry.number not in self.under_way and len(self.under_way) < WINDOW:
                self._transmit(entry)
        unsealed = [entry for entry in self.outbox if not entry.envelope]
        if unsealed and self._live() is None and not self._undecided():
            self._begin_chain()
        if unsealed and self._live() is not None:
            self._serve_then_seal(unsealed)

    def came_back(self, message: MessageId) -> OutboxEntry | None:
        """An event is here: if it is an own message, it is sent, and leaves the outbox."""
        entry = next((one for one in self.outbox if one.id == message), None)
        if entry is not None:
            if self.accepted.pop(entry.number, None) is None:
                self._count(entry)
            self.outbox.remove(entry)
            self.context.forget(entry)
        return entry

    def miss(self) -> None:
        """Tell, once, that the relay has taken what one has said and does not show it."""
        late = any(self.context.now - at >= SHOWN_AFTER_MS for at in self.accepted.values())
        if late and not self.missed:
            detail = "the relay has taken what you said and does not show it: it is slow, or holds this room back; "
            self._warn("held-back", detail + "ask the others over another channel")
        self.missed = late

    def need(self, asker: Identity, need: Need) -> None:
        """Answer a member who lacks a chain with the present state of the live one, at most once a minute (§5)."""
        if not self.owes_answer(asker, self.answered.get(asker)) or self._live() is None:
            return
        self.answered[asker] = self.context.now
        self.served.discard(asker)
        self._serve([asker], at_least=need.counter)

    def ask(self, chain: ChainId, hint: Identity) -> None:
        """Ask whoever the relay says sent a message for the key of its chain, once a minute (§5)."""
        own, members = self.keyring.shown, self.view.state.members
        recently = self.context.recent(self.asked.get(chain), NEED_INTERVAL_MS)
        reads = self.context.me in members and members[self.context.me].reads
        if own is None or recently or not reads or hint == self.context.me or hint not in members:
            return
        self.asked.pop(chain, None)
        self.asked[chain] = self.context.now
        if len(self.asked) > HELD_PER_ROOM_MAX:
            del self.asked[next(iter(self.asked))]  # No more messages than that are held, so none waits for its key.
        need = Need(chain, own.bundle.counter, own.id).encode()
        delivery = Delivery(self.context, self.peers, self.view.room, KIND_NEED, need)
        self.context.desk.begin(delivery.to([hint]), lambda _served, _error: None)

    def owes_answer(self, asker: Identity, last: int | None) -> bool:
        """Whether somebody who asks is a present reader, and was not answered within the last minute."""
        return asker in self.audience() and not self.context.recent(last, NEED_INTERVAL_MS)

    def audience(self) -> list[Identity]:
        """Everybody who may read, but oneself."""
        me = self.context.me
        return [identity for identity in self.view.state.readers() if identity != me]

    def abandon(self, code: str, detail: str) -> None:
        """The room is over for this member: nothing that waits will be sent any more, and the person is told."""
        for entry in list(self.outbox):
            self._give_up(entry, Refused(code, detail))

    def renew(self) -> None:
        """Let the next message begin a new chain, as the person asked."""
        self.chain = None

    def disconnected(self) -> None:
        """What has not come back is sent again after the next login: the relay answers the same bytes the same."""
        self.accepted.clear()

    def _paused(self) -> bool:
        return self.context.recent(self.paused_at, self.paused_ms) and self.paused_epoch in {-1, self.view.state.epoch}

    def _pause(self, ms: int, epoch: int = -1) -> None:
        self.paused_at, self.paused_ms, self.paused_epoch = self.context.now, ms, epoch

    def _live(self) -> SendChain | None:
        chain = self.chain
        if chain is None or chain.statement.epoch != self.view.state.epoch:
            return None
        return chain if self.context.recent(chain.born, CHAIN_LIFE_MS) and chain.index < CHAIN_MESSAGES else None

    def _undecided(self) -> list[OutboxEntry]:
        return [entry for entry in self.outbox if entry.envelope and entry.number not in self.accepted]

    def _begin_chain(self) -> None:
        state = self.view.state
        inst = state.members[self.context.me].inst  # Only a member's room is open.
        self.chain = SendChain.begin(
            room=state.room,
            sender=self.context.me,
            inst=inst,
            n=state.n,
            head=state.head,
            epoch=state.epoch,
            prev=self.entry.chain or ChainId.zero(),
            prev_count=self.entry.count,
            born=self.context.now,
            entropy=self.context.entropy,
        )
        self.served.clear()
        self.unreachable.clear()

    def _serve_then_seal(self, unsealed: list[OutboxEntry]) -> None:
        unserved = [identity for identity in self.audience() if identity not in self.served]
        retry = [who for who in unserved if not self.context.recent(self.unreachable.get(who), MINUTE_MS)]
        if retry:
            self._serve(retry)
            return
        for entry in unsealed[: WINDOW - len(self.under_way)]:
            chain = self._live()
            if chain is None:
                return
            self._seal(chain, entry)
            self._transmit(entry)

    def _seal(self, chain: SendChain, entry: OutboxEntry) -> None:
        own, history = self.keyring.shown, self.view.history
        counter = own.bundle.counter if own else 0
        times = self.context.now.to_bytes(8) + counter.to_bytes(8)
        entry.plain = entry.body[:1] + times + entry.body[1:]
        entry.chain, entry.index = chain.id, chain.index
        envelope = chain.seal(
            n=self.view.state.n,
            head=self.view.state.head,
            s=history.s,
            transcript=history.last,
            plaintext=entry.plain,
            entropy=self.context.entropy,
        )
        entry.envelope, entry.id = envelope.raw, envelope.id
        self.context.keep(entry)

    def _serve(self, to: list[Identity], *, at_least: int = 0) -> None:
        chain = self.chain
        assert chain is not None
        self.serving = True
        body = chain.grant().encode()
        tell = partial(self._tell_served, total=len(to))
        delivery = Delivery(self.context, self.peers, self.view.room, KIND_CHAIN, body, at_least, tell)
        self.context.desk.begin(delivery.to(to), partial(self._served, chain, to))

    def _served(self, chain: SendChain, to: list[Identity], served: Any, error: ChatonError | None) -> None:
        """The relay keeps the parcels of ``served``; the rest of ``to`` is unreachable for now."""
        self.serving = False
        self._tell_served(len(to), total=len(to))
        if error is not None:
            self._postpone(error)
            return
        if chain is self.chain:
            self.served |= served
            self._warn_unreachable([identity for identity in to if identity not in served])
        self.pump()

    def _tell_served(self, done: int, *, total: int) -> None:
        self.context.tell(Working(self.view.room, "key", done, total))

    def _postpone(self, error: ChatonError) -> None:
        if isinstance(error, Refused):
            self._pause(max(error.retry_ms, SECOND_MS))

    def _warn_unreachable(self, missed: list[Identity]) -> None:
        new = [identity for identity in missed if identity not in self.unreachable]
        self.unreachable.update(dict.fromkeys(missed, self.context.now))
        if new:
            names = ", ".join(map(self.shown_name, new[:5])) + (f" and {len(new) - 5} more" if len(new) > 5 else "")  # noqa: PLR2004
            detail = f"{names} cannot be reached yet: no current keys of theirs; they will not read what is sent now"
            self._warn("unreachable", detail)

    def _warn(self, code: str, detail: str) -> None:
        self.context.tell(Warned(self.view.room, code, clean_line(detail)))

    def _transmit(self, entry: OutboxEntry) -> None:
        self.under_way.add(entry.number)
        self.context.desk.begin(self._send(entry), partial(self._decided, entry))

    def _send(self, entry: OutboxEntry) -> Errand[Any]:
        answer = yield frames.Send(0, self.view.room, entry.envelope)
        return answer

    def _decided(self, entry: OutboxEntry, _answer: Any, error: ChatonError | None) -> None:
        self.under_way.discard(entry.number)
        is_undecided = entry in self.outbox  # It may have come back as an event before.
        if is_undecided and error is None:
            self.accepted[entry.number] = self.context.now
            self._count(entry)
        elif is_undecided and isinstance(error, Refused):
            self._refused(entry, error)
        self.pump()

    def _count(self, entry: OutboxEntry) -> None:
        """Remember how many indices of the chain are used up to the last accepted message: the next chain's prev."""
        if entry.chain != self.entry.chain:
            self.entry.chain, self.entry.count = entry.chain, 0
        self.entry.count = max(self.entry.count, entry.index + 1)
        self.context.keep(self.entry)

    def _refused(self, entry: OutboxEntry, refusal: Refused) -> None:
        if refusal.code in _AGAIN_LATER and not self._overtaken(entry):
            self._pause(max(refusal.retry_ms, SECOND_MS // 5))
        elif refusal.code in _SEAL_ANEW | _AGAIN_LATER and entry.attempts < ATTEMPTS_MAX:
            self._unseal(entry)
        else:
            for one in [entry, *self._behind(entry)]:
                self._give_up(one, refusal)

    def _behind(self, entry: OutboxEntry) -> list[OutboxEntry]:
        """What follows a message in its chain, which the relay refuses alike: readers would miss the one before it."""
        return [one for one in self._undecided() if one.index > entry.index]  # All of them are of one chain.

    def _overtaken(self, entry: OutboxEntry) -> bool:
        """Whether a later message of its chain is in the room: then readers have passed its index."""
        return entry.chain == self.entry.chain and entry.index < self.entry.count

    def _unseal(self, entry: OutboxEntry) -> None:
        entry.attempts += 1
        if self._epoch_of(entry) == self.view.state.epoch:
            self._pause(SECOND_MS, self.view.state.epoch)  # The relay knows of a removal that is not here yet.
        entry.envelope, entry.plain, entry.id, entry.chain = b"", b"", None, None
        self.chain = None
        self.context.keep(entry)

    def _epoch_of(self, entry: OutboxEntry) -> int:
        """The epoch that a sealed message was sent in."""
        n = Header.decode(entry.envelope).n
        return self.view.state.epochs[n] if n <= self.view.state.n else -1

    def _give_up(self, entry: OutboxEntry, refusal: Refused) -> None:
        self.outbox.remove(entry)
        self.accepted.pop(entry.number, None)
        self.context.forget(entry)
        self.chain = None  # Its index is used and will never be seen: the next chain says where this one ended.
        content = Plaintext.decode(entry.body[:1] + bytes(16) + entry.body[1:]).content
        text = clean(getattr(content, "text", None) or "")
        self.context.tell(Rejected(self.view.room, refusal.code, clean_line(str(refusal)), entry.ref, text))
