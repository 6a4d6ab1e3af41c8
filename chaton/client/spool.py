"""Files on their way out, sealed: ciphertext beside the profile, the keys in memory only.

A file may change between two reads, and a nonce must seal one plaintext only. So a file is sealed once, from its
beginning to its end, before the first byte is sent; what is sent, and sent again after a broken connection, is read
from here. What a dead process has left is removed at the next start: without its key it is noise.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Final, TypeAlias

from chaton.client.randomness import fresh_entropy
from chaton.client.working import Stop, in_thread
from chaton.errors import StoreError, UsageError
from chaton.identity.ids import BlobHash, BlobId
from chaton.limits import ATTACHMENT_BYTES_MAX
from chaton.session.content import File
from chaton.session.filename import file_name
from chaton.session.text import SafeText
from chaton.vault.attachment import Sealer, sealed_size
from chaton.vault.keys import FileKey

_DIRECTORY: Final = "outgoing"
_STEP_BYTES: Final = 2**20
_Source: TypeAlias = tuple[Path, int, int, int, int]  # Which file, in which state: another state is another file.


@dataclass(frozen=True, slots=True)
class Sealed:
    """A file that is sealed and not sent yet: its ciphertext of ``sealed`` bytes, and what its message says."""

    source: _Source
    ciphertext: Path
    blob: BlobId
    key: FileKey
    hash: BlobHash
    size: int
    name: SafeText

    @property
    def sealed(self) -> int:
        """Bytes of ciphertext."""
        return sealed_size(self.size)

    def content(self, caption: str) -> File:
        """The message that names it."""
        return File(self.blob, self.key, self.hash, self.size, self.name, caption)

    def read(self, offset: int, size: int) -> bytes:
        """A piece of the ciphertext; raises ``StoreError`` where it is gone."""
        with _explained("the sealed file cannot be read again"), self.ciphertext.open("rb") as file:
            return os.pread(file.fileno(), size, offset)

    def remove(self) -> None:
        """It is sent, or will not be."""
        self.ciphertext.unlink(missing_ok=True)


class Spool:
    """See the module. One for each relay.

    Args:
        directory: The profile's.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory / _DIRECTORY
        self._paused: dict[_Source, Sealed] = {}
        self._closed = False

    async def seal(self, path: Path, most: int) -> Sealed:
        """A file, sealed; one whose sending was interrupted and that has not changed since is not sealed again.

        Args:
            path: Absolute.
            most: The largest ciphertext that the relay takes, in bytes.

        Raises:
            UsageError: It cannot be read, is no file, or is too large. Nothing of it was read then.
            StoreError: The disk refuses.
        """
        source = await in_thread(lambda _stop: _look(path, most))
        paused = self._paused.pop(source, None)
        if paused is not None:
            return paused
        return await in_thread(lambda stop: _seal(path, most, self._directory, stop))

    def pause(self, sealed: Sealed) -> None:
        """Its sending was interrupted: who sends the same file again goes on."""
        if self._closed:
            sealed.remove()
        else:
            self._paused[sealed.source] = sealed

    def close(self) -> None:
        """Nothing goes on from here: the keys are gone."""
        self._closed = True
        while self._paused:
            self._paused.popitem()[1].remove()


def sweep(directory: Path) -> None:
    """Remove what a dead process left in the profile's directory. For whoever holds the profile."""
    for left in (directory / _DIRECTORY).glob("*"):
        left.unlink(missing_ok=True)


def _look(path: Path, most: int) -> _Source:
    with _opened(path, most) as (_, source):
        return source


def _seal(path: Path, most: int, directory: Path, stop: Stop) -> Sealed:
    """Seal a file as it is now. Works in a thread."""
    sealer, blob = Sealer(fresh_entropy), BlobId(fresh_entropy(BlobId.SIZE))
    ciphertext = directory / str(blob)
    with _opened(path, most) as (file, source):
        try:
            with _explained("the file cannot be sealed beside the profile"):
                directory.mkdir(mode=0o700, exist_ok=True)
                hashed = _seal_through(sealer, file, ciphertext, stop)
        except BaseException:
            ciphertext.unlink(missing_ok=True)
            raise
    return Sealed(source, ciphertext, blob, sealer.key, hashed, sealer.size, file_name(path.name))


def _seal_through(sealer: Sealer, file: FileIO, ciphertext: Path, stop: Stop) -> BlobHash:
    with open(ciphertext, "xb", opener=private) as target:
        while data := file.read(_STEP_BYTES):
            stop.check()
            target.write(sealer.update(data))
        last, hashed = sealer.finish()
        target.write(last)
    return hashed


def private(path: str, flags: int) -> int:
    """An opener of files that nobody else may read."""
    return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


@contextlib.contextmanager
def _opened(path: Path, most: int) -> Iterator[tuple[FileIO, _Source]]:
    """A file to send, and which one it is; ``UsageError`` for what cannot be sent."""
    with _readable(path) as file:
        # Asked of what is open: another file may stand under the name by now.
        facts = os.fstat(file.fileno())
        _judge(path, facts, most)
        yield file, (path, facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)


def _readable(path: Path) -> FileIO:
    try:
        return open(path, "rb", buffering=0, opener=_without_waiting)
    except (OSError, ValueError) as cause:
        why = (cause.strerror or "").lower() if isinstance(cause, OSError) else "no file has such a name"
        raise UsageError(f"{path} cannot be read: {why}", hint="name a file that you may read") from cause


def _without_waiting(path: str, flags: int) -> int:
    """A pipe that nobody writes to, or a device, is opened at once; what it is, is judged next."""
    return os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)


def _judge(path: Path, facts: os.stat_result, most: int) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise UsageError(f"{path} is a device, a pipe or a socket", hint="send a file")
    if most == 0:
        raise UsageError("this relay takes no files", hint="its operator may allow them")
    if facts.st_size > ATTACHMENT_BYTES_MAX or sealed_size(facts.st_size) > most:
        limit = min(ATTACHMENT_BYTES_MAX, most) / 2**20
        sentence = f"{path} has {facts.st_size / 2**20:,.1f} MiB, and this relay takes files of up to {limit:.4g} MiB"
        raise UsageError(sentence, hint="send it in parts, or say where it can be fetched")


@contextlib.contextmanager
def _explained(sentence: str) -> Iterator[None]:
    try:
        yield
    except OSError as cause:
        raise StoreError(f"{sentence}: {cause.strerror}") from cause
