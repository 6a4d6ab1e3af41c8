"""Making a bundle against the vectors, and reading it back from a profile."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaton.errors import BadSignature, Malformed, ProtocolError
from chaton.identity.statement import Seed
from chaton.vault.bundle import make_bundle, restore_bundle
from chaton.vault.entropy import system_entropy
from chaton.vault.keys import BoxKey, MlkemSeed

from .vectors import DAY, NOW, Counting, Recorded, flipped, load, own_bundle, person

MAKE = load("bundle")["make"]


@pytest.mark.parametrize("case", MAKE, ids=lambda case: case["bid"][:8])
def test_make_gives_the_bytes_of_the_vector(case: dict) -> None:
    entropy = Recorded(case["x25519_private"], case["mlkem_seed"])
    seed = Seed(bytes.fromhex(case["identity_seed"]))
    own = make_bundle(seed, counter=case["ctr"], expires=case["exp"], entropy=entropy)
    assert own.bundle.raw.hex() == case["bundle"]
    assert own.id.hex() == case["bid"]
    assert own.bundle.identity.hex() == case["identity"]
    assert (own.bundle.counter, own.bundle.expires) == (case["ctr"], case["exp"])
    assert not entropy.pieces


@pytest.mark.parametrize("case", MAKE, ids=lambda case: case["bid"][:8])
def test_restore_gives_the_same(case: dict) -> None:
    box, mlkem = BoxKey(bytes.fromhex(case["x25519_private"])), MlkemSeed(bytes.fromhex(case["mlkem_seed"]))
    own = restore_bundle(bytes.fromhex(case["bundle"]), box, mlkem)
    assert own.id.hex() == case["bid"]
    assert own.box is box
    assert own.mlkem is mlkem


def test_two_bundles_share_no_key() -> None:
    seed, _ = person("ada")
    one, two = (make_bundle(seed, counter=NOW, expires=NOW + DAY, entropy=system_entropy) for _ in range(2))
    assert one.bundle.x25519 != two.bundle.x25519
    assert one.bundle.mlkem768 != two.bundle.mlkem768


@pytest.mark.parametrize("size", [31, 33, 63, 65])
def test_a_source_that_gives_another_size_makes_no_bundle(size: int) -> None:
    seed, _ = person("ada")
    with pytest.raises(Malformed):
        make_bundle(seed, counter=NOW, expires=NOW + DAY, entropy=lambda _: bytes(size))


def test_keys_of_another_bundle_are_refused() -> None:
    mine, other = own_bundle("ada"), own_bundle("ada", NOW + 1)
    for box, mlkem in [(other.box, mine.mlkem), (mine.box, other.mlkem)]:
        with pytest.raises(Malformed):
            restore_bundle(mine.bundle.raw, box, mlkem)


def test_a_flipped_bit_anywhere_is_refused() -> None:
    own = own_bundle("ada")
    for position in range(len(own.bundle.raw)):
        with pytest.raises((Malformed, BadSignature)):
            restore_bundle(flipped(own.bundle.raw, position, position % 8), own.box, own.mlkem)


@given(raw=st.binary(max_size=1400) | st.binary(min_size=1328, max_size=1328).map(lambda tail: b"CB\x01" + tail))
def test_any_bytes_raise_typed_errors_only(raw: bytes) -> None:
    own = own_bundle("ada")
    with pytest.raises(ProtocolError):
        restore_bundle(raw, own.box, own.mlkem)


def test_counting_entropy_is_repeatable() -> None:
    assert Counting("x")(32) == Counting("x")(32) != Counting("y")(32)
