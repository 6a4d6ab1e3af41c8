"""Opening messages and judging chain keys, against the vectors' sequences."""

import contextlib
import copy
import dataclasses

import pytest

from chaton.errors import ProtocolError
from chaton.identity.ids import BundleId, ChainId, Identity, MessageId, Pin, RoomId
from chaton.identity.statement import Seed
from chaton.room.envelope import message_id
from chaton.session.context import Context
from chaton.session.keyring import Keyring, Peers
from chaton.session.memory import RoomEntry
from chaton.session.reader import Held, Opened, Outcome, Reader, Unopened
from chaton.session.sender import Sender
from chaton.session.text import SafeText
from chaton.session.view import View
from chaton.vault.bundle import restore_bundle
from chaton.vault.chain import ChainStatement, Grant, SendChain
from chaton.vault.entropy import system_entropy
from chaton.vault.keys import BoxKey, ChainSecret, MlkemSeed
from chaton.vault.parcel import Need, open_parcel
from tests.session.vectors import load, view_of

MESSAGES = load("message")
CHAINS = load("chain")
DIRECT = load("dm")
PARCELS = load("parcel")


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


@pytest.mark.parametrize("case", CHAINS["audience"], ids=lambda case: f"after {case['log']} records")
def test_who_is_given_a_chain_key(case: dict) -> None:
    view = view_of(case["readers"][0], CHAINS["log"][: case["log"]])
    assert sorted(map(str, view.state.readers())) == sorted(case["readers"])


@pytest.mark.parametrize("case", CHAINS["need"], ids=lambda case: case["name"])
def test_who_is_answered(case: dict) -> None:
    """A NEED is answered to present readers, from a chain that the next send would use, once a minute."""
    log = CHAINS["log"][: case["log"]]
    me = Identity.from_hex(CHAINS["fields"]["sender"])
    view, asker = view_of(str(me), log), Identity.from_hex(case["from"])
    context = Context(Seed(b"s" * 32), system_entropy, lasting=True, now=case["now"])
    entry = RoomEntry(room=view.room, host="localhost", port=1, pin=Pin.zero())
    sender = Sender(
        context=context,
        keyring=Keyring(context, []),
        peers=Peers(context, [], lambda _: True),
        view=view,
        entry=entry,
        outbox=[],
        is_open=lambda: True,
        shown_name=lambda _: SafeText("somebody"),
    )
    if case["live"]:
        statement = ChainStatement.decode(bytes.fromhex(CHAINS["chn"]))
        statement = dataclasses.replace(statement, epoch=case["chain_epoch"])
        sender.chain = SendChain(statement, Seed(b"c" * 32), ChainSecret(b"k" * 32), case["now"])
        sender.chain.index = case["index"]
    if case["last"] is not None:
        sender.answered[asker] = case["last"]
    sender.need(asker, Need(ChainId(b"c" * 32), 0, BundleId.zero()))
    assert (sender.answered.get(asker) == case["now"]) is case["answer"]


def test_a_chain_key_of_somebody_who_is_no_member_is_dropped() -> None:
    """The one refusal of parcel.json that only a fold can judge."""
    case = next(case for case in PARCELS["refused"] if case["reason"] == "member")
    reader = PARCELS["reader"]
    own = restore_bundle(
        bytes.fromhex(reader["bundle"]),
        BoxKey(bytes.fromhex(reader["x25519_private"])),
        MlkemSeed(bytes.fromhex(reader["mlkem_seed"])),
    )
    parcel = open_parcel(bytes.fromhex(case["parcel"]), Identity.from_hex(reader["identity"]), own)
    assert str(parcel.sender) not in PARCELS["members"]
    view = view_of(reader["identity"], CHAINS["log"])
    assert view.room == parcel.room
    room_reader = Reader(view)
    with pytest.raises(ProtocolError) as refusal:
        room_reader.accept(parcel.room, parcel.sender, Grant.decode(parcel.body))
    assert refusal.value.reason == "sender"
    assert not room_reader.chains
    assert not room_reader.early
