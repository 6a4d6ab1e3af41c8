"""The profile: an identity, and everything that its sessions remember, in one encrypted directory.

::

    profile.key     the key of the database, wrapped by a passphrase or bare
    profile.db      SQLite, encrypted as a whole (ChaCha20-Poly1305); -wal beside it while it is open
    profile.lock    held by the one process that has the profile open; its number is in it
    config.toml     optional: passphrase_command
    control.sock    where that process takes requests of others (chaton.client.control)
"""

import contextlib
import fcntl
import importlib.resources
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, Self

import apsw
import platformdirs

from chaton.client import keyfile
from chaton.client.passphrase import find_passphrase
from chaton.client.randomness import fresh_entropy
from chaton.errors import Malformed, ProfileError, ProfileLocked, ProfileTooNew, StoreError, UsageError
from chaton.identity.ids import Identity, Pin
from chaton.identity.statement import Seed
from chaton.session.effects import Forget, Keep
from chaton.session.memory import KINDS, Entry, decode_entry, encode_entry
from chaton.vault.keys import ProfileKey, new_seed

DATABASE: Final = "profile.db"
LOCK: Final = "profile.lock"
SCHEMA_VERSION: Final = 1
_UNENCRYPTED: Final = b"SQLite format 3"
_SEED: Final = "seed"

_KEEP = "INSERT INTO entry VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value"
_FORGET = "DELETE FROM entry WHERE (relay, kind, place) = (?, ?, ?)"
_LOAD = "SELECT kind, value FROM entry WHERE relay = ? ORDER BY kind, place"
_SET = "INSERT INTO setting VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value"

_DAMAGED = (apsw.CorruptError, apsw.NotADBError)
# What SQLite says when a disk refuses. Its other errors are bugs of ours and travel as they are.
_DISK_ERRORS: Final[dict[type[apsw.Error], str]] = {
    apsw.FullError: "the disk is full",
    apsw.IOError: "the disk failed to read or write",
    apsw.ReadOnlyError: "the profile cannot be written",
    apsw.CantOpenError: "the profile cannot be opened",
    apsw.PermissionsError: "the profile may not be opened",
    apsw.BusyError: "another program holds the profile's database",
    apsw.LockedError: "another program holds the profile's database",
}


def default_directory() -> Path:
    """Where a profile is if nobody says otherwise: CHATON_PROFILE, else the platform's directory for data."""
    chosen = os.environ.get("CHATON_PROFILE")
    return Path(chosen).expanduser() if chosen else platformdirs.user_data_path("chaton") / "profile"


def exists(directory: Path) -> bool:
    """Whether a profile is there."""
    return (directory / DATABASE).exists()


class ProfileInUse(ProfileLocked):
    """Another process has the profile open; it may take requests (``chaton.client.control``)."""


class Profile:
    """A profile that this process has open. Made by ``create`` and ``open``; a context manager that closes it.

    Attributes:
        directory: Where it is.
        seed: The identity's secret; ``me`` the identity.
    """

    def __init__(self, directory: Path, held: contextlib.ExitStack, key: ProfileKey) -> None:
        self.directory = directory
        self._key = key
        self._database = _open_database(directory / DATABASE, key)
        held.callback(self._database.close)
        self._residue = True  # Whether what was forgotten may still stand in the write-ahead log.
        self.wipe()
        made = self._database.pragma("user_version") == SCHEMA_VERSION
        seed = self.setting(_SEED) if made else None
        if seed is None:
            raise _damaged(directory)
        self.seed = Seed(seed)
        self._held = held.pop_all()

    @classmethod
    def create(cls, directory: Path, *, passphrase: str | None = None, seed: Seed | None = None) -> Self:
        """Make a profile with a fresh identity, or with one that is moved here, and open it.

        Args:
            directory: Made with mode 0700 where there is none.
            passphrase: Wraps the profile's key, which takes about 1 s; None keeps the key in a file of mode 0600.
            seed: An identity from another machine.

        Raises:
            UsageError: There is a profile already, or the passphrase is empty.
            ProfileLocked: Another process is making one there.
            StoreError: The disk refuses.
        """
        with contextlib.ExitStack() as held:
            held.enter_context(_locked(directory))
            if exists(directory):
                hint = "use it, or choose another directory with --profile"
                raise UsageError(f"there is a profile in {directory} already", hint=hint)
            key = ProfileKey(fresh_entropy(ProfileKey.SIZE))
            keyfile.write_key(directory, key, passphrase, fresh_entropy)
            _make_database(directory, key, seed or new_seed(fresh_entropy))
            return cls(directory, held, key)

    @classmethod
    def open(cls, directory: Path, *, passphrase: str | None = None, ask: Callable[[], str] | None = None) -> Self:
        """Open a profile for this process alone.

        Args:
            directory: Where it is.
            passphrase: If it is known; then no other source is looked at.
            ask: Asks a person for the passphrase, if one is needed and no other source gives it; None asks nobody.

        Raises:
            ProfileLocked: Another process has it open (``ProfileInUse``), or nobody gives the passphrase.
            WrongPassphrase: The passphrase does not open it.
            ProfileTooNew: A later version of Chaton made it; nothing in it was changed.
            ProfileError: There is none, or it is damaged.
            StoreError: The disk refuses.
        """
        if not exists(directory):
            hint = "chaton join LINK or chaton identity new makes one"
            raise ProfileError(f"there is no profile in {directory}", hint=hint)
        with contextlib.ExitStack() as held:
            held.enter_context(_locked(directory))
            key = keyfile.read_key(directory, lambda: passphrase or find_passphrase(directory, ask))
            return cls(directory, held, key)

    @property
    def me(self) -> Identity:
        """Whose profile it is."""
        return Identity(self.seed.public)

    # --- what sessions remember ---

    def relays(self) -> list[Pin]:
        """Every relay that something is remembered of."""
        return [Pin(pin) for (pin,) in self._read("SELECT DISTINCT relay FROM entry")]

    def load(self, relay: Pin) -> Iterator[Entry]:
        """What is remembered of one relay, in the order of kind and place.

        Raises:
            ProfileError: The profile is damaged.
        """
        for kind, value in self._read(_LOAD, (relay,)):
            try:
                yield decode_entry(KINDS[kind], value)
            except (KeyError, Malformed) as cause:
                raise _damaged(self.directory) from cause

    def commit(self, relay: Pin, changes: Iterable[Keep | Forget]) -> None:
        """Make changes durable, all of them in their order or none.

        Raises:
            StoreError: The disk refuses, and nothing was changed.
        """
        # Only the last change at a place counts, and an entry is written as it stands now.
        values: dict[tuple[str, bytes], bytes | None] = {}
        for change in changes:
            if isinstance(change, Keep):
                values[change.entry.KIND, change.entry.place()] = encode_entry(change.entry)
            else:
                values[change.kind.KIND, change.place] = None
        if values:
            self._commit(relay, values)

    def _commit(self, relay: Pin, values: dict[tuple[str, bytes], bytes | None]) -> None:
        kept = [(relay, kind, place, value) for (kind, place), value in values.items() if value is not None]
        gone = [(relay, kind, place) for (kind, place), value in values.items() if value is None]
        with self._explained(), self._transaction():
            self._database.executemany(_KEEP, kept)
            self._database.executemany(_FORGET, gone)
        self._residue = True

    def wipe(self) -> None:
        """Empty the write-ahead log, so that keys that were erased no longer stand in it."""
        if self._residue:
            with self._explained():
                self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self._residue = False

    # --- settings ---

    def setting(self, name: str) -> bytes | None:
        """A setting, such as a room's draft; None if it was never kept."""
        found = self._read("SELECT value FROM setting WHERE name = ?", (name,))
        return found[0][0] if found else None

    # --- the key ---

    @property
    def has_passphrase(self) -> bool:
        """Whether the key is wrapped."""
        return keyfile.is_wrapped(self.directory)

    def change_passphrase(self, passphrase: str | None) -> None:
        """Wrap the profile's key by another passphrase, or by none. What is sealed under the key stays as it is.

        Raises:
            UsageError: The passphrase is empty.
            StoreError: The disk refuses, and the old passphrase holds.
        """
        keyfile.write_key(self.directory, self._key, passphrase, fresh_entropy)

    def export(self, passphrase: str) -> str:
        """The identity as a text to import on another machine; keys are moved, not copied, and it says so.

        Raises:
            UsageError: The passphrase is empty.
        """
        return keyfile.export_seed(self.seed, passphrase, fresh_entropy)

    # --- inside ---

    def close(self) -> None:
        """Close the database and let go of the lock. Safe to call twice."""
        self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _read(self, sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with self._explained():
            return list(self._database.execute(sql, values))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            # SQLite ends the transaction by itself after some errors, such as a full disk.
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise

    def _explained(self) -> contextlib.AbstractContextManager[None]:
        return _explained(self.directory)


def _damaged(directory: Path) -> ProfileError:
    hint = "bring it back from a backup, or choose another profile with --profile"
    return ProfileError(f"the profile in {directory} is damaged", hint=hint)


@contextlib.contextmanager
def _explained(directory: Path) -> Iterator[None]:
    """Turn what SQLite and the system say about the disk into what we say."""
    try:
        yield
    except _DAMAGED as cause:
        raise _damaged(directory) from cause
    except tuple(_DISK_ERRORS) as cause:
        sentence = next(said for kind, said in _DISK_ERRORS.items() if isinstance(cause, kind))
        raise StoreError(f"{directory}: {sentence} ({cause})") from cause
    except OSError as cause:
        raise StoreError(f"{directory}: {cause.strerror}") from cause


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the profile for this process; the system lets go of it when the process ends, however it ends."""
    with _explained(directory):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if directory.stat().st_mode & 0o077:
            directory.chmod(0o700)
        lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _take(lock, directory)
        yield
    finally:
        os.close(lock)


def _take(lock: int, directory: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as cause:
        holder = os.read(lock, 20).decode(errors="replace").strip()
        by = f" (process {holder})" if holder.isdigit() else ""
        raise ProfileInUse(
            f"another process has the profile in {directory} open{by}",
            hint="wait for it, close it, or choose another profile with --profile",
        ) from cause
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)


def _make_database(directory: Path, key: ProfileKey, seed: Seed) -> None:
    """Made aside and renamed when it is whole: a crash leaves no profile, or one with its identity in it."""
    draft = directory / (DATABASE + ".new")
    for leftover in (draft, draft.with_name(draft.name + "-wal")):
        leftover.unlink(missing_ok=True)
    schema = importlib.resources.files("chaton.client").joinpath("schema.sql").read_text(encoding="utf-8")
    with contextlib.closing(_open_database(draft, key)) as database, _explained(directory):
        database.execute("BEGIN IMMEDIATE")
        database.execute(schema)
        database.execute(_SET, (_SEED, seed.reveal()))
        database.pragma("user_version", SCHEMA_VERSION)
        database.execute("COMMIT")
    with _explained(directory):
        _refuse_unencrypted(draft)
        draft.replace(directory / DATABASE)
        keyfile.sync_directory(directory)


def _refuse_unencrypted(path: Path) -> None:
    with path.open("rb") as file:
        written = file.read(len(_UNENCRYPTED))
    if written == _UNENCRYPTED:
        path.unlink()
        raise StoreError("the database was written without encryption, and is deleted", hint="reinstall Chaton")


def _open_database(path: Path, key: ProfileKey) -> apsw.Connection:
    """Open fail-closed: without the cipher, with another key, or made by a later version, nothing is read or written.

    That the key was taken proves nothing; only a read does.
    """
    if not hasattr(apsw, "mc_version"):
        hint = "pip uninstall apsw apsw-sqlite3mc, then install Chaton again"
        raise StoreError("encrypted SQLite is missing: the package 'apsw' shadows it", hint=hint)
    with _explained(path.parent):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
        database = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            database.pragma("cipher", "chacha20")
            database.pragma("key", "raw:" + key.reveal().hex())
            database.execute("SELECT count(*) FROM sqlite_schema").fetchall()
            _refuse_later(path, database)
            _set_up(database)
        except BaseException:
            database.close()
            raise
    return database


def _refuse_later(path: Path, database: apsw.Connection) -> None:
    if int(database.pragma("user_version")) > SCHEMA_VERSION:
        raise ProfileTooNew(f"the profile in {path.parent} was written by a later version of Chaton")


def _set_up(database: apsw.Connection) -> None:
    # We hold the profile's lock, so nobody else needs the file, and no shared memory beside it.
    database.pragma("locking_mode", "EXCLUSIVE")
    database.pragma("journal_mode", "WAL")
    database.pragma("synchronous", "FULL")
    database.pragma("secure_delete", "ON")
    database.pragma("temp_store", "MEMORY")
