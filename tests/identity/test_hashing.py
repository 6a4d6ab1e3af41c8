"""H, K and the two other hashes of Chaton/1 against the vectors."""

import hashlib
import json
from pathlib import Path

import pytest

from chaton.identity.hashing import Person, digest, keyed

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "hashing.json").read_text())


@pytest.mark.parametrize("case", VECTORS["H"], ids=lambda case: f"{case['person']} {len(case['data']) // 2}")
def test_digest(case: dict) -> None:
    assert digest(Person(case["person"].encode()), bytes.fromhex(case["data"])).hex() == case["out"]


@pytest.mark.parametrize("case", VECTORS["K"], ids=lambda case: f"{case['person']} {len(case['data']) // 2}")
def test_keyed(case: dict) -> None:
    out = keyed(bytes.fromhex(case["key"]), Person(case["person"].encode()), bytes.fromhex(case["data"]))
    assert out.hex() == case["out"]


@pytest.mark.parametrize("case", VECTORS["nonce24"], ids=lambda case: len(case["data"]) // 2)
def test_nonce(case: dict) -> None:
    key, data = bytes.fromhex(case["key"]), bytes.fromhex(case["data"])
    assert case["person"].encode() == Person.NONCE.value
    assert hashlib.blake2b(data, digest_size=24, key=key, person=Person.NONCE.value).hexdigest() == case["out"]


@pytest.mark.parametrize("case", VECTORS["file"], ids=lambda case: len(case["data"]) // 2)
def test_attachment_hash(case: dict) -> None:
    assert hashlib.blake2b(bytes.fromhex(case["data"]), digest_size=32).hexdigest() == case["out"]


def test_every_person_has_a_vector_and_no_two_are_alike() -> None:
    assert {case["person"].encode() for case in VECTORS["H"]} == {person.value for person in Person}
    assert len({digest(person, b"") for person in Person}) == len(Person)
    assert all(len(person.value) <= 16 for person in Person)


def test_keyed_without_data_is_keyed_over_nothing() -> None:
    assert keyed(b"k" * 32, Person.ENCRYPT) == keyed(b"k" * 32, Person.ENCRYPT, b"")
