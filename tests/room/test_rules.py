"""Single rules of the fold and single fields, where the histories of the vectors say nothing of them."""

import pytest

from chaton.errors import Malformed, RecordRefused
from chaton.identity.ids import Head, Identity, Instance, InviteKey, Pin, RoomId
from chaton.identity.secret import InviteSeed, RoomInfoKey
from chaton.identity.statement import Seed
from chaton.room import fold
from chaton.room.link import Address, Link
from chaton.room.names import distinguish, mixes_scripts, nick_key
from chaton.room.records import AnyBody, Close, Genesis, Info, Invite, Join, Record, sign_record
from chaton.room.state import Member, RoomState

ADA, BEN, CYD, KEY = (Seed(bytes([number]) * 32) for number in (1, 2, 3, 9))
LARGE = 0xF1F2F3F4F5F6F7F8


def made(*, approve: bool = False, max_members: int = 5) -> RoomState:
    genesis = Genesis(Head(bytes(32)), int(approve), max_members, b"name")
    return fold.found(sign_record(genesis, seed=ADA, room=RoomId.zero(), n=0, prev=Head.zero(), t=0))


def signed(room: RoomState, who: Seed, body: AnyBody, t: int = 0) -> Record:
    invite = KEY if isinstance(body, Join) else None
    return sign_record(body, seed=who, room=room.room, n=room.n + 1, prev=room.head, t=t, invite=invite)


def take(room: RoomState, who: Seed, body: AnyBody) -> None:
    fold.apply(room, signed(room, who, body))


def test_who_waits_takes_a_place() -> None:
    room = made(approve=True, max_members=2)
    take(room, ADA, Invite(InviteKey(KEY.public), 9, 0, 0))
    take(room, BEN, Join(InviteKey(KEY.public), b""))
    assert list(room.pending) == [BEN.public]
    with pytest.raises(RecordRefused, match="full") as refusal:
        take(room, CYD, Join(InviteKey(KEY.public), b""))
    assert refusal.value.reason == "state"


def test_a_name_holds_until_the_next_one() -> None:
    room = made()
    assert (room.info, room.genesis_info) == (b"name", b"name")
    take(room, ADA, Info(b"another"))
    assert (room.info, room.genesis_info) == (b"another", b"name")


@pytest.mark.parametrize("successor", [RoomId(b"s" * 32), None])
def test_a_closed_room_may_name_the_next(successor: RoomId | None) -> None:
    room = made()
    assert not room.closed
    take(room, ADA, Close(successor or RoomId.zero()))
    assert (room.closed, room.successor) == (True, successor)


def test_times_are_read_to_their_last_byte() -> None:
    room = made()
    record = signed(room, ADA, Invite(InviteKey(KEY.public), 1, LARGE + 1, 0), t=LARGE)
    assert (record.t, record.body.expires) == (LARGE, LARGE + 1)
    assert record.raw[104:112] == LARGE.to_bytes(8)


def test_numbers_have_their_whole_range_and_no_more() -> None:
    invite = InviteKey(KEY.public)
    assert Invite.decode(Invite(invite, 1, 2**64 - 1, 0).encode()).expires == 2**64 - 1
    assert Invite.decode(Invite(invite, 1, 0, 0).encode()).expires == 0
    for body in (Invite(invite, 1, 2**64, 0), Invite(invite, 1, -1, 0)):
        with pytest.raises(Malformed):
            body.encode()

    def place(n: int, t: int) -> Record:
        return sign_record(Info(b""), seed=ADA, room=RoomId.zero(), n=n, prev=Head.zero(), t=t)

    assert (place(2**32 - 1, 2**64 - 1).n, place(0, 2**64 - 1).t) == (2**32 - 1, 2**64 - 1)
    for n, t in ((2**32, 0), (0, 2**64), (-1, 0), (0, -1)):
        with pytest.raises(Malformed):
            place(n, t)


@pytest.mark.parametrize("n", [0, 10_001, 2**24 + 1, 2**32 - 1])
def test_a_link_names_a_record_that_can_be(n: int) -> None:
    def link(number: int) -> Link:
        address, seed, rik = Address("relay", 1, Pin.zero()), InviteSeed(bytes(32)), RoomInfoKey(bytes(32))
        return Link(address, RoomId.zero(), number, Head.zero(), seed, rik)

    assert Link.decode(link(10_000).encode()).n == 10_000
    with pytest.raises(Malformed, match="record"):
        Link.decode(link(n).encode())


# --- names ---

BLANK = [0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180E, 0x180F, 0x2800, 0x3164, 0xFE00, 0xFE0F,
         0xFFA0, 0xFFF0, 0xFFF8, 0xE0000, 0xE00FF, 0xE0100, 0xE01EF, 0xE01F0, 0xE0FFF]  # fmt: skip
HIDDEN = [0x200B, 0x200D, 0x2060, 0x202E, 0x00AD, 0x0001, 0x0085]


@pytest.mark.parametrize("point", BLANK + HIDDEN, ids=hex)
def test_what_nobody_sees_makes_no_other_nick(point: int) -> None:
    assert nick_key(f"a{chr(point)}da") == nick_key("ada") == "ada"


@pytest.mark.parametrize("point", [0xFDFF, 0xFE10, 0x180A, 0x1810, 0xFFEF, 0xE1000], ids=hex)
def test_what_is_seen_does(point: int) -> None:
    assert nick_key(f"a{chr(point)}da") != "ada"


@pytest.mark.parametrize(
    "name", ["한국 abc", "ㄅㄆ 漢字", "ひらカタ漢字 abc", "ㄅひカ漢한abc", "ada", "Привет", "", "ada 1!"]
)
def test_names_that_keep_to_their_scripts(name: str) -> None:
    assert not mixes_scripts(name)


@pytest.mark.parametrize("name", ["аda", "한국 привет", "ひらпри", "αbc"])
def test_names_that_do_not(name: str) -> None:
    assert mixes_scripts(name)


def test_of_two_with_one_nick_the_first_to_take_it_keeps_it() -> None:
    ada, ben, cyd = (Identity(bytes([number]) * 32) for number in (3, 2, 1))
    shown = distinguish([(ada, "sam", 5), (ben, "Sam", 4), (cyd, "sam", 5)])
    assert shown == {ben: "Sam", cyd: "sam~01010101", ada: "sam~03030303"}
    assert distinguish([(ada, "", 1)]) == {ada: "~03030303"}


@pytest.mark.parametrize(
    ("nick", "shown"),
    [("sam~01234567", "sam~01234567~02020202"), ("sam~0123456", "sam~0123456"), ("sam~0123456g", "sam~0123456g")],
)
def test_nobody_takes_the_name_that_another_is_shown_under(nick: str, shown: str) -> None:
    ben = Identity(bytes([2]) * 32)
    assert distinguish([(ben, nick, 1)]) == {ben: shown}


def test_a_room_begins_open_and_a_membership_unmuted() -> None:
    room = made()
    member = room.members[ADA.public]
    assert (room.direct, room.approve, room.closed, room.successor) == (False, False, False, None)
    assert (member.muted, member.reads, member.guest, member.nicks, member.nick) == (False, True, False, 0, b"")
    assert Member(Identity.zero(), Instance.zero()).invite == InviteKey.zero()
    assert (room.max_members, made(approve=True).approve) == (5, True)


@pytest.mark.parametrize("changed", [{"n": 1}, {"room": RoomId(b"r" * 32)}, {"prev": Head(b"h" * 32)}, {}])
def test_a_room_begins_with_genesis_at_the_beginning(changed: dict) -> None:
    place = {"room": RoomId.zero(), "n": 0, "prev": Head.zero()} | changed
    genesis = Genesis(Head(bytes(32)), 0, 5, b"")
    body = genesis if changed else Info(b"no genesis, in its place")
    with pytest.raises(RecordRefused) as refusal:
        fold.found(sign_record(body, seed=ADA, t=0, **place))
    assert refusal.value.reason == "position"
