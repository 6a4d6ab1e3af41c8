"""Whose a line and a reaction are, on TLS: of one membership, and of nobody else (docs/protocol.md §7)."""

import pytest

from chaton.identity.ids import Identity, MessageId
from chaton.session.content import Delete, Edit, React
from tests.adversary.conftest import Someone


def reactions(someone: Someone, message: MessageId) -> list[tuple[Identity, str]]:
    return [(one.identity, one.emoji) for one in someone.chat.room.timeline.thread.lines[message].reactions]


async def test_nobody_takes_back_what_another_reacted(trio) -> None:
    sent = await trio.ben.chat.send("lunch?")
    for person in (trio.ada, trio.cyd):
        await person.sees("lunch?")
    await trio.ada.chat.react(sent.id, "👍")
    await trio.cyd.until(lambda: reactions(trio.cyd, sent.id) != [])
    eve = trio.cyd.evil()
    await eve.chat.send(React(sent.id, add=False, emoji="👍"))
    await eve.chat.send("that was all")
    for person in trio.all:
        await person.sees("that was all")
        assert reactions(person, sent.id) == [(trio.ada.identity, "👍")]
    await trio.ada.chat.react(sent.id, "👍", add=False)
    for person in trio.all:
        await person.until(lambda person=person: reactions(person, sent.id) == [])


@pytest.mark.parametrize("goes", ["leaves", "is kicked"])
async def test_who_comes_back_changes_nothing_that_was_said_before(trio, goes: str) -> None:
    """While he was in the room he could."""
    line, spare = await trio.ben.chat.send("as it slipped out"), await trio.ben.chat.send("taken back")
    await trio.ben.chat.edit(line.id, "as ben meant it")
    await trio.ben.chat.react(line.id, "👍")
    await trio.ben.chat.delete(spare.id)
    if goes == "leaves":
        await trio.ben.chat.leave()
    else:
        await trio.ada.chat.kick("ben")
        await trio.ben.chat.driver.until(lambda: trio.ben.chat.room.entry.status == "out")
    back = await trio.ben.client.join(await trio.ada.chat.invite(), nick="ben")
    for content in (Edit(line.id, "as ben wants it now"), React(line.id, add=False, emoji="👍"), Delete(line.id)):
        await back.send(content)
    await back.send("ben is back")
    for person in (trio.ada, trio.cyd, Someone("ben", trio.ben.client, back, trio.ben.news)):
        await person.sees("ben is back")
        assert "as ben meant it" in person.shown()
        assert reactions(person, line.id) == [(trio.ben.identity, "👍")]
        assert person.chat.room.timeline.thread.lines[spare.id].ended
