"""A member who means harm, with the real client's keys, on TLS: what the others are shown (docs/protocol.md §10)."""

import dataclasses
from collections.abc import Iterator

import pytest
from msgspec.structs import replace
from nacl.secret import SecretBox

from chaton.errors import Refused
from chaton.identity.hashing import Person, keyed
from chaton.identity.ids import BlobHash, BlobId, ChainKey, Head
from chaton.identity.statement import Label, Seed, invite_signer
from chaton.room.envelope import Envelope, Header
from chaton.room.records import Info, Mute, Nick, Redact, Remove, Role
from chaton.session.content import Action, Delete, Edit, File, React, Reply, Text
from chaton.session.notices import Warned
from chaton.vault.chain import ChainStatement, SendChain, message_key
from chaton.vault.entropy import system_entropy
from chaton.vault.info import seal_info
from chaton.vault.keys import ChainSecret, FileKey
from chaton.vault.message import pad, seal_message, unpad
from chaton.vault.parcel import KIND_NEED, Need
from chaton.wire import frames
from tests.adversary.conftest import enter
from tests.adversary.evil_member import EvilMember
from tests.adversary.salamander import for_two_keys, keystream
from tests.session.test_text import FORBIDDEN


@pytest.mark.parametrize("with_identity", [False, True])
async def test_nobody_speaks_in_anothers_chain(trio, with_identity: bool) -> None:
    """Cyd can read ada's chain, so she holds every key of it but the one that signs."""
    eve = trio.cyd.evil()
    signer = eve.seed if with_identity else Seed(b"e" * 32)
    await eve.send(eve.seal_as(eve.chain_of(trio.ada.identity), signer, "forged in ada's name"))
    await trio.ben.warned("undecryptable")
    await trio.ada.chat.send("ada herself")
    await trio.ben.sees("ada herself")
    assert "forged in ada's name" not in trio.ben.shown()
    assert trio.ben.warnings() == ["undecryptable"]


async def test_another_text_under_an_old_signature_is_not_read(trio, evil) -> None:
    """The relay and a reader of the chain exchange commitment and ciphertext below ada's signature."""
    read, eve = trio.cyd.evil().chain_of(trio.ada.identity), trio.cyd.evil()

    def lie(event):
        true = Envelope.decode(event.body)
        key = message_key(read.secret, read.statement.id, true.header.index)
        forged = seal_message(key, true.header, eve.plain("forged"), eve.seed, system_entropy)
        return [replace(event, body=forged.signed + true.signature)]

    evil.lie_about_events(trio.ben, lie)
    await trio.ada.chat.send("true")
    await trio.ben.warned("undecryptable")
    assert not {"true", "forged"} & set(trio.ben.shown())


async def test_nobody_gives_out_anothers_chain(trio) -> None:
    """Ada's own chain from cyd's hands, and a chain of cyd's that says it is ada's."""
    eve = trio.cyd.evil()
    before = set(trio.ben.chat.room.reader.chains)
    false = eve.chain(sender=trio.ada.identity, inst=eve.room.view.state.members[trio.ada.identity].inst)
    await eve.give(false, trio.ben.identity)
    await eve.send(eve.seal(false, "forged in ada's name"))
    await trio.ben.warned("waiting")
    await trio.ada.chat.send("ada herself")
    await trio.ben.sees("ada herself")
    assert "forged in ada's name" not in trio.ben.shown()
    assert set(trio.ben.chat.room.reader.chains) == before


async def test_two_messages_of_one_index_are_one_to_everybody(trio) -> None:
    """Cyd seals two texts with one message key, and sends both."""
    eve, secret = trio.cyd.evil(), ChainSecret(b"s" * 32)
    signer = Seed(b"c" * 32)
    statement = replace_key(eve.chain().statement, signer)
    one, other = (SendChain(statement, signer, secret, 0) for _ in range(2))
    await eve.give(one, trio.ada.identity, trio.ben.identity)
    for chain, text in ((one, "heads"), (other, "tails")):
        await eve.send(eve.seal(chain, text))
    for person in (trio.ada, trio.ben):
        await person.warned("undecryptable")
        assert "heads" in person.shown()
        assert "tails" not in person.shown()


async def test_a_ciphertext_that_opens_under_two_keys_is_read_under_one(trio) -> None:
    """Cyd gives ada and ben two secrets of one chain, and seals to both at once: a file for ada, anything for ben."""
    eve, signer, readers = trio.cyd.evil(), Seed(b"c" * 32), (trio.ada, trio.ben)
    statement = replace_key(eve.chain().statement, signer)
    secrets = [ChainSecret(raw * 32) for raw in (b"a", b"b")]
    for reader, secret in zip(readers, secrets, strict=True):
        await eve.give(SendChain(statement, signer, secret, 0), reader.identity)
        await reader.until(lambda reader=reader: statement.id in reader.chat.room.reader.chains)
    await eve.send(for_both(eve, statement, signer, [message_key(one, statement.id, 0).reveal() for one in secrets]))
    for reader in readers:
        await reader.caught_up()
    assert [line.kind for line in trio.ada.chat.backlog()] == ["text", "text", "text", "file"]
    assert [line.kind for line in trio.ben.chat.backlog()] == ["text", "text", "text"]
    assert trio.ada.warnings() == []
    assert trio.ben.warnings() == ["undecryptable"]


def for_both(eve: EvilMember, statement: ChainStatement, signer: Seed, keys: list[bytes]) -> Envelope:
    """One message that SecretBox opens under two keys; it can be bound to the first one only.

    Two blocks are as they come. Under the first key they are part of the attachment's id and key, where any bytes do.
    """
    history, state = eve.room.view.history, eve.room.view.state
    header = Header(state.room, statement.id, 0, state.n, state.head, history.s, history.last)
    boxes = (keyed(keys[0], Person.ENCRYPT), keyed(keys[1], Person.ENCRYPT))
    nonces = (number.to_bytes(24) for number in range(100_000))
    nonce = next(one for one in nonces if keystream(boxes[0], one, 256)[-1] == keystream(boxes[1], one, 256)[-1])
    file = File(BlobId(bytes(32)), FileKey(bytes(32)), BlobHash(bytes(32)), 9, "plan.txt", "for ada: ".ljust(124, "."))
    padded = pad(eve.plain(file))
    body = bytes(a ^ b for a, b in zip(padded, keystream(boxes[0], nonce, 256), strict=True))
    made = for_two_keys(boxes, nonce, body, 2)
    opened = [SecretBox(box).decrypt(made, nonce) for box in boxes]
    assert len({unpad(plain) for plain in opened}) == 2
    signed = header.encode() + keyed(keys[0], Person.COMMITMENT, header.encode()) + nonce + len(made).to_bytes(4) + made
    return Envelope.decode(signed + signer.sign(Label.MESSAGE, signed))


async def test_nobody_edits_or_deletes_what_another_said(trio) -> None:
    sent = await trio.ada.chat.send("as ada said it")
    await trio.cyd.sees("as ada said it")
    eve = trio.cyd.evil()
    for content in (Edit(sent.id, "as cyd wants it"), Delete(sent.id), React(sent.id, False, "👍")):
        await eve.chat.send(content)
    await eve.chat.send("that was all")
    for person in (trio.ada, trio.ben):
        await person.sees("that was all")
        assert "as ada said it" in person.shown()
        assert "as cyd wants it" not in person.shown()


@pytest.mark.parametrize("body", ["redact", "mute", "kick", "topic"])
async def test_what_a_rank_does_not_allow_is_refused_by_relay_and_reader(trio, evil, body: str) -> None:
    sent = await trio.ada.chat.send("stays")
    await trio.ben.sees("stays")
    eve = trio.cyd.evil()
    target = eve.room.view.state.members[trio.ada.identity].inst
    bodies = {"redact": Redact(sent.id), "mute": Mute(target, 1), "kick": Remove(target, 0, b""), "topic": Info(b"")}
    record = eve.record(bodies[body])
    with pytest.raises(Refused) as refused:
        await eve.ask(frames.Submit(0, trio.room, record.raw))
    assert refused.value.code == "not-allowed"
    s = trio.ben.chat.room.view.history.s
    evil.say(trio.ben, frames.Event(trio.room, s + 1, 0, frames.KIND_RECORD, eve.identity, record.raw))
    await trio.ben.warned("invalid-log")
    assert "stays" in trio.ben.shown()


@pytest.mark.parametrize("of", ["a link", "a chain"])
async def test_a_key_that_is_no_identity_acts_for_nobody(trio, evil, of: str) -> None:
    """Everybody in the room holds the link's key, and cyd her chain's; neither of them is a member."""
    eve, key = trio.cyd.evil(), invite_signer(trio.link.seed)
    if of == "a chain":
        key = Seed(b"c" * 32)
        chain = SendChain(replace_key(eve.chain().statement, key), key, ChainSecret(b"s" * 32), 0)
        await eve.give(chain, trio.ben.identity)
    record = eve.record(Nick(b""), seed=key)
    s = trio.ben.chat.room.view.history.s
    evil.say(trio.ben, frames.Event(trio.room, s + 1, 0, frames.KIND_RECORD, record.actor, record.raw))
    await trio.ben.warned("invalid-log")
    assert len(trio.ben.chat.members) == 3


def replace_key(statement: ChainStatement, signer: Seed) -> ChainStatement:
    return dataclasses.replace(statement, key=ChainKey(signer.public))


async def test_a_false_history_is_refused_and_a_false_chain_names_its_maker(trio) -> None:
    """No message makes others see a fork; a chain key does, once, and says who made it."""
    eve = trio.cyd.evil()
    chain = eve.chain()
    await eve.give(chain, trio.ben.identity)
    for claim in ({"head": Head(b"h" * 32)}, {"transcript": type(eve.room.view.history.last)(b"t" * 32)}):
        with pytest.raises(Refused) as refused:
            await eve.send(eve.seal(chain, "another history", **claim))
        assert refused.value.code == "bad-history"
    assert trio.ben.warnings() == []
    await eve.give(eve.chain(head=Head(b"h" * 32)), trio.ben.identity)
    await trio.ben.warned("fork")
    assert trio.ben.told(Warned)[0].detail.startswith("cyd holds another history")
    trio.ben.chat.excuse()
    await eve.give(eve.chain(head=Head(b"i" * 32)), trio.ben.identity)
    await trio.ben.caught_up()
    await trio.ben.chat.send("I go on")
    await trio.ada.sees("I go on")
    assert trio.ben.warnings() == ["fork"]


async def test_who_was_removed_is_answered_no_need(trio, evil) -> None:
    """The relay hands on the removed member's question; the same question of a member is answered."""
    eve, ben = trio.cyd.evil(), trio.ben.evil()
    await trio.ada.chat.kick("cyd")
    await trio.ada.chat.send("without cyd")
    for asker in (eve, ben):
        own = asker.client.drivers[0].session.keyring.shown
        chain = trio.ada.chat.room.sender.chain.id
        raw = asker.parcel(trio.ada.chat.driver.session.keyring.shown.bundle, KIND_NEED,
                           Need(chain, own.bundle.counter, own.id).encode())  # fmt: skip
        evil.heard.clear()
        evil.say(trio.ada, frames.Parcel(1_000 + (asker is ben), raw))
        await trio.ada.caught_up()
        served = {one.to for frame in evil.said_by(trio.ada, frames.Parcels) for one in frame.parcels}
        assert served == (set() if asker is eve else {ben.identity})


async def test_a_nick_like_anothers_is_told_apart(trio) -> None:
    """A client of one's own makes no bones about nicks that are taken."""
    eve = trio.cyd.evil()
    for nick in ("ada", "аda", "ada\u200b", "ADA"):
        info = seal_info(trio.link.rik, nick, 256, system_entropy)
        await eve.ask(frames.Submit(0, trio.room, eve.record(Nick(info)).raw))
        await eve.chat.driver.until(lambda: eve.room.view.n == eve.room.view.state.n)
        await eve.chat.send(f"I am {nick}")
        await trio.ben.until(lambda: trio.ben.chat.backlog()[-1].identity == eve.identity)
        names = {str(person.nick): person.identity for person in trio.ben.chat.members}
        assert names["ada"] == trio.ada.identity
        line = trio.ben.chat.backlog()[-1]
        assert line.sender.endswith(f"~{eve.identity.short}")


async def test_links_of_a_demoted_admin_and_of_the_removed_open_nothing(trio, town) -> None:
    await trio.ada.chat.role("cyd", Role.ADMIN)
    await trio.cyd.until(lambda: trio.cyd.chat.room.member.role is Role.ADMIN)
    hers, shared = await trio.cyd.chat.invite(uses=9), await trio.ada.chat.invite(uses=9)
    dan = await enter(town, "dan", shared)
    await trio.ada.chat.role("cyd", Role.MEMBER)
    await trio.ada.chat.kick("dan")
    for number, link in enumerate((hers, shared)):
        late = await town.person(f"late{number}")
        with pytest.raises(Refused) as refused:
            await late.join(link, nick=f"late{number}")
        assert refused.value.code == "bad-invite"
    with pytest.raises(Refused):
        await dan.client.join(shared, nick="dan")


HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202egnp.exe\u2066 [b]<b>*x* \x9b31m\r\u200b\x7f\n\u2028next"


async def test_no_text_of_others_reaches_a_screen_as_it_is(trio) -> None:
    """Escapes, bidi and markup in every text there is: nick, name, topic, text, emoji, file name, caption, reason."""
    await trio.ada.chat.role("cyd", Role.ADMIN)
    await trio.cyd.until(lambda: trio.cyd.chat.room.member.role is Role.ADMIN)
    eve = trio.cyd.evil()
    name, nick = (seal_info(trio.link.rik, HOSTILE, limit, system_entropy) for limit in (1024, 256))
    for body in (Nick(nick), Info(name)):
        await eve.ask(frames.Submit(0, trio.room, eve.record(body).raw))
        await eve.chat.driver.until(lambda: eve.room.view.n == eve.room.view.state.n)
    sent = await eve.chat.send(Text(HOSTILE))
    for content in (Action(HOSTILE), Reply(sent.id, HOSTILE), Edit(sent.id, HOSTILE), React(sent.id, True, "\x1b[2J")):
        await eve.chat.send(content)
    chain, file = eve.chain(), HOSTILE.encode()
    await eve.give(chain, trio.ben.identity)
    body = bytes([7]) + bytes(16) + bytes(96) + (9).to_bytes(8) + len(file).to_bytes(2) + file + file
    await eve.send(eve.seal(chain, "-", plaintext=body))
    await trio.ben.until(lambda: any(line.kind == "file" for line in trio.ben.chat.backlog()))
    target = eve.room.view.state.members[trio.ben.identity].inst
    reason = Remove(target, 0, seal_info(trio.link.rik, HOSTILE, 256, system_entropy))
    await eve.chat.driver.until(lambda: eve.room.view.n == eve.room.view.state.n)
    await eve.ask(frames.Submit(0, trio.room, eve.record(reason).raw))
    await trio.ben.until(lambda: bool(trio.ben.ends()))
    room = trio.ben.chat.room
    seen = [*trio.ben.news._waiting, *trio.ben.chat.backlog(), *trio.ben.chat.members, trio.ben.chat.name,
            trio.ben.chat.topic, *map(room.teller.log_line, room.view.records)]  # fmt: skip
    found = list(texts_in(seen))
    assert len([text for text in found if "owned" in text]) > 12
    assert [text for text in found if {ord(character) for character in text} & FORBIDDEN] == []


def texts_in(thing: object) -> Iterator[str]:
    if isinstance(thing, str):
        yield thing
    elif isinstance(thing, list | tuple):
        for one in thing:
            yield from texts_in(one)
    elif dataclasses.is_dataclass(thing):
        for field in dataclasses.fields(thing):
            yield from texts_in(getattr(thing, field.name))
