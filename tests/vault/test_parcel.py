"""Parcels against the vectors: what opens, what is refused and for which reason, whom nobody can seal to."""

import dataclasses
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from chaton.errors import BadSignature, Malformed, ParcelRefused, ProtocolError
from chaton.identity.bundle import Bundle, bundle_body, parcel_recipient
from chaton.identity.ids import Identity, RoomId
from chaton.identity.statement import Label, Seed
from chaton.vault import parcel as module
from chaton.vault.bundle import OwnBundle, make_bundle, restore_bundle
from chaton.vault.entropy import system_entropy
from chaton.vault.keys import BoxKey, MlkemSeed, new_seed
from chaton.vault.parcel import KIND_CHAIN, KIND_NEED, Need, OpenedParcel, open_parcel, seal_parcel

from .vectors import ROOM, Counting, Recorded, flipped, load, own_bundle, person

VECTORS = load("parcel")
READER = VECTORS["reader"]
ME = Identity.from_hex(READER["identity"])
NEED_BODY = b"n" * 72
CHAIN_BODY = b"c" * 239


@cache
def reader() -> OwnBundle:
    box, mlkem = BoxKey(bytes.fromhex(READER["x25519_private"])), MlkemSeed(bytes.fromhex(READER["mlkem_seed"]))
    return restore_bundle(bytes.fromhex(READER["bundle"]), box, mlkem)


@cache
def sealed_for_ben(kind: int = KIND_NEED) -> bytes:
    seed, _ = person("ada")
    body = NEED_BODY if kind == KIND_NEED else CHAIN_BODY
    return seal_parcel(seed, ROOM, own_bundle("ben").bundle, kind, body, Counting("parcel"))


def test_the_vectors_are_all_there() -> None:
    assert (len(VECTORS["good"]), len(VECTORS["refused"]), len(VECTORS["cannot_seal_to"])) == (4, 61, 8)
    assert reader().id.hex() == READER["bid"]


@pytest.mark.parametrize("case", VECTORS["good"], ids=lambda case: f"kind-{case['opened']['kind']}-{case['e'][:8]}")
class TestGood:
    def test_opens_to_its_fields(self, case: dict) -> None:
        opened = open_parcel(bytes.fromhex(case["parcel"]), ME, reader())
        assert {
            "room": opened.room.hex(),
            "from": opened.sender.hex(),
            "to": ME.hex(),
            "bid": opened.bundle.hex(),
            "kind": opened.kind,
            "body": opened.body.hex(),
        } == case["opened"]

    def test_the_innermost_512_bytes_are_those_of_the_vector(self, case: dict) -> None:
        opened = case["opened"]
        sealed = module._signed_and_padded(
            Seed(bytes.fromhex(case["from_seed"])),
            RoomId.from_hex(opened["room"]),
            reader().bundle,
            opened["kind"],
            bytes.fromhex(opened["body"]),
        )
        assert sealed.hex() == case["inner"]
        assert module._unseal(bytes.fromhex(case["parcel"]), reader()).hex() == case["inner"]

    def test_seals_to_the_same_bytes(self, case: dict, monkeypatch: pytest.MonkeyPatch) -> None:
        # The library draws the randomness of ML-KEM itself, so what it drew for the vector is put in its place.
        kct = bytes.fromhex(case["parcel"])[67:1155]
        shared = MLKEM768PrivateKey.from_seed_bytes(bytes.fromhex(READER["mlkem_seed"])).decapsulate(kct)
        monkeypatch.setattr(module, "_encapsulate", lambda _: (shared, kct))
        opened = case["opened"]
        parcel = seal_parcel(
            Seed(bytes.fromhex(case["from_seed"])),
            RoomId.from_hex(opened["room"]),
            reader().bundle,
            opened["kind"],
            bytes.fromhex(opened["body"]),
            Recorded(case["e"], case["nonce_inner"], case["nonce_outer"]),
        )
        assert parcel.hex() == case["parcel"]


@pytest.mark.parametrize("case", VECTORS["refused"], ids=lambda case: case["why"])
def test_refused_for_the_reason_of_the_vector(case: dict) -> None:
    raw = bytes.fromhex(case["parcel"])
    if case["reason"] == "member":
        # All of it holds but the membership, which the session judges.
        assert open_parcel(raw, ME, reader()).sender.hex() not in VECTORS["members"]
        return
    with pytest.raises(ProtocolError) as caught:
        open_parcel(raw, ME, reader())
    assert caught.value.reason == case["reason"]


@pytest.mark.parametrize(
    "case",
    [*VECTORS["cannot_seal_to"], {"why": "zeroes", "x25519": reader().bundle.x25519.hex(), "mlkem": bytes(1184).hex()}],
    ids=lambda case: case["why"] + " " + case["x25519"][:8],
)
def test_a_bundle_that_nothing_can_be_sealed_to_is_refused(case: dict) -> None:
    mlkem = bytes.fromhex(case["mlkem"]) if "mlkem" in case else reader().bundle.mlkem768
    seed, max_ = person("max")
    body = bundle_body(max_, 1, 2, bytes.fromhex(case["x25519"]), mlkem)
    bundle = Bundle.decode(body + seed.sign(Label.BUNDLE, body))
    ada, _ = person("ada")
    with pytest.raises(ParcelRefused) as caught:
        seal_parcel(ada, ROOM, bundle, KIND_NEED, NEED_BODY, system_entropy)
    assert caught.value.reason == "recipient"


@pytest.mark.parametrize(("kind", "body"), [(KIND_CHAIN, CHAIN_BODY), (KIND_NEED, NEED_BODY)])
def test_there_and_back(kind: int, body: bytes) -> None:
    (_, ada), (_, ben), own = person("ada"), person("ben"), own_bundle("ben")
    raw = sealed_for_ben(kind)
    assert len(raw) == 1747
    assert parcel_recipient(raw) == own.id
    assert open_parcel(raw, ben, own) == OpenedParcel(ROOM, ada, own.id, kind, body)


def test_two_parcels_of_one_body_have_nothing_in_common() -> None:
    seed, _ = person("ada")
    own = own_bundle("ben")
    one, two = (seal_parcel(seed, ROOM, own.bundle, KIND_NEED, NEED_BODY, system_entropy) for _ in range(2))
    assert one[:35] == two[:35]
    assert all(one[start : start + 16] != two[start : start + 16] for start in range(35, 1747 - 16))


def test_another_recipient_or_bundle_is_refused() -> None:
    (_, eve), (_, ben) = person("eve"), person("ben")
    for me, own in [(eve, own_bundle("ben")), (ben, own_bundle("ben", 5)), (eve, own_bundle("eve"))]:
        with pytest.raises(ParcelRefused) as caught:
            open_parcel(sealed_for_ben(), me, own)
        assert caught.value.reason == "recipient"


def test_a_parcel_to_oneself_is_refused() -> None:
    (seed, ben), own = person("ben"), own_bundle("ben")
    raw = seal_parcel(seed, ROOM, own.bundle, KIND_NEED, NEED_BODY, system_entropy)
    with pytest.raises(ParcelRefused) as caught:
        open_parcel(raw, ben, own)
    assert caught.value.reason == "recipient"


@pytest.mark.parametrize(("kind", "size"), [(0, 72), (3, 72), (1, 72), (1, 238), (1, 240), (2, 239), (2, 0)])
def test_our_own_bug_of_a_wrong_body_is_a_type_error(kind: int, size: int) -> None:
    seed, _ = person("ada")
    with pytest.raises(TypeError):
        seal_parcel(seed, ROOM, own_bundle("ben").bundle, kind, bytes(size), system_entropy)


def test_a_bit_flipped_in_any_byte_is_refused() -> None:
    (_, ben), own, raw = person("ben"), own_bundle("ben"), sealed_for_ben(KIND_CHAIN)
    for position in range(len(raw)):
        with pytest.raises((Malformed, ParcelRefused)):
            open_parcel(flipped(raw, position, position % 8), ben, own)


@given(position=st.integers(0, 1746), bit=st.integers(0, 7))
def test_any_bit_flipped_is_refused(position: int, bit: int) -> None:
    (_, ben), own = person("ben"), own_bundle("ben")
    with pytest.raises((Malformed, ParcelRefused)):
        open_parcel(flipped(sealed_for_ben(), position, bit), ben, own)


@given(position=st.integers(0, 511), bit=st.integers(0, 7))
def test_any_bit_flipped_in_the_innermost_box_is_refused(position: int, bit: int) -> None:
    # Whoever knows the recipient's public keys can make both boxes: the statement has to hold by itself.
    seed, _ = person("ada")
    own = own_bundle("ben")
    changed = flipped(module._signed_and_padded(seed, ROOM, own.bundle, KIND_CHAIN, CHAIN_BODY), position, bit)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_signed_and_padded", lambda *_: changed)
        raw = seal_parcel(seed, ROOM, own.bundle, KIND_CHAIN, CHAIN_BODY, system_entropy)
    with pytest.raises((Malformed, ParcelRefused, BadSignature)):
        open_parcel(raw, own.bundle.identity, own)


@given(
    raw=st.binary(max_size=1800)
    | st.binary(min_size=1712, max_size=1712).map(lambda tail: b"CX\x01" + own_bundle("ben").id + tail)
)
def test_any_bytes_raise_typed_errors_only(raw: bytes) -> None:
    own = own_bundle("ben")
    with pytest.raises(ProtocolError):
        open_parcel(raw, own.bundle.identity, own)


@given(
    raw=st.binary(max_size=600)
    | st.builds(
        lambda ids, kind, length, tail: (b"CP\x01" + ids + bytes([kind]) + length.to_bytes(2) + tail).ljust(512, b"\0"),
        st.binary(min_size=128, max_size=128),
        st.integers(0, 3),
        st.sampled_from([0, 72, 239, 314, 315, 65535]),
        st.binary(max_size=378),
    )
)
def test_any_innermost_bytes_raise_typed_errors_or_read_back(raw: bytes) -> None:
    try:
        read = module._Statement.decode(raw)
    except ProtocolError:
        return
    assert (read.signed + read.signature).ljust(512, b"\0") == raw


@given(raw=st.binary(max_size=90) | st.binary(min_size=72, max_size=72))
def test_need_reads_one_form_only(raw: bytes) -> None:
    try:
        need = Need.decode(raw)
    except Malformed:
        assert len(raw) != 72
        return
    assert need.encode() == raw


def test_need_has_its_fields_where_they_belong() -> None:
    need = Need.decode(b"c" * 32 + (1234).to_bytes(8) + b"b" * 32)
    assert dataclasses.astuple(need) == (b"c" * 32, 1234, b"b" * 32)


def test_neither_half_of_the_keys_opens_a_parcel() -> None:
    """Who breaks X25519 alone, or ML-KEM alone, still opens nothing."""
    entropy = system_entropy
    mine, other = (make_bundle(new_seed(entropy), counter=1, expires=2, entropy=entropy) for _ in range(2))
    sender = new_seed(entropy)
    parcel = seal_parcel(sender, RoomId(b"r" * 32), mine.bundle, KIND_NEED, bytes(72), entropy)
    assert open_parcel(parcel, mine.bundle.identity, mine).kind == KIND_NEED
    for half in (OwnBundle(mine.bundle, mine.box, other.mlkem), OwnBundle(mine.bundle, other.box, mine.mlkem)):
        with pytest.raises(ParcelRefused) as refusal:
            open_parcel(parcel, mine.bundle.identity, half)
        assert refusal.value.reason == "ciphertext"


@pytest.mark.parametrize("position", [132, 133, 131, 0, 2])
def test_a_statement_has_one_spelling(position: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sealed and signed as it should be, but for one byte: another length, kind or beginning is no statement."""
    ada, _ = person("ada")
    ben = own_bundle("ben")

    def spoilt(*_statement: object) -> bytes:
        right = padded(ada, ROOM, ben.bundle, KIND_CHAIN, CHAIN_BODY)
        signed = flipped(right[: 134 + len(CHAIN_BODY)], position, 0)
        return (signed + ada.sign(Label.PARCEL, signed)).ljust(512, b"\0")

    padded = module._signed_and_padded
    monkeypatch.setattr(module, "_signed_and_padded", spoilt)
    raw = seal_parcel(ada, ROOM, ben.bundle, KIND_CHAIN, CHAIN_BODY, system_entropy)
    _, me = person("ben")
    with pytest.raises(Malformed):
        open_parcel(raw, me, ben)
