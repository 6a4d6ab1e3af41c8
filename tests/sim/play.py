"""One seed from its beginning to its end, many of them, and the smallest script that still goes wrong.

A step is chosen by dice of its own, so a script is a seed and the numbers of its steps.
"""

import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from tests.sim import evil_member, evil_relay
from tests.sim.base import MODES, Broken, Mode, step_chances
from tests.sim.ending import end
from tests.sim.faults import ALWAYS, HARSH
from tests.sim.people import DOINGS, move_in
from tests.sim.world import World

Doing = Callable[[World, Random], str]
STEPS = 120


@dataclass(slots=True)
class Outcome:
    """What came of a script.

    Attributes:
        rule: What was broken, empty if nothing was.
        story: What each step did.
    """

    seed: int
    mode: str
    steps: int
    rule: str = ""
    detail: str = ""
    story: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def doings(mode: Mode) -> tuple[list[Doing], list[int]]:
    """What may happen in a step, and how often."""
    table: dict[Doing, int] = {**DOINGS, **ALWAYS}
    if not mode.gentle:
        table |= HARSH
    if mode.relay:
        table |= evil_relay.LIES
    if mode.member:
        table |= evil_member.ATTACKS
    return list(table), list(table.values())


def step(world: World, index: int) -> str:
    """Do what the dice say, let some frames arrive, and judge."""
    dice = step_chances(world.seed, index)
    choices, weights = doings(world.mode)
    doing = dice.choices(choices, weights)[0]
    told = doing(world, dice)
    if told:
        world.tally.add(f"did {doing.__name__}")
    world.move(dice, dice.choice((0, 2, 10, 30, 100)))
    world.moved = 0
    world.check()
    return told or "(only frames arrive)"


def play(seed: int, mode: str, steps: Sequence[int]) -> Outcome:
    """Play a script; never raises."""
    outcome = Outcome(seed, mode, len(steps))
    try:
        world = World(seed, MODES[mode])
        if MODES[mode].relay:
            evil_relay.possess(world)
        move_in(world, step_chances(seed, -2))
        for index in steps:
            outcome.story.append(f"{index:4}  ...")
            outcome.story[-1] = f"{index:4}  {step(world, index)}"
        outcome.story.append("      the faults stop")
        outcome.counts = world.tally.counts
        world.tally.add("rooms", len(world.truths))
        end(world, step_chances(seed, -1))
    except Broken as broken:
        outcome.rule, outcome.detail = broken.rule, str(broken)
    except Exception as bug:  # noqa: BLE001 - whatever is raised is what is looked for
        frame = traceback.extract_tb(bug.__traceback__)[-1]
        outcome.rule = f"{type(bug).__name__} in {frame.name}"
        outcome.detail = traceback.format_exc()
    return outcome


def shrink(failed: Outcome, steps: Sequence[int], *, tries: int = 400) -> Outcome:
    """Leave out steps while the same rule breaks."""
    best, left = failed, list(steps)
    size = max(1, len(left) // 2)
    while size and tries > 0:
        at = 0
        while at < len(left) and tries > 0:
            fewer = left[:at] + left[at + size :]
            tries -= 1
            outcome = play(failed.seed, failed.mode, fewer)
            if outcome.rule == failed.rule:
                best, left = outcome, fewer
            else:
                at += size
        size //= 2
    best.steps = len(left)
    return best


def script_of(outcome: Outcome) -> str:
    """A failure as a person reads it."""
    head = f"seed {outcome.seed}, mode {outcome.mode}: {outcome.rule}"
    return "\n".join([head, *outcome.story, outcome.detail])
