"""The transcript against the vectors."""

import json
from pathlib import Path

from chaton.identity.ids import Head, MessageId, RoomId, Transcript
from chaton.room.transcript import History, next_transcript

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "transcript.json").read_text())
KINDS = {0: Head, 1: MessageId}


def test_every_event() -> None:
    history = History.of_room(RoomId.from_hex(VECTORS["room"]))
    assert str(history.last) == VECTORS["t0"]
    for event in VECTORS["events"]:
        assert str(history.add(KINDS[event["kind"]].from_hex(event["event"]))) == event["t"]
        assert history.s == event["s"]
    for event in VECTORS["events"]:
        assert str(history.at(event["s"])) == event["t"]
    assert history.at(history.s + 1) is None
    assert history.at(-1) is None


def test_a_large_step() -> None:
    step = VECTORS["step"]
    event = KINDS[step["kind"]].from_hex(step["event"])
    assert str(next_transcript(Transcript.from_hex(step["t"]), step["s"], event)) == step["next"]


def test_history_from_the_middle_holds_nothing_before() -> None:
    history = History(7, Transcript(b"t" * 32))
    history.add(MessageId(b"m" * 32))
    assert history.at(6) is None
    assert history.at(7) == b"t" * 32
    assert history.s == 8
