"""Files to and from a room: sealed first and then sent, fetched first and then opened (docs/protocol.md §7.8).

One piece is asked for at a time, so what is typed meanwhile never waits behind more than one. A connection that breaks
is waited for, and the transfer goes on from what the other side has. A transfer that is cancelled is paused: whoever
asks for it again goes on.
"""

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from chaton.client.incoming import Incoming
from chaton.client.news import Progress
from chaton.client.spool import Sealed
from chaton.client.working import in_thread
from chaton.errors import Refused, Unreachable, UsageError
from chaton.identity.ids import MessageId, RoomId
from chaton.limits import CAPTION_BYTES_MAX, MINUTE_MS, PIECE_BYTES_MAX, SECOND_MS
from chaton.session import files
from chaton.session.content import File
from chaton.session.errand import Errand, Interrupted
from chaton.session.filename import file_name
from chaton.session.notices import Sent
from chaton.session.room import Room

if TYPE_CHECKING:
    from chaton.client.driver import Driver

_SURPRISES_MAX: Final = 5  # How often the relay may have something else than it said.
_WAIT_MAX_MS: Final = MINUTE_MS  # A relay that asks to wait longer has refused.
_Result = TypeVar("_Result")


async def send_file(driver: "Driver", room: RoomId, path: Path, caption: str) -> Sent:
    """Seal a file, give it to the relay, and say so in the room; waits until that is there.

    Raises:
        UsageError: What the path names cannot be sent, or the caption is too long.
        Refused: The relay or the room takes no file now.
        Unreachable: Not in time; the same again goes on where this one ended.
        StoreError: The disk refuses.
    """
    if len(caption.encode(errors="replace")) > CAPTION_BYTES_MAX:
        raise UsageError(f"a caption has at most {CAPTION_BYTES_MAX:,} bytes", hint="send the rest as a message")
    found = await driver.run(driver.session.in_step(room))
    if found.member is not None and found.member.muted:
        # Said before a hundred megabytes are on their way, not after.
        raise Refused("muted", "you are muted", hint="a moderator of the room can lift it")
    sealed = await driver.spool.seal(path, driver.session.arrival.blob_bytes_max)
    try:
        await _upload(driver, room, sealed)
    except (Unreachable, asyncio.CancelledError):
        driver.spool.pause(sealed)
        raise
    except BaseException:
        sealed.remove()
        raise
    try:
        return await driver.deliver(room, sealed.content(caption))
    finally:
        sealed.remove()


async def get_file(driver: "Driver", room: RoomId, message: MessageId, directory: Path) -> Path:
    """Fetch the file of a message into a directory; where it is now, under a name that was free.

    Raises:
        UsageError: The file is being fetched already.
        Refused: no-file, no-blob, bad-attachment, or one is not in the room.
        Unreachable: Not in time; the same again goes on where this one ended.
        StoreError: The disk refuses.
    """
    found = await driver.run(driver.session.in_step(room))
    file = found.timeline.file(message)
    with Incoming(directory, file) as incoming:
        await in_thread(incoming.take_up)
        await _download(driver, room, file, incoming)
        return await in_thread(incoming.finish)


async def _upload(driver: "Driver", room: RoomId, sealed: Sealed) -> None:
    size, surprises = sealed.sealed, 0
    have = await _status(driver, room, sealed)
    while have < size:
        driver.tell(Progress(room, sealed.blob, sealed.name, have, size, up=True))
        piece = await in_thread(lambda _stop, offset=have: sealed.read(offset, PIECE_BYTES_MAX))  # type: ignore[misc]
        put = partial(files.put, blob=sealed.blob, size=size, offset=have, data=piece)
        try:
            have = await _ask(driver, room, put)
        except Interrupted:
            have = await _status(driver, room, sealed)
        except Refused as refusal:
            surprises += 1
            if refusal.code != "bad-offset" or surprises > _SURPRISES_MAX:
                raise
            have = await _status(driver, room, sealed)
    driver.tell(Progress(room, sealed.blob, sealed.name, have, size, up=True))


async def _status(driver: "Driver", room: RoomId, sealed: Sealed) -> int:
    """How much the relay has, however often the connection breaks meanwhile."""
    while True:
        with contextlib.suppress(Interrupted):
            return await _ask(driver, room, partial(files.put_status, blob=sealed.blob, size=sealed.sealed))


async def _download(driver: "Driver", room: RoomId, file: File, incoming: Incoming) -> None:
    name, size = file_name(file.name), incoming.sealed
    while incoming.have < size:
        driver.tell(Progress(room, file.blob, name, incoming.have, size, up=False))
        with contextlib.suppress(Interrupted):
            piece = await _ask(driver, room, partial(files.get, blob=file.blob, size=size, offset=incoming.have))
            await in_thread(lambda _stop, piece=piece: incoming.add(piece))  # type: ignore[misc]
    driver.tell(Progress(room, file.blob, name, size, size, up=False))


async def _ask(driver: "Driver", room: RoomId, errand: Callable[[Room], Errand[_Result]]) -> _Result:
    """Run an errand about a room, again while the relay only asks to wait."""
    while True:
        try:
            return await driver.run(errand(driver.session.room(room)))
        except Refused as refusal:
            if not 0 < refusal.retry_ms <= _WAIT_MAX_MS:
                raise
            wait_ms = refusal.retry_ms
        await asyncio.sleep(wait_ms / SECOND_MS)
