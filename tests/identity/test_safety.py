"""Safety codes and direct rooms against the vectors."""

import json
from pathlib import Path

import pytest

from chaton.errors import UsageError
from chaton.identity.ids import Head, Identity, RoomId
from chaton.identity.safety import direct_room, pair_code, room_code

FOLDER = Path(__file__).parent.parent / "vectors"
VECTORS = json.loads((FOLDER / "safety.json").read_text())
DIRECT = json.loads((FOLDER / "dm.json").read_text())


@pytest.mark.parametrize("case", VECTORS["room"], ids=lambda case: case["n"])
def test_room_code(case: dict) -> None:
    assert room_code(RoomId.from_hex(case["room"]), case["n"], Head.from_hex(case["head"])) == case["code"]


@pytest.mark.parametrize("case", VECTORS["pair"], ids=lambda case: case["code"][:5])
def test_pair_code_from_both_sides(case: dict) -> None:
    one, other = Identity.from_hex(case["a"]), Identity.from_hex(case["b"])
    assert direct_room(one, other).hex() == direct_room(other, one).hex() == case["dm_room"]
    assert pair_code(one, other) == pair_code(other, one) == case["code"]


@pytest.mark.parametrize("case", DIRECT["rooms"], ids=lambda case: case["a"][:8] + case["b"][:8])
def test_direct_room(case: dict) -> None:
    assert direct_room(Identity.from_hex(case["a"]), Identity.from_hex(case["b"])).hex() == case["room"]


@pytest.mark.parametrize("case", DIRECT["refused"], ids=lambda case: case["a"][:8])
def test_nobody_has_a_room_with_oneself(case: dict) -> None:
    with pytest.raises(UsageError):
        direct_room(Identity.from_hex(case["a"]), Identity.from_hex(case["b"]))


def test_a_code_is_six_groups_of_five_digits() -> None:
    code = room_code(RoomId(bytes(32)), 0, Head(bytes(32)))
    assert [len(group) for group in code.split(" ")] == [5] * 6
    assert code.replace(" ", "").isdecimal()
