"""What proves to a relay who connects, bound to this relay's key and this connection's nonces (docs/protocol.md §8)."""

from typing import NamedTuple

from chaton.identity.ids import Identity, InviteKey, Nonce, Pin, RoomId, Signature
from chaton.identity.statement import Label, verify


class Challenge(NamedTuple):
    """What makes one connection unlike any other: the relay's key, its nonce ``sn`` and the client's nonce ``cn``.

    The pin is the one that each side sees itself, so a login relayed to another server does not verify there.
    """

    pin: Pin
    relay_nonce: Nonce
    client_nonce: Nonce

    def login_body(self, identity: Identity) -> bytes:
        """``"CL" 01 | spki | sn | cn | identity``: 131 bytes."""
        return b"CL\x01" + self.pin + self.relay_nonce + self.client_nonce + identity

    def peek_body(self, room: RoomId) -> bytes:
        """``"CK" 01 | spki | sn | cn | room``: 131 bytes."""
        return b"CK\x01" + self.pin + self.relay_nonce + self.client_nonce + room


class LoginAnswer(NamedTuple):
    """A client's answer to the relay's nonce: ``identity 32 | cn 32 | signature 64``, 128 bytes."""

    identity: Identity
    client_nonce: Nonce
    signature: Signature

    @classmethod
    def decode(cls, raw: bytes) -> "LoginAnswer":
        """Read exactly 128 bytes.

        Raises:
            Malformed: Another length.
        """
        return cls(Identity(raw[:32]), Nonce(raw[32:64]), Signature(raw[64:]))

    def encode(self) -> bytes:
        """The 128 bytes."""
        return self.identity + self.client_nonce + self.signature

    def check(self, pin: Pin, relay_nonce: Nonce) -> Identity:
        """The identity that logs in on this connection.

        Raises:
            BadSignature: The answer was made for another relay, another connection or by another key.
        """
        challenge = Challenge(pin, relay_nonce, self.client_nonce)
        verify(Label.LOGIN, self.identity, challenge.login_body(self.identity), self.signature)
        return self.identity


def check_peek(challenge: Challenge, room: RoomId, invite: InviteKey, signature: bytes) -> None:
    """Let the holder of an invite read a room's log before joining.

    Raises:
        BadSignature: It was signed by another key, or for another connection or room.
    """
    verify(Label.PEEK, invite, challenge.peek_body(room), signature)
