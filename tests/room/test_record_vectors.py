"""Records and the fold against the test vectors of an independent implementation."""

import copy
import dataclasses
import json
from pathlib import Path

import pytest

from chaton.errors import ProtocolError
from chaton.identity.ids import Head, RoomId
from chaton.identity.statement import Seed
from chaton.room import fold
from chaton.room.records import BODIES, Info, Record, open_record, sign_record
from chaton.room.state import Member, RoomState

VECTORS = Path(__file__).parent.parent / "vectors"
RECORDS = json.loads((VECTORS / "records.json").read_text())
REFUSALS = json.loads((VECTORS / "refusals.json").read_text())


def folded(records: list[str]) -> RoomState:
    first, *others = (open_record(bytes.fromhex(raw)) for raw in records)
    state = fold.found(first)
    for record in others:
        fold.apply(state, record)
    return state


def take(state: RoomState | None, raw: bytes) -> None:
    record = open_record(raw)
    if state is None:
        fold.found(record)
    else:
        fold.apply(state, record)


def member_facts(member: Member) -> dict:
    return {
        "identity": str(member.identity),
        "inst": str(member.inst),
        "role": int(member.role),
        "muted": member.muted,
        "guest": member.guest,
        "post_only": not member.reads,
        "invite": str(member.invite),
        "nick": member.nick.hex(),
    }


def facts(state: RoomState) -> dict:
    """The whole state in the form of the vectors, every list sorted as they are."""
    return {
        "n": state.n,
        "head": str(state.head),
        "epoch": state.epoch,
        "closed": state.closed,
        "members": [member_facts(state.members[who]) for who in sorted(state.members)],
        "pending": [member_facts(state.pending[who]) for who in sorted(state.pending)],
        "invites": [
            {
                "key": str(key),
                "uses_left": state.invites[key].uses_left,
                "creator": str(state.invites[key].creator),
                "flags": int(state.invites[key].flags),
            }
            for key in sorted(state.invites)
        ],
        "banned": [str(identity) for identity in sorted(state.banned)],
    }


@pytest.mark.parametrize("case", RECORDS["single"], ids=lambda case: case["name"])
def test_single_records_byte_for_byte(case: dict) -> None:
    kind = BODIES[case["type"]]
    names = [field.name for field in dataclasses.fields(kind)]
    given = list(case["fields"].values())
    values = {}
    for name, value, field in zip(names, given, kind.LAYOUT, strict=True):
        raw = bytes.fromhex(value) if isinstance(value, str) else value
        values[name] = field.kind(raw) if hasattr(field, "kind") else raw
    invite = Seed(bytes.fromhex(case["invite_seed"])) if "invite_seed" in case else None
    record = sign_record(
        kind(**values),
        seed=Seed(bytes.fromhex(case["actor_seed"])),
        room=RoomId.from_hex(case["room"]),
        n=case["n"],
        prev=Head.from_hex(case["prev"]),
        t=case["t"],
        invite=invite,
    )
    assert record.raw.hex() == case["bytes"]
    assert str(record.head) == case["head"]
    decoded = Record.decode(record.raw)
    assert decoded == record
    assert decoded.body.encode() == record.body.encode()


@pytest.mark.parametrize("name", RECORDS["histories"])
def test_histories_state_after_each_record(name: str) -> None:
    steps = RECORDS["histories"][name]
    state = fold.found(open_record(bytes.fromhex(steps[0]["bytes"])))
    for step in steps:
        if step is not steps[0]:
            fold.apply(state, open_record(bytes.fromhex(step["bytes"])))
        assert facts(state) == step["state"], step["note"]


@pytest.mark.parametrize("case", REFUSALS["cases"], ids=lambda case: case["name"])
def test_refused_records_change_nothing(case: dict) -> None:
    records = REFUSALS["histories"][case["history"]][: case["after"]]
    state = folded(records) if records else None
    before = copy.deepcopy(state)
    with pytest.raises(ProtocolError) as refusal:
        take(state, bytes.fromhex(case["record"]))
    assert refusal.value.reason == case["reason"], str(refusal.value)
    assert state == before


@pytest.fixture(scope="module")
def full_log() -> RoomState:
    """The log that ends at its last record but one, signed here: signatures are deterministic."""
    full = RECORDS["full"]
    seed = Seed(bytes.fromhex(full["seed"]))
    state = fold.found(open_record(bytes.fromhex(full["genesis"])))
    for n in range(1, 10_000):
        body = Info(n.to_bytes(4))
        fold.apply(state, sign_record(body, seed=seed, room=state.room, n=n, prev=state.head, t=n))
    return state


def test_full_log(full_log: RoomState) -> None:
    full = RECORDS["full"]
    for step in full["heads"]:
        assert str(full_log.head_at(step["n"])) == step["head"]
    state = copy.deepcopy(full_log)
    fold.apply(state, open_record(bytes.fromhex(full["close"])))
    assert str(state.head) == full["head"]


@pytest.mark.parametrize("case", RECORDS["full"]["refused"], ids=lambda case: case["name"])
def test_full_log_refusals(full_log: RoomState, case: dict) -> None:
    state = copy.deepcopy(full_log)
    if case["after"] > state.n + 1:
        fold.apply(state, open_record(bytes.fromhex(RECORDS["full"]["close"])))
    before = copy.deepcopy(state)
    with pytest.raises(ProtocolError) as refusal:
        fold.apply(state, open_record(bytes.fromhex(case["record"])))
    assert refusal.value.reason == case["reason"]
    assert state == before
