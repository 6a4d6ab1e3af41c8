"""What people may do in a room, and what is refused before it is signed."""

import pytest

from chaton.errors import Malformed, Refused, UsageError
from chaton.identity.ids import Head, RoomId
from chaton.limits import DAY_MS, SECOND_MS
from chaton.room.records import Genesis, Role, sign_record
from chaton.session import acts
from chaton.session.content import File, React, Text
from chaton.session.errands import signed
from chaton.session.notices import Ended, MemberChanged, Said, Sent, Warned
from chaton.wire import frames
from tests.session.test_refusals import MOVED, cut_at, heard, refuse, twist
from tests.session.world import Person, World, invite, joined, make_room, only, say, texts


def refusal(person: Person, room: RoomId, act: acts.Act) -> str:
    with pytest.raises(Refused) as caught:
        person.ask(person.session.act(room, act))
    return caught.value.code


def test_what_is_not_there_is_not_taken_back_or_let_in(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    link = invite(ada, room)
    assert refusal(ada, room, acts.uninvite(link.n + 1)) == "no-invite"
    assert refusal(ada, room, acts.admit(ben.identity)) == "not-pending"
    assert ada.ask(ada.session.act(room, acts.uninvite(link.n))).n == link.n + 1


def test_a_ban_is_for_who_is_in_who_waits_and_who_is_not_there(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben, dan = joined(world, ada, room, "ben"), world.person("dan")
    ada.ask(ada.session.act(room, acts.ban(ben.identity, "enough")))
    assert [ended.code for ended in ben.told(Ended)] == ["banned"]
    ada.ask(ada.session.act(room, acts.ban(dan.identity, "never")))
    state = ada.session.room(room).view.state
    assert state.banned == {ben.identity, dan.identity}
    closed_door = make_room(ada, approve=True)
    eve = world.person("eve")
    eve.session.begin(eve.session.join(invite(ada, closed_door), "eve"))
    world.settle()
    ada.ask(ada.session.act(closed_door, acts.ban(eve.identity, "")))
    state = ada.session.room(closed_door).view.state
    assert (state.banned, list(state.pending)) == ({eve.identity}, [])


def test_a_direct_room_takes_no_act(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    direct = ada.ask(ada.session.direct(joined(world, ada, room, "ben").identity))
    with pytest.raises(UsageError, match="no records"):
        ada.ask(ada.session.act(direct, acts.nick("adele")))


@pytest.mark.parametrize("name", ["", "  ", "two\nlines"])
def test_a_rooms_name_is_one_line(world: World, name: str) -> None:
    ada = world.person("ada")
    with pytest.raises(UsageError, match="one line"):
        ada.ask(ada.session.act(make_room(ada), acts.info(name, None)))


def test_what_does_not_fit_a_message_is_not_sent(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    with pytest.raises(UsageError, match="at most 65518 bytes"):
        ada.session.say(room, Text("x" * 65_519), 1)
    say(ada, room, "x" * 65_518)
    assert [len(text) for text in texts(ada)] == [65_518]


@pytest.mark.parametrize("text", ["", "\ud800"])
def test_a_text_that_cannot_be_written_is_not_sent(text: str) -> None:
    with pytest.raises(Malformed):
        Text(text).encode()


def test_an_emoji_and_a_files_name_have_a_length() -> None:
    message, key = bytes(32), bytes(32)
    assert React(message, True, "x" * 32).encode()
    with pytest.raises(Malformed, match="32 bytes"):
        React(message, True, "x" * 33).encode()
    assert File(message, _Key(key), message, 1, "n" * 255, "").encode()
    with pytest.raises(Malformed, match="255 bytes"):
        File(message, _Key(key), message, 1, "n" * 256, "").encode()


class _Key:
    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def reveal(self) -> bytes:
        return self._raw


def test_a_record_is_handed_in_as_it_was_signed(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    state = ada.session.room(room).view.state
    body = acts.ban(world.person("dan").identity, "")(ada.session.room(room))
    record = sign_record(body, seed=ada.seed, room=room, n=state.n + 1, prev=state.head, t=1)
    ada.ask(ada.session.hand_in(record.raw))
    assert ben.session.room(room).view.state.head == record.head
    with pytest.raises(Refused):
        ada.ask(ada.session.act(RoomId.zero(), acts.leave()))


def test_a_record_that_was_handed_in_is_known_when_its_taking_is_told(world: World, ada: Person, room: RoomId) -> None:
    record = signed(ada.session.room(room), acts.info("new", None))
    ticket = ada.session.begin(ada.session.hand_in(record.raw))
    only(ada, lambda: ticket in ada.answers)
    assert ada.session.room(room).view.state.head == record.head


def test_a_record_that_is_handed_in_offline_waits_for_the_connection(world: World, ada: Person, room: RoomId) -> None:
    record = signed(ada.session.room(room), acts.info("new", None))
    ada.disconnect()
    ticket = ada.session.begin(ada.session.hand_in(record.raw))
    ada.connect()
    world.settle()
    assert ada.answers[ticket] is None
    assert ada.session.room(room).view.state.head == record.head


def test_who_has_a_turn_signs_at_the_head_that_the_relay_has(
    world: World, ada: Person, ben: Person, room: RoomId
) -> None:
    ada.ask(ada.session.act(room, acts.role(ben.identity, Role.ADMIN)))
    twist(world, frames.Event, to=ben, into=lambda _event: [])
    topic = ada.ask(ada.session.act(room, acts.info(None, "ada was here")))
    refuse(world, frames.Submit, *[MOVED] * 4)
    assert ben.ask(ben.session.act(room, acts.info(None, "ben too"))).n == topic.n + 1


def test_who_kicks_somebody_and_is_kicked_gives_no_new_link(world: World, ada: Person, room: RoomId) -> None:
    admin, ben = joined(world, ada, room, "admin"), joined(world, ada, room, "ben", uses=3)
    ada.ask(ada.session.act(room, acts.role(admin.identity, Role.ADMIN)))
    ticket = admin.session.begin(admin.session.remove(room, acts.remove(ben.identity, "", ban=False)))
    admin.carry_out()
    admin.disconnect()
    ada.ask(ada.session.remove(room, acts.remove(admin.identity, "", ban=False)))
    admin.connect()
    world.settle()
    removed = admin.answers[ticket]
    assert (removed.lost.uses_left, removed.link) == (2, None)


def test_a_room_is_not_made_from_a_file(world: World) -> None:
    genesis = Genesis(Head(bytes(32)), 0, 2, b"")
    ada = world.person("ada")
    record = sign_record(genesis, seed=ada.seed, room=RoomId.zero(), n=0, prev=Head.zero(), t=0)
    with pytest.raises(Refused, match="not in this room"):
        ada.ask(ada.session.hand_in(record.raw))


def test_what_was_never_sealed_can_be_taken_back(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ada.disconnect()
    for ref in (1, 2):
        ada.session.say(room, Text(f"line {ref}"), ref)
    assert ada.session.withdraw(room, 1)
    assert not ada.session.withdraw(room, 1)
    assert not ada.session.withdraw(RoomId.zero(), 2)
    ada.carry_out()
    ada.restart()
    world.settle()
    assert texts(ada) == ["line 2"]
    assert not ada.session.withdraw(room, 2)


def test_what_was_sealed_is_not_taken_back_before_it_is_in_the_room(world: World) -> None:
    """Nobody knows who has a copy."""
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    ada.session.say(room, Text("hello"), 1)
    cut_at(world, ada, frames.Send)
    assert not ada.session.withdraw(room, 1)
    ada.connect()
    world.settle()
    assert [sent.ref for sent in ada.told(Sent)] == [1]
    assert texts(ben) == ["hello"]


def test_a_chain_that_ends_in_the_middle_of_what_waits_is_followed_by_another(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    for number in range(98):
        say(ada, room, str(number))
    ada.disconnect()
    for number in range(98, 103):
        ada.session.say(room, Text(str(number)), number)
    ada.connect()
    world.settle()
    world.pass_time(SECOND_MS)
    assert texts(ben) == [str(number) for number in range(103)]
    assert not ben.told(Warned)
    assert ada.session.room(room).sender.chain.index == 3


def test_a_person_ignores_compares_reads_and_drafts(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    ada.session.ignore(ben.identity, ignored=True)
    ada.session.compared(ben.identity)
    ada.session.mark_read(room, 7)
    ada.session.mark_read(room, 3)
    ada.session.keep_draft(room, "half a")
    ada.session.keep_draft(room, "half a")
    ada.carry_out()
    ada.restart()
    world.settle()
    entry = ada.session.room(room).entry
    assert (entry.read_s, entry.draft) == (7, "half a")
    assert ada.session.peers.entry(ben.identity).compared
    say(ben, room, "unheard")
    assert texts(ada) == []
    ada.session.ignore(ben.identity, ignored=False)
    say(ben, room, "heard")
    assert texts(ada) == ["heard"]


def test_somebody_is_called_as_in_a_room_of_both(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    ada.ask(ada.session.direct(ben.identity))
    assert ada.session.known_as(ben.identity) == "ben"
    stranger = world.person("eve").identity
    assert ada.session.known_as(stranger) == f"~{stranger.short}"


def test_somebody_is_called_as_where_they_are_and_not_as_where_they_were(world: World) -> None:
    ada = world.person("ada")
    room, other = make_room(ada), make_room(ada)
    ben = joined(world, ada, room, "ben")
    ben.ask(ben.session.join(invite(ada, other), "benny"))
    ben.ask(ben.session.act(room, acts.leave()))
    assert ada.session.known_as(ben.identity) == "benny"


def test_an_errand_that_is_given_up_asks_nothing_more(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ada.disconnect()
    ticket = ada.session.begin(ada.session.in_step(room))
    ada.session.give_up(ticket)
    ada.session.give_up(ticket)
    ada.connect()
    world.settle()
    assert ticket not in ada.answers
    assert ada.ask(ada.session.in_step(room)) is ada.session.room(room)


def test_what_an_errand_had_asked_before_it_was_given_up_happens_without_an_answer(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ticket = ada.session.begin(ada.session.act(room, acts.info("new", None)))
    ada.carry_out()
    ada.session.give_up(ticket)
    world.settle()
    assert ticket not in ada.answers
    assert ada.session.room(room).teller.name == "new"


def test_an_act_that_was_given_up_holds_up_no_other(ada: Person, room: RoomId) -> None:
    errand = ada.session.act(room, acts.info("new", None))
    ada.session.give_up(ada.session.begin(errand))
    ada.ask(ada.session.act(room, acts.info("newer", None)))
    assert ada.session.room(room).teller.name == "newer"


def test_a_nick_that_does_not_open_is_shown_as_none(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    state = ben.session.room(room).view.state
    body = acts.nick("benny")(ben.session.room(room))
    spoiled = type(body)(body.info[:-1] + bytes([body.info[-1] ^ 1]))
    record = sign_record(spoiled, seed=ben.seed, room=room, n=state.n + 1, prev=state.head, t=1)
    ben.ask(ben.session.hand_in(record.raw))
    changed = ada.told(MemberChanged)[-1]
    assert (changed.action, changed.nick, changed.detail) == ("nick", "ben", f"~{ben.identity.short}")
    assert ada.session.known_as(ben.identity) == f"~{ben.identity.short}"


def test_one_who_does_not_stay_does_not_keep_rooms_up(world: World) -> None:
    once = world.person("once", lasting=False)
    room = make_room(once)
    ben = joined(world, once, room, "ben")
    link = invite(once, room)
    before = once.session.room(room).view.state.n
    world.pass_time(2 * DAY_MS)
    assert once.session.room(room).view.state.n == before
    assert link.n in {live.n for live in once.session.room(room).view.state.invites.values()}
    assert not ben.told(Said)


def test_what_has_fallen_due_and_was_refused_is_tried_again_ten_seconds_later(
    world: World, ada: Person, room: RoomId
) -> None:
    invite(ada, room)
    world.relay.heard.clear()
    refuse(world, frames.Submit, ("store-failed", 1_000, ()))
    for passed_ms, asked in ((DAY_MS + 1, 1), (9_999, 1), (1, 2)):
        world.pass_time(passed_ms)
        assert len(heard(world, frames.Submit)) == asked


def test_a_nick_is_not_changed_to_one_that_another_has(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    for taken in ("ben", "BEN"):
        assert refusal(ada, room, acts.nick(taken)) == "nick-taken"
    ada.ask(ada.session.act(room, acts.nick("Ada")))
    assert ben.session.known_as(ada.identity) == "Ada"


def test_who_is_not_there_is_not_muted_promoted_or_kicked(world: World) -> None:
    ada = world.person("ada")
    room, dan = make_room(ada), world.person("dan").identity
    for act in (acts.mute(dan, muted=True), acts.role(dan, Role.ADMIN), acts.remove(dan, "", ban=False)):
        assert refusal(ada, room, act) == "not-member"


@pytest.mark.parametrize("named", [True, False])
def test_a_room_that_is_closed_may_name_the_next_one(world: World, named: bool) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben, other = joined(world, ada, room, "ben"), make_room(ada) if named else None
    ada.ask(ada.session.act(room, acts.close(other)))
    state = ben.session.room(room).view.state
    assert (state.closed, state.successor) == (True, other)
