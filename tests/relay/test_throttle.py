"""Buckets and daily counts under any clock, and with more keys than they may keep."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaton.identity.ids import Identity
from chaton.limits import DAY_MS, HOUR_MS, SECOND_MS
from chaton.relay.throttle import Bucket, DailyCount, Kind, Meter, Rate, Throttle

NOW = 1_800_000_000_000


def throttle(*, per_second=1, burst=2, keys_max=100):
    return Throttle({Kind.MESSAGES: Rate(per_second=per_second, burst=burst)}, keys_max=keys_max)


class TestBucket:
    def test_a_burst_then_the_rate(self):
        bucket = Bucket(10, 3)
        assert [bucket.take(NOW) for _ in range(4)] == [0, 0, 0, 100]
        assert bucket.take(NOW + 99) == 1
        assert bucket.take(NOW + 100) == 0
        assert bucket.take(NOW + 100) == 100

    def test_a_rest_fills_it_to_the_burst_and_no_further(self):
        bucket = Bucket(10, 3)
        assert [bucket.take(NOW) for _ in range(3)] == [0, 0, 0]
        assert [bucket.take(NOW + DAY_MS) for _ in range(4)] == [0, 0, 0, 100]

    def test_amounts(self):
        bucket = Bucket(1_000, 1_000)
        assert bucket.take(NOW, 600) == 0
        assert bucket.take(NOW, 600) == 200
        assert bucket.take(NOW, 400) == 0
        assert bucket.take(NOW + 200, 200) == 0

    def test_more_than_it_holds_waits_for_a_full_bucket_and_is_paid_off(self):
        bucket = Bucket(100, 100)
        assert bucket.take(NOW, 1) == 0
        assert bucket.take(NOW, 300) == 10
        assert bucket.take(NOW + 10, 300) == 0
        assert bucket.take(NOW + 10, 1) == 2_010
        assert not bucket.is_full(NOW + 3_009)
        assert bucket.is_full(NOW + 3_010)

    def test_a_clock_set_back_gives_nothing_and_locks_nobody_out(self):
        bucket = Bucket(1, 2)
        assert [bucket.take(NOW) for _ in range(2)] == [0, 0]
        back = NOW - DAY_MS
        assert bucket.take(back) == 1_000
        assert bucket.take(back + 999) == 1
        assert bucket.take(back + 1_000) == 0
        assert bucket.take(back + 1_000) == 1_000

    @given(st.lists(st.tuples(st.integers(-5_000, 5_000), st.integers(1, 30)), max_size=60))
    def test_it_never_gives_more_than_burst_and_rate_and_tells_the_right_wait(self, steps):
        bucket, now, forward, given_out = Bucket(5, 10), NOW, 0, 0
        for step, amount in steps:
            now += step
            forward += max(step, 0)
            wait = bucket.take(now, amount)
            if wait:
                assert wait <= 1_000 * (10 + 30 * 60) / 5
                assert bucket.take(now + wait - 1, amount) == 1 or wait == 1
                assert bucket.take(now + wait, amount) == 0
                now += wait
                forward += wait
            given_out += amount
            assert given_out - amount <= 10 + 5 * forward / SECOND_MS + 1e-6


class TestThrottle:
    def test_keys_and_kinds_have_their_own_buckets(self):
        rates = {Kind.MESSAGES: Rate(per_second=1, burst=1), Kind.RECORDS: Rate(per_second=0.1, burst=1)}
        both = Throttle(rates)
        assert both.take(NOW, "ann", Kind.MESSAGES) == 0
        assert both.take(NOW, "ann", Kind.MESSAGES) == 1_000
        assert both.take(NOW, "bob", Kind.MESSAGES) == 0
        assert both.take(NOW, "ann", Kind.RECORDS) == 0
        assert both.take(NOW, "ann", Kind.RECORDS) == 10_000

    def test_a_kind_without_a_rate_is_not_limited_and_costs_nothing(self):
        one = throttle()
        assert {one.take(NOW, "ann", Kind.BYTES, 1e9) for _ in range(1_000)} == {0}
        assert len(one) == 0

    def test_idle_keys_are_dropped_as_others_come(self):
        one = throttle()
        for i in range(50):
            one.take(NOW, i, Kind.MESSAGES)
        assert len(one) == 50
        for i in range(50):
            one.take(NOW + HOUR_MS, 1_000 + i, Kind.MESSAGES)
        assert len(one) == 50
        one.take(NOW + 2 * HOUR_MS, "ann", Kind.MESSAGES)
        assert len(one) == 49

    def test_who_is_over_the_limit_stays_so_while_others_come(self):
        one = throttle()
        assert [one.take(NOW, "ann", Kind.MESSAGES) for _ in range(3)] == [0, 0, 1_000]
        for i in range(90):
            assert one.take(NOW, i, Kind.MESSAGES) == 0
        assert one.take(NOW, "ann", Kind.MESSAGES) == 1_000

    def test_there_are_never_more_keys_than_the_bound(self):
        one = throttle(keys_max=10)
        for i in range(1_000):
            assert one.take(NOW, i, Kind.MESSAGES) == 0
            assert len(one) <= 10
        assert one.take(NOW, 999, Kind.MESSAGES) == 0
        assert one.take(NOW, 999, Kind.MESSAGES) == 1_000

    def test_at_the_bound_a_full_bucket_goes_before_one_in_use(self):
        one = throttle(keys_max=3)
        one.take(NOW, "old", Kind.MESSAGES)
        later = NOW + HOUR_MS
        assert [one.take(later, "ann", Kind.MESSAGES) for _ in range(3)] == [0, 0, 1_000]
        one.take(later, "bob", Kind.MESSAGES)
        one.take(later, "cat", Kind.MESSAGES)
        assert one.take(later, "ann", Kind.MESSAGES) == 1_000

    def test_use_keeps_a_key_from_being_the_oldest(self):
        one = throttle(keys_max=2)
        for key in ("ann", "bob", "ann", "ann", "cat"):
            one.take(NOW, key, Kind.MESSAGES)
        assert one.take(NOW, "ann", Kind.MESSAGES) == 1_000


class TestDailyCount:
    def test_twenty_in_any_24_hours(self):
        nicks = DailyCount(20)
        assert [nicks.take(NOW + i * HOUR_MS, "ann") for i in range(20)] == [0] * 20
        assert nicks.take(NOW + 20 * HOUR_MS, "ann") == 4 * HOUR_MS
        assert nicks.take(NOW + DAY_MS - 1, "ann") == 1
        assert nicks.take(NOW + DAY_MS, "ann") == 0
        assert nicks.take(NOW + DAY_MS, "ann") == HOUR_MS
        assert nicks.take(NOW + DAY_MS, "bob") == 0

    def test_a_clock_set_back_gives_nothing_and_locks_nobody_out_for_longer_than_a_day(self):
        nicks = DailyCount(3)
        assert [nicks.take(NOW, "ann") for _ in range(2)] == [0, 0]
        back = NOW - 30 * DAY_MS
        assert nicks.take(back, "ann") == 0
        assert nicks.take(back, "ann") == DAY_MS
        assert nicks.take(back + DAY_MS - 1, "ann") == 1
        assert nicks.take(back + DAY_MS, "ann") == 0

    @given(st.lists(st.integers(-2 * DAY_MS, 2 * DAY_MS), max_size=80))
    def test_the_wait_is_a_day_at_most_and_true(self, steps):
        counts, now = DailyCount(3), NOW
        for step in steps:
            now += step
            wait = counts.take(now, "ann")
            assert 0 <= wait <= DAY_MS
            assert not wait or counts.take(now + wait, "ann") == 0
            now += wait

    def test_a_bounded_number_of_keys_and_idle_ones_go(self):
        counts = DailyCount(2, keys_max=10)
        for i in range(100):
            counts.take(NOW, i)
            assert len(counts) <= 10
        counts.take(NOW + DAY_MS, "ann")
        assert len(counts) == 9
        counts.take(NOW + DAY_MS, "bob")
        assert len(counts) == 8


@dataclass
class Connection:
    address: str
    identity: Identity | None = None


class TestMeter:
    ANN, BOB = Identity(bytes(32)), Identity(bytes([1] * 32))

    def meter(self, of_identity=2, of_address=3):
        identity = {Kind.MESSAGES: Rate(per_second=1, burst=of_identity)}
        address = {Kind.MESSAGES: Rate(per_second=0.5, burst=of_address)}
        return Meter(identity, address, {"nick": 2, "leave": 1})

    def test_who_has_not_logged_in_is_counted_by_address(self):
        meter = self.meter()
        assert [meter.take("messages", Connection("a"), 1, NOW) for _ in range(4)] == [0, 0, 0, 2_000]
        assert meter.take("messages", Connection("b"), 1, NOW) == 0

    def test_an_identity_is_counted_wherever_it_comes_from(self):
        meter = self.meter()
        assert meter.take("messages", Connection("a", self.ANN), 1, NOW) == 0
        assert meter.take("messages", Connection("b", self.ANN), 1, NOW) == 0
        assert meter.take("messages", Connection("c", self.ANN), 1, NOW) == 1_000
        assert meter.take("messages", Connection("c", self.BOB), 1, NOW) == 0

    def test_what_one_refuses_is_not_counted_by_the_other(self):
        meter = self.meter(of_identity=2, of_address=3)
        ann, bob = Connection("a", self.ANN), Connection("a", self.BOB)
        assert [meter.take("messages", ann, 1, NOW) for _ in range(3)] == [0, 0, 1_000]
        assert meter.addresses.wait(NOW, "a", Kind.MESSAGES) == 0
        assert [meter.take("messages", bob, 1, NOW) for _ in range(3)] == [0, 2_000, 2_000]
        assert meter.identities.wait(NOW, self.BOB, Kind.MESSAGES) == 0

    def test_the_longer_wait_is_told(self):
        meter = self.meter(of_identity=2, of_address=2)
        assert [meter.take("messages", Connection("a", self.ANN), 2, NOW) for _ in range(2)] == [0, 4_000]

    def test_daily_counts_of_each_kind(self):
        meter, ann = self.meter(), Connection("a", self.ANN)
        assert [meter.take_daily("nick", ann, NOW) for _ in range(3)] == [0, 0, DAY_MS]
        assert [meter.take_daily("leave", ann, NOW) for _ in range(2)] == [0, DAY_MS]
        assert meter.take_daily("leave", Connection("a", self.BOB), NOW) == 0


@pytest.mark.parametrize("kind", Kind)
def test_kinds_are_the_names_in_the_config(kind):
    assert kind.value == kind.name.lower()
