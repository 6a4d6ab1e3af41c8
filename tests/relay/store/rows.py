"""Rows for tests: every id is told from a short name, so a test reads like the story it tells."""

from chaton.identity.hashing import Person, digest
from chaton.identity.ids import BlobId, BundleId, Head, Identity, Instance, MessageId, RoomId
from chaton.relay.store.base import BlobGone, BlobRow, BundleRow, DirectRow, EventRow, ParcelRow, PieceRow


def named(name: str) -> bytes:
    return digest(Person.INFO, name.encode())


def room(name: str = "room") -> RoomId:
    return RoomId(named(f"room {name}"))


def who(name: str) -> Identity:
    return Identity(named(f"identity {name}"))


def record(s: int, n: int, *, in_room: str = "room", at: int = 1_000, body: bytes = b"record") -> EventRow:
    head = Head(named(f"head {in_room} {n}"))
    return EventRow(room(in_room), s, 0, n, at, who("ann"), Instance(named("inst ann")), head, body)


def message(
    s: int, *, in_room: str = "room", at: int = 1_000, body: bytes = b"message", sender: str = "ann"
) -> EventRow:
    id_ = MessageId(named(f"message {in_room} {s}"))
    return EventRow(room(in_room), s, 1, -1, at, who(sender), Instance(named(f"inst {sender}")), id_, body)


def pruned(row: EventRow) -> EventRow:
    return EventRow(row.room, row.s, 2, row.n, row.at, row.sender, row.inst, row.id, bytes(row.id))


def parcel(token: int, to: str, *, sender: str = "ann", in_room: str = "room", raw: bytes = b"parcel") -> ParcelRow:
    return ParcelRow(token, who(to), who(sender), room(in_room), 1_000 + token, raw)


def bundle(name: str, counter: int, *, until: int = 0) -> BundleRow:
    raw = f"bundle {name} {counter}".encode()
    return BundleRow(who(name), BundleId(named(raw.decode())), raw, counter, until)


def direct(one: str, other: str) -> DirectRow:
    return DirectRow(room(f"{one} {other}"), who(one), who(other))


def blob_id(name: str) -> BlobId:
    return BlobId(named(f"blob {name}"))


def blob(name: str, size: int, have: int, *, in_room: str = "room", at: int = 1_000) -> BlobRow:
    return BlobRow(room(in_room), blob_id(name), who("ann"), size, have, at)


def piece(name: str, offset: int, data: bytes, *, in_room: str = "room") -> PieceRow:
    return PieceRow(room(in_room), blob_id(name), offset, data)


def blob_gone(name: str, *, in_room: str = "room") -> BlobGone:
    return BlobGone(room(in_room), blob_id(name))
