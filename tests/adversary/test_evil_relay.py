"""A relay that drops, moves, repeats and relabels, on TLS, to real clients: what each person is shown (§§3, 7, 8)."""

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from chaton.client.dial import Connection, dial
from chaton.identity.ids import Identity, Nonce
from chaton.identity.login import Challenge, LoginAnswer
from chaton.identity.statement import Label, Seed
from chaton.limits import MINUTE_MS
from chaton.relay import certs, listener
from chaton.relay.peer import Peer
from chaton.room.link import Address
from chaton.session.notices import Warned
from chaton.wire import frames
from tests.client.conftest import House

STRANGER = Seed(b"g" * 32)


async def test_a_relabelled_message_names_its_true_sender(trio, evil) -> None:
    evil.lie_about_events(trio.ben, lambda event: [replace(event, sender=bytes(trio.cyd.identity))])
    await trio.ada.chat.send("by ada")
    await trio.ben.sees("by ada")
    line = trio.ben.chat.backlog()[-1]
    assert (line.sender, line.identity) == ("ada", trio.ada.identity)


async def test_a_message_dropped_for_one_shows_at_the_next(trio, evil) -> None:
    dropped: list[int] = []

    def drop(event):
        if not dropped:
            dropped.append(event.s)
            return []
        return [replace(event, s=event.s - 1)]

    evil.lie_about_events(trio.ben, drop)
    await trio.ada.chat.send("hidden from ben")
    await trio.ada.chat.send("next")
    await trio.ben.warned("undecryptable")
    assert "withholding" in trio.ben.told(Warned)[0].detail
    assert not {"next", "hidden from ben"} & set(trio.ben.shown())


@pytest.mark.parametrize("last_of_chain", [False, True])
async def test_a_message_dropped_for_all_shows_at_the_senders_next(trio, evil, last_of_chain: bool) -> None:
    """The relay says that it has taken a message and shows it to nobody: also the last one of its sender's chain."""

    def swallow(frame):
        if isinstance(frame, frames.Send):
            evil.say(trio.ada, frames.Accepted(frame.ref, 99, bytes(32)))
            return []
        return [frame]

    evil.changes[trio.ada.identity] = swallow
    trio.ada.chat.say("for nobody")
    await trio.ada.until(lambda: bool(trio.ada.chat.room.sender.accepted))
    evil.be_honest(trio.ada)
    if last_of_chain:
        trio.ada.chat.driver.do(lambda session: session.rooms[trio.room].sender.renew())
    await trio.ada.chat.send("next")
    await trio.ben.sees("next")
    assert trio.ben.warnings() == ["withheld"]
    assert "1 message of ada" in trio.ben.told(Warned)[0].detail


async def test_messages_of_two_senders_in_another_order_show_at_the_next(trio, evil) -> None:
    swap(trio, evil)
    await trio.ada.chat.send("one")
    await trio.cyd.chat.send("two")
    await trio.ada.chat.send("three")
    await trio.ben.until(lambda: bool(trio.ben.warnings()))
    assert trio.ben.warnings()[0] in {"fork", "undecryptable"}
    assert "three" not in trio.ben.shown()


async def test_messages_of_one_sender_in_another_order_show_at_once(trio, evil) -> None:
    swap(trio, evil)
    trio.ada.chat.say("one")
    trio.ada.chat.say("two")
    await trio.ben.until(lambda: len(trio.ben.warnings()) >= 2)
    assert trio.ben.shown()[-1] == "two"
    assert trio.ben.warnings() == ["withheld", "undecryptable"]


def swap(trio, evil) -> None:
    """Ben is told the next two events in the other order."""
    kept: list[frames.Event] = []

    def lie(event):
        kept.append(event)
        if len(kept) > 2:
            return [event]
        first = kept[0]
        return [replace(event, s=first.s), replace(first, s=event.s)] if len(kept) == 2 else []

    evil.lie_about_events(trio.ben, lie)


async def test_a_repeated_or_reflected_message_is_shown_once(trio, evil) -> None:
    """Ada's message and ben's own are told to ben twice."""
    evil.lie_about_events(trio.ben, lambda event: [event, replace(event, s=event.s + 1)])
    await trio.ada.chat.send("by ada")
    await trio.ben.warned("undecryptable")
    evil.be_honest(trio.ben)
    reflected = replace(
        next(one for one in evil.told[trio.ben.identity] if isinstance(one, frames.Event) and one.sender == trio.ben.identity),
        s=trio.ben.chat.room.view.history.s + 1, sender=bytes(trio.cyd.identity),
    )  # fmt: skip
    evil.say(trio.ben, reflected)
    await trio.ben.until(lambda: len(trio.ben.warnings()) == 2)
    assert trio.ben.shown().count("by ada") == trio.ben.shown().count("ben is here") == 1
    assert set(trio.ben.warnings()) == {"undecryptable"}


async def test_a_message_that_is_refused_and_shown_is_told_when_it_comes_again(trio, evil) -> None:
    """The relay shows ada's message to all and tells her that it refused it, so that she seals it anew."""
    refused: list[bytes] = []

    def change(frame):
        if not isinstance(frame, frames.Send) or refused:
            return [frame]
        refused.append(frame.envelope)
        evil.say(trio.ada, frames.Refused(frame.ref, "epoch-moved", "no", 0, []))
        evil.force(trio.room, frame.envelope, trio.ada.identity)
        return []

    evil.changes[trio.ada.identity] = change
    await trio.ada.chat.send("pay 100")
    for person in (trio.ben, trio.cyd):
        await person.until(lambda person=person: person.shown().count("pay 100") == 2)
        assert person.warnings() == ["doubled"]
    assert trio.ada.warnings() == ["waiting"]


async def test_a_parcel_told_again_changes_nothing(trio, evil) -> None:
    """An old chain key, a key for somebody else, and one's own key: all dropped without an answer."""
    await trio.ada.chat.send("later")
    await trio.ben.sees("later")
    parcels = [frame for told in evil.told.values() for frame in told if isinstance(frame, frames.Parcel)]
    before = repr(trio.ben.chat.room.reader.chains)
    evil.heard.clear()
    for parcel in parcels:
        evil.say(trio.ben, parcel)
    await trio.ben.caught_up()
    assert {type(frame) for who, frame in evil.heard} <= {frames.ParcelTaken, frames.Ping}
    assert len(parcels) == 6
    assert repr(trio.ben.chat.room.reader.chains) == before
    await trio.ada.chat.send("goes on")
    await trio.ben.sees("goes on")
    assert trio.ben.warnings() == []


GOING_ON = {
    "as it is": ["invalid-log"],
    "in the first place": ["undecryptable"],
    "behind rubbish": ["undecryptable"] * 4 + ["fork"],
}


@pytest.mark.parametrize("how", GOING_ON)
async def test_who_is_told_nothing_more_sees_a_quiet_room_until_a_message_crosses(trio, evil, how: str) -> None:
    """Ben is told no event any more, his own included; later the relay goes on from somewhere in the middle."""
    held: list[frames.Event] = []

    def hold(event):
        held.append(event)
        return []

    evil.lie_about_events(trio.ben, hold)
    before = trio.ben.shown()
    for text in ("one", "two", "three"):
        await trio.ada.chat.send(text)
    trio.ben.chat.say("anybody?")
    await trio.ada.sees("anybody?")
    await trio.ben.caught_up()
    assert len(held) == 4
    assert trio.ben.shown() == before
    assert trio.ben.warnings() == trio.ben.ends() == []
    assert len(trio.ben.chat.room.outbox) == 1  # What ben himself has said stays unsent: that is all there is to see.
    evil.lie_about_events(trio.ben, lambda event: go_on(event, held, how))
    await trio.ada.chat.send("crossing")
    await trio.ada.caught_up()
    await trio.ben.caught_up()
    assert trio.ben.shown() == before
    assert trio.ben.warnings() == GOING_ON[how]
    assert trio.ben.ends() == (["security"] if how == "as it is" else [])


def go_on(event: frames.Event, held: list[frames.Event], how: str) -> list[frames.Event]:
    """What is told again: the event with its number, with that of the first one held back, or with all places filled."""
    if how == "in the first place":
        return [replace(event, s=held[0].s)]
    return [event] if how == "as it is" else [*(replace(one, body=b"rubbish") for one in held), event]


@pytest.fixture
async def honest(evil, tmp_path, monkeypatch):
    """Another relay, of another key, that does nothing evil."""
    certs.generate(tmp_path / "certs", ["localhost"], ["127.0.0.1"], 30, now=datetime.now(UTC), force=False)
    other = House(tmp_path / "certs", tmp_path / "honest")
    other.open()

    def peer(*args, **how):
        return Peer(*args, **how) if how["owner"] is other.relay.engine else evil.peer(*args, **how)

    monkeypatch.setattr(listener, "Peer", peer)
    yield other
    await other.close()


async def greeted(address: Address) -> tuple[Connection, Nonce]:
    connection = await dial(address)
    return connection, Nonce((await next_frame(connection)).nonce)


async def next_frame(connection: Connection):
    while not (heard := await connection.receive()):
        pass
    return heard[0]


async def answer_to(connection: Connection, login: frames.Login):
    connection.transmit([login])
    answer = await next_frame(connection)
    await connection.close()
    return answer


async def test_a_login_relayed_to_another_relay_is_refused(trio, evil, honest) -> None:
    """Ben logs in at the evil relay, which greets him with a nonce of the honest one and hands his answer on there."""
    connection, nonce = await greeted(honest.address)
    evil.nonce = nonce
    evil.cut(trio.ben)
    await trio.ben.until(lambda: bool(evil.said_by(trio.ben, frames.Login)))
    refused = await answer_to(connection, evil.said_by(trio.ben, frames.Login)[0])
    assert refused.code == "bad-login"
    # The way itself is open: a login that was made for the honest relay's key is taken.
    connection, nonce = await greeted(honest.address)
    challenge, who = Challenge(honest.pin, nonce, Nonce(b"n" * 32)), Identity(STRANGER.public)
    signature = STRANGER.sign(Label.LOGIN, challenge.login_body(who))
    taken = await answer_to(connection, frames.Login(LoginAnswer(who, challenge.client_nonce, signature).encode()))
    assert isinstance(taken, frames.LoggedIn)


async def test_a_recorded_login_is_refused(trio, evil) -> None:
    (login,) = evil.said_by(trio.ben, frames.Login)
    connection, _ = await greeted(trio.ben.chat.driver.line.addresses[0])
    assert (await answer_to(connection, login)).code == "bad-login"
    await trio.ben.chat.send("still here")
    await trio.ada.sees("still here")


async def test_a_false_time_keeps_new_keys_from_being_made_and_is_told(trio, evil) -> None:
    """Keys made under a wrong clock would be refused by others, so none are published; the person can see why."""
    evil.fast_ms = 10 * MINUTE_MS
    evil.cut(trio.ben)
    await trio.ben.warned("clock")
    await trio.ben.until(lambda: trio.ben.chat.room.caught_up)
    assert not evil.said_by(trio.ben, frames.Publish)
    await trio.ben.chat.send("still here")
    await trio.ada.sees("still here")
    assert trio.ben.warnings() == ["clock"]
