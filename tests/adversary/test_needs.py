"""Who asks for the key of a chain and may not have it, on TLS: whatever nick it bears, nobody is served (§5)."""

from typing import NamedTuple

import pytest

from chaton.client.client import Client
from chaton.identity.ids import Identity
from chaton.identity.statement import Seed
from chaton.room.records import Nick
from chaton.vault.bundle import OwnBundle, make_bundle
from chaton.vault.entropy import system_entropy
from chaton.vault.info import seal_info
from chaton.vault.parcel import KIND_NEED, Need, seal_parcel
from chaton.wire import frames
from tests.adversary.conftest import Someone, enter


class Asker(NamedTuple):
    """Whoever signs a question, and the keys that the answer is to be sealed to."""

    seed: Seed
    keys: OwnBundle

    @classmethod
    def of(cls, client: Client) -> "Asker":
        return cls(client.profile.seed, client.drivers[0].session.keyring.shown)


async def take_the_nick_of_ben(trio, someone: Someone) -> None:
    """By a client of one's own, which makes no bones about it."""
    evil, taken = someone.evil(), f"ben~{someone.identity.short}"
    info = seal_info(trio.link.rik, "ben", 256, system_entropy)
    await evil.ask(frames.Submit(0, trio.room, evil.record(Nick(info)).raw))
    await trio.ada.until(lambda: taken in [str(one.nick) for one in trio.ada.chat.members])


async def one_who_was_removed(trio, house, town) -> Asker:
    await take_the_nick_of_ben(trio, trio.cyd)
    await trio.ada.chat.kick(trio.cyd.identity)
    return Asker.of(trio.cyd.client)


async def one_of_another_room(trio, house, town) -> Asker:
    """Ada has to do with him there, and has his keys."""
    other = await trio.ada.client.create(house.address, "other", nick="ada")
    client = await town.person("max")
    chat = await client.join(await other.invite(), nick="ben")
    await other.driver.until(lambda: "ben" in [str(one.nick) for one in other.members])
    await other.send("hello")
    await chat.driver.until(lambda: "hello" in [str(line.text) for line in chat.backlog()])
    return Asker.of(client)


async def a_stranger(trio, house, town) -> Asker:
    seed, shown = Seed(b"e" * 32), trio.ben.chat.driver.session.keyring.shown.bundle
    keys = make_bundle(seed, counter=shown.counter, expires=shown.expires, entropy=system_entropy)
    return Asker(seed, keys)


async def a_bot(trio, house, town) -> Asker:
    bot = await enter(town, "robot", await trio.ada.chat.invite(post_only=True))
    await take_the_nick_of_ben(trio, bot)
    return Asker.of(bot.client)


async def answers(trio, evil, asker: Asker) -> list[frames.AnyClientFrame]:
    """All that ada's client says after the relay has told her that somebody asks for the key of her chain."""
    session = trio.ada.chat.driver.session
    chain = trio.ada.chat.room.sender.chain.id
    need = Need(chain, asker.keys.bundle.counter, asker.keys.id).encode()
    raw = seal_parcel(asker.seed, trio.room, session.keyring.shown.bundle, KIND_NEED, need, system_entropy)
    evil.heard.clear()
    evil.say(trio.ada, frames.Parcel(1_000, raw))
    for _ in range(2):  # What she says to it is heard before what she says once it is taken in.
        await trio.ada.caught_up()
    return [frame for who, frame in evil.heard if who == trio.ada.identity and not isinstance(frame, frames.Ping)]


@pytest.mark.parametrize("who", [one_who_was_removed, one_of_another_room, a_stranger, a_bot])
async def test_nobody_but_a_reader_is_served_whatever_the_nick(trio, evil, house, town, who) -> None:
    """The same question of ben's own is answered."""
    asker = await who(trio, house, town)
    await trio.ada.chat.send("for whom this is")
    await trio.ben.sees("for whom this is")
    sender = trio.ada.chat.room.sender
    served, identity = set(sender.served), Identity(asker.seed.public)
    assert identity not in served
    assert [type(frame) for frame in await answers(trio, evil, asker)] == [frames.ParcelTaken]
    assert sender.served == served
    assert identity not in sender.answered
    said = await answers(trio, evil, Asker.of(trio.ben.client))
    served_now = [one.to for frame in said if isinstance(frame, frames.Parcels) for one in frame.parcels]
    assert served_now == [trio.ben.identity]
