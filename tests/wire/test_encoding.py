import pytest

from chaton.identity.ids import Identity, RoomId
from chaton.identity.secret import InviteSeed
from chaton.limits import FRAME_BYTES_MAX
from chaton.wire.codec import PREFIX_BYTES, decode_of_client, encode
from chaton.wire.frames import Create, Direct, Turn


def test_an_id_travels_as_its_bytes():
    frame = Turn(1, RoomId(bytes(range(32))))
    assert encode(frame) == encode(Turn(1, bytes(range(32))))
    assert decode_of_client(encode(frame)[PREFIX_BYTES:]) == frame


@pytest.mark.parametrize("what", [InviteSeed(bytes(32)), object(), {1j}])
def test_nothing_but_bytes_travels_in_disguise(what):
    with pytest.raises(TypeError, match="cannot hold"):
        encode(Direct(1, what))


def test_a_frame_that_nobody_would_read_is_not_made():
    room = Create(1, bytes(FRAME_BYTES_MAX - 8))
    assert len(encode(room)) == FRAME_BYTES_MAX + PREFIX_BYTES
    with pytest.raises(TypeError, match="does not fit"):
        encode(Create(1, bytes(FRAME_BYTES_MAX - 7)))
    assert encode(Direct(1, Identity.zero()))
