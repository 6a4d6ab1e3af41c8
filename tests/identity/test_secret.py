"""A secret leaves by ``reveal`` alone."""

import copy
import pickle

import pytest

from chaton.errors import Malformed
from chaton.identity.secret import InviteSeed, RoomInfoKey
from chaton.identity.statement import Seed

RAW = bytes(range(32))


@pytest.fixture(params=[InviteSeed, RoomInfoKey, Seed])
def secret(request):
    return request.param(RAW)


def test_a_secret_is_revealed_on_request_only(secret):
    assert secret.reveal() == RAW
    assert repr(secret) == f"<{type(secret).__name__}>"


@pytest.mark.parametrize(
    "leak",
    [str, "{}".format, lambda one: f"{one:>80}", pickle.dumps, lambda one: one == RAW, lambda one: one == one, hash],  # noqa: PLR0124
)
def test_nothing_else_shows_it(secret, leak):
    with pytest.raises(TypeError, match=r"is not for|compare_digest|unhashable"):
        leak(secret)


def test_a_copy_is_the_same_object(secret):
    assert copy.copy(secret) is secret
    assert copy.deepcopy(secret) is secret


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_secret_has_one_length(size):
    with pytest.raises(Malformed, match="InviteSeed"):
        InviteSeed(bytes(size))


def test_what_was_mutable_is_not_shared():
    raw = bytearray(RAW)
    secret = InviteSeed(raw)
    raw[0] ^= 1
    assert secret.reveal() == RAW
