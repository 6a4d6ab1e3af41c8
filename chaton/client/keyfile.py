"""The file that holds a profile's key, and the text in which an identity travels to another machine.

::

    profile.key    ProfileKey 32 bytes, or 91 bytes of it wrapped by a passphrase (chaton.vault.at_rest)
    export         a comment, then  chaton-identity:  and base64url of the identity's seed, wrapped the same way
"""

import base64
import binascii
import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from chaton.errors import Malformed, ProfileError, StoreError, UsageError
from chaton.identity.statement import Seed
from chaton.vault.at_rest import WRAPPED_BYTES, unwrap, wrap
from chaton.vault.entropy import Entropy
from chaton.vault.keys import ProfileKey

KEY_FILE: Final = "profile.key"
_PRIVATE_MODE: Final = 0o600
_EXPORT: Final = "chaton-identity:"
_EXPORT_BYTES_MAX: Final = 4_096
_MOVE: Final = """\
# The identity of a Chaton profile, sealed by a passphrase.
# An identity is moved, not copied: import it on the other machine, then delete this file and the old profile.
# Two running copies cut each other off, and everybody who talks to them is warned of a stolen key.
"""


def write_private(path: Path, data: bytes) -> None:
    """Put a file in place as a whole, with mode 0600, so that a crash leaves the old one or the new one.

    Raises:
        StoreError: The disk refuses.
    """
    draft = path.with_name(path.name + ".new")
    try:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE_MODE), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        sync_directory(path.parent)
    except OSError as cause:
        raise StoreError(f"{path} cannot be written: {cause.strerror}") from cause


def sync_directory(directory: Path) -> None:
    """Make it durable that a file has its name."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_key(directory: Path, key: ProfileKey, passphrase: str | None, entropy: Entropy) -> None:
    """Keep a profile's key, wrapped where there is a passphrase; takes about 1 s then.

    Raises:
        UsageError: The passphrase is empty.
        StoreError: The disk refuses.
    """
    raw = key.reveal() if passphrase is None else wrap(key, passphrase, entropy)
    write_private(directory / KEY_FILE, raw)


def is_wrapped(directory: Path) -> bool:
    """Whether a passphrase is needed to open the profile; ``ProfileError`` where there is no key."""
    return len(_read(directory)) == WRAPPED_BYTES


def read_key(directory: Path, passphrase: Callable[[], str]) -> ProfileKey:
    """The profile's key; ``passphrase`` is asked only if it is wrapped.

    Raises:
        WrongPassphrase: It does not open the key.
        ProfileError: The key is missing or damaged.
    """
    raw = _read(directory)
    try:
        return unwrap(raw, passphrase()) if len(raw) == WRAPPED_BYTES else ProfileKey(raw)
    except Malformed as cause:
        raise ProfileError(f"{directory / KEY_FILE} is damaged", hint="bring it back from a backup") from cause


def _read(directory: Path) -> bytes:
    try:
        with (directory / KEY_FILE).open("rb") as file:
            return file.read(WRAPPED_BYTES + 1)
    except OSError as cause:
        hint = "bring it back from a backup, or choose another profile with --profile"
        raise ProfileError(f"{directory / KEY_FILE} cannot be read: {cause.strerror}", hint=hint) from cause


def export_seed(seed: Seed, passphrase: str, entropy: Entropy) -> str:
    """An identity as a text to take to another machine. Rooms stay behind: only the key is in it.

    Raises:
        UsageError: The passphrase is empty.
    """
    raw = wrap(ProfileKey(seed.reveal()), passphrase, entropy)
    return f"{_MOVE}{_EXPORT}{base64.urlsafe_b64encode(raw).decode()}\n"


def import_seed(text: str, passphrase: str) -> Seed:
    """Read what ``export_seed`` wrote.

    Raises:
        UsageError: It is no such text.
        WrongPassphrase: The passphrase does not open it.
    """
    lines = (line.strip() for line in text[:_EXPORT_BYTES_MAX].splitlines())
    found = next((line.removeprefix(_EXPORT) for line in lines if line.startswith(_EXPORT)), "")
    try:
        return Seed(unwrap(base64.b64decode(found, altchars=b"-_", validate=True), passphrase).reveal())
    except (Malformed, binascii.Error, ValueError) as cause:
        raise UsageError("this is no exported identity", hint="chaton identity export writes one") from cause
