"""Accepting others' bundles, against the vectors."""

import pytest
from msgspec.structs import replace

from chaton.errors import BundleRefused, ProtocolError
from chaton.identity.bundle import Bundle
from chaton.identity.ids import BundleId, Identity
from chaton.identity.statement import Seed
from chaton.limits import (
    BUNDLE_AHEAD_MS,
    BUNDLE_KEY_GRACE_MS,
    BUNDLE_LIFE_GUEST_MS,
    BUNDLE_LIFE_MS,
    BUNDLE_ROTATE_MS,
    DAY_MS,
    MINUTE_MS,
)
from chaton.session.context import Context
from chaton.session.keyring import Keyring, Peers
from chaton.session.memory import PeerEntry
from chaton.session.notices import Warned
from chaton.vault.bundle import make_bundle
from chaton.vault.entropy import system_entropy
from chaton.wire import frames
from tests.session.test_refusals import twist
from tests.session.vectors import load
from tests.session.world import Person, World, joined, make_room, say

CASES = load("bundle")["accept"]
NOW = 1_800_000_000_000


def context(now: int = NOW, *, lasting: bool = True) -> Context:
    return Context(Seed(b"s" * 32), system_entropy, lasting, now)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_bundles_are_judged_as_the_vectors_say(case: dict) -> None:
    raw = bytes.fromhex(case["bundle"])
    seen = BundleId.from_hex(case["seen_bid"]) if case["seen_bid"] else None
    identity = Identity(raw[3:35]) if len(raw) > 35 else Identity.zero()
    entry = PeerEntry(identity=identity, counter=case["seen_ctr"], seen=seen)
    peers = Peers(context(case["now"]), [entry], lambda _: case["known"])
    if case["result"] == "accept":
        assert peers.learn(raw).raw == raw
        assert peers.usable(identity) is not None
    else:
        with pytest.raises(ProtocolError) as refusal:
            peers.learn(raw)
        assert refusal.value.reason == case["result"]
        assert (entry.counter, entry.seen, entry.bundle) == (case["seen_ctr"], seen, b"")


def test_a_newer_counter_in_a_message_retires_the_known_bundle() -> None:
    case = next(case for case in CASES if case["name"] == "fresh")
    bundle = Bundle.decode(bytes.fromhex(case["bundle"]))
    peers = Peers(context(case["now"]), [], lambda _: True)
    peers.learn(bundle.raw)
    peers.saw_counter(bundle.identity, bundle.counter + 1)
    assert peers.usable(bundle.identity) is None
    peers = Peers(context(case["now"]), [], lambda _: True)
    peers.learn(bundle.raw)
    peers.saw_counter(bundle.identity, case["now"] + 3_600_000)
    assert peers.usable(bundle.identity) is not None


def bundle() -> Bundle:
    return make_bundle(Seed(b"o" * 32), counter=NOW, expires=NOW + BUNDLE_LIFE_MS, entropy=system_entropy).bundle


@pytest.mark.parametrize(("ahead_ms", "counts"), [(BUNDLE_AHEAD_MS, True), (BUNDLE_AHEAD_MS + 1, False)])
def test_a_counter_in_a_message_counts_if_its_bundle_could_be_accepted(ahead_ms: int, counts: bool) -> None:
    peers, known = Peers(context(), [], lambda _: True), bundle()
    peers.learn(known.raw)
    peers.saw_counter(known.identity, NOW + ahead_ms)
    assert (peers.usable(known.identity) is None) is counts


def test_a_message_that_names_known_keys_lets_no_others_of_their_counter_in() -> None:
    peers, known = Peers(context(), [], lambda _: True), bundle()
    peers.learn(known.raw)
    peers.saw_counter(known.identity, NOW)
    with pytest.raises(BundleRefused) as refusal:
        peers.learn(bundle().raw)
    assert refusal.value.reason == "rollback"


def test_own_bundles_grow_are_replaced_hourly_and_their_keys_erased() -> None:
    shared = context()
    ring = Keyring(shared, [])
    assert ring.due()
    first = ring.renew(guest=False)
    assert not ring.due()
    assert not ring.is_of_a_clone(first.bundle.raw)
    shared.now += BUNDLE_ROTATE_MS
    assert ring.due()
    second = ring.renew(guest=True)
    assert second.bundle.counter > first.bundle.counter
    assert second.bundle.expires - second.bundle.counter == BUNDLE_LIFE_GUEST_MS
    assert ring.current is second
    shared.now += BUNDLE_KEY_GRACE_MS - 1
    ring.erase_replaced()
    assert ring.find(first.id) is first
    shared.now += 1
    ring.erase_replaced()
    assert ring.find(first.id) is None
    assert ring.find(second.id) is second


def test_keys_are_erased_also_by_a_clock_that_is_set_back() -> None:
    shared = context()
    ring = Keyring(shared, [])
    first, _second = ring.renew(guest=False), ring.renew(guest=False)
    shared.now -= BUNDLE_ROTATE_MS
    ring.erase_replaced()
    assert ring.find(first.id) is first
    assert not ring.is_of_a_clone(first.bundle.raw)
    shared.now += BUNDLE_KEY_GRACE_MS - 1
    ring.erase_replaced()
    assert ring.find(first.id) is first
    shared.now += 1
    ring.erase_replaced()
    assert ring.find(first.id) is None


@pytest.mark.parametrize(("later_ms", "is_of_a_clone"), [(-1, False), (0, True), (1, True)])
def test_keys_that_somebody_else_has_made_since_or_at_the_same_moment_are_of_a_clone(
    later_ms: int, is_of_a_clone: bool
) -> None:
    shared, counter = context(), NOW + later_ms
    ring = Keyring(shared, [])
    ring.renew(guest=False)
    other = make_bundle(shared.seed, counter=counter, expires=counter + BUNDLE_LIFE_MS, entropy=system_entropy)
    assert ring.is_of_a_clone(other.bundle.raw) is is_of_a_clone


def test_the_time_that_a_clock_set_back_leaves_replaced_keys_outlasts_restarts() -> None:
    world = World()
    ada = world.person("ada")
    old = ada.session.keyring.shown.id
    world.pass_time(BUNDLE_ROTATE_MS)
    world.clock.now -= BUNDLE_ROTATE_MS
    for _ in range(3):  # Of which the first tick begins the time anew.
        ada.restart()
        world.settle()
        assert ada.session.keyring.find(old) is not None
        world.pass_time(BUNDLE_KEY_GRACE_MS // 2)
    assert ada.session.keyring.find(old) is None


def test_a_one_shot_command_keeps_a_valid_bundle() -> None:
    shared = context(lasting=False)
    ring = Keyring(shared, [])
    shared.now = ring.renew(guest=False).bundle.expires - 1
    assert not ring.due()
    shared.now += 1
    assert ring.due()


def test_a_clock_set_back_ends_no_keys_that_the_relay_has_taken() -> None:
    shared = context()
    ring = Keyring(shared, [])
    first = ring.renew(guest=False)
    ring.published(first.bundle.raw)
    shared.now -= DAY_MS
    assert not ring.due()
    second = ring.renew(guest=False)
    assert second.bundle.counter == first.bundle.counter + 1
    assert ring.find(first.id) is first


@pytest.mark.parametrize(("ahead_ms", "due"), [(BUNDLE_AHEAD_MS, False), (BUNDLE_AHEAD_MS + 1, True)])
def test_keys_from_ahead_are_made_anew_where_nobody_would_take_them(ahead_ms: int, due: bool) -> None:
    shared = context()
    ring = Keyring(shared, [])
    ring.renew(guest=False)
    shared.now -= ahead_ms
    assert ring.due() is due


def test_new_keys_are_newer_than_all_that_the_relay_has_taken() -> None:
    """Also once those are erased, and what replaced them was made by a clock that was ahead."""
    shared = context()
    ring = Keyring(shared, [])
    for _ in range(2):
        taken = ring.renew(guest=False)
        ring.published(taken.bundle.raw)
        shared.now += BUNDLE_ROTATE_MS
    shared.now += DAY_MS
    ring.renew(guest=False)
    shared.now += BUNDLE_KEY_GRACE_MS
    ring.erase_replaced()
    assert ring.find(taken.id) is None
    shared.now = NOW
    assert ring.renew(guest=False).bundle.counter == taken.bundle.counter + 1


def test_new_keys_are_newer_than_those_of_the_same_moment() -> None:
    ring = Keyring(context(), [])
    first, second = ring.renew(guest=False), ring.renew(guest=False)
    assert second.bundle.counter == first.bundle.counter + 1
    assert ring.current is second


def test_one_who_has_no_keys_makes_some_though_the_relay_has_some() -> None:
    """As of a profile that was lost, but for its identity."""
    world = World()
    ada = world.person("ada")
    make_room(ada)
    ada.disconnect()
    world.clock.now += MINUTE_MS
    again = Person(world, "again", ada.seed)
    world.people.append(again)
    again.connect()
    world.settle()
    assert again.session.arrival.settled
    assert world.relay.hub.memory.bundles[ada.identity].row.counter == world.clock.now


def test_that_the_relay_has_taken_ones_keys_is_kept() -> None:
    ada = World().person("ada")
    ada.disconnect()
    shown = ada.session.keyring.shown.id
    ada.start()
    assert ada.session.keyring.shown.id == shown


def test_older_keys_than_a_message_named_are_refused_after_a_restart_too() -> None:
    world = World()
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    older = ada.session.keyring.shown.bundle
    world.pass_time(BUNDLE_ROTATE_MS)
    say(ada, room, "with newer keys")
    ben.disconnect()
    ben.start()
    with pytest.raises(BundleRefused) as refusal:
        ben.session.peers.learn(older.raw)
    assert refusal.value.reason == "rollback"


def test_keys_that_fall_due_while_one_is_offline_are_shown_at_the_next_login() -> None:
    world = World()
    ada = world.person("ada")
    ada.disconnect()
    world.pass_time(BUNDLE_ROTATE_MS)
    ada.connect()
    world.settle()
    assert world.relay.hub.memory.bundles[ada.identity].row.counter == world.clock.now


def test_older_keys_of_ones_own_that_a_relay_still_has_are_nobody_elses() -> None:
    """As after the relay was put back from a backup; one has erased them since."""
    world = World()
    ada = world.person("ada")
    older = ada.session.keyring.shown
    world.pass_time(BUNDLE_ROTATE_MS)
    world.pass_time(BUNDLE_KEY_GRACE_MS)
    assert ada.session.keyring.find(older.id) is None
    twist(world, frames.BundleList, into=lambda told: [replace(told, bundles=[older.bundle.raw])])
    ada.restart()
    world.settle()
    assert not ada.told(Warned)
