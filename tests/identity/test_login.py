"""Login and peek against the vectors: bound to this relay's key, this connection and this purpose."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaton.errors import BadSignature, Malformed, ProtocolError
from chaton.identity.certificate import pin_of_der
from chaton.identity.ids import Identity, InviteKey, Nonce, Pin, RoomId
from chaton.identity.login import Challenge, LoginAnswer, check_peek
from chaton.identity.secret import InviteSeed
from chaton.identity.statement import Label, Seed, invite_signer

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "login.json").read_text())
PEEK = VECTORS["peek"]


def challenge_of(case: dict) -> Challenge:
    return Challenge(Pin.from_hex(case["spki"]), Nonce.from_hex(case["sn"]), Nonce.from_hex(case["cn"]))


@pytest.mark.parametrize("case", VECTORS["certificates"], ids=lambda case: case["note"])
def test_pin(case: dict) -> None:
    assert pin_of_der(bytes.fromhex(case["der"])).hex() == case["spki"]


@pytest.mark.parametrize("case", VECTORS["login"], ids=lambda case: case["identity"][:8])
def test_login(case: dict) -> None:
    seed, identity = Seed(bytes.fromhex(case["identity_seed"])), Identity.from_hex(case["identity"])
    challenge = challenge_of(case)
    body = challenge.login_body(identity)
    assert body.hex() == case["body"]
    answer = LoginAnswer(identity, challenge.client_nonce, seed.sign(Label.LOGIN, body))
    assert answer.encode().hex() == case["answer"]
    assert LoginAnswer.decode(answer.encode()).check(challenge.pin, challenge.relay_nonce) == identity


@pytest.mark.parametrize("case", VECTORS["refused"], ids=lambda case: case["why"])
def test_login_refused(case: dict) -> None:
    with pytest.raises(ProtocolError) as caught:
        LoginAnswer.decode(bytes.fromhex(case["answer"])).check(Pin.from_hex(case["spki"]), Nonce.from_hex(case["sn"]))
    assert caught.value.reason == case["reason"]


def test_peek() -> None:
    signer, room, challenge = (
        invite_signer(InviteSeed(bytes.fromhex(PEEK["seed"]))),
        RoomId.from_hex(PEEK["room"]),
        challenge_of(PEEK),
    )
    assert signer.reveal().hex() == PEEK["invite_seed"]
    assert signer.public.hex() == PEEK["invite_public"]
    body = challenge.peek_body(room)
    assert body.hex() == PEEK["body"]
    assert signer.sign(Label.PEEK, body).hex() == PEEK["signature"]
    check_peek(challenge, room, InviteKey(signer.public), bytes.fromhex(PEEK["signature"]))


def test_peek_of_another_room_connection_or_relay_is_refused() -> None:
    challenge, room, key = challenge_of(PEEK), RoomId.from_hex(PEEK["room"]), InviteKey.from_hex(PEEK["invite_public"])
    other = bytes(32)
    for tried, tried_room in [
        (challenge, RoomId(other)),
        (challenge._replace(pin=Pin(other)), room),
        (challenge._replace(relay_nonce=Nonce(other)), room),
        (challenge._replace(client_nonce=Nonce(other)), room),
    ]:
        with pytest.raises(BadSignature):
            check_peek(tried, tried_room, key, bytes.fromhex(PEEK["signature"]))


@given(st.binary(max_size=140) | st.binary(min_size=128, max_size=128))
def test_an_answer_reads_one_form_only(raw: bytes) -> None:
    try:
        answer = LoginAnswer.decode(raw)
    except Malformed:
        assert len(raw) != 128
        return
    assert answer.encode() == raw
    with pytest.raises(BadSignature):
        answer.check(Pin(bytes(32)), Nonce(bytes(32)))
