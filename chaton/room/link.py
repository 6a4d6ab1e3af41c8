"""Invite links: everything a joiner needs, in one word to paste (docs/protocol.md §2).

::

    chaton: base64url of ( 01 | host u8-length | port u16 | spki 32 | room 32 | n u32 | head 32 | seed 32 | rik 32
                           | H("chaton1.link", all before)[:4] )
"""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Self

from chaton.errors import Malformed
from chaton.identity.hashing import Person, digest
from chaton.identity.ids import Head, Pin, RoomId
from chaton.identity.secret import InviteSeed, RoomInfoKey
from chaton.limits import LINK_HOST_MAX, RECORDS_MAX

_SCHEME = "chaton:"
_VERSION = b"\x01"
_REST_BYTES = 2 + 32 + 32 + 4 + 32 + 32 + 32  # what stands between host and checksum
_HOST = re.compile(rf"[a-z0-9.:-]{{1,{LINK_HOST_MAX}}}")
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a relay listens, and the key it must show there."""

    host: str
    port: int
    pin: Pin

    def __post_init__(self) -> None:
        """Refuse what no link can hold (``Malformed``)."""
        if not _HOST.fullmatch(self.host):
            raise Malformed("a relay's host is 1 to 253 characters of a-z 0-9 . - :")
        if not 1 <= self.port < 2**16:
            raise Malformed("a relay's port is a number from 1 to 65535")

    @property
    def netloc(self) -> str:
        """``HOST:PORT``, with brackets around an IPv6 address."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Link:
    """An invite: the relay's address and pin, the room, its INVITE record's place, and two secrets.

    ``seed`` gives the key that signs a JOIN, ``rik`` opens names and topics: whoever holds the link may join.
    """

    address: Address
    room: RoomId
    n: int
    head: Head
    seed: InviteSeed
    rik: RoomInfoKey

    def encode(self) -> str:
        """The link's only written form."""
        host = self.address.host.encode()
        raw = b"".join((
            _VERSION, bytes([len(host)]), host, self.address.port.to_bytes(2), self.address.pin,
            self.room, self.n.to_bytes(4), self.head, self.seed.reveal(), self.rik.reveal(),
        ))  # fmt: skip
        return _SCHEME + base64.urlsafe_b64encode(raw + _checksum(raw)).rstrip(b"=").decode()

    @classmethod
    def decode(cls, text: str) -> Self:
        """Read a link as it was pasted, without white space around it.

        Raises:
            Malformed: It is no link, was cut, mistyped, or written by another version. The text is not repeated in
                the error, because it is secret.
        """
        raw = _base64url(text)
        if raw[:1] != _VERSION:
            raise Malformed("this is a link of another version of Chaton")
        host_end = 2 + raw[1] if len(raw) > 1 else 0
        rest = raw[host_end:-4]
        if len(rest) != _REST_BYTES or _checksum(raw[:-4]) != raw[-4:]:
            raise Malformed("the link is cut or mistyped")
        try:
            host = raw[2:host_end].decode("ascii")
        except UnicodeDecodeError as cause:
            raise Malformed("the link names no possible host") from cause
        n = int.from_bytes(rest[66:70])
        if not 1 <= n <= RECORDS_MAX:
            raise Malformed("the link names no possible record")
        return cls(
            Address(host, int.from_bytes(rest[:2]), Pin(rest[2:34])),
            RoomId(rest[34:66]),
            n,
            Head(rest[70:102]),
            InviteSeed(rest[102:134]),
            RoomInfoKey(rest[134:166]),
        )


def _checksum(raw: bytes) -> bytes:
    """Four bytes that catch a typing mistake; they are no protection against anybody."""
    return digest(Person.LINK, raw)[:4]


def _base64url(text: str) -> bytes:
    """The bytes of a link's one canonical spelling."""
    body = text.removeprefix(_SCHEME)
    if body == text or not _BASE64URL.fullmatch(body):
        raise Malformed("this is not a chaton: link")
    try:
        raw = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
    except binascii.Error as cause:
        raise Malformed("the link is cut") from cause
    if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != body:
        raise Malformed("the link has bits set behind its end")
    return raw
