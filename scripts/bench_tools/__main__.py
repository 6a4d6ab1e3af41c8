"""The benchmark: Chaton's relay beside a bare loop in Python and other servers, and what its client costs."""

import argparse
import os
import resource
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import client_side
import table
import window
from generator import BUILD_HINT, Generator
from loads import LOADS, QUICK, Load
from servers import CHATON, CHATON_ON_DISK, FLOOR, PEERS, RAISED, Place, Server, make_certificate, running

_COLUMNS = (FLOOR, CHATON, CHATON_ON_DISK, *PEERS)
_FILES_FOR_A_CROWD = 10_500
_BUSY = 90


def main() -> int:
    """Measure, print the table on standard output, tell of progress on standard error."""
    options = _options()
    _allow_files()
    chosen = [load for load in LOADS if _is_chosen(load.key, options)]
    notes: list[str] = []
    with tempfile.TemporaryDirectory(prefix="chaton-bench-", dir=options.directory) as name:
        directory = Path(name)
        lines = _measure_relays(chosen, directory, options, notes) if chosen else []
        if _is_chosen("client", options):
            lines += ["", *client_side.table(quick=options.quick, tell=_tell)]
        if _is_chosen("window", options):
            lines += ["", *window.table(tell=_tell)]
    print("\n".join(lines))
    print("\n" + "\n".join(f"- {note}" for note in notes))
    return 0


def _options() -> argparse.Namespace:
    keys = [*(load.key for load in LOADS), "client", "window"]
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about a minute: fewer loads, one round, shorter runs")
    parser.add_argument("--only", metavar="KEY", action="append", choices=keys, help=f"of: {', '.join(keys)}")
    parser.add_argument("--rounds", type=int, help="of each load [3]")
    parser.add_argument("--seconds", type=float, help="of each run [2]")
    parser.add_argument("--directory", type=Path, help="on which disk the stores are [the system's temporary one]")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.seconds = options.seconds or (1.0 if options.quick else 2.0)
    return options


def _is_chosen(key: str, options: argparse.Namespace) -> bool:
    if options.only:
        return key in options.only
    return not options.quick or key in QUICK


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _measure_relays(loads: Sequence[Load], directory: Path, options: argparse.Namespace, notes: list[str]) -> list[str]:
    (directory / "certs").mkdir()
    certificate, key = make_certificate(directory / "certs")
    generator = Generator(directory)
    absent = [server for server in PEERS if server.missing()]
    present = [server for server in _COLUMNS if server not in absent]
    lines = table.header(present)
    busiest = 0.0
    for load in loads:
        servers = [server for server in load.servers if server not in absent]
        places = [Place(directory / f"server{number}", certificate, key) for number in range(len(servers))]
        try:
            results = _measure(load, servers, places, generator, options)
        except RuntimeError as cause:
            notes.append(f"{load.title}: not measured: {cause}")
            continue
        lines += table.rows(load, present, results)
        busiest = max([busiest, *(100 * run.get("own_share", 0) for runs in results.values() for run in runs)])
    notes += _notes(generator, present, absent, busiest, options.rounds)
    return lines


def _measure(
    load: Load, servers: Sequence[Server], places: Sequence[Place], generator: Generator, options: argparse.Namespace
) -> dict[str, list[dict[str, Any]]]:
    """All rounds of one load: the servers stand side by side, idle but for the one whose turn it is."""
    if load.measure == "crowd":
        _check_files()
    results: dict[str, list[dict[str, Any]]] = {server.name: [] for server in servers}
    once = load.measure != "load"  # What memory connections take shows on a fresh server only.
    with ExitStack() as stack:
        started = {} if once else _start_all(load, servers, places, stack)
        for number in range(options.rounds if load.measure != "crowd" else 1):
            order = [*zip(servers, places, strict=True)]
            turned = number % len(order)
            for server, place in order[turned:] + order[:turned]:
                with ExitStack() as short:
                    at = short.enter_context(running(server, place, load.rooms)) if once else started[server.name]
                    run = generator.run(protocol=server.protocol, **at.arguments, **load.arguments(options.seconds))
                results[server.name].append(run)
                _tell(f"{load.title}, round {number + 1}: {server.name}: {_short(run)}")
    return results


def _start_all(load: Load, servers: Sequence[Server], places: Sequence[Place], stack: ExitStack) -> dict[str, Any]:
    return {
        server.name: stack.enter_context(running(server, place, load.rooms))
        for server, place in zip(servers, places, strict=True)
    }


def _short(run: dict[str, Any]) -> str:
    keys = ("cpu_us", "p99_ms", "own_share") if "cpu_us" in run else ("kb_each", "login_us")
    return ", ".join(f"{key} {run[key]:g}" for key in keys)


def _allow_files() -> None:
    """All servers inherit how many files may be open, and not every one of them asks for more."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    soft = hard if hard != resource.RLIM_INFINITY else _FILES_FOR_A_CROWD
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _check_files() -> None:
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft < _FILES_FOR_A_CROWD:
        raise RuntimeError(f"only {soft} files may be open here; as root, raise it: ulimit -Hn {_FILES_FOR_A_CROWD}")


def _notes(
    generator: Generator, present: Sequence[Server], absent: Sequence[Server], busiest: float, rounds: int
) -> list[str]:
    bound = "so it is not what limits" if busiest < _BUSY else "so where it says more than 90, it limits throughput"
    counted = "; ".join(RAISED.splitlines()[1:3])
    return [
        f"medians of {rounds} rounds and their range; servers take turns; ratios to bare Python are each round's own",
        "CPU is the server's, user and system, all its threads",
        f"load generator: {generator.description}, at most {busiest:.0f} % of one of {os.cpu_count()} cores, {bound}",
        "TLS 1.3, TLS_AES_256_GCM_SHA384, for all; a message is in flight until its sender has it back",
        f"limits of the relay that were raised: {counted}; all rates of identities and addresses: 1e9",
        *(f"{server.name}: {server.version()}" for server in present),
        *(f"{server.name}: left out, as it is not installed: {server.install}" for server in absent),
        f"for the generator in C: {BUILD_HINT}",
    ]


if __name__ == "__main__":
    sys.exit(main())
