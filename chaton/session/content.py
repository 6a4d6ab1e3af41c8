"""What a message says once it is open (docs/protocol.md §7).

``plaintext = kind u8 | sender clock u64 ms | own bundle ctr u64 | body``. Judged by bytes alone: a well-formed text may
still hold control characters and a file's name may be a path; ``chaton.session.text`` makes them harmless.
"""

from dataclasses import dataclass
from typing import ClassVar, Self, TypeAlias

from chaton.errors import Malformed
from chaton.identity.ids import BlobHash, BlobId, MessageId
from chaton.limits import EMOJI_BYTES_MAX, FILE_NAME_BYTES_MAX, PLAINTEXT_HEADER_BYTES
from chaton.vault.keys import FileKey


@dataclass(frozen=True, slots=True)
class Text:
    """Something said."""

    KIND: ClassVar[int] = 1
    text: str

    def encode(self) -> bytes:
        """The body."""
        return _some(self.text)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read a body or raise ``Malformed``."""
        return cls(_read_some(body))


@dataclass(frozen=True, slots=True)
class Action(Text):
    """Something done: ``/me``."""

    KIND: ClassVar[int] = 2


@dataclass(frozen=True, slots=True)
class Reply:
    """Something said about an earlier message, whatever that is."""

    KIND: ClassVar[int] = 3
    message: MessageId
    text: str

    def encode(self) -> bytes:
        """The body."""
        return self.message + _some(self.text)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read a body or raise ``Malformed``."""
        return cls(MessageId(body[:32]), _read_some(body[32:]))


@dataclass(frozen=True, slots=True)
class Edit(Reply):
    """The whole new text of an own TEXT, ACTION or REPLY."""

    KIND: ClassVar[int] = 4


@dataclass(frozen=True, slots=True)
class Delete:
    """Takes an own message back."""

    KIND: ClassVar[int] = 5
    message: MessageId

    def encode(self) -> bytes:
        """The body."""
        return bytes(self.message)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read a body or raise ``Malformed``."""
        return cls(MessageId(body))


@dataclass(frozen=True, slots=True)
class React:
    """Adds an emoji to a message, or takes the own one back."""

    KIND: ClassVar[int] = 6
    message: MessageId
    add: bool
    emoji: str

    def encode(self) -> bytes:
        """The body."""
        emoji = _some(self.emoji)
        if len(emoji) > EMOJI_BYTES_MAX:
            raise Malformed(f"a reaction has at most {EMOJI_BYTES_MAX} bytes")
        return self.message + bytes([self.add]) + emoji

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read a body or raise ``Malformed``."""
        if len(body) > 33 + EMOJI_BYTES_MAX or body[32:33] not in {b"\0", b"\1"}:
            raise Malformed("no reaction of Chaton/1")
        return cls(MessageId(body[:32]), body[32] == 1, _read_some(body[33:]))


@dataclass(frozen=True, slots=True)
class File:
    """An attachment: where its ciphertext is, what opens it, what it claims to be."""

    KIND: ClassVar[int] = 7
    blob: BlobId
    key: FileKey
    hash: BlobHash
    size: int
    name: str
    text: str  # the caption

    def encode(self) -> bytes:
        """The body."""
        name = self.name.encode()
        if len(name) > FILE_NAME_BYTES_MAX:
            raise Malformed(f"a file's name has at most {FILE_NAME_BYTES_MAX} bytes")
        facts = self.blob + self.key.reveal() + self.hash + self.size.to_bytes(8)
        return facts + len(name).to_bytes(2) + name + _bytes(self.text)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read a body or raise ``Malformed``."""
        length = int.from_bytes(body[104:106])
        if len(body) < 106 + length or length > FILE_NAME_BYTES_MAX:
            raise Malformed("a file's facts are cut")
        name, caption = body[106 : 106 + length], body[106 + length :]
        blob, key, hashed = BlobId(body[:32]), FileKey(body[32:64]), BlobHash(body[64:96])
        return cls(blob, key, hashed, int.from_bytes(body[96:104]), _utf8(name), _utf8(caption))


@dataclass(frozen=True, slots=True)
class Alive:
    """A heartbeat, never shown."""

    KIND: ClassVar[int] = 8

    def encode(self) -> bytes:
        """The body."""
        return b""

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read a body or raise ``Malformed``."""
        if body:
            raise Malformed("a heartbeat has no body")
        return cls()


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something that this version cannot show: of an unknown ``kind``, or malformed. It counts all the same."""

    kind: int


Content: TypeAlias = Text | Action | Reply | Edit | Delete | React | File | Alive
_KINDS: dict[int, type[Content]] = {
    kind.KIND: kind for kind in (Text, Action, Reply, Edit, Delete, React, File, Alive)
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plaintext:
    """A message's content, its sender's clock in ms and the counter of its sender's bundle."""

    content: Content | Unreadable
    clock: int
    counter: int

    def encode(self) -> bytes:
        """The bytes to seal."""
        assert not isinstance(self.content, Unreadable)
        times = self.clock.to_bytes(8) + self.counter.to_bytes(8)
        return bytes([self.content.KIND]) + times + self.content.encode()

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Read what was opened. Never raises for 17 bytes and more: what does not read is ``Unreadable``."""
        head, body = raw[:PLAINTEXT_HEADER_BYTES], raw[PLAINTEXT_HEADER_BYTES:]
        return cls(_content(head[0], body), int.from_bytes(head[1:9]), int.from_bytes(head[9:17]))


def read_body(body: bytes) -> Content | Unreadable:
    """What ``kind u8 | body`` says: a plaintext without its clock and counter, as the outbox keeps it."""
    return _content(body[0], body[1:])


def _content(number: int, body: bytes) -> Content | Unreadable:
    kind = _KINDS.get(number)
    if kind is None:
        return Unreadable(number)
    try:
        return kind.decode(body)
    except Malformed:
        return Unreadable(number)


def _utf8(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as cause:
        raise Malformed("a text that is not UTF-8") from cause


def _read_some(raw: bytes) -> str:
    if not raw:
        raise Malformed("an empty text")
    return _utf8(raw)


def _some(text: str) -> bytes:
    if not text:
        raise Malformed("an empty text")
    return _bytes(text)


def _bytes(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as cause:
        raise Malformed("a text with half a character") from cause
