"""Structures of one kind fed to every other decoder and verifier, and with a byte changed anywhere (§1)."""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import pytest

from chaton.errors import BadSignature, Malformed, ProtocolError
from chaton.identity.bundle import Bundle, parcel_recipient
from chaton.identity.ids import Identity, Nonce, Pin
from chaton.identity.login import Challenge, LoginAnswer
from chaton.identity.statement import Label, Seed, verify
from chaton.room.envelope import Envelope, Header
from chaton.room.link import Link
from chaton.room.records import Join, open_record
from chaton.vault import parcel as parcels
from chaton.vault.chain import ChainStatement, Grant
from chaton.vault.parcel import KIND_CHAIN, Need, seal_parcel
from chaton.wire.codec import decode_of_client, decode_of_relay
from tests.vault.vectors import HEAD, ROOM, TRANSCRIPT, Counting, load, own_bundle, person, send_chain

RECORDS = [bytes.fromhex(case["bytes"]) for case in load("records")["single"]]
BY_TYPE = {raw[3]: raw for raw in RECORDS}
LINK = load("link")["valid"][0]["link"]


class Kind(NamedTuple):
    """A structure's bytes, what reads them, and what is signed in them: key, label, body."""

    raw: bytes
    read: Callable[[bytes], object]
    signed: tuple[bytes, Label, bytes, bytes] | None = None


@cache
def kinds() -> dict[str, Kind]:
    (seed, ada), bundle = person("ada"), own_bundle("ben").bundle
    chain = send_chain(Counting("chain"))
    grant = chain.grant()
    envelope = chain.seal(n=7, head=HEAD, s=9, transcript=TRANSCRIPT, plaintext=bytes(17), entropy=Counting("m"))
    inner = parcels._signed_and_padded(seed, ROOM, bundle, KIND_CHAIN, grant.encode())
    statement = parcels._Statement.decode(inner)
    challenge = Challenge(Pin(b"p" * 32), Nonce(b"s" * 32), Nonce(b"c" * 32))
    login, peek = challenge.login_body(ada), challenge.peek_body(ROOM)
    answer = LoginAnswer(ada, challenge.client_nonce, seed.sign(Label.LOGIN, login))
    record = open_record(BY_TYPE[1])
    return {
        "record": Kind(record.raw, open_record, (record.actor, Label.RECORD, record.raw[:-64], record.raw[-64:])),
        "bundle": Kind(bundle.raw, Bundle.decode, (bundle.identity, Label.BUNDLE, bundle.raw[:-64], bundle.raw[-64:])),
        "parcel": Kind(seal_parcel(seed, ROOM, bundle, KIND_CHAIN, grant.encode(), Counting("p")), parcel_recipient),
        "inner": Kind(inner, parcels._Statement.decode, (ada, Label.PARCEL, statement.signed, statement.signature)),
        "envelope": Kind(
            envelope.raw, Envelope.decode, (grant.statement.key, Label.MESSAGE, envelope.signed, envelope.signature)
        ),
        "header": Kind(envelope.raw[:145], Header.decode),
        "chain": Kind(grant.statement.encode(), ChainStatement.decode),
        "grant": Kind(grant.encode(), Grant.decode),
        "need": Kind(Need(chain.id, 1, bundle.id).encode(), Need.decode),
        "login": Kind(answer.encode(), LoginAnswer.decode, (ada, Label.LOGIN, login, answer.signature)),
        "peek": Kind(peek, _nothing, (ada, Label.PEEK, peek, seed.sign(Label.PEEK, peek))),
        "link": Kind(LINK.encode(), lambda raw: Link.decode(raw.decode("ascii", "replace"))),
        "frame of a client": Kind(b"", decode_of_client),
        "frame of a relay": Kind(b"", decode_of_relay),
    }


def _nothing(_raw: bytes) -> None:
    raise Malformed("no reader: a peek travels as fields of a frame")


# A message's first 145 bytes are its header, which nothing else is made of and no signature covers alone.
PART_OF = {("envelope", "header")}


@pytest.mark.parametrize("name", kinds())
def test_no_decoder_reads_what_another_one_reads(name: str) -> None:
    raw = kinds()[name].raw
    for other, kind in kinds().items():
        if other == name or (name, other) in PART_OF:
            continue
        for bytes_ in (raw, raw[:-64]):
            with pytest.raises(ProtocolError):
                kind.read(bytes_)


@pytest.mark.parametrize("name", [name for name, kind in kinds().items() if kind.signed])
def test_no_signature_serves_for_anything_else(name: str) -> None:
    """Under each other label, and over each other structure's bytes."""
    key, label, body, signature = kinds()[name].signed
    verify(label, Identity(key), body, signature)
    for other in set(Label) - {label}:
        with pytest.raises(BadSignature):
            verify(other, Identity(key), body, signature)
    for other in kinds().values():
        if other.signed and other.signed[2] != body:
            with pytest.raises(BadSignature):
                verify(other.signed[1], Identity(key), other.signed[2], signature)


def test_no_two_structures_begin_alike() -> None:
    """What is signed begins with two letters and a version of its kind: no login body can be chosen to be a record."""
    beginnings = [kind.signed[2][:3] for kind in kinds().values() if kind.signed]
    assert len(set(beginnings)) == len(beginnings) == 6


@pytest.mark.parametrize("number", sorted(BY_TYPE))
def test_a_byte_changed_anywhere_in_a_record_is_refused(number: int) -> None:
    raw = BY_TYPE[number]
    open_record(raw)
    for position in range(len(raw)):
        changed = bytearray(raw)
        changed[position] ^= 1 << position % 8
        with pytest.raises(ProtocolError):
            open_record(bytes(changed))


@pytest.mark.parametrize("number", sorted(BY_TYPE))
def test_a_record_signed_under_another_label_is_refused(number: int) -> None:
    case = next(case for case in load("records")["single"] if case["type"] == number)
    raw = BY_TYPE[number]
    body, seed = raw[: 114 + int.from_bytes(raw[112:114])], Seed(bytes.fromhex(case["actor_seed"]))
    tail = raw[len(body) + 64 :]  # The invite's signature, of a JOIN.
    assert body + seed.sign(Label.RECORD, body) + tail == raw
    for label in set(Label) - {Label.RECORD}:
        with pytest.raises(BadSignature):
            open_record(body + seed.sign(label, body) + tail)


def test_a_join_whose_invite_signed_under_another_label_is_refused() -> None:
    case = next(case for case in load("records")["single"] if case["type"] == Join.TYPE)
    raw, invite = bytes.fromhex(case["bytes"]), Seed(bytes.fromhex(case["invite_seed"]))
    body, first = raw[:-128], raw[-128:-64]
    assert body + first + invite.sign(Label.RECORD, body) == raw
    for label in set(Label) - {Label.RECORD}:
        with pytest.raises(BadSignature):
            open_record(body + first + invite.sign(label, body))


def test_a_character_changed_anywhere_in_a_link_is_refused() -> None:
    Link.decode(LINK)
    for position in range(len(LINK)):
        for other in "aB3-":
            changed = LINK[:position] + other + LINK[position + 1 :]
            if changed != LINK:
                with pytest.raises(Malformed):
                    Link.decode(changed)
