"""Attacks that a reviewer ran against an earlier state, each by a relay or a member that means harm."""

import pytest
from msgspec.structs import replace

from chaton.errors import InvalidLog
from chaton.identity.bundle import bundle_body
from chaton.identity.ids import MessageId, RoomId
from chaton.identity.statement import Label, Seed
from chaton.limits import BUNDLE_KEY_GRACE_MS, BUNDLE_ROTATE_MS, DAY_MS, HOUR_MS
from chaton.room.names import distinguish
from chaton.room.records import Role
from chaton.session import acts
from chaton.session.content import Text
from chaton.session.memory import OwnBundleEntry
from chaton.session.notices import Ended, Said, Warned
from chaton.vault.chain import SendChain
from chaton.vault.entropy import Entropy
from chaton.wire import frames
from chaton.wire.codec import PREFIX_BYTES, decode_of_client
from tests.session.world import START, Person, World, invite, joined, make_room, say, texts


def bundle_of(person: Person) -> bytes:
    return person.session.keyring.current.bundle.raw


def recipients(world: World) -> set[bytes]:
    heard = (decode_of_client(raw[PREFIX_BYTES:]) for raw in world.relay.heard)
    return {one.to for frame in heard if isinstance(frame, frames.Parcels) for one in frame.parcels}


def test_the_relay_does_not_choose_who_gets_a_key(world: World) -> None:
    """It names a newer bundle of somebody who was kicked, and who is known from a direct room."""
    ada = world.person("ada")
    room = make_room(ada)
    ben, cyd = joined(world, ada, room, "ben"), joined(world, ada, room, "cyd")
    ada.ask(ada.session.direct(cyd.identity))
    other = make_room(ada)
    cyd.ask(cyd.session.join(invite(ada, other), "cyd"))
    ada.ask(ada.session.remove(room, acts.remove(cyd.identity, "", ban=False)))
    world.relay.heard.clear()

    def twist(_number: int, frame: frames.AnyRelayFrame) -> list[frames.AnyRelayFrame]:
        if isinstance(frame, frames.ParcelsStored):
            return [replace(frame, stale=[*frame.stale, bundle_of(cyd)])]
        return [frame]

    world.relay.twist = twist
    say(ada, room, "cyd must not read this")
    assert texts(ben) == ["cyd must not read this"]
    assert recipients(world) == {ben.identity}


def test_a_bot_is_sealed_no_key(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben, bot = joined(world, ada, room, "ben"), joined(world, ada, room, "bot", flags=2)
    world.relay.heard.clear()
    say(ada, room, "not for bots")
    assert recipients(world) == {ben.identity}
    assert bot.identity in ada.session.rooms[room].view.state.members


def test_many_redactions_of_one_message_cost_little(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    timeline = ada.session.rooms[room].timeline
    say(ada, room, "hello")
    message = ada.told(Said)[0].id
    for number in range(300):
        ada.ask(ada.session.act(room, acts.redact(message)))
        world.clock.now += 2_000
        assert len(timeline.thread._acts.get(message, [])) <= number + 1
    assert len(timeline.redactions[message]) == 300


def leave_and(world: World, ada: Person, room: RoomId, ben: Person) -> None:
    ben.ask(ben.session.act(room, acts.leave()))
    assert ben.told(Ended)[-1].code == "left"


def test_a_rejoin_undoes_nothing_that_one_knew(world: World) -> None:
    """The relay shows a log that ends before a removal which this client has seen."""
    ada = world.person("ada")
    room = make_room(ada)
    ben, cyd = joined(world, ada, room, "ben"), joined(world, ada, room, "cyd")
    link = invite(ada, room)
    cut = ada.session.rooms[room].view.state.n
    ada.ask(ada.session.remove(room, acts.remove(cyd.identity, "", ban=False)))
    leave_and(world, ada, room, ben)

    def twist(_number: int, frame: frames.AnyRelayFrame) -> list[frames.AnyRelayFrame]:
        if isinstance(frame, frames.RecordsPage):
            return [replace(frame, records=frame.records[: cut + 1])]
        if isinstance(frame, frames.LogEnd):
            return [replace(frame, n=cut, head=bytes(ada.session.rooms[room].view.state.heads[cut]))]
        return [frame]

    world.relay.twist = twist
    with pytest.raises(InvalidLog):
        ben.ask(ben.session.join(link, "ben"))


@pytest.mark.parametrize("before_the_last", [0, 5])
def test_a_lie_about_ones_own_place_spoils_no_profile(world: World, before_the_last: int) -> None:
    ada = world.person("ada")
    room, other = make_room(ada), make_room(ada)
    ben = joined(world, ada, room, "ben")
    ben.ask(ben.session.join(invite(ada, other), "ben"))
    for text in ("one", "two", "three"):
        say(ada, room, text)
    leave_and(world, ada, room, ben)
    seen = ben.session.rooms[room].view.history.s - before_the_last

    def twist(_number: int, frame: frames.AnyRelayFrame) -> list[frames.AnyRelayFrame]:
        return [replace(frame, s=seen)] if isinstance(frame, frames.Accepted) else [frame]

    link = invite(ada, room)
    world.relay.twist = twist
    with pytest.raises(InvalidLog):
        ben.ask(ben.session.join(link, "ben"))
    world.relay.twist = lambda _, frame: [frame]
    ben.restart()
    world.settle()
    say(ada, other, "the other room goes on")
    assert texts(ben)[-1] == "the other room goes on"


def test_a_damaged_room_leaves_the_others_alone(world: World) -> None:
    ada = world.person("ada")
    room, other = make_room(ada), make_room(ada)
    ben = joined(world, ada, room, "ben")
    ben.ask(ben.session.join(invite(ada, other), "ben"))
    ben.disk = {place: raw for place, raw in ben.disk.items() if not (place[0].KIND == "record" and room in place[1])}
    ben.restart()
    world.settle()
    assert [(one.code, one.room) for one in ben.told(Warned)] == [("damaged", room)]
    say(ada, other, "the other room goes on")
    assert texts(ben)[-1] == "the other room goes on"


@pytest.mark.parametrize("answer", ["nothing", "refusals"])
def test_old_keys_are_erased_whatever_the_relay_says(world: World, answer: str) -> None:
    ada = world.person("ada")
    first = ada.session.keyring.current.id

    def twist(_number: int, frame: frames.AnyRelayFrame) -> list[frames.AnyRelayFrame]:
        if not isinstance(frame, frames.Done):
            return [frame]
        return [] if answer == "nothing" else [frames.Refused(frame.ref, "limited", "", 1, [])]

    world.relay.twist = twist
    for _ in range(4):
        world.pass_time(BUNDLE_ROTATE_MS)
        world.pass_time(BUNDLE_KEY_GRACE_MS)
    assert ada.session.keyring.find(first) is None
    assert (OwnBundleEntry, bytes(first)) not in ada.disk
    assert len(ada.session.keyring._opened) <= 2


def test_a_copied_message_is_no_second_one(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben, cyd = joined(world, ada, room, "ben"), joined(world, ada, room, "cyd")
    say(ada, room, "once")
    envelope = next(
        frame.envelope
        for raw in world.relay.heard
        if isinstance(frame := decode_of_client(raw[PREFIX_BYTES:]), frames.Send)
    )

    def copy():
        return (yield frames.Send(0, room, envelope))

    before = ben.session.rooms[room].view.history.s
    with pytest.raises(Exception, match="somebody else"):
        cyd.ask(copy())
    assert ben.session.rooms[room].view.history.s == before
    assert not ben.told(Warned)


@pytest.mark.parametrize("newer", [True, False])
def test_a_forged_clone_alarm_is_not_believed(world: World, newer: bool) -> None:
    """By newer keys that somebody else has signed, or by one's own of before, which are erased by now."""
    ada, eve = world.person("ada"), Seed(b"e" * 32)
    before = ada.session.keyring.current.bundle
    for _ in range(2):
        world.pass_time(BUNDLE_ROTATE_MS)
        world.pass_time(BUNDLE_KEY_GRACE_MS)
    assert ada.session.keyring.find(before.id) is None
    now = world.clock.now
    body = bundle_body(ada.identity, now + 1, now + DAY_MS, before.x25519, before.mlkem768)
    shown = body + eve.sign(Label.BUNDLE, body) if newer else before.raw
    world.relay.twist = lambda _, frame: (
        [replace(frame, bundles=[shown])] if isinstance(frame, frames.BundleList) else [frame]
    )
    ada.disconnect()
    ada.connect()
    world.settle()
    assert not ada.told(Warned)


def test_heartbeats_go_by_the_own_clock(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    world.relay.twist = lambda _, frame: [replace(frame, at=2**62)] if isinstance(frame, frames.Event) else [frame]
    say(ada, room, "hello")
    before = ada.session.rooms[room].view.history.s
    for _ in range(30):
        world.pass_time(HOUR_MS)
    assert ada.session.rooms[room].view.history.s > before
    assert DAY_MS < 30 * HOUR_MS


@pytest.mark.parametrize(
    "frame", [frames.Welcome(bytes(32), START, "x", frames.Limits(0, 0, 0, 0)), frames.LoggedIn([], [])]
)
def test_a_second_greeting_ends_the_connection(world: World, frame: frames.AnyRelayFrame) -> None:
    ada = world.person("ada")
    world.relay.tell(ada.connection, frame)
    world.settle()
    assert ada.hung_up is not None


def test_spent_chains_are_not_kept_again_and_again(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    for _ in range(20):
        world.pass_time(HOUR_MS)
        say(ada, room, "another chain")
    before = ben.session.context.keep
    kept: list[str] = []
    type(ben.session.context).keep = lambda context, entry: (kept.append(entry.KIND), before.__func__(context, entry))[
        1
    ]
    try:
        say(ada, room, "one more")
    finally:
        type(ben.session.context).keep = before.__func__
    assert kept.count("chain") == 1


def test_what_nobody_sees_makes_no_other_nick() -> None:
    from chaton.identity.ids import Identity

    ada, eve, ben = Identity(b"a" * 32), Identity(b"e" * 32), Identity(b"b" * 32)
    for invisible in ("\u200d", "\u200c", "\u034f", "\ufe0f", "\u3164", "\u2800", "\u180b", "\U000e0100"):
        assert distinguish([(ada, "ada", 1), (eve, "ada" + invisible, 2)])[eve].endswith("~" + eve.short)
    shown = distinguish([(ada, "ben~" + ben.short, 1), (ben, "ben", 2), (eve, "ben", 3)])
    assert len(set(shown.values())) == 3
    assert shown[ada] == f"ben~{ben.short}~{ada.short}"


def test_a_redaction_from_before_a_rejoin_hides(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    say(ben, room, "rude")
    message: MessageId = ada.told(Said)[0].id
    ada.ask(ada.session.remove(room, acts.remove(ben.identity, "", ban=False)))
    ada.ask(ada.session.act(room, acts.redact(message)))
    ben.ask(ben.session.join(invite(ada, room), "ben"))
    assert ben.session.rooms[room].timeline.backlog() == []
    ben.restart()
    world.settle()
    assert ben.session.rooms[room].timeline.backlog() == []


def test_a_mod_is_no_admin(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    ada.ask(ada.session.act(room, acts.role(ben.identity, Role.MOD)))
    with pytest.raises(Exception, match="rank"):
        ben.ask(ben.session.act(room, acts.info("mine", None)))
    ada.session.say(room, Text("still ada's"), 1)
    world.settle()
    assert ada.session.rooms[room].teller.name == "ops"


def test_one_members_broken_keys_keep_nobody_from_sending(world: World) -> None:
    """Ben signs and publishes keys that nothing can be sealed to; an honest relay cannot tell."""
    ada = world.person("ada")
    room = make_room(ada)
    ben, cyd = joined(world, ada, room, "ben"), joined(world, ada, room, "cyd")
    world.pass_time(2 * HOUR_MS)
    world.clock.now += 1
    own = ben.session.keyring.current.bundle
    body = bundle_body(ben.identity, world.clock.now, world.clock.now + DAY_MS, bytes(32), own.mlkem768)
    broken = body + ben.seed.sign(Label.BUNDLE, body)

    def publish():
        yield frames.Publish(0, broken)

    ben.ask(publish())
    say(ada, room, "hello")
    assert texts(cyd) == ["hello"]
    assert texts(ben) == []
    assert [warning.code for warning in ada.told(Warned)] == ["unreachable"]


class Remembering(dict):
    """A disk that forgets nothing."""

    written = b""

    def __setitem__(self, place: object, raw: bytes) -> None:
        self.written += raw
        super().__setitem__(place, raw)


def test_no_sending_chain_is_on_disk(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the secret and the signing key it begins with nor its present state, at any moment."""
    drawn: list[bytes] = []
    begin = SendChain.begin

    def watched(*, entropy: Entropy, **fields) -> SendChain:
        return begin(entropy=lambda size: drawn.append(entropy(size)) or drawn[-1], **fields)

    monkeypatch.setattr(SendChain, "begin", watched)
    ada = world.person("ada")
    ada.disk = disk = Remembering()
    room = make_room(ada)
    joined(world, ada, room, "ben")
    say(ada, room, "hello")
    ada.disconnect()
    ada.session.say(room, Text("not sent yet"), 2)
    ada.carry_out()
    grant = ada.session.rooms[room].sender.chain.grant()
    assert len(drawn) == 2
    for secret in (*drawn, grant.secret.reveal()):
        assert secret not in disk.written
    assert b"not sent yet" in disk.written
