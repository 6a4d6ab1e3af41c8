"""Attachments as one session sees them: what is asked of the relay, what it may answer, and what is forgotten."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from chaton.errors import Refused
from chaton.identity.ids import BlobHash, BlobId, MessageId, RoomId
from chaton.limits import PIECE_BYTES_MAX
from chaton.session import acts, files
from chaton.session.content import Delete, File, Plaintext
from chaton.session.errand import Interrupted
from chaton.session.filename import NAME_BYTES_MAX, file_name
from chaton.session.memory import EventEntry, decode_entry
from chaton.session.notices import Said
from chaton.session.text import clean_line
from chaton.vault.keys import FileKey
from chaton.wire import frames
from tests.session.world import Person, World, say

BLOB = BlobId(b"b" * 32)
KEY = b"the key of one file, 32 bytes ok"
FILE = File(BLOB, FileKey(KEY), BlobHash(b"h" * 32), 84, "plan.pdf", "second draft")
DATA = bytes(range(100))


def put(person: Person, room: RoomId, data: bytes = DATA, offset: int = 0, size: int = len(DATA)) -> int:
    return person.ask(files.put(person.session.room(room), BLOB, size, offset, data))


def status(person: Person, room: RoomId) -> int:
    return person.ask(files.put_status(person.session.room(room), BLOB, len(DATA)))


def get(person: Person, room: RoomId, offset: int = 0) -> bytes:
    return person.ask(files.get(person.session.room(room), BLOB, len(DATA), offset))


def refused(code: str, ask, *args) -> None:
    with pytest.raises(Refused) as refusal:
        ask(*args)
    assert refusal.value.code == code


def say_file(person: Person, room: RoomId) -> MessageId:
    person.session.say(room, FILE, 1)
    person.world.settle()
    return person.told(Said)[-1].id


def kept(person: Person) -> bytes:
    return b"".join(person.disk.values())


# --- what is asked ---


def test_a_piece_is_put_and_got(ada: Person, ben: Person, room: RoomId) -> None:
    assert status(ada, room) == 0
    assert put(ada, room) == len(DATA)
    assert status(ada, room) == len(DATA)
    assert get(ben, room) == DATA
    assert get(ben, room, 40) == DATA[40:]
    assert get(ben, room, len(DATA) - 1) == DATA[-1:]


def test_refusals_of_the_relay_are_told(ada: Person, ben: Person, room: RoomId) -> None:
    refused("bad-offset", put, ada, room, DATA, 7, 200)
    refused("no-blob", get, ben, room)
    put(ada, room)
    refused("blob-taken", put, ben, room, DATA[:3], 0, 100)


def test_a_broken_connection_is_told_and_asked_about(ada: Person, room: RoomId) -> None:
    session = ada.session
    ticket = session.begin(files.put(session.room(room), BLOB, len(DATA), 0, DATA))
    session.drain()  # The frame is lost on its way.
    ada.disconnect()
    assert isinstance(ada.answers[ticket], Interrupted)
    asking = session.begin(files.put_status(session.room(room), BLOB, len(DATA)))
    fetching = session.begin(files.get(session.room(room), BLOB, len(DATA), 0))
    ada.carry_out()
    assert not {asking, fetching} & ada.answers.keys()  # They wait for the connection.
    ada.connect()
    ada.world.settle()
    assert ada.answers[asking] == 0
    assert isinstance(ada.answers[fetching], Refused)


# --- what a relay may not answer ---


def lie(world: World, kind: type, **other: object) -> None:
    world.relay.twist = lambda _number, frame: [replace(frame, **other) if isinstance(frame, kind) else frame]


@pytest.mark.parametrize("other", [{"have": 101}, {"have": 99}, {"have": 0}, {"size": 99}])
def test_a_wrong_count_of_what_was_put_is_refused(world: World, ada: Person, room: RoomId, other: dict) -> None:
    lie(world, frames.BlobState, **other)
    refused("bad-attachment", put, ada, room)


@pytest.mark.parametrize("other", [{"have": 101, "size": 101}, {"have": 101, "size": 100}, {"have": 5, "size": 99}])
def test_a_status_that_cannot_be_is_refused(world: World, ada: Person, room: RoomId, other: dict) -> None:
    lie(world, frames.BlobState, **other)
    refused("bad-attachment", status, ada, room)


@pytest.mark.parametrize(
    "other", [{"size": 101}, {"size": 99}, {"offset": 1}, {"data": b""}, {"data": bytes(101)}], ids=str
)
def test_a_piece_of_something_else_is_refused(world: World, ada: Person, room: RoomId, other: dict) -> None:
    put(ada, room)
    lie(world, frames.BlobPiece, **other)
    refused("bad-attachment", get, ada, room)


def test_a_piece_that_ends_behind_the_file_is_refused(world: World, ada: Person, room: RoomId) -> None:
    put(ada, room)
    lie(world, frames.BlobPiece, data=bytes(len(DATA) - 39))
    refused("bad-attachment", get, ada, room, 40)


def test_who_is_out_is_refused_and_does_not_wait(ada: Person, ben: Person, room: RoomId) -> None:
    put(ada, room)
    ada.ask(ada.session.remove(room, acts.remove(ben.identity, "", ban=False)))
    ben.restart()
    ben.world.settle()
    its = ben.session.rooms[room]
    for asked in (files.get(its, BLOB, len(DATA), 0), files.put_status(its, BLOB, len(DATA))):
        refused("not-member", ben.ask, asked)


# --- what is shown, kept and forgotten ---


def test_a_file_is_shown_and_what_fetches_it_is_kept(ada: Person, ben: Person, room: RoomId) -> None:
    message = say_file(ada, room)
    told = ben.told(Said)[-1]
    assert (told.kind, told.text, told.file.name, told.file.size) == ("file", "second draft", "plan.pdf", 84)
    for person in (ada, ben):
        person.restart()
        person.world.settle()
        file = person.session.room(room).timeline.file(message)
        assert (file.blob, file.key.reveal(), file.hash, file.size) == (BLOB, KEY, FILE.hash, 84)


def test_its_key_is_kept_nowhere_before_the_message_and_in_the_outbox_with_it(ada: Person, room: RoomId) -> None:
    ada.disconnect()
    assert KEY not in kept(ada)
    ada.session.say(room, FILE, 1)
    ada.carry_out()
    assert KEY in kept(ada)


def delete_it(ada: Person, room: RoomId, message: MessageId) -> None:
    ada.session.say(room, Delete(message), 2)
    ada.world.settle()


def redact_it(ada: Person, room: RoomId, message: MessageId) -> None:
    ada.ask(ada.session.act(room, acts.redact(message)))


@pytest.mark.parametrize(("end", "of"), [(delete_it, "ada"), (redact_it, "ben")], ids=["deleted", "redacted"])
def test_a_file_whose_line_has_ended_is_forgotten(ada: Person, ben: Person, room: RoomId, end, of: str) -> None:
    speaker = {"ada": ada, "ben": ben}[of]
    message = say_file(speaker, room)
    assert KEY in kept(ada)
    assert KEY in kept(ben)
    end(ada, room, message)
    for person in (ada, ben):
        assert KEY not in kept(person)
        for _ in range(2):
            line = person.session.room(room).timeline.thread.lines[message]
            assert line.ended
            assert line.content.key.reveal() == bytes(32)
            refused("no-file", person.session.room(room).timeline.file, message)
            assert all(said.file is None for said in person.session.room(room).timeline.backlog())
            person.restart()
            person.world.settle()
        say(person, room, "the room goes on")


def test_a_file_that_is_forgotten_is_not_written_again_at_each_start(ada: Person, room: RoomId) -> None:
    delete_it(ada, room, say_file(ada, room))
    ada.disconnect()
    ada.start()
    assert ada.session.drain() == []


def test_a_file_that_is_opened_after_its_deletion_is_forgotten_and_not_told(
    world: World, ada: Person, ben: Person, room: RoomId
) -> None:
    """The key of the message's chain comes late; by then its author has taken the message back, under another."""
    grants: list[tuple[int, frames.AnyRelayFrame]] = []

    def hold(number: int, frame: frames.AnyRelayFrame) -> list[frames.AnyRelayFrame]:
        if number == ben.connection and isinstance(frame, frames.Parcel):
            grants.append((number, frame))
            return []
        return [frame]

    world.relay.twist = hold
    message = say_file(ada, room)
    world.relay.twist = lambda _number, frame: [frame]
    ada.session.room(room).sender.renew()
    delete_it(ada, room, message)
    assert message not in ben.session.room(room).timeline.thread.lines
    world.relay.tell(*grants[0])
    world.settle()
    assert ben.session.room(room).timeline.thread.lines[message].ended
    assert not [said for said in ben.told(Said) if said.kind == "file"]
    assert KEY not in kept(ben)


def test_what_is_kept_of_a_deleted_file_is_a_message_still(ada: Person, room: RoomId) -> None:
    message = say_file(ada, room)
    delete_it(ada, room, message)
    entries = [decode_entry(EventEntry, raw) for (kind, _), raw in ada.disk.items() if kind is EventEntry]
    (entry,) = [entry for entry in entries if entry.id == bytes(message)]
    read = Plaintext.decode(entry.plain)
    assert isinstance(read.content, File)
    assert (read.content.blob, read.content.hash, read.content.size) == (BlobId.zero(), BlobHash.zero(), 0)
    assert (read.content.name, read.content.text) == ("", "")
    assert read.clock == ada.world.clock.now


def test_the_relay_says_how_much_it_takes(ada: Person) -> None:
    assert ada.session.arrival.blob_bytes_max == 2**20


def test_a_piece_fits_a_frame(ada: Person, room: RoomId) -> None:
    assert put(ada, room, bytes(PIECE_BYTES_MAX), 0, PIECE_BYTES_MAX) == PIECE_BYTES_MAX


# --- names ---


@pytest.mark.parametrize(
    ("claimed", "name"),
    [
        ("plan.pdf", "plan.pdf"),
        ("übersicht 2.tar.gz", "übersicht 2.tar.gz"),
        ("u\u0308.txt", "ü.txt"),
        ("../../x", "x"),
        ("/etc/passwd", "passwd"),
        ("a/b/", "b"),
        ("..", "attachment"),
        (" . ", "attachment"),
        ("", "attachment"),
        ("C:\\x\\evil.bat", "evil.bat"),
        (".bashrc", "bashrc"),
        ("-rf", "rf"),
        ("- -.x", "x"),
        ("x. ", "x"),
        ("a\u202egpj.exe", "a_gpj.exe"),
        ("a\nb\x1b[31m.txt", "a_b_[31m.txt"),
        ("a\u200bb\u2028c", "a_b c"),
        ("\ud800x", "_x"),
        ("what?.txt", "what_.txt"),
        ("CON", "_CON"),
        ("con.txt", "_con.txt"),
        ("lpt1 .txt", "_lpt1 .txt"),
        ("COM¹", "_COM¹"),
        ("falcon.txt", "falcon.txt"),
        ("_COM0", "_COM0"),
        ("conman.txt", "conman.txt"),
        ("x" * 300 + ".tar.gz", "x" * 197 + ".gz"),
        ("é" * 150 + ".pdf", "é" * 98 + ".pdf"),
        ("x" + "é" * 150 + ".pdf", "x" + "é" * 97 + ".pdf"),
        ("x." + "y" * 250, "x." + "y" * 198),
        ("x" * 190 + "." + "y" * 20, "x" * 179 + "." + "y" * 20),
        ("x" * 190 + "." + "y" * 21, "x" * 190 + "." + "y" * 9),
        ("x" * 195 + " .txt", "x" * 195 + " .txt"),
        ("x" * 196 + " .txt", "x" * 196 + ".txt"),
    ],
)
def test_names_are_made_harmless(claimed: str, name: str) -> None:
    assert file_name(claimed) == name


@given(st.text(st.characters(codec=None), max_size=300))
def test_any_name_becomes_one_that_may_be_saved(claimed: str) -> None:
    name = file_name(claimed)
    assert 1 <= len(name.encode()) <= NAME_BYTES_MAX
    assert not set('/\\\0:*?"<>|') & set(name)
    assert name[0] not in ".- "
    assert name[-1] not in ". "
    assert clean_line(name) == name
    assert file_name(name) == name
