"""What becomes of a message that the relay does not take: sent again as it is, sealed anew, or handed back."""

import pytest
from msgspec.structs import replace

from chaton.identity.ids import ChainId, Identity, MessageId, RoomId
from chaton.identity.statement import Seed
from chaton.limits import BATCH_MAX, BUNDLE_LIFE_MS, HOUR_MS, MINUTE_MS
from chaton.relay.hub.effects import Decision, Reply
from chaton.session import acts
from chaton.session.audience import Delivery
from chaton.session.content import Content, React, Text
from chaton.session.content import Reply as Answer
from chaton.session.keyring import Peers
from chaton.session.memory import OutboxEntry
from chaton.session.notices import Rejected, Warned
from chaton.session.sender import WINDOW
from chaton.session.text import SafeText
from chaton.vault.bundle import make_bundle
from chaton.vault.entropy import system_entropy
from chaton.vault.parcel import KIND_NEED, Need
from chaton.wire import frames
from tests.session.test_keyring import NOW, context
from tests.session.test_reading import kept, post, without_keys
from tests.session.test_refusals import heard, held_back, refuse, tell_late, twist
from tests.session.world import Person, World, joined, make_room, only, say, texts

MESSAGE = MessageId(b"m" * 32)


def refuse_some(world: World, code: str, which: set[int]) -> list[bytes]:
    """Have the relay refuse those messages of all that are sent from now on, by number; all their envelopes."""
    sent: list[bytes] = []
    handle = world.relay.hub.handle

    def decide(session, frame, now):
        if isinstance(frame, frames.Send):
            sent.append(frame.envelope)
            if len(sent) in which:
                return Decision(now=[Reply(session.id, frames.Refused(frame.ref, code, "the test says so", 0, []))])
        return handle(session, frame, now)

    world.relay.hub.handle = decide
    return sent


@pytest.mark.parametrize(("before", "renews"), [([], False), (["a first one"], False), (["another chain"], True)])
def test_what_comes_too_fast_is_sent_again_as_it_is_and_not_before_its_time(
    ada: Person, ben: Person, room: RoomId, before: list[str], renews: bool
) -> None:
    for text in before:
        say(ada, room, text)
    if renews:
        ada.session.room(room).sender.renew()
    sent = refuse_some(ada.world, "limited", {1})
    say(ada, room, "hello")
    ada.world.pass_time(199)
    assert len(sent) == 1
    ada.world.pass_time(1)
    assert sent[0] == sent[1]
    assert texts(ben) == [*before, "hello"]


def test_the_relay_says_when_it_may_come_again(world: World, ada: Person, ben: Person, room: RoomId) -> None:
    refuse(world, frames.Send, ("limited", 5_000, ()))
    say(ada, room, "hello")
    world.pass_time(4_999)
    assert texts(ben) == []
    world.pass_time(1)
    assert texts(ben) == ["hello"]


def test_what_a_later_message_has_overtaken_is_sealed_anew(
    world: World, ada: Person, ben: Person, room: RoomId
) -> None:
    """Its index is passed: as it is, nobody could read it any more."""
    sent = refuse_some(world, "limited", {1, 3})
    for text in ("one", "two"):
        ada.session.say(room, Text(text), 1)
    world.settle()
    world.pass_time(1_000)
    world.pass_time(1_000)
    assert sent[2] == sent[0]
    assert sent[3] not in sent[:3]
    assert texts(ben) == ["two", "one"]
    assert [warning.code for warning in ben.told(Warned)] == ["withheld"]  # Between the two it was.


@pytest.mark.parametrize("code", ["epoch-moved", "bad-history"])
def test_what_is_to_be_sealed_anew_is_kept_unsealed(
    world: World, ada: Person, ben: Person, room: RoomId, code: str
) -> None:
    refuse_some(world, code, {1})
    say(ada, room, "hello")
    assert [(entry.envelope, entry.attempts) for entry in kept(ada, OutboxEntry)] == [(b"", 1)]
    world.pass_time(1_000)
    assert texts(ben) == ["hello"]
    assert kept(ada, OutboxEntry) == []


def test_what_the_relay_never_takes_is_sealed_anew_five_times_and_given_up(
    world: World, ada: Person, ben: Person, room: RoomId
) -> None:
    sent = refuse_some(world, "epoch-moved", set(range(100)))
    say(ada, room, "hello", ref=7)
    for _ in range(20):
        world.pass_time(1_000)
    assert len(set(sent)) == len(sent) == 1 + 5
    assert [(one.code, one.ref, one.text) for one in ada.told(Rejected)] == [("epoch-moved", 7, "hello")]
    assert kept(ada, OutboxEntry) == []


def test_what_follows_a_message_refused_for_good_is_not_sent_again(
    world: World, ada: Person, ben: Person, room: RoomId
) -> None:
    """Under the same chain it would be taken once the mute is over, and readers would miss what came before it."""
    say(ben, room, "before")
    muting = ada.session.begin(ada.session.act(room, acts.mute(ben.identity, muted=True)))
    for ref in (1, 2, 3):
        ben.session.say(room, Text(f"mmf {ref}"), ref)
    only(ada, lambda: muting in ada.answers)
    only(ben, lambda: ben.told(Rejected))
    ben.disconnect()
    ada.ask(ada.session.act(room, acts.mute(ben.identity, muted=False)))
    ben.restart()
    say(ben, room, "after", ref=4)
    assert [(one.code, one.ref) for one in ben.told(Rejected)] == [("muted", 1), ("muted", 2), ("muted", 3)]
    assert texts(ada) == ["before", "after"]
    assert ada.told(Warned) == []


def test_what_came_back_though_its_answer_was_lost_counts_as_sent(
    world: World, ada: Person, ben: Person, room: RoomId
) -> None:
    """Otherwise the next chain would say that it was refused, and readers would be warned of the relay."""
    say(ada, room, "one")
    ada.session.say(room, Text("two"), 2)
    ada.carry_out()
    ada.disconnect()
    ada.connect()
    world.settle()
    ada.session.room(room).sender.renew()
    say(ada, room, "three", ref=3)
    assert texts(ben) == ["one", "two", "three"]
    assert not ben.told(Warned)


def test_what_is_in_the_room_before_the_relay_says_that_it_took_it_is_not_missed(
    world: World, ada: Person, room: RoomId
) -> None:
    late = held_back(world, frames.Accepted, ada)
    say(ada, room, "hello")
    assert texts(ada) == ["hello"]
    tell_late(world, ada, late[0])
    for _ in range(2):
        world.pass_time(MINUTE_MS)
    assert ada.told(Warned) == []


def test_what_is_in_the_room_is_not_refused_any_more(world: World, ada: Person, ben: Person, room: RoomId) -> None:
    """Whatever a relay says of it behind its event."""
    late = held_back(world, frames.Accepted, ada)
    say(ada, room, "hello")
    tell_late(world, ada, frames.Refused(late[0].ref, "muted", "", 0, []))
    say(ada, room, "hello again")
    assert (texts(ben), ada.told(Rejected)) == (["hello", "hello again"], [])


def test_only_so_many_messages_are_sent_before_the_relay_answers(
    world: World, ada: Person, ben: Person, room: RoomId
) -> None:
    late = held_back(world, frames.Accepted, ada)
    said = [str(number) for number in range(WINDOW + 2)]
    for text in said:
        say(ada, room, text)
    assert len(heard(world, frames.Send)) == len(late) == WINDOW
    tell_late(world, ada, *late)
    assert texts(ben) == said


def test_a_chain_says_which_was_before_it_and_how_much_of_that_was_used(ada: Person, ben: Person, room: RoomId) -> None:
    for text in ("one", "two"):
        say(ada, room, text)
    ada.session.room(room).sender.renew()
    say(ada, room, "three")
    statements = [known.statement for known in ben.session.room(room).reader.chains.values()]
    assert [(one.prev, one.prev_count) for one in statements] == [(ChainId.zero(), 0), (statements[0].id, 2)]


def test_what_was_said_offline_and_after_a_restart_is_all_sent(
    world: World, ada: Person, ben: Person, room: RoomId
) -> None:
    ada.disconnect()
    for text in ("one", "two", "three"):
        say(ada, room, text)
        ada.start()
    ada.connect()
    world.settle()
    assert texts(ben) == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("content", "text"), [(Text("hello"), "hello"), (Answer(MESSAGE, "yes"), "yes"), (React(MESSAGE, add=True, emoji="x"), "")]
)  # fmt: skip
def test_what_is_handed_back_has_its_text(world: World, ada: Person, room: RoomId, content: Content, text: str) -> None:
    refuse(world, frames.Send, ("too-large", 0, ()))
    ada.session.say(room, content, 3)
    world.settle()
    assert [(one.code, one.ref, one.text) for one in ada.told(Rejected)] == [("too-large", 3, text)]
    assert kept(ada, OutboxEntry) == []


def test_a_key_for_more_than_a_frame_takes_goes_in_several() -> None:
    shared, seeds = context(), (Seed(number.to_bytes(32)) for number in range(BATCH_MAX + 1))
    peers, expires = Peers(shared, [], lambda _: True), NOW + BUNDLE_LIFE_MS
    own = [make_bundle(seed, counter=NOW, expires=expires, entropy=system_entropy) for seed in seeds]
    everybody = [peers.learn(one.bundle.raw).identity for one in own]
    delivery = Delivery(shared, peers, RoomId.zero(), KIND_NEED, bytes(72))
    sizes, served = [], []
    shared.desk.connected = True
    shared.desk.begin(delivery.to(everybody), lambda result, _error: served.append(result))
    while not served:
        frame = shared.effects.pop().frame
        sizes.append(len(frame.parcels))
        shared.desk.answer(frames.ParcelsStored(frame.ref, [], []))
    assert served == [set(everybody)]
    assert max(sizes) <= BATCH_MAX < sum(sizes)


def test_what_is_said_while_its_key_is_given_waits_for_it(world: World, ada: Person, ben: Person, room: RoomId) -> None:
    world.relay.heard.clear()
    for text in ("one", "two"):
        ada.session.say(room, Text(text), 1)
    world.settle()
    assert texts(ben) == ["one", "two"]
    assert len(heard(world, frames.Parcels)) == 1


def test_a_key_that_could_not_be_given_to_who_asked_comes_with_the_next_message(
    world: World, ada: Person, ben: Person, room: RoomId
) -> None:
    say(ada, room, "one")
    refuse(world, frames.Parcels, ("limited", 0, ()))
    asked = Need(ada.session.room(room).sender.chain.id, 0, ben.session.keyring.shown.id)
    post(world, ben.seed, ada, room, (KIND_NEED, asked.encode()))
    world.pass_time(1_000)
    world.relay.heard.clear()
    say(ada, room, "two")
    assert len(heard(world, frames.Parcels)) == 1
    assert texts(ben) == ["one", "two"]


def test_a_key_is_asked_for_once_a_minute(world: World, ada: Person, ben: Person, room: RoomId) -> None:
    without_keys(world, ben)
    world.relay.heard.clear()
    for text in ("one", "two"):
        say(ada, room, text)
    for passed_ms, asked in ((0, 1), (MINUTE_MS - 1, 1), (MINUTE_MS, 2)):
        world.pass_time(passed_ms)
        parcels = [one for frame in heard(world, frames.Parcels) for one in frame.parcels]
        assert [one.to for one in parcels].count(ada.identity) == asked


def test_who_has_no_keys_that_others_could_seal_to_names_none_and_asks_for_none(
    world: World, ada: Person, ben: Person, room: RoomId
) -> None:
    """As under a clock that is wrong from the first day."""
    twist(world, frames.Welcome, into=lambda welcome: [replace(welcome, now=welcome.now - 11 * MINUTE_MS)])
    cyd = joined(world, ada, room, "cyd")
    say(ben, room, "not for cyd")
    assert [warning.code for warning in cyd.told(Warned)] == ["clock", "waiting"]
    say(cyd, room, "what time is it?")
    assert texts(ada) == ["not for cyd", "what time is it?"]
    assert ada.session.peers.entry(cyd.identity).counter == 0


def test_keys_of_one_that_are_none_keep_nobody_else_from_being_reached(
    world: World, ada: Person, ben: Person, room: RoomId
) -> None:
    twist(world, frames.BundleList, to=ada, into=lambda told: [replace(told, bundles=[b"", *told.bundles])])
    say(ada, room, "hello")
    assert texts(ben) == ["hello"]


def test_keys_of_others_that_are_known_are_not_asked_for_again(
    world: World, ada: Person, ben: Person, room: RoomId
) -> None:
    say(ada, room, "one")
    ada.session.room(room).sender.renew()
    world.relay.heard.clear()
    say(ada, room, "two")
    assert texts(ben) == ["one", "two"]
    assert not heard(world, frames.Bundles)


def test_who_could_not_be_reached_is_tried_again_with_the_next_chain(
    world: World, ada: Person, ben: Person, room: RoomId
) -> None:
    bundles = world.relay.hub.memory.bundles
    his = bundles.pop(ben.identity)
    ada.session.peers.entry(ben.identity).bundle = b""
    say(ada, room, "one")
    assert [warning.code for warning in ada.told(Warned)] == ["unreachable"]
    bundles[ben.identity] = his
    ada.session.room(room).sender.renew()
    say(ada, room, "two")
    assert texts(ben) == ["two"]


def test_nobody_is_asked_for_a_key_who_is_in_another_room_whatever_the_relay_says(
    world: World, ada: Person, ben: Person, room: RoomId
) -> None:
    other = make_room(ben)
    cyd = joined(world, ben, other, "cyd")
    say(ben, other, "ben has keys of cyd")

    def lie(number: int, frame: frames.AnyRelayFrame) -> list[frames.AnyRelayFrame]:
        if number == ben.connection and isinstance(frame, frames.Parcel):
            return []
        return [replace(frame, sender=cyd.identity)] if isinstance(frame, frames.Event) else [frame]

    world.relay.twist = lie
    world.relay.heard.clear()
    say(ada, room, "hello")
    assert ben.session.room(room).reader.held
    assert [one.to for frame in heard(world, frames.Parcels) for one in frame.parcels] == [ben.identity]


def test_who_is_out_asks_nobody_for_keys(world: World, ada: Person, ben: Person, room: RoomId) -> None:
    world.relay.twist = lambda _, frame: [] if isinstance(frame, frames.Parcel) else [frame]
    say(ada, room, "ben waits for this")
    assert ben.session.room(room).reader.held
    ada.ask(ada.session.remove(room, acts.remove(ben.identity, "", ban=False)))
    world.relay.heard.clear()
    world.pass_time(2 * MINUTE_MS)
    assert not heard(world, frames.Parcels)


def test_who_joins_is_given_a_key_with_the_next_message_and_not_before(
    world: World, ada: Person, ben: Person, room: RoomId
) -> None:
    say(ada, room, "one")
    cyd = joined(world, ada, room, "cyd")
    world.relay.heard.clear()
    world.pass_time(MINUTE_MS)
    assert not heard(world, frames.Parcels)
    say(ada, room, "two")
    assert len(heard(world, frames.Parcels)) == 1
    assert texts(cyd) == ["two"]


@pytest.mark.usefixtures("ben")
def test_who_joins_is_given_no_key_of_a_chain_that_is_over(world: World, ada: Person, room: RoomId) -> None:
    """What waits for an answer keeps the next chain from beginning."""
    handle, unanswered = world.relay.hub.handle, []

    def decide(session, frame, now):
        if isinstance(frame, frames.Send):
            unanswered.append((session, frame))
            return Decision()
        return handle(session, frame, now)

    world.relay.hub.handle = decide
    say(ada, room, "one")
    world.pass_time(HOUR_MS)
    cyd = joined(world, ada, room, "cyd")
    world.relay.heard.clear()
    say(ada, room, "two", ref=2)
    assert not heard(world, frames.Parcels)
    world.relay.hub.handle = handle
    for session, frame in unanswered:
        world.relay.carry_out(handle(session, frame, world.clock.now))
    world.settle()
    assert texts(cyd) == ["two"]


@pytest.mark.parametrize(
    ("missed", "named"), [(5, "~04 cannot"), (6, "~04 and 1 more cannot"), (7, "~04 and 2 more cannot")]
)
def test_of_many_who_cannot_be_reached_five_are_named(ada: Person, room: RoomId, missed: int, named: str) -> None:
    sender = ada.session.room(room).sender
    sender.shown_name = lambda identity: SafeText(f"~{identity[:1].hex()}")
    sender._warn_unreachable([Identity(bytes([number]) * 32) for number in range(missed)])
    ada.carry_out()
    (warning,) = ada.told(Warned)
    assert warning.detail.startswith(f"~00, ~01, ~02, ~03, {named} be reached yet")
