"""Every input that fuzzing began with or has found goes through its target again, without the fuzzer."""

import random
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
CORPUS_BYTES_MAX = 300_000


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_known_keeps_every_promise(name: str) -> None:
    known = sorted((CORPUS / name).iterdir())
    assert known
    for path in known:
        TARGETS[name](path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_near_to_it_does_too(name: str) -> None:
    """A little of what the fuzzer does, the same each time: cut, doubled, and with bytes changed."""
    dice = random.Random(name)
    for path in sorted((CORPUS / name).iterdir()):
        raw = path.read_bytes()[:2_000]
        changed = bytearray(raw)
        for _ in range(min(3, len(raw))):
            changed[dice.randrange(len(raw))] = dice.randrange(256)
        for near in (b"", raw[: dice.randrange(len(raw) + 1)], raw + raw, bytes(changed)):
            TARGETS[name](near)


def test_the_corpus_stays_small_and_belongs_to_targets() -> None:
    assert {path.name for path in CORPUS.iterdir()} == TARGETS.keys()
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) <= CORPUS_BYTES_MAX
