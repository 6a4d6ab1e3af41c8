"""What ``scripts/sim`` does with its arguments."""

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext

from tests.sim.base import MODES
from tests.sim.breaks import BREAKS, broken
from tests.sim.play import STEPS, play, script_of, shrink


def run(arguments: Sequence[str]) -> int:
    """Play one seed, or many; the exit status tells whether all held."""
    options = _options(arguments)
    if options.minutes is not None:
        return _many(options)
    with broken(options.broken) if options.broken else nullcontext():
        outcome = play(options.seed, options.mode or "honest", range(options.steps))
        if outcome.rule and not options.whole:
            outcome = shrink(outcome, range(options.steps))
    sys.stdout.write(script_of(outcome) + "\n")
    if not outcome.rule:
        sys.stdout.write(_counts(outcome.counts))
    return 1 if outcome.rule else 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/sim", description="whole rooms, in virtual time, from one seed")
    parser.add_argument("--seed", type=int, default=0, help="the one to replay, or the first of many")
    parser.add_argument("--steps", type=int, default=STEPS, help="how many steps a seed has (default: %(default)s)")
    parser.add_argument("--mode", choices=MODES, help="default: honest, and all in turn with --minutes")
    parser.add_argument("--minutes", type=float, help="play seed after seed for so long")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one for each core)")
    parser.add_argument("--whole", action="store_true", help="do not look for a smaller script")
    parser.add_argument("--break", dest="broken", choices=BREAKS, help="break one rule on purpose")
    return parser.parse_args(arguments)


def _many(options: argparse.Namespace) -> int:
    """Let each process play seeds of its own until the time is over."""
    with multiprocessing.get_context("spawn").Pool(options.jobs) as pool:
        done = pool.map(_work, [(options, number) for number in range(options.jobs)], chunksize=1)
    total: Counter[str] = sum(done, Counter())
    sys.stdout.write(_counts(total))
    return 1 if total["failed seeds"] else 0


def _work(task: tuple[argparse.Namespace, int]) -> Counter[str]:
    """Play every ``jobs``-th seed, print what fails, and count."""
    options, number = task
    modes = [options.mode] if options.mode else list(MODES)
    end, total, steps = time.monotonic() + options.minutes * 60, Counter[str](), range(options.steps)
    seed = options.seed + number
    while time.monotonic() < end:
        for mode in modes:
            outcome = play(seed, mode, steps)
            total += outcome.counts + Counter({"steps": outcome.steps, f"seeds {mode}": 1})
            if outcome.rule:
                total["failed seeds"] += 1
                sys.stdout.write(script_of(shrink(outcome, steps)) + "\n\n")
                sys.stdout.flush()
        seed += options.jobs
    return total


def _counts(counts: Counter[str]) -> str:
    """A column of counts: what there was first, then what was done and went wrong, by kind."""
    first = [f"{counts[what]:9,} {what}\n" for what in ("steps", "rooms", "records", "messages", "shown")]
    others = [f"{count:9,} {what}\n" for what, count in sorted(counts.items()) if " " in what]
    return "".join(first + others)
