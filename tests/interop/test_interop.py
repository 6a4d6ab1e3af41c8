"""Two implementations of docs/protocol.md that share no code, in one room; and both judge the same vectors."""

import hashlib
import json
import subprocess
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaton.errors import Malformed
from chaton.identity.bundle import Bundle
from chaton.identity.ids import Pin
from chaton.room.envelope import Envelope
from chaton.room.link import Address, Link
from chaton.room.records import open_record
from chaton.session.notices import MemberChanged
from chaton.wire import codec
from tests.client.conftest import heard, said
from tests.interop.crooked import flip_last_byte, lose_a_parcel
from tests.wire.test_codec import OF_RELAY

VECTORS = Path(__file__).parents[1] / "vectors"
IDENTITY = Path(__file__).parents[1] / "identity"


def is_change(action: str, nick: str):
    return lambda notice: isinstance(notice, MemberChanged) and (notice.action, notice.nick) == (action, nick)


def led_to(link: Link, port: int, pin: Pin | None = None) -> Link:
    """The same invite, on another port or of another relay."""
    return replace(link, address=Address("127.0.0.1", port, pin or link.address.pin))


def chain_of(sent: dict) -> bytes:
    return Envelope.decode(bytes.fromhex(sent["envelope"])).header.chain


def test_vectors(second):
    command = ["node", second / "vectors.mjs", VECTORS, IDENTITY]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    assert report["differ"] == []
    assert set(report["agreed"]) == {path.stem for path in (*VECTORS.glob("*.json"), *IDENTITY.glob("*.json"))}
    assert sum(report["agreed"].values()) > 1100


@pytest.fixture(scope="module")
def judge(second):
    """Asks the second implementation whether bytes are a frame of a relay."""
    with subprocess.Popen(
        ["node", second / "judge.mjs"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:

        def ask(raw: bytes) -> bool:
            process.stdin.write(f"{raw.hex()}\n")
            return process.stdout.readline() == "frame\n"

        yield ask
        process.stdin.close()


def is_frame(raw: bytes) -> bool:
    try:
        codec.decode_of_relay(raw)
    except Malformed:
        return False
    return True


# A byte changed, cut off, put in, or written in a longer form of msgpack.
DAMAGES = [
    lambda raw, at, byte: raw[:at] + bytes([raw[at] ^ (byte or 1)]) + raw[at + 1 :],
    lambda raw, at, _: raw[:at],
    lambda raw, at, byte: raw[:at] + bytes([byte]) + raw[at:],
    lambda raw, at, _: raw[:at] + b"\xcc" + raw[at:],
    lambda raw, at, _: raw[:at] + b"\xc5\x00" + raw[at + 1 :],
]


@settings(max_examples=400, deadline=None)
@given(OF_RELAY, st.sampled_from(DAMAGES), st.data())
def test_frames(judge, frame, damage, data):
    raw = codec.encode(frame)[codec.PREFIX_BYTES :]
    assert judge(raw)
    damaged = damage(raw, data.draw(st.integers(0, len(raw) - 1)), data.draw(st.integers(0, 255)))
    assert judge(damaged) == is_frame(damaged)


KEY, LONG = bytes(32), 2**63 - 1
LIMITS = [
    ((67, 3), True),
    ((67,), False),
    ((67, 3, 4), False),
    ((67, 2**32), False),
    ((67, True), False),
    ((68, 3, LONG, KEY), True),
    ((68, 3, LONG + 1, KEY), False),
    ((68, 3, LONG, KEY + b"x"), False),
    ((66, 3, "w" * 40, "🌱" * 300, 0, []), True),
    ((66, 3, "w" * 41, "", 0, []), False),
    ((66, 3, "w", "🌱" * 301, 0, []), False),
    ((66, 3, "w", "", 0, [bytes(2401)]), False),
    ((70, 3, 0, [b""] * 256), True),
    ((70, 3, 0, [b""] * 257), False),
    ((65, [[KEY, 1, 1, False]], []), True),
    ((65, [[KEY, 1, 1, False, 1]], []), False),
    ((65, [[KEY, 1, 1]], []), False),
    ((72, KEY, 1, 1, 2, KEY, bytes(65_821)), True),
    ((72, KEY, 1, 1, 3, KEY, b""), False),
    ((72, KEY, 1, 1, 2, KEY, bytes(65_822)), False),
    ((15, 3), False),
]


@pytest.mark.parametrize(("fields", "fits"), LIMITS, ids=range(len(LIMITS)))
def test_frames_at_their_limits(judge, fields, fits):
    raw = msgspec.msgpack.encode(fields)
    assert (judge(raw), is_frame(raw)) == (fits, fits)


async def test_a_conversation(house, town, other):
    ann = await town.person("ann")
    annes = await ann.create(house.address, "garden", nick="Ann")
    joan = await other(await annes.invite(), "Joan")
    joined = await joan.heard("joined")
    bundle = next(one for one in joan.told if one["event"] == "bundle")
    await heard(annes.notices(), is_change("joined", "Joan"))

    # One reads the other, by the right name.
    await annes.send("hello")
    hello = await joan.read("hello")
    assert (hello["sender"], hello["nick"], hello["stale"]) == (ann.identity.hex(), "Ann", False)
    sent = await joan.say("hello yourself ☃")
    notice = await said(annes.notices(), "hello yourself ☃")
    assert (notice.sender, notice.identity.hex()) == ("Joan", joined["identity"])

    # Whatever it made is read by the strict decoders here.
    record = open_record(bytes.fromhex(joined["record"]))
    assert (record.actor.hex(), record.n) == (joined["identity"], joined["n"])
    assert Bundle.decode(bytes.fromhex(bundle["bundle"])).identity.hex() == joined["identity"]
    envelope = Envelope.decode(bytes.fromhex(sent["envelope"]))
    assert envelope.id.hex() == sent["id"] == notice.id.hex()
    assert await joan.quit() == 0


async def test_what_is_done_to_lines(house, town, other):
    ann = await town.person("ann")
    annes = await ann.create(house.address, "garden", nick="Ann")
    joan = await other(await annes.invite(), "Joan")
    await joan.heard("ready")
    question = await annes.send("shall we?")
    await joan.read("shall we?")
    await joan.tell(f"reply {question.id.hex()} we shall")
    reply = await joan.heard("sent")
    answer = await said(annes.notices(), "we shall")
    assert (answer.kind, answer.re) == ("reply", question.id)
    wrong = await joan.say("at noone")
    await said(annes.notices(), "at noone")

    await annes.edit(question.id, "shall we go?")
    await annes.react(answer.id, "👍")
    await annes.redact(wrong["id"])
    await annes.act("leaves")
    await joan.read("leaves")
    lines = {line["id"]: line for line in await joan.lines()}
    assert (lines[question.id.hex()]["text"], lines[question.id.hex()]["edited"]) == ("shall we go?", True)
    assert lines[reply["id"]]["reactions"] == [{"identity": ann.identity.hex(), "inst": annes.id.hex(), "emoji": "👍"}]
    assert lines[wrong["id"]]["shows"] == "redacted"
    assert [line["kind"] for line in lines.values()] == [1, 3, 1, 2]


async def test_a_file(house, town, other, tmp_path):
    ann = await town.person("ann")
    annes = await ann.create(house.address, "garden", nick="Ann")
    joan = await other(await annes.invite(), "Joan")
    await joan.heard("ready")
    picture = tmp_path / "plan of beds.png"
    picture.write_bytes(hashlib.shake_256(b"plan").digest(300_000))  # Five pieces of ciphertext, two of the wire.
    sent = await annes.send_file(picture, "mind the roses")
    message = await joan.heard("message", kind=7)
    assert message["fields"]["caption"] == "mind the roses"
    await joan.tell(f"get {sent.id.hex()}")
    file = await joan.heard("file")
    digest = hashlib.blake2b(picture.read_bytes(), digest_size=32).hexdigest()
    assert (file["name"], file["size"], file["hash"]) == (picture.name, 300_000, digest)


async def test_a_newcomer_and_a_removal(house, town, other):
    ann, cleo = await town.person("ann"), await town.person("cleo")
    annes = await ann.create(house.address, "garden", nick="Ann")
    joan = await other(await annes.invite(), "Joan")
    await joan.heard("ready")
    first = await joan.say("before Cleo")
    cleos = await cleo.join(await annes.invite(), nick="Cleo")
    await joan.heard("record", type="JOIN")

    # The newcomer is given the chain that began before it came, from its present index on.
    second = await joan.say("welcome")
    assert chain_of(second) == chain_of(first)
    assert (await said(cleos.notices(), "welcome")).sender == "Joan"
    await cleos.send("thank you")
    assert (await joan.read("thank you"))["nick"] == "Cleo"

    # Both turn their keys when she is out, and read each other under the new ones.
    await annes.kick("Cleo")
    await joan.heard("record", type="REMOVE")
    third = await joan.say("only two")
    assert chain_of(third) != chain_of(first)
    notice = await said(annes.notices(), "only two")
    assert (notice.sender, notice.stale) == ("Joan", False)
    await annes.send("so it is")
    assert not (await joan.read("so it is"))["stale"]


async def test_a_lost_key_is_asked_for(house, town, other, crooked):
    ann = await town.person("ann")
    annes = await ann.create(house.address, "garden", nick="Ann")
    joan = await other(led_to(await annes.invite(), crooked.port), "Joan")
    await joan.heard("ready")
    crooked.lie = lose_a_parcel()
    await annes.send("nobody can read this")
    await joan.heard("parcel", kind=1)  # The answer to its NEED: the chain as it stands now.
    assert (await joan.heard("refused"))["reason"] == "index"
    await annes.send("but this")
    await joan.read("but this")


async def test_it_gives_a_key_to_whoever_lost_it(house, town, other, crooked):
    ann, cleo = await town.person("ann"), await town.person("cleo")
    annes = await ann.create(house.address, "garden", nick="Ann")
    joan = await other(await annes.invite(), "Joan")
    await joan.heard("ready")
    cleos = await cleo.join(led_to(await annes.invite(), crooked.port), nick="Cleo")
    await joan.heard("record", type="JOIN")
    crooked.lie = lose_a_parcel()
    await joan.say("Cleo cannot read this")
    await joan.heard("parcel", kind=2)
    await joan.say("but this")
    assert (await said(cleos.notices(), "but this")).sender == "Joan"


async def test_waiting_for_an_admin_and_being_removed(house, town, other):
    ann = await town.person("ann")
    annes = await ann.create(house.address, "garden", nick="Ann", approve=True)
    joan = await other(await annes.invite(), "Joan")
    await joan.heard("joined")
    await heard(annes.notices(), is_change("pending", "Joan"))
    await annes.admit("Joan")
    await joan.heard("ready")
    await joan.say("at last")
    assert (await said(annes.notices(), "at last")).sender == "Joan"
    await annes.kick("Joan")
    await joan.heard("out")


async def test_a_forged_event(house, town, other, crooked):
    ann = await town.person("ann")
    annes = await ann.create(house.address, "garden", nick="Ann")
    joan = await other(led_to(await annes.invite(), crooked.port), "Joan")
    await joan.heard("ready")
    await annes.send("true")
    await joan.read("true")

    crooked.lie = flip_last_byte
    forged = await annes.send("forged on its way")
    assert (await joan.heard("refused"))["reason"] == "signature"
    assert forged.seq == joan.told[-1]["s"]

    # The forged bytes took their place in the transcript, so the next true message shows that two histories exist.
    crooked.lie = lambda frame: frame
    await annes.send("true again")
    assert (await joan.heard("refused"))["reason"] == "fork"
    await joan.heard("forked")
    await joan.tell("say anybody?")
    assert (await joan.heard("unsent"))["reason"] == "fork"
    await annes.describe(topic="weeds")
    await joan.heard("record", type="INFO")


async def test_a_forged_record_stops_the_room(house, town, other, crooked):
    ann = await town.person("ann")
    annes = await ann.create(house.address, "garden", nick="Ann")
    joan = await other(led_to(await annes.invite(), crooked.port), "Joan")
    await joan.heard("ready")
    crooked.lie = flip_last_byte
    await annes.describe(topic="weeds")
    assert (await joan.heard("stopped"))["reason"] == "signature"
    await joan.heard("disconnected")


async def test_another_relay_hears_nothing(house, town, other, crooked):
    ann = await town.person("ann")
    link = await (await ann.create(house.address, "garden", nick="Ann")).invite()
    joan = await other(led_to(link, crooked.port, Pin(bytes(32))), "Joan")
    assert (await joan.heard("refused"))["reason"] == "pin"
    assert await joan.process.wait() == 1
    assert crooked.heard == 0
