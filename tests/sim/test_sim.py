"""A few hundred short seeds of every mode, in blocks that spread over processes; and the proof that they can fail."""

import pytest

from tests.sim.base import MODES
from tests.sim.breaks import BREAKS, broken
from tests.sim.command import run
from tests.sim.play import play, script_of, shrink

STEPS = 30  # A seed of scripts/sim has more, and is worth more.
STEPS_UNTIL_CAUGHT = 50
SEEDS_PER_BLOCK = 5
BLOCKS = 10


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("block", range(BLOCKS))
def test_whole_rooms_through_bad_days(block: int, mode: str) -> None:
    for seed in range(block * SEEDS_PER_BLOCK, (block + 1) * SEEDS_PER_BLOCK):
        outcome = play(seed, mode, range(STEPS))
        assert not outcome.rule, script_of(shrink(outcome, range(STEPS), tries=100))


@pytest.mark.parametrize("name", BREAKS)
def test_what_is_broken_is_caught(name: str) -> None:
    with broken(name) as one:
        rules = (play(seed, one.mode, range(STEPS_UNTIL_CAUGHT)).rule for seed in range(30))
        assert one.rule in rules


def test_a_script_shrinks_to_what_it_needs() -> None:
    with broken("twice"):
        failed = play(0, "honest", range(STEPS))
        small = shrink(failed, range(STEPS))
    assert small.rule == failed.rule == "twice"
    assert small.steps <= 3
    assert "seed 0, mode honest: twice" in script_of(small)


def test_a_seed_tells_one_story() -> None:
    one, other = (play(4, "honest", range(STEPS)) for _ in range(2))
    assert (one.story, one.counts) == (other.story, other.counts)


def test_the_command_replays_a_seed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--seed", "3", "--steps", "10", "--mode", "gentle"]) == 0
    assert "seed 3, mode gentle" in capsys.readouterr().out
    assert run(["--seed", "0", "--steps", "30", "--break", "twice"]) == 1
    assert "twice" in capsys.readouterr().out
