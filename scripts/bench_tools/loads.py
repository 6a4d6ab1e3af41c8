"""The loads: who sends how much to whom, and which servers carry it."""

from dataclasses import dataclass
from typing import Any

from servers import CHATON, CHATON_ON_DISK, EVERYBODY, FLOOR, Server

SENDERS = 10


@dataclass(frozen=True)
class Payload:
    """Bytes that every server carries: an envelope of Chaton, filled up to a round number for the others."""

    size: int
    envelope: int


SMALL = Payload(600, 541)
LARGE = Payload(800, 797)


@dataclass(frozen=True)
class Load:
    """One row of the table.

    Attributes:
        key: What ``--only`` calls it.
        window: Messages that each sender has in flight; 0 where ``rate`` counts.
        rate: Messages a second in all.
        rooms: Sizes of the rooms; the first one talks. The others' members only follow.
        target: What Chaton's processor time may be, over that of bare Python.
        measure: ``load``, or ``idle`` for what connections cost that only follow.
    """

    key: str
    title: str
    servers: tuple[Server, ...]
    rooms: tuple[int, ...]
    window: int = 0
    rate: float = 0
    payload: Payload = SMALL
    target: str = ""
    measure: str = "load"

    @property
    def connections(self) -> int:
        """All of them."""
        return sum(self.rooms)

    def arguments(self, seconds: float) -> dict[str, Any]:
        """What the generator is told."""
        return {
            "connections": self.connections,
            "senders": 0 if self.measure == "idle" else SENDERS,
            "window": self.window,
            "rate": self.rate or None,
            "payload": self.payload.size,
            "envelope": self.payload.envelope,
            "seconds": seconds * (2 if self.rate else 1),
        }


def _load(key: str, size: int, **options: Any) -> Load:
    window, rate, payload = options.get("window", 0), options.get("rate", 0), options.get("payload", SMALL)
    pace = f"{rate:g} messages/s in all" if rate else f"{window} in flight each"
    title = f"{size:,} followers, {SENDERS} senders, {pace}, {payload.size} B"
    options.setdefault("servers", EVERYBODY)
    return Load(key, title, rooms=(size,), **options)


LOADS = (
    _load("30", 30, window=16),
    _load("100", 100, window=16, target="≤ 1.6× bare, p99 ≤ 2×"),
    _load("100-one", 100, window=1, target="≤ 1.3× bare"),
    _load("100-paced", 100, rate=200, target="≤ 1.15× bare, p99 ≤ 1.5×"),
    _load("100-800", 100, window=16, payload=LARGE),
    _load("100-disk", 100, window=16, servers=(FLOOR, CHATON_ON_DISK), target="≤ 2× bare"),
    _load("300", 300, window=16),
    _load("1000", 1_000, window=16, target="≤ 1.6× bare"),
    Load(
        "idle", "1,000 connections, following", EVERYBODY, (1_000,), measure="idle",
        target="≤ 18 KB, ≤ 600 µs",
    ),
    Load(
        "10000", "10,000 connections, a room of 1,000 talks at 20 messages/s", (CHATON,), (1_000,) * 10, rate=20,
        measure="crowd", target="≤ 400 MB",
    ),
)  # fmt: skip
QUICK = {"100", "100-one", "100-disk", "idle"}
