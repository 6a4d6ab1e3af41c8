"""What is told of what others send, what is kept of it, and what a restart makes of that."""

import pytest
from msgspec.structs import replace

from chaton.identity.ids import Head, RoomId
from chaton.session import acts
from chaton.session.content import Text
from chaton.session.memory import ChainEntry, EarlyEntry, Entry, EventEntry, ForkEntry, HeldEntry, RoomEntry
from chaton.session.notices import Said, Warned
from chaton.session.reader import Opened
from chaton.vault.parcel import KIND_CHAIN
from chaton.wire import frames
from tests.session.test_bad_days import stopped
from tests.session.test_reading import grant_of, kept, post, without_keys
from tests.session.test_refusals import heard, honest, twist
from tests.session.world import Person, World, invite, joined, say, texts


def messages(person: Person) -> list[EventEntry]:
    return [entry for entry in kept(person, EventEntry) if entry.kind == frames.KIND_MESSAGE]


def again(person: Person) -> None:
    person.restart()
    person.world.settle()


def backlog(person: Person, room: RoomId) -> list[str]:
    return [str(said.text) for said in person.session.room(room).timeline.backlog()]


# --- what is told ---


@pytest.mark.parametrize(
    ("found", "code", "detail"),
    [
        ({"lost": 1}, "withheld", "1 message of ada before this: withheld by the relay, or lost"),
        ({"lost": 1, "lost_before": 2}, "withheld", "3 messages of ada before this: withheld by the relay, or lost"),
        ({"lost_before": 2, "pruned": True}, "pruned", "2 messages of ada before this: deleted by the relay's retention"),
        ({"doubled": 2}, "doubled", "ada takes 2 messages before this for unsent: the relay lies, or the profile is an older copy"),
        ({"stale": True}, "stale", "ada sent this before knowing of a removal; who was removed may have read it"),
    ],
)  # fmt: skip
def test_what_was_wrong_before_a_message_is_told_with_it(
    ben: Person, room: RoomId, found: dict, code: str, detail: str
) -> None:
    nothing = {"lost": 0, "pruned": False, "lost_before": 0, "doubled": 0, "stale": False}
    its = ben.session.room(room)
    (ada,) = set(its.view.state.members) - {ben.identity}
    its.inbox._tell_lost(Opened(7, ada, room, b"", **(nothing | found)))
    ben.carry_out()
    assert ben.told(Warned) == [Warned(room, code, detail, 7)]


def test_a_fork_names_who_claims_it_and_keeps_the_evidence(
    world: World, ada: Person, ben: Person, room: RoomId
) -> None:
    forked = grant_of(ada, room, head=Head(bytes(32)))
    post(world, ada.seed, ben, room, (KIND_CHAIN, forked.encode()))
    (warning,) = ben.told(Warned)
    assert warning.detail.startswith("ada holds another history of this room")
    assert [entry.evidence for entry in kept(ben, ForkEntry)] == [forked.statement.encode()]
    assert [entry.forked for entry in kept(ben, RoomEntry)] == [True]


def test_what_was_typed_during_a_fork_is_sent_when_the_person_goes_on(
    world: World, ada: Person, ben: Person, room: RoomId
) -> None:
    post(world, ada.seed, ben, room, (KIND_CHAIN, grant_of(ada, room, head=Head(bytes(32))).encode()))
    ben.session.say(room, Text("codes compared?"), 1)
    world.settle()
    assert texts(ada) == []
    ben.session.room(room).inbox.excuse()
    world.settle()
    assert texts(ada) == ["codes compared?"]


def test_a_repetition_is_told_as_one(ada: Person, ben: Person, room: RoomId) -> None:
    twist(ada.world, frames.Event, to=ben, into=lambda event: [event, replace(event, s=event.s + 1)])
    say(ada, room, "once")
    (warning,) = ben.told(Warned)
    assert warning.detail.endswith("or is a repetition")
    assert [(entry.state, entry.reason) for entry in messages(ben)] == [("opened", ""), ("unopened", "index")]


# --- what is kept ---


def test_a_key_is_kept_before_anything_was_said_with_it(world: World, ada: Person, ben: Person, room: RoomId) -> None:
    twist(world, frames.Event, to=ben, into=lambda _event: [])
    say(ada, room, "hello")
    assert len(kept(ben, ChainEntry)) == 1
    honest(world)
    world.relay.heard.clear()
    again(ben)
    assert texts(ben) == ["hello"]
    assert not ben.told(Warned)
    assert not heard(world, frames.Parcels)  # Nobody was asked for the key.


def test_a_key_is_kept_no_more_once_its_chain_is_over(ada: Person, ben: Person, room: RoomId) -> None:
    """That it was there is, so that nobody begins it again."""
    for text in ("one", "two"):
        ada.session.room(room).sender.renew()
        say(ada, room, text)
    chains = {entry.id: entry.secret is not None for entry in kept(ben, ChainEntry)}
    assert len(chains) == 2
    assert [chain for chain, has_key in chains.items() if has_key] == [ada.session.room(room).sender.chain.id]


def test_a_message_that_waited_is_kept_once_it_is_read(world: World, ada: Person, ben: Person, room: RoomId) -> None:
    without_keys(world, ben)
    say(ada, room, "hello")
    assert [entry.state for entry in messages(ben)] == ["held"]
    assert len(kept(ben, HeldEntry)) == 1
    honest(world)
    again(ben)
    assert texts(ben) == ["hello"]
    assert [entry.state for entry in messages(ben)] == ["opened"]
    assert not kept(ben, HeldEntry)
    again(ben)
    assert backlog(ben, room) == ["hello"]


def test_what_another_membership_waited_for_is_kept_no_more(
    world: World, ada: Person, ben: Person, room: RoomId
) -> None:
    without_keys(world, ben)
    say(ada, room, "never read")
    early = grant_of(ada, room, n=ada.session.room(room).view.state.n + 50)
    ben.session.room(room).inbox.take_grant(ada.identity, early)
    ben.carry_out()
    assert (len(kept(ben, HeldEntry)), len(kept(ben, EarlyEntry))) == (1, 1)
    honest(world)
    ben.ask(ben.session.act(room, acts.leave()))
    ben.ask(ben.session.join(invite(ada, room), "ben"))
    assert (kept(ben, HeldEntry), kept(ben, EarlyEntry)) == ([], [])
    reader = ben.session.room(room).reader
    assert (reader.dropped_messages, reader.dropped_grants) == ([], [])


def test_what_was_read_stays_when_a_stopped_room_is_joined_again(
    world: World, ada: Person, ben: Person, room: RoomId
) -> None:
    """It is the same membership, so that the relay shows everything since its JOIN once more."""
    say(ada, room, "hello")
    stopped(world, ben, room)
    ben.ask(ben.session.join(invite(ada, room), "ben"))
    world.settle()
    assert texts(ben) == ["hello"]
    again(ben)
    assert backlog(ben, room)[0] == "hello"
    assert not [said for said in ben.told(Said) if said.seq == messages(ben)[0].s][1:]


def test_a_message_says_how_new_its_authors_keys_are(ada: Person, ben: Person, room: RoomId) -> None:
    """So that a relay that shows older ones is not believed."""
    known = ben.session.peers.entry(ada.identity)
    known.counter = 0
    say(ada, room, "hello")
    assert known.counter == ada.session.keyring.shown.bundle.counter > 0


# --- what a restart brings back ---


def standing(person: Person, room: RoomId) -> dict[str, object]:
    """All that a restart could lose of where a person stands in a room."""
    its = person.session.room(room)
    return {
        "view": (its.view.n, its.view.state.n, its.view.history.s, its.view.history.last),
        "last": dict(its.reader.last),
        "pruned": its.reader.pruned,
        "chains": {chain: (known.started, known.read is None) for chain, known in its.reader.chains.items()},
        "passed": list(its.timeline.passed),
        "redactions": dict(its.timeline.redactions),
        "lines": backlog(person, room),
        "kept": {kind: len(kept(person, kind)) for kind in (*Entry.__subclasses__(),)},
    }


@pytest.mark.parametrize("membership", ["first", "second"])
def test_a_restart_changes_nothing(world: World, ada: Person, ben: Person, room: RoomId, membership: str) -> None:
    say(ada, room, "one")
    say(ben, room, "two")
    message = ada.told(Said)[0].id
    ada.ask(ada.session.act(room, acts.redact(message)))
    if membership == "second":
        link = invite(ada, room)
        ben.ask(ben.session.act(room, acts.leave()))
        ada.ask(ada.session.act(room, acts.redact(message)))  # The last record before the JOIN.
        ben.ask(ben.session.join(link, "ben"))
    cyd = joined(world, ada, room, "cyd")
    for person in (ada, ben, cyd):
        say(person, room, f"{person.name} is here")
    ada.ask(ada.session.act(room, acts.redact(ada.told(Said)[-1].id)))
    before = standing(ben, room)
    assert before["last"]
    assert before["redactions"]
    assert before["passed"]
    ben.disconnect()
    ben.start()
    assert standing(ben, room) == before
    ben.connect()
    world.settle()
    say(ben, room, "goes on")
    assert texts(ada)[-1] == "goes on"
    assert not [warning for person in (ada, ben, cyd) for warning in person.told(Warned)]


def test_the_first_message_of_a_direct_room_is_told_once(world: World, ada: Person, ben: Person, room: RoomId) -> None:
    direct = ada.ask(ada.session.direct(ben.identity))
    say(ada, direct, "psst")
    for _ in range(2):
        for person in (ada, ben):
            again(person)
            assert backlog(person, direct) == ["psst"]
            assert not person.told(Warned)
            assert [entry.state for entry in messages(person)] == ["own" if person is ada else "opened"]


def test_the_first_message_of_a_direct_room_counts_as_new(ada: Person, ben: Person, room: RoomId) -> None:
    direct = ada.ask(ada.session.direct(ben.identity))
    say(ada, direct, "psst")
    its = ben.session.room(direct)
    assert [str(said.text) for said in its.timeline.backlog(its.entry.read_s)] == ["psst"]


def test_where_nothing_was_lost_nothing_is_said_to_be(ada: Person, ben: Person, room: RoomId) -> None:
    say(ada, room, "hello")
    for person, state in ((ada, "own"), (ben, "opened")):
        (entry,) = messages(person)
        assert (entry.state, entry.lost, entry.lost_before, entry.pruned) == (state, 0, 0, False)


def test_the_backlog_begins_behind_an_event(ada: Person, ben: Person, room: RoomId) -> None:
    for text in ("one", "two", "three"):
        say(ada, room, text)
    timeline = ben.session.room(room).timeline
    assert [str(said.text) for said in timeline.backlog(ben.told(Said)[0].seq)] == ["two", "three"]


def test_a_fork_of_a_direct_room_names_the_other_one(world: World, ada: Person, ben: Person, room: RoomId) -> None:
    direct = ada.ask(ada.session.direct(ben.identity))
    say(ada, direct, "psst")
    post(world, ada.seed, ben, direct, (KIND_CHAIN, grant_of(ada, direct, head=Head(bytes(32))).encode()))
    (warning,) = ben.told(Warned)
    assert warning.detail.startswith("ada holds another history of this room")
