"""Create, Submit, Turn, Log: the rooms' logs."""

import pytest

from chaton.identity.ids import Instance, InviteKey, MessageId, RoomId
from chaton.limits import DAY_MS, TURN_MS
from chaton.relay.hub.effects import Gain, Hint, Pages, Part, Reply
from chaton.relay.hub.room import Room
from chaton.relay.store.base import BodyGone, BundleRow, EventRow
from chaton.room.envelope import message_id
from chaton.room.records import (
    Admit,
    Ban,
    Close,
    Info,
    Leave,
    Mute,
    Nick,
    Redact,
    Remove,
    SetRole,
    Uninvite,
)
from chaton.wire import frames
from tests.relay.play import NOW, Script, bundle, identity, seed, spoiled
from tests.relay.stage import Stage, effects, told

OWNER, ANN, BEN, CEM, KEY = seed(1), seed(2), seed(3), seed(4), seed(9)


def log_of(stage, session, room, after=-1):
    ref = next(stage.refs)
    decision = stage.play(session, frames.Log(ref, room, after))
    (pages,) = effects(decision, Pages)
    *told_pages, end = list(pages.frames)
    return told_pages, end


def test_create_by_owners_and_on_this_machine_only():
    stage = Stage(owners=frozenset([identity(ANN)]))
    assert stage.refusal(stage.login(OWNER, local=False), frames.Create, Script(OWNER).genesis.raw) == "no-right"
    stage.create(stage.login(ANN, local=False), Script(ANN))
    script = Script(OWNER)
    owner = stage.login(OWNER)
    stage.create(owner, script)
    (row,) = stage.decision.writes
    assert (row.s, row.kind, row.n, row.id, row.body) == (0, 0, 0, script.genesis.head, script.genesis.raw)
    stage.create(owner, script)
    assert not stage.decision.writes, "the same again is answered the same"


def test_create_wants_a_genesis_signed_by_who_asks():
    stage = Stage()
    owner = stage.login(OWNER)
    script = Script(OWNER)
    assert stage.refusal(owner, frames.Create, script.genesis.raw[:-1]) == "bad-record"
    assert stage.refusal(owner, frames.Create, spoiled(script.genesis.raw)) == "bad-record"
    assert stage.refusal(owner, frames.Create, Script(ANN).genesis.raw) == "not-allowed"
    assert stage.refusal(owner, frames.Create, script.sign(OWNER, Info(b"")).raw) == "bad-record"
    assert not stage.memory.rooms


def test_a_record_is_an_event_for_all():
    stage = Stage()
    script, (owner,) = stage.room(OWNER, KEY)
    record = script.sign(OWNER, Info(b"x"))
    decision = stage.submit(owner, script, record)
    assert decision.writes == [
        EventRow(script.room, 2, 0, 2, NOW, identity(OWNER), Instance(script.room), record.head, record.raw)
    ]
    (gain,) = effects(decision, Gain)
    assert gain.event == frames.Event(script.room, 2, NOW, 0, identity(OWNER), record.raw)
    answer = stage.ask(owner, frames.Submit, script.room, record.raw)
    assert (answer.s, answer.transcript) == (2, script.history.last)
    assert not stage.decision.writes, "the same again is answered the same"


def test_bad_records():
    stage = Stage()
    script, (owner, ann) = stage.room(OWNER, KEY, ANN)
    record = script.sign(OWNER, Info(b"x"))
    assert stage.refusal(owner, frames.Submit, script.room, record.raw[:-1]) == "bad-record"
    assert stage.refusal(owner, frames.Submit, script.room, spoiled(record.raw)) == "bad-record"
    assert stage.refusal(ann, frames.Submit, script.room, record.raw) == "not-allowed"
    other, _ = Stage().room(OWNER, KEY)
    assert stage.refusal(owner, frames.Submit, script.room, other.sign(OWNER, Info(b"")).raw) == "bad-record"
    assert stage.refusal(owner, frames.Submit, other.room, record.raw) == "no-room"
    assert stage.refusal(owner, frames.Submit, script.room, script.genesis.raw) == "bad-record"
    assert stage.refusal(ann, frames.Submit, script.room, script.sign(ANN, Info(b"")).raw) == "not-allowed"
    stranger = stage.login(BEN)
    assert stage.refusal(stranger, frames.Submit, script.room, script.sign(BEN, Info(b"")).raw) == "not-member"


def test_head_moved_comes_with_the_records_and_after_their_commit():
    stage = Stage()
    script, (owner,) = stage.room(OWNER, KEY)
    late = script.sign(OWNER, Info(b"late"))
    for n in range(300):
        stage.submit(owner, script, script.sign(OWNER, Info(n.to_bytes(2))))
    answer = stage.ask(owner, frames.Submit, script.room, late.raw)
    assert answer.code == "head-moved"
    assert answer.records == stage.memory.rooms[script.room].records[2:258]
    assert not stage.decision.now, "records may not be told before they are durable"


def test_head_moved_is_told_to_joiners_and_not_to_strangers():
    stage = Stage()
    script, (owner,) = stage.room(OWNER, KEY)
    join, stranger = script.join(ANN, KEY), script.join(ANN, seed(55))
    other = script.sign(BEN, Info(b""))
    stage.submit(owner, script, script.sign(OWNER, Info(b"")))
    ann, ben = stage.login(ANN), stage.login(BEN)
    assert len(stage.ask(ann, frames.Submit, script.room, join.raw).records) == 1
    assert stage.refusal(ann, frames.Submit, script.room, stranger.raw) == "bad-invite"
    assert stage.refusal(ben, frames.Submit, script.room, other.raw) == "not-member"
    ahead = Script(OWNER)
    ahead.state = script.state
    future = script.sign(OWNER, Info(b"1"))
    script.take(future)
    answer = stage.ask(owner, frames.Submit, script.room, script.sign(OWNER, Info(b"2")).raw)
    assert (answer.code, answer.records) == ("head-moved", [])


def test_joins_that_cannot_be():
    stage = Stage()
    script, (owner, ann) = stage.room(OWNER, KEY, ANN, max_members=3)
    ben = stage.login(BEN)
    assert stage.refusal(ann, frames.Submit, script.room, script.join(ANN, KEY).raw) == "not-allowed"
    assert stage.refusal(ben, frames.Submit, script.room, script.join(BEN, seed(50)).raw) == "bad-invite"
    stage.now += 11 * DAY_MS
    assert stage.refusal(ben, frames.Submit, script.room, script.join(BEN, KEY).raw) == "invite-expired"
    stage.now = NOW
    stage.submit(owner, script, script.sign(OWNER, Ban(identity(BEN), 1)))
    assert stage.refusal(ben, frames.Submit, script.room, script.join(BEN, KEY).raw) == "banned"
    cem = stage.login(CEM)
    stage.submit(cem, script, script.join(CEM, KEY))
    dan = stage.login(seed(5))
    assert stage.refusal(dan, frames.Submit, script.room, script.join(seed(5), KEY).raw) == "room-full"
    stage.submit(owner, script, script.sign(OWNER, Uninvite(InviteKey(KEY.public))))
    assert stage.refusal(dan, frames.Submit, script.room, script.join(seed(5), KEY).raw) == "bad-invite"
    stage.submit(owner, script, script.sign(OWNER, Close(RoomId.zero())))
    assert stage.refusal(dan, frames.Submit, script.room, script.join(seed(5), KEY).raw) == "closed"
    assert stage.refusal(owner, frames.Submit, script.room, script.sign(OWNER, Info(b"")).raw) == "closed"


def test_one_identity_is_in_so_many_rooms(monkeypatch):
    from chaton.relay.hub import log

    monkeypatch.setattr(log, "ROOMS_MAX", 1)
    stage = Stage()
    _, (owner,) = stage.room(OWNER, KEY)
    assert stage.refusal(owner, frames.Create, Script(OWNER).genesis.raw) == "limited"


def test_nick_and_leave_count_by_the_day_and_only_when_they_are_allowed():
    stage = Stage()
    script, (_, ann) = stage.room(OWNER, KEY, ANN)
    stage.submit(ann, script, script.sign(ANN, Nick(b"x")))
    stage.refusal(ann, frames.Submit, script.room, script.sign(ANN, Leave(Instance.zero())).raw)
    assert [kind for kind, _ in stage.meter.taken if kind in ("nick", "leave")] == ["nick"]
    stage.meter.waits = {"nick": 1000, "leave": 2000}
    for body, wait in ((Nick(b"y"), 1000), (Leave(script.inst(ANN)), 2000)):
        answer = stage.ask(ann, frames.Submit, script.room, script.sign(ANN, body).raw)
        assert (answer.code, answer.retry_ms) == ("limited", wait)
    assert stage.memory.rooms[script.room].state.n == script.state.n


def test_approval_hints_to_those_who_wait():
    stage = Stage()
    script, (owner, ann, ben) = stage.room(OWNER, KEY, ANN, BEN, approve=True)
    assert frames.LogMoved(script.room) in told(stage.decision, ann)
    inst = script.state.pending[identity(ANN)].inst
    decision = stage.submit(owner, script, script.sign(OWNER, Admit(inst)))
    assert told(decision, ann) == told(decision, ben) == [frames.LogMoved(script.room)]
    assert effects(decision, Hint) == [Hint(script.room, frames.Presence(script.room, identity(ANN), online=True))]
    inst = script.state.pending[identity(BEN)].inst
    decision = stage.submit(owner, script, script.sign(OWNER, Remove(inst, 0, b"")))
    assert told(decision, ben) == [frames.LogMoved(script.room)]
    assert not effects(decision, Part)


def test_who_is_put_out_is_told_then_parted_and_reads_the_log_up_to_that():
    stage = Stage()
    script, (owner, ann) = stage.room(OWNER, KEY, ANN)
    keys = bundle(ANN)
    stage.ask(ann, frames.Publish, keys.raw)
    decision = stage.submit(owner, script, script.sign(OWNER, Remove(script.inst(ANN), 0, b"")))
    order = [type(effect) for effect in decision.then]
    assert order.index(Gain) < order.index(Part)
    assert effects(decision, Part) == [Part(ann.id, script.room, put_out=True)]
    assert any(isinstance(write, BundleRow) and write.until for write in decision.writes)
    out_at, head = script.state.n, script.state.head
    stage.submit(owner, script, script.sign(OWNER, Info(b"after")))
    pages, end = log_of(stage, ann, script.room)
    assert end == frames.LogEnd(end.ref, out_at, head)
    assert len(pages[0].records) == out_at + 1
    assert stage.refusal(ann, frames.Follow, script.room, 0) == "not-member"
    stage.submit(owner, script, script.invite(seed(10)))
    stage.submit(ann, script, script.join(ANN, seed(10)))
    assert log_of(stage, ann, script.room)[1].n == script.state.n


def test_the_log_comes_in_pages():
    stage = Stage()
    script, (owner,) = stage.room(OWNER, KEY)
    for _ in range(600):
        stage.submit(owner, script, script.sign(OWNER, Info(bytes(1000))))
    pages, end = log_of(stage, owner, script.room, 3)
    assert [page.first for page in pages] == [4, 260, 516]
    assert [raw for page in pages for raw in page.records] == stage.memory.rooms[script.room].records[4:]
    assert (end.n, end.head) == (script.state.n, script.state.head)
    assert log_of(stage, owner, script.room, 2**32 - 1)[0] == []


def test_pages_are_bounded_in_bytes(monkeypatch):
    from chaton.relay.hub import log

    monkeypatch.setattr(log, "PAGE_BYTES_MAX", 3_000)
    stage = Stage()
    script, (owner,) = stage.room(OWNER, KEY)
    for _ in range(5):
        stage.submit(owner, script, script.sign(OWNER, Info(bytes(1000))))
    pages, _ = log_of(stage, owner, script.room)
    assert [len(page.records) for page in pages] == [4, 2, 1]


@pytest.mark.parametrize("out", [False, True])
def test_redact_drops_the_body_of_who_is_outranked(out):
    stage = Stage()
    script, (owner, ann, ben) = stage.room(OWNER, KEY, ANN, BEN)
    stage.submit(owner, script, script.sign(OWNER, SetRole(script.inst(BEN), 1)))
    stage.submit(owner, script, script.sign(OWNER, SetRole(script.inst(ANN), 1)))
    message = message_id(stage.send(ann, script))
    s = script.history.s
    if out:
        stage.submit(owner, script, script.sign(OWNER, Remove(script.inst(ANN), 0, b"")))
    decision = stage.submit(ben, script, script.sign(BEN, Redact(message)))
    gone = [write for write in decision.writes if isinstance(write, BodyGone)]
    assert gone == ([BodyGone(script.room, s)] if out else [])
    decision = stage.submit(owner, script, script.sign(OWNER, Redact(message)))
    assert BodyGone(script.room, s) in decision.writes


def test_redact_of_what_is_no_message_drops_nothing():
    stage = Stage()
    script, (owner,) = stage.room(OWNER, KEY)
    for name in (MessageId(script.state.head), MessageId(b"?" * 32)):
        decision = stage.submit(owner, script, script.sign(OWNER, Redact(name)))
        assert len(decision.writes) == 1


def test_turns_go_by_rank_then_by_arrival():
    stage = Stage()
    script, (owner, ann, ben) = stage.room(OWNER, KEY, ANN, BEN)
    joiner = stage.login(CEM)
    assert stage.refusal(joiner, frames.Turn, script.room) == "not-member"
    stage.peek(joiner, script.room, KEY)
    first = stage.ask(ann, frames.Turn, script.room)
    assert first == frames.YourTurn(first.ref, script.state.n, script.state.head)
    assert stage.refusal(ann, frames.Turn, script.room) == "turn-taken"
    for ref, session in ((1, joiner), (2, ben), (3, owner)):
        assert not stage.play(session, frames.Turn(ref, script.room)).then
    assert stage.hub.next_tick() == NOW + TURN_MS
    answer = stage.ask(owner, frames.Submit, script.room, script.sign(OWNER, Info(b"")).raw)
    assert (answer.code, answer.retry_ms) == ("turn-taken", TURN_MS)
    decision = stage.submit(ann, script, script.sign(ANN, Nick(b"")))
    assert told(decision, owner) == [frames.YourTurn(3, script.state.n, script.state.head)]
    assert told(stage.hub.gone(owner, NOW), ben)[0].ref == 2
    stage.now += TURN_MS
    assert told(stage.hub.tick(stage.now), joiner)[0].ref == 1
    stage.now += TURN_MS
    assert not stage.hub.tick(stage.now).then
    assert stage.hub.next_tick() is None


def test_a_refused_submit_ends_a_turn_and_the_unasked_one_loses_nothing():
    stage = Stage()
    script, (owner, ann) = stage.room(OWNER, KEY, ANN)
    stage.ask(ann, frames.Turn, script.room)
    assert not stage.play(owner, frames.Turn(5, script.room)).then
    decision = stage.play(ann, frames.Submit(6, script.room, b"?"))
    assert told(decision, owner) == [frames.YourTurn(5, script.state.n, script.state.head)]
    stage.submit(owner, script, script.sign(OWNER, Close(RoomId.zero())))
    assert stage.refusal(owner, frames.Turn, script.room) == "closed"


def test_a_muted_one_takes_no_nick():
    stage = Stage()
    script, (owner, ann) = stage.room(OWNER, KEY, ANN)
    stage.submit(owner, script, script.sign(OWNER, Mute(script.inst(ANN), 1)))
    assert stage.refusal(ann, frames.Submit, script.room, script.sign(ANN, Nick(b"")).raw) == "not-allowed"


def test_a_room_read_from_its_rows_is_the_same_room():
    stage = Stage()
    script, (owner, ann) = stage.room(OWNER, KEY, ANN)
    rows = []
    message = stage.send(ann, script)
    rows += stage.decision.writes
    stage.submit(owner, script, script.sign(OWNER, Remove(script.inst(ANN), 0, b"")))
    room = stage.memory.rooms[script.room]
    log = [
        EventRow(room.id, s, 0, n, NOW, identity(OWNER), Instance.zero(), room.state.heads[n], room.records[n])
        for n, s in enumerate(room.record_events)
    ]
    again = Room.of_rows(sorted([*log, *rows], key=lambda row: row.s))
    assert again.state == room.state
    assert again.history.last == room.history.last
    assert again.outs == room.outs
    assert again.find(message_id(message)) == 3
    assert again.author(3) == room.author(3)


def test_who_waits_takes_a_place_and_who_is_in_cannot_join():
    stage = Stage()
    script, (owner, ann) = stage.room(OWNER, KEY, ANN, approve=True, max_members=2)
    ben, unknown = stage.login(BEN), seed(50)
    assert stage.refusal(ben, frames.Submit, script.room, script.join(BEN, KEY).raw) == "room-full"
    # A new invite would help neither of them: that is what they are told, and not that this one is unknown.
    assert stage.refusal(ann, frames.Submit, script.room, script.join(ANN, unknown).raw) == "not-allowed"
    assert stage.refusal(owner, frames.Submit, script.room, script.join(OWNER, unknown).raw) == "not-allowed"


def test_a_joiner_is_in_so_many_rooms_too(monkeypatch):
    from chaton.relay.hub import log

    monkeypatch.setattr(log, "ROOMS_MAX", 1)
    stage = Stage()
    _, (_, ann) = stage.room(OWNER, KEY, ANN)
    script, _ = stage.room(BEN, KEY)
    assert stage.refusal(ann, frames.Submit, script.room, script.join(ANN, KEY).raw) == "limited"


def test_who_did_it_is_not_hinted_at_it():
    stage = Stage()
    script, _ = stage.room(OWNER, KEY)
    ann = stage.login(ANN)
    decision = stage.submit(ann, script, script.join(ANN, KEY))
    assert [type(frame) for frame in told(decision, ann)] == [frames.Accepted]
    assert effects(decision, Hint) == [Hint(script.room, frames.Presence(script.room, identity(ANN), online=True))]
    decision = stage.submit(ann, script, script.sign(ANN, Leave(script.inst(ANN))))
    assert [type(frame) for frame in told(decision, ann)] == [frames.Accepted]


def test_of_one_who_begins_to_wait_or_is_turned_away_nobody_hears():
    stage = Stage()
    script, (owner, _) = stage.room(OWNER, KEY, ANN, approve=True)
    assert not effects(stage.decision, Hint)
    inst = script.state.pending[identity(ANN)].inst
    assert not effects(stage.submit(owner, script, script.sign(OWNER, Remove(inst, 0, b""))), Hint)


def test_who_is_admitted_or_put_out_while_away_is_told_nothing():
    stage = Stage()
    script, (owner, ann) = stage.room(OWNER, KEY, ANN, approve=True)
    stage.hub.gone(ann, NOW)
    inst = script.state.pending[identity(ANN)].inst
    for body in (Admit(inst), Remove(inst, 0, b"")):
        decision = stage.submit(owner, script, script.sign(OWNER, body))
        assert [type(effect) for effect in decision.then] == [Reply, Gain]


def test_a_stranger_reads_no_log():
    stage = Stage()
    script, _ = stage.room(OWNER, KEY)
    assert stage.refusal(stage.login(ANN), frames.Log, script.room, -1) == "not-member"


def test_of_one_rank_who_asked_first_has_the_first_turn():
    stage = Stage()
    script, (_, ann, ben, cem) = stage.room(OWNER, KEY, ANN, BEN, CEM)
    for session in (ann, ben, cem):
        stage.play(session, frames.Turn(5, script.room))
    given = [effects(stage.hub.tick(NOW + n * TURN_MS), Reply)[0].session for n in (1, 2)]
    assert given == [ben.id, cem.id]


def test_a_turn_that_is_over_stands_in_nobodys_way():
    stage = Stage()
    script, (owner, ann) = stage.room(OWNER, KEY, ANN)
    stage.ask(ann, frames.Turn, script.room)
    stage.now += TURN_MS + 500
    stage.submit(owner, script, script.sign(OWNER, Info(b"")))


def test_the_next_tick_is_that_of_the_turn_that_ends_first():
    stage = Stage()
    script, (owner,) = stage.room(OWNER, KEY)
    other = Script(OWNER)
    stage.create(owner, other)
    for room in (script.room, other.room):
        stage.ask(owner, frames.Turn, room)
        stage.now += 500
    assert stage.hub.next_tick() == NOW + TURN_MS
    stage.hub.tick(NOW + TURN_MS)
    assert stage.hub.next_tick() == NOW + 500 + TURN_MS
