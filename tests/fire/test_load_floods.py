"""Floods of every kind: members are served meanwhile, and the relay's memory is bounded (figures: ``scripts/flood``)."""

import pytest

from tests.fire.attack import ATTACKS
from tests.fire.flood import Outcome, outlive, street

SECONDS = 1.5
SLOWER = 2
NOISE_S = 0.25  # How late a machine that does much else may be by itself.
MB = 2**20
GROWTH_MAX = 96 * MB
HELD = 5_000 + 500 + 200 + 50
SILENT = ("half_open", "slow_handshake", "slow_login", "slow_frame")
DOOR = ("connections", "wrong_logins", "right_logins", "same_login")
MEMBER = ("parcels", "bundles", "records", "messages", "logs")
NONSENSE = ("pings", "single_bytes", "oversized", "nested", "noise", "noise_within")


def test_every_attack_is_tried():
    assert {*SILENT, *DOOR, *MEMBER, *NONSENSE} == ATTACKS.keys()


def judge(outcome: Outcome) -> None:
    before, during, after = outcome.figures
    assert outcome.hot.p50 <= SLOWER * outcome.calm.p50 + NOISE_S, outcome
    assert max(during.rss, after.rss) <= before.rss + GROWTH_MAX, outcome.figures
    assert after.files == before.files


async def test_thousands_who_say_nothing(tmp_path):
    async with street(tmp_path) as street_:
        outcome = await outlive(street_, SILENT, SECONDS, held=HELD)
    judge(outcome)
    assert outcome.done[0] == 5_000


@pytest.mark.parametrize("kind", [DOOR, MEMBER, NONSENSE], ids=["door", "member", "nonsense"])
async def test_floods(tmp_path, kind):
    async with street(tmp_path) as street_:
        judge(await outlive(street_, kind, SECONDS))
    log = (tmp_path / "relay.errors").read_text()
    assert 1 <= log.count("\n") <= 5, "an attack fills no disk with log lines"
