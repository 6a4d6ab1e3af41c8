"""Attachments: Put, PutStatus, Get (docs/protocol.md §9.7). The relay keeps their ciphertext and opens none."""

from dataclasses import replace

from chaton.identity.ids import BlobId, Identity
from chaton.limits import BLOB_BYTES_MAX, PIECE_BYTES_MAX, PIECE_BYTES_MIN, SEALED_PIECE_OVERHEAD
from chaton.relay.hub.depot import UPLOAD_LIFE_MS, UPLOADS_MAX, space_for
from chaton.relay.hub.effects import Decision, Fetch, Reply
from chaton.relay.hub.memory import Memory, Session
from chaton.relay.hub.refusals import No
from chaton.relay.store.base import BlobRow, PieceRow
from chaton.wire.frames import BlobState, Get, Put, PutStatus

_SIZE_MIN = SEALED_PIECE_OVERHEAD  # An empty file is one empty piece, which is a tag.


def put(memory: Memory, session: Session, who: Identity, frame: Put, now: int) -> Decision:
    """Take the next piece of an attachment; the last one again is answered as it was then."""
    room, blob = memory.room(frame.room), BlobId(frame.blob)
    known = memory.depot.find(room.id, blob)
    if known is not None and _is_last_again(known, who, frame):
        return _state(session, frame.ref, known)
    member = room.member(who)
    if room.state.closed:
        raise No("closed")
    if member.muted:
        raise No("muted")
    row = known or BlobRow(room.id, blob, who, frame.size, 0, now)
    _check_piece(row, who, frame)
    if known is None:
        _check_bounds(memory, row, now)
    row = replace(row, have=row.have + len(frame.data))
    if row.complete:
        row = replace(row, at=now)
    memory.depot.put(row)
    decision = _state(session, frame.ref, row)
    decision.writes = [row, PieceRow(room.id, blob, frame.offset, frame.data)]
    return decision


def status(memory: Memory, session: Session, who: Identity, frame: PutStatus, _now: int) -> Decision:
    """Tell a member how much of an attachment is here. It is told after everything decided before is durable."""
    room, blob = memory.room(frame.room), BlobId(frame.blob)
    room.member(who)
    known = memory.depot.find(room.id, blob)
    return _state(session, frame.ref, known or BlobRow(room.id, blob, who, 0, 0, 0))


def get(memory: Memory, session: Session, who: Identity, frame: Get, now: int) -> Decision:
    """Tell a member who reads a piece of a complete attachment. What goes out is counted as what comes in is."""
    room, blob = memory.room(frame.room), BlobId(frame.blob)
    if not room.member(who).reads:
        raise No("not-allowed", "a bot posts to this room and reads nothing of it")
    row = memory.depot.find(room.id, blob)
    if row is None or not row.complete:
        raise No("no-blob")
    if frame.offset >= row.size:
        raise No("bad-offset", f"the attachment has {row.size} bytes: ask for nothing behind its end")
    wait = memory.meter.take("bytes", session, min(row.size - frame.offset, PIECE_BYTES_MAX), now)
    if wait:
        raise No("limited", retry_ms=wait)
    return Decision((session.id, frame.ref), then=[Fetch(session.id, frame.ref, row, frame.offset)])


def _state(session: Session, ref: int, row: BlobRow) -> Decision:
    return Decision((session.id, ref), then=[Reply(session.id, BlobState(ref, row.size, row.have))])


def _is_last_again(row: BlobRow, who: Identity, frame: Put) -> bool:
    """Whether this was taken already, and its answer was lost on the way."""
    is_same = (row.uploader, row.size) == (who, frame.size)
    return is_same and bool(frame.data) and frame.offset + len(frame.data) == row.have


def _check_piece(row: BlobRow, who: Identity, frame: Put) -> None:
    """Refuse what is not the next piece of this attachment."""
    if row.uploader != who:
        raise No("blob-taken")
    if row.size != frame.size or row.size < _SIZE_MIN:
        raise No("bad-piece")
    if frame.offset != row.have:
        detail = f"the relay has {row.have} of {row.size} bytes of this attachment: go on from there"
        raise No("bad-offset", detail)
    left = row.size - row.have
    length = len(frame.data)
    # Short pieces would take more place on the disk than they are counted for.
    if not 0 < length <= left or (length < PIECE_BYTES_MIN and length != left):
        detail = f"a piece has {PIECE_BYTES_MIN} to {PIECE_BYTES_MAX} bytes, the last one what is left: cut it anew"
        raise No("bad-piece", detail)


def _check_bounds(memory: Memory, row: BlobRow, now: int) -> None:
    """Refuse to begin what is too long, too many, or has no space: all of it, so that what is begun can be finished."""
    policy, depot, space = memory.policy, memory.depot, space_for(row.size)
    if row.size > min(BLOB_BYTES_MAX, policy.room_blob_bytes, policy.blob_bytes):
        raise No("too-large")
    uploads = depot.uploads(row.uploader)
    if len(uploads) >= UPLOADS_MAX:
        detail = (
            f"you have {UPLOADS_MAX} unfinished attachments on this relay: finish one, or wait until one is dropped"
        )
        raise No("limited", detail, retry_ms=max(1, uploads[0].at + UPLOAD_LIFE_MS - now))
    if depot.space_of(row.room) + space > policy.room_blob_bytes:
        raise No("blob-quota", "this room has no space left for attachments: wait until older ones are dropped")
    if depot.space + space > policy.blob_bytes:
        raise No("blob-quota", "this relay has no space left for attachments: try later, or tell its operator")
