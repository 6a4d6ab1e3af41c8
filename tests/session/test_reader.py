"""Opening messages and judging chain keys, against the vectors' sequences."""

import contextlib
import copy

import pytest

from chaton.errors import ProtocolError
from chaton.identity.ids import Identity, MessageId, RoomId
from chaton.room.envelope import message_id
from chaton.session.reader import Held, Opened, Outcome, Reader, Unopened
from chaton.session.view import View
from chaton.vault.chain import Grant
from tests.session.vectors import load, view_of

MESSAGES = load("message")
CHAINS = load("chain")
DIRECT = load("dm")


def told(outcome: Outcome) -> dict:
    match outcome:
        case Held():
            return {"held": True}
        case Unopened():
            return {"refused": outcome.reason}
        case Opened():
            facts = {"sender": str(outcome.sender), "plain": outcome.plain.hex(), "lost": outcome.lost}
            return facts | {"lost_before": outcome.lost_before, "stale": outcome.stale}


def accept(reader: Reader, step: dict, room: RoomId) -> tuple[str, list[Outcome]]:
    try:
        grant = Grant.decode(bytes.fromhex(step["body"]))
        early = sum(map(len, reader.early.values()))
        opened = reader.accept(room, Identity.from_hex(step["from"]), grant)
    except ProtocolError as refusal:
        return refusal.reason, []
    if opened is None:
        return ("early" if sum(map(len, reader.early.values())) > early else "known"), []
    return "accepted", opened


def play(reader: Reader, step: dict) -> None:
    view = reader.view
    before = copy.deepcopy(reader.chains)
    opened: list[Outcome] = []
    match step["do"]:
        case "message":
            raw = bytes.fromhex(step["bytes"])
            view.pass_message(message_id(raw))
            outcome = reader.receive(raw)
            assert told(outcome) == step["result"]
            if "refused" in step["result"]:
                assert repr(reader.chains) == repr(before)
        case "id":
            view.pass_message(MessageId.from_hex(step["id"]))
            reader.pruned += 1
        case "record":
            view.pass_record(bytes.fromhex(step["bytes"]))
            for grant in reader.ripe():
                with contextlib.suppress(ProtocolError):
                    opened += reader.accept(view.room, grant.statement.sender, grant) or []
        case "chain":
            result, opened = accept(reader, step, view.room)
            assert result == step["result"]
    expected = [{key: value for key, value in one.items() if key != "s"} for one in step.get("opened", [])]
    assert [told(outcome) for outcome in opened] == expected
    assert [outcome.s for outcome in opened] == [one["s"] for one in step.get("opened", [])]
    assert (view.history.s, str(view.history.last)) == (step["s"], step["t"])


@pytest.mark.parametrize("case", MESSAGES["receive"], ids=lambda case: case["name"])
def test_sequences(case: dict) -> None:
    reader = Reader(view_of(case["reader"], case["log"], case["s"], case["t"]))
    for step in case["steps"]:
        play(reader, step)


def test_direct_messages() -> None:
    case = DIRECT["receive"]
    reader = Reader(View.of_pair(Identity.from_hex(case["reader"]), Identity.from_hex(case["peer"])))
    assert str(reader.view.history.last) == case["t"]
    for step in case["steps"]:
        play(reader, step)


@pytest.mark.parametrize("case", CHAINS["accept"], ids=lambda case: case["name"])
def test_chain_keys(case: dict) -> None:
    view = view_of(case["reader"], CHAINS["log"][: case["log"]])
    reader = Reader(view)
    for body in case["before"]:
        raw = bytes.fromhex(body["body"] if isinstance(body, dict) else body)
        grant = Grant.decode(raw)
        reader.accept(view.room, grant.statement.sender, grant)
    before = copy.deepcopy(reader.chains)
    result, _ = accept(reader, case, view.room)
    assert result == case["result"]
    if result != "accepted":
        assert repr(reader.chains) == repr(before)
