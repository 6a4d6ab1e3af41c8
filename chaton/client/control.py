"""The control socket: how other processes ask the one that has a profile open.

::

    asker  → one line of JSON: a request of chaton.client.requests, or {"type": "Follow"}
    holder → one line: the reply, or {"type": "Failure", …}
             for Follow: {"type": "Ok"}, then one line a notice, until either side closes

The socket is in the profile's directory, mode 0600: who may connect may read the profile anyway.
"""

import asyncio
import contextlib
import hashlib
import os
import stat
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final, Self, TypeAlias, TypeVar

import msgspec

from chaton import errors
from chaton.client.news import AnyNotice, Subscription, notice_of_plain, notice_to_plain, write_special
from chaton.client.replies import AnyReply, Ok, Reply
from chaton.client.requests import AnyRequest, Request
from chaton.errors import ChatonError, Malformed, ProfileError, Refused, Unreachable, UsageError

SOCKET: Final = "control.sock"
_PATH_BYTES_MAX: Final = 100  # The system's own limit is 104 or 108 bytes.
_REQUEST_BYTES_MAX: Final = 2**20
_REPLY_BYTES_MAX: Final = 64 * 2**20


class Follow(Request, frozen=True, kw_only=True):
    """Tell notices until the connection ends."""


class Failure(Reply, frozen=True, kw_only=True):
    """A request failed; ``kind`` names the error's class in ``chaton.errors``."""

    kind: str
    sentence: str
    hint: str
    code: str = ""
    retry_ms: int = 0


_Asked: TypeAlias = AnyRequest | Follow
_Replied: TypeAlias = AnyReply | Failure
_Message = TypeVar("_Message")

_encoder: Final = msgspec.json.Encoder(enc_hook=write_special)
_of_asker: Final[msgspec.json.Decoder[_Asked]] = msgspec.json.Decoder(_Asked)
_of_holder: Final[msgspec.json.Decoder[_Replied]] = msgspec.json.Decoder(_Replied)


def socket_path(directory: Path) -> Path:
    """Where the socket of a profile is: in its directory or, where that path is too long for one, in a private
    directory for temporary files, under a name made from it.

    Raises:
        ProfileError: That directory is somebody else's.
    """  # noqa: D205 - one sentence
    path = directory.absolute() / SOCKET
    if len(os.fsencode(path)) <= _PATH_BYTES_MAX:
        return path
    private = Path(tempfile.gettempdir()) / f"chaton-{os.getuid()}"
    private.mkdir(mode=0o700, exist_ok=True)
    found = private.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise ProfileError(f"{private} can be read by others", hint="remove it, or use a profile with a shorter path")
    name = hashlib.blake2b(os.fsencode(directory.resolve()), digest_size=16).hexdigest()
    return private / f"{name}.sock"


class ControlServer:
    """Serves others from a profile that is open here; an asynchronous context manager.

    Args:
        directory: The profile's.
        perform: Carries out a request.
        subscribe: Begins to collect notices.
    """

    def __init__(
        self,
        directory: Path,
        perform: Callable[[AnyRequest], Awaitable[AnyReply]],
        subscribe: Callable[[], Subscription],
    ) -> None:
        self._path = socket_path(directory)
        self._perform = perform
        self._subscribe = subscribe
        self._visitors: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        # The profile's lock is ours, so a socket that is there is a dead process's.
        self._path.unlink(missing_ok=True)
        try:
            self._server = await asyncio.start_unix_server(self._visited, self._path, limit=_REQUEST_BYTES_MAX)
            self._path.chmod(0o600)  # The directory keeps others out until then.
        except OSError as cause:
            raise errors.StoreError(f"{self._path} cannot be made: {cause.strerror}") from cause
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self._server.close()
        self._path.unlink(missing_ok=True)
        for visitor in self._visitors:
            visitor.cancel()
        if self._visitors:
            await asyncio.wait(self._visitors)

    def _visited(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visitor = asyncio.create_task(self._serve(reader, writer), name="control")
        self._visitors.add(visitor)
        visitor.add_done_callback(self._visitors.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request. An asker who goes away takes it back, as Ctrl-C would."""
        working = asyncio.ensure_future(self._converse(reader, writer))
        try:
            await working
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            working.cancel()
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = _read(_of_asker, await reader.readuntil(b"\n"))
        except (Malformed, asyncio.LimitOverrunError) as cause:
            await _write(writer, _failure(UsageError(f"no request that is known here: {cause}")))
            return
        gone = asyncio.ensure_future(reader.read(1))
        doing = asyncio.ensure_future(
            self._follow(writer) if isinstance(request, Follow) else self._answer(request, writer)
        )
        try:
            await asyncio.wait({gone, doing}, return_when=asyncio.FIRST_COMPLETED)
            if doing.done():
                doing.result()
        finally:
            gone.cancel()
            doing.cancel()
            await asyncio.wait({gone, doing})

    async def _answer(self, request: AnyRequest, writer: asyncio.StreamWriter) -> None:
        try:
            reply: _Replied = await self._perform(request)
        except ChatonError as error:
            reply = _failure(error)
        await _write(writer, reply)

    async def _follow(self, writer: asyncio.StreamWriter) -> None:
        news = self._subscribe()
        await _write(writer, Ok())
        async for notice in news:
            await _write(writer, notice_to_plain(notice))


async def _write(writer: asyncio.StreamWriter, message: object) -> None:
    raw = _encoder.encode(message)
    if len(raw) >= _REPLY_BYTES_MAX:
        raw = _encoder.encode(_failure(UsageError("the answer is too long", hint="ask for less, as with --after")))
    writer.write(raw + b"\n")
    await writer.drain()


def _read(decoder: msgspec.json.Decoder[_Message], line: bytes) -> _Message:
    try:
        return decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as cause:
        raise Malformed(str(cause)) from cause


def _failure(error: ChatonError) -> Failure:
    known = next(kind for kind in type(error).__mro__ if getattr(errors, kind.__name__, None) is kind)
    code, retry_ms = (error.code, error.retry_ms) if isinstance(error, Refused) else ("", 0)
    return Failure(kind=known.__name__, sentence=str(error), hint=error.hint, code=code, retry_ms=retry_ms)


def _raised(failure: Failure) -> ChatonError:
    kind = getattr(errors, failure.kind, ChatonError)
    if kind is Refused:
        return Refused(failure.code, failure.sentence, retry_ms=failure.retry_ms, hint=failure.hint)
    if not (isinstance(kind, type) and issubclass(kind, ChatonError)):
        kind = ChatonError
    error: ChatonError = kind(failure.sentence)
    error.hint = failure.hint
    return error


class NobodyHolds(Unreachable):
    """No process serves this profile's control socket."""

    hint = "wait for the process that has the profile open, or close it"


async def ask(directory: Path, request: AnyRequest) -> AnyReply:
    """Have a request carried out by the process that has a profile open.

    Raises:
        NobodyHolds: There is none that takes requests.
        ChatonError: The same error that the request has failed with there.
    """
    async with _connected(directory) as (reader, writer):
        return await _exchange(reader, writer, request)


async def is_served(directory: Path) -> bool:
    """Whether a process takes requests for a profile."""
    try:
        async with _connected(directory):
            return True
    except NobodyHolds:
        return False


@contextlib.asynccontextmanager
async def follow(directory: Path) -> AsyncIterator[AsyncIterator[AnyNotice]]:
    """The notices of the process that has a profile open, from when this is entered; they end when it ends.

    Raises:
        NobodyHolds: There is none that takes requests.
    """
    async with _connected(directory) as (reader, writer):
        await _exchange(reader, writer, Follow())
        yield _notices(reader)


async def _notices(reader: asyncio.StreamReader) -> AsyncIterator[AnyNotice]:
    while line := await _line(reader):
        yield notice_of_plain(msgspec.json.decode(line))


@contextlib.asynccontextmanager
async def _connected(directory: Path) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    try:
        reader, writer = await asyncio.open_unix_connection(socket_path(directory), limit=_REPLY_BYTES_MAX)
    except OSError as cause:
        raise NobodyHolds(f"no process takes requests for the profile in {directory}") from cause
    try:
        yield reader, writer
    finally:
        writer.close()


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: _Asked) -> AnyReply:
    try:
        await _write(writer, request)
        line = await _line(reader)
    except OSError:
        line = b""
    if not line:
        hint = "look whether it was done before asking again"
        raise Unreachable("the process that has the profile open ended before it answered", hint=hint)
    reply = _read(_of_holder, line)
    if isinstance(reply, Failure):
        raise _raised(reply)
    return reply


async def _line(reader: asyncio.StreamReader) -> bytes:
    """One line, empty at the end."""
    try:
        return await reader.readuntil(b"\n")
    except (asyncio.IncompleteReadError, OSError):
        return b""
