"""A relay from its start to its end: what it opens, what wakes it, how it stops."""

import asyncio
import gc
import logging
import resource
import signal
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from chaton.errors import ChatonError, UsageError
from chaton.identity.ids import Pin
from chaton.limits import HOUR_MS, MINUTE_MS, SECOND_MS
from chaton.relay import tls
from chaton.relay.config import Config
from chaton.relay.engine import Engine
from chaton.relay.hub.decide import Hub
from chaton.relay.hub.memory import Memory, Policy
from chaton.relay.listener import Doorkeeper, Listener, Timing, listen
from chaton.relay.loading import load
from chaton.relay.owner import Bounds
from chaton.relay.peer import LINGER_S
from chaton.relay.store.base import Store
from chaton.relay.store.memory import MemoryStore
from chaton.relay.store.sqlite import SqliteStore
from chaton.wire.frames import Goodbye
from chaton.wire.parts import Limits

if TYPE_CHECKING:
    from chaton.relay.metrics import Metrics

_PAUSE_FACTOR = 2  # Of what may wait for a reader: answers to its own requests come on top of what it follows.
_NS_PER_MS = 1_000_000
_SWITCH_INTERVAL_S = 0.000_5
_COLLECT_AFTER = 20_000  # objects
_OTHER_FILES = 64  # The store, the listening socket, the loop, and what a library opens for a moment.
_log = logging.getLogger(__name__)


def clock() -> int:
    """The machine's time in ms."""
    return time.time_ns() // _NS_PER_MS


class Relay:
    """Everything of one relay, opened by ``start`` and closed by ``close``.

    Attributes:
        pin: Of its key.
        engine: What is at work.
        metrics: Its figures, None where nobody is to have them.
    """

    def __init__(self, config: Config, store: Store, timing: Timing) -> None:
        self.config = config
        self._store = store
        self._timing = timing
        self._pair = tls.key_pair(config)
        self.pin = tls.read_pin(self._pair)
        self._context: ssl.SSLContext = tls.make_context(self._pair)
        self._meter = config.limits.meter()
        self.memory = Memory(self.pin, _policy(config), self._meter, clock())
        load(self.memory, store)
        self.metrics = self._measured() if config.metrics is not None else None
        self._timers: list[asyncio.Task[None]] = []

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that it listens on."""
        return self._listener.address

    def start(self) -> None:
        """Listen. Raises ``UsageError`` where it cannot."""
        config = self.config
        sock = listen(*config.address, self._context)
        queue_bytes = config.limits.queue_bytes_max
        metrics = self.metrics
        self.engine = Engine(
            Hub(self.memory) if metrics is None else metrics.hub,
            self._store if metrics is None else metrics.store,
            _told_limits(config),
            clock=clock,
            silence_s=self._timing.silence_ms / SECOND_MS,
            queue_bytes=queue_bytes,
            threaded=not isinstance(self._store, MemoryStore),
        )
        bounds = Bounds(config.limits.frame_before_login_bytes, queue_bytes * _PAUSE_FACTOR, self.engine.dirty)
        self._listener = Listener(sock, self.engine, bounds, self._doorkeeper(), self._timing)
        self._listener.start()
        if metrics is not None:
            metrics.watch(self._listener)
        self._timers = [
            asyncio.create_task(_every(MINUTE_MS, self.engine.expire)),
            asyncio.create_task(_every(HOUR_MS, self._prune)),
        ]

    def reload(self, config: Config) -> None:
        """Take over another configuration and the certificate as it now is; what cannot change stays, and is logged.

        Raises:
            UsageError: The certificate cannot be used, or is of another key: nothing has changed.
        """
        pair = tls.key_pair(config)
        if tls.read_pin(pair) != self.pin:
            raise tls.another_key(pair)
        tls.make_context(pair)  # Tried out first: a context that failed halfway is of no use.
        tls.load_pair(self._context, pair)
        if _fixed(config) != _fixed(self.config):
            fixed = "listen, data, memory, metrics, queue_bytes_max and frame_before_login_bytes"
            _log.warning("%s change only when the relay starts again", fixed)
        self._pair, self.config = pair, config
        self._meter, self.engine.limits = config.limits.meter(), _told_limits(config)
        self.memory.meter, self.memory.policy = self._meter, _policy(config)
        self._listener.doorkeeper = self._doorkeeper()
        _allow_files(config.limits.connections_max)

    async def close(self) -> None:
        """Finish all commits, say goodbye, end."""
        for timer in self._timers:
            timer.cancel()
        if self.metrics is not None:
            self.metrics.close()
        self._listener.stop()
        await self.engine.close(Goodbye("shutdown", "the relay stops: connect again in a while", SECOND_MS))
        await self._listener.close(LINGER_S)

    def _doorkeeper(self) -> Doorkeeper:
        limits, gauge = self.config.limits, self._meter
        return Doorkeeper(
            limits.connections_max,
            limits.connections_per_address_max,
            lambda address: gauge.connect(address, clock()),
        )

    def _measured(self) -> "Metrics":
        return metrics_class()(self.memory, self._store, lambda: self.config.limits.connections_max)

    def _prune(self) -> None:
        self.engine.prune(self.config.retention_ms, self.config.retention_bytes)


def metrics_class() -> "type[Metrics]":
    """What makes ``--metrics``; raises ``UsageError`` where its library is not installed."""
    try:
        from chaton.relay.metrics import Metrics  # noqa: PLC0415  # Its library is an extra.
    except ModuleNotFoundError as cause:
        hint = "install it: pip install 'chaton[metrics]'"
        raise UsageError("metrics need the library prometheus-client, which is not installed", hint=hint) from cause
    return Metrics


def _fixed(config: Config) -> tuple[object, ...]:
    """What a running relay cannot change."""
    limits = config.limits
    places = config.listen, config.data, config.memory, config.metrics
    return *places, limits.queue_bytes_max, limits.frame_before_login_bytes


def _told_limits(config: Config) -> Limits:
    messages = config.limits.identity.messages
    return Limits(config.retention_ms, int(messages.per_second * 60), int(messages.burst), config.blob_bytes_max)


def _policy(config: Config) -> Policy:
    return Policy(
        frozenset(config.owners),
        room_blob_bytes=config.room_blob_bytes,
        blob_bytes=config.blob_bytes,
        blob_life_ms=config.retention_ms,
    )


async def _every(interval_ms: int, act: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(interval_ms / SECOND_MS)
        act()


@contextmanager
def open_store(config: Config) -> Iterator[Store]:
    """The configured store, closed at the end; raises ``StoreError`` as it does."""
    store: Store = MemoryStore() if config.memory else SqliteStore(config.data)
    try:
        yield store
    finally:
        store.close()


async def serve(
    config: Config,
    *,
    ready: Callable[[str, int, Pin], None],
    reread: Callable[[], Config] | None = None,
    timing: Timing | None = None,
) -> None:
    """Run a relay until SIGTERM or SIGINT, or until the task is cancelled.

    Args:
        config: What the operator chose.
        ready: Told host, port and pin once connections are accepted.
        reread: Reads the configuration again at SIGHUP; without it only the certificate is.
        timing: Other deadlines than the protocol's, for tests.

    Raises:
        UsageError: It cannot listen there, or the certificate or its key cannot be used, or there are no metrics here.
        StoreError: The data directory cannot be used.
    """
    _allow_files(config.limits.connections_max)
    with open_store(config) as store:
        relay = Relay(config, store, timing or Timing())
        relay.start()
        stop = asyncio.Event()
        try:
            if relay.metrics is not None and config.metrics_address is not None:
                await relay.metrics.open(*config.metrics_address)
            with _signals(relay, stop, reread), _tuned():
                ready(*relay.address, relay.pin)
                await stop.wait()
        finally:
            await relay.close()


def _allow_files(connections: int) -> None:
    """Let the process have a file open for each connection, as far as the system's hard limit goes."""
    wanted = connections + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        with suppress(ValueError, OSError):  # macOS has a limit of its own that it does not tell here.
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        _log.warning("only %d files may be open: too few for %d connections (see ulimit -Hn)", allowed, connections)


@contextmanager
def _tuned() -> Iterator[None]:
    """Set the interpreter up for what a relay does, for as long as it does it."""
    interval, thresholds = sys.getswitchinterval(), gc.get_threshold()
    # The committer's thread waits this long to have the interpreter back from a busy loop, several times a commit.
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    # What was loaded stays, and what comes and goes holds no cycles: both are looked through in vain. What is left
    # for the collector is what exceptions tie together.
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
        sys.setswitchinterval(interval)


@contextmanager
def _signals(relay: Relay, stop: asyncio.Event, reread: Callable[[], Config] | None) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    actions = {
        signal.SIGTERM: stop.set,
        signal.SIGINT: stop.set,
        signal.SIGHUP: lambda: _reload(relay, reread),
    }
    set_up = []
    try:
        for number, action in actions.items():
            loop.add_signal_handler(number, action)
            set_up.append(number)
    except (ValueError, RuntimeError):
        _log.debug("not in the main thread: signals are left to others")
    try:
        yield
    finally:
        for number in set_up:
            loop.remove_signal_handler(number)


def _reload(relay: Relay, reread: Callable[[], Config] | None) -> None:
    try:
        relay.reload(reread() if reread is not None else relay.config)
    except ChatonError as cause:
        _log.error("nothing was reloaded: %s; hint: %s", cause, cause.hint)
    else:
        _log.info("certificate and configuration are reloaded")
