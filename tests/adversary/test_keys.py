"""Attacks on keys: swapped, reused, missing, repeated, and two for one ciphertext (§§5, 6, 7)."""

from dataclasses import replace
from hashlib import blake2b

import pytest
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from nacl.secret import SecretBox

from chaton.errors import Malformed, MessageRefused, ParcelRefused, ProtocolError
from chaton.identity.bundle import Bundle, bundle_body
from chaton.identity.hashing import Person, keyed
from chaton.identity.ids import BlobHash, BlobId, ChainKey
from chaton.identity.statement import Label, Seed
from chaton.room.envelope import Envelope, Header
from chaton.session.content import File, Plaintext
from chaton.vault import parcel as parcels
from chaton.vault.attachment import Opener
from chaton.vault.bundle import OwnBundle
from chaton.vault.chain import ReadChain, SendChain, message_key
from chaton.vault.entropy import system_entropy
from chaton.vault.keys import ChainSecret, FileKey
from chaton.vault.message import pad, unpad
from chaton.vault.parcel import KIND_CHAIN, KIND_NEED, open_parcel, seal_parcel
from tests.adversary.salamander import for_two_keys, keystream
from tests.vault.vectors import HEAD, NOW, ROOM, TRANSCRIPT, Counting, own_bundle, person, send_chain

PARTS = {"bid": (3, 35), "E": (35, 67), "kct": (67, 1155), "outer": (1155, 1747)}


def sealed(to: Bundle, who: str = "ada") -> bytes:
    return seal_parcel(person(who)[0], ROOM, to, KIND_CHAIN, send_chain(Counting(who)).grant().encode(), system_entropy)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_another_parcel_does_not_fit(part: str) -> None:
    """Two parcels to one recipient, and one to another: each field of one put into the other."""
    (_, ben), own = person("ben"), own_bundle("ben")
    start, end = PARTS[part]
    for donor in (sealed(own.bundle), sealed(own_bundle("max").bundle)):
        one = sealed(own.bundle)
        mixed = one[:start] + donor[start:end] + one[end:]
        if mixed != one:
            with pytest.raises(ParcelRefused):
                open_parcel(mixed, ben, own)
    open_parcel(sealed(own.bundle), ben, own)


def test_what_was_sealed_to_one_cannot_be_encapsulated_again_to_another() -> None:
    """Max lists ben's X25519 key with an ML-KEM key of his own, opens the outer box, and seals its content on to ben."""
    (seed, _), (_, ben), own = person("max"), person("ben"), own_bundle("ben")
    mine = own_bundle("max")
    body = bundle_body(mine.bundle.identity, NOW, NOW + 1, own.bundle.x25519, mine.bundle.mlkem768)
    listed = Bundle.decode(body + seed.sign(Label.BUNDLE, body))
    raw = sealed(listed)
    public, kct, outer = raw[35:67], raw[67:1155], raw[1155:]
    shared = MLKEM768PrivateKey.from_seed_bytes(mine.mlkem.reveal()).decapsulate(kct)
    inner = parcels._outer_box(shared, listed.id, kct, public).decrypt(outer)
    again, kct2 = MLKEM768PublicKey.from_public_bytes(own.bundle.mlkem768).encapsulate()
    resealed = bytes(parcels._outer_box(again, own.id, kct2, public).encrypt(inner, bytes(24)))
    forwarded = b"CX\x01" + own.id + public + kct2 + resealed
    assert parcels._unseal(forwarded, own)[:3] == b"CP\x01"  # Both boxes do open for ben.
    with pytest.raises(ParcelRefused) as refused:
        open_parcel(forwarded, ben, own)
    assert refused.value.reason == "recipient"


@pytest.mark.parametrize("kct", [b"", bytes(1088), bytes(1087), b"\xff" * 1088, bytes(32)])
def test_a_parcel_without_its_post_quantum_half_is_refused(kct: bytes) -> None:
    """Left out, zero, short: there is no form of a parcel that X25519 guards alone."""
    (_, ben), own = person("ben"), own_bundle("ben")
    raw = sealed(own.bundle)
    with pytest.raises(ProtocolError):
        open_parcel(raw[:67] + kct + raw[1155:], ben, own)
    with pytest.raises(Malformed):
        open_parcel(raw[:67] + raw[1155:], ben, own)


@pytest.mark.parametrize("mlkem", [b"", bytes(1183), b"\xff" * 1184, bytes(1184), bytes(1152) + b"s" * 32])
def test_nothing_is_sealed_to_a_bundle_without_its_post_quantum_half(mlkem: bytes) -> None:
    (seed, max_), own = person("max"), own_bundle("max")
    body = bundle_body(max_, NOW, NOW + 1, own.bundle.x25519, mlkem)
    with pytest.raises((Malformed, ParcelRefused)):
        sealed(Bundle.decode(body + seed.sign(Label.BUNDLE, body)))


def test_keys_of_a_victim_let_nobody_speak_to_it_as_another() -> None:
    """Key-compromise impersonation: every private key of ben's bundle makes no parcel from ada."""
    (eve, _), (_, ada), (_, ben), own = person("eve"), person("ada"), person("ben"), own_bundle("ben")
    stolen = OwnBundle(own.bundle, own.box, own.mlkem)
    inner = parcels._signed_and_padded(eve, ROOM, stolen.bundle, KIND_NEED, bytes(72))
    forged = inner[:35] + ada + inner[67:]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parcels, "_signed_and_padded", lambda *_: forged)
        raw = seal_parcel(eve, ROOM, stolen.bundle, KIND_NEED, bytes(72), system_entropy)
    with pytest.raises(ProtocolError) as refused:
        open_parcel(raw, ben, own)
    assert refused.value.reason == "signature"


def test_randomness_that_repeats_after_a_restored_state_uses_no_keystream_twice() -> None:
    """A machine is restored and draws the same bytes again: the same chain, the same index, another text."""
    texts = [bytes(17) + b"the launch is on monday", bytes(17) + b"the launch is cancelled"]
    chains = [send_chain(Counting("stream")) for _ in texts]
    assert chains[0].grant().encode() == chains[1].grant().encode()
    one, other = (_seal(chain, text) for chain, text in zip(chains, texts, strict=True))
    assert one.nonce != other.nonce
    mixed = bytes(a ^ b for a, b in zip(one.ciphertext[16:], other.ciphertext[16:], strict=True))
    assert mixed != bytes(a ^ b for a, b in zip(pad(texts[0]), pad(texts[1]), strict=True))
    assert _seal(send_chain(Counting("stream")), texts[0]).raw == one.raw  # The same text again says nothing new.
    reader = ReadChain.accept(send_chain(Counting("stream")).grant())
    assert [reader.open(envelope)[0] for envelope in (one, other)] == texts


def _seal(chain: SendChain, text: bytes):
    return chain.seal(n=7, head=HEAD, s=9, transcript=TRANSCRIPT, plaintext=text, entropy=Counting("message"))


def two_readers() -> tuple[ReadChain, ReadChain, Seed]:
    """A sender gives two readers of one chain two different secrets: the statement, and so the chain's id, is one."""
    signer = Seed(b"c" * 32)
    statement = replace(send_chain(Counting("chain")).statement, key=ChainKey(signer.public))
    one, other = (ReadChain(statement, 0, ChainSecret(raw * 32)) for raw in (b"a", b"b"))
    return one, other, signer


def test_one_message_has_one_text_though_its_ciphertext_opens_under_two_keys() -> None:
    one, other, signer = two_readers()
    header = Header(ROOM, one.statement.id, 0, 7, HEAD, 9, TRANSCRIPT)
    keys = [message_key(reader.secret, one.statement.id, 0).reveal() for reader in (one, other)]
    boxes = tuple(keyed(key, Person.ENCRYPT) for key in keys)
    nonce, streams = next(
        (nonce, streams)
        for nonce in (number.to_bytes(24) for number in range(100_000))
        if (streams := [keystream(box, nonce, 256) for box in boxes])[0][-1] == streams[1][-1]
    )
    text = (bytes([1]) + bytes(16) + b"for the first reader: ").ljust(255, b".") + b"\x80"
    body = bytes(a ^ b for a, b in zip(text, streams[0], strict=True))
    made = for_two_keys(boxes, nonce, body, 12)
    commitment = keyed(keys[0], Person.COMMITMENT, header.encode())
    signed = header.encode() + commitment + nonce + len(made).to_bytes(4) + made
    envelope = Envelope.decode(signed + signer.sign(Label.MESSAGE, signed))
    plains = [SecretBox(box).decrypt(made, nonce) for box in boxes]
    assert [unpad(plain) for plain in plains] == [plain[:-1] for plain in plains]  # Two texts, padding and all.
    assert plains[0] != plains[1]
    for reader in (one, other):
        reader.check_signature(envelope)
    assert one.open(envelope)[0].startswith(text[:38])
    with pytest.raises(MessageRefused) as refused:
        other.open(envelope)
    assert refused.value.reason == "commitment"


def test_a_file_that_opens_under_two_keys_is_one_file_to_the_readers_of_a_message() -> None:
    """Each key opens it, hash and all; so the message names the key, and its commitment binds all readers to that."""
    keys, nonce = (b"a" * 32, b"b" * 32), bytes(15) + b"\x01" + bytes(8)
    made = for_two_keys(keys, nonce, bytes(512), 0)
    named = BlobHash(blake2b(made, digest_size=32).digest())
    opened = [_opened(FileKey(key), named, made) for key in keys]
    assert opened[0] != opened[1]
    files = [File(BlobId(b"i" * 32), FileKey(key), named, 512, "plan.txt", "") for key in keys]
    messages = [bytes([7]) + bytes(16) + file.encode() for file in files]
    chains = [send_chain(Counting("chain")) for _ in files]
    one, other = (_seal(chain, message) for chain, message in zip(chains, messages, strict=True))
    reader = ReadChain.accept(send_chain(Counting("chain")).grant())
    read = Plaintext.decode(reader.open(one)[0]).content
    assert _opened(read.key, read.hash, made) == opened[0]
    assert one.id != other.id  # To name the other key is to send another message, which all readers get as well.


def _opened(key: FileKey, named: BlobHash, ciphertext: bytes) -> bytes:
    opener = Opener(key, named, len(ciphertext) - 16)
    plain = opener.update(ciphertext)
    opener.finish()
    return plain
