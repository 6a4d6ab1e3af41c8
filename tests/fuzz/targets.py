"""One function for each decoder of Chaton: it takes any bytes, and fails if the decoder breaks a promise.

The promises: only errors of ``chaton.errors`` come out; what decodes encodes to the same bytes; what is kept of an
input is bounded. Where a signature or a box would stop every mutation at the door, the target makes it itself.
``scripts/fuzz`` runs them under atheris; ``test_corpus`` replays what is known.
"""

import base64
import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from nacl.public import Box, PrivateKey, PublicKey
from nacl.secret import SecretBox

from chaton.cli.typing_in import LineCutter
from chaton.client import control, slash
from chaton.errors import Malformed, ParcelRefused, ProtocolError, UsageError
from chaton.identity.bundle import Bundle, bundle_body, parcel_recipient
from chaton.identity.certificate import pin_of_der
from chaton.identity.ids import Nonce, Pin, RoomId
from chaton.identity.login import LoginAnswer
from chaton.identity.secret import RoomInfoKey
from chaton.identity.statement import Label
from chaton.limits import FRAME_BYTES_MAX, PAD_MAX, TEXT_BYTES_MAX
from chaton.relay import config
from chaton.room import fold, link
from chaton.room.envelope import HEADER_BYTES, Envelope, header_of
from chaton.room.records import Genesis, Join, Record
from chaton.session.content import Plaintext, Unreadable
from chaton.session.memory import KINDS, decode_entry, encode_entry
from chaton.vault import info, parcel
from chaton.vault.bundle import make_bundle
from chaton.vault.chain import GRANT_BYTES, Grant
from chaton.vault.message import pad, unpad
from chaton.vault.parcel import Need, open_parcel, seal_parcel
from chaton.wire.codec import PREFIX_BYTES, encode
from chaton.wire.connection import FrameReader, reader_of_client, reader_of_relay
from tests.fuzz.relay import relay
from tests.relay.play import NOW, identity, seed

Target = Callable[[bytes], None]

ADA, BEN = seed(1), seed(2)
OWN = make_bundle(ADA, counter=NOW, expires=NOW + 1, entropy=lambda size: bytes(range(size)))
RIK = RoomInfoKey(b"r" * 32)


def frames_of_client(data: bytes) -> None:
    """What a client says, in pieces of any size."""
    _stream(data, reader_of_client)


def frames_of_relay(data: bytes) -> None:
    """What a relay says."""
    _stream(data, reader_of_relay)


def _stream(data: bytes, make: Callable[[], FrameReader]) -> None:
    size, stream = data[0] + 1 if data else 1, data[1:]
    reader, told = make(), b""
    try:
        for start in range(0, len(stream), size):
            for frame in reader.feed(stream[start : start + size]):
                told += encode(frame)
            assert len(reader._buffer) <= FRAME_BYTES_MAX + PREFIX_BYTES + size
    except Malformed:
        assert not list(reader.feed(stream)), "a spent reader reads nothing more"
    assert stream.startswith(told)


def record(data: bytes) -> None:
    """A record, its signatures and its place at the head of a room."""
    try:
        one = Record.decode(data)
    except Malformed:
        return
    body = one.body.encode()
    written = b"".join((
        b"CR\x01", bytes([one.body.TYPE]), one.room, one.n.to_bytes(4), one.prev, one.actor, one.t.to_bytes(8),
        len(body).to_bytes(2), body,
    ))  # fmt: skip
    assert data[:-64] == written or (isinstance(one.body, Join) and data[:-128] == written)
    assert len(one.head) == 32
    for judge in (one.check_signatures, lambda: fold.found(one)):
        try:
            judge()
        except ProtocolError:
            assert not isinstance(one.body, Genesis) or (one.n, one.room) != (0, RoomId.zero()) or not _signed(one)


def _signed(one: Record) -> bool:
    try:
        one.check_signatures()
    except ProtocolError:
        return False
    return True


def bundle(data: bytes) -> None:
    """A bundle as it came, then the same signed by its identity, so that its fields are looked at."""
    body = data[:3] + identity(ADA) + data[35:1267]
    for raw in (data, body + ADA.sign(Label.BUNDLE, body)):
        try:
            one = Bundle.decode(raw)
        except ProtocolError:
            continue
        assert bundle_body(one.identity, one.counter, one.expires, one.x25519, one.mlkem768) + raw[1267:] == raw
        for judge in (lambda one=one: one.check_time(NOW), lambda one=one: one.check_counter(NOW, OWN.id)):
            _only(ProtocolError, judge)
        _only(ParcelRefused, lambda one=one: seal_parcel(BEN, RoomId.zero(), one, 2, bytes(72), os.urandom))


def _only(kind: type[Exception], act: Callable[[], object]) -> None:
    with contextlib.suppress(kind):
        act()


def parcel_outer(data: bytes) -> None:
    """1747 bytes, then the same with its outer box made right: any E around any inner box."""
    try:
        assert parcel_recipient(data) == data[3:35]
    except Malformed:
        assert len(data) != 1747 or data[:3] != b"CX\x01"
    e, inner = data[:32].ljust(32, b"\0"), data[32:584].ljust(552, b"\0")
    _, kct, shared = _shared()
    outer = parcel._outer_box(shared, OWN.id, kct, e).encrypt(inner, bytes(24))
    for raw in (data, b"CX\x01" + OWN.id + e + kct + outer):
        _only(ProtocolError, lambda raw=raw: open_parcel(raw, identity(ADA), OWN))


def _shared() -> tuple[bytes, bytes, bytes]:
    shared, kct = parcel._encapsulate(OWN.bundle.mlkem768)
    return OWN.id, kct, shared


def parcel_inner(data: bytes) -> None:
    """Any 512 bytes inside two boxes that open, as they are and signed by somebody."""
    length = int.from_bytes(data[132:134])
    statement = data[:35] + identity(BEN) + data[67 : 134 + length]
    signed = (statement + BEN.sign(Label.PARCEL, statement) + data[198 + length :]).ljust(512, b"\0")[:512]
    key, (_, kct, shared) = PrivateKey(b"e" * 32), _shared()
    for padded in (data[:512].ljust(512, b"\0"), signed):
        inner = Box(key, PublicKey(OWN.bundle.x25519)).encrypt(padded, bytes(24))
        outer = parcel._outer_box(shared, OWN.id, kct, bytes(key.public_key)).encrypt(inner, bytes(24))
        raw = b"CX\x01" + OWN.id + bytes(key.public_key) + kct + outer
        try:
            opened = open_parcel(raw, identity(ADA), OWN)
        except ProtocolError:
            continue
        assert opened.sender != identity(ADA)
        assert padded[134:].startswith(opened.body)
        again = parcel._signed_and_padded(BEN, opened.room, OWN.bundle, opened.kind, opened.body)
        assert again == padded, "two statements that say the same"


def chain(data: bytes) -> None:
    """The bodies of parcels: a chain key and a request for one."""
    for kind in (Grant, Need):
        try:
            assert kind.decode(data).encode() == data
        except Malformed:
            assert kind is Need or len(data) != GRANT_BYTES or data[:3] != b"CC\x01" or data[205] or data[206] > 127


def envelope(data: bytes) -> None:
    """A message as it travels."""
    try:
        one = Envelope.decode(data)
    except Malformed:
        return
    assert header_of(data) == one.header
    assert one.header.encode() == data[:HEADER_BYTES]
    sealed = len(one.ciphertext).to_bytes(4) + one.ciphertext
    assert one.header.encode() + one.commitment + one.nonce + sealed + one.signature == data
    assert one.signed + one.signature == data


def plaintext(data: bytes) -> None:
    """What a message says: its padding, and then its kind and body."""
    _only(ProtocolError, lambda: _padded_once(data))
    if len(data) >= 17:
        read = Plaintext.decode(data)
        assert isinstance(read.content, Unreadable) or read.encode() == data


def _padded_once(data: bytes) -> None:
    opened = unpad(data)
    assert pad(opened) == data
    assert len(data) <= PAD_MAX


def invite_link(data: bytes) -> None:
    """A link as text, then any bytes with a checksum that fits."""
    raw = data + link._checksum(data)
    written = "chaton:" + base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    for text in (data.decode(errors="replace"), written):
        try:
            read = link.Link.decode(text)
        except Malformed:
            continue
        assert read.encode() == text


def sealed_info(data: bytes) -> None:
    """A name or topic: as it came, then any padded text in a box that opens."""
    box = SecretBox(RIK.reveal())
    for raw in (data, bytes(box.encrypt(data, bytes(24)))):
        try:
            text = info.open_info(RIK, raw)
        except Malformed:
            continue
        assert info.seal_info(RIK, text, len(raw) + 64, lambda size, raw=raw: raw[:size]) == raw


def entry(data: bytes) -> None:
    """What a profile keeps, damaged."""
    kind = sorted(KINDS)[data[0] % len(KINDS)] if data else "room"
    try:
        one = decode_entry(KINDS[kind], data[1:])
    except Malformed:
        return
    raw = encode_entry(one)
    assert encode_entry(decode_entry(KINDS[kind], raw)) == raw


def request(data: bytes) -> None:
    """A request on the control socket."""
    try:
        one = control._read(control._of_asker, data)
    except Malformed:
        return
    assert control._read(control._of_asker, control._encoder.encode(one)) == one


def typed(data: bytes) -> None:
    """Lines on standard input, as messages and commands."""
    place = slash.Place("0" * 64, ["ada", "ben b"], last=lambda own: "f" * 64)
    cutter = LineCutter(terminal=False)
    for line in (*cutter.feed(data), *cutter.end()):
        _only(UsageError, lambda line=line: slash.parse(line.text, place, pasted=line.pasted))


def cutter(data: bytes) -> None:
    """Lines of a terminal: the same however the bytes arrive."""
    size, stream = data[0] + 1 if data else 1, data[1:]
    whole, pieces = LineCutter(terminal=True), LineCutter(terminal=True)
    at_once = [*whole.feed(stream), *whole.end()]
    cut = [line for at in range(0, len(stream), size) for line in pieces.feed(stream[at : at + size])]
    assert [*cut, *pieces.end()] == at_once
    for line in at_once:
        assert len(line.text) <= 2 * TEXT_BYTES_MAX
        assert "\x1b" not in line.text
        assert not (line.problem and line.text)


def configuration(data: bytes) -> None:
    """The relay's configuration file."""
    with tempfile.NamedTemporaryFile(dir=_memory(), suffix=".toml") as file:
        file.write(data)
        file.flush()
        try:
            read = config.load(Path(file.name))
        except UsageError:
            return
    assert 0 <= read.address[1] < 2**16
    assert read.limits.meter() is not None


def _memory() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def login(data: bytes) -> None:
    """An answer to the relay's nonce, as it came and signed."""
    body = b"CL\x01" + bytes(64) + data[32:64].ljust(32, b"\0") + identity(ADA)
    for raw in (data, identity(ADA) + body[67:99] + ADA.sign(Label.LOGIN, body)):
        try:
            answer = LoginAnswer.decode(raw)
            assert answer.encode() == raw
            assert answer.check(Pin.zero(), Nonce.zero()) == raw[:32]
        except ProtocolError:
            assert raw is data


def certificate(data: bytes) -> None:
    """A certificate as TLS hands it over."""
    _only(Malformed, lambda: pin_of_der(data))


TARGETS: dict[str, Target] = {
    target.__name__: target
    for target in (
        frames_of_client, frames_of_relay, record, bundle, parcel_outer, parcel_inner, chain, envelope, plaintext,
        invite_link, sealed_info, entry, request, typed, cutter, configuration, login, certificate, relay,
    )
}  # fmt: skip
