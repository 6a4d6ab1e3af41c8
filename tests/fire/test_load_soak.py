"""A short soak (``scripts/soak`` makes it long)."""

from tests.fire.soak import soak


async def test_people_come_and_go_for_a_while(tmp_path):
    seen = await soak(tmp_path, seconds=5, seed=3, tell=lambda _soak: None, restless=2)
    assert sum(seen.goings.values()) >= 2
    assert len(seen.acknowledged) >= 20
