"""Sender chains: one key a message, each forgotten once used (docs/protocol.md §6).

::

    CHN   = "CC" 01 | room 32 | sender 32 | inst 32 | n u32 | head 32 | epoch u32 | cpk 32 | prev 32 | prev count u16
    grant = CHN | i u16 | CK_i 32
    mk_i  = K(CK_i, "chaton1.msg", chain | i u16)      CK_{i+1} = K(CK_i, "chaton1.next", chain | i u16)

``SendChain`` is the sender's and changes as it seals; ``ReadChain`` is a reader's and never changes: opening gives the
next one, which the caller keeps only once the message has proved genuine.
"""

from dataclasses import dataclass, replace
from typing import NoReturn, Self

from chaton.errors import Malformed, MessageRefused
from chaton.identity.hashing import Person, digest, keyed
from chaton.identity.ids import ChainId, ChainKey, Head, Identity, Instance, RoomId, Transcript
from chaton.identity.statement import Label, Seed, verify
from chaton.limits import CHAIN_INDEX_MAX, CHAIN_MESSAGES
from chaton.room.envelope import Envelope, Header
from chaton.vault.entropy import Entropy
from chaton.vault.keys import ChainSecret, MessageKey, new_seed
from chaton.vault.message import open_message, seal_message

_MAGIC = b"CC\x01"
STATEMENT_BYTES = 205
GRANT_BYTES = STATEMENT_BYTES + 2 + ChainSecret.SIZE


@dataclass(frozen=True, slots=True)
class ChainStatement:
    """``CHN``, 205 bytes: whose chain it is, for which room and readers, and which key signs its messages.

    Attributes:
        inst: The sender's membership.
        n: The last record that the sender had folded when it made the chain; ``head`` is that record's.
        epoch: Number of readers out so far, as of ``n``.
        prev: The sender's last chain in this room, zero for none.
        prev_count: Indices of ``prev`` used up to its last accepted message.
    """

    room: RoomId
    sender: Identity
    inst: Instance
    n: int
    head: Head
    epoch: int
    key: ChainKey
    prev: ChainId
    prev_count: int

    def encode(self) -> bytes:
        """The 205 bytes."""
        return b"".join((
            _MAGIC, self.room, self.sender, self.inst, self.n.to_bytes(4), self.head, self.epoch.to_bytes(4),
            self.key, self.prev, self.prev_count.to_bytes(2),
        ))  # fmt: skip

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Read exactly 205 bytes.

        Raises:
            Malformed: Another length or beginning.
        """
        if len(raw) != STATEMENT_BYTES or raw[:3] != _MAGIC:
            raise Malformed("no chain of Chaton/1")
        return cls(
            room=RoomId(raw[3:35]),
            sender=Identity(raw[35:67]),
            inst=Instance(raw[67:99]),
            n=int.from_bytes(raw[99:103]),
            head=Head(raw[103:135]),
            epoch=int.from_bytes(raw[135:139]),
            key=ChainKey(raw[139:171]),
            prev=ChainId(raw[171:203]),
            prev_count=int.from_bytes(raw[203:]),
        )

    @property
    def id(self) -> ChainId:
        """The hash of the 205 bytes. All keys of the chain are derived with it, so they fit no other statement."""
        return ChainId(digest(Person.CHAIN, self.encode()))


@dataclass(frozen=True, slots=True)
class Grant:
    """Body of a CHAIN parcel, 239 bytes: whoever has it reads the chain from ``index`` on, and nothing before."""

    statement: ChainStatement
    index: int
    secret: ChainSecret

    def encode(self) -> bytes:
        """The 239 bytes."""
        return self.statement.encode() + self.index.to_bytes(2) + self.secret.reveal()

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Read exactly 239 bytes.

        Raises:
            Malformed: Another length or beginning, or an index over 127 (bounds the hashing one grant can ask for).
        """
        if len(raw) != GRANT_BYTES:
            raise Malformed(f"a chain key has {GRANT_BYTES} bytes")
        statement = ChainStatement.decode(raw[:STATEMENT_BYTES])
        index = int.from_bytes(raw[STATEMENT_BYTES : -ChainSecret.SIZE])
        if index > CHAIN_INDEX_MAX:
            raise Malformed(f"a chain key at index {index}, over {CHAIN_INDEX_MAX}")
        return cls(statement, index, ChainSecret(raw[-ChainSecret.SIZE :]))


def message_key(secret: ChainSecret, chain: ChainId, index: int) -> MessageKey:
    """``mk_i``. Its person differs from the next secret's, so who learns this key learns no other."""
    return MessageKey(keyed(secret.reveal(), Person.MESSAGE_KEY, chain + index.to_bytes(2)))


def next_secret(secret: ChainSecret, chain: ChainId, index: int) -> ChainSecret:
    """``CK_{i+1}``. A one-way step: from it, nothing sealed before can be opened."""
    return ChainSecret(keyed(secret.reveal(), Person.NEXT_KEY, chain + index.to_bytes(2)))


class SendChain:
    """A chain of one's own: seals up to 100 messages, each under its own key, and forgets that key.

    Lives in memory only, and refuses to be pickled or copied: a chain restored from anywhere would use a key twice.

    Attributes:
        statement: What its readers are told of it.
        id: The hash of the statement.
        index: Of the next message.
        born: When it was made, in ms.
    """

    __slots__ = ("__secret", "__signer", "born", "id", "index", "statement")

    def __init__(self, statement: ChainStatement, signer: Seed, secret: ChainSecret, born: int) -> None:
        self.statement = statement
        self.id = statement.id
        self.index = 0
        self.born = born
        self.__signer = signer
        self.__secret = secret

    @classmethod
    def begin(
        cls,
        *,
        room: RoomId,
        sender: Identity,
        inst: Instance,
        n: int,
        head: Head,
        epoch: int,
        prev: ChainId,
        prev_count: int,
        born: int,
        entropy: Entropy,
    ) -> Self:
        """A new chain with a fresh signing key and a fresh secret. Draws 32 bytes for the secret, then 32 for the key.

        Nothing of an earlier chain goes into it: who copied this machine's memory before reads nothing of it.
        """
        secret = ChainSecret(entropy(ChainSecret.SIZE))
        signer = new_seed(entropy)
        statement = ChainStatement(room, sender, inst, n, head, epoch, ChainKey(signer.public), prev, prev_count)
        return cls(statement, signer, secret, born)

    def grant(self) -> Grant:
        """What lets a reader open the next message and all later ones of this chain."""
        return Grant(self.statement, self.index, self.__secret)

    def seal(
        self, *, n: int, head: Head, s: int, transcript: Transcript, plaintext: bytes, entropy: Entropy
    ) -> Envelope:
        """Seal the next message and ratchet, so that this machine can no longer open what it sent. Draws 32 bytes.

        Args:
            n: The last record folded; ``head`` is that record's.
            head: See ``n``.
            s: The last event seen; ``transcript`` is that event's.
            transcript: See ``s``.
            plaintext: Kind, clock, counter, body.
            entropy: See ``seal_message``.

        Raises:
            UsageError: More than 64 KiB when padded; the chain has not moved.
            TypeError: The chain is used up, or the plaintext has no header: a bug of the caller.
        """
        if self.index >= CHAIN_MESSAGES:
            raise TypeError(f"chain {self.id.short} has sent its {CHAIN_MESSAGES} messages")
        header = Header(self.statement.room, self.id, self.index, n, head, s, transcript)
        key = message_key(self.__secret, self.id, self.index)
        envelope = seal_message(key, header, plaintext, self.__signer, entropy)
        # The old secret is dropped before the envelope leaves this method, so no second message is sealed under it.
        self.__secret = next_secret(self.__secret, self.id, self.index)
        self.index += 1
        return envelope

    def __reduce__(self) -> NoReturn:
        raise TypeError("a SendChain is not for pickling or copying")


@dataclass(frozen=True, slots=True)
class ReadChain:
    """Another member's chain, as far as it has been read: ``index`` is the first message that it can still open."""

    statement: ChainStatement
    index: int
    secret: ChainSecret

    @classmethod
    def accept(cls, grant: Grant) -> Self:
        """The chain of a grant that the caller has judged against its fold (§6)."""
        return cls(grant.statement, grant.index, grant.secret)

    def check_signature(self, envelope: Envelope) -> None:
        """Let only the chain's maker speak in it; every reader holds the secrets, so those prove nothing.

        Raises:
            BadSignature: Not signed by the chain's key.
        """
        verify(Label.MESSAGE, self.statement.key, envelope.signed, envelope.signature)

    def open(self, envelope: Envelope) -> tuple[bytes, Self]:
        """The plaintext, and the chain as it stands behind this message. The signature is checked before, apart.

        Raises:
            MessageRefused: chain, index (read already, or over 127), commitment, ciphertext, padding.
            Malformed: A plaintext of fewer than 17 bytes.
        """
        header, chain = envelope.header, self.statement.id
        if header.chain != chain:
            raise MessageRefused("a message of another chain", reason="chain")
        if not self.index <= header.index <= CHAIN_INDEX_MAX:
            raise MessageRefused("a message whose key is gone, or beyond the end of its chain", reason="index")
        secret = self.secret
        for index in range(self.index, header.index):
            secret = next_secret(secret, chain, index)
        plaintext = open_message(message_key(secret, chain, header.index), envelope)
        return plaintext, replace(self, index=header.index + 1, secret=next_secret(secret, chain, header.index))
