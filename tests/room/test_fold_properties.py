"""Random and mutated logs: every fold of the same bytes ends the same, and a refused record changes nothing."""

import copy

from hypothesis import given, settings
from hypothesis import strategies as st

from chaton.errors import ProtocolError
from chaton.identity.ids import Head, Identity, Instance, InviteKey, MessageId, RoomId
from chaton.identity.statement import Seed
from chaton.room import fold
from chaton.room.records import (
    BODIES,
    Admit,
    AnyBody,
    Ban,
    Close,
    Genesis,
    Info,
    Invite,
    Join,
    Leave,
    Mute,
    Nick,
    Record,
    Redact,
    Remove,
    Role,
    SetRole,
    Uninvite,
    open_record,
    sign_record,
)
from chaton.room.state import RoomState

PEOPLE = [Seed(bytes([number]) * 32) for number in range(1, 7)]
KEYS = [Seed(bytes([100 + number]) * 32) for number in range(3)]


def genesis(*, approve: bool) -> Record:
    body = Genesis(Head(bytes(32)), int(approve), 5, b"name")
    return sign_record(body, seed=PEOPLE[0], room=RoomId.zero(), n=0, prev=Head.zero(), t=0)


def pick(data: st.DataObject, state: RoomState) -> tuple[AnyBody, Seed, Seed | None]:
    """Something that somebody tries; about half of it is allowed."""
    seats = [one.inst for one in (*state.members.values(), *state.pending.values())] or [Instance.zero()]
    inst = data.draw(st.sampled_from(seats))
    key = data.draw(st.sampled_from(KEYS))
    who = Identity(data.draw(st.sampled_from(PEOPLE)).public)
    bit, info = data.draw(st.integers(0, 1)), b"info"
    public = InviteKey(key.public)
    tries = [
        Invite(public, data.draw(st.integers(1, 3)), 0, data.draw(st.sampled_from([0, 0, 1, 2]))), Uninvite(public),
        Join(public, info), Join(public, info), Admit(inst), Leave(inst), Remove(inst, bit, info), Ban(who, bit),
        SetRole(inst, data.draw(st.integers(0, 3))), Info(info), Redact(MessageId(bytes(32))), Mute(inst, bit),
        Nick(info),
    ]  # fmt: skip
    body = data.draw(st.sampled_from(tries))
    if data.draw(st.integers(0, 40)) == 0:
        body = Close(RoomId.zero())
    actor = data.draw(st.sampled_from(PEOPLE))
    if isinstance(body, Invite | Uninvite) and data.draw(st.booleans()):
        actor = PEOPLE[0]
    return body, actor, key if isinstance(body, Join) else None


def check_invariants(state: RoomState) -> None:
    owners = [one for one in state.members.values() if one.role is Role.OWNER]
    assert len(owners) == 1
    assert owners[0].identity == state.owner
    assert len(state.members) + len(state.pending) <= state.max_members
    assert not set(state.members) & set(state.pending)
    assert not state.banned & (set(state.members) | set(state.pending))
    assert all(invite.uses_left > 0 for invite in state.invites.values())
    assert all(state.members[invite.creator].role >= Role.ADMIN for invite in state.invites.values())
    assert all(one.role is Role.MEMBER for one in state.members.values() if not one.reads)
    assert len(state.heads) == len(state.epochs) == state.n + 1
    assert state.epochs == sorted(state.epochs)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.booleans())
def test_random_logs(data: st.DataObject, approve: bool) -> None:
    first = genesis(approve=approve)
    relay, log = fold.found(first), [first.raw]
    for _ in range(data.draw(st.integers(1, 60))):
        body, actor, invite = pick(data, relay)
        record = sign_record(body, seed=actor, room=relay.room, n=relay.n + 1, prev=relay.head, t=1, invite=invite)
        before = copy.deepcopy(relay)
        try:
            fold.apply(relay, record)
        except ProtocolError:
            assert relay == before
            continue
        log.append(record.raw)
        check_invariants(relay)
    client = fold.found(open_record(log[0]))
    for raw in log[1:]:
        fold.apply(client, open_record(raw))
    assert client == relay


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_a_mutated_record_is_refused_and_changes_nothing(data: st.DataObject) -> None:
    state = fold.found(genesis(approve=False))
    body, actor, invite = pick(data, state)
    raw = sign_record(body, seed=actor, room=state.room, n=1, prev=state.head, t=1, invite=invite).raw
    at = data.draw(st.integers(0, len(raw) - 1))
    mutated = raw[:at] + bytes([raw[at] ^ data.draw(st.integers(1, 255))]) + raw[at + 1 :]
    before = copy.deepcopy(state)
    for broken in (mutated, raw[:-1], raw + b"\0", raw[:at]):
        try:
            fold.apply(state, open_record(broken))
        except ProtocolError:
            assert state == before
        else:
            raise AssertionError("a changed record was taken")


@given(st.binary(max_size=600))
def test_any_bytes_are_a_record_or_refused(raw: bytes) -> None:
    for candidate in (raw, b"CR\x01" + raw):
        try:
            record = Record.decode(candidate)
        except ProtocolError:
            continue
        assert record.raw == candidate
        assert record.body.encode() == candidate[114 : 114 + len(record.body.encode())]


@given(st.sampled_from(sorted(BODIES)), st.binary(max_size=200))
def test_any_body_reads_to_itself_or_is_refused(number: int, raw: bytes) -> None:
    try:
        body = BODIES[number].decode(raw)
    except ProtocolError:
        return
    assert body.encode() == raw
