"""Figures for Prometheus, told on a port of this machine alone: sums, nothing of one identity, room or address.

What the relay knows anyway is read when somebody asks for it. What passes is counted by a store and a hub that stand
around the relay's own (``MeasuredStore``, ``CountingHub``); without ``--metrics`` neither is there.

Needs the extra ``metrics`` (prometheus-client).
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from chaton import __version__
from chaton.errors import UsageError
from chaton.identity.ids import BlobId, RoomId
from chaton.relay.hub.decide import Hub
from chaton.relay.hub.effects import Decision, Effect, Pages, Reply
from chaton.relay.hub.memory import Memory, Session
from chaton.relay.hub.refusals import SENTENCES
from chaton.relay.store.base import EventRow, PieceRow, Store, Write
from chaton.wire.frames import KIND_MESSAGE, KIND_RECORD, AnyClientFrame, Refused

PATH: Final = "/metrics"
REQUEST_BYTES_MAX: Final = 8_192
REQUEST_S_MAX: Final = 5.0
ASKERS_MAX: Final = 8
_BUCKETS_S: Final = (0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_KINDS: Final = {KIND_RECORD: "record", KIND_MESSAGE: "message"}
_log = logging.getLogger(__name__)


class Door(Protocol):
    """What is known of all connections together (``chaton.relay.listener.Listener``)."""

    def __len__(self) -> int: ...
    @property
    def queued(self) -> int: ...  # noqa: D102


class MeasuredStore:
    """A ``Store`` around another one: counts the events and pieces that it has taken, and how long each commit took."""

    def __init__(self, store: Store, seconds: Histogram) -> None:
        self.rooms, self.directs, self.skeleton, self.events = store.rooms, store.directs, store.skeleton, store.events
        self.bundles, self.parcels, self.waiting = store.bundles, store.parcels, store.waiting
        self.blobs, self.prune, self.close = store.blobs, store.prune, store.close
        self._piece = store.piece
        self.pieces = {"in": 0, "out": 0}
        self._commit = store.commit
        self._seconds = seconds
        self.taken: Counter[int] = Counter()
        self.failures = 0

    def commit(self, writes: Sequence[Write]) -> None:
        """Write a group as the store does; runs in the thread that commits."""
        begun = time.perf_counter()
        try:
            self._commit(writes)
        except BaseException:
            self.failures += 1
            raise
        finally:
            self._seconds.observe(time.perf_counter() - begun)
        self.pieces["in"] += sum(isinstance(write, PieceRow) for write in writes)
        self.taken.update([write.kind for write in writes if isinstance(write, EventRow)])

    def piece(self, room: RoomId, blob: BlobId, offset: int, limit: int) -> bytes:
        """Read a piece as the store does; runs in the thread that commits."""
        self.pieces["out"] += 1
        return self._piece(room, blob, offset, limit)


class CountingHub(Hub):
    """A hub that counts, by their words, the refusals that it decides."""

    def __init__(self, memory: Memory) -> None:
        super().__init__(memory)
        self.refusals: Counter[str] = Counter()

    def handle(self, session: Session, frame: AnyClientFrame, now: int) -> Decision:
        """Decide on a frame."""
        return self._counted(super().handle(session, frame, now))

    def suspend(self) -> Decision:
        """Refuse everything until memory is read again."""
        return self._counted(super().suspend())

    def failed(self, decision: Decision) -> Decision:
        """What is told in place of a decision that the disk refused."""
        return self._counted(super().failed(decision))

    def _counted(self, decision: Decision) -> Decision:
        for effect in (*decision.now, *decision.then):
            refused = _refused(effect)
            if refused is not None:
                self.refusals[refused.code] += 1
        return decision


def _refused(effect: Effect) -> Refused | None:
    """The refusal that an effect tells, alone or with the records that the asker lacks."""
    if type(effect) is Reply and type(effect.frame) is Refused:
        return effect.frame
    if type(effect) is Pages and isinstance(effect.frames, tuple):
        return next((frame for frame in effect.frames if type(frame) is Refused), None)
    return None


class Metrics:
    """The figures of one relay, and the port where they are told.

    Args:
        memory: What the hub knows.
        store: Is measured from now on: ``store`` is to be used in its place, and ``hub`` as the hub.
        connections_max: How many connections there may be now.
    """

    def __init__(self, memory: Memory, store: Store, connections_max: Callable[[], int]) -> None:
        self._memory = memory
        self._connections_max = connections_max
        self._door: Door | None = None
        self._registry = CollectorRegistry()
        seconds = Histogram(
            "chaton_commit_seconds",
            "How long the store took for one group of writes.",
            registry=self._registry,
            buckets=_BUCKETS_S,
        )
        self.store = MeasuredStore(store, seconds)
        self.hub = CountingHub(memory)
        self._registry.register(_Reading(self._read))
        ProcessCollector(registry=self._registry)
        self._server: asyncio.Server | None = None
        self._askers: set[_Asker] = set()

    def watch(self, door: Door) -> None:
        """Take the connections' figures from here."""
        self._door = door

    def text(self) -> bytes:
        """All figures in Prometheus' text format."""
        return generate_latest(self._registry)

    async def open(self, host: str, port: int) -> int:
        """Answer on a port from now on, and tell which one it is; raises ``UsageError`` where it is not free."""
        try:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(lambda: _Asker(self.text, self._askers), host, port)
        except OSError as cause:
            reason = cause.strerror or "it is not free"
            hint = "choose another port with --metrics, or stop the program that listens there"
            raise UsageError(f"metrics: cannot listen on {host} port {port}: {reason}", hint=hint) from cause
        chosen: int = self._server.sockets[0].getsockname()[1]
        _log.info("metrics are told on port %d of this machine", chosen)
        return chosen

    def close(self) -> None:
        """Answer no more."""
        if self._server is not None:
            self._server.close()
        for asker in list(self._askers):
            asker.abort()

    def _read(self) -> Iterator[Metric]:
        """What the relay is like now."""
        memory = self._memory
        directs = sum(map(len, memory.directs_of.values())) // 2
        boxes = memory.mailboxes.values()
        yield InfoMetricFamily("chaton", "The relay's version.", {"version": __version__})
        yield _gauge("connections", "Open connections, logged in or not.", len(self._door or ()))
        yield _gauge("connections_max", "How many there may be (limits.connections_max).", self._connections_max())
        yield _gauge("logged_in", "Identities that are logged in.", len(memory.online))
        rooms = {"room": len(memory.rooms) - directs, "direct": directs}
        yield _labelled(GaugeMetricFamily("chaton_rooms", "Rooms, and direct rooms of two.", labels=["kind"]), rooms)
        yield _gauge("parcels_waiting", "Parcels that wait for their recipients.", sum(map(len, boxes)))
        yield _gauge("parcels_waiting_bytes", "Their bytes.", sum(box.bytes for box in boxes))
        yield _gauge("queued_bytes", "What waits in memory to be sent.", self._door.queued if self._door else 0)
        taken = {name: self.store.taken[kind] for kind, name in _KINDS.items()}
        yield _labelled(CounterMetricFamily("chaton_events", "Events accepted.", labels=["kind"]), taken)
        yield _gauge("blob_bytes", "Bytes of attachments that are kept.", memory.depot.stored)
        yield _labelled(
            CounterMetricFamily("chaton_pieces", "Pieces of attachments.", labels=["way"]), self.store.pieces
        )
        refusals = {code: self.hub.refusals[code] for code in SENTENCES}
        yield _labelled(CounterMetricFamily("chaton_refusals", "Requests refused.", labels=["code"]), refusals)
        yield CounterMetricFamily("chaton_commit_failures", "Groups of writes that failed.", self.store.failures)


class _Asker(asyncio.Protocol):
    """One request, one answer. Who asks too much, too slowly or with too many others gets none."""

    def __init__(self, text: Callable[[], bytes], askers: "set[_Asker]") -> None:
        self._text = text
        self._askers = askers
        self._request = b""
        self._answered = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody is there."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._late = asyncio.get_running_loop().call_later(REQUEST_S_MAX, transport.abort)
        self._askers.add(self)
        if len(self._askers) > ASKERS_MAX:
            transport.abort()

    def connection_lost(self, _cause: Exception | None) -> None:
        """Somebody is gone."""
        self._late.cancel()
        self._askers.discard(self)

    def data_received(self, data: bytes) -> None:
        """A piece of the request; its body, if it has one, is not read."""
        if self._answered:
            return
        self._request += data
        if b"\r\n\r\n" in self._request:
            self._answered = True
            self._transport.write(_response(self._request, self._text))
            self._transport.close()
        elif len(self._request) > REQUEST_BYTES_MAX:
            self.abort()

    def abort(self) -> None:
        """End this at once."""
        self._transport.abort()


def _response(request: bytes, text: Callable[[], bytes]) -> bytes:
    method, _, rest = request.partition(b"\r\n")[0].partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0].decode("latin-1")
    if method not in {b"GET", b"HEAD"}:
        return _http("405 Method Not Allowed", b"GET it\n", "text/plain")
    if path != PATH:
        return _http("404 Not Found", f"it is at {PATH}\n".encode(), "text/plain")
    whole = _http("200 OK", text(), CONTENT_TYPE_LATEST)
    return whole if method == b"GET" else whole.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


class _Reading(Collector):
    """Asks for the figures whenever they are collected."""

    def __init__(self, read: Callable[[], Iterator[Metric]]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """All of them."""
        return self._read()


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(f"chaton_{name}", what, value)


def _labelled(family: GaugeMetricFamily | CounterMetricFamily, values: dict[str, int]) -> Metric:
    for label, value in values.items():
        family.add_metric([label], value)
    return family


def _http(status: str, body: bytes, kind: str) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body
