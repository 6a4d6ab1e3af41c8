"""From the store into the hub's memory: all of it at the start, and what a failed commit touched."""

from collections.abc import Callable, Sequence

from chaton.relay.hub.memory import Memory
from chaton.relay.hub.room import Room
from chaton.relay.store.base import (
    BlobGone,
    BlobRow,
    BodyGone,
    BundleRow,
    DirectRow,
    EventRow,
    ParcelRow,
    ParcelsGone,
    PieceRow,
    Store,
    Write,
)


def load(memory: Memory, store: Store) -> None:
    """Read everything.

    Raises:
        StoreError: The disk refuses, or what it has is damaged.
    """
    for room in store.rooms():
        memory.put_room(Room.of_rows(store.skeleton(room)))
    for pair in store.directs():
        memory.put_room(Room.of_rows(store.skeleton(pair.room), pair))
    memory.put_bundles(store.bundles())
    memory.put_waiting(store.waiting())
    memory.put_blobs(store.blobs())


def reload(memory: Memory, store: Store, lost: Sequence[Write]) -> Callable[[], None]:
    """Read again what lost writes had touched. What is returned puts it into memory, in the thread of the loop.

    Raises:
        StoreError: The disk refuses.
    """
    touched = {write.room for write in lost if isinstance(write, EventRow | BodyGone | DirectRow)}
    pairs = {pair.room: pair for pair in store.directs()}
    there = {*store.rooms(), *pairs}
    rooms = [Room.of_rows(store.skeleton(room), pairs.get(room)) for room in touched & there]
    bundles = list(store.bundles()) if any(isinstance(write, BundleRow) for write in lost) else None
    parcels_lost = any(isinstance(write, ParcelRow | ParcelsGone) for write in lost)
    waiting = list(store.waiting()) if parcels_lost else None
    blobs_lost = any(isinstance(write, BlobRow | PieceRow | BlobGone) for write in lost)
    blobs = list(store.blobs()) if blobs_lost else None

    def install() -> None:
        for room_id in touched - there:
            memory.drop_room(room_id)
        for room in rooms:
            memory.put_room(room)
        if bundles is not None:
            memory.put_bundles(bundles)
        if waiting is not None:
            memory.put_waiting(waiting)
        if blobs is not None:
            memory.put_blobs(blobs)

    return install
