"""kill -9 at random moments under load: nothing acknowledged is lost, nothing is doubled (see ``scripts/fire kill``)."""

from tests.fire.kill import burn


async def test_a_relay_that_is_killed_again_and_again(tmp_path):
    fire = await burn(tmp_path, times=6, seed=1)
    assert fire.kills == 6
    assert len(fire.acknowledged) >= 20
    assert fire.records
