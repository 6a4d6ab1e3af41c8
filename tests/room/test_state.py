"""What a room answers about itself."""

import pytest

from chaton.errors import Malformed, RecordRefused, UsageError
from chaton.identity.ids import Head, Identity, Instance, Pin, RoomId
from chaton.identity.safety import direct_room
from chaton.identity.statement import Seed
from chaton.room import fold
from chaton.room.link import Address
from chaton.room.records import Genesis, Info, Leave, Role, sign_record
from chaton.room.state import Member, RoomState

ADA, BEN, CYD = (Seed(bytes([number]) * 32) for number in (1, 2, 3))
ada, ben, cyd = (Identity(who.public) for who in (ADA, BEN, CYD))


@pytest.fixture
def room() -> RoomState:
    genesis = Genesis(Head(bytes(32)), 0, 5, b"name")
    return fold.found(sign_record(genesis, seed=ADA, room=RoomId.zero(), n=0, prev=Head.zero(), t=0))


def test_a_direct_room_is_for_two_who_are_always_there() -> None:
    room = RoomState.of_pair(ada, ben)
    assert room == RoomState.of_pair(ada, ben)
    assert RoomState.of_pair(ben, ada).room == room.room == room.head == direct_room(ada, ben)
    assert (room.direct, room.n, room.epoch, room.readers()) == (True, 0, 0, [ada, ben])
    assert room.seated(ben, Instance.zero()) is room.members[ben]
    assert not room.closed
    assert not room.members[ada].muted
    with pytest.raises(UsageError):
        RoomState.of_pair(ada, ada)


def test_a_direct_room_has_no_records() -> None:
    room = RoomState.of_pair(ada, ben)
    record = sign_record(Info(b"x"), seed=ADA, room=room.room, n=1, prev=room.head, t=0)
    with pytest.raises(RecordRefused) as refusal:
        fold.judge(room, record)
    assert refusal.value.reason == "position"


def test_the_owner_is_the_one_who_made_it(room: RoomState) -> None:
    room.members = {cyd: Member(cyd, Instance(b"c" * 32), Role.ADMIN), **room.members}
    assert room.owner == ada


def test_heads_are_known_up_to_now(room: RoomState) -> None:
    assert room.head_at(0) == room.head == room.room
    assert room.head_at(-1) is None
    assert room.head_at(1) is None


def test_a_membership_is_not_a_person(room: RoomState) -> None:
    member = room.members[ada]
    assert room.seated(ada, member.inst) is member
    assert room.seated(ada, Instance(b"x" * 32)) is None
    assert room.seated(ben, member.inst) is None
    room.pending[ben] = waiting = Member(ben, Instance(b"b" * 32))
    assert room.by_inst(waiting.inst) is waiting
    assert room.by_inst(member.inst) is member
    assert room.by_inst(Instance(b"x" * 32)) is None
    assert room.seated(ben, waiting.inst) is None


def test_a_record_of_somebody_who_is_not_there_is_refused(room: RoomState) -> None:
    record = sign_record(Leave(Instance(room.room)), seed=BEN, room=room.room, n=1, prev=room.head, t=0)
    with pytest.raises(RecordRefused) as refusal:
        fold.apply(room, record)
    assert refusal.value.reason == "authority"
    assert (room.n, len(room.epochs)) == (0, 1)


@pytest.mark.parametrize("port", [-1, 0, 65_536])
def test_no_relay_listens_on_an_impossible_port(port: int) -> None:
    with pytest.raises(Malformed, match="port"):
        Address("relay", port, Pin.zero())


@pytest.mark.parametrize("host", ["", "a" * 254, "Relay", "re lay", "relay\n", "ä"])
def test_no_relay_has_an_impossible_name(host: str) -> None:
    with pytest.raises(Malformed, match="host"):
        Address(host, 1, Pin.zero())


def test_an_address_is_written_as_people_do() -> None:
    assert Address("a" * 253, 65_535, Pin.zero()).netloc == "a" * 253 + ":65535"
    assert Address("::1", 1, Pin.zero()).netloc == "[::1]:1"
