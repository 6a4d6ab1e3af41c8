"""What the simulation (tests/sim) has found, each as small as it could be made."""

from typing import NoReturn

import pytest

from chaton.errors import Refused
from chaton.identity.ids import RoomId
from chaton.limits import DAY_MS, HOUR_MS, MINUTE_MS
from chaton.relay.hub.decide import TASKS, Task
from chaton.relay.hub.refusals import No
from chaton.session import acts
from chaton.session.content import Text
from chaton.session.notices import Ended, Rejected, Sent, Warned
from chaton.session.sender import WINDOW
from chaton.wire import frames
from tests.session.test_refusals import heard, held_back, refuse, tell_late, twist
from tests.session.world import START, Clock, Person, World, invite, joined, make_room, only, say, texts, waiting


def warnings(person: Person) -> list[tuple[str, int]]:
    return [(warning.code, warning.seq) for warning in person.told(Warned)]


def test_the_first_direct_message_to_somebody_offline_is_read(world: World) -> None:
    ada = world.person("ada")
    ben = joined(world, ada, make_room(ada), "ben")
    ben.disconnect()
    say(ada, ada.ask(ada.session.direct(ben.identity)), "psst")
    ben.restart()
    world.settle()
    assert texts(ben) == ["psst"]


def test_a_cut_while_keys_are_published_leaves_no_room_deaf(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    ben.restart()
    only(ben, lambda: ben.session.arrival._publishing)
    ben.disconnect()
    assert not ben.session.arrival.settled
    ben.connect()
    world.settle()
    say(ada, room, "hello")
    assert texts(ben) == ["hello"]


def test_who_leaves_before_the_events_are_asked_for_is_out(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    ben.disconnect()
    ben.session.begin(ben.session.act(room, acts.leave()))
    ben.connect()
    world.settle()
    assert ben.told(Ended)[0].code == "left"
    with pytest.raises(Refused):
        ben.session.say(room, Text("anybody?"), 1)


def test_what_is_said_by_one_who_is_out_by_the_log_is_handed_back(world: World) -> None:
    """The relay has taken the LEAVE, and its event is not here yet."""
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    late = held_back(world, frames.Event, ben)
    ben.ask(ben.session.act(room, acts.leave()))
    say(ben, room, "one more thing", ref=3)
    tell_late(world, ben, *late)
    assert [(one.code, one.ref) for one in ben.told(Rejected)] == [("left", 3)]
    assert texts(ada) == []


def test_what_was_said_to_one_who_is_out_by_the_log_is_read(
    world: World, ada: Person, ben: Person, room: RoomId
) -> None:
    late = held_back(world, frames.Event, ben)
    say(ada, room, "goodbye")
    ben.ask(ben.session.act(room, acts.leave()))
    tell_late(world, ben, *late)
    assert texts(ben) == ["goodbye"]
    assert [ended.code for ended in ben.told(Ended)] == ["left"]


def test_what_waits_is_not_sent_into_a_room_that_is_closed_by_the_log(world: World, ada: Person, room: RoomId) -> None:
    refuse(world, frames.Send, ("limited", 5_000, ()))
    say(ada, room, "one more thing")
    twist(world, frames.Event, to=ada, into=lambda _event: [])
    ada.ask(ada.session.act(room, acts.close(None)))
    world.pass_time(5_000)
    assert len(heard(world, frames.Send)) == 1


def test_a_message_whose_key_cannot_be_had_is_announced(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben, cyd = joined(world, ada, room, "ben"), joined(world, ada, room, "cyd")
    cyd.disconnect()
    say(ben, room, "goodbye")
    seq = ben.told(Sent)[0].seq
    ben.ask(ben.session.act(room, acts.leave()))
    cyd.restart()
    world.settle()
    assert texts(cyd) == []
    assert warnings(cyd) == [("waiting", seq)]


def test_what_follows_a_refused_message_waits_for_it(world: World) -> None:
    """Otherwise all readers would be told that the relay withholds one."""
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    meter, sent = world.relay.hub.memory.meter, []
    take = meter.take

    def refuse_the_second(kind: str, *args: object) -> int:
        sent.extend([kind] * (kind == "messages"))
        return 100 if kind == "messages" and len(sent) == 2 else take(kind, *args)

    meter.take = refuse_the_second
    for text in ("one", "two", "three"):
        ada.session.say(room, Text(text), 1)
    world.settle()
    assert texts(ben) == ["one"]
    world.pass_time(1_000)
    assert texts(ben) == ["one", "two", "three"]
    assert not ben.told(Warned)


def test_what_is_sealed_while_refusals_are_under_way_waits_too(world: World) -> None:
    """The refused message is sent again, and with it a new one, before its author hears what else was refused."""
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    meter, sent = world.relay.hub.memory.meter, []
    take = meter.take

    def refuse_the_second(kind: str, *args: object) -> int:
        sent.extend([kind] * (kind == "messages"))
        return 100 if kind == "messages" and len(sent) == 2 else take(kind, *args)

    meter.take = refuse_the_second
    for number in range(WINDOW):
        ada.session.say(room, Text(str(number)), 1)
    only(ada, ada.session.rooms[room].sender._paused)
    world.clock.now += 1_000
    ada.session.tick(world.clock.now)
    ada.session.say(room, Text(str(WINDOW)), 1)
    world.settle()
    world.pass_time(1_000)
    assert texts(ben) == [str(number) for number in range(WINDOW + 1)]
    assert not ben.told(Warned)


def test_a_redacted_end_of_a_chain_is_not_withheld(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben, cyd = joined(world, ada, room, "ben"), joined(world, ada, room, "cyd")
    say(ben, room, "one")
    cyd.disconnect()
    say(ben, room, "rude")
    ada.ask(ada.session.act(room, acts.redact(ben.told(Sent)[-1].id)))
    ben.restart()
    world.settle()
    say(ben, room, "three")
    cyd.restart()
    world.settle()
    assert texts(cyd) == ["one", "three"]
    assert [code for code, _ in warnings(cyd)] == ["pruned"]


def test_newer_keys_that_a_message_names_meanwhile_are_fetched(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    say(ada, room, "one")
    cyd = joined(world, ada, room, "cyd")
    world.clock.now += HOUR_MS + MINUTE_MS
    ben.session.tick(world.clock.now)
    ben.session.say(room, Text("two"), 1)
    only(ben, lambda: ben.told(Sent))
    ada.session.tick(world.clock.now)
    ada.session.say(room, Text("three"), 1)
    world.settle()
    assert texts(ben)[-1] == texts(cyd)[-1] == "three"
    assert not ada.told(Warned)


def test_a_clock_set_back_holds_nothing_up(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    ada.session.tick(world.clock.now + DAY_MS)
    ada.session.rooms[room].sender._pause(1_000)
    ada.session.tick(world.clock.now)
    say(ada, room, "on time")
    assert texts(ben) == ["on time"]


def test_keys_made_under_a_clock_that_was_ahead_do_not_count(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    ben.session.tick(world.clock.now + DAY_MS)
    world.settle()
    assert ben.told(Warned)[-1].code == "keys"
    ben.session.say(room, Text("what year is it?"), 1)
    world.settle()
    world.pass_time(DAY_MS // 2)
    say(ada, room, "the same")
    assert texts(ben)[-1] == "the same"
    assert not ada.told(Warned)
    assert world.relay.hub.memory.bundles[ben.identity].row.counter == START + DAY_MS // 2


def test_a_clock_behind_erases_no_keys_that_others_seal_to(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    ben.session.tick(world.clock.now - 20 * MINUTE_MS)
    ben.restart()
    world.settle()
    say(ada, room, "hello")
    assert texts(ben) == ["hello"]
    assert not ben.told(Warned)


def test_nothing_is_said_in_a_closed_room(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ada.ask(ada.session.act(room, acts.close(None)))
    with pytest.raises(Refused) as refusal:
        ada.session.say(room, Text("echo?"), 1)
    assert refusal.value.code == "closed"
    world.pass_time(2 * DAY_MS)
    assert not ada.session.rooms[room].outbox


def test_a_repetition_takes_nobodys_place(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")

    def repeat(number: int, frame: frames.AnyRelayFrame) -> list[frames.AnyRelayFrame]:
        if number != ben.connection or not isinstance(frame, frames.Event):
            return [frame]
        return [frame, frames.Event(frame.room, frame.s + 1, frame.at, frame.kind, frame.sender, frame.body)]

    world.relay.twist = repeat
    say(ada, room, "once")
    for _ in range(2):
        lines = ben.session.rooms[room].timeline.backlog()
        assert [str(line.text) for line in lines] == ["once"]
        ben.disconnect()
        ben.start()
    assert [code for code, _ in warnings(ben)] == ["undecryptable"]


def stopped(world: World, person: Person, room: RoomId) -> None:
    """The relay shows something impossible of a room to one person, then is honest again."""
    world.relay.tell(person.connection, frames.Event(room, 99, START, 1, bytes(32), bytes(541)))
    world.settle()


def test_of_a_room_that_stops_nothing_more_is_shown(world: World, ada: Person, ben: Person, room: RoomId) -> None:
    say(ada, room, "before")
    stopped(world, ben, room)
    say(ada, room, "next")
    assert texts(ben) == ["before"]
    assert [ended.code for ended in ben.told(Ended)] == ["security"]


def test_a_room_that_stops_hands_back_what_was_typed(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    world.relay.hub.suspended = True
    ada.session.say(room, Text("typed"), 3)
    world.settle()
    stopped(world, ada, room)
    rejected = ada.told(Rejected)[0]
    assert (rejected.code, rejected.ref, rejected.text) == ("security", 3, "typed")


def test_a_hint_about_a_room_that_one_follows_has_no_events_told_again(
    world: World, ada: Person, ben: Person, room: RoomId
) -> None:
    world.relay.heard.clear()
    world.relay.tell(ben.connection, frames.LogMoved(room))
    world.settle()
    assert len(heard(world, frames.Log)) == 1
    assert not heard(world, frames.Follow)


def test_a_room_that_stops_while_a_record_is_under_way_stays_stopped(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    impossible = frames.Event(room, 99, START, 1, bytes(32), bytes(541))
    world.relay.twist = lambda _, frame: [impossible, frame] if isinstance(frame, frames.Accepted) else [frame]
    assert ada.ask(ada.session.act(room, acts.info("new", None))).n == 2
    world.relay.twist = lambda _, frame: [frame]
    for _ in range(2):
        with pytest.raises(Refused):
            ada.session.say(room, Text("anybody?"), 1)
        ada.restart()
        world.settle()


def test_a_room_that_was_stopped_is_not_kept_up(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    invite(ada, room)
    stopped(world, ada, room)
    world.relay.heard.clear()
    for _ in range(2):
        world.pass_time(DAY_MS + MINUTE_MS)
    assert not heard(world, frames.Submit)
    assert not ada.session.rooms[room].outbox


def test_an_owner_comes_back_into_a_room_that_was_stopped(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    say(ben, room, "before")
    link = invite(ada, room)
    stopped(world, ada, room)
    assert ada.session.rooms[room].entry.status == "stopped"
    assert ada.ask(ada.session.join(link, "ada")) == room
    say(ben, room, "after")
    say(ada, room, "here")
    assert texts(ada) == texts(ben) == ["before", "after", "here"]


def test_who_makes_a_room_after_a_while_can_be_written_to(world: World) -> None:
    ada = world.person("ada")
    world.pass_time(11 * MINUTE_MS)
    world.relay.hub.expire(world.clock.now)
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    say(ben, room, "hello")
    assert texts(ada) == ["hello"]
    assert not ben.told(Warned)


def test_keys_that_come_ahead_of_the_word_that_one_is_admitted(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada, approve=True)
    ben = waiting(world, ada, room, "ben")
    ticket = ada.session.begin(ada.session.act(room, acts.admit(ben.identity)))
    only(ada, lambda: ticket in ada.answers)
    ada.session.say(room, Text("welcome"), 1)
    only(ada, lambda: ada.told(Sent))
    world.settle()
    assert texts(ben) == ["welcome"]
    assert not ben.told(Warned)


def test_what_an_earlier_membership_never_read_is_not_withheld(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben, cyd = joined(world, ada, room, "ben"), joined(world, ada, room, "cyd")
    say(ben, room, "one")
    cyd.disconnect()
    say(ben, room, "unread")
    cyd.session.begin(cyd.session.act(room, acts.leave()))
    cyd.connect()
    world.settle()
    cyd.ask(cyd.session.join(invite(ada, room), "cyd"))
    cyd.restart()
    world.settle()
    say(ben, room, "two")
    assert texts(cyd)[-1] == "two"
    assert not cyd.told(Warned)


def test_who_was_put_out_and_has_an_old_link_is_told_why(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    ada.ask(ada.session.remove(room, acts.remove(ben.identity, "", ban=True)))
    link = invite(ada, room)
    world.clock.now += 2 * DAY_MS
    with pytest.raises(Refused) as refusal:
        ben.ask(ben.session.join(link, "ben"))
    assert refusal.value.code == "invite-expired"


def test_a_direct_room_with_somebody_who_is_gone_is_refused(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    before = dict(ada.disk)
    ada.ask(ada.session.direct(ben.identity))
    ben.ask(ben.session.act(room, acts.leave()))
    ada.disk = before
    ada.restart()
    world.settle()
    with pytest.raises(Refused) as refusal:
        ada.ask(ada.session.direct(ben.identity))
    assert refusal.value.code == "stranger"


def test_joining_twice_at_once_is_joining_once(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    link = invite(ada, room)
    ben = world.person("ben")
    tickets = [ben.session.begin(ben.session.join(link, "ben"))]
    only(ben, lambda: ben.identity in world.relay.hub.memory.rooms[room].state.members)
    tickets.append(ben.session.begin(ben.session.join(link, "ben")))
    only(ben, lambda: tickets[0] in ben.answers)
    ben.session.say(room, Text("here"), 1)
    first = ben.session.rooms[room]
    world.settle()
    assert [ben.answers[ticket] for ticket in tickets] == [room, room]
    assert ben.session.rooms[room] is first
    assert texts(ada) == ["here"]


@pytest.mark.parametrize("was_there", [False, True])
def test_keys_that_came_while_ones_join_was_not_known_to_oneself_are_used(world: World, was_there: bool) -> None:
    """The JOIN was taken, then the profile died; others know of it, and post their keys to whom they think is there."""
    ada = world.person("ada")
    room, other = make_room(ada), make_room(ada)
    ben = world.person("ben")
    if was_there:
        ben.ask(ben.session.join(invite(ada, room), "ben"))
        ben.ask(ben.session.act(room, acts.leave()))
    link = invite(ada, room)
    ben.session.begin(ben.session.join(link, "ben"))
    while ben.identity not in world.relay.hub.memory.rooms[room].state.members:
        before = dict(ben.disk)
        ben.carry_out()
        ben.listen()
    ben.disconnect()
    ben.disk = before
    world.settle()
    say(ada, room, "said before ben knew")
    ben.start()
    ben.connect()
    world.settle()
    ben.ask(ben.session.join(invite(ada, other), "ben"))
    assert len(ben.session.arrival.postbox.strays) == 1
    ben.ask(ben.session.join(link, "ben"))
    assert texts(ben) == ["said before ben knew"]
    assert not ben.session.arrival.postbox.strays
    assert not ben.told(Warned)


def test_a_wait_for_the_relay_ends_with_the_connection(world: World) -> None:
    """What was to be asked again on the old one had the relay tell later events before those that were missing."""
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    ben.disconnect()
    say(ada, room, "one")

    def refuse(*_: object) -> NoReturn:
        raise No("limited", retry_ms=1_000)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TASKS, frames.Follow, Task("requests", refuse))
        ben.connect()
        world.settle()
    ben.disconnect()
    ben.connect()
    only(ben, lambda: ben.session.context.desk.connected)
    world.clock.now += 1_000
    only(ben, lambda: ben.session.arrival._publishing)
    say(ada, room, "two")
    assert texts(ben) == ["one", "two"]
    assert not ben.told(Ended)


def test_keys_made_by_a_clock_that_was_ahead_do_not_make_one_forget_those_before(world: World) -> None:
    """They took the place of the last ones that the relay had, which then looked like those of a clone."""
    ada = world.person("ada")
    make_room(ada)
    for ahead_ms in (3 * HOUR_MS, 3 * HOUR_MS + 11 * MINUTE_MS, -MINUTE_MS):
        ada.session.tick(world.clock.now + ahead_ms)
        world.settle()
    ada.restart()
    world.settle()
    assert [code for code, _ in warnings(ada)] == ["keys"]


def test_keys_that_the_relay_has_taken_without_a_word_are_not_forgotten(world: World) -> None:
    ada = world.person("ada")
    make_room(ada)
    world.relay.clock = Clock(START + HOUR_MS)
    world.clock.now = START + HOUR_MS + 7 * MINUTE_MS
    ada.session.tick(world.clock.now)
    ada.carry_out()
    ada.disconnect()
    world.clock.now -= 11 * MINUTE_MS
    for _ in range(2):
        ada.restart()
        world.settle()
    assert not ada.told(Warned)


def test_an_older_profile_is_told_of_a_removal_though_one_waits_to_be_let_in_again(world: World) -> None:
    """What one typed stayed in the outbox without a word."""
    ada = world.person("ada")
    room = make_room(ada, approve=True)
    ben = world.person("ben")

    def knock() -> None:
        ben.session.begin(ben.session.join(invite(ada, room), "ben"))
        world.settle()

    knock()
    ada.ask(ada.session.act(room, acts.admit(ben.identity)))
    before = dict(ben.disk)
    ada.ask(ada.session.remove(room, acts.remove(ben.identity, "", ban=False)))
    knock()
    ben.disk = before
    ben.restart()
    world.settle()
    assert [ended.code for ended in ben.told(Ended)] == ["kicked", "kicked"]
    with pytest.raises(Refused):
        ben.session.say(room, Text("anybody?"), 1)
    ada.ask(ada.session.act(room, acts.admit(ben.identity)))
    assert not ben.session.context.desk._waiting, "the room that is over waits for nothing"
    ben.ask(ben.session.join(invite(ada, room), "ben"))
    say(ada, room, "welcome back")
    assert texts(ben) == ["welcome back"]


def test_what_a_relay_took_and_never_showed_is_not_sent_again_all_at_once(world: World) -> None:
    """More than a window was under way, and what the window had left was less than nothing."""
    ada = world.person("ada")
    room = make_room(ada)
    world.relay.twist = lambda _, frame: [] if isinstance(frame, frames.Event) else [frame]
    for number in range(WINDOW + 4):
        ada.session.say(room, Text(str(number)), number)
    world.settle()
    ada.disconnect()
    ada.connect()
    only(ada, lambda: ada.session.rooms[room].sender.under_way)
    assert len(ada.session.rooms[room].sender.under_way) == WINDOW
    world.settle()
    world.relay.twist = lambda _, frame: [frame]
    ada.disconnect()
    ada.connect()
    world.settle()
    assert [sent.ref for sent in ada.told(Sent)] == list(range(WINDOW + 4))
