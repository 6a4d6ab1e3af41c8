"""A relay that lies, clients on TLS, and what each person was shown."""

from dataclasses import dataclass

import pytest

from chaton.client.chatroom import ChatRoom
from chaton.client.client import Client
from chaton.client.news import AnyNotice, Subscription
from chaton.relay import listener
from chaton.room.link import Link
from chaton.session.notices import Ended, Warned
from tests.adversary.evil_member import EvilMember
from tests.adversary.evil_relay import EvilRelay
from tests.client.conftest import House, Town, house, pair, town

__all__ = ["House", "Town", "house", "pair", "town"]


@pytest.fixture
def evil(house, monkeypatch) -> EvilRelay:
    evil = EvilRelay()
    monkeypatch.setattr(listener, "Peer", evil.peer)
    evil.relay = house.relay
    return evil


@dataclass
class Someone:
    """A person in a room, and everything that the client told that person."""

    name: str
    client: Client
    chat: ChatRoom
    news: Subscription

    @property
    def identity(self):
        return self.client.identity

    async def caught_up(self) -> None:
        """Wait until everything that the relay has told is processed."""
        await self.chat.driver.round_trip()

    def shown(self) -> list[str]:
        """The texts of the room, as they stand."""
        return [str(line.text) for line in self.chat.backlog()]

    def told(self, kind: type[AnyNotice]) -> list:
        """Notices of a kind, since the beginning."""
        return [notice for notice in self.news._waiting if isinstance(notice, kind)]

    def warnings(self) -> list[str]:
        return [warning.code for warning in self.told(Warned)]

    def ends(self) -> list[str]:
        return [ended.code for ended in self.told(Ended)]

    async def sees(self, text: str) -> None:
        await self.until(lambda: text in self.shown())

    async def warned(self, code: str) -> None:
        await self.until(lambda: code in self.warnings())

    async def until(self, holds) -> None:
        await self.chat.driver.until(holds)

    def evil(self) -> EvilMember:
        return EvilMember(self.client, self.chat)


class Trio:
    """Ada owns a room; ben and cyd have joined it by ``link``, which they used up, and all have read from each other."""

    def __init__(self, link: Link, ada: Someone, ben: Someone, cyd: Someone) -> None:
        self.link, self.ada, self.ben, self.cyd = link, ada, ben, cyd
        self.room = ada.chat.id

    @property
    def all(self) -> tuple[Someone, Someone, Someone]:
        return self.ada, self.ben, self.cyd


async def enter(town: Town, name: str, link: Link) -> Someone:
    client = await town.person(name)
    news = client.notices()
    return Someone(name, client, await client.join(link, nick=name), news)


@pytest.fixture
async def trio(house, evil, town) -> Trio:
    client = await town.person("ada")
    news = client.notices()
    ada = Someone("ada", client, await client.create(house.address, "ops", nick="ada", topic="a topic"), news)
    link = await ada.chat.invite(uses=2)
    trio = Trio(link, ada, await enter(town, "ben", link), await enter(town, "cyd", link))
    for person in trio.all:
        await person.chat.send(f"{person.name} is here")
    for person in trio.all:
        for other in trio.all:
            await person.sees(f"{other.name} is here")
    assert not any(person.warnings() for person in trio.all)
    return trio
