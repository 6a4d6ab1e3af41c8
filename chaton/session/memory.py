"""What a session must remember across restarts: small structs that the client keeps in its encrypted profile.

An entry has a kind, and a place that is its own within the kind: keeping another one at the same place replaces it.
"""

from typing import Any, ClassVar, TypeVar

import msgspec

from chaton.errors import Malformed
from chaton.identity.ids import BundleId, ChainId, Fixed, Identity, Instance, MessageId, Pin, RoomId
from chaton.identity.secret import RoomInfoKey, Secret
from chaton.vault.keys import BoxKey, ChainSecret, MlkemSeed


class Entry(msgspec.Struct, array_like=True):
    """Something to keep. Its ``repr`` shows no field: entries hold texts and keys."""

    KIND: ClassVar[str]

    def place(self) -> bytes:
        """Where it stands within its kind."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class RoomEntry(Entry):
    """A room one is in, waits for, or was in.

    Attributes:
        peer: Of a direct room, the other one; then there is no ``rik``.
        status: joining, in, out, stopped (the relay showed an impossible log).
        first_s: The event of the own JOIN, ``first_t`` its T and ``first_n`` its number as a record; events before
            it are not ours to know.
        join: The signed JOIN, while the relay is asked to take it; always empty in what is kept.
        why: Once out: a word and a sentence.
        forked: Sending is stopped until a person has compared codes.
        claimants: Memberships that claim another history, until a person has looked at it.
        excused: Those whose claims a person has looked at.
        chain: The last own chain of which a message was accepted, with ``count`` indices used (§6 prev).
        read_s: The last event that the person has seen.
        number: Of the last message put into the outbox.
        draft: What was typed and not sent.
        gone_s: The last message without a body that the person was told of.
    """

    KIND: ClassVar[str] = "room"
    room: RoomId
    host: str
    port: int
    pin: Pin
    rik: RoomInfoKey | None = None
    peer: Identity | None = None
    status: str = "joining"
    name: str = ""
    first_s: int = 0
    first_t: bytes = b""
    first_n: int = 0
    join: bytes = b""
    why: str = ""
    why_detail: str = ""
    forked: bool = False
    claimants: list[Instance] = []
    excused: list[Instance] = []
    chain: ChainId | None = None
    count: int = 0
    read_s: int = 0
    number: int = 0
    draft: str = ""
    gone_s: int = 0

    def place(self) -> bytes:
        """The room."""
        return bytes(self.room)


class RecordEntry(Entry):
    """A record of a room's log, its signatures checked."""

    KIND: ClassVar[str] = "record"
    room: RoomId
    n: int
    raw: bytes

    def place(self) -> bytes:
        """Room and number."""
        return self.room + self.n.to_bytes(4)


class EventEntry(Entry):
    """An event that was processed. From the ids alone the transcript is computed again.

    Attributes:
        kind: 0 a record, 1 a message, 2 a pruned message.
        id: A record's head or a message's id.
        inst: The sender's membership, of an opened or own message; ``plain`` is what it says, ``chain`` its chain.
        state: opened, own, held, unopened; empty for records and pruned messages. ``reason`` says why unopened.
    """

    KIND: ClassVar[str] = "event"
    room: RoomId
    s: int
    at: int
    kind: int
    id: bytes
    state: str = ""
    sender: Identity | None = None
    inst: Instance | None = None
    chain: ChainId | None = None
    plain: bytes = b""
    lost: int = 0
    pruned: bool = False
    lost_before: int = 0
    stale: bool = False
    reason: str = ""

    def place(self) -> bytes:
        """Room and number."""
        return self.room + self.s.to_bytes(8)


class RecalledEntry(EventEntry):
    """A message from before the room was begun anew in the same membership, which the relay has not told again yet.

    It was opened or given up then, and a message opens only once. ``s`` is where it stood.
    """

    KIND: ClassVar[str] = "recalled"

    def place(self) -> bytes:
        """Room and message."""
        return self.room + self.id


class ChainEntry(Entry):
    """A chain of somebody else. Without ``secret`` it is spent, and stays known."""

    KIND: ClassVar[str] = "chain"
    room: RoomId
    statement: bytes
    id: ChainId
    index: int
    secret: ChainSecret | None
    started: bool
    pruned: int

    def place(self) -> bytes:
        """The chain."""
        return bytes(self.id)


class HeldEntry(Entry):
    """A message that waits for its chain's key. ``n`` is the last record before it."""

    KIND: ClassVar[str] = "held"
    room: RoomId
    s: int
    n: int
    raw: bytes

    def place(self) -> bytes:
        """Room and event."""
        return self.room + self.s.to_bytes(8)


class EarlyEntry(Entry):
    """A chain key that waits for the fold."""

    KIND: ClassVar[str] = "early"
    room: RoomId
    sender: Identity
    grant: bytes

    def place(self) -> bytes:
        """Room, sender, and the statement's part that differs between chains."""
        return self.room + self.sender + self.grant[139:171]


class OwnBundleEntry(Entry):
    """A bundle of one's own with its private keys.

    Attributes:
        replaced: When a newer one was published, 0 for never.
        shown: Whether the relay has taken it; ``taken`` the highest counter that it had taken before.
    """

    KIND: ClassVar[str] = "own-bundle"
    raw: bytes
    id: BundleId
    box: BoxKey
    mlkem: MlkemSeed
    replaced: int = 0
    shown: bool = False
    taken: int = 0

    def place(self) -> bytes:
        """The bundle."""
        return bytes(self.id)


class PeerEntry(Entry):
    """What is known of another identity.

    Attributes:
        counter: The highest counter seen of it, in bundles and messages, and ``seen`` the bundle that had it.
        compared: A person has compared the safety code with it.
        ignored: Its messages are not shown.
    """

    KIND: ClassVar[str] = "peer"
    identity: Identity
    bundle: bytes = b""
    counter: int = 0
    seen: BundleId | None = None
    compared: bool = False
    ignored: bool = False

    def place(self) -> bytes:
        """The identity."""
        return bytes(self.identity)


class OutboxEntry(Entry):
    """An own message that is not in the room yet: first its body, then its sealed bytes as well.

    Attributes:
        body: Kind and body of the plaintext; clock and counter are added when it is sealed.
        plain: The plaintext that was sealed.
        envelope: The sealed bytes; empty until then, and again when they must be sealed anew.
        ref: The number its author gave it.
    """

    KIND: ClassVar[str] = "outbox"
    room: RoomId
    number: int
    ref: int
    body: bytes
    plain: bytes = b""
    envelope: bytes = b""
    id: MessageId | None = None
    chain: ChainId | None = None
    index: int = 0
    attempts: int = 0

    def place(self) -> bytes:
        """Room and number."""
        return self.room + self.number.to_bytes(8)


class ForkEntry(Entry):
    """Evidence that somebody holds another history: both envelopes, or the claim of a chain key."""

    KIND: ClassVar[str] = "fork"
    room: RoomId
    s: int
    at: int
    evidence: bytes

    def place(self) -> bytes:
        """Room and event."""
        return self.room + self.s.to_bytes(8)


KINDS: dict[str, type[Entry]] = {
    entry.KIND: entry
    for entry in (
        RoomEntry, RecordEntry, EventEntry, RecalledEntry, ChainEntry, HeldEntry, EarlyEntry, OwnBundleEntry,
        PeerEntry, OutboxEntry, ForkEntry,
    )
}  # fmt: skip

_AnEntry = TypeVar("_AnEntry", bound=Entry)


def _to_bytes(value: Any) -> bytes:
    """Secrets leave their types here only, on their way into the encrypted profile."""
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, Fixed):
        return bytes(value)
    raise TypeError(f"a {type(value).__name__} cannot be kept")


def _from_bytes(kind: type, value: Any) -> Any:
    return kind(value)


_encoder = msgspec.msgpack.Encoder(enc_hook=_to_bytes)
_decoders = {
    name: msgspec.msgpack.Decoder(kind, dec_hook=_from_bytes) for name, kind in KINDS.items()
}  # fmt: skip


def encode_entry(entry: Entry) -> bytes:
    """The bytes to keep, secrets included: for the encrypted profile alone."""
    return _encoder.encode(entry)


def decode_entry(kind: type[_AnEntry], raw: bytes) -> _AnEntry:
    """Read what was kept; ``Malformed`` where the profile is damaged."""
    try:
        entry = _decoders[kind.KIND].decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as cause:
        raise Malformed(f"the profile holds a {kind.KIND} that does not read") from cause
    assert isinstance(entry, kind)
    return entry
