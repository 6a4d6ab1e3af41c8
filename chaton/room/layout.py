"""How the fields of a record's body stand in bytes (docs/protocol.md §1): fixed width, ranges, bounded lengths.

A layout reads one encoding of a value and writes the same one; anything else is refused.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from chaton.errors import Malformed
from chaton.identity.ids import Fixed


class Field(Protocol):
    """Reads one value at a place in bytes, and writes it."""

    def read(self, raw: bytes, at: int) -> tuple[Any, int]:
        """The value at ``at`` and where the next one begins; ``Malformed`` if it is cut or out of range."""
        ...

    def write(self, value: Any) -> bytes:
        """The value's only encoding; ``Malformed`` if it is out of range."""
        ...


class Uint(NamedTuple):
    """An unsigned big-endian integer of ``size`` bytes between ``low`` and ``high``."""

    size: int
    low: int
    high: int

    def read(self, raw: bytes, at: int) -> tuple[int, int]:
        """See ``Field``."""
        end = at + self.size
        if end > len(raw):
            raise Malformed("a number is cut")
        return self._checked(int.from_bytes(raw[at:end])), end

    def write(self, value: int) -> bytes:
        """See ``Field``."""
        return self._checked(value).to_bytes(self.size)

    def _checked(self, value: int) -> int:
        if not self.low <= value <= self.high:
            raise Malformed(f"{value} is not between {self.low} and {self.high}")
        return value


class Exactly(NamedTuple):
    """A fixed-length identifier."""

    kind: type[Fixed]

    def read(self, raw: bytes, at: int) -> tuple[Fixed, int]:
        """See ``Field``."""
        end = at + self.kind.SIZE
        return self.kind(raw[at:end]), end

    def write(self, value: Fixed) -> bytes:
        """See ``Field``."""
        return bytes(value)


class Bounded(NamedTuple):
    """``var<limit>``: a u16 length of at most ``limit``, then that many bytes."""

    limit: int

    def read(self, raw: bytes, at: int) -> tuple[bytes, int]:
        """See ``Field``."""
        length, start = Uint(2, 0, self.limit).read(raw, at)
        end = start + length
        if end > len(raw):
            raise Malformed("bytes are cut")
        return bytes(raw[start:end]), end

    def write(self, value: bytes) -> bytes:
        """See ``Field``."""
        return Uint(2, 0, self.limit).write(len(value)) + value


def read_all(layout: Sequence[Field], raw: bytes) -> list[Any]:
    """The values of all fields; ``Malformed`` if bytes are missing or left over."""
    values, at = [], 0
    for field in layout:
        value, at = field.read(raw, at)
        values.append(value)
    if at != len(raw):
        raise Malformed("bytes behind the last field")
    return values
