"""Requests that are cut behind any of their bytes: the relay is as it was before or as it is after, never between."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from chaton.identity.ids import BlobId
from chaton.identity.statement import Seed
from chaton.relay.hub.room import Room
from chaton.relay.store.base import Store
from chaton.room.records import Info
from chaton.wire import codec, frames
from tests.relay.client import RawClient
from tests.relay.helpers import ANN, INVITE, OWNER, open_room, say, seat, turns_until
from tests.relay.play import Script, bundle, identity, login_answer, parcel, peek_signature, seed

KINDS = (
    "Login", "Peek", "Create", "Follow", "Turn", "Send", "Submit", "Publish", "Parcels", "ParcelTaken", "Direct", "Put",
)  # fmt: skip
PASSING = ("Login", "Peek", "Follow", "Turn")  # What they bring ends with the connection.
NEWCOMER = seed(50)
BLOB = BlobId(b"b" * 32)


@dataclass
class World:
    """A relay with a room of two who have keys, and a parcel that waits for the owner."""

    house: object
    script: Script
    token: int
    keys: object

    @classmethod
    async def begin(cls, house) -> "World":
        script = Script(OWNER)
        owner, ann = await open_room(house, script), await seat(house, script, ANN)
        for client in (owner, ann):
            keys = bundle(OWNER if client is owner else ANN, client.welcome.now)
            assert isinstance(await client.ask(frames.Publish, keys.raw), frames.Done)
            if client is owner:
                owners = keys
        await say(owner, script)
        posted = [frames.ParcelTo(identity(OWNER), parcel(owners))]
        assert await ann.ask(frames.Parcels, script.room, posted) == frames.ParcelsStored(ann.refs, [], [])
        token = (await owner.expect(frames.Parcel)).token
        world = cls(house, script, token, owners)
        for client in (owner, ann):
            client.close()
        await world.settled()
        return world

    async def settled(self) -> None:
        """Wait until the relay has noticed that everybody is gone, and has done what they asked."""
        relay = self.house.relay
        await turns_until(
            lambda: not (len(relay._listener) or relay.engine._turn_ends or relay.engine._committer._outstanding)
        )

    def state(self) -> tuple:
        """All that the relay knows, on the disk and in memory; without times and numbers that each try draws anew."""
        memory = self.house.relay.memory
        rooms = {room: _place(known) for room, known in memory.rooms.items()}
        bundles = {who: keys.row.bundle_id for who, keys in memory.bundles.items()}
        waiting = {who: len(box) for who, box in memory.mailboxes.items() if len(box)}
        blob = memory.depot.find(self.script.room, BLOB)
        attached = (blob.size, blob.have) if blob else None
        return rooms, bundles, waiting, frozenset(memory.online), attached, on_disk(self.house.store)


def _place(room: Room) -> tuple:
    return room.history.s, room.history.last, room.state.head, room.turns.idle, frozenset(room.state.members)


def on_disk(store: Store) -> tuple:
    rooms = {room: [(row.s, row.id) for row in store.skeleton(room)] for room in store.rooms()}
    directs = {pair.room: [(row.s, row.id) for row in store.skeleton(pair.room)] for pair in store.directs()}
    bundles = {row.identity: row.bundle_id for row in store.bundles()}
    waiting = [(to, sender, room) for _token, to, sender, room, _at, _size in store.waiting()]
    blobs = {row.blob: (row.size, store.piece(row.room, row.blob, 0, row.have)) for row in store.blobs()}
    return rooms, directs, bundles, waiting, blobs


class Request(NamedTuple):
    """One kind of request.

    Attributes:
        who: Logs in before it; None where it comes first.
        make: The frame, the same however often it is asked, given the connection where that matters.
    """

    name: str
    who: Seed | None
    make: Callable[[RawClient], object]


def requests(world: World) -> list[Request]:
    """Each kind that a client can ask of a relay, with something to do for it."""
    script, pin = world.script, world.house.relay.pin
    room, now = script.room, world.house.relay.engine._clock()
    genesis, message, record = Script(OWNER).genesis.raw, script.message(), script.sign(OWNER, Info(b"cut")).raw
    posted = [frames.ParcelTo(identity(OWNER), parcel(world.keys))]
    newer, nonce, piece = bundle(ANN, now + 1_000).raw, os.urandom(32), os.urandom(600)

    def login(client: RawClient) -> frames.Login:
        return frames.Login(login_answer(NEWCOMER, pin, client.welcome.nonce))

    def peek(client: RawClient) -> frames.Peek:
        signature = peek_signature(INVITE, pin, client.welcome.nonce, nonce, room)
        return frames.Peek(1, room, INVITE.public, nonce, signature)

    return [
        Request("Login", None, login),
        Request("Peek", None, peek),
        Request("Create", OWNER, lambda _client: frames.Create(1, genesis)),
        Request("Follow", OWNER, lambda _client: frames.Follow(1, room, 0)),
        Request("Turn", OWNER, lambda _client: frames.Turn(1, room)),
        Request("Send", OWNER, lambda _client: frames.Send(1, room, message)),
        Request("Submit", OWNER, lambda _client: frames.Submit(1, room, record)),
        Request("Publish", ANN, lambda _client: frames.Publish(1, newer)),
        Request("Parcels", ANN, lambda _client: frames.Parcels(1, room, posted)),
        Request("ParcelTaken", OWNER, lambda _client: frames.ParcelTaken(1, [world.token])),
        Request("Direct", ANN, lambda _client: frames.Direct(1, identity(OWNER))),
        Request("Put", ANN, lambda _client: frames.Put(1, room, BLOB, len(piece), 0, piece)),
    ]


async def enter(world: World, request: Request) -> RawClient:
    client = await world.house.connect()
    if request.who is not None:
        await client.login(request.who)
    return client


async def cut(world: World, request: Request, behind: int) -> int:
    """Say so many bytes of a request and vanish; returns how many it has."""
    client = await enter(world, request)
    said = codec.encode(request.make(client))
    client.writer.write(said[:behind])
    await client.writer.drain()
    client.close()
    world.house.clients.remove(client)
    await world.settled()
    return len(said)


async def cut_everywhere(world: World, request: Request, offsets: Callable[[int], Iterable[int]]) -> int:
    """Cut a request behind each of some bytes, then let it be resumed; returns how often it was cut.

    Args:
        world: Is changed by the request.
        request: What is cut.
        offsets: Of a request of so many bytes, behind which it is to be cut.
    """
    length = await cut(world, request, 0)
    before = world.state()
    places = [place for place in offsets(length) if place < length]
    for behind in places:
        assert await cut(world, request, behind) == length
        assert world.state() == before, f"{request.name} cut behind byte {behind} of {length} left something"
    await cut(world, request, length)  # All of it, and nobody there for the answer.
    unheard = world.state()
    after = await _resume(world, request)
    assert (unheard, after) == (before, before) or request.name not in PASSING, (
        f"{request.name} outlives its connection"
    )
    if request.name != "Parcels":  # A parcel that is posted again is another one: its reader takes it for the same.
        assert unheard in (before, after), f"{request.name} without its answer left something between"
        assert await _resume(world, request) == after, f"{request.name} is done twice"
    return len(places) + 2


async def _resume(world: World, request: Request) -> tuple:
    """Ask again, as a client does that has no answer; what the relay knows then."""
    client = await enter(world, request)
    frame = request.make(client)
    await client.say(frame)
    answer = await client.until(
        lambda told: isinstance(told, frames.LoggedIn) or getattr(told, "ref", None) == getattr(frame, "ref", 0)
    )
    assert not isinstance(answer, frames.Refused), (request.name, answer)
    client.close()
    world.house.clients.remove(client)
    await world.settled()
    return world.state()
