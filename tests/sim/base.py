"""What every part of the simulation shares: how it fails, where randomness comes from, what time it is."""

from collections import Counter
from dataclasses import dataclass, field
from hashlib import shake_256
from random import Random

from chaton.identity.ids import Pin
from chaton.room.link import Address

PIN = Pin(b"p" * 32)
ADDRESS = Address("localhost", 5555, PIN)
START = 1_800_000_000_000


class Broken(AssertionError):
    """Something that must hold does not. ``rule`` is one word for it, so that a shrunk script fails alike."""

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(f"{rule}: {detail}")
        self.rule = rule


class Stream:
    """Entropy from a seed: every draw is another one, and the same in every run."""

    def __init__(self, name: str) -> None:
        self._name = name.encode()
        self._drawn = 0

    def __call__(self, size: int) -> bytes:
        self._drawn += 1
        return shake_256(self._name + b"/" + self._drawn.to_bytes(8)).digest(size)


@dataclass(slots=True)
class Clock:
    """The true time in ms, which is the relay's too, apart from what its clock is set off by."""

    now: int = START
    relay_off: int = 0

    @property
    def relay(self) -> int:
        return self.now + self.relay_off


@dataclass(frozen=True, slots=True)
class Mode:
    """What kind of days these are.

    Attributes:
        gentle: No fault that may rightly cost somebody a message: then every message must be opened.
        relay: The relay lies; ``member``: one of the people attacks the others.
    """

    name: str
    gentle: bool = False
    relay: bool = False
    member: bool = False


MODES = {
    mode.name: mode
    for mode in (Mode("honest"), Mode("gentle", gentle=True), Mode("relay", relay=True), Mode("member", member=True))
}


@dataclass(slots=True)
class Tally:
    """Counts of what happened: steps, messages, faults by kind."""

    counts: Counter[str] = field(default_factory=Counter)

    def add(self, what: str, amount: int = 1) -> None:
        self.counts[what] += amount


def step_chances(seed: int, index: int) -> Random:
    """The dice of one step: they do not depend on other steps, so that leaving some out changes nothing else."""
    return Random(f"{seed}/{index}")
