"""The encrypted profile: who may open it, what is on its disk, what a crash leaves."""

import os
import shutil
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import apsw
import pytest

from chaton.client import keyfile, passphrase, profile
from chaton.client.keyfile import import_seed
from chaton.client.profile import Profile, ProfileInUse
from chaton.errors import ProfileError, ProfileLocked, ProfileTooNew, StoreError, UsageError, WrongPassphrase
from chaton.identity.ids import Identity, Pin, RoomId
from chaton.identity.secret import RoomInfoKey
from chaton.session.effects import Forget, Keep
from chaton.session.memory import OutboxEntry, PeerEntry, RoomEntry
from chaton.vault import at_rest

ROOT = Path(__file__).parents[2]
RELAY, OTHER = Pin(b"r" * 32), Pin(b"o" * 32)
ROOM = RoomId(b"R" * 32)


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    """Argon2id at its real cost would take a second each time; one test below pays it."""
    monkeypatch.setattr(at_rest, "_PASSES", 1)
    monkeypatch.setattr(at_rest, "_MEMORY_BYTES", 8192)
    for name in ("CHATON_PASSPHRASE_FILE", "CREDENTIALS_DIRECTORY", "CHATON_PROFILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def home(tmp_path):
    return tmp_path / "profile"


def room_entry(**fields):
    return RoomEntry(room=ROOM, host="localhost", port=5555, pin=RELAY, rik=RoomInfoKey(b"k" * 32), **fields)


def test_it_is_the_same_person_each_time(home):
    with Profile.create(home) as made:
        me = made.me
        assert not made.has_passphrase
    with Profile.open(home) as opened:
        assert opened.me == me
    assert not (home / "profile.db-wal").exists()


def test_nobody_else_may_read_it(home):
    with Profile.create(home) as made:
        made.commit(RELAY, [Keep(room_entry())])
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        for file in home.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    home.chmod(0o755)
    (home / "profile.db").chmod(0o644)
    with Profile.open(home):
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        assert stat.S_IMODE((home / "profile.db").stat().st_mode) == 0o600


def test_nothing_in_it_can_be_read_from_the_disk(home):
    with Profile.create(home) as made:
        seed = made.seed.reveal()
        made.commit(RELAY, [Keep(room_entry(name="a secret name"))])
        files = {file.name: file.read_bytes() for file in home.iterdir() if file.is_file()}
    for name, data in files.items():
        assert b"SQLite format 3" not in data, name
        assert b"a secret name" not in data, name
        assert seed not in data, name
    assert "profile.db-wal" in files


def test_what_is_kept_comes_back_in_order(home):
    peers = [PeerEntry(identity=Identity(bytes([number]) * 32), counter=number) for number in (3, 1, 2)]
    with Profile.create(home) as made:
        made.commit(RELAY, [Keep(peer) for peer in peers])
        made.commit(RELAY, [Keep(room_entry(name="one"))])
        made.commit(OTHER, [Keep(PeerEntry(identity=peers[0].identity, counter=9))])
        made.commit(RELAY, [Forget(PeerEntry, peers[2].place())])
    with Profile.open(home) as opened:
        assert set(opened.relays()) == {RELAY, OTHER}
        kept = list(opened.load(RELAY))
        assert [entry.counter for entry in kept[:2]] == [1, 3]
        assert (kept[2].name, kept[2].rik.reveal()) == ("one", b"k" * 32)
        assert [entry.counter for entry in opened.load(OTHER)] == [9]


def test_the_last_change_at_a_place_counts(home):
    said = OutboxEntry(room=ROOM, number=1, ref=1, body=b"\x01x")
    with Profile.create(home) as made:
        made.commit(RELAY, [Keep(said), Forget(OutboxEntry, said.place())])
        assert list(made.load(RELAY)) == []
        made.commit(RELAY, [Forget(OutboxEntry, said.place()), Keep(said), Keep(said)])
        said.ref = 2  # As it stood when it was committed, not as it is changed later.
        assert [entry.ref for entry in made.load(RELAY)] == [1]


def test_one_process_at_a_time(home):
    with Profile.create(home):
        with pytest.raises(ProfileInUse, match=f"process {os.getpid()}"):
            Profile.open(home)
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(f"""
                from pathlib import Path
                from chaton.client.profile import Profile
                from chaton.errors import ProfileLocked
                try:
                    Profile.open(Path({str(home)!r}))
                except ProfileLocked:
                    print("locked")
            """)], capture_output=True, text=True, check=False, cwd=ROOT,
        )  # fmt: skip
        assert done.stdout == "locked\n", done.stderr
    Profile.open(home).close()


def test_a_passphrase(home):
    asked = []

    def ask():
        asked.append(1)
        return "open sesame"

    with Profile.create(home, passphrase="open sesame") as made:
        me = made.me
        assert made.has_passphrase
    with pytest.raises(ProfileLocked, match="needs its passphrase"):
        Profile.open(home)
    with pytest.raises(WrongPassphrase):
        Profile.open(home, passphrase="open barley")
    with Profile.open(home, ask=ask) as opened:
        assert (opened.me, asked) == (me, [1])
        opened.change_passphrase("another")
    with pytest.raises(WrongPassphrase):
        Profile.open(home, ask=ask)
    with Profile.open(home, passphrase="another") as opened:
        opened.change_passphrase(None)
    with Profile.open(home) as opened:
        assert opened.me == me
        with pytest.raises(UsageError):
            opened.change_passphrase("")
    Profile.open(home).close()


def test_a_passphrase_at_its_real_cost(home, monkeypatch):
    monkeypatch.undo()
    Profile.create(home, passphrase="open sesame").close()
    with pytest.raises(WrongPassphrase):
        Profile.open(home, passphrase="x")
    Profile.open(home, passphrase="open sesame").close()


def test_where_passphrases_come_from_in_order(home, tmp_path, monkeypatch):
    home.mkdir()
    asked = passphrase.find_passphrase(home, lambda: "asked")
    (home / "config.toml").write_text("passphrase_command = \"printf 'by command\\\\nnotes'\"\n")
    command = passphrase.find_passphrase(home, lambda: "asked")
    (tmp_path / "chaton-passphrase").write_text("credential\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    credential = passphrase.find_passphrase(home)
    (tmp_path / "file").write_text("file\nsecond line\n")
    monkeypatch.setenv("CHATON_PASSPHRASE_FILE", str(tmp_path / "file"))
    assert (asked, command, credential) == ("asked", "by command", "credential")
    assert passphrase.find_passphrase(home) == "file"
    (tmp_path / "file").unlink()
    with pytest.raises(ProfileError, match="cannot be read"):
        passphrase.find_passphrase(home, lambda: "asked")


@pytest.mark.parametrize(
    "config",
    ["passphrase_command = 3", "passphrase_command =", 'passphrase_command = "false"', 'passphrase_command = "true"'],
)
def test_a_source_that_does_not_work_is_told(home, config):
    home.mkdir()
    (home / "config.toml").write_text(config)
    with pytest.raises(ProfileError):
        passphrase.find_passphrase(home, lambda: "asked")


def test_a_later_version_is_left_alone(home):
    with Profile.create(home) as made:
        made._database.pragma("user_version", 2)
    before = (home / "profile.db").read_bytes()
    with pytest.raises(ProfileTooNew):
        Profile.open(home)
    assert (home / "profile.db").read_bytes() == before


@pytest.mark.parametrize("harm", ["key", "key-size", "head", "middle", "empty", "cut"])
def test_damage_is_told_as_such(home, harm):
    with Profile.create(home) as made:
        made.commit(RELAY, [Keep(room_entry(name=str(number) * 4_000)) for number in range(1)])
    database, key = home / "profile.db", home / "profile.key"
    data = bytearray(database.read_bytes())
    match harm:
        case "key":
            key.write_bytes(os.urandom(32))
        case "key-size":
            key.write_bytes(b"short")
        case "head":
            data[100] ^= 1
            database.write_bytes(data)
        case "middle":
            data[4096 * 2 + 100] ^= 1
            database.write_bytes(data)
        case "empty":
            database.write_bytes(b"")
        case "cut":
            database.write_bytes(data[: len(data) // 2])
    with pytest.raises(ProfileError, match="damaged"), Profile.open(home) as opened:
        list(opened.load(RELAY))


def test_without_the_cipher_nothing_is_opened(home, monkeypatch):
    Profile.create(home).close()
    before = {file.name: file.read_bytes() for file in home.iterdir()}
    monkeypatch.delattr(apsw, "mc_version")
    with pytest.raises(StoreError, match="'apsw' shadows it"):
        Profile.open(home)
    assert {file.name: file.read_bytes() for file in home.iterdir()} == before
    with pytest.raises(StoreError):
        Profile.create(home.with_name("new"))
    assert not (home.with_name("new") / "profile.db").exists()


def test_a_database_that_was_written_in_the_clear_is_not_kept(home, monkeypatch):
    monkeypatch.setattr(profile, "_UNENCRYPTED", b"")
    with pytest.raises(StoreError, match="without encryption"):
        Profile.create(home)
    assert not (home / "profile.db").exists()
    assert not (home / "profile.db.new").exists()


def test_a_full_disk_changes_nothing(home):
    with Profile.create(home) as made:
        made.commit(RELAY, [Keep(room_entry(name="kept"))])
        made._database.pragma("max_page_count", made._database.pragma("page_count"))
        big = OutboxEntry(room=ROOM, number=1, ref=1, body=b"\x01" + b"x" * 50_000)
        with pytest.raises(StoreError, match="disk is full"):
            made.commit(RELAY, [Keep(room_entry(name="lost")), Keep(big)])
        assert [entry.name for entry in made.load(RELAY)] == ["kept"]
        made._database.pragma("max_page_count", 10_000)
        made.commit(RELAY, [Keep(big)])
        assert len(list(made.load(RELAY))) == 2


def test_a_profile_is_not_overwritten(home):
    with Profile.create(home) as made:
        me = made.me
    with pytest.raises(UsageError, match="already"):
        Profile.create(home)
    with Profile.open(home) as opened:
        assert opened.me == me


def test_there_is_none(home):
    with pytest.raises(ProfileError, match="no profile"):
        Profile.open(home)
    assert not home.exists()


def test_a_crash_while_it_is_made_leaves_none_or_a_whole_one(home, monkeypatch):
    real = Path.replace

    def crash(self, target):
        if Path(target).name == "profile.db":
            raise OSError(5, "killed")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", crash)
    with pytest.raises(StoreError):
        Profile.create(home)
    assert not profile.exists(home)
    monkeypatch.setattr(Path, "replace", real)
    with Profile.create(home) as made:
        me = made.me
    with Profile.open(home) as opened:
        assert opened.me == me


def test_an_identity_moves_to_another_machine(home):
    with Profile.create(home) as made:
        me, text = made.me, made.export("for the road")
    assert "moved, not copied" in text
    with pytest.raises(WrongPassphrase):
        import_seed(text, "wrong")
    with Profile.create(home.with_name("there"), seed=import_seed(text, "for the road")) as moved:
        assert moved.me == me


@pytest.mark.parametrize("text", ["", "chaton-identity:", "chaton-identity:AAAA", "chaton:abc", "chaton-identity:é"])
def test_what_is_no_exported_identity(text):
    with pytest.raises(UsageError):
        import_seed(text, "x")


def test_erased_keys_leave_the_disk(home):
    """What is forgotten stands neither in the database nor in the log beside it, read with the key."""
    with Profile.create(home) as made:
        made.commit(RELAY, [Keep(room_entry(name="z" * 3_000))])
        size = (home / "profile.db-wal").stat().st_size
        made.commit(RELAY, [Forget(RoomEntry, bytes(ROOM))])
        made.wipe()
        assert size > 0
        assert (home / "profile.db-wal").stat().st_size == 0
        pages = made._database.execute("SELECT count(*) FROM entry").get
        assert pages == 0
        assert made._database.pragma("secure_delete") == 1


def test_the_default_place(monkeypatch, tmp_path):
    monkeypatch.setenv("CHATON_PROFILE", str(tmp_path / "mine"))
    assert profile.default_directory() == tmp_path / "mine"
    monkeypatch.delenv("CHATON_PROFILE")
    assert profile.default_directory().name == "profile"


def test_a_disk_that_cannot_be_written(home, monkeypatch):
    Profile.create(home).close()

    def refuse(*_args, **_options):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(profile.os, "open", refuse)
    with pytest.raises(StoreError, match="Read-only"):
        Profile.open(home)
    monkeypatch.undo()
    monkeypatch.setattr(keyfile.os, "fsync", refuse)
    with Profile.open(home) as opened, pytest.raises(StoreError):
        opened.change_passphrase(None)
    shutil.rmtree(home)
