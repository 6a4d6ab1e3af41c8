"""Parcels that are no good, at whatever depth: whoever hears the answers learns nothing from them (§5)."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from chaton.errors import ProtocolError
from chaton.identity.bundle import Bundle
from chaton.identity.ids import BundleId, ChainId, RoomId
from chaton.identity.statement import Label, Seed
from chaton.session.effects import Effect, Transmit
from chaton.session.memory import ChainEntry, OwnBundleEntry, encode_entry
from chaton.session.room import Room
from chaton.vault import parcel as module
from chaton.vault.bundle import make_bundle
from chaton.vault.chain import SendChain
from chaton.vault.entropy import system_entropy
from chaton.vault.keys import BoxKey, MlkemSeed
from chaton.vault.parcel import KIND_CHAIN, KIND_NEED, Need, open_parcel
from chaton.wire import frames
from chaton.wire.codec import PREFIX_BYTES, decode_of_client
from tests.session.vectors import load
from tests.session.world import START, Person, World, joined, say

VECTORS = load("parcel")
TOKEN = 7
RECEIPT: list[Effect] = [Transmit(frames.ParcelTaken(0, [TOKEN]))]
BODY = 134  # Where the body begins, in the innermost box.


def effects(person: Person, raw: bytes) -> list[Effect]:
    """All that a client does about a parcel, its frames without their numbers."""
    person.session.receive(frames.Parcel(TOKEN, raw), person.world.clock.now)
    done = person.session.drain()
    return [Transmit(replace(one.frame, ref=0)) if isinstance(one, Transmit) else one for one in done]


@dataclass
class Scene:
    """Cyd, who means harm, is in a room with ada and ben; eve is not, and ben would serve whoever may ask."""

    ada: Person
    ben: Person
    cyd: Person
    eve: Person
    room: Room

    @property
    def bundle(self) -> Bundle:
        return self.ben.session.keyring.shown.bundle

    def chain(self, maker: Person, **how: object) -> SendChain:
        """A new chain of somebody's, with the place in the room that cyd has."""
        state = self.room.view.state
        usual = {
            "room": state.room, "sender": maker.identity, "inst": self.room.member.inst, "n": state.n,
            "head": state.head, "epoch": state.epoch, "prev": ChainId.zero(), "prev_count": 0, "born": 0,
            "entropy": system_entropy,
        }  # fmt: skip
        return SendChain.begin(**(usual | how))

    def grant(self, to: Bundle | None = None, spoil: Callable[[bytes], bytes] = bytes, **how: object) -> bytes:
        """A parcel with the key of a new chain of cyd's."""
        return self.sealed(self.cyd, KIND_CHAIN, self.chain(self.cyd, **how).grant().encode(), to, spoil)

    def sealed(
        self, sender: Person, kind: int, body: bytes, to: Bundle | None = None, spoil: Callable[[bytes], bytes] = bytes
    ) -> bytes:
        """A parcel of the product's own making, its innermost bytes spoilt before both boxes are shut."""
        padded = module._signed_and_padded
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "_signed_and_padded", lambda *how: spoil(padded(*how)))
            return module.seal_parcel(sender.seed, self.room.view.room, to or self.bundle, kind, body, system_entropy)

    def signed(self, start: int, new: bytes, *, by: Person | None = None, label: Label = Label.PARCEL) -> bytes:
        """A parcel whose statement has other bytes at one place, and a signature over them."""

        def spoil(inner: bytes) -> bytes:
            end = BODY + int.from_bytes(inner[BODY - 2 : BODY])
            statement = (inner[:start] + new + inner[start + len(new) :])[:end]
            return (statement + (by or self.cyd).seed.sign(label, statement)).ljust(512, b"\0")

        return self.grant(spoil=spoil)


@pytest.fixture
def scene(world: World, ada: Person, ben: Person, room) -> Scene:
    cyd, eve = joined(world, ada, room, "cyd"), world.person("eve")
    for person in (ada, ben, cyd):
        say(person, room, f"{person.name} is here")
    return Scene(ada, ben, cyd, eve, cyd.session.rooms[room])


def flipped(raw: bytes, position: int) -> bytes:
    changed = bytearray(raw)
    changed[position] ^= 1
    return bytes(changed)


def other_keys() -> Bundle:
    return make_bundle(Seed(b"o" * 32), counter=START, expires=START + 1, entropy=system_entropy).bundle


def anothers_chain(scene: Scene) -> bytes:
    chain = scene.chain(scene.ada, inst=scene.room.view.state.members[scene.ada.identity].inst)
    return scene.sealed(scene.cyd, KIND_CHAIN, chain.grant().encode())


def of_no_member(scene: Scene) -> bytes:
    return scene.sealed(scene.eve, KIND_CHAIN, scene.chain(scene.eve).grant().encode())


def index_128(scene: Scene) -> bytes:
    grant = dataclasses.replace(scene.chain(scene.cyd).grant(), index=128)
    return scene.sealed(scene.cyd, KIND_CHAIN, grant.encode())


def strangers_need(scene: Scene) -> bytes:
    own = scene.eve.session.keyring.shown
    chain = scene.ben.session.rooms[scene.room.view.room].sender.chain.id
    return scene.sealed(scene.eve, KIND_NEED, Need(chain, own.bundle.counter, own.id).encode())


# What it is, how it is made, and the reason for which it does not open, if it does not.
BAD: list[tuple[str, Callable[[Scene], bytes], str]] = [
    ("nothing", lambda _: b"", "format"),
    ("another beginning", lambda scene: flipped(scene.grant(), 0), "format"),
    ("an unknown bundle", lambda scene: flipped(scene.grant(), 3), "recipient"),
    ("E", lambda scene: flipped(scene.grant(), 35), "ciphertext"),
    ("kct", lambda scene: flipped(scene.grant(), 67), "ciphertext"),
    ("the outer box", lambda scene: flipped(scene.grant(), -1), "ciphertext"),
    ("the outer key", lambda scene: scene.grant(dataclasses.replace(scene.bundle, mlkem768=other_keys().mlkem768)),
     "ciphertext"),
    ("the inner key", lambda scene: scene.grant(dataclasses.replace(scene.bundle, x25519=other_keys().x25519)),
     "ciphertext"),
    ("the beginning inside", lambda scene: scene.signed(0, b"CX"), "format"),
    ("kind 3", lambda scene: scene.signed(131, b"\x03"), "format"),
    ("a length of another kind", lambda scene: scene.signed(BODY - 2, (72).to_bytes(2)), "format"),
    ("padding", lambda scene: scene.grant(spoil=lambda inner: inner[:-1] + b"\1"), "padding"),
    ("signature", lambda scene: scene.grant(spoil=lambda inner: flipped(inner, BODY + 239)), "signature"),
    ("signed by another", lambda scene: scene.signed(0, b"", by=scene.eve), "signature"),
    ("signed under another label", lambda scene: scene.signed(0, b"", label=Label.MESSAGE), "signature"),
    ("signed for another", lambda scene: scene.signed(67, scene.eve.identity), "recipient"),
    ("signed for another bundle", lambda scene: scene.signed(99, bytes(32)), "recipient"),
    ("from oneself", lambda scene: scene.sealed(scene.ben, KIND_CHAIN, scene.chain(scene.cyd).grant().encode()),
     "recipient"),
    ("an index of 128", index_128, ""),
    ("another's chain", anothers_chain, ""),
    ("a chain of another room", lambda scene: scene.grant(room=RoomId.zero()), ""),
    ("a chain of no member", of_no_member, ""),
    ("a stranger's question", strangers_need, ""),
]  # fmt: skip


def reason_of(person: Person, raw: bytes) -> str:
    """Why a parcel does not open; nothing if it does."""
    try:
        open_parcel(raw, person.identity, person.session.keyring.shown)
    except ProtocolError as refusal:
        return refusal.reason
    return ""


@pytest.mark.parametrize(("make", "reason"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_a_bad_parcel_gets_the_receipt_of_a_good_one_that_is_known(
    scene: Scene, make: Callable[[Scene], bytes], reason: str
) -> None:
    """Each would be taken, or answered, but for the one thing that is wrong with it."""
    ben, good, bad = scene.ben, scene.grant(), make(scene)
    reader, postbox = ben.session.rooms[scene.room.view.room].reader, ben.session._postbox
    assert [type(one.entry) for one in effects(ben, good)[:-1]] == [ChainEntry]
    assert effects(ben, good) == RECEIPT
    assert reason_of(ben, bad) == reason
    before = set(reader.chains)
    assert effects(ben, bad) == RECEIPT
    assert set(reader.chains) == before
    assert not reader.early
    assert not postbox.strays


def test_every_bad_parcel_of_the_vectors_gets_the_receipt_of_a_good_one(world: World) -> None:
    """The reader is not in the room of the vectors: what opens is put aside, and that is all of the difference."""
    told = VECTORS["reader"]
    reader = Person(world, "reader", Seed(bytes.fromhex(told["identity_seed"])))
    raw, bundle = bytes.fromhex(told["bundle"]), BundleId.from_hex(told["bid"])
    box, mlkem = BoxKey(bytes.fromhex(told["x25519_private"])), MlkemSeed(bytes.fromhex(told["mlkem_seed"]))
    entry = OwnBundleEntry(raw=raw, id=bundle, box=box, mlkem=mlkem)
    reader.disk[OwnBundleEntry, entry.place()] = encode_entry(entry)
    world.people.append(reader)
    reader.restart()
    world.settle()
    strays, good = reader.session._postbox.strays, VECTORS["good"]
    assert [effects(reader, bytes.fromhex(case["parcel"])) for case in good] == [RECEIPT] * len(good)
    assert len(strays) == len(good)
    for case in VECTORS["refused"]:
        strays.clear()
        assert effects(reader, bytes.fromhex(case["parcel"])) == RECEIPT, case["why"]
        assert len(strays) == (case["reason"] == "member"), case["why"]


def test_bad_parcels_that_waited_hold_up_no_good_one(world: World, scene: Scene) -> None:
    """What the relay stored for ben while he was away is all receipted at once, and what is good is taken."""
    chain, to = scene.chain(scene.cyd), scene.ben.identity
    good = scene.sealed(scene.cyd, KIND_CHAIN, chain.grant().encode())
    bad = [make(scene) for name, make, _ in BAD if name not in {"nothing", "another beginning", "an unknown bundle"}]
    scene.ben.disconnect()

    def post():
        yield frames.Parcels(0, scene.room.view.room, [frames.ParcelTo(to, raw) for raw in [*bad, good]])

    scene.cyd.ask(post())
    waiting = [row.token for row in world.relay.store.parcels(to, -1, 1_000)]
    assert len(waiting) == len(bad) + 1
    world.relay.heard.clear()
    scene.ben.restart()
    world.settle()
    heard = (decode_of_client(raw[PREFIX_BYTES:]) for raw in world.relay.heard)
    assert [frame.tokens for frame in heard if isinstance(frame, frames.ParcelTaken)] == [waiting]
    assert chain.id in scene.ben.session.rooms[scene.room.view.room].reader.chains
    assert not world.relay.store.parcels(to, -1, 1_000)
