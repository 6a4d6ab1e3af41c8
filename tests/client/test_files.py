"""Files over a real relay: whole in spite of cut connections, under harmless names, and never anything else."""

import asyncio
import hashlib
import os
import stat
from pathlib import Path

import pytest
from msgspec.structs import replace

from chaton.client import requests as ask
from chaton.client.incoming import Incoming
from chaton.client.news import Progress
from chaton.client.spool import Spool
from chaton.client.working import Stop, Stopped
from chaton.errors import Refused, Unreachable, UsageError
from chaton.identity.ids import BlobHash, BlobId
from chaton.limits import ATTACHMENT_BYTES_MAX, CAPTION_BYTES_MAX, PIECE_BYTES_MAX
from chaton.relay.config import Limits, Rate, Rates
from chaton.session import files
from chaton.session.content import File
from chaton.session.notices import Said
from chaton.vault.attachment import Sealer, sealed_size
from chaton.vault.entropy import system_entropy
from chaton.vault.keys import FileKey
from chaton.wire import frames
from tests.client.conftest import heard

MEBIBYTE = 2**20


def noise(size: int) -> bytes:
    return hashlib.shake_256(b"file").digest(size)


@pytest.fixture
async def garden(cable, town):
    """Ann and Bob in one room, both by a cable that can be cut."""
    ann, bob = await town.person("ann"), await town.person("bob")
    annes = await ann.create(cable.address, "garden", nick="Ann")
    return annes, await bob.join(await annes.invite(), nick="Bob")


@pytest.fixture
def source(tmp_path):
    """A file to send."""

    def make(name: str, data: bytes) -> Path:
        path = tmp_path / "source" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        return path

    return make


async def told_file(room) -> Said:
    return await heard(room.notices(), lambda notice: isinstance(notice, Said) and notice.kind == "file")


def left_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


async def test_three_mebibytes_there_and_back(garden, source, tmp_path):
    annes, bobs = garden
    data = noise(3 * MEBIBYTE + 5)
    news = annes.notices()
    sent = await annes.send_file(source("plan.pdf", data), "second draft")
    told = await told_file(bobs)
    assert (told.id, told.text, told.file.name, told.file.size) == (sent.id, "second draft", "plan.pdf", len(data))
    path = await bobs.get_file(told.id, tmp_path / "new" / "bobs")
    assert path == tmp_path / "new" / "bobs" / "plan.pdf"
    assert path.read_bytes() == data
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert left_in(path.parent) == ["plan.pdf"]
    again = await annes.get_file(sent.id, path.parent)
    assert (again.name, again.read_bytes()) == ("plan (1).pdf", data)
    steps = [notice async for notice in _until_done(news, up=True)]
    assert [step.done for step in steps] == sorted(
        {*range(0, sealed_size(len(data)), PIECE_BYTES_MAX), steps[-1].total}
    )
    assert {(step.name, step.total) for step in steps} == {("plan.pdf", sealed_size(len(data)))}


async def _until_done(news, *, up):
    async for notice in news:
        if isinstance(notice, Progress) and notice.up == up:
            yield notice
            if notice.done == notice.total:
                return


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537])
async def test_sizes_around_a_piece(garden, source, tmp_path, size):
    annes, bobs = garden
    await annes.send_file(source("x", noise(size)))
    told = await told_file(bobs)
    path = await bobs.get_file(told.id, tmp_path / "bobs")
    assert (told.file.size, path.read_bytes()) == (size, noise(size))


async def test_an_upload_that_is_cut_goes_on(garden, cable, source, tmp_path):
    annes, bobs = garden
    data = noise(3 * MEBIBYTE)
    before = cable.carried[0]
    cable.up_left = MEBIBYTE + 70_000  # In the middle of a piece.
    await annes.send_file(source("big", data))
    assert cable.made > 2
    assert cable.carried[0] - before < len(data) + 2 * PIECE_BYTES_MAX + 100_000  # It did not begin again.
    told = await told_file(bobs)
    assert (await bobs.get_file(told.id, tmp_path / "bobs")).read_bytes() == data


async def test_a_download_that_is_cut_goes_on(garden, cable, source, tmp_path):
    annes, bobs = garden
    data = noise(3 * MEBIBYTE)
    await annes.send_file(source("big", data))
    told = await told_file(bobs)
    before, made = cable.carried[1], cable.made
    cable.down_left = MEBIBYTE + 70_000
    assert (await bobs.get_file(told.id, tmp_path / "bobs")).read_bytes() == data
    assert cable.made > made
    assert cable.carried[1] - before < len(data) + 2 * PIECE_BYTES_MAX + 100_000


async def test_both_ways_go_on_when_the_relay_starts_anew(garden, house, source, tmp_path):
    annes, bobs = garden
    data = noise(2 * MEBIBYTE)

    async def restart_after(work, news, *, up):
        task = asyncio.create_task(work)
        await heard(news, lambda notice: isinstance(notice, Progress) and notice.up == up and notice.done > 0)
        await house.close()
        house.open()
        return await task

    sent = await restart_after(annes.send_file(source("big", data)), annes.notices(), up=True)
    told = await told_file(bobs)
    assert told.id == sent.id
    path = await restart_after(bobs.get_file(told.id, tmp_path / "bobs"), bobs.notices(), up=False)
    assert path.read_bytes() == data


async def test_cancelling_pauses_both_ways(garden, cable, source, tmp_path):
    annes, bobs = garden
    data = noise(3 * MEBIBYTE)
    path = source("big", data)

    async def cancel_midway(work, news, *, up):
        task = asyncio.create_task(work)
        is_midway = lambda one: isinstance(one, Progress) and one.up == up and one.done > one.total // 2  # noqa: E731
        half = await heard(news, is_midway)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return half

    half = await cancel_midway(annes.send_file(path), annes.notices(), up=True)
    assert 0 < half.done < half.total
    (spooled,) = (annes.driver.spool._directory).iterdir()
    assert stat.S_IMODE(spooled.stat().st_mode) == 0o600
    before = cable.carried[0]
    await annes.send_file(path)
    assert cable.carried[0] - before < half.total - half.done + PIECE_BYTES_MAX
    assert left_in(spooled.parent) == []
    told = await told_file(bobs)
    await cancel_midway(bobs.get_file(told.id, tmp_path / "bobs"), bobs.notices(), up=False)
    (part,) = left_in(tmp_path / "bobs")
    assert part.startswith("big.")
    assert part.endswith(".chaton-part")
    before = cable.carried[1]
    assert (await bobs.get_file(told.id, tmp_path / "bobs")).read_bytes() == data
    assert cable.carried[1] - before < half.total // 2 + 2 * PIECE_BYTES_MAX
    assert left_in(tmp_path / "bobs") == ["big"]


async def test_a_client_that_is_closed_leaves_nothing_of_what_it_was_sending(house, town, source):
    async with town.client("ann") as ann:
        annes = await ann.create(house.address, "garden", nick="Ann")
        sending = asyncio.create_task(annes.send_file(source("big", noise(3 * MEBIBYTE))))
        await heard(annes.notices(), lambda notice: isinstance(notice, Progress) and notice.done > 0)
    with pytest.raises(Unreachable):
        await sending
    assert left_in(town.root / "ann" / "outgoing") == []


async def test_cancelling_while_it_is_sealed_leaves_nothing(tmp_path, source):
    spool, path = Spool(tmp_path), source("big", bytes(60 * MEBIBYTE))
    sealing = asyncio.create_task(spool.seal(path, 2**30))
    while not (tmp_path / "outgoing").exists() or not left_in(tmp_path / "outgoing"):  # noqa: ASYNC110 - a thread makes it
        await asyncio.sleep(0)
    sealing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sealing
    assert left_in(tmp_path / "outgoing") == []


def test_stopping_while_it_is_opened_keeps_what_came(tmp_path):
    sealer = Sealer(system_entropy)
    last, hashed = sealer.finish()
    with Incoming(tmp_path, File(BlobId.zero(), sealer.key, hashed, 0, "x", "")) as incoming:
        incoming.take_up(Stop())
        incoming.add(last)
        stop = Stop()
        stop.now()
        with pytest.raises(Stopped):
            incoming.finish(stop)
        assert left_in(tmp_path) == [f"x.{hashed.short}.chaton-part"]
        assert incoming.finish(Stop()) == tmp_path / "x"
    assert left_in(tmp_path) == ["x"]


async def test_one_file_is_fetched_once_at_a_time(garden, source, tmp_path):
    annes, bobs = garden
    await annes.send_file(source("x", noise(MEBIBYTE)))
    told = await told_file(bobs)
    both = await asyncio.gather(
        *(bobs.get_file(told.id, tmp_path / "bobs") for _ in range(2)),
        return_exceptions=True,
    )
    assert [str(one) for one in both if isinstance(one, UsageError)] == ["x is being fetched already"]
    assert left_in(tmp_path / "bobs") == ["x"]


async def test_what_arrives_is_the_file_as_it_was_sealed(garden, source, tmp_path):
    """A file that changes on its way, and after a pause, is not sent half old and half new."""
    annes, bobs = garden
    old, new = noise(2 * MEBIBYTE), noise(2 * MEBIBYTE)[::-1]
    path = source("log", old)
    news = annes.notices()
    sending = asyncio.create_task(annes.send_file(path))
    await heard(news, lambda notice: isinstance(notice, Progress))
    path.write_bytes(new)
    await sending
    told = await told_file(bobs)
    assert (await bobs.get_file(told.id, tmp_path / "bobs")).read_bytes() == old
    await annes.send_file(path)
    told = await told_file(bobs)
    assert (await bobs.get_file(told.id, tmp_path / "bobs")).read_bytes() == new


async def test_a_file_that_changed_during_a_pause_is_sealed_anew(tmp_path, source):
    spool, path = Spool(tmp_path), source("x", b"old text")
    first = await spool.seal(path, ATTACHMENT_BYTES_MAX)
    spool.pause(first)
    assert await spool.seal(path, ATTACHMENT_BYTES_MAX) is first
    spool.pause(first)
    path.write_bytes(b"new text")
    os.utime(path, ns=(0, 0))
    second = await spool.seal(path, ATTACHMENT_BYTES_MAX)
    assert second.key.reveal() != first.key.reveal()
    assert second.blob != first.blob
    spool.close()
    assert left_in(tmp_path / "outgoing") == [str(second.blob)]
    spool.pause(second)  # As when the client is closed while it is sent.
    assert left_in(tmp_path / "outgoing") == []


async def test_only_ciphertext_is_spooled_and_nothing_of_it_stays(garden, source, town):
    annes, _ = garden
    marker = b"a marker that nobody else writes" * 4
    sending = asyncio.create_task(annes.send_file(source("x", marker * 10_000)))
    await heard(annes.notices(), lambda notice: isinstance(notice, Progress))
    (spooled,) = (town.root / "ann" / "outgoing").iterdir()
    assert marker not in spooled.read_bytes()
    await sending
    assert left_in(town.root / "ann" / "outgoing") == []


async def test_the_relay_holds_neither_the_file_nor_its_name_nor_its_key(garden, town, house, source):
    annes, _ = garden
    marker = b"a marker that nobody else writes"
    sent = await annes.send_file(source("salaries.txt", marker * 10_000), "do not tell anybody")
    key = annes.room.timeline.file(sent.id).key.reveal()
    await town.stack.aclose()
    await house.close()  # What it knows is on its disk then.
    stored = b"".join(path.read_bytes() for path in house.data.rglob("*") if path.is_file())
    assert len(stored) > 10_000 * len(marker)
    for secret in (marker, b"salaries", key, b"do not tell"):
        assert secret not in stored


async def test_what_a_dead_process_left_is_swept(town):
    async with town.client("ann"):
        pass
    left = town.root / "ann" / "outgoing" / "left"
    left.parent.mkdir(exist_ok=True)
    left.write_bytes(b"x")
    async with town.client("ann"):
        assert not left.exists()


# --- names ---


@pytest.mark.parametrize(
    ("claimed", "saved"),
    [
        ("../../x", "x"),
        ("/etc/passwd", "passwd"),
        (".bashrc", "bashrc"),
        ("a\u202egpj.exe", "a_gpj.exe"),
        ("n" * 250 + ".txt", "n" * 196 + ".txt"),
        ("CON", "_CON"),
        ("", "attachment"),
        ("-rf", "rf"),
        ("..\\..\\evil.bat", "evil.bat"),
    ],
)
async def test_no_name_leads_anywhere_else(garden, source, tmp_path, claimed, saved):
    """Whatever a member's program writes into the message; ours would not."""
    annes, bobs = garden
    sealed = await annes.driver.spool.seal(source("x", b"text"), ATTACHMENT_BYTES_MAX)
    await _put(annes, sealed)
    await annes.send(File(sealed.blob, sealed.key, sealed.hash, sealed.size, claimed, ""))
    told = await told_file(bobs)
    assert told.file.name == saved
    path = await bobs.get_file(told.id, tmp_path / "bobs")
    assert path == tmp_path / "bobs" / saved
    assert path.read_bytes() == b"text"
    assert left_in(tmp_path / "bobs") == [saved]


async def _put(room, sealed) -> None:
    from chaton.client.attachments import _upload

    await _upload(room.driver, room.id, sealed)


async def test_nothing_is_written_over(garden, source, tmp_path, monkeypatch):
    monkeypatch.delattr(os, "link")  # As on a memory stick, which has no hard links.
    annes, bobs = garden
    target = tmp_path / "bobs"
    target.mkdir()
    (target / "x.txt").write_bytes(b"mine")
    (target / "x (1).txt").symlink_to(target / "nowhere")
    await annes.send_file(source("x.txt", b"hers"))
    path = await bobs.get_file((await told_file(bobs)).id, target)
    assert path == target / "x (2).txt"
    assert (target / "x.txt").read_bytes() == b"mine"
    assert not (target / "nowhere").exists()


async def test_a_link_in_the_part_files_place_is_not_followed(garden, source, tmp_path):
    annes, bobs = garden
    await annes.send_file(source("x", b"hers"))
    told = await told_file(bobs)
    precious = tmp_path / "precious"
    precious.write_bytes(b"mine")
    (tmp_path / "bobs").mkdir()
    short = bobs.room.timeline.file(told.id).hash.short
    (tmp_path / "bobs" / f"x.{short}.chaton-part").symlink_to(precious)
    with pytest.raises(Exception, match="no file can be saved"):
        await bobs.get_file(told.id, tmp_path / "bobs")
    assert precious.read_bytes() == b"mine"


async def test_something_else_in_the_part_files_place_is_not_used(garden, source, tmp_path):
    annes, bobs = garden
    await annes.send_file(source("x", b"hers"))
    told = await told_file(bobs)
    (tmp_path / "bobs").mkdir()
    os.mkfifo(tmp_path / "bobs" / f"x.{bobs.room.timeline.file(told.id).hash.short}.chaton-part")
    with pytest.raises(UsageError, match="is somebody else's"):
        await bobs.get_file(told.id, tmp_path / "bobs")


# --- lies ---


async def lie(room, sealed, **other) -> None:
    """A FILE message that says something else than what was put."""
    facts = {"blob": sealed.blob, "key": sealed.key, "hash": sealed.hash, "size": sealed.size, "name": "x", "text": ""}
    await room.send(File(**(facts | other)))


@pytest.mark.parametrize(
    "other",
    [
        {"hash": BlobHash(b"h" * 32)},
        {"key": FileKey(b"k" * 32)},
        {"size": 9},
        {"size": 11},
        {"size": 2**63},
        {"size": ATTACHMENT_BYTES_MAX + 1},
    ],
    ids=str,
)
async def test_a_message_that_lies_about_its_file_saves_nothing(garden, source, tmp_path, other):
    annes, bobs = garden
    sealed = await annes.driver.spool.seal(source("x", b"ten bytes."), ATTACHMENT_BYTES_MAX)
    await _put(annes, sealed)
    await lie(annes, sealed, **other)
    told = await told_file(bobs)
    with pytest.raises(Refused) as refusal:
        await bobs.get_file(told.id, tmp_path / "bobs")
    assert refusal.value.code == "bad-attachment"
    left = left_in(tmp_path / "bobs") if (tmp_path / "bobs").exists() else []
    assert "x" not in left
    assert not any(name.endswith("chaton-open") for name in left)


async def test_a_swapped_ciphertext_is_refused_and_the_right_one_is_taken_after_it(garden, house, source, tmp_path):
    """The relay gives another file of the same size; what it gave is not gone on from."""
    annes, bobs = garden
    await annes.send_file(source("x", noise(2 * PIECE_BYTES_MAX)))
    told = await told_file(bobs)
    file = bobs.room.timeline.file(told.id)
    told_to_bob = bobs.driver.take_in

    def swap(heard_frames):
        def swapped(frame):
            if not isinstance(frame, frames.BlobPiece) or frame.offset == 0:
                return frame
            return replace(frame, data=frame.data[:-1] + bytes([frame.data[-1] ^ 1]))

        return told_to_bob([swapped(frame) for frame in heard_frames])

    bobs.driver.take_in = swap
    with pytest.raises(Refused) as refusal:
        await bobs.get_file(told.id, tmp_path / "bobs")
    assert refusal.value.code == "bad-attachment"
    assert left_in(tmp_path / "bobs") == []
    bobs.driver.take_in = told_to_bob
    path = await bobs.get_file(told.id, tmp_path / "bobs")
    assert path.read_bytes() == noise(file.size)


async def test_a_part_that_cannot_be_of_this_file_is_not_used(garden, source, tmp_path):
    annes, bobs = garden
    data = noise(PIECE_BYTES_MAX)
    await annes.send_file(source("x", data))
    told = await told_file(bobs)
    file = bobs.room.timeline.file(told.id)
    (tmp_path / "bobs").mkdir()
    (tmp_path / "bobs" / f"x.{file.hash.short}.chaton-part").write_bytes(bytes(sealed_size(file.size) + 1))
    (tmp_path / "bobs" / "x.00000000.chaton-part").write_bytes(b"of another file")
    assert (await bobs.get_file(told.id, tmp_path / "bobs")).read_bytes() == data
    assert left_in(tmp_path / "bobs") == ["x", "x.00000000.chaton-part"]


# --- what cannot be ---


async def test_what_cannot_be_sent_is_said_before_it_is_read(garden, source, tmp_path):
    annes, _ = garden
    (tmp_path / "a directory").mkdir()
    os.mkfifo(tmp_path / "a pipe")
    huge = source("huge", b"")
    os.truncate(huge, ATTACHMENT_BYTES_MAX + 1)
    for path, sentence in (
        (tmp_path / "nowhere", "cannot be read: no such file"),
        (tmp_path / "a directory", "is a directory"),
        (tmp_path / "a pipe", "is a device, a pipe"),
        (Path("/dev/zero"), "is a device, a pipe"),
        (huge, "takes files of up to"),
        (Path("\0"), "cannot be read"),
    ):
        with pytest.raises(UsageError, match=sentence):
            await annes.send_file(path)
    with pytest.raises(UsageError, match="caption"):
        await annes.send_file(source("x", b"x"), "c" * (CAPTION_BYTES_MAX + 1))
    await annes.send_file(source("x", b"x"), "c" * CAPTION_BYTES_MAX)
    assert left_in(annes.driver.spool._directory) == []


async def test_the_relays_limit_is_said_before_anything_is_read(garden, source):
    annes, _ = garden
    annes.driver.session.arrival.blob_bytes_max = sealed_size(1_000)
    await annes.send_file(source("x", noise(1_000)))
    with pytest.raises(UsageError, match="takes files of up to"):
        await annes.send_file(source("y", noise(1_001)))
    annes.driver.session.arrival.blob_bytes_max = 0
    with pytest.raises(UsageError, match="takes no files"):
        await annes.send_file(source("x", b""))


async def test_a_relay_that_asks_to_wait_is_waited_for(house, town, source, tmp_path):
    await house.close()
    house.options = {"limits": Limits(identity=Rates(pieces=Rate(per_second=5, burst=2)))}
    house.open()
    ann = await town.person("ann")
    annes = await ann.create(house.address, "garden", nick="Ann")
    data = noise(4 * PIECE_BYTES_MAX)
    sent = await annes.send_file(source("x", data))
    path = await annes.get_file(sent.id, tmp_path / "here")
    assert path.read_bytes() == data


async def test_a_relay_that_asks_to_wait_for_hours_has_refused(garden, source):
    annes, _ = garden
    for number in range(8):
        begun = files.put(annes.room, BlobId(bytes([number]) * 32), 2 * PIECE_BYTES_MAX, 0, bytes(PIECE_BYTES_MAX))
        await annes.driver.run(begun)
    with pytest.raises(Refused) as refusal:
        await annes.send_file(source("x", b"x"))
    assert (refusal.value.code, refusal.value.retry_ms > 60_000) == ("limited", True)


@pytest.mark.parametrize(("times", "succeeds"), [(5, True), (6, False)])
async def test_a_relay_that_has_something_else_is_asked_what(garden, source, times, succeeds):
    """The answer to a piece is lost, and another one says that it does not fit."""
    annes, _ = garden
    hear, left = annes.driver.take_in, times

    def confuse(heard_frames):
        nonlocal left
        told = list(heard_frames)
        for place, frame in enumerate(told):
            if isinstance(frame, frames.BlobState) and frame.have and left:
                left -= 1
                told[place] = frames.Refused(frame.ref, "bad-offset", "", 0, [])
                annes.driver.take_in = hear
        return hear(told)

    news = annes.driver.tell

    def again(notice):
        if isinstance(notice, Progress):
            annes.driver.take_in = confuse
        news(notice)

    annes.driver.tell = again
    sending = annes.send_file(source("x", noise(8 * PIECE_BYTES_MAX)))
    if succeeds:
        await sending
    else:
        with pytest.raises(Refused, match=r"^$"):
            await sending
    assert left == 0


async def test_a_relay_without_space_refuses(house, town, source):
    await house.close()
    house.options = {"room_blob_bytes": 2**20}
    house.open()
    ann = await town.person("ann")
    annes = await ann.create(house.address, "garden", nick="Ann")
    await annes.send_file(source("x", noise(600_000)))
    with pytest.raises(Refused) as refusal:
        await annes.send_file(source("y", noise(600_000)))
    assert refusal.value.code == "blob-quota"
    assert left_in(annes.driver.spool._directory) == []


async def test_a_muted_member_is_told_before_the_upload(garden, source):
    annes, bobs = garden
    await annes.mute("bob")
    await bobs.driver.until(lambda: bobs.room.member.muted)
    with pytest.raises(Refused) as refusal:
        await bobs.send_file(source("x", b"x"))
    assert (refusal.value.code, "moderator" in refusal.value.hint) == ("muted", True)  # Our word, not the relay's.
    assert not (bobs.driver.spool._directory).exists()


async def test_what_carries_no_file(garden, source, tmp_path):
    annes, bobs = garden
    said = await annes.send("no file")
    sent = await annes.send_file(source("x", b"x"))
    told = await told_file(bobs)
    await annes.delete(sent.id)
    await bobs.driver.until(lambda: bobs.room.timeline.thread.lines[told.id].ended)
    for message in (said.id, sent.id):
        for room in (annes, bobs):
            with pytest.raises(Refused) as refusal:
                await room.get_file(message, tmp_path / "bobs")
            assert refusal.value.code == "no-file"
    await lie(annes, (await annes.driver.spool.seal(source("y", b"y"), 2**20)), blob=BlobId(b"b" * 32))
    with pytest.raises(Refused) as refusal:
        await bobs.get_file((await told_file(bobs)).id, tmp_path / "bobs")
    assert refusal.value.code == "no-blob"


async def test_a_directory_that_is_no_place(garden, source, tmp_path):
    annes, bobs = garden
    await annes.send_file(source("x", b"x"))
    told = await told_file(bobs)
    (tmp_path / "file").write_bytes(b"")
    for place in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/none")):
        with pytest.raises(Exception, match="no file can be saved in"):
            await bobs.get_file(told.id, place)


# --- requests ---


async def test_a_direct_message_with_a_file(garden, town, source, tmp_path):
    ann, bob = town.people["ann"], town.people["bob"]
    news = bob.notices()
    path = source("secret.txt", b"for you alone")
    sent = await ann.perform(ask.SendFile(room="garden", path=str(path), text="psst", to="bob"))
    told = await heard(news, lambda notice: isinstance(notice, Said) and notice.kind == "file")
    assert (str(told.id), told.to, told.text) == (sent.id, "Bob", "psst")
    target = tmp_path / "bobs" / "secret.txt"
    saved = await bob.perform(ask.GetFile(room="garden", re=sent.id[:8], directory=str(target.parent)))
    assert (saved.path, saved.size) == (str(target), 13)
    assert target.read_bytes() == b"for you alone"


async def test_requests_name_whole_paths(garden, town):
    ann = town.people["ann"]
    for request in (
        ask.SendFile(room="garden", path="x"),
        ask.SendFile(room="garden", path="~/x"),
        ask.GetFile(room="garden", re="0" * 64, directory="."),
    ):
        with pytest.raises(UsageError, match="is not a whole path"):
            await ann.perform(request)
