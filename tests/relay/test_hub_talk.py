"""Send, Follow, Direct: what is said, against the vectors and by the page."""

import json
from pathlib import Path

import pytest

from chaton.identity.ids import Identity, Instance, MessageId
from chaton.identity.safety import direct_room
from chaton.relay.hub.effects import Feed, Gain, Part
from chaton.relay.hub.room import Author, Room
from chaton.relay.store.base import DirectRow, EventRow
from chaton.room.envelope import message_id
from chaton.room.records import Leave, open_record
from chaton.room.state import RoomState
from chaton.room.transcript import History
from chaton.wire import frames
from tests.relay.play import NOW, identity, message, seed
from tests.relay.stage import Stage, effects, told

OWNER, ANN, BEN, KEY = seed(1), seed(2), seed(3), seed(9)
RELAY = json.loads((Path(__file__).parent.parent / "vectors" / "message.json").read_text())["relay"]


@pytest.mark.parametrize("case", RELAY["cases"], ids=lambda case: case["name"])
def test_vectors(case):
    records = [open_record(bytes.fromhex(raw)) for raw in RELAY["log"]]
    stage = Stage()
    room = Room.of_genesis(records[0])
    for record in records[1 : case["log"]]:
        room.add_record(record)
    stage.memory.put_room(room)
    assert room.history.s == case["s"] - 1
    session = stage.connect()
    session.identity = Identity.from_hex(case["identity"])
    answer = stage.ask(session, frames.Send, room.id, bytes.fromhex(case["envelope"]))
    if case["result"] == "done":
        assert (answer.s, answer.transcript) == (case["s"], room.history.last)
    else:
        assert answer.code == case["result"]
        assert not stage.decision.writes
        assert room.history.s == case["s"] - 1


def test_a_message_is_an_event_for_all_and_a_resend_is_answered_the_same():
    stage = Stage()
    script, (owner, ann) = stage.room(OWNER, KEY, ANN)
    inst = script.inst(ANN)
    envelope = stage.send(ann, script)
    decision = stage.decision
    assert decision.writes == [
        EventRow(script.room, 3, 1, -1, NOW, identity(ANN), inst, message_id(envelope), envelope)
    ]
    (gain,) = effects(decision, Gain)
    assert gain.event == frames.Event(script.room, 3, NOW, 1, identity(ANN), envelope)
    later = stage.send(owner, script)
    stage.submit(ann, script, script.sign(ANN, Leave(inst)))
    resent = stage.ask(ann, frames.Send, script.room, envelope)
    assert (resent.s, resent.transcript) == (3, stage.memory.rooms[script.room].history.at(3))
    assert not stage.decision.writes
    assert not effects(stage.decision, Gain)
    assert stage.refusal(ann, frames.Send, script.room, later) == "not-member", "somebody else's"
    assert stage.refusal(owner, frames.Send, bytes(32), envelope) == "format"
    other, _ = stage.room(OWNER, KEY)
    assert stage.refusal(stage.memory.online[identity(OWNER)], frames.Send, other.room, envelope) == "format"


def test_find_looks_at_whole_ids_only():
    room = Room.of_pair(identity(ANN), identity(BEN))
    author = Author(identity(ANN), Instance.zero())
    room.add_message(MessageId(b"a" * 31 + b"b"), author)
    room.add_message(MessageId(b"c" * 32), author)
    assert room.find(MessageId(b"b" + b"c" * 31)) is None
    assert room.find(MessageId(b"c" * 32)) == 2
    assert room.find(MessageId(b"c" * 32), 3) is None
    assert room.find(MessageId(b"c" * 32), 2**64) is None


def test_follow_is_for_members():
    stage = Stage()
    script, (owner,) = stage.room(OWNER, KEY)
    decision = stage.play(owner, frames.Follow(8, script.room, 1))
    assert decision.then == [Feed(owner.id, 8, script.room, 1, 1)]
    assert stage.refusal(owner, frames.Follow, script.room, 2) == "bad-history"
    assert stage.refusal(stage.login(BEN), frames.Follow, script.room, 0) == "not-member"
    assert isinstance(stage.ask(owner, frames.Unfollow, script.room), frames.Done)
    assert effects(stage.decision, Part) == [Part(owner.id, script.room, put_out=False)]


def test_a_direct_room_is_for_two_who_share_a_room():
    stage = Stage()
    script, (owner, ann) = stage.room(OWNER, KEY, ANN)
    ben = stage.login(BEN)
    assert stage.refusal(owner, frames.Direct, identity(OWNER)) == "not-allowed"
    assert stage.refusal(owner, frames.Direct, identity(BEN)) == "stranger"
    assert stage.refusal(ben, frames.Direct, identity(OWNER)) == "stranger"
    assert isinstance(stage.ask(owner, frames.Direct, identity(ANN)), frames.Done)
    room = direct_room(identity(OWNER), identity(ANN))
    assert stage.decision.writes == [DirectRow(room, *sorted([identity(OWNER), identity(ANN)]))]
    assert told(stage.decision, owner)[0] == frames.DirectRoom(room, identity(ANN), 0)
    assert told(stage.decision, ann) == [frames.DirectRoom(room, identity(OWNER), 0)]
    stage.ask(ann, frames.Direct, identity(OWNER))
    assert not stage.decision.writes
    assert not told(stage.decision, owner)
    state, history = RoomState.of_pair(identity(ANN), identity(OWNER)), History.of_room(room)
    envelope = message(state, 0, history.last)
    assert stage.ask(ann, frames.Send, room, envelope).s == 1
    assert stage.decision.writes[0].inst == Instance.zero()
    assert stage.refusal(ann, frames.Log, room, -1) == "no-room"
    record = script.sign(ANN, Leave(script.inst(ANN)))
    assert stage.refusal(ann, frames.Submit, room, record.raw) == "no-room"


def test_nobody_learns_who_talks_to_whom():
    """Whatever is asked about a direct room of others is answered as if there were none."""
    stage = Stage()
    script, (owner, ann) = stage.room(OWNER, KEY, ANN)
    ben, blob = stage.login(BEN), bytes(32)
    record = script.sign(BEN, Leave(script.inst(ANN))).raw
    there, absent = direct_room(identity(OWNER), identity(ANN)), direct_room(identity(OWNER), identity(seed(4)))

    def answers(room, other):
        envelope = message(RoomState.of_pair(identity(OWNER), other), 0, History.of_room(room).last)
        asked = [
            (frames.Log, -1), (frames.Follow, 0), (frames.Send, envelope), (frames.Submit, record), (frames.Turn,),
            (frames.Parcels, []), (frames.Put, blob, 1, 0, b"x"), (frames.PutStatus, blob), (frames.Get, blob, 0),
        ]  # fmt: skip
        stage.meter.waits["messages"] = 5
        refused = stage.ask(ben, frames.Send, room, envelope)
        stage.meter.waits.clear()
        behind = envelope[:67] + (1).to_bytes(2) + envelope[69:]  # The next one of that chain.
        elsewhere = script.message()
        return [
            refused,
            *(stage.ask(ben, frames.Send, room, sent) for sent in (behind, elsewhere)),
            *(stage.ask(ben, kind, room, *rest) for kind, *rest in asked),
            stage.peek(ben, room, KEY),
            stage.peek(stage.connect(), room, KEY),
        ]

    stage.ask(owner, frames.Direct, identity(ANN))
    before = [(one.code, one.detail) for one in answers(absent, identity(seed(4)))]
    assert [(one.code, one.detail) for one in answers(there, identity(ANN))] == before
    envelope = message(RoomState.of_pair(identity(OWNER), identity(ANN)), 0, History.of_room(there).last)
    assert isinstance(stage.ask(ann, frames.Send, there, envelope), frames.Accepted)


def test_pending_ones_are_strangers_to_direct_rooms():
    stage = Stage()
    _, (owner, _ann) = stage.room(OWNER, KEY, ANN, approve=True)
    assert stage.refusal(owner, frames.Direct, identity(ANN)) == "stranger"


def test_so_many_direct_rooms(monkeypatch):
    from chaton.relay.hub import talk

    monkeypatch.setattr(talk, "ROOMS_MAX", 1)
    stage = Stage()
    _, (_owner, ann, ben) = stage.room(OWNER, KEY, ANN, BEN)
    stage.ask(ann, frames.Direct, identity(BEN))
    assert stage.refusal(ben, frames.Direct, identity(OWNER)) == "limited"


def test_the_first_message_of_a_direct_room_is_answered_the_same_when_it_comes_again():
    stage = Stage()
    _, (owner, ann) = stage.room(OWNER, KEY, ANN)
    stage.ask(owner, frames.Direct, identity(ANN))
    room = direct_room(identity(OWNER), identity(ANN))
    state, history = RoomState.of_pair(identity(ANN), identity(OWNER)), History.of_room(room)
    first, second = (message(state, 0, history.last) for _ in range(2))
    answers = [stage.ask(ann, frames.Send, room, envelope) for envelope in (first, second, first)]
    assert [answer.s for answer in answers] == [1, 2, 1]
    assert answers[2].transcript == answers[0].transcript


def test_find_goes_on_right_behind_what_is_no_whole_id():
    room = Room.of_pair(identity(ANN), identity(BEN))
    author = Author(identity(ANN), Instance.zero())
    room.add_message(MessageId(b"a" * 31 + b"b"), author)
    room.add_message(MessageId(b"b" * 32), author)
    assert room.find(MessageId(b"b" * 32)) == 2


# --- what is refused holds up its chain, see talk._check_order ---

OLD, NEW = b"o" * 32, b"n" * 32


class Speaker:
    """One who sends messages of several chains into a room, of which the relay takes or refuses some."""

    def __init__(self):
        self.stage = Stage()
        self.script, (_, self.session) = self.stage.room(OWNER, KEY, ANN)

    def say(self, chain, index):
        """What comes of it: a word of refusal, or "taken"."""
        raw = self.script.message()
        envelope = raw[:35] + chain + index.to_bytes(2) + raw[69:]
        answer = self.stage.ask(self.session, frames.Send, self.script.room, envelope)
        if isinstance(answer, frames.Accepted):
            self.script.history.add(message_id(envelope))
            return "taken"
        return answer.code

    def refused(self, *places):
        """Too fast for the relay: all of these are refused."""
        self.stage.meter.waits["messages"] = 50
        assert {self.say(chain, index) for chain, index in places} == {"limited"}
        self.stage.meter.waits.clear()


def test_one_that_is_refused_twice_still_holds_up_all_behind_it():
    ann = Speaker()
    ann.refused((OLD, 3), (OLD, 4), (OLD, 3))
    assert [ann.say(OLD, index) for index in (3, 5, 4, 5)] == ["taken", "limited", "taken", "taken"]


def test_what_is_missing_of_an_older_chain_holds_up_no_newer_one():
    ann = Speaker()
    ann.refused((OLD, 0), (OLD, 6), (NEW, 0))
    assert [ann.say(NEW, index) for index in (0, 2)] == ["taken", "taken"]


def test_a_newer_chain_is_held_up_in_place_of_an_older_one():
    ann = Speaker()
    ann.refused((OLD, 0), (NEW, 5))
    assert [ann.say(NEW, index) for index in (6, 5, 6)] == ["limited", "taken", "taken"]


def test_a_message_of_a_newer_chain_is_taken_as_a_new_beginning():
    ann = Speaker()
    ann.refused((OLD, 3), (OLD, 6))
    assert [ann.say(*place) for place in ((NEW, 1), (OLD, 3))] == ["taken", "taken"]
