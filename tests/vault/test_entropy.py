"""The system's generator: the right size, never the same."""

from chaton.vault.entropy import Entropy, system_entropy


def test_gives_the_size_asked_for_and_never_repeats() -> None:
    source: Entropy = system_entropy
    assert [len(source(size)) for size in (0, 1, 24, 64)] == [0, 1, 24, 64]
    assert len({source(32) for _ in range(100)}) == 100
