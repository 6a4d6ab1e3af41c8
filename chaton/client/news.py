"""What a client tells: the session's notices, and how its connections stand; and the queues they are read from."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

import msgspec

from chaton.errors import ChatonError, Malformed
from chaton.identity.ids import BlobId, Fixed, Pin, RoomId
from chaton.session.notices import Notice, Warned
from chaton.session.text import SafeText, clean, clean_line

WAITING_MAX: Final = 10_000  # News that wait for a slow reader; the oldest go first, and it is told so.


@dataclass(frozen=True, slots=True)
class ConnectionChanged:
    """How the connection to a relay stands.

    Attributes:
        relay: The pin of the relay; ``address`` is HOST:PORT.
        state: connecting; online (rooms are current or about to be); offline (tried again in ``retry_ms``); stopped
            (not tried again by itself).
        code: Why it is offline or stopped: unreachable, security, store, protocol, or the relay's own word, such as
            replaced. ``detail`` is a sentence.
    """

    relay: Pin
    address: SafeText
    state: Literal["connecting", "online", "offline", "stopped"]
    retry_ms: int = 0
    code: str = ""
    detail: SafeText = SafeText("")  # noqa: RUF009 - immutable


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a file is on its way to a room or from there: ``done`` of ``total`` bytes of ciphertext.

    Attributes:
        blob: Tells one file on its way from another.
        up: To the room.
    """

    room: RoomId
    blob: BlobId
    name: SafeText
    done: int
    total: int
    up: bool


AnyNotice: TypeAlias = Notice | ConnectionChanged | Progress


class Subscription:
    """News from the moment it was made, in order; an asynchronous iterator that ends when the client closes.

    Args:
        wanted: Which news belong to it.
    """

    def __init__(self, wanted: Callable[[Pin, AnyNotice], bool]) -> None:
        self._wanted = wanted
        self._waiting: deque[AnyNotice] = deque()
        self._lost = 0
        self._changed = asyncio.Event()
        self._failure: ChatonError | None = None
        self._closed = False

    def put(self, relay: Pin, notice: AnyNotice) -> None:
        """Take in what happened, if it belongs here."""
        if self._closed or not self._wanted(relay, notice):
            return
        if len(self._waiting) >= WAITING_MAX:
            self._waiting.popleft()
            self._lost += 1
        self._waiting.append(notice)
        self._changed.set()

    def close(self, failure: ChatonError | None = None) -> None:
        """Nothing more comes: what waits is still given out, then iteration ends, or raises ``failure``."""
        self._closed = True
        self._failure = failure
        self._changed.set()

    def __aiter__(self) -> AsyncIterator[AnyNotice]:
        return self

    async def __anext__(self) -> AnyNotice:
        while not self._waiting:
            if self._closed:
                if self._failure is not None:
                    raise self._failure
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        if self._lost:
            lost, self._lost = self._lost, 0
            return Warned(None, "lagging", clean_line(f"{lost} notices were dropped, as nobody had read them in time"))
        return self._waiting.popleft()


def room_of(notice: AnyNotice) -> RoomId | None:
    """The room that a notice is about; None for what concerns the whole relay."""
    return getattr(notice, "room", None)


_KINDS: Final[dict[str, type]] = {kind.__name__: kind for kind in (*get_args(Notice), ConnectionChanged, Progress)}


def notice_to_plain(notice: AnyNotice) -> tuple[str, AnyNotice]:
    """What ``msgspec.json`` writes with ``write_special`` as its hook: the kind's name, and the fields."""
    return type(notice).__name__, notice


def write_special(value: object) -> object:
    """Identifiers become hex, safe texts plain ones."""
    if isinstance(value, Fixed):
        return value.hex()
    if isinstance(value, str):
        return str.__str__(value)
    raise TypeError(f"a {type(value).__name__} cannot be told")


def _read_special(kind: type, value: Any) -> Any:
    return clean(value) if kind is SafeText else kind.from_hex(value)  # type: ignore[attr-defined]


def notice_of_plain(plain: object) -> AnyNotice:
    """Read what another process of the same profile has told; ``Malformed`` for anything else."""
    match plain:
        case [str(name), dict(fields)] if name in _KINDS:
            try:
                notice: AnyNotice = msgspec.convert(fields, _KINDS[name], dec_hook=_read_special)
            except (msgspec.ValidationError, Malformed, TypeError) as cause:
                raise Malformed("a notice that this version does not know") from cause
            return notice
    raise Malformed("a notice that this version does not know")
