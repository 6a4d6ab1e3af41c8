"""A relay that says no, or that somebody else was faster, at every step that asks it for something."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from chaton.errors import InvalidLog, Malformed, ProfileError, Refused, SecurityStop
from chaton.identity.ids import RoomId
from chaton.identity.statement import Seed
from chaton.limits import BUNDLE_KEY_GRACE_MS, BUNDLE_ROTATE_MS, DAY_MS, MINUTE_MS, RECORDS_MAX, RECORDS_PER_FRAME_MAX
from chaton.relay.hub.effects import Decision, Reply
from chaton.room.records import Role, sign_record
from chaton.session import acts
from chaton.session.content import Text
from chaton.session.context import Context
from chaton.session.errand import Desk, Interrupted, Until
from chaton.session.errands import signed
from chaton.session.memory import Entry, RecordEntry, RoomEntry, decode_entry, encode_entry
from chaton.session.notices import Ended, Joined, Rejected, Sent, Warned
from chaton.vault.bundle import make_bundle
from chaton.vault.entropy import system_entropy
from chaton.wire import frames
from chaton.wire.codec import PREFIX_BYTES, decode_of_client, decode_of_relay
from tests.session.world import START, Person, World, invite, joined, make_room, only, say, texts, waiting

Said = tuple[str, int, Sequence[bytes]]
MOVED: Said = ("head-moved", 0, ())


def refuse(world: World, kind: type, *refusals: Said) -> None:
    """Have the relay refuse the next requests of a kind, one after the other."""
    left, handle = list(refusals), world.relay.hub.handle

    def decide(session, frame, now):
        if isinstance(frame, kind) and left:
            code, retry_ms, records = left.pop(0)
            told = frames.Refused(frame.ref, code, "the test says so", retry_ms, list(records))
            if isinstance(frame, frames.Submit):
                world.relay.hub.memory.rooms[frame.room].turns.release(session.id)
            return Decision(now=[Reply(session.id, told)])
        return handle(session, frame, now)

    world.relay.hub.handle = decide


def twist(world: World, kind: type, *, to: Person | None = None, into) -> None:
    """Have a frame of the relay told otherwise."""

    def lie(number: int, frame: frames.AnyRelayFrame) -> list[frames.AnyRelayFrame]:
        is_meant = isinstance(frame, kind) and (to is None or number == to.connection)
        return into(frame) if is_meant else [frame]

    world.relay.twist = lie


def honest(world: World) -> None:
    world.relay.twist = lambda _, frame: [frame]


def held_back(world: World, kind: type, person: Person) -> list:
    """Keep frames of a kind from somebody; they gather in the list."""
    late: list = []
    twist(world, kind, to=person, into=lambda frame: late.append(frame) or [])
    return late


def tell_late(world: World, person: Person, *late: frames.AnyRelayFrame) -> None:
    """Tell what was held back, and all else as it is."""
    honest(world)
    for frame in late:
        world.relay.tell(person.connection, frame)
    world.settle()


def heard(world: World, kind: type) -> list:
    said = (decode_of_client(raw[PREFIX_BYTES:]) for raw in world.relay.heard)
    return [frame for frame in said if isinstance(frame, kind)]


# --- records ---


@pytest.mark.parametrize(("said", "turns"), [(MOVED, 3), (("turn-taken", 9, ()), 8)])
def test_who_loses_every_race_is_told(world: World, said: Said, turns: int) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    world.relay.heard.clear()
    refuse(world, frames.Submit, *[said] * 5)
    with pytest.raises(Refused) as caught:
        ada.ask(ada.session.act(room, acts.info("new", None)))
    assert caught.value.code == "head-moved"
    assert (len(heard(world, frames.Submit)), len(heard(world, frames.Turn))) == (5, turns)
    assert not heard(world, frames.Log), "a turn at a head that one has brings nothing new"
    assert ada.ask(ada.session.act(room, acts.info("new", None))).n == 2


def test_who_loses_two_races_takes_a_turn_and_what_it_lacks_of_the_log(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    ada.ask(ada.session.act(room, acts.role(ben.identity, Role.ADMIN)))
    twist(world, frames.Event, to=ben, into=lambda _event: [])
    topic = ada.ask(ada.session.act(room, acts.info(None, "ada was here")))
    refuse(world, frames.Submit, MOVED, MOVED)
    assert ben.ask(ben.session.act(room, acts.info(None, "ben too"))).n == topic.n + 1


@pytest.mark.parametrize("refused", [("turn-taken", 100, ()), ("limited", 100, ())])
def test_a_turn_that_another_has_is_waited_for(world: World, refused: Said) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    world.relay.heard.clear()
    refuse(world, frames.Submit, refused)
    errand = ada.session.act(room, acts.info("new", None))
    if refused[0] == "turn-taken":
        assert ada.ask(errand).n == 2
        assert len(heard(world, frames.Turn)) == 1
    else:
        with pytest.raises(Refused) as caught:
            ada.ask(errand)
        assert (caught.value.code, caught.value.retry_ms) == ("limited", 100)


@pytest.mark.parametrize(("code", "works"), [("turn-taken", True), ("closed", False)])
def test_a_turn_may_be_refused(world: World, code: str, works: bool) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    refuse(world, frames.Submit, MOVED, MOVED)
    refuse(world, frames.Turn, (code, 0, ()))
    errand = ada.session.act(room, acts.info("new", None))
    if works:
        assert ada.ask(errand).n == 2
    else:
        with pytest.raises(Refused) as caught:
            ada.ask(errand)
        assert caught.value.code == "closed"


def cut_at(world: World, person: Person, kind: type) -> None:
    """Cut the connection as soon as the relay has carried out a request of a kind, before the answer is heard."""
    world.relay.heard.clear()
    person.carry_out()
    while not heard(world, kind):
        person.listen()
    person.disconnect()


@pytest.mark.parametrize("arrives", [True, False])
def test_a_record_whose_answer_was_lost_is_signed_once(world: World, arrives: bool) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    if not arrives:
        refuse(world, frames.Submit, MOVED)
    ticket = ada.session.begin(ada.session.act(room, acts.info("new", None)))
    cut_at(world, ada, frames.Submit)
    ada.connect()
    world.settle()
    assert ada.answers[ticket].n == 2
    assert ada.session.room(room).view.state.n == 2


def test_a_turn_whose_answer_was_lost_is_done_without(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    refuse(world, frames.Submit, MOVED, MOVED)
    ticket = ada.session.begin(ada.session.act(room, acts.info("new", None)))
    cut_at(world, ada, frames.Turn)
    ada.connect()
    world.settle()
    assert ada.answers[ticket].n == 2


def test_a_cut_while_a_turn_is_taken_is_no_lost_race(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    refuse(world, frames.Submit, *[("turn-taken", 9, ())] * 4)
    ticket = ada.session.begin(ada.session.act(room, acts.info("new", None)))
    for _ in range(6):  # The last turn that it takes before it tries for the last time.
        taken = len(heard(world, frames.Turn))
        while len(heard(world, frames.Turn)) == taken:
            ada.carry_out()
            ada.listen()
    ada.disconnect()
    ada.connect()
    world.settle()
    assert ada.answers[ticket].n == 2


def test_records_that_are_none_stop_the_room_of_who_submits(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    garbage = bytes(36) + (2).to_bytes(4) + bytes(200)
    refuse(world, frames.Submit, ("head-moved", 0, [garbage]))
    with pytest.raises(InvalidLog):
        ada.ask(ada.session.act(room, acts.info("new", None)))
    assert [ended.code for ended in ada.told(Ended)] == ["security"]


def test_another_record_at_a_known_place_stops_the_room(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    state = ada.session.room(room).view.state
    other = sign_record(acts.info("other", "")(ada.session.room(room)), seed=ada.seed, room=room, n=state.n,
                        prev=state.heads[-2], t=1)  # fmt: skip
    twist(world, frames.Event, to=ben, into=lambda event: [replace(event, body=other.raw)])
    ada.ask(ada.session.act(room, acts.info("new", None)))
    assert [ended.code for ended in ben.told(Ended)] == ["security"]


def test_an_event_that_is_not_the_record_of_the_log_stops_the_room(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    ben.disconnect()
    ada.ask(ada.session.act(room, acts.info("new", None)))
    twist(world, frames.Event, to=None, into=lambda event: [replace(event, body=event.body[:-1] + b"x")])
    ben.connect()
    world.settle()
    assert "two different records" in ben.told(Ended)[0].detail


@pytest.mark.parametrize("raws", [[], [b"x"]])
def test_a_log_whose_beginning_is_none_is_not_joined(world: World, raws: list[bytes]) -> None:
    ada = world.person("ada")
    link = invite(ada, make_room(ada))
    ben = world.person("ben")
    twist(world, frames.RecordsPage, to=ben, into=lambda page: [replace(page, records=raws)])
    with pytest.raises(InvalidLog):
        ben.ask(ben.session.join(link, "ben"))


def test_who_may_not_read_the_log_of_a_link_is_told_why(world: World, ada: Person, room: RoomId) -> None:
    link, ben = invite(ada, room), world.person("ben")
    refuse(world, frames.Log, ("limited", 5_000, ()))
    with pytest.raises(Refused) as caught:
        ben.ask(ben.session.join(link, "ben"))
    assert caught.value.code == "limited"


def test_a_log_that_begins_with_another_record_is_not_joined(world: World) -> None:
    ada = world.person("ada")
    link = invite(ada, make_room(ada))
    ben = world.person("ben")
    twist(world, frames.RecordsPage, to=ben, into=lambda page: [replace(page, records=page.records[1:])])
    with pytest.raises(InvalidLog, match="first record"):
        ben.ask(ben.session.join(link, "ben"))


def test_a_log_without_end_ends_the_connection(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ada.disconnect()
    known = ada.session.rooms[room].view.records[0].raw
    twist(world, frames.LogEnd, to=None, into=lambda end: [
        *[frames.RecordsPage(end.ref, 0, [known] * RECORDS_PER_FRAME_MAX)] * 40, end])  # fmt: skip
    ada.connect()
    world.settle()
    assert isinstance(ada.hung_up, SecurityStop)
    assert "longer than any" in str(ada.hung_up)
    assert ada.session.rooms[room].view.state.n == 1


# --- joining ---


def test_a_joiner_who_was_overtaken_signs_again(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    link, ben = invite(ada, room), world.person("ben")
    topic = signed(ada.session.room(room), acts.info(None, "faster"))
    handle, overtaken = world.relay.hub.handle, []

    def decide(session, frame, now):
        if isinstance(frame, frames.Submit) and not overtaken:
            overtaken.append(frame)
            by = world.relay.sessions[ada.connection]
            world.relay.carry_out(handle(by, frames.Submit(2**31, room, topic.raw), now))
        return handle(session, frame, now)

    world.relay.hub.handle = decide
    assert ben.ask(ben.session.join(link, "ben")) == room
    assert ben.session.room(room).entry.first_n == topic.n + 1


def test_a_joiner_whose_link_is_taken_back_meanwhile_is_told(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    link, ben = invite(ada, room), world.person("ben")
    gone = signed(ada.session.room(room), acts.uninvite(link.n))
    refuse(world, frames.Submit, ("head-moved", 0, [gone.raw]))
    with pytest.raises(Refused) as caught:
        ben.ask(ben.session.join(link, "ben"))
    assert caught.value.code == "bad-invite"


@pytest.mark.parametrize(
    ("said", "code"),
    [([MOVED] * 5, "head-moved"), ([("turn-taken", 9, ())], ""), ([("room-full", 0, ())], "room-full")],
)
def test_a_join_may_be_refused(world: World, said: list[Said], code: str) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    link, ben = invite(ada, room), world.person("ben")
    refuse(world, frames.Submit, *said)
    errand = ben.session.join(link, "ben")
    if not code:
        assert ben.ask(errand) == room
        return
    with pytest.raises(Refused) as caught:
        ben.ask(errand)
    assert caught.value.code == code


def test_a_joiner_judges_by_the_rooms_rules_first(world: World) -> None:
    ada = world.person("ada")
    room = ada.ask(ada.session.create("ops", "", "ada", approve=False, max_members=2))
    joined(world, ada, room, "ben")
    cyd = world.person("cyd")
    with pytest.raises(Refused, match="full") as caught:
        cyd.ask(cyd.session.join(invite(ada, room), "cyd"))
    assert caught.value.code == "not-allowed"


def test_a_used_link_opens_nothing_to_a_stranger(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    link = invite(ada, room)
    ben, cyd = world.person("ben"), world.person("cyd")
    ben.ask(ben.session.join(link, "ben"))
    with pytest.raises(Refused) as caught:
        cyd.ask(cyd.session.join(link, "cyd"))
    assert caught.value.code == "bad-invite"
    world.relay.heard.clear()
    assert ben.ask(ben.session.join(link, "ben")) == room
    assert not heard(world, frames.Submit), "who is in joins by opening the room"


def test_a_room_of_which_the_profile_is_damaged_is_not_joined_again(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    ben.disk = {place: raw for place, raw in ben.disk.items() if place[0].KIND != "record"}
    ben.restart()
    world.settle()
    with pytest.raises(ProfileError, match="damaged"):
        ben.ask(ben.session.join(invite(ada, room), "ben"))


def test_a_relay_that_begins_a_room_otherwise_is_not_believed(world: World) -> None:
    ada = world.person("ada")
    twist(world, frames.Accepted, into=lambda accepted: [replace(accepted, s=1)])
    with pytest.raises(InvalidLog, match="GENESIS"):
        make_room(ada)


def test_a_room_that_was_made_before_the_cut_is_one_room(world: World) -> None:
    ada = world.person("ada")
    ticket = ada.session.begin(ada.session.create("ops", "", "ada", approve=False, max_members=9))
    cut_at(world, ada, frames.Create)
    ada.connect()
    world.settle()
    assert set(ada.session.rooms) == set(world.relay.hub.memory.rooms) == {ada.answers[ticket]}


# --- the login and what follows ---


def test_a_clock_that_is_wrong_is_told_and_nothing_is_published_under_it(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    link = invite(ada, room)
    world.clock.now += DAY_MS + MINUTE_MS
    twist(world, frames.Welcome, into=lambda welcome: [replace(welcome, now=welcome.now - 11 * MINUTE_MS)])
    ada.restart()
    world.relay.heard.clear()
    world.settle()
    (warning,) = ada.told(Warned)
    assert (warning.code, "11 min" in warning.detail, warning.seq) == ("clock", True, 0)
    other = make_room(ada)
    world.pass_time(MINUTE_MS)
    assert not heard(world, frames.Publish)
    assert [live.n for live in ada.session.room(room).view.state.invites.values()] == [link.n]
    honest(world)
    ada.restart()
    world.settle()
    world.pass_time(MINUTE_MS)
    assert heard(world, frames.Publish)
    assert not ada.session.room(room).view.state.invites
    assert other in ada.session.rooms


def test_a_clock_of_just_five_minutes_is_well(world: World) -> None:
    twist(world, frames.Welcome, into=lambda welcome: [replace(welcome, now=welcome.now + 5 * MINUTE_MS)])
    assert not world.person("ada").told(Warned)


@pytest.mark.parametrize(("code", "retry_ms"), [("limited", 3_000), ("bad-login", 0)])
def test_a_login_may_be_refused(world: World, code: str, retry_ms: int) -> None:
    twist(world, frames.LoggedIn, into=lambda _told: [frames.Refused(0, code, "no", retry_ms, [])])
    ada = world.person("ada")
    assert isinstance(ada.hung_up, Refused)
    assert (ada.hung_up.code, ada.hung_up.retry_ms) == (code, retry_ms)


@pytest.mark.parametrize("code", ["shutdown", "idle", "limited", "replaced", "protocol"])
def test_a_goodbye_says_whether_to_come_back(world: World, code: str) -> None:
    ada = world.person("ada")
    ada.session.receive(frames.Goodbye(code, "bye\x1b", 5), world.clock.now)
    ada.carry_out()
    assert isinstance(ada.hung_up, Interrupted if code in {"shutdown", "idle", "limited"} else Refused)
    assert "\x1b" not in str(ada.hung_up)


def test_an_arrival_that_cannot_be_finished_ends_the_connection(world: World) -> None:
    refuse(world, frames.Bundles, ("store-failed", 0, ()))
    ada = world.person("ada")
    assert isinstance(ada.hung_up, Refused)
    assert ada.hung_up.code == "store-failed"


def test_a_log_that_is_refused_for_a_while_is_asked_for_again(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ada.disconnect()
    refuse(world, frames.Log, ("limited", 5_000, ()))
    ada.connect()
    world.settle()
    assert not ada.session.rooms[room].log_current
    world.pass_time(4_999)
    assert not ada.session.rooms[room].log_current
    world.pass_time(1)
    assert ada.session.rooms[room].caught_up


def test_a_log_that_is_refused_for_good_is_the_end(world: World) -> None:
    ada = world.person("ada")
    make_room(ada)
    ada.disconnect()
    refuse(world, frames.Log, ("no-room", 0, ()))
    ada.connect()
    world.settle()
    assert [ended.code for ended in ada.told(Ended)] == ["relay-gone"]
    ada.disconnect()
    world.relay.heard.clear()
    ada.connect()
    world.settle()
    assert not heard(world, frames.Log), "nobody asks for a room that one is out of"


def test_a_relay_that_has_lost_events_is_not_believed(world: World) -> None:
    ada = world.person("ada")
    make_room(ada)
    ada.disconnect()
    refuse(world, frames.Follow, ("bad-history", 0, ()))
    ada.connect()
    world.settle()
    assert [ended.code for ended in ada.told(Ended)] == ["security"]


def test_events_that_are_refused_have_the_log_looked_at_again(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ada.disconnect()
    refuse(world, frames.Follow, ("not-member", 0, ()))
    world.relay.heard.clear()
    ada.connect()
    world.settle()
    assert len(heard(world, frames.Log)) == 2
    assert not ada.session.rooms[room].following
    ada.disconnect()
    ada.connect()
    world.settle()
    assert ada.session.rooms[room].caught_up


def test_events_that_the_cut_kept_back_are_asked_for_again(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ada.disconnect()
    ada.connect()
    cut_at(world, ada, frames.Follow)
    assert not ada.session.rooms[room].following
    ada.connect()
    world.settle()
    assert ada.session.rooms[room].caught_up


def test_one_who_is_out_by_the_log_and_does_not_know_why_is_out(world: World) -> None:
    """As in a profile that was brought back from a backup of another moment."""
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    ada.ask(ada.session.remove(room, acts.remove(ben.identity, "", ban=False)))
    place = (RoomEntry, bytes(room))
    entry = decode_entry(RoomEntry, ben.disk[place])
    assert (entry.status, entry.why) == ("out", "kicked")
    entry.status = "in"
    ben.disk[place] = encode_entry(entry)
    ben.notices.clear()
    ben.restart()
    world.settle()
    assert [ended.code for ended in ben.told(Ended)] == ["removed"]


def test_a_login_is_signed_once_for_a_connection(world: World) -> None:
    twist(world, frames.Welcome, into=lambda welcome: [welcome, replace(welcome, nonce=bytes(32))])
    ada = world.person("ada")
    assert isinstance(ada.hung_up, SecurityStop)
    assert len(heard(world, frames.Login)) == 1


def test_that_one_has_arrived_is_known_with_the_frame_that_ends_the_arrival(world: World) -> None:
    """The client asks before it carries out what follows, and tells the person that it is online."""
    ada = world.person("ada", connect=False)
    ada.connect()
    settled = []
    while queue := world.relay.outgoing[ada.connection]:
        ada.session.receive(decode_of_relay(queue.popleft()[PREFIX_BYTES:]), world.clock.now)
        settled.append(ada.session.arrival.settled)
        ada.carry_out()
    assert settled == [*[False] * (len(settled) - 1), True]


def test_under_a_clock_that_is_wrong_the_keys_that_others_have_stay(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    twist(world, frames.Welcome, into=lambda welcome: [replace(welcome, now=welcome.now - 11 * MINUTE_MS)])
    ben.restart()
    world.settle()
    world.pass_time(BUNDLE_ROTATE_MS)
    world.pass_time(BUNDLE_KEY_GRACE_MS)
    say(ada, room, "hello")
    assert texts(ben) == ["hello"]
    assert not ada.told(Warned)


def test_keys_that_are_refused_for_a_while_are_shown_again(world: World) -> None:
    refuse(world, frames.Publish, *[("limited", 1_000, ())] * 2)
    ada = world.person("ada")
    for passed_ms, shown in ((1_000, False), (9_999, False), (1, True)):
        world.pass_time(passed_ms)
        assert (ada.identity in world.relay.hub.memory.bundles) is shown
    assert not ada.told(Warned)


def test_a_log_that_comes_late_is_waited_for_by_one_who_was_admitted_meanwhile(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada, approve=True)
    ben = waiting(world, ada, room, "ben")
    ben.disconnect()
    ada.ask(ada.session.act(room, acts.admit(ben.identity)))
    refuse(world, frames.Log, ("limited", 5_000, ()))
    ben.connect()
    world.settle()
    assert not ben.session.arrival.settled
    world.pass_time(5_000)
    say(ada, room, "welcome")
    assert texts(ben) == ["welcome"]


def test_every_hint_has_the_log_looked_at(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada, approve=True)
    ben = waiting(world, ada, room, "ben")
    world.relay.tell(ben.connection, frames.LogMoved(room))
    world.settle()
    ada.ask(ada.session.act(room, acts.admit(ben.identity)))
    say(ada, room, "welcome")
    assert texts(ben) == ["welcome"]


def test_of_two_hints_at_once_one_has_the_log_looked_at(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada, approve=True)
    ben = waiting(world, ada, room, "ben")
    twist(world, frames.LogMoved, to=ben, into=lambda hint: [hint, hint])
    world.relay.heard.clear()
    ada.ask(ada.session.act(room, acts.admit(ben.identity)))
    assert len(heard(world, frames.Log)) == len(ben.told(Joined)) == 1


def test_a_hint_about_a_direct_room_is_passed_over(world: World) -> None:
    ada = world.person("ada")
    direct = ada.ask(ada.session.direct(joined(world, ada, make_room(ada), "ben").identity))
    world.relay.heard.clear()
    world.relay.tell(ada.connection, frames.LogMoved(direct))
    world.settle()
    assert not heard(world, frames.Log)
    assert ada.session.room(direct).live


def test_an_end_is_told_once(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    ben.disconnect()
    ada.ask(ada.session.remove(room, acts.remove(ben.identity, "", ban=False)))
    ben.connect()
    world.settle()
    world.relay.tell(ben.connection, frames.LogMoved(room))
    world.settle()
    assert [ended.code for ended in ben.told(Ended)] == ["kicked"]


def test_what_is_told_of_a_room_after_its_end_is_passed_over(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    ada.ask(ada.session.remove(room, acts.remove(ben.identity, "", ban=False)))
    world.relay.tell(ben.connection, frames.Event(room, 99, START, 1, bytes(32), bytes(541)))
    world.settle()
    assert [ended.code for ended in ben.told(Ended)] == ["kicked"]
    assert ben.session.rooms[room].entry.status == "out"


# --- messages ---


def test_keys_that_change_all_the_time_are_given_up(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    counters = iter(range(START + 1, START + 100))

    def newer(stored: frames.ParcelsStored) -> list[frames.AnyRelayFrame]:
        counter = next(counters)
        own = make_bundle(ben.seed, counter=counter, expires=counter + DAY_MS, entropy=system_entropy)
        return [replace(stored, stale=[own.bundle.raw])]

    twist(world, frames.ParcelsStored, to=ada, into=newer)
    world.relay.heard.clear()
    say(ada, room, "hello")
    assert len(heard(world, frames.Parcels)) == 3
    assert [(warning.code, "ben" in warning.detail) for warning in ada.told(Warned)] == [("unreachable", True)]
    assert ada.told(Sent), "one whom nobody reaches keeps nobody from sending"


@pytest.mark.parametrize("retry_ms", [0, 5_000])
def test_parcels_that_are_refused_are_posted_again(world: World, retry_ms: int) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    refuse(world, frames.Parcels, ("limited", retry_ms, ()))
    say(ada, room, "hello")
    assert not ada.told(Sent)
    world.pass_time(max(retry_ms, 1_000) - 1)
    assert not ada.told(Sent)
    world.pass_time(1)
    assert texts(ben) == ["hello"]


def test_a_chain_that_is_over_while_its_keys_are_posted_serves_nobody(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    ada.session.say(room, Text("hello"), 1)
    only(ada, lambda: ada.session.room(room).sender.serving)
    ada.session.room(room).sender.renew()
    world.settle()
    assert texts(ben) == ["hello"]
    assert ada.session.room(room).sender.served == {ben.identity}
    assert not ada.told(Rejected)


def test_an_answer_that_nobody_waits_for_is_passed_over(world: World) -> None:
    ada = world.person("ada")
    ada.session.receive(frames.Done(9_999), world.clock.now)
    ada.carry_out()
    assert ada.hung_up is None


def test_what_is_said_about_rooms_that_are_not_ones_own_is_passed_over(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    elsewhere, before = RoomId(bytes(32)), dict(ada.session.rooms)
    for frame in (
        frames.Event(elsewhere, 1, 0, 1, ben.identity, b""),
        frames.Presence(elsewhere, ben.identity, True),
        frames.LogMoved(elsewhere),
        frames.DirectRoom(elsewhere, ben.identity, 0),
        frames.DirectRoom(elsewhere, ada.identity, 0),
    ):
        ada.session.receive(frame, world.clock.now)
    world.settle()
    assert ada.session.rooms == before
    assert ada.hung_up is None


@pytest.mark.parametrize("restarts", [False, True])
def test_a_hint_that_comes_before_the_parcels_waits_for_them(world: World, restarts: bool) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    ben.disconnect()
    say(ada, room, "hello")
    twist(world, frames.ParcelsEnd, to=None, into=lambda _end: [frames.LogMoved(room)])
    if restarts:
        ben.start()
    ben.connect()
    world.settle()
    assert texts(ben) == []
    world.pass_time(9_999)
    assert texts(ben) == []
    world.pass_time(1)
    assert texts(ben) == ["hello"]


def test_an_invite_is_taken_back_once_it_has_expired(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    late, soon = (ada.ask(ada.session.invite(room, uses=1, life_ms=life, flags=0)) for life in (DAY_MS, MINUTE_MS))
    world.pass_time(MINUTE_MS)
    assert len(ada.session.room(room).view.state.invites) == 2
    world.pass_time(MINUTE_MS)
    assert [live.n for live in ada.session.room(room).view.state.invites.values()] == [late.n]
    assert soon.n != late.n


def test_a_direct_room_is_asked_for_over_every_cut(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    ticket = ada.session.begin(ada.session.direct(ben.identity))
    cut_at(world, ada, frames.Direct)
    ada.connect()
    world.settle()
    assert ada.answers[ticket] in ada.session.rooms
    assert ada.ask(ada.session.direct(ben.identity)) == ada.answers[ticket]


def test_a_direct_room_with_somebody_who_came_meanwhile_waits_for_the_log(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    link = invite(ada, room)
    ada.disconnect()
    ben = world.person("ben")
    ben.ask(ben.session.join(link, "ben"))
    refuse(world, frames.Log, ("limited", 5_000, ()))
    ada.connect()
    world.settle()
    ticket = ada.session.begin(ada.session.direct(ben.identity))
    world.settle()
    world.pass_time(5_000)
    assert ada.answers[ticket] in ada.session.rooms


def test_a_direct_room_outlives_a_restart(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    direct = ada.ask(ada.session.direct(ben.identity))
    say(ada, direct, "psst")
    for person in (ada, ben):
        person.restart()
    world.settle()
    say(ben, direct, "what?")
    assert texts(ada) == ["psst", "what?"]
    assert texts(ben) == ["psst", "what?"]


# --- the desk ---


def test_one_errand_may_end_another_that_was_about_to_go_on() -> None:
    desk, ended, ready = Desk(lambda _frame: None, lambda _notice: None), [], []

    def waits(name: str, act):
        yield Until(lambda: bool(ready))
        act()
        ended.append(name)

    second = waits("second", lambda: None)
    first = waits("first", lambda: desk.give_up(second))
    for errand in (first, second):
        desk.begin(errand, lambda _result, _error: None)
    ready.append(True)
    desk.poll()
    assert ended == ["first"]


def test_a_context_needs_no_relay() -> None:
    context = Context(Seed(bytes(32)), system_entropy, True, START)
    assert not context.recent(None, 5)


def test_an_entry_has_no_place_of_its_own() -> None:
    with pytest.raises(NotImplementedError):
        Entry().place()
    with pytest.raises(TypeError, match="cannot be kept"):
        encode_entry(RecordEntry(room=object(), n=1, raw=b""))
    for raw in (b"\x90", b"\xdc\x00\x20" + b"\x91" * 5_000):
        with pytest.raises(Malformed):
            decode_entry(RecordEntry, raw)


def test_the_longest_log_is_taken_in_and_no_longer_one() -> None:
    asked, told = [], []
    desk = Desk(asked.append, lambda _notice: None)
    desk.connected = True

    def reads():
        told.append((yield frames.Log(0, bytes(32), -1)))

    for extra in (0, 1):
        desk.begin(reads(), lambda _result, _error: None)
        ref = asked[-1].ref
        desk.answer(frames.RecordsPage(ref, 0, [b""] * RECORDS_MAX))
        if extra:
            desk.answer(frames.RecordsPage(ref, RECORDS_MAX, [b""]))
            with pytest.raises(Malformed, match="longer than any"):
                desk.answer(frames.RecordsPage(ref, RECORDS_MAX + 1, [b""]))
        else:
            desk.answer(frames.RecordsPage(ref, RECORDS_MAX, [b""]))
            desk.answer(frames.LogEnd(ref, RECORDS_MAX, bytes(32)))
    assert [len(log.records) for log in told] == [RECORDS_MAX + 1]


# --- the last gaps between a rule and the relay's own ---


def test_what_the_rooms_rules_do_not_allow_is_not_even_asked(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    world.relay.heard.clear()
    with pytest.raises(Refused) as caught:
        ben.ask(ben.session.act(room, acts.info("mine", None)))
    assert caught.value.code == "not-allowed"
    assert not heard(world, frames.Submit)


def test_two_acts_of_one_client_follow_each_other_and_race_nobody(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    world.relay.heard.clear()
    tickets = [ada.session.begin(ada.session.act(room, acts.info(None, topic))) for topic in ("first", "second")]
    world.settle()
    assert [ada.answers[ticket].n for ticket in tickets] == [2, 3]
    assert len(heard(world, frames.Submit)) == 2


def test_a_log_that_leads_elsewhere_than_the_relay_says_stops_the_room(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ada.disconnect()
    twist(world, frames.LogEnd, to=None, into=lambda end: [replace(end, head=bytes(32))])
    ada.connect()
    world.settle()
    assert [ended.code for ended in ada.told(Ended)] == ["security"]
    assert ada.session.rooms[room].entry.status == "stopped"


@pytest.mark.parametrize("said", [MOVED, ("turn-taken", 9, ())])
def test_a_joiner_who_lost_a_race_takes_a_turn(world: World, said: Said) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    link, ben = invite(ada, room), world.person("ben")
    refuse(world, frames.Submit, said)
    world.relay.heard.clear()
    assert ben.ask(ben.session.join(link, "ben")) == room
    assert (len(heard(world, frames.Submit)), len(heard(world, frames.Turn))) == (2, 1)


@pytest.mark.parametrize(("passed_ms", "gives"), [(0, True), (DAY_MS, False)])
def test_an_admin_gives_a_new_link_while_the_old_one_would_have_held(world: World, passed_ms: int, gives: bool) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    admin = joined(world, ada, room, "admin")
    ada.ask(ada.session.act(room, acts.role(admin.identity, Role.ADMIN)))
    ben = world.person("ben")
    ben.ask(ben.session.join(invite(ada, room, uses=3), "ben"))
    world.clock.now += passed_ms
    removed = admin.ask(admin.session.remove(room, acts.remove(ben.identity, "", ban=False)))
    assert removed.lost.uses_left == 2
    assert (removed.link is not None) is gives


def test_a_rejoin_that_was_cut_takes_nothing_of_what_was_there(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    say(ada, room, "one")
    ada.ask(ada.session.remove(room, acts.remove(ben.identity, "", ban=False)))
    refuse(world, frames.Submit, MOVED)  # It never arrives.
    ben.session.begin(ben.session.join(invite(ada, room), "ben"))
    cut_at(world, ben, frames.Submit)
    ben.start()
    assert [str(line.text) for line in ben.session.rooms[room].timeline.backlog()] == ["one"]
    assert ben.session.rooms[room].entry.why == "kicked"
