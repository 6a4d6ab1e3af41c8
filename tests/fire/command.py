"""What ``scripts/fire`` does with its arguments."""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from chaton.relay import certs
from tests.client.conftest import House, Town
from tests.fire.cuts import KINDS, World, cut_everywhere, requests
from tests.fire.kill import Fire, burn
from tests.fire.relay import UNLIMITED
from tests.fire.resuming import DEEDS, WAYS, Scene, cut_deed
from tests.relay.conftest import House as RelayHouse

DIRECTS: Final = 90  # A direct room is opened once with each person: for so many cuts, so many people.


def run(arguments: Sequence[str]) -> int:
    """Light one fire; the exit status tells whether all held."""
    options = _options(arguments)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        try:
            outcome = _FIRES[options.fire](Path(directory), options)
        except AssertionError as broken:
            sys.stderr.write(f"\nseed {getattr(options, 'seed', '-')}: {broken}\n")
            return 1
    sys.stdout.write(f"{outcome}; {time.monotonic() - begun:.0f} s\n")
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/fire", description="hurt a running relay")
    fires = parser.add_subparsers(dest="fire", required=True)
    kill = fires.add_parser("kill", help="kill -9 at random moments while people talk")
    kill.add_argument("--times", type=int, default=200, help="how often (default: %(default)s)")
    kill.add_argument("--seed", type=int, default=0, help="of the moments (default: %(default)s)")
    cuts = fires.add_parser("cuts", help="cut the connection behind every byte of every request")
    cuts.add_argument(
        "--step", type=int, default=16, help="of whole clients' bytes, each so many (default: %(default)s)"
    )
    return parser.parse_args(arguments)


def _kill(directory: Path, options: argparse.Namespace) -> str:
    def progress(fire: Fire) -> None:
        sys.stderr.write(f"\r{fire.kills}/{options.times} kills, {len(fire.acknowledged)} messages acknowledged")
        sys.stderr.flush()

    fire = asyncio.run(burn(directory, times=options.times, seed=options.seed, progress=progress))
    sys.stderr.write("\n")
    return (
        f"{fire.kills} kills while serving and {fire.early} while starting: {len(fire.acknowledged)} messages and"
        f" {len(fire.records)} records acknowledged, none lost, none doubled; {len(fire.unsure)} given up on"
    )


def _cuts(directory: Path, options: argparse.Namespace) -> str:
    return asyncio.run(_cut_all(directory, options.step))


async def _cut_all(directory: Path, step: int) -> str:
    pair = directory / "certs"
    certs.generate(pair, ["localhost"], ["127.0.0.1"], 30, now=datetime.now(UTC), force=False)
    requests_cut = await _cut_requests(pair, directory / "raw")
    deeds_cut = 0
    for deed in DEEDS:
        for way in WAYS:
            deeds_cut += (count := await _cut_deeds(pair, directory / deed / way, deed, way, step))
            sys.stderr.write(f"{deed}, {way}: {count} cuts\n")
    return (
        f"{requests_cut} cuts behind every byte of {len(KINDS)} kinds of request, {deeds_cut} behind every {step}th byte"
        f" of what whole clients do: done or not done, and once in the end"
    )


async def _cut_requests(pair: Path, directory: Path) -> int:
    """Each kind on a relay of its own, whose limits are not what is tried."""
    total = 0
    for kind in KINDS:
        house = RelayHouse(pair, directory / kind, memory=False)
        house.open(limits=UNLIMITED)
        world = await World.begin(house)
        (request,) = (request for request in requests(world) if request.name == kind)
        total += (count := await cut_everywhere(world, request, range))
        sys.stderr.write(f"{kind}: {count} cuts\n")
        await house.close()
    return total


async def _cut_deeds(pair: Path, directory: Path, deed: str, way: str, step: int) -> int:
    home, town = House(pair, directory / "relay"), Town(directory)
    home.options["limits"] = UNLIMITED
    home.open()
    scene = await Scene.begin(home, town)
    try:
        if deed == "direct":
            await scene.meet(DIRECTS)
            return await cut_deed(scene, deed, way, lambda length: range(1, length, max(step, length // (DIRECTS - 5))))
        return await cut_deed(scene, deed, way, lambda length: range(1, length, step))
    finally:
        await scene.end()
        await town.stack.aclose()
        await home.close()


_FIRES = {"kill": _kill, "cuts": _cuts}
