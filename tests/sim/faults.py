"""What goes wrong: connections, processes, disks, clocks, and the relay. As in ``tests.sim.people``."""

from collections.abc import Callable
from random import Random

from chaton.limits import DAY_MS, HOUR_MS, MINUTE_MS
from tests.sim.client import DOOMS, Client
from tests.sim.world import World

Doing = Callable[[World, Random], str]


def cut(world: World, dice: Random) -> str:
    """A connection ends at any frame; either end notices it first, and what is under way may still arrive there."""
    wires = [wire for wire in world.wires if wire.client_open or wire.relay_open]
    if not wires:
        return ""
    wire = dice.choice(wires)
    first = dice.choice(("client", "relay", "both"))
    if first != "client" and wire.relay_open:
        for _ in range(dice.randint(0, len(wire.up))):
            if wire.up and wire.relay_open:
                world.relay.hear(wire)
        world.relay.hang_up(wire)
    if first != "relay":
        client = next((client for client in world.clients if client.wire is wire), None)
        if client is not None:
            client.chances = dice
            client.listen(dice.randint(0, len(wire.down)))
            client.lose_line()
    return f"a connection of {world.clients[int(wire.who)].name} is cut, first at {first}"


def connect(world: World, dice: Random) -> str:
    """Somebody comes back."""
    idle = [client for client in world.clients if client.wire is None or not client.wire.relay_open]
    if not idle or not world.relay.running:
        return ""
    client = dice.choice(idle)
    bring_back(client)
    return f"{client.name} connects"


def bring_back(client: Client) -> None:
    """Start what does not run, let it notice that an old connection is dead, and connect."""
    if client.session is None:
        client.start()
    if client.wire is not None:
        client.lose_line()
    if client.session is not None and client.wire is None:
        client.connect()


def doom(world: World, dice: Random) -> str:
    clients = world.running
    if not clients:
        return ""
    client = dice.choice(clients)
    client.doom = dice.choice(DOOMS)
    return f"{client.name} is to die at its next batch, {client.doom}"


def restart(world: World, dice: Random) -> str:
    clients = world.running
    if not clients:
        return ""
    client = dice.choice(clients)
    client.kill()
    if dice.random() < 0.7:
        client.start()
    return f"{client.name} is restarted"


def replace_login(world: World, dice: Random) -> str:
    """A second connection while the relay still believes in the first."""
    clients = [client for client in world.running if client.wire is not None]
    if not clients or not world.relay.running:
        return ""
    client = dice.choice(clients)
    client.lose_line()
    client.connect()
    return f"{client.name} connects anew, and the relay has not noticed the end of the old connection"


def snapshot(world: World, dice: Random) -> str:
    client = dice.choice(world.clients)
    client.snapshot()
    return f"a copy of {client.name}'s disk is made"


def restore(world: World, dice: Random) -> str:
    clients = [client for client in world.clients if client.snapshots]
    if not clients:
        return ""
    client = dice.choice(clients)
    client.restore(dice.choice(client.snapshots))
    client.start()
    return f"an older disk of {client.name} is put back"


def skew(world: World, dice: Random) -> str:
    client = dice.choice(world.clients)
    client.skew = dice.choice(
        (0, 0, 4 * MINUTE_MS, -4 * MINUTE_MS, 20 * MINUTE_MS, -20 * MINUTE_MS, 3 * HOUR_MS, DAY_MS)
    )
    client.tick()
    return f"{client.name}'s clock is {client.skew / 1000:g} s off"


def relay_skew(world: World, dice: Random) -> str:
    world.clock.relay_off = dice.choice((0, 0, 1_000, -1_000, 3 * MINUTE_MS, -3 * MINUTE_MS))
    return f"the relay's clock is {world.clock.relay_off / 1000:g} s off"


def relay_crash(world: World, dice: Random) -> str:
    """The relay stops and starts again; everybody notices sooner or later."""
    committed = dice.random() < 0.5
    world.relay.crash(committed=committed)
    if dice.random() < 0.7:
        for client in world.running:
            client.lose_line()
    world.relay.start()
    return f"the relay crashes, its last commit {'done' if committed else 'not done'}, and starts again"


def relay_disk(world: World, dice: Random) -> str:
    """The next commit fails; the relay mends itself after a while."""
    if world.relay.failing or world.relay.disk_fails:
        return ""
    world.relay.disk_fails = True
    return "the relay's disk fails"


def relay_mends(world: World, _dice: Random) -> str:
    if not world.relay.failing and not world.relay.disk_fails:
        return ""
    world.relay.mend()
    return "the relay's disk works again"


def prune(world: World, dice: Random) -> str:
    if world.relay.failing or world.relay.disk_fails:
        return ""
    before = world.clock.relay - dice.choice((0, MINUTE_MS, HOUR_MS, DAY_MS))
    gone = world.relay.prune(before, dice.choice((10_000_000, 20_000)))
    return f"retention drops {gone} bodies" if gone else ""


ALWAYS: dict[Doing, int] = {
    cut: 5, connect: 22, doom: 3, restart: 3, replace_login: 2, relay_crash: 2, relay_disk: 2, relay_mends: 8,
}  # fmt: skip
HARSH: dict[Doing, int] = {snapshot: 2, restore: 1, skew: 3, relay_skew: 1, prune: 2}
