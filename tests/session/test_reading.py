"""Keys that come early, messages that wait, and what bounds both; what a profile brings back."""

import dataclasses
from itertools import count

import pytest
from msgspec.structs import replace

from chaton.errors import ChainRefused
from chaton.identity.bundle import PARCEL_BYTES
from chaton.identity.ids import ChainId, Head, Identity, RoomId, Transcript
from chaton.identity.statement import Seed
from chaton.limits import (
    BUNDLE_LIFE_MS,
    BUNDLE_ROTATE_MS,
    CHAINS_EARLY_MAX,
    DAY_MS,
    HELD_PER_CHAIN_MAX,
    MINUTE_MS,
    PARCELS_PER_RECIPIENT_BYTES_MAX,
    RECORDS_MAX,
)
from chaton.room.envelope import Header, message_id
from chaton.room.records import Role
from chaton.session import acts, reader, sender
from chaton.session.content import Text, read_body
from chaton.session.keyring import Keyring, Peers
from chaton.session.memory import ChainEntry, EarlyEntry, HeldEntry, RecordEntry, decode_entry
from chaton.session.notices import Ended, PresenceChanged, Said, Sent, Warned
from chaton.session.reader import HeldMessage
from chaton.vault.bundle import make_bundle
from chaton.vault.chain import Grant, SendChain, message_key
from chaton.vault.entropy import system_entropy
from chaton.vault.keys import MessageKey
from chaton.vault.message import seal_message
from chaton.vault.parcel import KIND_CHAIN, KIND_NEED, Need, seal_parcel
from chaton.wire import frames
from tests.session.test_keyring import NOW, context
from tests.session.test_refusals import cut_at, heard, honest, refuse, twist
from tests.session.world import Person, World, invite, joined, make_room, say, texts

TOKENS = count(10_000)


@pytest.fixture
def trio(world: World) -> tuple[World, Person, Person, Person, RoomId]:
    ada = world.person("ada")
    room = make_room(ada)
    return world, ada, joined(world, ada, room, "ben"), joined(world, ada, room, "cyd"), room


def grant_of(person: Person, room: RoomId, **changes: object) -> Grant:
    """A chain key as a member's own client would make it, but for what the test changes."""
    state = person.session.room(room).view.state
    statement = {
        "room": room, "sender": person.identity, "inst": state.members[person.identity].inst, "n": state.n,
        "head": state.head, "epoch": state.epoch, "prev": ChainId.zero(), "prev_count": 0,
    }  # fmt: skip
    return SendChain.begin(**(statement | changes), born=0, entropy=system_entropy).grant()


def post(world: World, sender: Seed, to: Person, room: RoomId, said: tuple[int, bytes]) -> None:
    """A parcel that the relay hands over, whoever made it."""
    bundle = to.session.keyring.shown.bundle
    raw = seal_parcel(sender, room, bundle, *said, system_entropy)
    to.session.receive(frames.Parcel(next(TOKENS), raw), world.clock.now)
    world.settle()


def kept(person: Person, kind: type) -> list:
    return [decode_entry(kind, raw) for (of, _), raw in person.disk.items() if of is kind]


# --- keys that come early ---


@pytest.mark.parametrize("restarts", [True, False])
def test_a_key_from_ahead_of_the_log_waits_for_it(trio, restarts: bool) -> None:
    world, ada, ben, cyd, room = trio
    twist(world, frames.Event, to=cyd, into=lambda _event: [])
    ada.ask(ada.session.act(room, acts.info(None, "cyd does not hear of this")))
    say(ben, room, "hello")
    assert len(kept(cyd, EarlyEntry)) == 1
    honest(world)
    if restarts:
        cyd.restart()
    else:
        cyd.disconnect()
        cyd.connect()
    world.settle()
    assert texts(cyd) == ["hello"]
    assert not kept(cyd, EarlyEntry)
    assert not cyd.told(Warned)


def test_of_keys_that_come_early_the_newest_are_kept(trio) -> None:
    world, _, ben, cyd, room = trio
    inbox = cyd.session.room(room).inbox
    n = cyd.session.room(room).view.state.n + 1
    grants = [grant_of(ben, room, n=n) for _ in range(CHAINS_EARLY_MAX + 2)]
    for grant in grants:
        inbox.take_grant(ben.identity, grant)
    world.settle()
    assert inbox.reader.early == {ben.identity: grants[2:]}
    assert {entry.grant for entry in kept(cyd, EarlyEntry)} == {grant.encode() for grant in grants[2:]}


def test_all_senders_together_have_so_many_early_keys(trio, monkeypatch: pytest.MonkeyPatch) -> None:
    world, ada, ben, cyd, room = trio
    monkeypatch.setattr(reader, "EARLY_PER_ROOM_MAX", 3)
    inbox, n = cyd.session.room(room).inbox, cyd.session.room(room).view.state.n + 1
    grants = [grant_of(person, room, n=n) for person in (ben, ada, ada, ada)]
    for grant in grants:
        inbox.take_grant(grant.statement.sender, grant)
    world.settle()
    assert inbox.reader.early == {ada.identity: grants[1:]}
    inbox.take_grant(ben.identity, grants[0])
    assert inbox.reader.early == {ada.identity: grants[2:], ben.identity: grants[:1]}


def test_a_key_from_behind_the_end_of_any_log_is_dropped(trio) -> None:
    _, _, ben, cyd, room = trio
    its_reader = cyd.session.room(room).reader
    with pytest.raises(ChainRefused) as refusal:
        its_reader.accept(room, ben.identity, grant_of(ben, room, n=RECORDS_MAX + 1))
    assert refusal.value.reason == "sender"
    assert its_reader.accept(room, ben.identity, grant_of(ben, room, n=RECORDS_MAX)) is None
    assert [grant.statement.n for grant in its_reader.early[ben.identity]] == [RECORDS_MAX]


def test_a_key_from_another_history_is_a_fork_until_it_is_excused(trio) -> None:
    world, _, ben, cyd, room = trio
    for _ in range(2):
        forked = grant_of(ben, room, head=Head(bytes(32)))
        post(world, ben.seed, cyd, room, (KIND_CHAIN, forked.encode()))
    inst = forked.statement.inst
    entry = cyd.session.room(room).entry
    assert [warning.code for warning in cyd.told(Warned)] == ["fork", "fork"]
    assert (entry.forked, entry.claimants) == (True, [inst])
    cyd.session.room(room).inbox.excuse()
    assert (entry.forked, entry.claimants, entry.excused) == (False, [], [inst])
    cyd.notices.clear()
    post(world, ben.seed, cyd, room, (KIND_CHAIN, grant_of(ben, room, head=Head(bytes(32))).encode()))
    assert not cyd.told(Warned)
    assert not entry.forked


def test_a_key_from_ahead_that_turns_out_to_be_of_another_history_is_told_once(trio) -> None:
    world, ada, ben, cyd, room = trio
    n = cyd.session.room(room).view.state.n + 1
    post(world, ben.seed, cyd, room, (KIND_CHAIN, grant_of(ben, room, n=n, head=Head(bytes(32))).encode()))
    assert not cyd.told(Warned)
    for topic in ("one", "two"):
        ada.ask(ada.session.act(room, acts.info(None, topic)))
        assert [warning.code for warning in cyd.told(Warned)] == ["fork"]


def test_a_key_that_counts_other_removals_is_no_fork(trio) -> None:
    world, _, ben, cyd, room = trio
    post(world, ben.seed, cyd, room, (KIND_CHAIN, grant_of(ben, room, epoch=1).encode()))
    assert not cyd.told(Warned)
    assert not cyd.session.room(room).reader.chains


def test_a_request_of_somebody_who_is_no_member_is_not_answered(trio) -> None:
    world, ada, ben, cyd, room = trio
    say(ada, room, "hello")
    need = Need(ChainId(bytes(32)), 0, cyd.session.keyring.shown.id).encode()
    dan = world.person("dan")
    for asker, answers in ((dan, 0), (cyd, 1)):
        world.relay.heard.clear()
        post(world, asker.seed, ada, room, (KIND_NEED, need))
        assert len(heard(world, frames.Parcels)) == answers
    assert ben.identity in ada.session.room(room).sender.served


# --- messages that wait ---


def without_keys(world: World, person: Person) -> None:
    twist(world, frames.Parcel, to=person, into=lambda _parcel: [])


def test_of_messages_that_wait_the_newest_of_a_chain_are_kept(trio) -> None:
    world, _, ben, cyd, room = trio
    without_keys(world, cyd)
    for number in range(HELD_PER_CHAIN_MAX + 2):
        say(ben, room, str(number))
    (held,) = cyd.session.room(room).reader.held.values()
    first = ben.told(Sent)[2].seq
    assert [message.s for message in held] == list(range(first, first + HELD_PER_CHAIN_MAX))
    assert sorted(entry.s for entry in kept(cyd, HeldEntry)) == [message.s for message in held]


def test_of_all_chains_the_oldest_message_goes_first(trio, monkeypatch: pytest.MonkeyPatch) -> None:
    world, ada, ben, cyd, room = trio
    monkeypatch.setattr(reader, "HELD_PER_ROOM_MAX", 3)
    without_keys(world, cyd)
    for person in (ben, ada, ada, ada):
        say(person, room, person.name)
    its_reader = cyd.session.room(room).reader
    (held,) = its_reader.held.values()
    assert [message.s for message in held] == [sent.seq for sent in ada.told(Sent)]
    say(ben, room, "again")
    assert sorted(len(messages) for messages in its_reader.held.values()) == [1, 2]
    assert sorted(entry.s for entry in kept(cyd, HeldEntry)) == sorted(
        message.s for messages in its_reader.held.values() for message in messages
    )


def test_nobody_is_asked_for_the_key_of_what_nobody_is_known_to_have_sent(trio) -> None:
    world, _, _, cyd, room = trio
    held = cyd.session.room(room).reader.held
    held[ChainId(bytes(32))] = [HeldMessage(3, 1, b"lost its event")]
    world.relay.heard.clear()
    cyd.session.room(room).inbox.ask_again()
    world.settle()
    assert not heard(world, frames.Parcels)


def test_nobody_asks_oneself_whatever_the_relay_says(trio) -> None:
    world, _, ben, cyd, room = trio
    say(cyd, room, "cyd has keys of everybody")

    def lie(number: int, frame: frames.AnyRelayFrame) -> list[frames.AnyRelayFrame]:
        if number == cyd.connection and isinstance(frame, frames.Parcel):
            return []
        return [replace(frame, sender=cyd.identity)] if isinstance(frame, frames.Event) else [frame]

    world.relay.twist = lie
    world.relay.heard.clear()
    say(ben, room, "hello")
    assert cyd.session.room(room).reader.held
    assert not cyd.session.room(room).sender.asked
    assert {one.to for frame in heard(world, frames.Parcels) for one in frame.parcels} == {
        person.identity for person in world.people if person is not ben
    }


def test_parcels_whose_taking_was_not_heard_come_again_and_change_nothing(trio) -> None:
    world, _, ben, cyd, room = trio
    cyd.disconnect()
    say(ben, room, "hello")
    twist(world, frames.Done, into=lambda _done: [])
    cyd.connect()
    cut_at(world, cyd, frames.ParcelTaken)
    honest(world)
    cyd.connect()
    world.settle()
    say(ben, room, "again")
    assert texts(cyd) == ["hello", "again"]
    assert not cyd.told(Warned)


# --- events ---


def test_parcels_that_were_not_judged_before_the_cut_are_taken_once(trio) -> None:
    world, ada, _, cyd, room = trio
    cyd.disconnect()
    say(ada, room, "hello")
    twist(world, frames.ParcelsEnd, to=None, into=lambda _end: [])
    cyd.connect()
    world.settle()
    cyd.disconnect()
    honest(world)
    world.relay.heard.clear()
    cyd.connect()
    world.settle()
    assert texts(cyd) == ["hello"]
    assert [len(taken.tokens) for taken in heard(world, frames.ParcelTaken)] == [1]


def test_an_event_that_comes_again_is_passed_over(trio) -> None:
    world, _, ben, cyd, room = trio
    twist(world, frames.Event, to=cyd, into=lambda event: [event, event])
    say(ben, room, "once")
    assert texts(cyd) == ["once"]
    assert cyd.session.room(room).live


def prune(world: World) -> None:
    assert world.relay.store.prune(world.clock.now + DAY_MS, 2**40)


def miss_the_second(trio) -> None:
    """Ben says two things; the second is pruned before cyd comes back."""
    world, _, ben, cyd, room = trio
    say(ben, room, "first")
    cyd.disconnect()
    say(ben, room, "second")
    prune(world)
    cyd.connect()
    world.settle()


def test_what_was_pruned_leaves_its_id_and_counts_after_a_restart(trio) -> None:
    world, _, ben, cyd, room = trio
    miss_the_second(trio)
    cyd.restart()
    world.settle()
    assert cyd.session.room(room).reader.pruned == 1
    say(ben, room, "third")
    assert texts(cyd) == ["first", "third"]
    assert [warning.code for warning in cyd.told(Warned)] == ["gone", "pruned"]


def test_an_own_message_that_comes_back_without_its_body_is_sent(trio) -> None:
    world, _, ben, _, room = trio
    ben.session.say(room, Text("hello"), 7)
    cut_at(world, ben, frames.Send)
    prune(world)
    ben.connect()
    world.settle()
    assert [sent.ref for sent in ben.told(Sent)] == [7]
    assert not ben.session.room(room).outbox
    ben.restart()
    assert [str(said.text) for said in ben.session.room(room).timeline.backlog()] == ["hello"]


def bare(event: frames.Event) -> list[frames.Event]:
    return [replace(event, kind=frames.KIND_PRUNED, body=bytes(message_id(event.body)))]


def test_a_message_that_comes_without_its_body_cannot_be_shown_and_is_not_counted_as_pruned(trio) -> None:
    world, _, ben, cyd, room = trio
    twist(world, frames.Event, to=cyd, into=bare)
    say(ben, room, "hidden from cyd")
    honest(world)
    cyd.restart()
    world.settle()
    say(ben, room, "next")
    assert [warning.code for warning in cyd.told(Warned)] == ["undecryptable", "withheld"]
    assert cyd.told(Warned)[0].detail.endswith("the relay deleted it as soon as it came, or withholds it")
    assert texts(cyd) == ["next"]


def test_what_came_without_bodies_is_told_though_the_client_died_before_it_was_caught_up(trio) -> None:
    world, _, _, cyd, room = trio
    twist(world, frames.CaughtUp, to=cyd, into=lambda _frame: [])
    miss_the_second(trio)
    assert cyd.session.room(room).reader.pruned == 1
    honest(world)
    world.relay.disconnect(cyd.connection)
    cyd.start()
    for come_back in (cyd.connect, cyd.connect, cyd.restart):
        come_back()
        world.settle()
        assert [warning.code for warning in cyd.told(Warned)] == ["gone"]  # Once is enough.
        cyd.disconnect()


def test_a_pruned_message_without_an_id_stops_the_room(trio) -> None:
    world, _, ben, cyd, room = trio
    twist(world, frames.Event, to=cyd, into=lambda event: [replace(event, kind=2, body=b"short")])
    say(ben, room, "hello")
    assert [ended.code for ended in cyd.told(Ended)] == ["security"]
    assert texts(ben) == ["hello"]


def test_who_is_here_is_what_the_relay_said_last(trio) -> None:
    world, ada, ben, cyd, room = trio
    for told, online in (([ben.identity], {ben.identity}), ([cyd.identity], {cyd.identity})):
        ada.session.receive(frames.Present(room, told), world.clock.now)
        assert ada.session.room(room).teller.online == online
    ada.session.receive(frames.Present(RoomId(bytes(32)), [ben.identity]), world.clock.now)
    ada.carry_out()
    changes = [(change.identity, change.online) for change in ada.told(PresenceChanged)][-2:]
    assert changes == [(ben.identity, False), (cyd.identity, True)]


def test_presence_is_told_once_and_of_members_alone(trio) -> None:
    world, ada, ben, _, room = trio
    dan = world.person("dan").identity
    ada.notices.clear()
    for identity, online in ((ben.identity, True), (dan, True), (ben.identity, False), (ben.identity, False)):
        ada.session.receive(frames.Presence(room, identity, online), world.clock.now)
    ada.carry_out()
    assert [(change.identity, change.online) for change in ada.told(PresenceChanged)] == [(ben.identity, False)]
    assert dan not in ada.session.room(room).teller.online


def test_who_is_cut_off_sees_nobody_online(trio) -> None:
    world, ada, _, _, room = trio
    ada.disconnect()
    assert not [one for one in ada.session.room(room).teller.people() if one.online]
    ada.connect()
    world.settle()
    assert all(one.online for one in ada.session.room(room).teller.people())


# --- what a profile brings back ---


def test_events_without_their_records_are_a_damaged_room(trio) -> None:
    _, _, ben, _, room = trio
    last = max(entry.n for entry in kept(ben, RecordEntry))
    del ben.disk[RecordEntry, room + last.to_bytes(4)]
    ben.restart()
    assert ben.session.damaged == {room}
    assert room not in ben.session.rooms


def test_what_was_not_read_before_a_rejoin_is_not_shown_after_it(trio) -> None:
    world, ada, ben, cyd, room = trio
    say(ben, room, "read")
    without_keys(world, cyd)
    ben.session.room(room).sender.renew()
    say(ben, room, "never read")
    honest(world)
    cyd.ask(cyd.session.act(room, acts.leave()))
    cyd.ask(cyd.session.join(invite(ada, room), "cyd"))
    shown = cyd.session.room(room).timeline.backlog()
    assert [str(said.text) for said in shown] == ["read"]


# --- bundles ---


def test_a_bundle_that_comes_again_is_learned_once() -> None:
    shared = context()
    own = make_bundle(Seed(b"o" * 32), counter=NOW, expires=NOW + BUNDLE_LIFE_MS, entropy=system_entropy).bundle
    peers = Peers(shared, [], lambda _: True)
    assert peers.learn(own.raw) == peers.learn(own.raw)
    assert len(shared.effects) == 1
    assert peers.usable(own.identity).raw == own.raw
    shared.now = own.expires
    assert peers.usable(own.identity) is None
    assert peers.usable(Identity.zero()) is None


def test_the_time_of_a_replacement_is_that_of_the_first() -> None:
    shared = context()
    ring = Keyring(shared, [])
    first = ring.renew(guest=False)
    for _ in range(2):
        shared.now += BUNDLE_ROTATE_MS
        ring.renew(guest=False)
    assert ring._entries[first.id].replaced == NOW + BUNDLE_ROTATE_MS
    assert ring.find(first.id) is first
    assert not ring.is_of_a_clone(b"no bundle")
    other = make_bundle(Seed(b"o" * 32), counter=2 * NOW, expires=2 * NOW + 1, entropy=system_entropy)
    assert not ring.is_of_a_clone(other.bundle.raw)
    ring.published(first.bundle.raw)
    ring.published(first.bundle.raw)
    assert ring.shown is first


# --- small things ---


def test_nobody_has_a_membership_in_a_room_of_others(trio) -> None:
    _, ada, _, _, room = trio
    register = ada.session.room(room).view.register
    assert register.inst_of(Identity.zero(), 0) is None
    assert register.inst_of(ada.identity, 0) == room


def test_a_line_of_the_log_names_the_room(trio) -> None:
    _, ada, _, _, room = trio
    teller = ada.session.room(room).teller
    for topic, line in (
        ("on call: ada", "named the room war room, topic: on call: ada"),
        ("", "named the room war room"),
    ):
        record = ada.ask(ada.session.act(room, acts.info("war room", topic)))
        assert teller.log_line(record) == line


def test_a_body_reads_as_it_was_written() -> None:
    assert read_body(b"\x01hello") == Text("hello")


def test_of_what_was_asked_for_as_much_is_remembered_as_can_wait(trio, monkeypatch: pytest.MonkeyPatch) -> None:
    world, ada, ben, cyd, room = trio
    monkeypatch.setattr(sender, "HELD_PER_ROOM_MAX", 1)
    without_keys(world, cyd)
    for person in (ben, ada):
        say(person, room, person.name)
    assert list(cyd.session.room(room).sender.asked) == [ada.session.room(room).sender.chain.id]


def test_of_what_was_asked_for_the_latest_is_remembered(trio, monkeypatch: pytest.MonkeyPatch) -> None:
    world, ada, ben, _, room = trio
    monkeypatch.setattr(sender, "HELD_PER_ROOM_MAX", 2)
    first, second, third = (ChainId(bytes([number]) * 32) for number in range(3))

    def asks(chain: ChainId) -> bool:
        world.relay.heard.clear()
        ben.session.room(room).sender.ask(chain, ada.identity)
        world.settle()
        return bool(heard(world, frames.Parcels))

    assert asks(first)
    world.pass_time(MINUTE_MS // 2)
    assert asks(second)
    world.pass_time(MINUTE_MS // 2)
    assert asks(first)
    assert asks(third)
    assert not asks(first)


# --- the receive order of §7 ---

FAULTS = ("signature", "muted", "index", "future", "fork", "commitment")


@pytest.mark.parametrize("first", range(len(FAULTS) + 1))
def test_of_several_faults_the_first_in_the_order_of_section_7_is_named(trio, first: int) -> None:
    """Otherwise a message that is refused anyway could claim a fork and stop a room, or cost its reader work."""
    _, ada, ben, cyd, room = trio
    faults = FAULTS[first:]
    if "muted" in faults:
        ada.ask(ada.session.act(room, acts.mute(ben.identity, muted=True)))
    its_reader = cyd.session.room(room).reader
    view, state = its_reader.view, its_reader.view.state
    chain = SendChain.begin(
        room=room, sender=ben.identity, inst=state.members[ben.identity].inst, n=state.n, head=state.head,
        epoch=state.epoch, prev=ChainId.zero(), prev_count=0, born=0, entropy=system_entropy,
    )  # fmt: skip
    chain.seal(
        n=state.n, head=state.head, s=1, transcript=view.history.last, plaintext=bytes(17), entropy=system_entropy
    )
    grant = chain.grant()
    assert grant.index == 1
    its_reader.accept(room, ben.identity, grant)
    s, key = view.history.s, message_key(grant.secret, chain.id, 1)
    header = Header(
        room,
        chain.id,
        0 if "index" in faults else 1,
        state.n,
        state.head,
        s + 1 if "future" in faults else s,
        Transcript(bytes(32)) if "fork" in faults else view.history.last,
    )
    key = MessageKey(bytes(32)) if "commitment" in faults else key
    signer = Seed(bytes(32)) if "signature" in faults else chain._SendChain__signer
    plain = b"\x01" + bytes(16) + b"hello"
    raw = seal_message(key, header, plain, signer, system_entropy).raw
    before = repr(its_reader.chains)
    view.pass_message(message_id(raw))
    outcome = its_reader.receive(raw)
    if faults:
        assert (outcome.reason, repr(its_reader.chains)) == (faults[0], before)
    else:
        assert outcome.plain == plain


def swap_the_last_two(world: World, person: Person, first: int) -> None:
    """Somebody who comes back is told event ``first`` behind the one that follows it, in each other's place."""
    told: list[frames.Event] = []

    def swap(event: frames.Event) -> list[frames.Event]:
        told.append(event)
        if event.s <= first:
            return [event] if event.s < first else []
        return [replace(told[-1], s=first), replace(told[-2], s=first + 1)]

    twist(world, frames.Event, to=person, into=swap)
    person.connect()
    world.settle()


def test_a_message_from_before_its_authors_join_is_not_read(trio) -> None:
    """The log is read first, so that the key of one who joined meanwhile is known before any event."""
    world, ada, _, cyd, room = trio
    cyd.disconnect()
    dan = joined(world, ada, room, "dan")
    join_s = ada.session.room(room).view.history.s
    say(dan, room, "hello")
    swap_the_last_two(world, cyd, join_s)
    assert texts(cyd) == []
    assert [(warning.code, warning.seq) for warning in cyd.told(Warned)] == [("undecryptable", join_s)]
    assert cyd.session.room(room).view.n == cyd.session.room(room).view.state.n


def test_a_message_that_comes_before_a_record_that_it_names_is_of_another_history(trio) -> None:
    """Ben knows the record, as it is his own, before its event; cyd has it from the log, before all events."""
    world, ada, ben, cyd, room = trio
    ada.ask(ada.session.act(room, acts.role(ben.identity, Role.ADMIN)))
    cyd.disconnect()
    twist(world, frames.Event, to=ben, into=lambda _event: [])
    ben.ask(ben.session.act(room, acts.info(None, "new")))
    record_s = ada.session.room(room).view.history.s
    say(ben, room, "hello")
    assert texts(ada) == ["hello"]
    swap_the_last_two(world, cyd, record_s)
    assert texts(cyd) == []
    assert [(warning.code, warning.seq) for warning in cyd.told(Warned)] == [("fork", record_s)]


def test_a_key_for_another_room_opens_nothing_here(trio) -> None:
    _, ada, ben, cyd, room = trio
    other, its_reader, grant = make_room(ada), cyd.session.room(room).reader, grant_of(ben, room)
    grant = dataclasses.replace(grant, statement=dataclasses.replace(grant.statement, room=other))
    for told in (room, other):
        with pytest.raises(ChainRefused) as refusal:
            its_reader.accept(told, ben.identity, grant)
        assert refusal.value.reason == "sender"
    assert not its_reader.chains


def test_who_has_a_key_of_which_nothing_came_misses_nothing(trio) -> None:
    """What it was given for was refused, and the next chain says that it was never in the room."""
    world, ada, _, _, room = trio
    say(ada, room, "before dan")
    dan = joined(world, ada, room, "dan")
    refuse(world, frames.Send, ("too-large", 0, ()))
    say(ada, room, "refused")
    assert dan.session.room(room).reader.chains
    say(ada, room, "hello dan")
    assert texts(dan) == ["hello dan"]
    assert not dan.told(Warned)
    has_key = [chain.id for chain in kept(dan, ChainEntry) if chain.secret is not None]
    assert has_key == [ada.session.room(room).sender.chain.id]


def test_what_was_pruned_before_the_next_chains_key_came_is_not_withheld(trio) -> None:
    _, _, ben, cyd, room = trio
    miss_the_second(trio)
    ben.session.room(room).sender.renew()
    say(ben, room, "third")
    assert texts(cyd) == ["first", "third"]
    assert [warning.code for warning in cyd.told(Warned)] == ["gone", "pruned"]


def test_what_was_pruned_explains_nothing_that_is_missing_later(trio) -> None:
    world, _, ben, cyd, room = trio
    miss_the_second(trio)
    say(ben, room, "third")
    refuse(world, frames.Send, ("limited", 0, ()))
    for text in ("fourth", "fifth"):
        ben.session.say(room, Text(text), 1)
    world.settle()
    assert texts(cyd) == ["first", "third", "fifth"]
    assert [warning.code for warning in cyd.told(Warned)] == ["gone", "pruned", "withheld"]


def test_what_was_pruned_explains_no_more_than_itself(trio) -> None:
    world, _, ben, cyd, room = trio
    miss_the_second(trio)
    refuse(world, frames.Send, ("limited", 0, ()))
    for text in ("third", "fourth"):
        ben.session.say(room, Text(text), 1)
    world.settle()
    assert texts(cyd) == ["first", "fourth"]
    assert [warning.code for warning in cyd.told(Warned)] == ["gone", "withheld"]


def test_what_was_said_before_the_room_was_closed_is_read_after_it(trio) -> None:
    world, ada, ben, cyd, room = trio
    cyd.disconnect()
    say(ben, room, "last words")
    ada.ask(ada.session.act(room, acts.close(None)))
    cyd.connect()
    world.settle()
    assert texts(cyd) == ["last words"]
    assert not cyd.told(Warned)
    assert [ended.code for ended in cyd.told(Ended)] == ["closed"]


def test_of_parcels_that_wait_for_the_logs_the_newest_are_kept_as_many_as_a_relay_may_store(trio) -> None:
    _, _, _, cyd, _ = trio
    cyd.disconnect()
    postbox, most = cyd.session.arrival.postbox, PARCELS_PER_RECIPIENT_BYTES_MAX // PARCEL_BYTES
    for token in range(most + 2):
        postbox.put(frames.Parcel(token, b""))
    assert [parcel.token for parcel in postbox.waiting] == list(range(2, most + 2))


@pytest.mark.parametrize("texts_after", [0, 1])
def test_what_was_redacted_before_one_learned_to_be_out_is_hidden_for_good(texts_after: int) -> None:
    """No event brings that REDACT any more: the log alone does."""
    world = World()
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    say(ben, room, "rude")
    for _ in range(texts_after):
        say(ada, room, "more")
    ben.disconnect()
    ada.ask(ada.session.act(room, acts.redact(ada.told(Said)[0].id)))
    ada.ask(ada.session.remove(room, acts.remove(ben.identity, "", ban=False)))
    ben.connect()
    world.settle()
    for _ in range(2):
        assert [str(line.text) for line in ben.session.rooms[room].timeline.backlog()] == ["more"] * texts_after
        ben.restart()
        world.settle()
