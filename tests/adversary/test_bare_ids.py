"""A relay that tells a message as if retention had taken it: by its id, which the transcript is content with (§3)."""

import pytest
from msgspec.structs import replace

from chaton.room.envelope import message_id
from chaton.session.notices import Warned
from chaton.wire import frames


def bare(event: frames.Event) -> list[frames.Event]:
    if event.kind != frames.KIND_MESSAGE:
        return [event]
    return [replace(event, kind=frames.KIND_PRUNED, body=bytes(message_id(event.body)))]


async def test_a_message_told_as_a_bare_id_is_told_at_once(trio, evil) -> None:
    evil.lie_about_events(trio.ben, bare)
    sent = await trio.ada.chat.send("hidden from ben")
    await trio.ben.warned("undecryptable")
    assert [(warned.seq, "withholds it" in warned.detail) for warned in trio.ben.told(Warned)] == [(sent.seq, True)]
    evil.be_honest(trio.ben)
    await trio.ada.chat.send("next")
    await trio.ben.warned("withheld")
    assert trio.ben.shown()[3:] == ["next"]


@pytest.mark.parametrize("count", [1, 3])
async def test_what_came_meanwhile_as_bare_ids_is_told_with_its_number(trio, evil, count: int) -> None:
    evil.lie_about_events(trio.ben, lambda _event: [])
    for number in range(count):
        sent = await trio.ada.chat.send(f"hidden from ben {number}")
    evil.lie_about_events(trio.ben, bare)
    evil.cut(trio.ben)
    await trio.ben.warned("gone")
    told = next(warned for warned in trio.ben.told(Warned) if warned.code == "gone")
    assert (told.seq, told.detail.split(" that ")[0]) == (sent.seq, "1 message" if count == 1 else "3 messages")


async def test_an_own_message_told_as_a_bare_id_is_shown(trio, evil) -> None:
    evil.lie_about_events(trio.ben, bare)
    await trio.ben.chat.send("by ben")
    await trio.ben.sees("by ben")
    assert trio.ben.warnings() == []
