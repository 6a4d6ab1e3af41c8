"""What may take long is done in steps, and each of them is told."""

import pytest
from msgspec.structs import replace

from chaton.errors import InvalidLog
from chaton.identity.ids import RoomId
from chaton.relay.hub import log
from chaton.room.records import open_record
from chaton.session import acts, audience
from chaton.session import room as rooms
from chaton.session import view as views
from chaton.session.notices import Working
from chaton.wire import frames
from tests.session.test_refusals import heard, honest, twist
from tests.session.world import Person, World, invite, joined, say, texts


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audience, "_AT_ONCE", 2)
    monkeypatch.setattr(log, "RECORDS_PER_FRAME_MAX", 2)
    monkeypatch.setattr(rooms, "_TAKEN_STEP", 10)


def steps(person: Person, what: str) -> list[tuple[int, int | None]]:
    return [(one.done, one.total) for one in person.told(Working) if one.what == what]


def loses(world: World, *kinds: type, after: int = 0) -> None:
    """Have the relay say nothing of these kinds any more, once it has said so many."""
    told = []

    def keep(frame: frames.AnyRelayFrame) -> list[frames.AnyRelayFrame]:
        told.append(frame)
        return [frame] if len(told) <= after else []

    twist(world, kinds, into=keep)


# --- a key for everybody ---


def test_a_key_is_given_to_a_few_members_at_a_time(world: World, ada: Person, room: RoomId) -> None:
    others = [joined(world, ada, room, name) for name in ("ben", "cyd", "dan", "eve", "fay")]
    ada.notices.clear()
    world.relay.heard.clear()
    say(ada, room, "hello")
    assert steps(ada, "key") == [(0, 5), (2, 5), (4, 5), (5, 5)]
    assert [len(frame.parcels) for frame in heard(world, frames.Parcels)] == [2, 2, 1]
    assert [texts(other) for other in others] == [["hello"]] * 5


def test_who_cannot_be_reached_holds_up_nobody(world: World, ada: Person, room: RoomId) -> None:
    ben, cyd, dan = (joined(world, ada, room, name) for name in ("ben", "cyd", "dan"))
    for gone in (ben, cyd):
        world.relay.hub.memory.bundles.pop(gone.identity)
        ada.session.peers.entry(gone.identity).bundle = b""
    say(ada, room, "hello")
    assert texts(dan) == ["hello"]
    assert ada.session.rooms[room].sender.served == {dan.identity}


def test_a_key_whose_giving_is_interrupted_is_given_from_the_start(world: World, ada: Person, room: RoomId) -> None:
    others = [joined(world, ada, room, name) for name in ("ben", "cyd", "dan")]
    ada.notices.clear()
    loses(world, frames.ParcelsStored)
    say(ada, room, "hello")
    assert steps(ada, "key") == [(0, 3)]
    ada.disconnect()
    assert steps(ada, "key") == [(0, 3), (3, 3)]
    honest(world)
    ada.connect()
    world.settle()
    assert [texts(other) for other in others] == [["hello"]] * 3


# --- a log ---


def topics(world: World, ada: Person, room: RoomId, count: int) -> None:
    for number in range(count):
        ada.ask(ada.session.act(room, acts.info(None, f"topic {number}")))


def test_a_joiner_is_told_how_much_of_the_log_is_read(world: World, ada: Person, room: RoomId) -> None:
    topics(world, ada, room, 4)
    ben = joined(world, ada, room, "ben")
    assert steps(ben, "log") == [(0, None), (2, None), (4, None), (6, None), (7, None), (7, 7)]
    assert ben.session.rooms[room].view.state.n == 7


def test_a_joiner_checks_each_page_as_it_comes_and_once(
    world: World, ada: Person, room: RoomId, monkeypatch: pytest.MonkeyPatch
) -> None:
    topics(world, ada, room, 4)
    link, records = invite(ada, room), [one.raw for one in ada.session.rooms[room].view.records]
    checked = []
    monkeypatch.setattr(views, "open_record", lambda raw: checked.append(raw) or open_record(raw))
    loses(world, frames.LogEnd)
    late, ben = world.person("late"), world.person("ben")
    late.session.begin(late.session.join(link, "late"))
    world.settle()
    assert checked == records
    honest(world)
    checked.clear()
    ben.ask(ben.session.join(link, "ben"))
    assert checked[: len(records)] == records
    assert not set(records) & set(checked[len(records) :])


def test_a_log_is_folded_page_by_page(world: World, ada: Person, room: RoomId) -> None:
    ben = joined(world, ada, room, "ben")
    ben.disconnect()
    topics(world, ada, room, 5)
    ben.notices.clear()
    loses(world, frames.LogEnd)
    ben.connect()
    world.settle()
    view = ben.session.rooms[room].view
    assert steps(ben, "log") == [(0, None), (2, None), (4, None), (5, None)]
    assert view.state.n == ada.session.rooms[room].view.state.n
    assert not ben.session.rooms[room].log_current
    ben.disconnect()
    assert steps(ben, "log")[-1] == (5, 5)
    honest(world)
    ben.connect()
    world.settle()
    say(ada, room, "welcome back")
    assert texts(ben) == ["welcome back"]


def test_what_was_folded_before_the_line_broke_is_kept(world: World, ada: Person, room: RoomId) -> None:
    ben = joined(world, ada, room, "ben")
    ben.disconnect()
    topics(world, ada, room, 5)
    loses(world, frames.RecordsPage, frames.LogEnd, after=1)
    ben.connect()
    world.settle()
    honest(world)
    ben.restart()
    assert ben.session.rooms[room].view.state.n == 5
    world.settle()
    assert ben.session.rooms[room].caught_up
    assert str(ben.session.rooms[room].teller.topic) == "topic 4"


def spoilt(raw: bytes) -> bytes:
    return raw[:-1] + bytes([raw[-1] ^ 1])


@pytest.mark.parametrize("bad", [0, 1])
def test_a_wrong_record_ends_the_reading_at_its_page(world: World, ada: Person, room: RoomId, bad: int) -> None:
    ben = joined(world, ada, room, "ben")
    ben.disconnect()
    topics(world, ada, room, 5)
    ben.notices.clear()
    told = []

    def spoil(page: frames.RecordsPage) -> list[frames.RecordsPage]:
        told.append(page)
        wrong = [spoilt(raw) if (len(told), at) == (2, bad) else raw for at, raw in enumerate(page.records)]
        return [replace(page, records=wrong)]

    twist(world, frames.RecordsPage, into=spoil)
    ben.connect()
    world.settle()
    found = ben.session.rooms[room]
    assert (found.entry.status, found.entry.why) == ("stopped", "security")
    assert "signature" in found.entry.why_detail
    assert found.view.state.n == 5 + bad
    assert ben.hung_up is None  # The page behind it finds nobody who waits for it.
    assert steps(ben, "log") == [(0, None), (2, None), (4, 4)]


def test_a_wrong_record_is_not_joined_by(world: World, ada: Person, room: RoomId) -> None:
    topics(world, ada, room, 2)
    link = invite(ada, room)
    ben = world.person("ben")
    twist(world, frames.RecordsPage, into=lambda page: [replace(page, records=[*map(spoilt, page.records)])])
    with pytest.raises(InvalidLog, match="signature"):
        ben.ask(ben.session.join(link, "ben"))


def test_reading_that_is_given_up_is_over(world: World, ada: Person, room: RoomId) -> None:
    link = invite(ada, room)
    ben = world.person("ben")
    loses(world, frames.LogEnd)
    ticket = ben.session.begin(ben.session.join(link, "ben"))
    world.settle()
    assert steps(ben, "log")[-1] == (3, None)
    ben.session.give_up(ticket)
    ben.carry_out()
    assert steps(ben, "log")[-1] == (3, 3)


# --- what came meanwhile ---


def test_who_comes_back_is_told_how_much_is_opened(world: World, ada: Person, room: RoomId) -> None:
    ben = joined(world, ada, room, "ben")
    ben.disconnect()
    for number in range(24):
        say(ada, room, str(number))
    topics(world, ada, room, 1)
    ben.notices.clear()
    ben.connect()
    world.settle()
    assert texts(ben) == [str(number) for number in range(24)]
    assert steps(ben, "events") == [(0, None), (10, None), (20, None), (25, 25)]
    ben.notices.clear()
    say(ada, room, "what comes now is no backlog")
    assert steps(ben, "events") == []


def test_who_joins_has_nothing_to_open(world: World, ada: Person, room: RoomId) -> None:
    assert steps(joined(world, ada, room, "ben"), "events") == []


def test_opening_that_is_interrupted_is_over_and_begins_anew(world: World, ada: Person, room: RoomId) -> None:
    ben = joined(world, ada, room, "ben")
    ben.disconnect()
    for number in range(15):
        say(ada, room, str(number))
    ben.notices.clear()
    loses(world, frames.CaughtUp)
    ben.connect()
    world.settle()
    ben.disconnect()
    assert steps(ben, "events") == [(0, None), (10, None), (15, 15)]
    honest(world)
    say(ada, room, "more")
    ben.notices.clear()
    ben.connect()
    world.settle()
    assert steps(ben, "events") == [(0, None), (1, 1)]


def test_a_restart_checks_no_signature_again(
    world: World, ada: Person, room: RoomId, monkeypatch: pytest.MonkeyPatch
) -> None:
    topics(world, ada, room, 4)
    checked: list[bytes] = []
    monkeypatch.setattr(views, "open_record", lambda raw: checked.append(raw) or open_record(raw))
    ada.restart()
    world.settle()
    assert len(ada.session.rooms[room].view.records) == 6
    assert not checked
