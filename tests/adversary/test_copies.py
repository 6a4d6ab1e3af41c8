"""A passive copy of somebody's memory, an identity installed anew, and what lengths and times say (§§4, 6, 7, 10)."""

import contextlib

import pytest
from msgspec.structs import replace

from chaton.errors import ProtocolError
from chaton.identity.ids import RoomId
from chaton.limits import HOUR_MS, MINUTE_MS
from chaton.room.envelope import Envelope
from chaton.session.content import Action, Delete, Edit, React, Reply, Text
from chaton.session.notices import Said, Warned
from chaton.vault.chain import Grant, ReadChain
from chaton.vault.parcel import KIND_CHAIN, open_parcel
from chaton.wire import frames
from chaton.wire.codec import PREFIX_BYTES, decode_of_client
from tests.session.world import Person, World, invite, joined, make_room, say, texts


class Copy:
    """All keys that were in somebody's memory at one moment, and a tap at the relay.

    Args:
        at_the_relay: Whether it hears also what an honest relay refuses and forgets: parcels to outdated keys.
    """

    def __init__(self, victim: Person, room: RoomId, *, at_the_relay: bool = False) -> None:
        self.relay, self.victim, self.at_the_relay = victim.world.relay, victim.identity, at_the_relay
        own = victim.session.rooms[room]
        self.chains = {known.statement.id: known.read for known in own.reader.chains.values() if known.read}
        if own.sender.chain is not None:
            self._take(own.sender.chain.grant())
        self.bundles = list(victim.session.keyring._opened.values())
        self.relay.heard.clear()
        self.carried: list[bytes] = []
        self.relay.twist = self._tap

    def opens(self) -> list[str]:
        """The texts since then that it can read: it follows each chain, and opens each parcel that it can."""
        said = [decode_of_client(raw[PREFIX_BYTES:]) for raw in self.relay.heard]
        posted = [one.parcel for frame in said if isinstance(frame, frames.Parcels) for one in frame.parcels]
        for raw in posted if self.at_the_relay else self.carried:
            self._unwrap(raw)
        self.relay.heard.clear()
        sent = [Envelope.decode(frame.envelope) for frame in said if isinstance(frame, frames.Send)]
        return [text for envelope in sent if (text := self._read(envelope))]

    def _tap(self, _number: int, frame: frames.AnyRelayFrame) -> list[frames.AnyRelayFrame]:
        if isinstance(frame, frames.Parcel):
            self.carried.append(frame.parcel)
        return [frame]

    def _take(self, grant: Grant) -> None:
        self.chains.setdefault(grant.statement.id, ReadChain.accept(grant))

    def _unwrap(self, raw: bytes) -> None:
        for own in self.bundles:
            with contextlib.suppress(ProtocolError):
                parcel = open_parcel(raw, self.victim, own)
                if parcel.kind == KIND_CHAIN:
                    self._take(Grant.decode(parcel.body))

    def _read(self, envelope: Envelope) -> str:
        chain = self.chains.get(envelope.header.chain)
        if chain is None:
            return ""
        plain, self.chains[envelope.header.chain] = chain.open(envelope)
        return plain[17:].decode()


@pytest.fixture
def world() -> World:
    return World()


def talking(world: World) -> tuple[Person, Person, RoomId]:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    for person in (ada, ben):
        say(person, room, "before")
    return ada, ben, room


@pytest.mark.parametrize("after", ["an hour", "100 messages"])
def test_a_copy_of_a_senders_memory_opens_nothing_new_of_it(world: World, after: str) -> None:
    """The chain that was copied can be followed to its end; the next one has nothing of it, whoever listens where."""
    ada, ben, room = talking(world)
    copy = Copy(ada, room, at_the_relay=True)
    say(ada, room, "in the copied chain")
    assert copy.opens() == ["in the copied chain"]
    if after == "an hour":
        world.pass_time(HOUR_MS)
    else:
        for number in range(98):
            say(ada, room, str(number))
            world.clock.now += 100
        assert len(copy.opens()) == 98
    say(ada, room, "healed")
    assert copy.opens() == []
    assert texts(ben)[-1] == "healed"


def test_a_copy_of_a_readers_memory_opens_nothing_of_chains_begun_after_its_next_keys(world: World) -> None:
    """Ben's keys are replaced within the hour; a chain that was sealed to the old ones just before lives an hour more."""
    ada, ben, room = talking(world)
    copy = Copy(ben, room)
    world.pass_time(59 * MINUTE_MS)
    ada.session.rooms[room].sender.renew()
    say(ada, room, "sealed to the copied keys")
    assert copy.opens() == ["sealed to the copied keys"]
    for minute in range(60, 4 * 60):
        world.pass_time(MINUTE_MS)
        say(ada, room, f"minute {minute}")
        if copy.opens() == []:
            break
    assert texts(ben)[-1] == f"minute {minute}"
    assert minute <= 2 * 60
    for minute in range(10):
        world.pass_time(HOUR_MS)
        say(ada, room, f"later {minute}")
        assert copy.opens() == []


def test_with_the_relays_help_a_copied_reader_is_read_until_it_speaks_and_sees_that(world: World) -> None:
    """A relay that keeps ben's new keys back has others seal to the copied ones; his next message names the newer."""
    ada, ben, room = talking(world)
    copy = Copy(ben, room, at_the_relay=True)
    old = ben.session.keyring.current.bundle.raw

    def keep_back(number: int, frame: frames.AnyRelayFrame) -> list[frames.AnyRelayFrame]:
        if number == ada.connection and isinstance(frame, frames.ParcelsStored):
            return [replace(frame, stale=[])]
        kept = number == ada.connection and isinstance(frame, frames.BundleList)
        return [replace(frame, bundles=[old]) if kept else frame]

    world.relay.twist = keep_back
    for _ in range(5):
        world.pass_time(HOUR_MS)
    say(ada, room, "to keys five hours old")
    assert copy.opens() == ["to keys five hours old"]
    assert "to keys five hours old" not in texts(ben)
    assert [warning.code for warning in ben.told(Warned)] == ["waiting"]
    say(ben, room, "I cannot read you")
    world.pass_time(HOUR_MS)
    say(ada, room, "not to ben's old keys")
    assert copy.opens() == []
    assert {warning.code for warning in ada.told(Warned)} == {"unreachable"}


def test_an_identity_installed_anew_reads_nothing_again(world: World) -> None:
    """The relay tells every parcel and every message again to an installation that knows nothing but the identity."""
    ada, ben, room = talking(world)
    seen: list[frames.AnyRelayFrame] = []
    world.relay.twist = lambda number, frame: [seen.append(frame) or frame] if number == ben.connection else [frame]
    link = invite(ada, room, uses=2)
    say(ada, room, "read once")
    parcels = [frames.Parcel(row.token, row.raw) for row in world.relay.store.parcels(ben.identity, -1, 100)]
    ben.disconnect()
    world.clock.now += MINUTE_MS
    again = Person(world, "ben", ben.seed)
    world.people[1] = again
    again.connect()
    world.settle()
    again.ask(again.session.join(link, "ben"))
    for frame in (*parcels, *(one for one in seen if isinstance(one, frames.Parcel))):
        world.relay.tell(again.connection, frame)
    world.settle()
    assert texts(again) == []
    assert {one.code for one in again.told(Warned)} <= {"waiting", "undecryptable"}
    say(ada, room, "read now")
    assert texts(again)[-1] == "read now"
    assert "read once" not in texts(again)


def test_500_short_messages_have_one_length_and_leave_as_they_are_said(world: World) -> None:
    """Whatever they are: a word, a line, a reply, an edit, an emoji, a deletion."""
    ada, _, room = talking(world)
    line = ada.told(Said)[-2].id
    kinds = (Text("y"), Text("x" * 200), Action("waves"), Reply(line, "no"), Edit(line, "edited " * 9),
             React(line, True, "👍"), React(line, False, "👍"), Delete(line))  # fmt: skip
    world.relay.heard.clear()
    for number in range(500):
        world.clock.now += 110
        before = len(sent(world))
        ada.session.say(room, kinds[number % len(kinds)], 1)
        world.settle()
        assert len(sent(world)) == before + 1
    assert {len(envelope) for envelope in sent(world)} == {541}


@pytest.mark.parametrize("bucket", [256 << k for k in range(9)])
def test_a_length_says_the_bucket_and_nothing_else(world: World, bucket: int) -> None:
    ada, _, room = talking(world)
    world.relay.heard.clear()
    least = bucket // 2 - 17 if bucket > 256 else 1
    for size in sorted({least, least + 1, bucket * 3 // 4 - 18, bucket - 18}):
        say(ada, room, "x" * size)
        world.clock.now += 60_000
    assert {len(envelope) for envelope in sent(world)} == {bucket + 285}


def sent(world: World) -> list[bytes]:
    said = (decode_of_client(raw[PREFIX_BYTES:]) for raw in world.relay.heard)
    return [frame.envelope for frame in said if isinstance(frame, frames.Send)]
