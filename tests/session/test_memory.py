"""What is kept reads back, and shows nothing of itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaton.errors import Malformed
from chaton.identity.ids import BundleId, ChainId, Identity, Instance, MessageId, Pin, RoomId
from chaton.identity.secret import RoomInfoKey
from chaton.session.memory import (
    KINDS,
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
    decode_entry,
    encode_entry,
)
from chaton.vault.keys import BoxKey, ChainSecret, MlkemSeed
from tests.session.world import Person

ROOM, ME = RoomId(b"r" * 32), Identity(b"i" * 32)
SECRET = b"SECRET-SECRET-SECRET-SECRET-0123"
ENTRIES = [
    RoomEntry(room=ROOM, host="localhost", port=5555, pin=Pin(b"p" * 32), rik=RoomInfoKey(SECRET), excused=[Instance(b"e" * 32)]),
    RecordEntry(room=ROOM, n=3, raw=b"raw"),
    EventEntry(room=ROOM, s=4, at=5, kind=1, id=b"m" * 32, sender=ME, inst=Instance(b"n" * 32), plain=SECRET, chain=ChainId(b"c" * 32)),
    RecalledEntry(room=ROOM, s=4, at=5, kind=1, id=b"m" * 32, sender=ME, inst=Instance(b"n" * 32), plain=SECRET, state="opened"),
    ChainEntry(room=ROOM, statement=b"s", id=ChainId(b"c" * 32), index=3, secret=ChainSecret(SECRET), started=True, pruned=0),
    HeldEntry(room=ROOM, s=4, n=3, raw=b"raw"),
    EarlyEntry(room=ROOM, sender=ME, grant=b"g" * 239),
    OwnBundleEntry(raw=b"b", id=BundleId(b"b" * 32), box=BoxKey(SECRET), mlkem=MlkemSeed(SECRET * 2)),
    PeerEntry(identity=ME, seen=BundleId(b"b" * 32)),
    OutboxEntry(room=ROOM, number=1, ref=2, body=SECRET, id=MessageId(b"m" * 32)),
    ForkEntry(room=ROOM, s=1, at=2, evidence=b"e"),
]  # fmt: skip


def test_every_kind_is_here() -> None:
    assert {type(entry) for entry in ENTRIES} == set(KINDS.values())


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.KIND)
def test_entries_read_back_and_print_nothing(entry: object) -> None:
    raw = encode_entry(entry)
    again = decode_entry(type(entry), raw)
    assert encode_entry(again) == raw
    assert again.place() == entry.place()
    assert "SECRET" not in f"{entry!r} {entry}"
    for name in entry.__struct_fields__:
        assert type(getattr(again, name)) is type(getattr(entry, name)), name


def test_places_differ() -> None:
    assert RecordEntry(room=ROOM, n=1, raw=b"").place() != RecordEntry(room=ROOM, n=2, raw=b"").place()


@given(st.sampled_from(sorted(KINDS)), st.binary(max_size=100))
def test_a_damaged_entry_is_malformed(kind: str, raw: bytes) -> None:
    try:
        decode_entry(KINDS[kind], raw)
    except Malformed:
        return


def test_the_bytes_of_an_entry_never_change() -> None:
    """Older profiles are read by the order of what is in them."""
    assert encode_entry(RecordEntry(room=ROOM, n=3, raw=b"raw")) == b"\x93\xc4\x20" + ROOM + b"\x03\xc4\x03raw"


@pytest.mark.parametrize("kind", KINDS.values())
def test_what_an_entry_remembers_besides_is_added_at_its_end(kind: type[Entry]) -> None:
    event = "room s at kind id state sender inst chain plain lost pruned lost_before stale reason"
    first = {
        RoomEntry: "room host port pin rik peer status name first_s first_t first_n join why why_detail forked claimants "
        "excused chain count read_s number draft gone_s",
        RecordEntry: "room n raw",
        EventEntry: event,
        RecalledEntry: event,
        ChainEntry: "room statement id index secret started pruned",
        HeldEntry: "room s n raw",
        EarlyEntry: "room sender grant",
        OwnBundleEntry: "raw id box mlkem replaced shown taken",
        PeerEntry: "identity bundle counter seen compared ignored",
        OutboxEntry: "room number ref body plain envelope id chain index attempts",
        ForkEntry: "room s at evidence",
    }[kind].split()
    assert list(kind.__struct_fields__[: len(first)]) == first


def test_where_an_entry_stands_in_a_profile_never_changes() -> None:
    """What older profiles hold there is replaced, and forgotten, by its place."""
    assert {entry.KIND: entry.place() for entry in ENTRIES} == {
        "room": ROOM,
        "record": ROOM + bytes([0, 0, 0, 3]),
        "event": ROOM + bytes([0, 0, 0, 0, 0, 0, 0, 4]),
        "recalled": ROOM + b"m" * 32,
        "chain": b"c" * 32,
        "held": ROOM + bytes([0, 0, 0, 0, 0, 0, 0, 4]),
        "early": ROOM + ME + b"g" * 32,
        "own-bundle": b"b" * 32,
        "peer": ME,
        "outbox": ROOM + bytes([0, 0, 0, 0, 0, 0, 0, 1]),
        "fork": ROOM + bytes([0, 0, 0, 0, 0, 0, 0, 1]),
    }


def written(person: Person) -> bool:
    """Whether anything is written since the last time."""
    person.carry_out()
    found = bool(person.disk)
    person.disk.clear()
    return found


def test_what_is_kept_already_is_not_written_again(ada: Person, room: RoomId) -> None:
    ada.disk.clear()
    for settle in (lambda: ada.session.mark_read(room, 7), lambda: ada.session.keep_draft(room, "half")):
        settle()
        assert written(ada)
        settle()
        assert not written(ada)


def test_a_login_that_brings_nothing_writes_nothing(ada: Person) -> None:
    ada.disconnect()
    ada.disk.clear()
    ada.connect()
    ada.world.settle()
    assert ada.session.arrival.settled
    assert not written(ada)


def test_what_a_profile_calls_its_entries_never_changes() -> None:
    """Older profiles are read by these names."""
    assert set(KINDS) == {
        "room", "record", "event", "recalled", "chain", "held", "early", "own-bundle", "peer", "outbox", "fork",
    }  # fmt: skip
