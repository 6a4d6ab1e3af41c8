import pytest

from chaton.errors import Malformed
from chaton.identity.ids import Identity, Instance, RoomId, Signature


@pytest.mark.parametrize(("kind", "size"), [(RoomId, 32), (Identity, 32), (Signature, 64)])
def test_an_id_has_one_length(kind, size):
    assert kind(bytes(size)) == kind.zero() == bytes(size)
    for wrong in (0, size - 1, size + 1):
        with pytest.raises(Malformed, match=kind.__name__):
            kind(bytes(wrong))


def test_an_id_is_written_as_lower_case_hex():
    room = RoomId(bytes(range(0xA0, 0xC0)))
    assert RoomId.from_hex(str(room)) == room
    assert str(room).startswith("a0a1a2a3a4")
    assert room.short == "a0a1a2a3"
    assert repr(room) == "RoomId(a0a1a2a3…)"


@pytest.mark.parametrize("text", ["", "a" * 63, "a" * 65, "A" * 64, "g" * 64, "a" * 64 + "\n", " " + "a" * 63])
def test_no_other_spelling_is_read(text):
    with pytest.raises(Malformed, match="64 lower-case"):
        Instance.from_hex(text)


def test_the_empty_name_is_all_zeros():
    assert Instance.zero() == bytes(32)
    assert type(Instance.zero()) is Instance
