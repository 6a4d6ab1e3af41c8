"""Secrets that refuse to leave by accident: no ``str``, ``repr``, format, pickle or ``==`` shows them."""

from typing import ClassVar, NoReturn, Self

from chaton.errors import Malformed


class Secret:
    """Private bytes of one fixed length, given out only by ``reveal``.

    PyNaCl's own key objects print their bytes; these do not. Python cannot promise to wipe memory, and neither do
    we: SECURITY.md says so.

    Raises:
        Malformed: The bytes have another length.
    """

    SIZE: ClassVar[int] = 32
    __slots__ = ("__raw",)

    def __init__(self, raw: bytes) -> None:
        if len(raw) != self.SIZE:
            raise Malformed(f"{type(self).__name__} has {len(raw)} bytes instead of {self.SIZE}")
        self.__raw = bytes(raw)

    def reveal(self) -> bytes:
        """The bytes themselves. Each caller is a place where a secret may leak: there are few, and grep finds them."""
        return self.__raw

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __str__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} is not for printing")

    def __format__(self, _spec: str) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} is not for printing")

    def __eq__(self, _other: object) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} is compared with hmac.compare_digest only")

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} is not for pickling")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self


class InviteSeed(Secret):
    """The 32 bytes in a link from which the invite's signing key is derived (docs/protocol.md §2)."""

    __slots__ = ()


class RoomInfoKey(Secret):
    """RIK: the key under which a room's name, topic, nicks and reasons are sealed (docs/protocol.md §2)."""

    __slots__ = ()
