"""When the faults stop: everybody comes back, time passes, and everything must have come right."""

from collections.abc import Sequence
from random import Random

from chaton.errors import ProtocolError
from chaton.identity.ids import Identity, MessageId, RoomId
from chaton.limits import HOUR_MS, MINUTE_MS, SECOND_MS
from chaton.room.envelope import Envelope
from chaton.session.content import Text
from chaton.session.notices import Said
from chaton.session.room import Room
from chaton.vault.bundle import restore_bundle
from chaton.vault.chain import ChainStatement, Grant, ReadChain
from chaton.vault.parcel import KIND_CHAIN, open_parcel
from chaton.wire.frames import KIND_PRUNED, KIND_RECORD
from tests.sim.base import Broken
from tests.sim.client import Client
from tests.sim.evil_relay import repent
from tests.sim.faults import bring_back
from tests.sim.world import World

_LONG = (*[SECOND_MS] * 4, 5 * SECOND_MS, MINUTE_MS, MINUTE_MS, 20 * MINUTE_MS, HOUR_MS + MINUTE_MS, MINUTE_MS)
_SHORT = (SECOND_MS, SECOND_MS, 10 * SECOND_MS, MINUTE_MS)


def end(world: World, dice: Random) -> None:
    """Let the faults stop, and judge what is left."""
    _calm(world, dice)
    for client in world.honest:
        _rejoin_lost(world, client, dice)
    _wait(world, dice, _SHORT)
    finals = _everybody_speaks(world, dice)
    _wait(world, dice, _SHORT)
    for client in world.honest:
        _check_arrived(world, client, strict=not world.mode.relay)
        _check_alive(world, client)
        for room_id, room in _rooms(client):
            _check_records(world, client, room)
            _check_events(world, client, room)
            if not world.mode.relay:
                _check_current(world, client, room_id, room)
                _check_heard(world, client, room, finals)
    check_removed(world)


def _calm(world: World, dice: Random) -> None:
    world.clock.relay_off = 0
    repent(world)
    if world.relay.failing or world.relay.disk_fails:
        world.relay.mend()
    for client in world.clients:
        client.skew, client.doom = 0, ""
        client.lose_line()  # A clock that was wrong at the last Welcome is judged anew.
    _wait(world, dice, _SHORT)
    _compare_codes(world)
    _wait(world, dice, _LONG)


def _compare_codes(world: World) -> None:
    """Whoever was stopped by an attacker's claim goes on; what has waited is then said as fast as the relay takes it."""
    rooms = (room for client in world.clients for _, room in _rooms(client))
    for room in rooms:
        if room.entry.forked and not world.mode.relay:
            room.inbox.excuse()


def _wait(world: World, dice: Random, times: Sequence[int]) -> None:
    """Everybody is there, and time goes by."""
    for ms in times:
        for client in world.clients:
            if client.session is None or client.wire is None or not client.wire.relay_open:
                bring_back(client)
        world.settle(dice)
        world.pass_time(ms)
        world.tick()
        world.settle(dice)
        world.check()


def _rejoin_lost(world: World, client: Client, dice: Random) -> None:
    """Whose JOIN was taken while the answer got lost comes in by the same link."""
    assert client.session is not None
    for room_id in world.links:
        known = client.session.rooms.get(room_id)
        if (known is not None and known.entry.status == "in") or not world.is_member(room_id, client.identity):
            continue
        link = world.used.get((client.identity, room_id))
        if link is not None:
            client.ask(lambda s, link=link: s.join(link, client.name), lambda _result, _error: None)
            world.settle(dice)


def _rooms(client: Client) -> list[tuple[RoomId, Room]]:
    assert client.session is not None
    return [(room_id, room) for room_id, room in client.session.rooms.items() if room.entry.status == "in"]


def _everybody_speaks(world: World, dice: Random) -> dict[tuple[RoomId, Identity], bytes]:
    """One last word of everybody everywhere; who said what, by room and speaker."""
    finals = {}
    _compare_codes(world)
    for client in world.clients:
        for room_id, room in _rooms(client):
            if not room.view.state.closed and world.say(client, room_id, "final"):
                finals[room_id, client.identity] = Text(f"{client.name} {client.refs} final").encode()
    world.settle(dice)
    return finals


def _check_arrived(world: World, client: Client, *, strict: bool) -> None:
    """Nothing waits any more; who is a member knows it, and who is not knows that too."""
    assert client.session is not None
    if not strict:
        return
    if not client.session.arrival.settled:
        raise Broken("converge", f"{client.name} never got past the login")
    if client.typed:
        raise Broken("converge", f"{client.name} still has {len(client.typed)} undecided")
    for room_id, room in client.session.rooms.items():
        if room.outbox:
            raise Broken("converge", f"{client.name}'s outbox still holds {len(room.outbox)}")
        seated = world.is_member(room_id, client.identity)
        if seated != (room.entry.status == "in") and not client.restored:
            raise Broken(
                "converge", f"{client.name} is {'' if seated else 'not '}a member; it says {room.entry.status}"
            )
    for room_id in world.truths:
        if world.is_member(room_id, client.identity) and room_id not in client.session.rooms and not client.restored:
            found = world.room(room_id)
            if found is not None and room_id in world.links and not found.state.direct:
                raise Broken("converge", f"{client.name} is a member without knowing it, and cannot come in")


def _check_alive(world: World, client: Client) -> None:
    """A room that no longer goes on, though the relay answers, has told its person so."""
    seen = world.oracle.seen[client.name]
    for room_id, room in _rooms(client):
        goes_on = room.caught_up or room.pending or not world.is_member(room_id, client.identity)
        if not goes_on and client.session and client.session.arrival.settled and not seen.codes(room_id):
            raise Broken("silent", f"{client.name}'s room {room_id.hex()[:4]} is dead, and nobody was told")


def _check_records(world: World, client: Client, room: Room) -> None:
    forged = [record.n for record in room.view.records if record.raw not in world.oracle.records]
    if forged:
        raise Broken("forged", f"{client.name} believes records {forged}, which nobody signed")


def _check_current(world: World, client: Client, room_id: RoomId, room: Room) -> None:
    truth = world.truths[room_id]
    if not world.is_member(room_id, client.identity):
        return
    found = world.room(room_id)
    assert found is not None
    if found.state.members[client.identity].inst != (room.member.inst if room.member else None):
        if client.restored:
            return
        raise Broken("converge", f"{client.name} holds another membership than its last")
    if (room.view.state.n, room.view.n) != (len(truth.heads) - 1,) * 2:
        raise Broken("converge", f"{client.name} is at record {room.view.n} of {len(truth.heads) - 1}")
    if room.view.history.s != len(truth.ids) - 1:
        raise Broken("converge", f"{client.name} is at event {room.view.history.s} of {len(truth.ids) - 1}")
    if not room.may_send() and not room.view.state.closed:
        raise Broken("converge", f"{client.name} cannot speak: caught up {room.caught_up}, forked {room.entry.forked}")


def _check_heard(world: World, client: Client, room: Room, finals: dict[tuple[RoomId, Identity], bytes]) -> None:
    """The last word of every other member has been read, unless its speaker was muted."""
    member = room.member
    if member is None or not member.reads or room.view.state.closed:
        return
    said = {entry.sender: entry for entry in room.timeline.messages.values() if entry.state in {"opened", "own"}}
    texts = {bytes(entry.plain[17:]) for entry in room.timeline.messages.values() if entry.plain}
    for (room_id, speaker), text in finals.items():
        spoke = room.view.state.members.get(speaker)
        if room_id != room.view.room or spoke is None or spoke.muted or speaker == world.oracle.villain:
            continue
        if text not in texts and world.is_member(room_id, speaker):
            who = next(one.name for one in world.clients if one.identity == speaker)
            raise Broken("converge", f"{client.name} never read {who}'s last word {text!r} ({len(said)} speak)")


def _check_events(world: World, client: Client, room: Room) -> None:
    """Every message since one's JOIN was read once, or its absence was told."""
    member, seen = room.member, world.oracle.seen[client.name]
    if member is None or client.session is None:
        return
    first, history = room.view.history.first, room.view.history
    entries = world.events_on_disk(client, room.view.room)
    for s in range(first + 1, history.s + 1):
        entry = entries.get(s)
        if entry is None:
            raise Broken("lost", f"{client.name} has nothing of event {s}")
        if entry.kind == KIND_RECORD or entry.state in {"opened", "own"} or not member.reads:
            continue
        if entry.kind == KIND_PRUNED:
            redacted = MessageId(entry.id) in room.timeline.redactions
            if not (redacted or client.restored or seen.gone(room.view.room, s)):
                raise Broken("silent", f"{client.name} was told nothing about event {s}, which came without its body")
            continue
        if not seen.about(room.view.room, s) and not client.restored:
            about = world.oracle.describe(entry.id, client.identity)
            raise Broken("silent", f"{client.name} was told nothing about event {s}, which is {entry.state}: {about}")
        sealed = world.oracle.sealed.get(entry.id)
        came = world.oracle.came_in.get((client.identity, room.view.room, first), 0)
        knew = (
            sealed is not None and client.identity in sealed.readers and _stayed(room, sealed.author, sealed.header.n)
        )
        met_late = room.view.state.direct and came > 1  # Keys came while one had nothing to do with the sender.
        if world.mode.gentle and knew and s > came and not met_late:
            raise Broken(
                "unread",
                f"{client.name} could not read event {s}: {entry.state} {entry.reason}: "
                f"{world.oracle.describe(entry.id, client.identity)}",
            )
    _check_lines(client, room)


def _stayed(room: Room, author: Identity, n: int) -> bool:
    """Whether somebody is still in the room as after record ``n``: keys of others are taken no more (§6)."""
    now = room.view.state.members.get(author)
    return now is not None and (room.view.state.direct or room.view.register.inst_of(author, n) == now.inst)


def _check_lines(client: Client, room: Room) -> None:
    """What the room shows when it is opened: in one order, each line once."""
    lines: list[Said] = room.timeline.backlog()
    numbers = [line.seq for line in lines]
    if numbers != sorted(set(numbers)):
        raise Broken("order", f"{client.name}'s lines are {numbers}")


def check_removed(world: World) -> None:
    """With every key it ever had and every parcel ever posted to it, nobody opens what was not sealed for it."""
    for client in world.clients:
        chains = _all_chains(world, client)
        for sealed in world.oracle.sealed.values():
            if client.identity in sealed.readers or client.identity == sealed.author:
                continue
            for read in chains.get(bytes(sealed.header.chain), []):
                if _opens(read, sealed.raw):
                    raise Broken("removed", f"{client.name} opens what was sealed when it was known to be no reader")


def _all_chains(world: World, client: Client) -> dict[bytes, list[ReadChain]]:
    oracle = world.oracle
    found: dict[bytes, list[ReadChain]] = {}
    for chain, index in oracle.chains[client.identity]:
        entry = oracle.chains[client.identity][chain, index]
        assert entry.secret is not None
        read = ReadChain(ChainStatement.decode(entry.statement), index, entry.secret)
        found.setdefault(bytes(chain), []).append(read)
    wanted = {bytes(one.header.chain) for one in oracle.sealed.values() if client.identity not in one.readers}
    if not wanted:
        return {}
    own = {bid: restore_bundle(e.raw, e.box, e.mlkem) for bid, e in oracle.bundles[client.identity].items()}
    for raw in oracle.parcels_to[client.identity]:
        bundle = next((one for bid, one in own.items() if bid == raw[3:35]), None)
        if bundle is None:
            continue
        try:
            parcel = open_parcel(raw, client.identity, bundle)
        except ProtocolError:
            continue
        if parcel.kind == KIND_CHAIN:
            read = ReadChain.accept(Grant.decode(parcel.body))
            found.setdefault(bytes(read.statement.id), []).append(read)
    return found


def _opens(read: ReadChain, raw: bytes) -> bool:
    try:
        read.open(Envelope.decode(raw))
    except ProtocolError:
        return False
    return True
