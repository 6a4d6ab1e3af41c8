"""A disk that says no, and what the hub makes of damage: nothing is promised that was not written."""

import dataclasses

import pytest
from msgspec.structs import replace

from chaton.errors import StoreError
from chaton.identity.ids import Head, Instance, MessageId
from chaton.identity.safety import direct_room
from chaton.limits import BUNDLE_OF_STRANGER_MS, TURN_MS
from chaton.relay.hub import log
from chaton.relay.hub.decide import RETRY_AFTER_FAILURE_MS
from chaton.relay.hub.effects import Close, Decision, Fetch, Hint, Pages, PushWaiting, Reply
from chaton.relay.hub.room import Room, Standing
from chaton.relay.store.base import BundleRow, DirectRow, EventRow
from chaton.room.envelope import message_id
from chaton.room.records import Leave, Nick, sign_record
from chaton.wire import frames
from chaton.wire.frames import KIND_MESSAGE
from tests.relay.play import NOW, bundle, identity, login_answer, message, parcel, seed
from tests.relay.stage import PIN, Stage, effects, told

OWNER, ANN, BEN, KEY = seed(1), seed(2), seed(3), seed(9)


def refused(decision: Decision) -> list[tuple[int, int, str, int]]:
    replies = [effect for effect in decision.now if isinstance(effect, Reply)]
    return [(one.session, one.frame.ref, one.frame.code, one.frame.retry_ms) for one in replies]


def test_while_memory_is_read_again_all_but_ping_is_refused():
    stage = Stage()
    script, (owner, ann) = stage.room(OWNER, KEY, ANN)
    owner_waits = next(stage.refs)
    stage.play(ann, frames.Turn(next(stage.refs), script.room))
    stage.play(owner, frames.Turn(owner_waits, script.room))
    decision = stage.hub.suspend()
    assert refused(decision) == [(owner.id, owner_waits, "store-failed", RETRY_AFTER_FAILURE_MS)], "Ann has hers"
    assert not decision.then
    assert stage.hub.next_tick() is None
    assert stage.refusal(ann, frames.Turn, script.room) == "store-failed"
    assert stage.ask(ann, frames.Ping) == frames.Pong(stage.ask(ann, frames.Ping).ref - 1)
    assert stage.hub.tick(NOW) == Decision()
    stage.hub.suspended = False
    assert not told(stage.play(ann, frames.Submit(9, script.room, b"")), owner), "nobody waits any more"
    stage.play(owner, frames.Turn(7, script.room))
    assert stage.hub.next_tick() is not None, "the one who held the turn before holds it no more"
    stage.hub.suspended = True
    assert not effects(stage.hub.gone(owner, NOW), Reply)


def test_who_goes_while_memory_is_read_again_is_gone():
    stage = Stage()
    script, (_, ann) = stage.room(OWNER, KEY, ANN)
    stage.hub.suspend()
    decision = stage.hub.gone(ann, NOW)
    assert decision.then == [Hint(script.room, frames.Presence(script.room, identity(ANN), online=False))]
    assert not decision.now


def test_a_login_while_memory_is_read_again_is_refused_and_may_come_again():
    stage = Stage()
    session = stage.connect()
    stage.hub.suspend()
    answer = frames.Login(login_answer(ANN, PIN, session.nonce))
    assert refused(stage.play(session, answer)) == [(session.id, 0, "store-failed", RETRY_AFTER_FAILURE_MS)]
    assert session.identity is None
    stage.hub.suspended = False
    assert isinstance(told(stage.play(session, answer), session)[0], frames.LoggedIn)


def test_a_lost_message_is_refused_and_so_is_what_followed_it():
    stage = Stage()
    script, (_, ann) = stage.room(OWNER, KEY, ANN)
    first = script.message()
    second = first[:67] + (1).to_bytes(2) + first[69:]
    decision = stage.play(ann, frames.Send(7, script.room, first))
    assert refused(stage.hub.failed(decision)) == [(ann.id, 7, "store-failed", RETRY_AFTER_FAILURE_MS)]
    answer = stage.ask(ann, frames.Send, script.room, second)
    assert (answer.code, answer.retry_ms) == ("store-failed", RETRY_AFTER_FAILURE_MS)


def test_a_lost_message_of_an_older_connection_holds_up_nothing_on_the_next():
    stage = Stage()
    script, (_, ann) = stage.room(OWNER, KEY, ANN)
    decision = stage.play(ann, frames.Send(7, script.room, script.message()))
    stage.hub.gone(ann, NOW)
    again = stage.login(ANN)
    stage.hub.failed(decision)
    assert not again.refused


def test_a_refusal_is_lost_with_what_it_rests_on():
    """Found by the simulation: who had not left after all was told to be no member, and everybody missed a message."""
    stage = Stage()
    script, (_, ann) = stage.room(OWNER, KEY, ANN)
    before = rows_of(stage, script)
    leaving = stage.play(ann, frames.Submit(7, script.room, script.sign(ANN, Leave(script.inst(ANN))).raw))
    first = script.message()
    second = first[:67] + (1).to_bytes(2) + first[69:]
    sent = stage.play(ann, frames.Send(8, script.room, first))
    assert not sent.now
    assert [frame.code for frame in told(sent, ann)] == ["not-member"]
    lost = [answer for decision in (leaving, sent) for answer in refused(stage.hub.failed(decision))]
    assert [(ref, code) for _, ref, code, _ in lost] == [(7, "store-failed"), (8, "store-failed")]
    stage.memory.put_room(Room.of_rows(before))
    assert stage.refusal(ann, frames.Send, script.room, second) == "store-failed", "the first one is missing"
    assert isinstance(stage.ask(ann, frames.Send, script.room, first), frames.Accepted)


def test_a_message_that_is_refused_while_its_sender_seems_to_be_out_holds_up_its_chain():
    stage = Stage()
    script, (_, ann) = stage.room(OWNER, KEY, ANN)
    before = rows_of(stage, script)
    stage.play(ann, frames.Submit(7, script.room, script.sign(ANN, Leave(script.inst(ANN))).raw))
    stage.hub.suspend()
    first = script.message()
    assert stage.refusal(ann, frames.Send, script.room, first) == "store-failed"
    stage.memory.put_room(Room.of_rows(before))
    stage.hub.suspended = False
    second = first[:67] + (1).to_bytes(2) + first[69:]
    assert stage.refusal(ann, frames.Send, script.room, second) == "store-failed"


def test_a_lost_record_is_no_refused_message():
    stage = Stage()
    script, (_, ann) = stage.room(OWNER, KEY, ANN)
    decision = stage.play(ann, frames.Submit(7, script.room, script.sign(ANN, Nick(b"n")).raw))
    told_instead = stage.hub.failed(decision)
    assert refused(told_instead) == [(ann.id, 7, "store-failed", RETRY_AFTER_FAILURE_MS)]
    assert not ann.refused
    assert not told_instead.then
    assert not told_instead.writes


def test_a_turn_that_was_given_with_what_was_lost_is_taken_back():
    stage = Stage()
    script, (owner, ann) = stage.room(OWNER, KEY, ANN)
    stage.play(ann, frames.Turn(5, script.room))
    stage.play(owner, frames.Turn(6, script.room))
    decision = stage.play(ann, frames.Submit(7, script.room, script.sign(ANN, Nick(b"n")).raw))
    assert any(isinstance(frame, frames.YourTurn) for frame in told(decision, owner))
    assert [(session, ref) for session, ref, *_ in refused(stage.hub.failed(decision))] == [(owner.id, 6), (ann.id, 7)]


def test_a_lost_login_ends_its_connection_and_hints_are_told_all_the_same():
    stage = Stage()
    stage.room(OWNER, KEY, ANN)
    stage.hub.gone(stage.memory.online[identity(ANN)], NOW)
    again = stage.connect()
    decision = stage.play(again, frames.Login(login_answer(ANN, PIN, again.nonce)))
    told_instead = stage.hub.failed(decision)
    assert effects(decision, PushWaiting)
    assert effects(told_instead, Hint) == effects(decision, Hint) != []
    assert told_instead.now[-1] == Close(again.id, None)
    assert refused(told_instead) == [(again.id, 0, "store-failed", RETRY_AFTER_FAILURE_MS)]


def test_what_nobody_asked_for_is_answered_to_nobody():
    stage = Stage()
    assert stage.hub.failed(Decision()) == Decision()


# --- damage ---


def rows_of(stage: Stage, script) -> list[EventRow]:
    room = stage.memory.rooms[script.room]
    inst = Instance.zero()
    return [
        EventRow(room.id, s, 0, s, NOW, identity(OWNER), inst, Head(bytes(32)), raw)
        for s, raw in enumerate(room.records)
    ]


def damaged_rows(rows: list[EventRow]) -> list[list[EventRow]]:
    return [
        [],
        rows[1:],
        rows[:1] + rows[2:],
        [rows[0], replace(rows[1], s=2)],
        [rows[0], replace(rows[1], body=rows[1].body[:-1])],
        [replace(rows[0], body=b"")],
    ]


@pytest.mark.parametrize("case", range(6))
def test_rows_that_are_no_history_are_an_error_of_the_store(case):
    stage = Stage()
    script, _ = stage.room(OWNER, KEY, ANN)
    rows = rows_of(stage, script)
    assert Room.of_rows(rows).state == script.state
    with pytest.raises(StoreError) as caught:
        Room.of_rows(damaged_rows(rows)[case])
    assert "backup" in caught.value.hint


def test_a_direct_room_has_no_record_in_the_store_either():
    stage = Stage()
    script, _ = stage.room(OWNER, KEY, ANN)
    one, other = identity(OWNER), identity(ANN)
    pair = DirectRow(direct_room(one, other), one, other)
    assert Room.of_rows([], pair).standing(one) is Standing.SEATED
    with pytest.raises(StoreError):
        Room.of_rows(rows_of(stage, script)[1:], pair)


def test_a_damaged_bundle_is_left_out():
    stage = Stage()
    good, bad = bundle(OWNER), bundle(ANN)
    rows = [BundleRow(one.identity, one.id, one.raw, one.counter, 0) for one in (bad, good)]
    stage.memory.put_bundles([dataclasses.replace(rows[0], raw=bad.raw[:-1] + bytes([bad.raw[-1] ^ 1])), rows[1]])
    assert stage.memory.keys(identity(ANN), NOW) is None
    assert stage.memory.keys(identity(OWNER), NOW).row == rows[1]


# --- what is no message, no record, nobody's ---


def test_a_message_that_is_none_is_refused_and_leaves_no_trace():
    stage = Stage()
    script, (_, ann) = stage.room(OWNER, KEY, ANN)
    assert stage.refusal(ann, frames.Send, script.room, b"no message") == "format"
    other = message(script.state, 0, script.history.last)
    assert stage.refusal(ann, frames.Send, script.room, b"CM\x01" + bytes(32) + other[35:]) == "format"
    assert not ann.refused, "a room that is not there keeps no list of what was refused"


def test_a_record_for_a_direct_room_is_refused_whatever_its_number():
    """Found by fuzzing: number 0 was looked up in a log that has no records."""
    stage = Stage()
    _, (owner, _) = stage.room(OWNER, KEY, ANN)
    stage.ask(owner, frames.Direct, identity(ANN))
    room = direct_room(identity(OWNER), identity(ANN))
    for n in (0, 1, 2):
        body = Leave(Instance.zero())
        raw = sign_record(body, seed=OWNER, room=room, n=n, prev=Head(room if n else bytes(32)), t=NOW).raw
        assert stage.refusal(owner, frames.Submit, room, raw) == "no-room"


def test_a_parcel_for_somebody_offline_waits_and_is_pushed_to_nobody():
    stage = Stage()
    script, (owner, ann) = stage.room(OWNER, KEY, ANN)
    keys = bundle(ANN)
    stage.ask(ann, frames.Publish, keys.raw)
    stage.hub.gone(ann, NOW)
    stored = stage.ask(owner, frames.Parcels, script.room, [frames.ParcelTo(identity(ANN), parcel(keys))])
    assert (stored.stale, stored.absent) == ([], [])
    assert len(stage.decision.then) == 1
    assert len(stage.memory.mailboxes[identity(ANN)]) == 1


def test_of_one_who_waits_to_be_let_in_nobody_hears():
    stage = Stage()
    _, (_, ann) = stage.room(OWNER, KEY, ANN, approve=True)
    assert not effects(stage.hub.gone(ann, NOW), Hint)


def test_two_messages_of_one_have_one_author():
    stage = Stage()
    script, (_, ann) = stage.room(OWNER, KEY, ANN)
    for _ in range(2):
        stage.send(ann, script)
    room = stage.memory.rooms[script.room]
    assert room.author(3) is room.author(4) is not None
    assert room.author(4).identity == identity(ANN)
    assert room.author(2) is None


def test_a_direct_room_with_somebody_offline_is_announced_when_they_come():
    stage = Stage()
    _, (owner, ann) = stage.room(OWNER, KEY, ANN)
    stage.hub.gone(ann, NOW)
    stage.ask(owner, frames.Direct, identity(ANN))
    assert {effect.session for effect in stage.decision.then} == {owner.id}
    again = stage.connect()
    logged_in, *_ = told(stage.play(again, frames.Login(login_answer(ANN, PIN, again.nonce))), again)
    room = direct_room(identity(OWNER), identity(ANN))
    assert logged_in.directs == [frames.DirectSummary(room, identity(OWNER), 0)]


def test_what_was_refused_behind_a_message_is_refused_until_that_one_is_there():
    stage = Stage()
    script, (_, ann) = stage.room(OWNER, KEY, ANN)
    chain = script.message()[35:67]

    def at(index: int) -> bytes:
        raw = script.message()
        return raw[:35] + chain + index.to_bytes(2) + raw[69:]

    stage.meter.waits["messages"] = 50
    assert stage.refusal(ann, frames.Send, script.room, at(3)) == "limited"
    stage.meter.waits.clear()
    assert stage.refusal(ann, frames.Send, script.room, at(4)) == "limited"
    assert stage.refusal(ann, frames.Send, script.room, at(6)) == "limited"
    assert ann.refused[script.room].last == 6
    taken = stage.ask(ann, frames.Send, script.room, at(3))
    assert taken.s == script.history.s + 1
    assert ann.refused[script.room].first == 4
    row = stage.decision.writes[0]
    assert row.kind == KIND_MESSAGE
    script.history.add(row.id)
    assert stage.refusal(ann, frames.Send, script.room, at(5)) == "limited"
    for index in (4, 5):
        assert isinstance(stage.ask(ann, frames.Send, script.room, at(index)), frames.Accepted)
        script.history.add(stage.decision.writes[0].id)


def test_the_message_of_another_member_is_nobody_elses():
    stage = Stage()
    script, (owner, ann) = stage.room(OWNER, KEY, ANN)
    envelope = stage.send(ann, script)
    assert stage.refusal(owner, frames.Send, script.room, envelope) == "format"
    assert stage.memory.rooms[script.room].history.s == script.history.s
    again = stage.ask(ann, frames.Send, script.room, envelope)
    assert (again.s, again.transcript) == (script.history.s, script.history.last)


def test_a_room_that_is_read_again_takes_its_own_place():
    stage = Stage()
    script, (owner, _) = stage.room(OWNER, KEY, ANN)
    stage.ask(owner, frames.Direct, identity(ANN))
    stage.play(owner, frames.Turn(5, script.room))
    memory = stage.memory
    direct = direct_room(identity(OWNER), identity(ANN))
    for room in (script.room, direct):
        memory.put_room(memory.rooms[room])
    assert not memory.turning
    assert memory.rooms_of[identity(ANN)] == {script.room}
    assert memory.directs_of[identity(ANN)] == {direct: identity(OWNER)}
    for room in (script.room, direct, script.room):
        memory.drop_room(room)
    assert not memory.rooms
    assert not memory.belongs(identity(ANN))
    assert not memory.belongs(identity(OWNER))


def test_a_page_is_full_to_the_last_byte(monkeypatch):
    stage = Stage()
    script, (owner, _) = stage.room(OWNER, KEY, ANN)
    sizes = [len(raw) for raw in stage.memory.rooms[script.room].records]
    for limit, first in ((sizes[0] + sizes[1], 2), (sizes[0] + sizes[1] - 1, 1), (1, 1)):
        monkeypatch.setattr(log, "PAGE_BYTES_MAX", limit)
        (told_pages,) = effects(stage.play(owner, frames.Log(7, script.room, -1)), Pages)
        *pages, end = told_pages.frames
        assert (len(pages[0].records), pages[1].first) == (first, first)
        assert [raw for page in pages for raw in page.records] == stage.memory.rooms[script.room].records
        assert (end.n, end.head) == (2, script.state.head)


def test_a_bundle_is_given_out_until_the_moment_it_expires():
    stage = Stage()
    script, (_, ann) = stage.room(OWNER, KEY, ANN)
    keys = bundle(ANN)
    stage.ask(ann, frames.Publish, keys.raw)
    assert stage.memory.keys(identity(ANN), keys.expires - 1).row.raw == keys.raw
    assert stage.memory.keys(identity(ANN), keys.expires) is None
    stranger = stage.login(BEN)
    stage.ask(stranger, frames.Publish, bundle(BEN).raw)
    until = NOW + BUNDLE_OF_STRANGER_MS
    assert stage.memory.keys(identity(BEN), until - 1) is not None
    assert stage.memory.keys(identity(BEN), until) is None
    stage.memory.forget_strangers(until - 1)
    assert identity(BEN) in stage.memory.bundles
    stage.memory.forget_strangers(until)
    assert identity(BEN) not in stage.memory.bundles
    assert script.room in stage.memory.rooms


def test_who_lets_a_turn_pass_may_ask_for_another():
    stage = Stage()
    script, (_, ann) = stage.room(OWNER, KEY, ANN)
    first = stage.ask(ann, frames.Turn, script.room)
    assert isinstance(first, frames.YourTurn)
    stage.now += TURN_MS - 1
    assert stage.refusal(ann, frames.Turn, script.room) == "turn-taken"
    stage.now += 1
    assert isinstance(stage.ask(ann, frames.Turn, script.room), frames.YourTurn)


def test_what_follows_a_message_that_is_refused_again_waits_as_long_as_that():
    stage = Stage()
    script, (_, ann) = stage.room(OWNER, KEY, ANN)
    first = script.message()
    second = first[:67] + (1).to_bytes(2) + first[69:]
    for wait in (50, 90):
        stage.meter.waits["messages"] = wait
        assert stage.ask(ann, frames.Send, script.room, first).retry_ms == wait
    stage.meter.waits.clear()
    assert stage.ask(ann, frames.Send, script.room, second).retry_ms == 90


def test_tokens_begin_at_the_time_of_the_start_and_grow():
    memory = Stage().memory
    assert [memory.token() for _ in range(3)] == [NOW * 4_096 + n for n in range(3)]


def test_every_event_is_found_by_its_id():
    stage = Stage()
    script, (_, ann) = stage.room(OWNER, KEY, ANN)
    sent = message_id(stage.send(ann, script))
    room = stage.memory.rooms[script.room]
    assert [room.find(MessageId(head)) for head in script.state.heads] == [0, 1, 2]
    assert (room.find(sent), room.find(sent, 4)) == (3, None)


def test_a_piece_that_is_too_much_for_now_is_told_when_to_ask_for():
    stage = Stage()
    script, (owner, ann) = stage.room(OWNER, KEY, ANN)
    data, blob = bytes(5_000), b"b" * 32
    assert stage.ask(ann, frames.Put, script.room, blob, len(data), 0, data).have == len(data)
    stage.meter.take = lambda kind, _session, amount, _now: 70 if (kind, amount) == ("bytes", 4_000) else 0
    answer = stage.ask(owner, frames.Get, script.room, blob, 1_000)
    assert (answer.code, answer.retry_ms) == ("limited", 70)
    assert effects(stage.play(owner, frames.Get(5, script.room, blob, 1_001)), Fetch)


@pytest.mark.parametrize(
    ("kind", "fields", "counts"),
    [
        (frames.Send, lambda room: (room, b""), "messages"),
        (frames.Submit, lambda room: (room, b""), "records"),
        (frames.Create, lambda _: (b"",), "records"),
        (frames.Turn, lambda room: (room,), "records"),
        (frames.Direct, lambda _: (bytes(32),), "records"),
        (frames.Publish, lambda _: (b"",), "records"),
        (frames.Bundles, lambda _: ([],), "requests"),
        (frames.Follow, lambda room: (room, 0), "requests"),
        (frames.Unfollow, lambda room: (room,), "requests"),
        (frames.ParcelTaken, lambda _: ([],), "requests"),
        (frames.Log, lambda room: (room, -1), "requests"),
        (frames.PutStatus, lambda room: (room, bytes(32)), "requests"),
        (frames.Ping, lambda _: (), "requests"),
    ],
)
def test_every_request_counts_as_what_it_is(kind, fields, counts):
    stage = Stage()
    script, (owner,) = stage.room(OWNER, KEY)
    stage.meter.taken.clear()
    stage.play(owner, kind(1, *fields(script.room)))
    assert [taken for taken in stage.meter.taken if taken[0] != "bytes"] == [(counts, 1)]
    stage.meter.waits[counts] = 33
    (answer,) = told(stage.play(owner, kind(2, *fields(script.room))), owner)
    assert (answer.code, answer.retry_ms) == ("limited", 33)


def test_who_is_gone_is_given_no_turn():
    stage = Stage()
    script, (owner, ann, ben) = stage.room(OWNER, KEY, ANN, BEN)
    for session in (ann, owner, ben):
        stage.play(session, frames.Turn(5, script.room))
    stage.hub.gone(owner, NOW)
    decision = stage.hub.gone(ann, NOW)
    assert [effect.session for effect in effects(decision, Reply)] == [ben.id]


def test_a_refused_message_holds_up_its_own_chain_alone():
    stage = Stage()
    script, (_, ann) = stage.room(OWNER, KEY, ANN)
    stage.meter.waits["messages"] = 50
    assert stage.refusal(ann, frames.Send, script.room, script.message()) == "limited"
    stage.meter.waits.clear()
    other = script.message()
    later = other[:67] + (5).to_bytes(2) + other[69:]
    assert isinstance(stage.ask(ann, frames.Send, script.room, later), frames.Accepted)


def test_once_all_that_was_refused_is_there_nothing_waits_for_it():
    stage = Stage()
    script, (_, ann) = stage.room(OWNER, KEY, ANN)
    first = script.message()
    stage.meter.waits["messages"] = 50
    assert stage.refusal(ann, frames.Send, script.room, first) == "limited"
    stage.meter.waits.clear()
    for index in (0, 2):
        assert isinstance(
            stage.ask(ann, frames.Send, script.room, first[:67] + index.to_bytes(2) + first[69:]), frames.Accepted
        )
    assert not ann.refused


def test_a_message_that_is_there_already_holds_up_nothing_once_it_is_accepted_again():
    """It comes again after a cut, and may be refused at that moment as anything else."""
    stage = Stage()
    script, (_, ann) = stage.room(OWNER, KEY, ANN)
    first = script.message()
    second, third = (first[:67] + index.to_bytes(2) + first[69:] for index in (1, 2))
    assert isinstance(stage.ask(ann, frames.Send, script.room, first), frames.Accepted)
    again = stage.play(ann, frames.Send(8, script.room, first))
    stage.hub.failed(again)
    stage.hub.suspend()
    assert stage.refusal(ann, frames.Send, script.room, first) == "store-failed"
    stage.hub.suspended = False
    assert stage.refusal(ann, frames.Send, script.room, second) == "store-failed", "what is before it is not answered"
    assert stage.refusal(ann, frames.Send, script.room, third) == "store-failed"
    for envelope in (first, second, third):
        assert isinstance(stage.ask(ann, frames.Send, script.room, envelope), frames.Accepted)
