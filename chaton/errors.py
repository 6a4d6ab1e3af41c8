"""Every exception that Chaton raises on purpose, in one tree.

::

    ChatonError                   anything below; prints as a sentence, ``hint`` says what to do next
    ├── UsageError                we were asked for something that makes no sense: ask differently
    ├── Refused                   the relay or the room says no; ``code`` is stable, ``retry_ms`` when to try again
    ├── Unreachable               no relay there, or no answer in time: try again
    ├── SecurityStop              do not try again before a person has looked
    │   ├── PinMismatch           the relay shows another key than the link names
    │   ├── Fork                  two members were shown two histories
    │   └── InvalidLog            the relay's log of a room breaks the room's rules
    ├── ProfileError              the profile cannot be used
    │   ├── ProfileLocked         another process has it open, or a passphrase is missing
    │   ├── WrongPassphrase
    │   └── ProfileTooNew         made by a later version of Chaton
    ├── StoreError                a disk said no; nothing was acknowledged
    │   └── StoreTooNew           the data directory was made by a later version of Chaton
    └── ProtocolError             bytes from outside that Chaton/1 does not allow; ``reason`` is one word
        ├── Malformed             "format": not an encoding at all
        ├── BadSignature          "signature"
        ├── RecordRefused         position, authority, state
        ├── BundleRefused         rollback, future, expired, stranger
        ├── ParcelRefused         recipient, ciphertext, padding, member
        ├── ChainRefused          sender, epoch, fork
        ├── MessageRefused        room, chain, sender, muted, closed, index, future, fork,
        │                         commitment, ciphertext, padding
        └── AttachmentRefused     ciphertext, hash, size

A ``ProtocolError`` is about bytes and is caught where those bytes are judged; the others travel to a person.
``TypeError`` and a failed ``assert`` are for our own bugs: bytes from outside cause neither.
"""


class ChatonError(Exception):
    """Base of the tree. ``str()`` is what happened, ``hint`` what to do next (may be empty)."""

    hint: str = ""

    def __init__(self, sentence: str, *, hint: str | None = None) -> None:
        super().__init__(sentence)
        if hint is not None:
            self.hint = hint


class UsageError(ChatonError):
    """The request makes no sense as it stands."""


class Refused(ChatonError):
    """The relay, or the room's own rules, refused a request.

    Attributes:
        code: A stable word such as ``not-member``; all are listed in docs/guide.md.
        retry_ms: Milliseconds after which the same request may succeed, 0 if waiting does not help.
    """

    def __init__(self, code: str, sentence: str, *, retry_ms: int = 0, hint: str | None = None) -> None:
        super().__init__(sentence, hint=hint)
        self.code = code
        self.retry_ms = retry_ms


class Unreachable(ChatonError):
    """No relay answered in time."""

    hint = "check that the relay runs and that this machine reaches it, then try again"


class SecurityStop(ChatonError):
    """Something that only an attack or a broken relay explains. Trying again would hide it."""

    hint = "do not retry; ask the people of the room, over another channel, what happened"


class PinMismatch(SecurityStop):
    """The relay's key is not the one that the link or the profile names."""

    hint = "ask the operator for the relay's pin; if it was changed on purpose, join again by a fresh link"


class Fork(SecurityStop):
    """Two members hold different histories of one room."""

    hint = "compare safety codes with the other members, over another channel (chaton verify ROOM)"


class InvalidLog(SecurityStop):
    """A record that the relay shows does not follow from the ones before it."""


class ProfileError(ChatonError):
    """The profile cannot be used."""


class ProfileLocked(ProfileError):
    """Another process holds the profile, or its passphrase was not given."""


class WrongPassphrase(ProfileError):
    """The passphrase does not open the profile."""

    hint = "try again; a lost passphrase cannot be recovered, only a new identity be made"


class ProfileTooNew(ProfileError):
    """The profile was written by a later version of Chaton."""

    hint = "install that version of Chaton, or choose another profile with --profile"


class StoreError(ChatonError):
    """A disk refused to read or write; what was asked for was not done."""

    hint = "look at the disk's free space and health, then try again"


class StoreTooNew(StoreError):
    """The data directory was written by a later version of Chaton."""

    hint = "start that version of the relay, or name another directory with --data"


class ProtocolError(ChatonError):
    """Bytes that Chaton/1 does not allow.

    Attributes:
        reason: One word that says which rule; the words stand in this module's docstring.
    """

    reason: str = "format"

    def __init__(self, sentence: str, *, reason: str | None = None) -> None:
        super().__init__(sentence)
        if reason is not None:
            self.reason = reason


class Malformed(ProtocolError):
    """The bytes are no encoding of what they should be."""

    reason = "format"


class BadSignature(ProtocolError):
    """A signature does not fit its key, label and bytes."""

    reason = "signature"


class RecordRefused(ProtocolError):
    """A well-formed, signed record that the room's state does not allow (docs/protocol.md §2)."""


class BundleRefused(ProtocolError):
    """A member's public keys that cannot be accepted now (§4)."""


class ParcelRefused(ProtocolError):
    """A parcel that is not for us, not from a member, or does not open (§5)."""


class ChainRefused(ProtocolError):
    """A chain key whose statement does not fit our view of the room (§6)."""


class MessageRefused(ProtocolError):
    """A message that stays unread (§7)."""


class AttachmentRefused(ProtocolError):
    """The ciphertext of a file is not the one that its message names (§7)."""
