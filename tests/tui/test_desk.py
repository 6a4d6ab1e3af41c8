"""The desk between client and screen: what is asked, what is made of the news, and what is counted."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from chaton.client.news import ConnectionChanged
from chaton.client.replies import Lines, UnsentFacts
from chaton.client.requests import Connect, Draft, Members, Page, Rooms, Seen, Send
from chaton.errors import Refused, Unreachable
from chaton.identity.ids import Identity, MessageId, Pin, RoomId
from chaton.session import notices
from chaton.session.text import clean
from chaton.tui.book import KEPT_AT_MOST, Note
from chaton.tui.desk import PAGE, Desk
from tests.tui.scripted import BEN, ME, OTHER, ROOM, Scripted, facts, line, member, said

ROOM_ID = RoomId.from_hex(ROOM)


@asynccontextmanager
async def at(backend, room=ROOM, **given):
    """A desk that has begun, and listens; what it does by itself is ended with it."""
    desk = Desk(backend, **given)
    await desk.begin(room)
    listening = asyncio.ensure_future(desk.listen())
    yield desk
    listening.cancel()
    await asyncio.wait([listening])
    await desk.close()
    assert listening.cancelled(), listening.exception()


async def until(holds):
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - what follows from news sets no event
            await asyncio.sleep(0.005)


async def settled(backend, desk):
    """Wait until the news are taken and all that follows from them is done."""
    await until(backend.news.empty)
    await asyncio.sleep(0)
    await desk.chores.settle()


def shown(desk, room=ROOM):
    return [one.text for one in desk.books[room].items()]


def notes(desk, room=ROOM):
    return [one.text for one in desk.books[room].items() if isinstance(one, Note)]


def changed(action, nick="ben", identity=BEN, *, by="ada", by_identity=ME, **more):
    given = {"reason": clean(""), "n": 9, "at": 0, "detail": clean("")} | more
    return notices.MemberChanged(
        room=ROOM_ID, action=action, nick=clean(nick), identity=Identity.from_hex(identity), by=clean(by),
        by_identity=Identity.from_hex(by_identity), **given,
    )  # fmt: skip


async def test_it_shows_the_room_that_was_asked_for_and_connects():
    backend = Scripted(rooms=[facts(), facts(OTHER, "ops")], lines={OTHER: [line(1, "hello")]})
    async with at(backend, OTHER) as desk:
        assert (desk.current, shown(desk, OTHER)) == (OTHER, ["hello"])
        assert backend.requests(Connect)
        assert [one.nick for one in desk.book.members] == ["ada", "ben"]


async def test_rooms_stand_before_direct_ones_and_by_name_and_over_ones_are_left_out():
    rooms = [
        facts("3" * 64, "@ben", peer="ben"),
        facts(OTHER, "Ops"),
        facts("4" * 64, "old", status="out"),
        facts(ROOM, "lobby"),
    ]
    async with at(Scripted(rooms=rooms)) as desk:
        assert [one.facts.name for one in desk.books.values()] == ["lobby", "Ops", "@ben"]


async def test_a_room_that_ends_while_it_is_shown_stays_and_says_why():
    backend = Scripted()
    async with at(backend) as desk:
        backend.rooms = [facts(status="out", why="ben removed you: noise")]
        backend.lines[ROOM] = [line(1, "you were kicked by ben: noise", kind="record")]
        backend.news.put_nowait(changed("kicked", "ada", ME, by="ben", by_identity=BEN, reason=clean("noise"), me=True))
        backend.news.put_nowait(notices.Ended(ROOM_ID, "kicked", clean("ben removed you: noise")))
        await settled(backend, desk)
        assert desk.book.facts.why == "ben removed you: noise"
        assert shown(desk) == ["you were kicked by ben: noise"]


async def test_where_there_is_no_room_nothing_is_asked_about_one():
    backend = Scripted(rooms=[])
    async with at(backend) as desk:
        assert desk.book is None
        assert await desk.turn_back() is False
        assert desk.retry() is False
        assert desk.give_up() is None


# --- speaking ---


async def test_what_is_said_is_on_its_way_until_it_is_in_the_room():
    backend = Scripted()
    async with at(backend) as desk:
        desk.say(Send(room=ROOM, text="hello"))
        assert shown(desk) == ["hello"]
        await until(lambda: backend.requests(Send))
        (asked,) = backend.requests(Send)
        assert (asked.text, asked.wait) == ("hello", False)
        backend.has_said(1, "hello", own=True)
        backend.news.put_nowait(notices.Sent(ROOM_ID, 1, MessageId.from_hex(f"{1:064x}"), asked.ref))
        await settled(backend, desk)
        assert (shown(desk), desk.book.pending) == (["hello"], {})


async def test_two_messages_have_two_numbers():
    backend = Scripted()
    async with at(backend) as desk:
        for _ in range(50):
            desk.say(Send(room=ROOM, text="x"))
        await until(lambda: len(backend.requests(Send)) == 50)
        assert len({one.ref for one in backend.requests(Send)}) == 50
        assert all(0 < one.ref < 2**63 for one in backend.requests(Send))


async def test_what_is_refused_at_once_stays_with_its_reason():
    backend = Scripted(answers={Send: Refused("muted", "you are muted")})
    async with at(backend) as desk:
        desk.say(Send(room=ROOM, text="hello"))
        await until(desk.book.last_failed)
        assert desk.book.last_failed().failed == "you are muted"


async def test_what_the_relay_refuses_later_can_be_said_again_exactly_as_it_was_typed():
    backend = Scripted()
    typed = "a\ttab and \u200b nothing"
    async with at(backend) as desk:
        desk.say(Send(room=ROOM, text=typed, kind="reply", re="e" * 64))
        await until(lambda: backend.requests(Send))
        ref = backend.requests(Send)[0].ref
        backend.news.put_nowait(notices.Rejected(ROOM_ID, "muted", clean("you are muted"), ref, clean(typed)))
        await until(desk.book.last_failed)
        assert desk.retry() is True
        assert desk.book.last_failed() is None
        await until(lambda: len(backend.requests(Send)) == 2)
        again = backend.requests(Send)[1]
        assert (again.text, again.kind, again.re) == (typed, "reply", "e" * 64)
        assert again.ref != ref
        assert desk.retry() is False


async def test_a_reaction_that_was_to_be_taken_back_is_retried_as_that():
    backend = Scripted(answers={Send: Unreachable("the relay is away")})
    async with at(backend) as desk:
        desk.say(Send(room=ROOM, text="👍", kind="react", re="e" * 64, add=False))
        await until(desk.book.last_failed)
        del backend.answers[Send]
        desk.retry()
        await until(lambda: len(backend.requests(Send)) == 2)
        assert [(one.kind, one.add) for one in backend.requests(Send)] == [("react", False)] * 2


async def test_what_was_refused_in_an_earlier_run_is_shown():
    backend = Scripted()
    async with at(backend) as desk:
        backend.news.put_nowait(
            notices.Rejected(ROOM_ID, "closed", clean("the room is closed"), 77, clean("of before"))
        )
        await until(desk.book.last_failed)
        assert desk.give_up().text == "of before"
        assert shown(desk) == []


async def test_what_waits_in_the_outbox_is_shown_from_the_start():
    backend = Scripted(unsent=[UnsentFacts(ref=5, kind="text", text="said offline", re=None)])
    async with at(backend) as desk:
        assert shown(desk) == ["said offline"]


# --- news ---


async def test_what_is_said_to_one_who_looks_is_seen_and_told_once():
    backend = Scripted()
    async with at(backend) as desk:
        for seq in range(1, 201):
            backend.has_said(seq, "hello")
        await settled(backend, desk)
        assert (desk.book.unread, len(shown(desk))) == (0, 200)
        told = backend.requests(Seen)
        assert told[-1].seq == 200
        assert len(told) <= 3


async def test_what_is_said_while_nobody_looks_is_counted_and_begins_behind_the_marker():
    backend, called = Scripted(lines={ROOM: [line(1, "before")]}), []
    async with at(backend, called=called.append) as desk:
        desk.look_away()
        backend.has_said(2, "hello all")
        backend.has_said(3, "Ada: are you there?")
        backend.has_said(4, "my own", own=True)
        await settled(backend, desk)
        assert (desk.book.unread, desk.book.mentions, desk.book.marker) == (2, 1, 1)
        assert called == [desk.book]
        desk.looking = True
        desk.see()
        assert (desk.book.unread, desk.book.mentions, desk.book.marker) == (0, 0, 1)


async def test_a_room_that_is_not_shown_counts_whether_it_was_looked_at_or_not():
    backend, called = Scripted(rooms=[facts(), facts(OTHER, "ops", read=3)]), []
    async with at(backend, called=called.append) as desk:
        backend.has_said(3, "known before", room=OTHER)
        backend.has_said(4, "new, ada", room=OTHER)
        await settled(backend, desk)
        assert (desk.books[OTHER].unread, desk.books[OTHER].mentions) == (1, 1)
        await desk.show(OTHER)
        assert (desk.book.unread, shown(desk, OTHER)) == (0, ["known before", "new, ada"])
        backend.has_said(5, "in the first")
        await settled(backend, desk)
        assert (desk.books[ROOM].unread, called[0].facts.name) == (1, "ops")


async def test_a_direct_message_calls():
    peer = facts(OTHER, "@ben", peer="ben")
    backend, called = Scripted(rooms=[facts(), peer]), []
    async with at(backend, called=called.append) as desk:
        backend.news.put_nowait(said(1, "psst", room=OTHER, to=clean("ada")))
        await settled(backend, desk)
        assert called == [desk.books[OTHER]]


async def test_the_first_message_of_a_new_direct_room_brings_the_room():
    backend = Scripted()
    async with at(backend) as desk:
        backend.rooms.append(facts(OTHER, "@ben", peer="ben", unread=1))
        backend.has_said(1, "psst", room=OTHER, to=clean("ada"))
        await settled(backend, desk)
        assert (list(desk.books), desk.books[OTHER].unread) == ([ROOM, OTHER], 1)


async def test_a_message_opened_late_takes_its_place_and_counts():
    waits = line(2, "waiting for ben's key", kind="unread")
    backend, called = Scripted(lines={ROOM: [line(1, "one"), waits, line(3, "three")]}), []
    async with at(backend, called=called.append) as desk:
        desk.look_away()
        backend.news.put_nowait(said(2, "two, ada"))
        await settled(backend, desk)
        assert shown(desk) == ["one", "two, ada", "three"]
        assert (desk.book.unread, called) == (1, [desk.book])


@pytest.mark.parametrize("kind", ["edit", "delete", "react"])
async def test_what_changes_a_line_fetches_that_line(kind):
    before = [line(seq, f"said {seq}") for seq in range(1, 6)]
    backend = Scripted(lines={ROOM: before})
    async with at(backend) as desk:
        backend.lines[ROOM] = [replace(one, text="another") if one.seq == 2 else one for one in before]
        backend.news.put_nowait(said(6, "x", kind=kind, re=MessageId.from_hex(before[1].id)))
        await settled(backend, desk)
        assert shown(desk) == ["said 1", "another", "said 3", "said 4", "said 5"]
        assert desk.book.unread == 0


async def test_a_redaction_fetches_the_line_and_one_of_an_unknown_message_nothing():
    backend = Scripted(lines={ROOM: [line(1, "rude")]})
    async with at(backend) as desk:
        backend.lines[ROOM] = [line(1, "", kind="redacted")]
        backend.news.put_nowait(notices.Redacted(ROOM_ID, MessageId.from_hex(f"{1:064x}"), clean("ada"), 3))
        backend.news.put_nowait(notices.Redacted(ROOM_ID, MessageId.from_hex("9" * 64), clean("ada"), 4))
        await settled(backend, desk)
        assert [one.kind for one in desk.book.items()] == ["redacted"]


async def test_a_record_has_its_line_however_much_is_said_in_the_meantime():
    """It is fetched a little later than it came: by then it may be hundreds of lines back."""
    backend = Scripted(lines={ROOM: [line(1, "before")]})
    async with at(backend) as desk:
        backend.lines[ROOM].append(line(2, "cleo joined", kind="record"))
        backend.news.put_nowait(changed("joined", "cleo", "c" * 64))
        for seq in range(3, 203):
            backend.has_said(seq, f"said {seq}")
        await settled(backend, desk)
        assert shown(desk)[:3] == ["before", "cleo joined", "said 3"]
        assert len(shown(desk)) == 202


async def test_a_record_after_clear_brings_nothing_back():
    backend = Scripted(lines={ROOM: [line(seq, str(seq)) for seq in range(1, 9)]})
    async with at(backend) as desk:
        desk.book.clear()
        backend.lines[ROOM].append(line(9, "cleo joined", kind="record"))
        backend.news.put_nowait(changed("joined", "cleo", "c" * 64))
        await settled(backend, desk)
        assert shown(desk) == ["cleo joined"]


async def test_lines_of_one_whose_nick_another_takes_are_told_apart():
    """Nobody reads what the first ben said as the words of the second."""
    backend = Scripted(lines={ROOM: [line(1, "I was here first")]})
    async with at(backend) as desk:
        backend.lines[ROOM] = [line(1, "I was here first", sender="ben~bbbbbbbb"), line(2, "ben joined", kind="record")]
        backend.news.put_nowait(changed("joined", "ben", "c" * 64))
        await settled(backend, desk)
        assert [one.sender for one in desk.book.items()] == ["ben~bbbbbbbb", "ben"]


async def test_a_room_that_is_joined_again_is_read_anew():
    """It may have been stopped and begun anew, and then its lines stand elsewhere."""
    backend = Scripted(lines={ROOM: [line(4, "two"), line(5, "one"), line(6, "lost")]})
    async with at(backend) as desk:
        backend.lines[ROOM] = [line(4, "one"), line(5, "two")]
        me = Identity.from_hex(ME)
        backend.news.put_nowait(notices.Joined(ROOM_ID, clean("lobby"), clean(""), clean("ada"), me, ()))
        backend.asked.clear()
        await settled(backend, desk)
        assert shown(desk) == ["one", "two"]
        (waited,) = [asked for asked in backend.asked if isinstance(asked, Members) and asked.wait]
        assert backend.asked.index(waited) < backend.asked.index(backend.requests(Page)[0])


async def test_who_comes_or_goes_is_asked_for_once_for_many_news():
    backend = Scripted()
    async with at(backend) as desk:
        backend.asked.clear()
        backend.members.append(member("cleo", "c" * 64))
        for _ in range(100):
            backend.news.put_nowait(notices.PresenceChanged(ROOM_ID, clean("ben"), Identity.from_hex(BEN), online=True))
        await settled(backend, desk)
        assert len(backend.requests(Members)) <= 2
        assert [one.nick for one in desk.book.members] == ["ada", "ben", "cleo"]


async def test_a_connection_that_changes_is_in_the_facts():
    backend = Scripted()
    async with at(backend) as desk:
        backend.rooms = [facts(connection="offline", trouble="connection refused")]
        backend.news.put_nowait(ConnectionChanged(Pin.from_hex("f" * 64), clean("localhost:5555"), "offline"))
        await settled(backend, desk)
        assert desk.book.facts.connection == "offline"


async def test_a_warning_about_a_line_is_told_by_the_line():
    backend = Scripted()
    async with at(backend) as desk:
        backend.lines[ROOM] = [line(1, "here", lost=2)]
        backend.news.put_nowait(notices.Warned(ROOM_ID, "withheld", clean("2 messages are missing"), 1))
        await settled(backend, desk)
        assert notes(desk) == []
        assert [(one.text, one.lost) for one in desk.book.items()] == [("here", 2)]
        assert list(desk.book.alarming) == [1]


async def test_other_warnings_are_told_with_their_code_in_their_room():
    backend = Scripted(rooms=[facts(), facts(OTHER, "ops")])
    async with at(backend) as desk:
        await desk.show(OTHER)
        backend.news.put_nowait(notices.Warned(ROOM_ID, "fork", clean("two histories"), 0))
        backend.news.put_nowait(notices.Warned(None, "clock", clean("the clock is off"), 0))
        backend.news.put_nowait(notices.Warned(ROOM_ID, "reconnecting", clean("trying"), 0))
        await settled(backend, desk)
        assert [(one.text, one.tone) for one in desk.books[ROOM].items()] == [("two histories (fork)", "bad")]
        assert [(one.text, one.tone) for one in desk.books[OTHER].items()] == [("the clock is off (clock)", "warning")]


async def test_a_link_that_a_kick_deleted_is_told_to_admins():
    backend = Scripted()
    async with at(backend) as desk:
        backend.news.put_nowait(notices.LinkWanted(ROOM_ID, 3, 0, 0, clean("ben")))
        await settled(backend, desk)
        assert notes(desk) == ["ben removed somebody whose link had 3 uses left; /invite 3 makes another"]


# --- what is kept ---


async def test_older_pages_come_one_by_one_until_there_are_none():
    backend = Scripted(lines={ROOM: [line(seq, str(seq)) for seq in range(1, 2 * PAGE + 51)]})
    async with at(backend) as desk:
        assert len(shown(desk)) == PAGE
        assert await desk.turn_back() is True
        assert await desk.turn_back() is True
        assert shown(desk) == [str(seq) for seq in range(1, 2 * PAGE + 51)]
        assert await desk.turn_back() is False


async def test_after_clear_one_can_turn_back():
    backend = Scripted(lines={ROOM: [line(1, "one"), line(2, "two")]})
    async with at(backend) as desk:
        desk.book.clear()
        desk.note("a note")
        assert await desk.turn_back() is True
        assert shown(desk) == ["one", "two", "a note"]


async def test_a_room_that_nobody_shows_does_not_grow_without_end():
    backend = Scripted(rooms=[facts(), facts(OTHER, "ops")])
    async with at(backend) as desk:
        await desk.show(OTHER)
        for seq in range(1, KEPT_AT_MOST + 500):
            desk.take(said(seq, "x"))
        assert len(shown(desk)) <= KEPT_AT_MOST
        assert desk.books[ROOM].unread == KEPT_AT_MOST + 499


async def test_leaving_a_room_marks_what_was_seen():
    backend = Scripted(rooms=[facts(), facts(OTHER, "ops")], lines={ROOM: [line(1, "one"), line(2, "two")]})
    async with at(backend) as desk:
        await desk.show(OTHER)
        assert desk.books[ROOM].marker == 2


async def test_a_draft_is_handed_over_once():
    backend = Scripted()
    async with at(backend) as desk:
        for _ in range(3):
            desk.keep_draft(ROOM, "half a sen")
        desk.keep_draft("5" * 64, "no such room")
        await desk.chores.settle()
        assert [(one.room, one.text) for one in backend.requests(Draft)] == [(ROOM, "half a sen")]
        assert desk.book.facts.draft == "half a sen"


async def test_what_cannot_be_asked_is_told_and_ends_nothing():
    backend = Scripted()
    async with at(backend) as desk:
        backend.answers[Rooms] = Unreachable("the program that has this profile open has ended")
        backend.news.put_nowait(notices.PresenceChanged(ROOM_ID, clean("ben"), Identity.from_hex(BEN), online=False))
        await until(lambda: notes(desk))
        assert notes(desk) == ["the program that has this profile open has ended"]
        del backend.answers[Rooms]
        backend.has_said(1, "on it goes")
        await until(lambda: "on it goes" in shown(desk))


async def test_a_page_that_cannot_be_had_is_asked_for_again():
    backend = Scripted(rooms=[facts(), facts(OTHER, "ops")], lines={OTHER: [line(1, "one")]})
    async with at(backend) as desk:
        backend.answers[Page] = Unreachable("away")
        with pytest.raises(Unreachable):
            await desk.show(OTHER)
        backend.answers[Page] = Lines(room=OTHER, lines=[line(1, "one")])
        await desk.show(OTHER)
        assert shown(desk, OTHER) == ["one"]
