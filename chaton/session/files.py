"""An attachment's ciphertext on its way: what is asked of the relay, and what it may answer (docs/protocol.md §9)."""

from chaton.errors import Refused
from chaton.identity.ids import BlobId
from chaton.session.errand import Errand, Until
from chaton.session.room import Room
from chaton.wire import frames


def put(room: Room, blob: BlobId, size: int, offset: int, data: bytes) -> Errand[int]:
    """Give the relay a piece of a ciphertext of ``size`` bytes in all; how much it has then.

    Raises:
        Refused: bad-offset, where it has more or less than ``offset``; or it takes none of it.
        Interrupted: The connection broke: ``put_status`` tells what became of the piece.
    """
    state: frames.BlobState = yield frames.Put(0, room.view.room, blob, size, offset, data)
    if (state.size, state.have) != (size, offset + len(data)):
        raise _nonsense()
    return state.have


def put_status(room: Room, blob: BlobId, size: int) -> Errand[int]:
    """How much of a ciphertext the relay has; waits for the connection."""
    yield _in_step(room)
    state: frames.BlobState = yield frames.PutStatus(0, room.view.room, blob)
    if state.have > size or (state.have and state.size != size):
        raise _nonsense()
    return state.have


def get(room: Room, blob: BlobId, size: int, offset: int) -> Errand[bytes]:
    """Fetch a piece of a ciphertext of ``size`` bytes in all; waits for the connection.

    Raises:
        Refused: no-blob, where the relay has it no more; bad-attachment, where it has another one.
        Interrupted: The connection broke: ask again.
    """
    yield _in_step(room)
    piece: frames.BlobPiece = yield frames.Get(0, room.view.room, blob, offset)
    if (piece.size, piece.offset) != (size, offset) or not 0 < len(piece.data) <= size - offset:
        raise Refused("bad-attachment", "the relay has another file than the one that was sent")
    return piece.data


def _in_step(room: Room) -> Until:
    return Until(lambda: room.caught_up or room.entry.status != "in")


def _nonsense() -> Refused:
    return Refused("bad-attachment", "the relay says of the file what cannot be")
