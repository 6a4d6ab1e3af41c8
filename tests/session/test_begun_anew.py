"""A room that was stopped and joined again in the same membership: what is told again takes its place anew."""

from dataclasses import dataclass, field

import pytest
from msgspec.structs import replace

from chaton.errors import InvalidLog, Refused
from chaton.identity.ids import RoomId
from chaton.relay.config import Limits
from chaton.relay.hub.decide import Hub
from chaton.relay.hub.memory import Memory, Policy
from chaton.relay.loading import load
from chaton.relay.store.base import Write
from chaton.relay.store.memory import MemoryStore
from chaton.room.link import Link
from chaton.session import acts
from chaton.session.memory import ChainEntry, EarlyEntry, EventEntry, HeldEntry, RecalledEntry, RoomEntry, encode_entry
from chaton.session.notices import Warned
from chaton.wire import frames
from tests.session.test_bad_days import stopped
from tests.session.test_evil_relay import Trio, swap_two
from tests.session.test_reading import kept, prune, without_keys
from tests.session.test_refusals import honest, twist
from tests.session.world import PIN, Person, World, invite, joined, make_room, only, say


@dataclass
class Backups:
    """Every commit of a relay's store, so that it can be put back to an earlier one."""

    world: World
    commits: list[list[Write]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._watch()

    def _watch(self) -> None:
        store = self.world.relay.store
        commit = store.commit
        store.commit = lambda writes: (self.commits.append(list(writes)), commit(writes))

    def put_back(self, count: int) -> None:
        """The relay goes on from an earlier time, and everybody comes back to it."""
        world, relay = self.world, self.world.relay
        for person in world.people:
            person.disconnect()
        relay.store, kept = MemoryStore(), self.commits[:count]
        for writes in kept:
            relay.store.commit(writes)
        self.commits = kept
        self._watch()
        relay.hub = Hub(Memory(PIN, Policy(), Limits().meter(), world.clock.now))
        load(relay.hub.memory, relay.store)
        for person in world.people:
            person.connect()
        world.settle()


def lines(person: Person, room: RoomId) -> list[tuple[int, str]]:
    return [(line.seq, str(line.text)) for line in person.session.rooms[room].timeline.backlog()]


def state(person: Person, room: RoomId) -> tuple[object, ...]:
    view = person.session.rooms[room].view
    return view.n, view.history.s, bytes(view.history.last), lines(person, room)


def entries(person: Person, kind: type) -> list[bytes]:
    return [place for kept, place in person.disk if kept is kind]


def back(person: Person, room: RoomId, link: Link) -> None:
    assert person.session.rooms[room].entry.status == "stopped"
    person.ask(person.session.join(link, person.name))


@pytest.fixture
def trio() -> Trio:
    return Trio()


def swapped_and_stopped(trio: Trio) -> None:
    """Ben was shown two messages the other way round; then the relay's numbers jump, and his room stops."""
    swap_two(trio)
    trio.lie_to(trio.ben, lambda _event: [])
    say(trio.cyd, trio.room, "skipped")
    trio.honest()
    say(trio.cyd, trio.room, "after it")


def swapped_and_back(trio: Trio) -> None:
    """The same, and he joins again."""
    swapped_and_stopped(trio)
    back(trio.ben, trio.room, invite(trio.ada, trio.room))


@pytest.mark.parametrize("restarts", [0, 1])
def test_what_is_told_again_elsewhere_stands_there_alone(trio: Trio, restarts: int) -> None:
    swapped_and_back(trio)
    for _ in range(restarts):
        trio.ben.restart()
        trio.world.settle()
    assert state(trio.ben, trio.room) == state(trio.ada, trio.room)
    say(trio.ben, trio.room, "all of it")
    say(trio.cyd, trio.room, "and so do I")
    assert state(trio.ben, trio.room) == state(trio.ada, trio.room)
    assert not entries(trio.ben, RecalledEntry)


@pytest.mark.parametrize("restarts", [0, 1])
def test_what_was_read_before_stands_though_the_relay_has_only_its_id_by_now(trio: Trio, restarts: int) -> None:
    swapped_and_stopped(trio)
    before = {text for _, text in lines(trio.ben, trio.room)}
    link = invite(trio.ada, trio.room)
    prune(trio.world)
    back(trio.ben, trio.room, link)
    for _ in range(restarts):
        trio.ben.restart()
        trio.world.settle()
    assert {text for _, text in lines(trio.ben, trio.room)} == before
    gone = [warned.detail for warned in trio.ben.told(Warned) if warned.code in {"gone", "untold"}]
    assert [detail.split(" that ")[0] for detail in gone] == ["2 messages"]  # Those that were skipped, and not read.


def test_a_restart_in_the_middle_of_being_told_again_mixes_nothing(trio: Trio) -> None:
    swapped_and_stopped(trio)
    before = len(entries(trio.ben, EventEntry))
    trio.lie_to(trio.ben, lambda event: [event] if event.s < before - 2 else [])
    trio.ben.session.begin(trio.ben.session.join(invite(trio.ada, trio.room), "ben"))
    trio.world.settle()
    trio.honest()
    trio.ben.restart()
    trio.world.settle()
    assert state(trio.ben, trio.room) == state(trio.ada, trio.room)


def test_a_restart_before_anything_is_told_again_mixes_nothing(
    world: World, ada: Person, ben: Person, room: RoomId
) -> None:
    for text in ("one", "two"):
        say(ada, room, text)
    stopped(world, ben, room)
    twist(world, (frames.Event, frames.CaughtUp), to=ben, into=lambda _told: [])
    ben.session.begin(ben.session.join(invite(ada, room), "ben"))
    world.settle()
    honest(world)
    ben.restart()
    world.settle()
    assert state(ben, room) == state(ada, room)
    assert not entries(ben, RecalledEntry)
    assert [warning.code for warning in ben.told(Warned)] == ["invalid-log"]


@pytest.mark.parametrize("passed_over", ["a message", "a record"])
def test_a_relay_that_seats_one_later_than_before_in_the_same_membership_spoils_no_profile(
    world: World, ada: Person, ben: Person, room: RoomId, passed_over: str
) -> None:
    link = invite(ada, room)
    if passed_over == "a message":
        say(ada, room, "one")
    else:
        ada.ask(ada.session.act(room, acts.info(None, "one")))
    there = ada.session.room(room).view.history
    lie = {"s": there.s, "transcript": bytes(there.last)}
    stopped(world, ben, room)
    twist(world, frames.Accepted, to=ben, into=lambda accepted: [replace(accepted, **lie)])
    back(ben, room, link)
    before = state(ben, room)
    ben.disconnect()
    ben.start()
    assert state(ben, room) == before
    assert ben.session.room(room).timeline.passed == []


def test_a_relay_put_back_from_a_backup_goes_on_with_who_joins_again() -> None:
    world = World()
    backups = Backups(world)
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    link = invite(ada, room)
    say(ada, room, "one")
    then = len(backups.commits)
    say(ben, room, "two")
    say(ada, room, "three")
    backups.put_back(then)
    for person in (ada, ben):
        back(person, room, link)
        (warning,) = [one for one in person.told(Warned) if one.code == "untold"]
        assert warning.seq == 0
        assert warning.detail.startswith("2 messages that you have read are told no more")
        assert len(entries(person, RecalledEntry)) == 2
    say(ben, room, "four")
    for person in (ada, ben):
        assert [text for _, text in lines(person, room)] == ["one", "four"]
        person.restart()
    world.settle()
    say(ada, room, "five")
    assert state(ada, room) == state(ben, room)
    assert [text for _, text in lines(ada, room)] == ["one", "four", "five"]


def test_what_waited_for_a_key_waits_anew(trio: Trio) -> None:
    without_keys(trio.world, trio.ben)
    trio.cyd.session.rooms[trio.room].sender.renew()
    say(trio.cyd, trio.room, "later")
    trio.lie_to(trio.ben, lambda _event: [])
    say(trio.cyd, trio.room, "skipped")
    trio.honest()
    say(trio.cyd, trio.room, "after it")
    back(trio.ben, trio.room, invite(trio.ada, trio.room))
    assert len(entries(trio.ben, HeldEntry)) == 3
    trio.ben.restart()  # The key waits at the relay.
    trio.world.settle()
    assert state(trio.ben, trio.room) == state(trio.ada, trio.room)
    assert not entries(trio.ben, HeldEntry)


def test_a_key_that_came_early_still_waits_for_the_log(trio: Trio) -> None:
    link = invite(trio.ada, trio.room)
    trio.lie_to(trio.ben, lambda _event: [])
    trio.ada.ask(trio.ada.session.act(trio.room, acts.info(None, "ben does not hear of this")))
    trio.cyd.session.room(trio.room).sender.renew()
    say(trio.cyd, trio.room, "hello")
    assert kept(trio.ben, EarlyEntry)
    trio.honest()
    stopped(trio.world, trio.ben, trio.room)
    twist(trio.world, frames.RecordsPage, to=trio.ben, into=lambda page: [replace(page, records=page.records[:-1])])
    back(trio.ben, trio.room, link)
    assert lines(trio.ben, trio.room) == lines(trio.ada, trio.room)
    assert not kept(trio.ben, EarlyEntry)
    assert [warning.code for warning in trio.ben.told(Warned)] == ["invalid-log"]


def test_another_membership_recalls_nothing_of_the_one_before() -> None:
    world = World()
    backups = Backups(world)
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    link = invite(ada, room)
    then = len(backups.commits)
    say(ada, room, "gone")
    backups.put_back(then)
    back(ada, room, link)
    back(ben, room, link)
    assert entries(ben, RecalledEntry)
    ben.ask(ben.session.act(room, acts.leave()))
    ben.ask(ben.session.join(invite(ada, room), "ben"))
    assert not entries(ben, RecalledEntry)


def test_what_could_not_be_read_is_told_of_at_its_new_place(trio: Trio) -> None:
    swap_two(trio)
    messages = list(trio.ben.session.rooms[trio.room].timeline.messages.values())
    given_up, there = messages[-2:]
    given_up.state, given_up.reason = "unopened", "index"
    trio.lie_to(trio.ben, lambda _event: [])
    say(trio.cyd, trio.room, "skipped")
    trio.honest()
    say(trio.cyd, trio.room, "after it")
    link = invite(trio.ada, trio.room)
    back(trio.ben, trio.room, link)
    (told,) = [warning for warning in trio.ben.told(Warned) if warning.code == "undecryptable"]
    assert told.seq == there.s == given_up.s + 1
    stopped(trio.world, trio.ben, trio.room)
    back(trio.ben, trio.room, link)
    assert [warning for warning in trio.ben.told(Warned) if warning.code == "undecryptable"] == [told]


def test_what_was_not_told_again_yet_is_there_after_a_second_time(trio: Trio) -> None:
    say(trio.ada, trio.room, "one")
    say(trio.cyd, trio.room, "two")
    last = trio.ben.session.rooms[trio.room].view.history.s
    link = invite(trio.ada, trio.room, uses=2)
    stopped(trio.world, trio.ben, trio.room)
    trio.lie_to(trio.ben, lambda event: [event] if event.s < last else [])
    back(trio.ben, trio.room, link)
    assert len(entries(trio.ben, RecalledEntry)) == 1
    trio.honest()
    stopped(trio.world, trio.ben, trio.room)
    back(trio.ben, trio.room, link)
    assert state(trio.ben, trio.room) == state(trio.ada, trio.room)
    assert not entries(trio.ben, RecalledEntry)
    assert {warning.code for warning in trio.ben.told(Warned)} == {"untold", "invalid-log"}


def test_a_key_that_comes_after_all_was_told_again_is_spent_if_a_newer_one_was_used(trio: Trio) -> None:
    sender = trio.cyd.session.rooms[trio.room].sender
    without_keys(trio.world, trio.ben)
    sender.renew()
    say(trio.cyd, trio.room, "its key comes late")
    old = sender.chain.id
    trio.honest()
    sender.renew()
    say(trio.cyd, trio.room, "read at once")
    link = invite(trio.ada, trio.room)
    stopped(trio.world, trio.ben, trio.room)
    back(trio.ben, trio.room, link)
    assert len(entries(trio.ben, HeldEntry)) == 1
    trio.ben.disconnect()
    trio.ben.connect()
    trio.world.settle()
    assert state(trio.ben, trio.room) == state(trio.ada, trio.room)
    assert [chain.secret for chain in kept(trio.ben, ChainEntry) if chain.id == old] == [None]


@pytest.mark.parametrize("restarts", [0, 1])
def test_a_key_that_came_early_opens_what_it_is_for_once_the_log_is_read_anew(trio: Trio, restarts: int) -> None:
    link = invite(trio.ada, trio.room)
    trio.lie_to(trio.ben, lambda _event: [])
    trio.ada.ask(trio.ada.session.act(trio.room, acts.info(None, "ben does not hear of this")))
    trio.cyd.session.room(trio.room).sender.renew()
    say(trio.cyd, trio.room, "hello")
    trio.honest()
    stopped(trio.world, trio.ben, trio.room)
    for _ in range(restarts):
        trio.ben.restart()
        trio.world.settle()
    back(trio.ben, trio.room, link)
    assert lines(trio.ben, trio.room) == lines(trio.ada, trio.room)
    assert not kept(trio.ben, EarlyEntry)
    assert [warning.code for warning in trio.ben.told(Warned)] == ["invalid-log"]


def test_a_rejoin_that_loses_the_race_for_its_nick_spoils_no_profile(
    world: World, ada: Person, ben: Person, room: RoomId
) -> None:
    """What came in between would be kept, and what was before it not: a log with a gap."""
    say(ada, room, "one")
    ben.ask(ben.session.act(room, acts.leave()))
    link, cyd = invite(ada, room, uses=2), world.person("cyd")
    handle = world.relay.hub.handle

    def first_cyd(session, frame, now):
        if isinstance(frame, frames.Submit) and session.id == ben.connection:
            world.relay.hub.handle = handle
            ticket = cyd.session.begin(cyd.session.join(link, "ben"))
            only(cyd, lambda: ticket in cyd.answers)
        return handle(session, frame, now)

    world.relay.hub.handle = first_cyd
    with pytest.raises(Refused) as caught:
        ben.ask(ben.session.join(link, "ben"))
    assert caught.value.code == "nick-taken"
    ben.restart()
    world.settle()
    assert ben.told(Warned) == []
    assert [text for _, text in lines(ben, room)] == ["one"]


def test_a_lie_about_ones_place_takes_nothing_of_what_was_there(
    world: World, ada: Person, ben: Person, room: RoomId
) -> None:
    say(ada, room, "one")
    ben.ask(ben.session.act(room, acts.leave()))
    link = invite(ada, room)
    world.relay.twist = lambda _, frame: [replace(frame, s=1)] if isinstance(frame, frames.Accepted) else [frame]
    with pytest.raises(InvalidLog):
        ben.ask(ben.session.join(link, "ben"))
    world.relay.twist = lambda _, frame: [frame]
    ben.restart()
    world.settle()
    assert [text for _, text in lines(ben, room)] == ["one"]


def test_what_an_earlier_version_kept_of_a_room_that_it_never_came_into_is_passed_over(
    ada: Person, room: RoomId
) -> None:
    entry = RoomEntry(room=RoomId(b"r" * 32), host="localhost", port=5555, pin=PIN)
    ada.disk[RoomEntry, entry.place()] = encode_entry(entry)
    ada.restart()
    ada.world.settle()
    assert list(ada.session.rooms) == [room]
    assert ada.told(Warned) == []
