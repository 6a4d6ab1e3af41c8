"""Readers that do not read: nobody else feels it, little memory is held for them, and nothing is lost to them."""

from tests.fire.flood import street
from tests.fire.readers import QUEUE_BYTES, endure
from tests.fire.relay import HurtRelay

TIMES = 10
SLOWER, NOISE_S = 2, 0.25
# A queue each, what one reading of the store brings along, and the allocator's rounding.
HELD_MAX = 3 * 2 * QUEUE_BYTES + 12 * 2**20


async def test_the_dead_the_slow_and_the_late(tmp_path):
    async with street(tmp_path, HurtRelay) as street_:
        outcome = await endure(street_, times=TIMES)
    assert outcome.late == outcome.wanted
    assert outcome.hot.p99 <= SLOWER * outcome.calm.p99 + NOISE_S, outcome
    assert outcome.during.rss <= outcome.before.rss + HELD_MAX, outcome
