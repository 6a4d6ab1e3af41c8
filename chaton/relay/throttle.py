"""How fast one identity or address may ask: token buckets and daily counts, as pure functions of a time handed in.

Knows numbers and keys. Reads no clock, does no I/O and never decides what happens to who is over the limit.

Times are the relay's clock in ms. It may be set back: then nobody gains anything, and nobody waits for the lost time.
"""

import math
from collections import OrderedDict, deque
from collections.abc import Hashable, Mapping
from enum import StrEnum
from itertools import islice
from typing import Annotated, Protocol

import msgspec

from chaton.identity.ids import Identity
from chaton.limits import DAY_MS, SECOND_MS

KEYS_MAX = 100_000
"""Buckets kept of one kind: about 25 MB. More keys than that at once are an attack, and the oldest are forgotten."""

# Sums of fractions err by less; so whoever waited as long as told is let in.
_ROUNDING_MS = 1e-6


class Kind(StrEnum):
    """What is counted.

    ``REQUESTS`` are all that only ask: logs, events, bundles, turns. ``PIECES`` are those of attachments, in and out.
    """

    MESSAGES = "messages"
    RECORDS = "records"
    PARCELS = "parcels"
    REQUESTS = "requests"
    PIECES = "pieces"
    BYTES = "bytes"
    CONNECTIONS = "connections"


_KINDS = {kind.value: kind for kind in Kind}  # Much faster than the enum's own search, and every frame is counted.


class Rate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """So many a second for ever, and ``burst`` at once after a rest."""

    per_second: Annotated[float, msgspec.Meta(gt=0, le=1e12)]
    burst: Annotated[float, msgspec.Meta(ge=1, le=1e15)]


class Bucket:
    """A bucket of ``burst`` tokens, full at first, into which ``rate_per_s`` tokens drop a second.

    What is kept is not its tokens but the time until it is full, of which clock ticks are whole numbers.
    """

    __slots__ = ("_capacity_ms", "_looked_at", "_ms_per_token", "_until_full_ms")

    def __init__(self, rate_per_s: float, burst: float) -> None:
        self._ms_per_token = SECOND_MS / rate_per_s
        self._capacity_ms = burst * self._ms_per_token
        self._until_full_ms = 0.0
        self._looked_at = 0

    def take(self, now: int, amount: float = 1.0) -> int:
        """Take ``amount`` tokens and return 0, or take none and return how many ms to wait.

        More than the bucket holds is given when it is full, and paid off afterwards: a large frame passes, late, and
        the rate holds over time.
        """
        wait = self.wait(now, amount)
        if not wait:
            self.spend(amount)
        return wait

    def wait(self, now: int, amount: float = 1.0) -> int:
        """What ``take`` would return; takes nothing."""
        self._fill(now)
        needed_ms = amount * self._ms_per_token
        if self._until_full_ms + needed_ms <= self._capacity_ms:
            return 0
        needed_ms = min(needed_ms, self._capacity_ms)
        return max(0, math.ceil(self._until_full_ms + needed_ms - self._capacity_ms - _ROUNDING_MS))

    def spend(self, amount: float) -> None:
        """Take what ``wait`` has just allowed."""
        self._until_full_ms += amount * self._ms_per_token

    def is_full(self, now: int) -> bool:
        """Whether forgetting this bucket would change nothing."""
        self._fill(now)
        return self._until_full_ms <= _ROUNDING_MS

    def _fill(self, now: int) -> None:
        """A clock that was set back drops nothing in, and goes on from where it is now."""
        passed_ms = now - self._looked_at
        self._looked_at = now
        if passed_ms > 0 and self._until_full_ms:
            left_ms = self._until_full_ms - passed_ms
            self._until_full_ms = left_ms if left_ms > 0 else 0.0


class Throttle:
    """One bucket for each key and kind: one object for identities and one for addresses, which have other rates.

    Args:
        rates: A kind that is not in it is not limited.
        keys_max: Buckets kept of each kind. Full ones go first, the longest unused before others; if none of the
            oldest is full, the oldest goes all the same, and its owner has a new burst.
    """

    def __init__(self, rates: Mapping[Kind, Rate], *, keys_max: int = KEYS_MAX) -> None:
        self._rates = dict(rates)
        self._keys_max = keys_max
        self._buckets: dict[Kind, OrderedDict[Hashable, Bucket]] = {kind: OrderedDict() for kind in rates}

    def __len__(self) -> int:
        return sum(len(buckets) for buckets in self._buckets.values())

    def take(self, now: int, key: Hashable, kind: Kind, amount: float = 1.0) -> int:
        """Take ``amount`` of a kind for an identity or address: 0 if it is allowed, else the ms to wait."""
        bucket = self.bucket(now, key, kind)
        return bucket.take(now, amount) if bucket is not None else 0

    def wait(self, now: int, key: Hashable, kind: Kind, amount: float = 1.0) -> int:
        """What ``take`` would return; takes nothing."""
        buckets = self._buckets.get(kind)
        bucket = buckets.get(key) if buckets else None
        return bucket.wait(now, amount) if bucket else 0

    def bucket(self, now: int, key: Hashable, kind: Kind) -> Bucket | None:
        """The bucket of an identity or address, from now on the most recently used one; None if nothing limits it."""
        buckets = self._buckets.get(kind)
        if buckets is None:
            return None
        bucket = buckets.get(key)
        if bucket is None:
            self._make_room(now, buckets)
            bucket = buckets[key] = Bucket(self._rates[kind].per_second, self._rates[kind].burst)
        else:
            buckets.move_to_end(key)
        return bucket

    def _make_room(self, now: int, buckets: OrderedDict[Hashable, Bucket]) -> None:
        """Two old keys looked at for each new one: idle ones go as fast as others come, at a small fixed cost."""
        for key in list(islice(buckets, 2)):
            if buckets[key].is_full(now):
                del buckets[key]
        if len(buckets) >= self._keys_max:
            buckets.popitem(last=False)


class DailyCount:
    """So many in any 24 hours for each key, such as the NICK records of an identity.

    It begins anew when the relay does. ``keys_max`` bounds the keys, of which the longest unused are forgotten.
    """

    def __init__(self, a_day: int, *, keys_max: int = KEYS_MAX) -> None:
        self._a_day = a_day
        self._keys_max = keys_max
        self._taken: OrderedDict[Hashable, deque[int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._taken)

    def take(self, now: int, key: Hashable) -> int:
        """Count one and return 0, or count none and return how many ms to wait."""
        times = self._taken.get(key)
        if times is None:
            self._make_room(now)
            times = self._taken[key] = deque()
        self._taken.move_to_end(key)
        _forget(times, now)
        if len(times) >= self._a_day:
            return times[0] + DAY_MS - now
        times.append(now)
        return 0

    def _make_room(self, now: int) -> None:
        for key in list(islice(self._taken, 2)):
            if self._taken[key][-1] + DAY_MS <= now:
                del self._taken[key]
        if len(self._taken) >= self._keys_max:
            self._taken.popitem(last=False)


class Payer(Protocol):
    """Who is counted: a connection, by its address and, once it has logged in, by its identity too."""

    @property
    def address(self) -> str: ...  # noqa: D102
    @property
    def identity(self) -> Identity | None: ...  # noqa: D102


class Meter:
    """All counts of a relay.

    Attributes:
        identities: Counts by identity.
        addresses: Counts by address, for what comes before there is more of a connection than its address.

    Args:
        a_day: How many records of a kind, such as ``nick``, one identity may sign in 24 hours.
    """

    def __init__(self, identity: Mapping[Kind, Rate], address: Mapping[Kind, Rate], a_day: Mapping[str, int]) -> None:
        self.identities = Throttle(identity)
        self.addresses = Throttle(address)
        self._daily = {kind: DailyCount(count) for kind, count in a_day.items()}

    def take(self, kind: str, session: Payer, amount: int, now: int) -> int:
        """Count ``amount`` of a kind for identity and address. 0, or the ms to wait, and then for neither."""
        counted = _KINDS[kind]
        buckets = [self.addresses.bucket(now, session.address, counted)]
        if session.identity is not None:
            buckets.append(self.identities.bucket(now, session.identity, counted))
        wait = 0
        for bucket in buckets:
            if bucket is not None:
                wait = max(wait, bucket.wait(now, amount))
        if not wait:
            for bucket in buckets:
                if bucket is not None:
                    bucket.spend(amount)
        return wait

    def take_daily(self, kind: str, session: Payer, now: int) -> int:
        """Count one of a kind that is counted by the day. 0, or the ms to wait, and nothing counted."""
        return self._daily[kind].take(now, session.identity)

    def log_in(self, identity: Identity, now: int) -> int:
        """Count a login of an identity. 0, or the ms to wait."""
        return self.identities.take(now, identity, Kind.CONNECTIONS)

    def connect(self, address: str, now: int) -> int:
        """Count a connection of an address. 0, or the ms to wait."""
        return self.addresses.take(now, address, Kind.CONNECTIONS)


def _forget(times: deque[int], now: int) -> None:
    """Drop what is a day old. What a clock since set back calls the future counts as now, so it is a day at most."""
    while times and times[0] + DAY_MS <= now:
        times.popleft()
    later = 0
    while times and times[-1] > now:
        times.pop()
        later += 1
    times.extend([now] * later)
