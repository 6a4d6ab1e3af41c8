"""A disk that fails when it is told to, underneath SQLite: what it raises, SQLite sees as it would see a real one."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import apsw

_BASE: Final = apsw.vfs_names()[0]
_NAME: Final = "failing"
_BLOCK: Final = 512


class Disk:
    """What the files of every database opened under it do.

    Attributes:
        write: Raised by every write, None where writing works; ``sync`` the same for making it durable.
        failed: How often something was raised.
        durable: Of each file that was ever made durable, its bytes when it last was.
        changed: Called after each change of a file.
    """

    def __init__(self) -> None:
        self.write: Callable[[], apsw.Error] | None = None
        self.sync: Callable[[], apsw.Error] | None = None
        self.failed = 0
        self.durable: dict[Path, bytes] = {}
        self.changed: Callable[[], None] = lambda: None

    def lose_power(self, to: Path, dice: random.Random) -> None:
        """Write to another directory what a disk may hold after a power cut at this moment.

        That is all that was made durable, and of what was written since, any of its blocks.
        """
        to.mkdir()
        there = [(path, durable) for path, durable in self.durable.items() if path.exists()]
        for path, durable in there:
            written = path.read_bytes()
            image = bytearray(durable.ljust(len(written), b"\0"))
            for start in range(0, len(written), _BLOCK):
                if dice.random() < 0.5:
                    image[start : start + _BLOCK] = written[start : start + _BLOCK]
            (to / path.name).write_bytes(image)

    def heal(self) -> None:
        """Work again."""
        self.write = self.sync = None

    def replace(self) -> None:
        """What is opened from now on lies on the system's own disk."""
        apsw.set_default_vfs(_BASE)

    def check(self, failure: Callable[[], apsw.Error] | None) -> None:
        if failure is not None:
            self.failed += 1
            raise failure()


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name, flags) -> None:
        super().__init__(_BASE, name, flags)
        self._disk = disk
        self._path = Path(name.filename() if isinstance(name, apsw.URIFilename) else name or "")

    def xWrite(self, data, offset) -> None:
        self._disk.check(self._disk.write)
        super().xWrite(data, offset)
        self._disk.changed()

    def xTruncate(self, size) -> None:
        self._disk.check(self._disk.write)
        super().xTruncate(size)
        self._disk.changed()

    def xSync(self, flags) -> None:
        self._disk.check(self._disk.sync)
        super().xSync(flags)
        self._disk.durable[self._path] = self._path.read_bytes()


class _Vfs(apsw.VFS):
    def __init__(self, disk: Disk) -> None:
        super().__init__(_NAME, _BASE, makedefault=True)
        self._disk = disk

    def xOpen(self, name, flags) -> _File:
        return _File(self._disk, name, flags)

    def xDelete(self, name, sync) -> None:
        super().xDelete(name, sync)
        self._disk.changed()


@contextmanager
def failing_disk() -> Iterator[Disk]:
    """Every database that is opened from now on lies on a disk that may be told to fail."""
    disk = Disk()
    vfs = _Vfs(disk)
    try:
        yield disk
    finally:
        disk.replace()
        vfs.unregister()


def disk_full() -> apsw.Error:
    return apsw.FullError("there is no space left on the device")


def read_only() -> apsw.Error:
    return apsw.ReadOnlyError("the file system is mounted read-only")


def lost() -> apsw.Error:
    return apsw.IOError("the device answers with errors")
