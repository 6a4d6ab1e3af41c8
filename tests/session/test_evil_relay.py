"""A relay that lies: what the people it lies to see (docs/protocol.md §10)."""

import pytest
from msgspec.structs import replace

from chaton.errors import InvalidLog
from chaton.identity.bundle import parcel_recipient
from chaton.identity.ids import BundleId, Identity, RoomId
from chaton.identity.statement import Seed
from chaton.limits import DAY_MS, HOUR_MS, MINUTE_MS
from chaton.relay.hub.effects import Decision, Reply
from chaton.room.link import Link
from chaton.room.records import Join, Record, sign_record
from chaton.session import acts
from chaton.session.content import Text
from chaton.session.notices import Ended, Said, Warned
from chaton.vault.bundle import make_bundle
from chaton.vault.entropy import system_entropy
from chaton.vault.parcel import open_parcel
from chaton.wire import frames
from chaton.wire.codec import PREFIX_BYTES, decode_of_client
from tests.session.world import START, Person, World, invite, joined, make_room, say, texts


class Trio:
    """Ada owns a room; ben and cyd are in it, and have read from each other."""

    def __init__(self) -> None:
        self.world = World()
        self.ada = self.world.person("ada")
        self.room = make_room(self.ada)
        self.ben = joined(self.world, self.ada, self.room, "ben")
        self.cyd = joined(self.world, self.ada, self.room, "cyd")
        for person in (self.ada, self.ben, self.cyd):
            say(person, self.room, f"{person.name} is here")

    def lie_to(self, person: Person, lie) -> None:
        """From now on, events for this person pass through ``lie``: an Event to the events told instead."""

        def twist(number: int, frame: frames.AnyRelayFrame) -> list[frames.AnyRelayFrame]:
            if number == person.connection and isinstance(frame, frames.Event):
                return lie(frame)
            return [frame]

        self.world.relay.twist = twist

    def honest(self) -> None:
        self.world.relay.twist = lambda _, frame: [frame]


@pytest.fixture
def trio() -> Trio:
    return Trio()


def warnings(person: Person) -> list[str]:
    return [warning.code for warning in person.told(Warned)]


def test_a_skipped_event_stops_the_room(trio: Trio) -> None:
    trio.lie_to(trio.ben, lambda _event: [])
    say(trio.ada, trio.room, "hidden from ben")
    trio.honest()
    say(trio.ada, trio.room, "next")
    assert warnings(trio.ben) == ["invalid-log"]
    assert trio.ben.told(Ended)[0].code == "security"
    assert "next" not in texts(trio.ben)


def test_who_is_told_nothing_more_learns_it_from_an_own_message(trio: Trio) -> None:
    trio.lie_to(trio.ben, lambda _event: [])
    say(trio.ada, trio.room, "hidden from ben")
    say(trio.ben, trio.room, "is anybody here?")
    trio.world.pass_time(MINUTE_MS - 1)
    assert warnings(trio.ben) == []
    for _ in range(2):
        trio.world.pass_time(1)
        assert warnings(trio.ben) == ["held-back"]
    assert texts(trio.ada)[-1] == "is anybody here?"


def test_who_is_out_misses_nothing_of_what_was_said_before(trio: Trio) -> None:
    trio.lie_to(trio.ben, lambda event: [event] if event.kind == frames.KIND_RECORD else [])
    say(trio.ben, trio.room, "last words")
    trio.ben.session.rooms[trio.room].end("kicked", "")
    trio.world.pass_time(2 * MINUTE_MS)
    assert warnings(trio.ben) == []


def renumber(shift: int):
    return lambda event: [replace(event, s=event.s + shift)]


def test_a_message_dropped_for_one_shows_at_the_next(trio: Trio) -> None:
    trio.lie_to(trio.ben, lambda _event: [])
    say(trio.ada, trio.room, "hidden from ben")
    trio.lie_to(trio.ben, renumber(-1))
    say(trio.ada, trio.room, "next")
    assert "withholding" in trio.ben.told(Warned)[0].detail
    assert "next" not in texts(trio.ben)


def swap_two(trio: Trio) -> None:
    """Ben is shown two messages in another order than everybody else."""
    kept: list[frames.Event] = []

    def swap(event: frames.Event) -> list[frames.Event]:
        kept.append(event)
        if len(kept) < 2:
            return []
        first, second = kept
        return [replace(second, s=first.s), replace(first, s=second.s)]

    trio.lie_to(trio.ben, swap)
    for person in (trio.ada, trio.cyd):
        person.session.say(trio.room, Text("at once"), 1)
    trio.world.settle()
    trio.honest()
    assert texts(trio.ben).count("at once") == 2


def test_two_messages_in_another_order_show_at_the_next(trio: Trio) -> None:
    swap_two(trio)
    say(trio.ada, trio.room, "the next")
    assert warnings(trio.ben) == ["fork"]
    assert "the next" not in texts(trio.ben)
    sent = sent_by(trio.ben)
    say(trio.ben, trio.room, "anybody?")
    assert (sent, len(trio.ben.session.rooms[trio.room].outbox)) == ([], 1)


def test_the_person_may_go_on_after_a_fork_and_is_not_asked_again(trio: Trio) -> None:
    swap_two(trio)
    say(trio.ada, trio.room, "next")
    trio.ben.session.rooms[trio.room].inbox.excuse()
    say(trio.ada, trio.room, "and next")
    assert warnings(trio.ben) == ["fork", "undecryptable"]
    assert not trio.ben.session.rooms[trio.room].entry.forked
    trio.ben.restart()
    trio.world.settle()
    say(trio.ada, trio.room, "and the one after")
    assert warnings(trio.ben) == ["fork", "undecryptable", "undecryptable"]


def test_a_fork_outlives_a_restart(trio: Trio) -> None:
    swap_two(trio)
    say(trio.ada, trio.room, "next")
    assert warnings(trio.ben) == ["fork"]
    trio.ben.restart()
    trio.world.settle()
    sent = sent_by(trio.ben)
    say(trio.ben, trio.room, "anybody?")
    assert (sent, len(trio.ben.session.rooms[trio.room].outbox)) == ([], 1)


def sent_by(person: Person) -> list[frames.Send]:
    """All messages that a client sends from now on, whatever becomes of them."""
    sent, relay = [], person.world.relay
    hear = relay.hear

    def listening(number: int, raw: bytes) -> None:
        frame = decode_of_client(raw[PREFIX_BYTES:])
        if number == person.connection and isinstance(frame, frames.Send):
            sent.append(frame)
        hear(number, raw)

    relay.hear = listening
    return sent


def half_said(trio: Trio) -> None:
    """Ben waits for the answer to his new chain's keys, and has sealed nothing yet."""
    trio.ben.session.rooms[trio.room].sender.renew()
    trio.ben.session.say(trio.room, Text("anybody?"), 9)
    trio.ben.carry_out()


def to_be_sent_again(trio: Trio) -> None:
    """Ben was told to send his message again a little later."""
    handle = trio.world.relay.hub.handle

    def decide(session, frame, now):
        if session.id == trio.ben.connection and isinstance(frame, frames.Send):
            return Decision(now=[Reply(session.id, frames.Refused(frame.ref, "limited", "", 1_000, []))])
        return handle(session, frame, now)

    trio.world.relay.hub.handle = decide
    trio.ben.session.say(trio.room, Text("anybody?"), 9)
    trio.ben.carry_out()
    trio.world.relay.hub.handle = handle


@pytest.mark.parametrize("say_something", [half_said, to_be_sent_again])
def test_what_was_said_before_a_fork_is_seen_is_not_sent_either(trio: Trio, say_something) -> None:
    """It waits until the person goes on, over time and restarts: no relay has to refuse it."""
    swap_two(trio)
    trio.ada.session.say(trio.room, Text("the next"), 1)
    trio.ada.carry_out()
    say_something(trio)
    sent = sent_by(trio.ben)
    trio.world.settle()
    assert warnings(trio.ben) == ["fork"]
    trio.world.pass_time(2_000)
    trio.ben.restart()
    trio.world.settle()
    trio.ben.session.say(trio.room, Text("nobody?"), 10)
    trio.world.pass_time(2 * MINUTE_MS)
    assert [entry.ref for entry in trio.ben.session.rooms[trio.room].outbox] == [9, 10]
    assert sent == []
    trio.ben.session.rooms[trio.room].inbox.excuse()
    trio.world.settle()
    assert len(sent) > 0


@pytest.mark.parametrize("at", [4, 70, 100, 150, 240, 300, -1])
def test_a_changed_byte_is_not_read(trio: Trio, at: int) -> None:
    def flip(event: frames.Event) -> list[frames.Event]:
        body = bytearray(event.body)
        body[at] ^= 1
        return [replace(event, body=bytes(body))]

    trio.lie_to(trio.ben, flip)
    say(trio.ada, trio.room, "the truth")
    assert "the truth" not in texts(trio.ben)
    assert warnings(trio.ben) == ["undecryptable"]


def test_a_message_shown_twice_is_read_once(trio: Trio) -> None:
    trio.lie_to(trio.ben, lambda event: [event, replace(event, s=event.s + 1)])
    say(trio.ada, trio.room, "once")
    assert texts(trio.ben).count("once") == 1
    assert warnings(trio.ben) == ["undecryptable"]


def test_a_message_that_is_refused_and_shown_is_told_when_it_comes_again(trio: Trio) -> None:
    """Ada is told that her message was refused and seals it anew; by then the others have been shown it."""
    refused: list[int] = []

    def twist(number: int, frame: frames.AnyRelayFrame) -> list[frames.AnyRelayFrame]:
        if number == trio.ada.connection and isinstance(frame, frames.Accepted) and not refused:
            refused.append(frame.ref)
            return [frames.Refused(frame.ref, "epoch-moved", "the test says so", 0, [])]
        return [frame]

    trio.world.relay.twist = twist
    say(trio.ada, trio.room, "pay 100")
    trio.world.pass_time(2_000)
    for person in (trio.ben, trio.cyd):
        assert texts(person).count("pay 100") == 2
        (warning,) = person.told(Warned)
        again = person.told(Said)[-1]
        assert (warning.code, warning.seq) == ("doubled", again.seq)
        assert "ada takes 1 message before this for unsent" in warning.detail


def test_a_message_under_another_senders_name_names_the_true_one(trio: Trio) -> None:
    trio.lie_to(trio.ben, lambda event: [replace(event, sender=bytes(trio.cyd.identity))])
    say(trio.ada, trio.room, "by ada")
    assert trio.ben.told(Said)[-1].identity == trio.ada.identity


def test_a_record_that_cannot_follow_stops_the_room(trio: Trio) -> None:
    state = trio.ada.session.rooms[trio.room].view.state
    ghost = Seed(b"g" * 32)
    key = Seed(b"k" * 32)
    fake = sign_record(
        Join(key.public, b""), seed=ghost, room=trio.room, n=state.n + 1, prev=state.head, t=0, invite=key
    )
    trio.lie_to(trio.ben, lambda event: [replace(event, kind=0, body=fake.raw)])
    say(trio.ada, trio.room, "hello")
    assert trio.ben.told(Ended)[0].code == "security"
    assert Identity(ghost.public) not in trio.ben.session.rooms[trio.room].view.state.members


def test_a_hidden_removal_is_bounded_and_shown(trio: Trio) -> None:
    trio.lie_to(trio.ben, lambda _event: [])
    trio.ada.ask(trio.ada.session.remove(trio.room, acts.remove(trio.cyd.identity, "", ban=False)))
    ben_room = trio.ben.session.rooms[trio.room]
    trio.ben.session.say(trio.room, Text("still to cyd"), 1)
    trio.ben.carry_out()
    # An honest relay would refuse it (epoch-moved); this one puts it into the room for everybody.
    sealed = ben_room.outbox[0].envelope
    view = trio.ada.session.rooms[trio.room].view
    event = frames.Event(trio.room, view.history.s + 1, START, 1, bytes(trio.ben.identity), sealed)
    trio.ada.session.receive(event, START)
    trio.ada.carry_out()
    assert "still to cyd" in texts(trio.ada)
    assert trio.ada.told(Said)[-1].stale
    assert "stale" in warnings(trio.ada)


def test_another_log_at_login_stops_the_room(trio: Trio) -> None:
    trio.ben.disconnect()
    trio.ada.ask(trio.ada.session.act(trio.room, acts.info("renamed", None)))

    def twist(number: int, frame: frames.AnyRelayFrame) -> list[frames.AnyRelayFrame]:
        if number == trio.ben.connection and isinstance(frame, frames.RecordsPage):
            return [replace(frame, records=[raw[:-1] + bytes([raw[-1] ^ 1]) for raw in frame.records])]
        return [frame]

    trio.world.relay.twist = twist
    trio.ben.start()
    trio.ben.connect()
    trio.world.settle()
    assert trio.ben.told(Ended)[0].code == "security"


def test_another_last_record_at_login_stops_the_room(trio: Trio) -> None:
    def twist(number: int, frame: frames.AnyRelayFrame) -> list[frames.AnyRelayFrame]:
        if number == trio.ben.connection and isinstance(frame, frames.LogEnd):
            other = trio.ada.session.rooms[trio.room].view.records[-1].raw
            return [frames.RecordsPage(frame.ref, frame.n, [other[:-1] + bytes([other[-1] ^ 1])]), frame]
        return [frame]

    trio.ben.disconnect()
    trio.world.relay.twist = twist
    trio.ben.connect()
    trio.world.settle()
    assert trio.ben.told(Ended)[0].code == "security"


def test_a_log_cut_short_at_login_is_not_believed(trio: Trio) -> None:
    trio.ben.disconnect()
    trio.ada.ask(trio.ada.session.act(trio.room, acts.info("renamed", None)))

    def twist(number: int, frame: frames.AnyRelayFrame) -> list[frames.AnyRelayFrame]:
        if number == trio.ben.connection and isinstance(frame, frames.RecordsPage):
            return []
        return [frame]

    trio.world.relay.twist = twist
    trio.ben.start()
    trio.ben.connect()
    trio.world.settle()
    assert trio.ben.told(Ended)[0].code == "security"


def test_a_bundle_that_the_relay_made_is_not_sealed_to(trio: Trio) -> None:
    """The relay answers for ben with keys of its own; without his signature they are worth nothing."""
    relay_seed = Seed(b"r" * 32)
    fake = make_bundle(relay_seed, counter=START, expires=START + 1000, entropy=system_entropy)
    forged = b"CB\x01" + trio.ben.identity + fake.bundle.raw[35:]

    def twist(_number: int, frame: frames.AnyRelayFrame) -> list[frames.AnyRelayFrame]:
        if isinstance(frame, frames.BundleList):
            return [replace(frame, bundles=[forged, fake.bundle.raw])]
        return [frame]

    trio.world.relay.twist = twist
    trio.cyd.session.peers._entries.clear()
    trio.cyd.session.peers._bundles.clear()
    trio.cyd.session.rooms[trio.room].sender.renew()
    trio.world.relay.heard.clear()
    say(trio.cyd, trio.room, "who reads this?")
    posted = [
        frame
        for raw in trio.world.relay.heard
        if isinstance(frame := decode_of_client(raw[PREFIX_BYTES:]), frames.Parcels)
    ]
    assert not any(one.to == trio.ben.identity for frame in posted for one in frame.parcels)
    assert "unreachable" in warnings(trio.cyd)


def sealed_to(trio: Trio, person: Person) -> list[BundleId]:
    """The bundles of somebody that the others have sealed to since the relay began to listen."""
    heard = (decode_of_client(raw[PREFIX_BYTES:]) for raw in trio.world.relay.heard)
    parcels = [one for frame in heard if isinstance(frame, frames.Parcels) for one in frame.parcels]
    return [parcel_recipient(one.parcel) for one in parcels if one.to == person.identity]


def hand_out(trio: Trio, raw: bytes) -> None:
    """The relay has this bundle for whoever asks for some, and names it as newer than what was sealed to."""

    def twist(_number: int, frame: frames.AnyRelayFrame) -> list[frames.AnyRelayFrame]:
        if isinstance(frame, frames.BundleList):
            return [replace(frame, bundles=[*frame.bundles, raw])]
        if isinstance(frame, frames.ParcelsStored):
            return [replace(frame, stale=[*frame.stale, raw])]
        return [frame]

    trio.world.relay.twist = twist
    trio.world.relay.heard.clear()


@pytest.mark.parametrize("days", [13, 15])
def test_a_bundle_past_its_end_is_not_sealed_to(trio: Trio, days: int) -> None:
    """Ben is away, and the relay hands out the last keys that he has published; before their end they are good."""
    old = trio.ben.session.keyring.shown.bundle
    trio.ben.disconnect()
    hand_out(trio, old.raw)
    trio.world.pass_time(days * DAY_MS)
    say(trio.ada, trio.room, "who reads this?")
    assert "who reads this?" in texts(trio.cyd)
    assert set(sealed_to(trio, trio.ben)) == ({old.id} if days < 14 else set())
    assert set(warnings(trio.ada)) == {"unreachable"}


def test_older_keys_than_were_sealed_to_are_not_sealed_to_again(trio: Trio) -> None:
    old = trio.ben.session.keyring.shown.bundle
    trio.world.pass_time(HOUR_MS)
    say(trio.ben, trio.room, "with newer keys")
    new = trio.ben.session.keyring.shown.bundle
    say(trio.ada, trio.room, "to the newer keys")
    assert old.counter < new.counter
    assert sealed_to(trio, trio.ben)[-1] == new.id
    hand_out(trio, old.raw)
    for person in (trio.ada, trio.cyd):
        person.session.rooms[trio.room].sender.renew()
        say(person, trio.room, "who reads this?")
        assert set(warnings(person)) == {"unreachable"}
    assert set(sealed_to(trio, trio.ben)) == {new.id}


def test_garbage_parcels_are_dropped_without_an_answer(trio: Trio) -> None:
    trio.world.relay.heard.clear()
    current = trio.ben.session.keyring.current
    for raw in (b"", bytes(1747), b"CX\x01" + bytes(1744), b"CX\x01" + current.id + bytes(1712)):
        trio.world.relay.tell(trio.ben.connection, frames.Parcel(7, raw))
    trio.world.settle()
    heard = [decode_of_client(raw[PREFIX_BYTES:]) for raw in trio.world.relay.heard]
    assert {type(frame) for frame in heard} == {frames.ParcelTaken}
    assert not warnings(trio.ben)


def test_a_kicked_member_with_all_its_keys_opens_nothing_afterwards(trio: Trio) -> None:
    """A recorder that holds every key cyd ever had, and hears every byte that the others send the relay."""
    trio.world.relay.heard.clear()
    chains = [known.read for known in trio.cyd.session.rooms[trio.room].reader.chains.values() if known.read]
    own = [trio.cyd.session.keyring.find(bundle) for bundle in trio.cyd.session.keyring._opened]
    assert len(chains) == 2
    trio.ada.ask(trio.ada.session.remove(trio.room, acts.remove(trio.cyd.identity, "", ban=False)))
    for person in (trio.ada, trio.ben):
        say(person, trio.room, "cyd must not read this")
    heard = [decode_of_client(raw[PREFIX_BYTES:]) for raw in trio.world.relay.heard]
    sent = [frame.envelope for frame in heard if isinstance(frame, frames.Send)]
    parcels = [one.parcel for frame in heard if isinstance(frame, frames.Parcels) for one in frame.parcels]
    assert len(sent) == 2
    assert parcels
    from chaton.errors import ProtocolError
    from chaton.room.envelope import Envelope

    opened = 0
    for raw in sent:
        for chain in chains:
            try:
                chain.open(Envelope.decode(raw))
                opened += 1
            except ProtocolError:
                continue
    for raw in parcels:
        for bundle in own:
            try:
                open_parcel(raw, trio.cyd.identity, bundle)
                opened += 1
            except ProtocolError:
                continue
    assert opened == 0
    assert "cyd must not read this" in texts(trio.ada)
    assert not any(b"cyd must not" in raw for raw in trio.world.relay.heard)


def test_a_record_in_a_direct_room_stops_it(trio: Trio) -> None:
    direct = trio.ada.ask(trio.ada.session.direct(trio.ben.identity))
    view = trio.ada.session.rooms[direct].view
    event = frames.Event(direct, view.history.s + 1, START, 0, bytes(trio.ben.identity), b"")
    trio.ada.session.receive(event, START)
    trio.ada.carry_out()
    assert trio.ada.told(Ended)[0].room == direct


def test_the_relay_hears_no_name_and_no_text(trio: Trio) -> None:
    for secret in (b"ops", b"a topic", b"ada", b"ben", b"is here"):
        assert not any(secret in raw for raw in trio.world.relay.heard if len(raw) < 1_000), secret


def test_a_join_of_one_room_seats_nobody_in_another(trio: Trio) -> None:
    """A JOIN captured in one room does not seat anybody in another."""
    other = make_room(trio.ada)
    joins = [record for record in trio.ben.session.rooms[trio.room].view.records if isinstance(record.body, Join)]
    view = trio.ada.session.rooms[other].view
    event = frames.Event(other, view.history.s + 1, START, 0, bytes(trio.ben.identity), joins[0].raw)
    trio.ada.session.receive(event, START)
    trio.ada.carry_out()
    assert trio.ada.told(Ended)[0].room == RoomId(other)
    assert isinstance(Record.decode(joins[0].raw).body, Join)


def test_a_record_that_lost_its_race_to_itself_is_done(trio: Trio) -> None:
    records = trio.world.relay.hub.memory.rooms[trio.room].records
    before = len(records)

    def twist(_number: int, frame: frames.AnyRelayFrame) -> list[frames.AnyRelayFrame]:
        lost = isinstance(frame, frames.Accepted)
        return [frames.Refused(frame.ref, "head-moved", "", 0, records[before:])] if lost else [frame]

    trio.world.relay.twist = twist
    assert trio.ada.ask(trio.ada.session.act(trio.room, acts.info("new", None))).n == before
    assert len(records) == before + 1


def test_a_record_of_one_room_stops_another_of_the_same_people(trio: Trio) -> None:
    """It would follow there by its number and by who has signed it."""
    other = make_room(trio.ada)
    for person in (trio.ben, trio.cyd):
        person.ask(person.session.join(invite(trio.ada, other), person.name))
    own = trio.ben.session.rooms
    assert own[other].view.state.n == own[trio.room].view.state.n
    trio.lie_to(trio.ben, lambda event: [replace(event, room=other, s=own[other].view.history.s + 1)])
    trio.ada.ask(trio.ada.session.act(trio.room, acts.info("new name", None)))
    (ended,) = trio.ben.told(Ended)
    assert (ended.room, ended.code) == (other, "security")


def test_a_link_opens_no_other_room_than_its_own(trio: Trio) -> None:
    """Made of two links, so that its key opens the one room, and its head is of the other."""
    one, other = invite(trio.ada, trio.room), invite(trio.ada, make_room(trio.ada))
    records = [record.raw for record in trio.ada.session.rooms[trio.room].view.records]
    dan = trio.world.person("dan")

    def twist(number: int, frame: frames.AnyRelayFrame) -> list[frames.AnyRelayFrame]:
        shown = number == dan.connection and isinstance(frame, frames.RecordsPage)
        return [replace(frame, records=records)] if shown else [frame]

    trio.world.relay.twist = twist
    mixed = Link(other.address, other.room, one.n, one.head, other.seed, one.rik)
    with pytest.raises(InvalidLog, match="another log"):
        dan.ask(dan.session.join(mixed, "dan"))
