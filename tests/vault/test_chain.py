"""Chains: the vectors' statement, ratchet and grant, and what a reader accepts from its chain."""

import copy
import pickle
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaton.errors import BadSignature, Malformed, MessageRefused, ProtocolError, UsageError
from chaton.identity.ids import ChainId, ChainKey, Head, Identity, Instance, RoomId
from chaton.identity.statement import Label, Seed
from chaton.room.envelope import Envelope, Header
from chaton.vault.chain import ChainStatement, Grant, ReadChain, SendChain, message_key, next_secret
from chaton.vault.entropy import system_entropy
from chaton.vault.keys import ChainSecret
from chaton.vault.message import seal_message
from chaton.vault.parcel import Need

from .vectors import HEAD, NOW, ROOM, TRANSCRIPT, Counting, Recorded, flipped, load, person, send_chain

VECTORS = load("chain")
FIELDS = VECTORS["fields"]
RECEIVE = load("message")["receive"]
TEXT = bytes(17)


def statement() -> ChainStatement:
    return ChainStatement(
        room=RoomId.from_hex(FIELDS["room"]),
        sender=Identity.from_hex(FIELDS["sender"]),
        inst=Instance.from_hex(FIELDS["inst"]),
        n=FIELDS["n"],
        head=Head.from_hex(FIELDS["head"]),
        epoch=FIELDS["epoch"],
        key=ChainKey.from_hex(FIELDS["cpk"]),
        prev=ChainId.from_hex(FIELDS["prev"]),
        prev_count=FIELDS["prev_count"],
    )


def seal(chain: SendChain, plaintext: bytes = TEXT) -> Envelope:
    return chain.seal(n=7, head=HEAD, s=9, transcript=TRANSCRIPT, plaintext=plaintext, entropy=Counting("seal"))


class TestVectors:
    def test_statement_to_bytes_and_id(self) -> None:
        assert statement().encode().hex() == VECTORS["chn"]
        assert ChainStatement.decode(bytes.fromhex(VECTORS["chn"])) == statement()
        assert statement().id.hex() == VECTORS["chain"]

    def test_the_statement_of_a_direct_room(self) -> None:
        direct = load("dm")
        read = ChainStatement.decode(bytes.fromhex(direct["chn"]))
        assert read.id.hex() == direct["chain"]
        assert (read.n, read.epoch, read.inst) == (0, 0, Instance.zero())
        assert read.head == read.room

    @pytest.mark.parametrize("step", VECTORS["ratchet"], ids=lambda step: step["i"])
    def test_ratchet(self, step: dict) -> None:
        secret, chain = ChainSecret(bytes.fromhex(step["ck"])), ChainId.from_hex(VECTORS["chain"])
        assert message_key(secret, chain, step["i"]).reveal().hex() == step["mk"]
        assert next_secret(secret, chain, step["i"]).reveal().hex() == step["next"]

    def test_grant(self) -> None:
        grant = Grant(statement(), VECTORS["grant"]["i"], ChainSecret(bytes.fromhex(VECTORS["ck0"])))
        assert grant.encode().hex() == VECTORS["grant"]["body"]
        read = Grant.decode(grant.encode())
        assert (read.statement, read.index) == (grant.statement, grant.index)
        assert read.secret.reveal().hex() == VECTORS["ck0"]

    def test_begin_makes_that_chain_from_that_randomness(self) -> None:
        wanted = statement()
        entropy = Recorded(VECTORS["ck0"], VECTORS["csk_seed"])
        chain = SendChain.begin(
            room=wanted.room, sender=wanted.sender, inst=wanted.inst, n=wanted.n, head=wanted.head,
            epoch=wanted.epoch, prev=wanted.prev, prev_count=wanted.prev_count, born=NOW, entropy=entropy,
        )  # fmt: skip
        assert chain.statement == wanted
        assert (chain.id.hex(), chain.index, chain.born) == (VECTORS["chain"], 0, NOW)
        assert chain.grant().encode().hex() == VECTORS["grant"]["body"]
        for step in VECTORS["ratchet"]:
            assert chain.grant().secret.reveal().hex() == step["ck"]
            assert seal(chain).header.index == step["i"]

    @pytest.mark.parametrize("case", VECTORS["accept"], ids=lambda case: case["name"])
    def test_bodies_are_malformed_where_the_vector_says_format(self, case: dict) -> None:
        body = bytes.fromhex(case["body"])
        if case["result"] == "format":
            with pytest.raises(Malformed):
                Grant.decode(body)
        else:
            assert Grant.decode(body).encode() == body


PLAYED = {"ordinary", "replay and gap", "commitment and padding"}


@pytest.mark.parametrize(
    "case",
    [case for case in RECEIVE if case["name"] in PLAYED or case["name"].startswith("two texts")],
    ids=lambda case: case["name"],
)
def test_sequences_that_a_chain_alone_decides(case: dict) -> None:
    chains: dict[ChainId, ReadChain] = {}
    for step in case["steps"]:
        if step["do"] == "chain":
            read = ReadChain.accept(Grant.decode(bytes.fromhex(step["body"])))
            chains.setdefault(read.statement.id, read)
        elif step["do"] == "message":
            assert played(chains, bytes.fromhex(step["bytes"])) == wanted_of(step["result"]), step["note"]


def wanted_of(result: dict) -> str:
    return result.get("refused") or result["plain"]


def played(chains: dict[ChainId, ReadChain], raw: bytes) -> str:
    try:
        envelope = Envelope.decode(raw)
        chain = chains[envelope.header.chain]
        chain.check_signature(envelope)
        plaintext, chains[envelope.header.chain] = chain.open(envelope)
    except ProtocolError as refused:
        return refused.reason
    return plaintext.hex()


class TestSendChain:
    def test_seals_a_hundred_and_no_more(self) -> None:
        chain = send_chain(Counting("chain"))
        reader = ReadChain.accept(chain.grant())
        for index in range(100):
            envelope = seal(chain, TEXT + bytes([index]))
            reader.check_signature(envelope)
            plaintext, reader = reader.open(envelope)
            assert (plaintext, reader.index, chain.index) == (TEXT + bytes([index]), index + 1, index + 1)
        with pytest.raises(TypeError):
            seal(chain)
        assert chain.grant().index == 100

    def test_each_message_moves_its_secret(self) -> None:
        chain = send_chain(Counting("chain"))
        secrets = set()
        for _ in range(20):
            secrets.add(chain.grant().secret.reveal())
            seal(chain)
        assert len(secrets) == 20

    def test_a_text_that_is_too_long_does_not_move_it(self) -> None:
        chain = send_chain(Counting("chain"))
        before = chain.grant().encode()
        with pytest.raises(UsageError):
            seal(chain, bytes(70_000))
        assert chain.grant().encode() == before

    def test_a_source_that_fails_does_not_move_it(self) -> None:
        chain = send_chain(Counting("chain"))
        before = chain.grant().encode()
        with pytest.raises(IndexError):
            chain.seal(n=7, head=HEAD, s=9, transcript=TRANSCRIPT, plaintext=TEXT, entropy=Recorded())
        assert chain.grant().encode() == before

    @pytest.mark.parametrize("way", [pickle.dumps, copy.copy, copy.deepcopy])
    def test_is_never_serialised_nor_copied(self, way) -> None:
        with pytest.raises(TypeError, match="not for pickling"):
            way(send_chain(system_entropy))

    def test_two_chains_have_nothing_in_common(self) -> None:
        one, two = send_chain(system_entropy), send_chain(system_entropy)
        assert one.id != two.id
        assert one.statement.key != two.statement.key
        assert one.grant().secret.reveal() != two.grant().secret.reveal()


class TestReadChain:
    def test_opens_what_comes_after_a_gap_and_never_goes_back(self) -> None:
        chain = send_chain(Counting("chain"))
        reader = ReadChain.accept(chain.grant())
        first, second, third = (seal(chain, TEXT + bytes([i])) for i in range(3))
        plaintext, later = reader.open(third)
        assert plaintext == TEXT + b"\x02"
        assert later.index == 3
        for late in (first, second, third):
            with pytest.raises(MessageRefused) as caught:
                later.open(late)
            assert caught.value.reason == "index"
        assert reader.index == 0
        assert reader.open(second)[0] == TEXT + b"\x01"

    def test_a_later_grant_opens_nothing_earlier(self) -> None:
        chain = send_chain(Counting("chain"))
        early = seal(chain)
        late_reader = ReadChain.accept(Grant.decode(chain.grant().encode()))
        with pytest.raises(MessageRefused) as caught:
            late_reader.open(early)
        assert caught.value.reason == "index"
        forced = ReadChain(late_reader.statement, 0, late_reader.secret)
        with pytest.raises(MessageRefused) as caught:
            forced.open(early)
        assert caught.value.reason == "commitment"

    @pytest.mark.parametrize(("index", "opens"), [(0, True), (127, True), (128, False), (65_535, False)])
    def test_reads_up_to_index_127(self, index: int, opens: bool) -> None:
        signer, _ = person("chain")
        secret = ChainSecret(b"s" * 32)
        chn = ChainStatement(
            ROOM, person("ada")[1], Instance(HEAD), 7, HEAD, 0, ChainKey(signer.public), ChainId.zero(), 0
        )
        at = secret
        for step in range(index):
            at = next_secret(at, chn.id, step)
        header = Header(ROOM, chn.id, index, 7, HEAD, 9, TRANSCRIPT)
        envelope = seal_message(message_key(at, chn.id, index), header, TEXT, signer, system_entropy)
        reader = ReadChain(chn, 0, secret)
        reader.check_signature(envelope)
        if opens:
            plaintext, after = reader.open(envelope)
            assert (plaintext, after.index) == (TEXT, index + 1)
        else:
            with pytest.raises(MessageRefused) as caught:
                reader.open(envelope)
            assert caught.value.reason == "index"

    def test_a_message_of_another_chain_is_refused(self) -> None:
        mine, other = send_chain(Counting("one")), send_chain(Counting("two"))
        reader, envelope = ReadChain.accept(mine.grant()), seal(other)
        with pytest.raises(BadSignature):
            reader.check_signature(envelope)
        with pytest.raises(MessageRefused) as caught:
            reader.open(envelope)
        assert caught.value.reason == "chain"

    def test_only_the_chains_key_speaks_and_under_its_label(self) -> None:
        chain = send_chain(Counting("chain"))
        reader, envelope = ReadChain.accept(chain.grant()), seal(chain)
        reader.check_signature(envelope)
        mallory, _ = person("mallory")
        signer = signer_of_chain()
        for signature in (
            mallory.sign(Label.MESSAGE, envelope.signed),
            signer.sign(Label.RECORD, envelope.signed),
            bytes(64),
        ):
            with pytest.raises(BadSignature):
                reader.check_signature(Envelope.decode(envelope.signed + signature))
        reader.check_signature(Envelope.decode(envelope.signed + signer.sign(Label.MESSAGE, envelope.signed)))

    def test_a_bit_flipped_in_any_byte_is_refused(self) -> None:
        chain = send_chain(Counting("chain"))
        reader, raw = ReadChain.accept(chain.grant()), seal(chain).raw
        for position in range(len(raw)):
            with pytest.raises((Malformed, BadSignature)):
                reader.check_signature(Envelope.decode(flipped(raw, position, position % 8)))


def signer_of_chain() -> Seed:
    """The signing key that ``send_chain(Counting("chain"))`` draws second."""
    entropy = Counting("chain")
    entropy(32)
    return Seed(entropy(32))


@given(position=st.integers(0, 540), bit=st.integers(0, 7))
def test_any_bit_flipped_in_an_envelope_is_refused(position: int, bit: int) -> None:
    chain = send_chain(Counting("chain"))
    reader, raw = ReadChain.accept(chain.grant()), seal(chain).raw
    with pytest.raises((Malformed, BadSignature)):
        reader.check_signature(Envelope.decode(flipped(raw, position, bit)))


@given(st.binary(max_size=260) | st.binary(min_size=202, max_size=202).map(lambda tail: b"CC\x01" + tail))
def test_statement_reads_one_form_only(raw: bytes) -> None:
    try:
        read = ChainStatement.decode(raw)
    except Malformed:
        assert len(raw) != 205 or raw[:3] != b"CC\x01"
        return
    assert read.encode() == raw


@given(
    st.binary(max_size=260)
    | st.builds(
        lambda fields, index, secret: b"CC\x01" + fields + index.to_bytes(2) + secret,
        st.binary(min_size=202, max_size=202),
        st.integers(0, 130) | st.integers(0, 65_535),
        st.binary(min_size=32, max_size=32),
    )
)
def test_grant_reads_one_form_only(raw: bytes) -> None:
    try:
        read = Grant.decode(raw)
    except Malformed:
        assert len(raw) != 239 or raw[:3] != b"CC\x01" or int.from_bytes(raw[205:207]) > 127
        return
    assert read.encode() == raw
    assert read.index <= 127


@given(st.binary(max_size=700))
def test_any_bytes_as_an_envelope_raise_typed_errors_only(raw: bytes) -> None:
    with pytest.raises(ProtocolError):
        Envelope.decode(raw)


@pytest.mark.parametrize(
    "change", [lambda raw: raw + b"\0", lambda raw: raw[:-1], lambda raw: b"CD" + raw[2:], lambda _: b""]
)
def test_a_statement_has_one_length_and_beginning(change: Callable[[bytes], bytes]) -> None:
    raw = send_chain(Counting("statement")).statement.encode()
    assert ChainStatement.decode(raw).encode() == raw
    with pytest.raises(Malformed):
        ChainStatement.decode(change(raw))


@pytest.mark.parametrize("size", [0, 31, 39, 40, 71, 73])
def test_a_need_has_one_length(size: int) -> None:
    assert Need.decode(bytes(72)).encode() == bytes(72)
    with pytest.raises(Malformed):
        Need.decode(bytes(size))
