"""The relay's word and a client's about the same records: nothing may come between the two (§2).

Every record of refusals.json, offered by its own signer to the real hub, and told by the relay to a client.
"""

import json
from pathlib import Path

import pytest

from chaton.errors import InvalidLog
from chaton.identity.ids import Identity
from chaton.relay.hub.room import Room
from chaton.room.records import open_record
from chaton.room.transcript import History
from chaton.session.view import View
from chaton.wire import frames
from tests.relay.stage import Stage

REFUSALS = json.loads((Path(__file__).parent.parent / "vectors" / "refusals.json").read_text())
CASES = [case for case in REFUSALS["cases"] if case["after"]]


def log_of(case: dict) -> list[bytes]:
    return [bytes.fromhex(raw) for raw in REFUSALS["histories"][case["history"]][: case["after"]]]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_what_a_client_cannot_take_a_relay_does_not_take(case: dict) -> None:
    log, raw = log_of(case), bytes.fromhex(case["record"])
    records = [open_record(one) for one in log]
    stage = Stage()
    stage.memory.put_room(room := Room.of_genesis(records[0]))
    for record in records[1:]:
        room.add_record(record)
    session = stage.connect()
    session.identity = Identity(raw[72:104].ljust(32, b"\0"))  # Whoever the record says that it is from.
    head, s = room.state.head, room.history.s
    answer = stage.ask(session, frames.Submit, room.id, raw)
    # A record that is in the log already is answered as it was before: its first answer may have been lost.
    assert isinstance(answer, frames.Accepted if raw in log else frames.Refused)
    assert (room.state.head, room.history.s) == (head, s)
    view = View.of_log(records[0].actor, log, History.of_room(room.id), 0)
    with pytest.raises(InvalidLog):
        view.take_record(raw)
    assert view.state.head == head


@pytest.mark.parametrize("name", REFUSALS["histories"])
def test_what_a_relay_takes_a_client_takes_with_the_same_head(name: str) -> None:
    log = [bytes.fromhex(raw) for raw in REFUSALS["histories"][name]]
    records = [open_record(raw) for raw in log]
    stage = Stage()
    stage.memory.put_room(room := Room.of_genesis(records[0]))
    session = stage.connect()
    stage.now = 0  # No invite of the vectors has expired.
    for record in records[1:]:
        session.identity = record.actor
        assert isinstance(stage.ask(session, frames.Submit, room.id, record.raw), frames.Accepted)
    view = View.of_log(records[0].actor, log, History.of_room(room.id), 0)
    assert view.state == room.state
