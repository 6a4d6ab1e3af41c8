"""``H`` and ``K``: BLAKE2b with a person string, without and with a key (docs/protocol.md §1)."""

from enum import Enum
from hashlib import blake2b


class Person(Enum):
    """What a hash is for. Two purposes never share a value, so no hash of one kind can stand for another."""

    ROOM = b"chaton1.room"
    HEAD = b"chaton1.head"
    DIRECT = b"chaton1.dm"
    BUNDLE = b"chaton1.bundle"
    POST_QUANTUM = b"chaton1.pq"
    CHAIN = b"chaton1.chain"
    MESSAGE_KEY = b"chaton1.msg"
    NEXT_KEY = b"chaton1.next"
    ENCRYPT = b"chaton1.enc"
    NONCE = b"chaton1.iv"
    COMMITMENT = b"chaton1.com"
    MESSAGE_ID = b"chaton1.msgid"
    TRANSCRIPT = b"chaton1.tr"
    INVITE = b"chaton1.inv"
    INFO = b"chaton1.info"
    SAFETY = b"chaton1.safety"
    LINK = b"chaton1.link"

    def __init__(self, word: bytes) -> None:
        """Begin the hash once: to copy it costs less than to begin anew each time."""
        self.begun = blake2b(digest_size=32, person=word)


def digest(person: Person, data: bytes) -> bytes:
    """``H(person, data)``: 32 bytes, no key."""
    hashed = person.begun.copy()
    hashed.update(data)
    return hashed.digest()


def keyed(key: bytes, person: Person, data: bytes = b"") -> bytes:
    """``K(key, person, data)``: 32 bytes under a 32-byte key. A PRF: two persons give two independent keys."""
    return blake2b(data, digest_size=32, key=key, person=person.value).digest()
