"""A generator that repeats itself, as on a machine that was put back to an earlier state: what the relay is given."""

import pytest

from chaton.room.records import Record
from chaton.vault import entropy
from chaton.wire import frames

TEXTS = "first wording here", "other wording here"


@pytest.fixture
def repeating(trio, monkeypatch) -> None:
    monkeypatch.setattr(entropy, "random", bytes)  # Zeroes, as many as were asked for.


def mixed(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def heard(evil, kind: type) -> list:
    return [frame for _, frame in evil.heard if isinstance(frame, kind)]


async def test_two_nicks_have_two_keystreams(repeating, trio, evil) -> None:
    for text in TEXTS:
        await trio.ben.chat.nick(text)
    one, other = (Record.decode(submit.record).body.info[40:58] for submit in heard(evil, frames.Submit)[-2:])
    assert mixed(one, other) != mixed(*(text.encode() for text in TEXTS))


async def test_two_files_have_two_keystreams(repeating, trio, evil, tmp_path) -> None:
    for text in TEXTS:
        path = tmp_path / text
        path.write_text(text)
        await trio.ben.chat.send_file(path)
    one, other = (put.data[16:] for put in heard(evil, frames.Put))
    assert mixed(one, other) != mixed(*(text.encode() for text in TEXTS))


async def test_two_parcels_have_two_key_pairs(repeating, trio, evil) -> None:
    evil.heard.clear()
    for text in TEXTS:
        trio.ben.chat.room.sender.renew()
        await trio.ben.chat.send(text)
    parcels = [one.parcel for posted in heard(evil, frames.Parcels) for one in posted.parcels]
    assert len({parcel[35:67] for parcel in parcels}) == len(parcels) == 4
