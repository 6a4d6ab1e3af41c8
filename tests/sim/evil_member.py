"""A member who attacks the others: the last of the clients, whose keys and session are real and whose frames are not."""

from collections.abc import Callable
from random import Random

from msgspec.structs import replace

from chaton.errors import ProtocolError
from chaton.identity.bundle import Bundle, bundle_body
from chaton.identity.ids import ChainId, Head, Identity, Transcript
from chaton.identity.statement import Label, Seed
from chaton.room.envelope import Header
from chaton.room.records import Info, Mute, sign_record
from chaton.session.room import Room
from chaton.vault.chain import Grant, SendChain
from chaton.vault.keys import MessageKey
from chaton.vault.message import seal_message
from chaton.vault.parcel import KIND_CHAIN, KIND_NEED, Need, seal_parcel
from chaton.wire import frames
from chaton.wire.codec import encode
from tests.sim.client import Client
from tests.sim.world import World

_FIRST_REF = 2**31


def _villain(world: World, dice: Random) -> tuple[Client, Room] | None:
    client = world.clients[-1]
    if client.session is None or client.wire is None or not client.session.arrival.settled:
        return None
    rooms = [room for room in client.session.rooms.values() if room.live and room.caught_up]
    return (client, dice.choice(rooms)) if rooms else None


def _transmit(client: Client, dice: Random, frame: frames.AnyClientFrame) -> None:
    """Say something past the session, under a number that it does not use."""
    if client.wire is not None and client.wire.relay_open:
        client.wire.up.append(encode(replace(frame, ref=_FIRST_REF + dice.randrange(2**31))))


def _bundles(world: World, client: Client, room: Room) -> list[Bundle]:
    """The current bundles of the others in a room, as the relay has them."""
    found = (world.relay.hub.memory.bundles.get(who) for who in room.view.state.members if who != client.identity)
    return [Bundle.decode(keys.row.raw) for keys in found if keys is not None]


def _post(client: Client, dice: Random, room: Room, to: Bundle, what: tuple[int, bytes]) -> None:
    raw = seal_parcel(client.seed, room.view.room, to, *what, client.entropy)
    _transmit(client, dice, frames.Parcels(0, room.view.room, [frames.ParcelTo(to.identity, raw)]))


def _chain(client: Client, room: Room, **how: object) -> SendChain:
    state, member = room.view.state, room.member
    assert member is not None
    usual: dict[str, object] = {
        "room": state.room, "sender": client.identity, "inst": member.inst, "n": state.n, "head": state.head,
        "epoch": state.epoch, "prev": ChainId.zero(), "prev_count": 0, "born": client.now, "entropy": client.entropy,
    }  # fmt: skip
    return SendChain.begin(**(usual | how))


def garbage_parcels(world: World, dice: Random) -> str:
    place = _villain(world, dice)
    if place is None:
        return ""
    client, room = place
    for bundle in _bundles(world, client, room):
        for raw in (b"CX\x01" + bundle.id + dice.randbytes(1712), dice.randbytes(1747), b"CX\x01" + bundle.id):
            _transmit(client, dice, frames.Parcels(0, room.view.room, [frames.ParcelTo(bundle.identity, raw)]))
        bodies = [(KIND_CHAIN, dice.randbytes(239)), (KIND_NEED, dice.randbytes(72))]
        for what in bodies:
            _post(client, dice, room, bundle, what)
    return f"{client.name} posts garbage"


def false_chains(world: World, dice: Random) -> str:
    """Chains of a future, of another history, of another epoch, of somebody else, and too many of them."""
    place = _villain(world, dice)
    if place is None:
        return ""
    client, room = place
    state, other = room.view.state, dice.choice(world.clients).identity
    wrong: list[dict[str, object]] = [
        {"n": state.n + 1}, {"n": state.n + 9, "epoch": 7}, {"head": Head(dice.randbytes(32))},
        {"epoch": state.epoch + 1}, {"sender": other}, {"n": 2**32 - 1}, {"prev": ChainId(dice.randbytes(32)), "prev_count": 99},
    ]  # fmt: skip
    bundles = _bundles(world, client, room)
    count = dice.choice((1, 2, 3)) if dice.random() < 0.9 else 70
    for bundle in bundles:
        for how in dice.choices(wrong, k=count):
            _post(client, dice, room, bundle, (KIND_CHAIN, _chain(client, room, **how).grant().encode()))
    return f"{client.name} posts {count} false chains to {len(bundles)}"


def _send(client: Client, dice: Random, room: Room, envelope: bytes) -> None:
    _transmit(client, dice, frames.Send(0, room.view.room, envelope))


def unknown_chains(world: World, dice: Random) -> str:
    """Messages under chains that nobody was given."""
    place = _villain(world, dice)
    if place is None:
        return ""
    client, room = place
    count, one = dice.choice((3, 90)), _chain(client, room)
    for _ in range(count):
        chain = one if count > 3 else _chain(client, room)
        _send(client, dice, room, _sealed(client, room, chain, b"\x01" + bytes(16) + b"hello"))
    return f"{client.name} sends {count} under unknown chains"


def _sealed(client: Client, room: Room, chain: SendChain, plain: bytes) -> bytes:
    state, history = room.view.state, room.view.history
    return chain.seal(
        n=state.n, head=state.head, s=history.s, transcript=history.last, plaintext=plain, entropy=client.entropy
    ).raw


def odd_messages(world: World, dice: Random) -> str:
    """A chain that jumps, says what cannot be shown, or is another one for each reader."""
    place = _villain(world, dice)
    if place is None:
        return ""
    client, room = place
    chain = _chain(client, room, prev=room.entry.chain or ChainId.zero(), prev_count=dice.choice((0, 50, 65535)))
    grant, split = chain.grant(), dice.random() < 0.3
    for bundle in _bundles(world, client, room):
        secret = type(grant.secret)(dice.randbytes(32)) if split and dice.random() < 0.5 else grant.secret
        shown = Grant(grant.statement, dice.choice((0, 0, 2)), secret)
        _post(client, dice, room, bundle, (KIND_CHAIN, shown.encode()))
    for _ in range(dice.randint(1, 6)):
        kind = dice.choice((0, 1, 3, 4, 5, 6, 7, 200))
        plain = bytes([kind]) + dice.choice((bytes(16), b"\xff" * 16)) + dice.randbytes(dice.choice((0, 3, 40, 80)))
        envelope = _sealed(client, room, chain, plain)
        if dice.random() < 0.6:
            _send(client, dice, room, envelope)
    return f"{client.name} sends oddities"


def replays(world: World, dice: Random) -> str:
    """Messages of others once more, and bytes of theirs changed."""
    place = _villain(world, dice)
    if place is None:
        return ""
    client, room = place
    known = [one for one in world.oracle.sealed.values() if one.room == room.view.room]
    for one in dice.choices(known, k=5) if known else []:
        raw = bytearray(one.raw)
        if dice.random() < 0.5:
            raw[dice.randrange(len(raw))] ^= 1
        _send(client, dice, room, bytes(raw))
    return f"{client.name} sends again what others said"


def wrong_history(world: World, dice: Random) -> str:
    """Claims about records and events that are not so."""
    place = _villain(world, dice)
    if place is None:
        return ""
    client, room = place
    state, history = room.view.state, room.view.history
    key, signer = MessageKey(dice.randbytes(32)), Seed(dice.randbytes(32))
    header = Header(state.room, ChainId(dice.randbytes(32)), 0, state.n, state.head, history.s, history.last)
    wrong = [
        replace(header, n=max(0, state.n - 1)), replace(header, s=history.s + 5), replace(header, index=65535),
        replace(header, transcript=Transcript(bytes(32))), replace(header, n=0, head=state.heads[0]),
        replace(header, s=history.first, transcript=history.at(history.first)),
    ]  # fmt: skip
    for one in wrong:
        envelope = seal_message(key, one, b"\x01" + bytes(16) + b"x", signer, client.entropy)
        _send(client, dice, room, envelope.raw)
    return f"{client.name} claims another history"


def needs(world: World, dice: Random) -> str:
    place = _villain(world, dice)
    if place is None:
        return ""
    client, room = place
    own = client.session.keyring.current if client.session else None
    for bundle in _bundles(world, client, room):
        for _ in range(dice.choice((1, 10))):
            counter = dice.choice((0, own.bundle.counter if own else 0, 2**63))
            need = Need(ChainId(dice.randbytes(32)), counter, own.id if own else bundle.id)
            _post(client, dice, room, bundle, (KIND_NEED, need.encode()))
    return f"{client.name} asks for keys"


def bad_records(world: World, dice: Random) -> str:
    """Records that its rank does not allow, for the wrong place, or in somebody else's name."""
    place = _villain(world, dice)
    if place is None or place[1].view.state.direct:
        return ""
    client, room = place
    state, stranger = room.view.state, Seed(dice.randbytes(32))
    target = dice.choice(list(state.members.values()))
    bodies = [Info(b""), Mute(target.inst, 1), Mute(target.inst, 0)]
    for seed, n in ((client.seed, state.n + 1), (client.seed, state.n + 2), (stranger, state.n + 1)):
        record = sign_record(dice.choice(bodies), seed=seed, room=state.room, n=n, prev=state.head, t=0)
        world.oracle.records.add(record.raw)
        _transmit(client, dice, frames.Submit(0, state.room, record.raw))
    return f"{client.name} submits what it may not"


def bad_bundles(world: World, dice: Random) -> str:
    """Keys that nothing can be sealed to."""
    client = world.clients[-1]
    if client.session is None or client.wire is None:
        return ""
    counter = client.now + dice.choice((1, 60_000))
    box = dice.choice((bytes(32), b"\x01" + bytes(31), dice.randbytes(32)))
    mlkem = dice.choice((bytes(1184), b"\xff" * 1184, dice.randbytes(1184)))
    body = bundle_body(Identity(client.seed.public), counter, counter + 3_600_000, box, mlkem)
    _transmit(client, dice, frames.Publish(0, body + client.seed.sign(Label.BUNDLE, body)))
    return f"{client.name} publishes keys that are none"


def _guarded(attack: Callable[[World, Random], str]) -> Callable[[World, Random], str]:
    """An attack that its own library refuses has failed before it began."""

    def tried(world: World, dice: Random) -> str:
        try:
            return attack(world, dice)
        except (ProtocolError, OverflowError):
            return f"{attack.__name__} cannot even be tried"

    tried.__name__ = attack.__name__
    return tried


ATTACKS: dict[Callable[[World, Random], str], int] = {
    _guarded(garbage_parcels): 2, _guarded(false_chains): 3, _guarded(unknown_chains): 2, _guarded(odd_messages): 4,
    _guarded(replays): 3, _guarded(wrong_history): 2, _guarded(needs): 2, _guarded(bad_records): 2,
    _guarded(bad_bundles): 1,
}  # fmt: skip
