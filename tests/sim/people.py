"""What people do: each is a function of the world and of one step's dice, and tells in a line what it did.

An empty line: there was nothing to do it with. What the rules do not allow is tried all the same, now and then.
"""

from collections.abc import Callable
from random import Random

from chaton.identity.ids import Identity
from chaton.limits import DAY_MS, HOUR_MS, MINUTE_MS
from chaton.room.records import Role
from chaton.session import acts
from chaton.session.content import Action, Alive, Content, Delete, Edit, React, Reply
from chaton.session.room import Room
from chaton.session.session import Session
from tests.sim.client import Client
from tests.sim.world import World

Doing = Callable[[World, Random], str]


def _nothing(_result: object, _error: object) -> None:
    """What an errand comes to shows in the log."""


def _somewhere(world: World, dice: Random, *, rooms_only: bool = False) -> tuple[Client, Room] | None:
    """Somebody who runs, and a room that it is in."""
    clients = world.running
    if not clients:
        return None
    client = dice.choice(clients)
    assert client.session is not None
    rooms = [room for room in client.session.rooms.values() if room.entry.status == "in"]
    rooms = [room for room in rooms if not (rooms_only and room.view.state.direct)]
    return (client, dice.choice(rooms)) if rooms else None


def create(world: World, dice: Random) -> str:
    if len(world.truths) >= world.wanted_rooms or not world.running:
        return ""
    owner, approve = dice.choice(world.running), dice.random() < 0.3
    owner.ask(lambda s: s.create("ops", "topic", owner.name, approve=approve, max_members=10), _nothing)
    return f"{owner.name} makes a room{', which asks for approval' if approve else ''}"


def invite(world: World, dice: Random) -> str:
    place = _somewhere(world, dice, rooms_only=True)
    if place is None:
        return ""
    client, room = place
    uses, flags = dice.choice((1, 1, 2, 5)), dice.choice((0, 0, 0, 0, 1, 2))
    life = dice.choice((DAY_MS, DAY_MS, 10 * DAY_MS, MINUTE_MS))
    world.invited(client, room.view.room, uses=uses, life_ms=life, flags=flags)
    return f"{client.name} makes a link for {uses} (flags {flags})"


def join(world: World, dice: Random) -> str:
    links = [link for links in world.links.values() for link in links[-4:]]
    if not links or not world.running:
        return ""
    client, link = dice.choice(world.running), dice.choice(links)
    assert client.session is not None
    known = client.session.rooms.get(link.room)
    if known is not None and known.entry.status == "in":
        return ""
    world.used[client.identity, link.room] = link
    client.ask(lambda s: s.join(link, client.name), _nothing)
    return f"{client.name} joins"


def say(world: World, dice: Random) -> str:
    place = _somewhere(world, dice)
    if place is None:
        return ""
    client, room = place
    count = dice.choice((1, 1, 1, 2, 3, 20)) if dice.random() < 0.97 else 120
    for _ in range(count):
        world.say(client, room.view.room, "x" * dice.choice((1, 5, 300)))
    return f"{client.name} says {count} in {_name(room)}"


def act_on_line(world: World, dice: Random) -> str:
    place = _somewhere(world, dice)
    if place is None:
        return ""
    client, room = place
    lines = list(room.timeline.thread.lines)
    if not lines:
        return ""
    line = dice.choice(lines)
    contents: list[Content] = [
        Edit(line, "edited"), Delete(line), React(line, dice.random() < 0.7, "👍"), Reply(line, "indeed"),
        Action("nods"), Alive(),
    ]  # fmt: skip
    content = dice.choice(contents)
    world.say(client, room.view.room, "", content)
    return f"{client.name}: {type(content).__name__} in {_name(room)}"


def moderate(world: World, dice: Random) -> str:
    """Anything an admin may do, by anybody, on anybody."""
    place = _somewhere(world, dice, rooms_only=True)
    if place is None:
        return ""
    client, room = place
    who = dice.choice(world.clients).identity
    word, act = _act(room, who, dice)
    if word in {"kick", "ban"}:
        client.ask(lambda s: s.remove(room.view.room, act), _nothing)
    else:
        client.ask(lambda s: s.act(room.view.room, act), _nothing)
    return f"{client.name}: {word} {_who(world, who)} in {_name(room)}"


def _act(room: Room, who: Identity, dice: Random) -> tuple[str, acts.Act]:
    lines = list(room.timeline.thread.lines)
    invites = [one.n for one in room.view.state.invites.values()]
    role = dice.choice((Role.MEMBER, Role.MOD, Role.ADMIN, Role.ADMIN))
    choices: list[tuple[str, acts.Act]] = [
        ("kick", acts.remove(who, "out", ban=False)),
        ("ban", acts.ban(who, "out")),
        ("unban", acts.unban(who)),
        ("mute", acts.mute(who, muted=True)),
        ("unmute", acts.mute(who, muted=False)),
        (f"role {role.name}", acts.role(who, role)),
        (f"role {role.name}", acts.role(who, role)),
        ("nick", acts.nick(f"n{dice.randrange(1000)}")),
        ("info", acts.info(f"room {dice.randrange(1000)}", "topic")),
    ]
    if lines:
        choices.append(("redact", acts.redact(dice.choice(lines))))
    if invites:
        choices.append(("uninvite", acts.uninvite(dice.choice(invites))))
    if dice.random() < 0.05:
        choices.append(("hand over to", acts.role(who, Role.OWNER)))
    return dice.choice(choices)


def admit(world: World, dice: Random) -> str:
    waiting = [
        (client, room, who)
        for client in world.running
        if client.session is not None
        for room in client.session.rooms.values()
        if room.entry.status == "in"
        for who in room.view.state.pending
    ]
    if not waiting:
        return ""
    client, room, who = dice.choice(waiting)
    client.ask(lambda s: s.act(room.view.room, acts.admit(who)), _nothing)
    return f"{client.name} admits {_who(world, who)}"


def leave(world: World, dice: Random) -> str:
    place = _somewhere(world, dice, rooms_only=True)
    if place is None:
        return ""
    client, room = place
    client.ask(lambda s: s.act(room.view.room, acts.leave()), _nothing)
    return f"{client.name} leaves"


def close(world: World, dice: Random) -> str:
    place = _somewhere(world, dice, rooms_only=True)
    if place is None or dice.random() < 0.9:
        return ""
    client, room = place
    client.ask(lambda s: s.act(room.view.room, acts.close(None)), _nothing)
    return f"{client.name} closes {_name(room)}"


def direct(world: World, dice: Random) -> str:
    place = _somewhere(world, dice, rooms_only=True)
    if place is None:
        return ""
    client, room = place
    others = [who for who in room.view.state.members if who != client.identity]
    if not others:
        return ""
    peer = dice.choice(others)
    client.ask(lambda s: s.direct(peer), _nothing)
    return f"{client.name} opens a direct room with {_who(world, peer)}"


def renew(world: World, dice: Random) -> str:
    place = _somewhere(world, dice)
    if place is None:
        return ""
    client, room = place

    def act(_session: Session) -> None:
        room.sender.renew()

    client.do(act)
    return f"{client.name} asks for a new chain"


def pass_time(world: World, dice: Random) -> str:
    spans = [1_000, 3_000, 10_000, 61_000, 61_000, 5 * MINUTE_MS]
    if not world.mode.gentle:
        spans += [11 * MINUTE_MS, HOUR_MS, HOUR_MS + MINUTE_MS, 5 * HOUR_MS, 25 * HOUR_MS]
        spans += [15 * DAY_MS] if dice.random() < 0.2 else []
    ms = dice.choice(spans)
    world.pass_time(ms)
    if dice.random() < 0.8:
        world.tick()
    return f"{ms / 1000:g} s pass"


def _name(room: Room) -> str:
    return ("direct " if room.view.state.direct else "room ") + room.view.room.hex()[:4]


def _who(world: World, who: Identity) -> str:
    return next((client.name for client in world.clients if client.identity == who), "somebody")


def move_in(world: World, dice: Random) -> None:
    """Most begin with rooms that most people are in already; some begin with nothing."""
    if dice.random() < 0.1:
        return
    for _ in range(world.wanted_rooms):
        owner = dice.choice(world.clients)
        approve = dice.random() < 0.2
        before = set(world.truths)
        owner.ask(lambda s: s.create("ops", "topic", owner.name, approve=approve, max_members=10), _nothing)  # noqa: B023
        world.settle(dice)
        made = [room for room in world.truths if room not in before]
        if not made:
            continue
        world.invited(owner, made[0], uses=dice.choice((3, 5, 10)), life_ms=DAY_MS, flags=0)
        world.settle(dice)
        for client in world.clients:
            if client is not owner and made[0] in world.links and dice.random() < 0.8:
                link = world.used[client.identity, made[0]] = world.links[made[0]][0]
                client.ask(lambda s: s.join(link, client.name), _nothing)  # noqa: B023
        world.settle(dice)
        for client in world.clients:
            for waiting in _waiting(client):
                client.ask(lambda s: s.act(made[0], acts.admit(waiting)), _nothing)  # noqa: B023
        world.settle(dice)


def _waiting(client: Client) -> list[Identity]:
    assert client.session is not None
    return [who for room in client.session.rooms.values() for who in room.view.state.pending]


DOINGS: dict[Doing, int] = {
    create: 6, invite: 10, join: 14, say: 34, act_on_line: 6, moderate: 10, admit: 6, leave: 2, close: 1, direct: 4,
    renew: 1, pass_time: 10,
}  # fmt: skip
