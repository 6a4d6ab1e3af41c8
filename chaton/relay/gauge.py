"""What each identity and each address may ask for, as the hub asks it: the throttle under one roof."""

from dataclasses import dataclass
from typing import Self

from chaton.identity.ids import Identity
from chaton.relay.config import Limits
from chaton.relay.hub.memory import Session
from chaton.relay.throttle import DailyCount, Kind, Throttle


@dataclass(frozen=True, slots=True)
class Gauge:
    """The buckets of all identities and all addresses, and the daily counts of identities."""

    identities: Throttle
    addresses: Throttle
    daily: dict[str, DailyCount]

    @classmethod
    def of_limits(cls, limits: Limits) -> Self:
        """What the operator configured, with nothing counted yet."""
        daily = {"nick": DailyCount(limits.nicks_per_day), "leave": DailyCount(limits.leaves_per_day)}
        return cls(Throttle(limits.identity.by_kind()), Throttle(limits.address.by_kind()), daily)

    def take(self, kind: str, session: Session, amount: int, now: int) -> int:
        """See ``chaton.relay.hub.memory.Meter``. What the identity's bucket refuses has still cost its address."""
        what = Kind(kind)
        wait = self.addresses.take(now, session.address, what, amount)
        if wait or session.identity is None:
            return wait
        return self.identities.take(now, session.identity, what, amount)

    def log_in(self, identity: Identity, now: int) -> int:
        """See ``chaton.relay.hub.memory.Meter``."""
        return self.identities.take(now, identity, Kind.CONNECTIONS)

    def take_daily(self, kind: str, session: Session, now: int) -> int:
        """See ``chaton.relay.hub.memory.Meter``."""
        return self.daily[kind].take(now, session.identity)

    def connect(self, address: str, now: int) -> int:
        """Count a connection of an address: 0, or how many ms it has to wait for its next."""
        return self.addresses.take(now, address, Kind.CONNECTIONS)
