"""Secrets never leave by accident, whatever holds them."""

import copy
import logging
import pickle
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaton.errors import Malformed
from chaton.identity.secret import InviteSeed, RoomInfoKey, Secret
from chaton.identity.statement import Seed
from chaton.vault.chain import Grant, ReadChain
from chaton.vault.entropy import system_entropy
from chaton.vault.keys import BoxKey, ChainSecret, MessageKey, MlkemSeed, ProfileKey, new_seed

from .vectors import Counting, Recorded, own_bundle, send_chain

SECRETS = [BoxKey, MlkemSeed, ChainSecret, MessageKey, ProfileKey, Seed, InviteSeed, RoomInfoKey]


def make(kind: type[Secret]) -> Secret:
    return kind(bytes(range(1, kind.SIZE + 1)))


def shown_nowhere(secret: Secret, text: str) -> bool:
    raw = secret.reveal()
    return all(form not in text for form in (raw.hex(), repr(raw), repr(raw)[2:-1], str(list(raw))))


@pytest.mark.parametrize("kind", SECRETS)
def test_repr_names_the_kind_only(kind: type[Secret]) -> None:
    assert repr(make(kind)) == f"<{kind.__name__}>"
    assert shown_nowhere(make(kind), f"{make(kind)!r} {[make(kind)]} {vars(kind)}")


@pytest.mark.parametrize("kind", SECRETS)
@pytest.mark.parametrize(
    "leak",
    [
        str,
        "{}".format,
        lambda secret: f"{secret}",
        lambda secret: "%s" % secret,  # noqa: UP031 - the form itself is what is tested
        lambda secret: logging.LogRecord("n", 1, "p", 1, "%s", (secret,), None).getMessage(),
        pickle.dumps,
        lambda secret: secret == secret,  # noqa: PLR0124
        lambda secret: secret != make(type(secret)),
        lambda secret: secret == secret.reveal(),
        hash,
        bytes,
        iter,
    ],
)
def test_every_way_out_but_reveal_raises(kind: type[Secret], leak) -> None:
    secret = make(kind)
    with pytest.raises(TypeError) as caught:
        leak(secret)
    assert shown_nowhere(secret, "".join(traceback.format_exception(caught.value)))


@pytest.mark.parametrize("kind", SECRETS)
def test_a_copy_is_the_same_object(kind: type[Secret]) -> None:
    secret = make(kind)
    assert copy.copy(secret) is secret
    assert copy.deepcopy(secret) is secret


@pytest.mark.parametrize("kind", SECRETS)
@given(raw=st.binary(max_size=70))
def test_only_the_right_length_is_a_secret(kind: type[Secret], raw: bytes) -> None:
    if len(raw) == kind.SIZE:
        assert kind(raw).reveal() == raw
    else:
        with pytest.raises(Malformed):
            kind(raw)


def test_what_holds_secrets_does_not_show_them_either() -> None:
    own, chain = own_bundle("ben"), send_chain(Counting("chain"))
    grant = chain.grant()
    for holder, secrets in [
        (own, [own.box, own.mlkem]),
        (grant, [grant.secret]),
        (ReadChain.accept(grant), [grant.secret]),
        (chain, [grant.secret]),
    ]:
        assert all(shown_nowhere(secret, f"{holder!r} {holder}") for secret in secrets)
        with pytest.raises(TypeError):
            pickle.dumps(holder)


def test_holders_of_equal_secrets_cannot_be_compared() -> None:
    grant = send_chain(Counting("chain")).grant()
    with pytest.raises(TypeError):
        assert grant == Grant(grant.statement, grant.index, ChainSecret(grant.secret.reveal()))


def test_a_new_seed_is_what_was_drawn() -> None:
    assert new_seed(Recorded("11" * 32)).reveal() == b"\x11" * 32
    assert new_seed(system_entropy).public != new_seed(system_entropy).public
