"""A file on its way in: ciphertext in a part file first, then opened under a hidden name, then given its own.

Nothing of it bears its name before all of it is here and its hash is the one that its message names. What is there
already is never written over, nothing is made executable, and nothing is opened.
"""

import contextlib
import fcntl
import itertools
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

import platformdirs

from chaton.client.spool import private
from chaton.client.working import Stop
from chaton.errors import AttachmentRefused, Refused, StoreError, UsageError
from chaton.session.content import File
from chaton.session.filename import file_name
from chaton.vault.attachment import Opener, sealed_size

_STEP_BYTES: Final = 2**20


def default_directory() -> Path:
    """Where files go if nobody says otherwise: the platform's directory for what was fetched."""
    return platformdirs.user_downloads_path()


def whole_path(path: Path | str) -> Path:
    """A path that means the same to every process: ``~`` is one's home, and it begins where this process is."""
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError as cause:
        raise UsageError(f"{path} begins with nobody's home", hint="write the whole path") from cause


class Incoming:
    """What is here of one file; a context manager. Its methods work in threads, one at a time.

    What is here stays in ``NAME.HASH.chaton-part`` until the file is whole, so that another attempt goes on from it.
    The name bears the beginning of the ciphertext's hash: what came of another file is not taken for this one's.

    Args:
        directory: Where the file goes; made if it is missing.
        file: What its message says.

    Attributes:
        sealed: Bytes of ciphertext in all.
        have: How many of them are here.

    Raises:
        Refused: bad-attachment, as no file has the size that the message claims.
    """

    def __init__(self, directory: Path, file: File) -> None:
        self._directory = directory
        self._name = file_name(file.name)
        with _judged():
            self._opener = Opener(file.key, file.hash, file.size)
        self.sealed, self.have = sealed_size(file.size), 0
        self._part = directory / f"{self._name}.{file.hash.short}.chaton-part"
        self._plain = directory / f".{self._name}.{file.hash.short}.chaton-open"
        self._descriptor = -1

    def take_up(self, _stop: Stop) -> None:
        """Look what is here from before, and go on from it; what cannot be of this file is not used.

        Raises:
            UsageError: It is being fetched already, or the part file is somebody else's.
            StoreError: The disk refuses.
        """
        with _explained(self._directory):
            self._directory.mkdir(parents=True, exist_ok=True)
            self._descriptor = private(os.fspath(self._part), os.O_RDWR | os.O_CREAT)
        facts = os.fstat(self._descriptor)
        if not stat.S_ISREG(facts.st_mode) or facts.st_uid != os.geteuid():
            raise UsageError(f"{self._part} is somebody else's", hint="choose another directory")
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as cause:
            raise UsageError(f"{self._name} is being fetched already", hint="wait for it") from cause
        if facts.st_size > self.sealed:
            os.ftruncate(self._descriptor, 0)
        else:
            self.have = facts.st_size

    def add(self, data: bytes) -> None:
        """Write down what came; raises ``StoreError``."""
        with _explained(self._directory):
            while data:
                written = os.pwrite(self._descriptor, data, self.have)
                self.have += written
                data = data[written:]

    def finish(self, stop: Stop) -> Path:
        """Check and open what came, and give it its name; where it is now.

        Raises:
            Refused: bad-attachment: it is not what was sent. What came is thrown away.
            StoreError: The disk refuses; what came is kept.
        """
        try:
            with _explained(self._directory), _judged():
                self._open_into(stop)
                path = self._give_name()
        except Refused:
            self._part.unlink(missing_ok=True)
            raise
        finally:
            self._plain.unlink(missing_ok=True)
        self._part.unlink(missing_ok=True)
        return path

    def _open_into(self, stop: Stop) -> None:
        self._plain.unlink(missing_ok=True)
        with open(self._plain, "xb", opener=private) as target:
            for start in range(0, self.sealed, _STEP_BYTES):
                stop.check()
                target.write(self._opener.update(os.pread(self._descriptor, _STEP_BYTES, start)))
            # The hash is over the very bytes that were opened: nobody can change them in between.
            self._opener.finish()
            target.flush()
            os.fsync(target.fileno())

    def _give_name(self) -> Path:
        """A renaming takes the place of what is there: of an empty file that had the name to itself.

        A hard link would need no such file, but there are disks that have none: memory sticks, shares.
        """
        stem, dot, suffix = self._name.rpartition(".")
        stem, suffix = (stem, dot + suffix) if stem else (self._name, "")
        names = (f"{stem} ({number}){suffix}" for number in itertools.count(1))
        for name in itertools.chain([self._name], names):
            try:
                os.close(private(os.fspath(self._directory / name), os.O_WRONLY | os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                continue
            return self._plain.replace(self._directory / name)
        raise AssertionError

    def close(self) -> None:
        """Let go of it; what is here stays for another attempt."""
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


@contextlib.contextmanager
def _judged() -> Iterator[None]:
    try:
        yield
    except AttachmentRefused as refusal:
        hint = "ask its sender to send it again"
        raise Refused("bad-attachment", f"nothing was saved: {refusal}", hint=hint) from refusal


@contextlib.contextmanager
def _explained(directory: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as cause:
        why = cause.strerror if isinstance(cause, OSError) else "it has no possible name"
        raise StoreError(f"no file can be saved in {directory}: {why}", hint="choose another directory") from cause
