"""The window against a scripted client: keys in, screen and requests out."""

import random
import re

import pytest
from textual import events

from chaton.client.replies import LinkText, LogLine, LogLines, MemberList, Signed
from chaton.client.requests import Act, Draft, GetFile, Open, Page, Search, Seen, Send, Verify, Whois
from chaton.errors import Refused, Unreachable
from chaton.identity.ids import RoomId
from chaton.limits import DAY_MS
from chaton.session import notices
from chaton.session.text import clean
from chaton.tui import finding
from chaton.tui.desk import now_ms
from chaton.tui.looks import DARK, Look
from chaton.tui.people import MemberPanel
from chaton.tui.rows import moment
from chaton.tui.screens import Chooser, Invitation, LinkPanel, Question, TextPanel
from tests.tui.screen import hides, opened, rows_of, screen_text, shows, until
from tests.tui.scripted import BEN, ME, OTHER, ROOM, START, Scripted, facts, line, member, said

SIGNED = Signed(room=ROOM, n=4, record="", what="kick")


def lines(count, *, first=1):
    return {ROOM: [line(seq, f"said {seq}") for seq in range(first, first + count)]}


def sent(backend):
    return [one.text for one in backend.requests(Send)]


def typed(window):
    return window.talk.composer.text


async def type_in(pilot, text):
    await pilot.press(*("space" if one == " " else one for one in text))


async def paste(window, pilot, text):
    window.post_message(events.Paste(text))
    await pilot.pause()


# --- typing ---


async def test_enter_sends_and_what_is_sent_shows_its_state():
    backend = Scripted()
    async with opened(backend) as (window, pilot):
        await pilot.press(*"hello")
        await pilot.press("enter")
        await shows(pilot, r"ada │ hello  sending…")
        assert sent(backend) == ["hello"]
        assert typed(window) == ""
        backend.has_said(1, "hello", own=True)
        ref = backend.requests(Send)[0].ref
        backend.news.put_nowait(notices.Sent(RoomId.from_hex(ROOM), 1, said(1, "x").id, ref))
        await shows(pilot, r"ada │ hello$|ada │ hello\n")
        await hides(pilot, "sending…")


async def test_nothing_is_sent_where_nothing_is_typed():
    backend = Scripted()
    async with opened(backend) as (_, pilot):
        await pilot.press("enter", "space", "enter")
        await pilot.pause()
        assert sent(backend) == []


async def test_several_lines_are_one_message_by_each_key_for_another_line():
    backend = Scripted()
    async with opened(backend) as (window, pilot):
        await pilot.press("a", "ctrl+j", "b", "alt+enter", "c", "shift+enter", "d")
        assert typed(window) == "a\nb\nc\nd"
        await pilot.press("enter")
        await until(pilot, lambda: sent(backend) == ["a\nb\nc\nd"])


async def test_a_paste_of_several_lines_is_one_message_and_no_command():
    backend = Scripted()
    pasted = "/kick ben\r\n/leave\r\n:tada: [bold]x"
    async with opened(backend) as (window, pilot):
        await paste(window, pilot, pasted + "\r\n")
        assert sent(backend) == []
        await pilot.press("enter")
        await until(pilot, lambda: sent(backend) == [pasted.replace("\r\n", "\n")])
        assert not backend.requests(Act)
        assert window.screen is window.screen_stack[0]


async def test_a_pasted_line_is_a_line_as_if_typed():
    backend = Scripted()
    async with opened(backend) as (window, pilot):
        await paste(window, pilot, "hello\n")
        assert (typed(window), sent(backend)) == ("hello", [])


async def test_short_names_of_emoji_are_replaced_when_sent():
    backend = Scripted()
    async with opened(backend) as (_, pilot):
        await type_in(pilot, ":tada: at 12:30:45")
        await pilot.press("enter")
        await until(pilot, lambda: sent(backend) == ["🎉 at 12:30:45"])


async def test_which_emoji_stands_there_is_in_sight_on_a_narrow_screen():
    async with opened(Scripted(), size=(44, 15)) as (_, pilot):
        await type_in(pilot, ":po")
        await pilot.press(*["tab"] * 5)
        await shows(pilot, r"👉 :point_right:")


async def test_an_unknown_command_is_never_sent_and_the_nearest_is_named():
    backend = Scripted()
    async with opened(backend) as (_, pilot):
        await type_in(pilot, "/kik ben")
        await pilot.press("enter")
        await shows(pilot, "there is no command /kik, so nothing was sent; did you mean", r"/kick\? // begins")
        assert sent(backend) == []


async def test_two_slashes_begin_a_text():
    backend = Scripted()
    async with opened(backend) as (_, pilot):
        await type_in(pilot, "//etc")
        await pilot.press("enter")
        await until(pilot, lambda: sent(backend) == ["/etc"])


async def test_up_and_down_go_through_what_was_said_and_come_back_to_what_was_typed():
    async with opened(Scripted()) as (window, pilot):
        for text in ("one", "two", "two"):
            await pilot.press(*text, "enter")
        await pilot.press(*"half")
        await pilot.press("up")
        assert typed(window) == "two"
        await pilot.press("up")
        assert typed(window) == "one"
        await pilot.press("up", "down")
        assert typed(window) == "two"
        await pilot.press("down")
        assert typed(window) == "half"


async def test_up_moves_within_several_lines_before_it_goes_back():
    async with opened(Scripted()) as (window, pilot):
        await pilot.press(*"old", "enter", "a", "ctrl+j", "b", "up")
        assert typed(window) == "a\nb"
        await pilot.press("up")
        assert typed(window) == "old"


async def test_the_keys_that_hands_know():
    async with opened(Scripted()) as (window, pilot):
        await type_in(pilot, "one two three")
        await pilot.press("ctrl+w")
        assert typed(window) == "one two "
        await pilot.press("ctrl+a", "ctrl+k")
        assert typed(window) == ""
        await pilot.press("ctrl+y")
        assert typed(window) == "one two "
        await pilot.press("alt+b", "alt+d")
        assert typed(window).rstrip() == "one"
        await pilot.press("ctrl+e", "ctrl+u")
        assert typed(window) == ""
        await type_in(pilot, "xy")
        await pilot.press("ctrl+a", "ctrl+d")
        assert typed(window) == "y"


async def test_tab_completes_and_goes_round_and_back():
    members = [member("ada", ME), member("ben", BEN), member("bert", "c" * 64)]
    async with opened(Scripted(members=members)) as (window, pilot):
        await pilot.press("b", "e", "tab")
        assert typed(window) == "ben: "
        await shows(pilot, "ben:  bert:")
        await pilot.press("tab")
        assert typed(window) == "bert: "
        await pilot.press("tab")
        assert typed(window) == "ben: "
        await pilot.press("shift+tab")
        assert typed(window) == "bert: "
        await type_in(pilot, "hi b")
        await pilot.press("tab")
        assert typed(window) == "bert: hi ben "


async def test_tab_where_nothing_fits_leaves_what_is_typed():
    async with opened(Scripted()) as (window, pilot):
        await pilot.press("z", "z", "tab")
        assert typed(window) == "zz"
        assert window.focused is window.talk.composer


async def test_help_for_a_command_stands_above_it_while_it_is_typed():
    async with opened(Scripted()) as (_, pilot):
        await type_in(pilot, "/kick b")
        await shows(pilot, r"/kick WHO \[REASON\]   remove somebody; all keys are changed")
        await pilot.press("ctrl+u")
        await hides(pilot, "remove somebody")


# --- what is refused ---


async def test_what_is_refused_says_why_and_is_sent_again_or_dropped_by_a_key():
    backend = Scripted(answers={Send: Refused("muted", "you are muted")})
    async with opened(backend) as (window, pilot):
        await pilot.press(*"hello", "enter")
        await shows(pilot, r"not sent: you are muted · Alt\+R sends it again, Alt\+X drops")
        await pilot.press("alt+r")
        await until(pilot, lambda: sent(backend) == ["hello", "hello"])
        await shows(pilot, "not sent: you are muted")
        await pilot.press("alt+x")
        await hides(pilot, "not sent")
        assert typed(window) == "hello"


# --- rooms ---


def three_rooms():
    rooms = [facts(ROOM, "lobby"), facts(OTHER, "ops", read=1), facts("3" * 64, "@ben", peer="ben", read=1)]
    spoken = {ROOM: [line(1, "in the lobby")], OTHER: [line(1, "in ops")], "3" * 64: [line(1, "between us")]}
    return Scripted(rooms=rooms, lines=spoken)


async def test_rooms_by_number_and_by_steps():
    async with opened(three_rooms()) as (window, pilot):
        await shows(pilot, "in the lobby", r"1›lobby", r"2 ops", r"3 @ben")
        await pilot.press("alt+2")
        await shows(pilot, r"│ in ops", r"2›ops")
        await pilot.press("ctrl+n")
        await shows(pilot, "between us")
        await pilot.press("ctrl+n")
        await shows(pilot, "in the lobby")
        await pilot.press("ctrl+p")
        await shows(pilot, "between us")
        await pilot.press("alt+up")
        await shows(pilot, r"│ in ops")
        await pilot.press("alt+down", "alt+9")
        await shows(pilot, "between us")
        assert window.desk.current == "3" * 64


async def test_what_is_new_elsewhere_is_counted_and_a_key_goes_there_mentions_first():
    backend = three_rooms()
    async with opened(backend) as (_, pilot):
        for seq in (2, 3):
            backend.has_said(seq, "news", room=OTHER)
        backend.has_said(2, "ada, look", room="3" * 64)
        await shows(pilot, r"2 ops +2\b", r"3 @ben +●1")
        await pilot.press("alt+a")
        await shows(pilot, "ada, look", r"── new ─")
        await hides(pilot, "●1")
        await pilot.press("alt+a")
        await shows(pilot, r"│ news")
        await hides(pilot, r"ops +2\b")
        await until(
            pilot, lambda: {(one.room, one.seq) for one in backend.requests(Seen)} >= {(OTHER, 3), ("3" * 64, 2)}
        )


async def test_a_room_is_found_by_its_name():
    async with opened(three_rooms()) as (window, pilot):
        await pilot.press("ctrl+k")
        await until(pilot, lambda: isinstance(window.screen, Chooser))
        await pilot.press(*"OP")
        await pilot.press("enter")
        await shows(pilot, r"│ in ops")
        assert window.focused is window.talk.composer


async def test_a_draft_stays_with_its_room():
    backend = three_rooms()
    async with opened(backend) as (window, pilot):
        await type_in(pilot, "half a sen")
        await pilot.press("alt+2")
        await shows(pilot, r"│ in ops")
        assert typed(window) == ""
        await until(pilot, lambda: [(one.room, one.text) for one in backend.requests(Draft)] == [(ROOM, "half a sen")])
        await pilot.press("alt+1")
        await shows(pilot, "in the lobby")
        assert typed(window) == "half a sen"


async def test_a_draft_of_an_earlier_run_is_there_and_gone_once_it_is_sent():
    backend = Scripted(rooms=[facts(draft="of yesterday")])
    async with opened(backend) as (window, pilot):
        assert typed(window) == "of yesterday"
        await pilot.press("enter")
        await until(pilot, lambda: sent(backend) == ["of yesterday"] and backend.requests(Draft))
        assert backend.requests(Draft)[-1].text == ""


async def test_a_room_that_cannot_be_shown_is_told():
    backend = three_rooms()
    async with opened(backend) as (_, pilot):
        backend.answers[Page] = Unreachable("the program that has this profile open has ended")
        await pilot.press("alt+2")
        await shows(pilot, "the program that has this profile open has ended")


# --- the timeline ---


async def test_the_new_line_stands_where_reading_ended():
    backend = Scripted(rooms=[facts(read=2, unread=1)], lines=lines(3))
    async with opened(backend) as (window, pilot):
        await shows(pilot, r"── new ─")
        told = rows_of(window)
        new = next(number for number, row in enumerate(told) if "── new" in row)
        assert ("said 2" in told[new - 1], "said 3" in told[new + 1]) == (True, True)


async def test_what_comes_while_the_window_is_not_looked_at_is_new_and_rings():
    backend = Scripted(lines=lines(2))
    async with opened(backend) as (window, pilot):
        written = []
        window._write = written.append
        window.post_message(events.AppBlur())
        await until(pilot, lambda: not window.desk.looking)
        backend.has_said(3, "hello ada")
        await shows(pilot, r"── new ─", r"lobby +●1")
        assert [one for one in written if "\a" in one] == [
            "\a\x1b]9;new message in lobby\x1b\\\x1b]777;notify;Chaton;new message in lobby\x1b\\"
        ]
        assert "\x1b]2;(1) lobby - Chaton\x1b\\" in written
        window.post_message(events.AppFocus())
        await hides(pilot, "●1")


async def test_a_day_line_stands_between_days_and_a_note_does_not_take_its_place():
    now = now_ms()
    backend = Scripted(lines={ROOM: [line(1, "yesterday", at=now - DAY_MS)]})
    async with opened(backend) as (window, pilot):
        window.desk.note("a note of today")
        window.desk.book.put(line(2, "today", at=now))
        await shows(pilot, r"── \w+day, .*\n.*yesterday\n.*a note of today\n.*── \w+day, .*\n.*today")


@pytest.mark.parametrize("more", [2, 400])
async def test_what_is_read_stays_in_place_while_more_comes(more):
    backend = Scripted(lines=lines(200))
    async with opened(backend) as (window, pilot):
        await pilot.press("pageup", "pageup")
        await shows(pilot, r"more below · Esc goes to the newest")
        await until(pilot, lambda: int(window.talk.timeline.scroll_offset.y) == window.talk.timeline.scroll_target_y)
        before = re.findall(r"│ said \d+", screen_text(window))
        for seq in range(201, 201 + more):
            backend.has_said(seq, f"said {seq}\nin two\nrows")
        await shows(pilot, rf"lobby +{more}\b")
        assert re.findall(r"│ said \d+", screen_text(window)) == before
        assert window.desk.looking is False
        await pilot.press("escape")
        await shows(pilot, f"said {200 + more}")
        await until(pilot, lambda: window.desk.book.unread == 0)


async def test_scrolling_back_loads_page_after_page_and_holds_the_place():
    backend = Scripted(lines=lines(1_000))
    async with opened(backend) as (window, pilot):
        timeline, seen = window.talk.timeline, set()
        for _ in range(400):
            if "said 1" in seen:
                break
            seen |= set(re.findall(r"said \d+", screen_text(window)))
            await pilot.press("pageup")
        assert seen >= {f"said {number}" for number in range(1, 1_001)}
        assert not timeline.at_end
        await pilot.press("escape")
        await shows(pilot, "said 1000")


async def test_at_the_top_older_lines_come_without_another_key():
    async with opened(Scripted(lines=lines(1_000))) as (window, pilot):
        timeline = window.talk.timeline
        await shows(pilot, "said 1000")
        await pilot.press("ctrl+up", "ctrl+home")
        await until(pilot, lambda: window.desk.book.first == 401 and timeline.scroll_offset.y > 100)
        await shows(pilot, "said 701")


async def test_after_clear_page_up_brings_back_what_was_there():
    backend = Scripted(lines=lines(5))
    async with opened(backend) as (_, pilot):
        await type_in(pilot, "/clear")
        await pilot.press("enter")
        await hides(pilot, "said")
        await pilot.press("pageup")
        await shows(pilot, "said 1", "said 5")


async def test_a_busy_room_that_is_followed_does_not_grow_without_end():
    async with opened(Scripted()) as (window, pilot):
        for seq in range(1, 5_001):
            window.desk.take(said(seq, f"said {seq}"))
        await shows(pilot, "said 5000")
        assert len(window.desk.book.items()) <= 2_000


async def test_a_quote_of_a_message_that_is_removed_goes_with_it():
    about = line(1, "something rude")
    backend = Scripted(lines={ROOM: [about, line(2, "between"), line(3, "no!", kind="reply", re=about.id)]})
    async with opened(backend) as (window, pilot):
        await shows(pilot, "┌ ben something rude")
        window.desk.book.put(line(1, "", kind="redacted"))
        window.desk.changed()
        await hides(pilot, "something rude")


async def test_search_finds_and_goes_to_the_line_however_far_back():
    backend = Scripted(lines=lines(700))
    async with opened(backend) as (window, pilot):
        await pilot.press("ctrl+r")
        await until(pilot, lambda: isinstance(window.screen, Chooser))
        await type_in(pilot, "said 77")
        await shows(pilot, r"#77 1\d Jan +\S+ ben said 77")
        await pilot.press("enter")
        await shows(pilot, r"│ said 77\b", r"#77  r reply")
        assert window.talk.timeline.chosen == 77
        await pilot.press("escape")
        await shows(pilot, "said 700")


async def test_search_by_command_begins_with_its_word():
    backend = Scripted(lines=lines(30))
    async with opened(backend) as (window, pilot):
        await type_in(pilot, "/search said 12")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(window.screen, Chooser))
        await shows(pilot, r"#12 1\d Jan +\S+ ben said 12")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(window.screen, Chooser))
        assert not window.talk.timeline.chosen


async def test_a_search_says_when_and_marks_what_it_found():
    look, now = Look.of(DARK), START
    old = line(7, "the DISK of db1\nand the disk of db2", at=START - 400 * 86_400_000)
    told = finding.found(old, "disk", look, now)
    assert told.plain == f"#7 {moment(old.at):%d %b  %Y} ben the DISK of db1 and the disk of db2"
    assert marked(told, look) == ["DISK", "disk"]
    late = finding.found(line(8, "word " * 40 + "disk full [b]"), "DISK", look, now)
    assert late.plain.startswith(f"#8 {moment(START):%d %b %H:%M} ben …")
    assert late.plain.endswith("word word disk full [b]")
    assert marked(late, look) == ["disk"]
    assert marked(finding.found(old, "d.sk", look, now), look) == []
    assert Look.of(DARK, colours=False).found.underline


def marked(text, look):
    return [text.plain[span.start : span.end] for span in text.spans if span.style == look.found]


async def test_a_search_that_fails_is_told():
    backend = Scripted(lines=lines(3), answers={Search: Unreachable("the profile is gone")})
    async with opened(backend) as (window, pilot):
        await pilot.press("ctrl+r")
        await until(pilot, lambda: isinstance(window.screen, Chooser))
        await pilot.press(*"said")
        await shows(pilot, "nothing")
        await pilot.press("escape")
        await shows(pilot, "the profile is gone")


# --- one message ---


async def test_a_chosen_message_is_answered():
    backend = Scripted(lines=lines(3))
    async with opened(backend) as (window, pilot):
        await pilot.press("ctrl+up", "ctrl+up")
        await shows(pilot, r"#2  r reply")
        await pilot.press("r")
        assert typed(window) == "/reply #2 "
        await type_in(pilot, "yes")
        await pilot.press("enter")
        await until(pilot, lambda: backend.requests(Send))
        (asked,) = backend.requests(Send)
        assert (asked.kind, asked.text, asked.re) == ("reply", "yes", line(2, "").id)


async def test_choosing_goes_on_above_what_is_laid_out():
    async with opened(Scripted(lines=lines(600))) as (window, pilot):
        timeline = window.talk.timeline
        await window.desk.turn_back()
        await shows(pilot, "said 600")
        timeline.chosen = timeline._blocks[0].item.seq
        timeline.focus()
        await pilot.press("up")
        await shows(pilot, "#300  r reply", "│ said 300")


async def test_an_own_message_is_edited_from_what_it_says():
    backend = Scripted(lines={ROOM: [line(1, "teh plan", own=True)]})
    async with opened(backend) as (window, pilot):
        await pilot.press("ctrl+up", "e")
        assert typed(window) == "/edit #1 teh plan"


async def test_a_message_of_several_lines_can_be_edited():
    backend = Scripted(lines={ROOM: [line(1, "one\ntwo", own=True)]})
    async with opened(backend) as (window, pilot):
        await pilot.press("ctrl+up", "e")
        await pilot.press(*"!", "enter")
        await until(pilot, lambda: backend.requests(Send))
        assert [(one.kind, one.text) for one in backend.requests(Send)] == [("edit", "one\ntwo!")]
        assert typed(window) == ""


async def test_reacting_completes_the_emoji():
    backend = Scripted(lines=lines(1))
    async with opened(backend) as (window, pilot):
        await pilot.press("ctrl+up", "plus")
        assert typed(window) == "/react #1 :"
        await pilot.press(*"tad", "tab", "enter")
        await until(pilot, lambda: [(one.kind, one.text) for one in backend.requests(Send)] == [("react", "🎉")])


async def test_taking_back_and_hiding_name_the_message():
    backend = Scripted(
        lines={ROOM: [line(1, "theirs"), line(2, "mine", own=True), line(3, "f", kind="file", file="f")]}
    )
    async with opened(backend) as (window, pilot):
        await pilot.press("ctrl+up", "ctrl+up", "x")
        assert typed(window) == ""
        await shows(pilot, "#2  r reply · e edit · d delete · . react · c copy · i info · Esc done")
        await pilot.press("d")
        assert typed(window) == "/delete #2 "
        await pilot.press("ctrl+u", "ctrl+up", "ctrl+up", "ctrl+up", "e", "d")
        assert typed(window) == ""
        await pilot.press("x")
        assert typed(window) == "/redact #1 "


async def test_a_file_is_fetched_by_one_key_and_what_is_taken_back_takes_nothing_more():
    backend = Scripted(lines={ROOM: [line(1, "", kind="deleted"), line(2, "f", kind="file", file="f", file_size=1)]})
    async with opened(backend) as (_window, pilot):
        await pilot.press("ctrl+up", "g")
        await until(pilot, lambda: [one.re for one in backend.requests(GetFile)] == [f"{2:064x}"])
        await type_in(pilot, "/reply 1 what was it?")
        await pilot.press("enter")
        await shows(pilot, "message #1 was taken away")
        await type_in(pilot, "/reply 7 what was it?")
        await pilot.press("enter")
        await shows(pilot, "there is no message #7 here")
        assert not backend.requests(Send)


async def test_everything_about_a_message_and_a_copy_of_it():
    backend = Scripted(lines=lines(1))
    async with opened(backend) as (window, pilot):
        await pilot.press("ctrl+up", "c")
        await shows(pilot, "copied")
        assert window.clipboard == "said 1"
        await pilot.press("i")
        await shows(pilot, "message #1", BEN[:8], "by the relay's clock")
        await pilot.press("escape", "escape")
        assert window.focused is window.talk.composer


async def test_a_click_chooses_a_message_and_one_beside_leaves_typing_where_it_was():
    backend = Scripted(lines={ROOM: [line(1, "ben joined", kind="record"), line(2, "hello")]})
    async with opened(backend) as (window, pilot):
        height = window.talk.timeline.size.height
        await pilot.click(window.talk.timeline, offset=(30, height - 1))
        await until(pilot, lambda: window.talk.timeline.chosen == 2)
        await pilot.click(window.talk.timeline, offset=(30, height - 2))
        await until(pilot, lambda: window.talk.timeline.chosen == 0)
        await pilot.click(window.talk.timeline, offset=(30, 2))
        await pilot.press(*"typed")
        assert typed(window) == "typed"


async def test_a_mouse_that_is_drawn_across_leaves_typing_where_it_was():
    async with opened(Scripted(lines=lines(200))) as (window, pilot):
        await pilot.mouse_down(window.talk.timeline, offset=(30, 5))
        await pilot.mouse_up(window._title)
        await pilot.press(*"typed")
        assert typed(window) == "typed"


# --- people ---


async def test_kick_asks_and_names_the_identity_and_the_reason():
    backend = Scripted(answers={Act: SIGNED, Whois: MemberList(room=ROOM, members=[member("ben", BEN)])})
    async with opened(backend) as (window, pilot):
        await type_in(pilot, "/kick ben too loud")
        await pilot.press("enter")
        await shows(pilot, "this removes ben from the room", r"ben is b{16}…", "reason: too loud", "y does it")
        assert isinstance(window.screen, Question)
        await pilot.press("enter")
        await hides(pilot, "this removes")
        assert not backend.requests(Act)
        await type_in(pilot, "/kick ben too loud")
        await pilot.press("enter")
        await shows(pilot, "this removes ben", "y does it")
        await pilot.press("y")
        await until(pilot, lambda: backend.requests(Act))
        assert [(one.what, one.who, one.text) for one in backend.requests(Act)] == [("kick", "ben", "too loud")]


async def test_what_changes_nothing_for_good_is_not_asked_about():
    backend = Scripted(answers={Act: SIGNED})
    async with opened(backend) as (_, pilot):
        await type_in(pilot, "/topic the plan")
        await pilot.press("enter")
        await until(pilot, lambda: [(one.what, one.text) for one in backend.requests(Act)] == [("topic", "the plan")])


async def test_a_link_that_takes_the_place_of_a_deleted_one_is_shown():
    signed = Signed(room=ROOM, n=4, record="", what="kick", link="chaton:" + "x" * 240)
    backend = Scripted(answers={Act: signed, Whois: MemberList(room=ROOM, members=[member("ben", BEN)])})
    async with opened(backend) as (window, pilot):
        await type_in(pilot, "/ban ben")
        await pilot.press("enter")
        await shows(pilot, "this bans ben by identity, for good", "reason: none given", "y does it")
        await pilot.press("y")
        await shows(pilot, "F4 shows")
        await pilot.press("f4")
        await until(pilot, lambda: isinstance(window.screen, LinkPanel))
        await shows(pilot, "This one takes its place", "chaton:xxx")


async def test_who_types_on_while_a_panel_comes_types_in_the_room():
    async with opened(Scripted(lines=lines(1))) as (window, pilot):
        await pilot.press("f1")
        await until(pilot, lambda: isinstance(window.screen, TextPanel))
        await pilot.press(*"hi", "space", *"you")
        await until(pilot, lambda: typed(window) == "hi you")


async def test_keys_are_carried_out_in_the_order_of_typing():
    backend = Scripted(rooms=[facts(), facts(OTHER, "ops")], lines=lines(1))
    async with opened(backend) as (window, pilot):
        keys = ["a", "ctrl+u", "b", "alt+2", "c", "enter"]
        for key in keys:  # All at once: none waits for what the one before has caused.
            window.post_message(events.Key(key, key if len(key) == 1 else None))
        await until(pilot, lambda: backend.requests(Send))
        assert [(one.room, one.text) for one in backend.requests(Send)] == [(OTHER, "c")]
        await pilot.press("alt+1")
        await until(pilot, lambda: typed(window) == "b")


async def test_a_member_is_looked_at_and_noted_as_compared():
    backend = Scripted(answers={Whois: MemberList(room=ROOM, members=[member("ben", BEN, invited_by="ada")])})
    async with opened(backend, size=(120, 40)) as (window, pilot):
        await type_in(pilot, "/whois ben")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(window.screen, MemberPanel))
        await shows(pilot, "invited by ada", "bbbbbbbb bbbbbbbb", "12345 12345", "not compared yet", "[▀▄█]{5}")
        await pilot.press("v")
        await shows(pilot, "ben is noted as compared")
        assert [(one.who, one.ok) for one in backend.requests(Verify)] == [(BEN, True)]


async def test_members_are_shown_on_a_key():
    members = [
        member("ada", ME, role="owner"),
        member("ben", BEN, online=False, muted=True),
        member("cleo", "c" * 64, pending=True),
    ]
    async with opened(Scripted(members=members)) as (_, pilot):
        await hides(pilot, "3 members")
        await pilot.press("f2")
        await shows(pilot, "3 members", r"● ◆ ada", r"○ +ben muted", r"cleo waits")
        await pilot.press("alt+m")
        await hides(pilot, "3 members")


async def test_the_log_is_a_view():
    log = LogLines(
        room=ROOM, lines=[LogLine(n=0, t=START, what="ada made the room", signer="ada", identity=ME)], head="f" * 64
    )
    from chaton.client.requests import Log

    async with opened(Scripted(answers={Log: log})) as (window, pilot):
        await type_in(pilot, "/log")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(window.screen, TextPanel))
        await shows(pilot, "moderation log", "ada made the room", ME[:8])
        await pilot.press("q")
        await until(pilot, lambda: not isinstance(window.screen, TextPanel))


# --- panels ---


async def test_news_come_while_a_panel_is_open_and_nothing_breaks():
    """What is asked of the app is answered by the screen on top: the room below has to be known otherwise."""
    backend = Scripted(lines=lines(50))
    async with opened(backend) as (window, pilot):
        for open_it in ("f1", "ctrl+r"):
            await pilot.press(open_it)
            await until(pilot, lambda: len(window.screen_stack) == 2)
            for seq in range(100, 130):
                backend.has_said(seq, f"meanwhile {seq}, ada")
            backend.news.put_nowait(
                notices.TopicChanged(RoomId.from_hex(ROOM), clean("lobby"), clean("t"), clean("ben"))
            )
            await until(pilot, lambda: window.desk.book.last == 129)
            await pilot.resize_terminal(70, 20)
            await pilot.resize_terminal(100, 30)
            await pilot.press("escape")
            await shows(pilot, "meanwhile 129")
            assert len(window.screen_stack) == 1


async def test_the_link_of_a_new_room_is_shown_first():
    invitation = Invitation("chaton:" + "x" * 240, "lobby is open. This link lets one person in.", "only this machine")
    async with opened(Scripted(), invitation=invitation, size=(100, 30)) as (window, pilot):
        await until(pilot, lambda: isinstance(window.screen, LinkPanel))
        await shows(pilot, "lobby is open", "chaton:xxxx", "only this machine")
        await pilot.press("c")
        await until(pilot, lambda: window.clipboard == invitation.link)
        await shows(pilot, "copied")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(window.screen, LinkPanel))
        await pilot.press(*"hi")
        assert typed(window) == "hi"


@pytest.mark.parametrize("size", [(100, 60), (60, 15)])
async def test_a_link_is_shown_whole_and_as_a_code_where_there_is_room(size):
    link = "chaton:" + "".join(f"{number:04}" for number in range(60))
    async with opened(Scripted(), invitation=Invitation(link, "about"), size=size) as (window, pilot):
        await until(pilot, lambda: isinstance(window.screen, LinkPanel))
        if size[1] > 30:
            await shows(pilot, "█▀▀▀▀▀█.*█▀▀▀▀▀█")
        else:
            await shows(pilot, "chaton:0000")
            assert "▀" not in screen_text(window)


async def test_help_lists_commands_and_keys_and_one_command():
    async with opened(Scripted(), size=(110, 100)) as (window, pilot):
        await pilot.press("f1")
        await shows(pilot, r"/kick WHO", "Alt\\+A +next unread", r"Ctrl\+Q +quit")
        await pilot.press("escape")
        await type_in(pilot, "/help kick")
        await pilot.press("enter")
        await shows(pilot, r"/kick WHO \[REASON\]   remove somebody")
        assert isinstance(window.screen, TextPanel)


async def test_an_invite_is_shown_as_a_panel():
    answer = LinkText(room=ROOM, link="chaton:abc", n=3, uses=2, expires=0)
    from chaton.client.requests import Invite

    async with opened(Scripted(answers={Invite: answer})) as (_, pilot):
        await type_in(pilot, "/invite 2")
        await pilot.press("enter")
        await shows(pilot, "This link lets 2 people in. They run: chaton join", "chaton:abc")


# --- the status line ---


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"turned": 1}, r"● connected · only members can read · 2 members · relay pinned · key turned \d+ h ago"),
        ({}, "2 members · relay pinned · a new key with the next message"),
        ({"peer": "ben"}, "you two"),
        ({"forked": True}, r"! FORK: somebody holds another history; sending is stopped"),
        ({"closed": True}, "! the room is closed"),
        ({"pending": True}, "! waiting to be let in by an admin"),
        ({"status": "joining"}, "! waiting to be let in by an admin"),
        ({"connection": "connecting"}, "! connecting…; what you type is kept and sent later"),
        ({"connection": "offline", "trouble": "refused"}, "! offline, trying again; what you type is kept and sent later: refused"),
        ({"connection": "stopped"}, r"! .*disconnected.*; /reconnect tries again"),
    ],
)  # fmt: skip
async def test_the_status_line_says_whether_the_room_is_safe(more, words):
    async with opened(Scripted(rooms=[facts(**more)]), size=(140, 20)) as (window, pilot):
        await shows(pilot, words)
        assert re.search(words, rows_of(window)[-1])


async def test_who_was_removed_reads_why_on_the_status_line():
    backend = Scripted()
    async with opened(backend, size=(140, 20)) as (window, pilot):
        backend.rooms = [facts(status="out", why="you were kicked by ben: too loud")]
        backend.news.put_nowait(notices.Ended(RoomId.from_hex(ROOM), "kicked", clean("by ben: too loud")))
        await shows(pilot, "! you are not in this room any more: you were kicked by ben: too loud")
        assert "kicked by ben" in rows_of(window)[-1]


@pytest.mark.parametrize(
    ("more", "words"),
    [({"lost": 2}, "! 2 messages withheld by the relay, or lost"), ({"stale": True}, "! stale: somebody removed")],
)
async def test_what_was_withheld_or_is_stale_is_on_the_status_line(more, words):
    backend = Scripted(lines={ROOM: [line(1, "x", at=now_ms(), **more)]})
    async with opened(backend) as (window, pilot):
        await shows(pilot, words)
        assert words in rows_of(window)[-1]


# --- sizes, colours ---


@pytest.mark.parametrize("size", [(60, 15), (84, 20), (250, 70)])
async def test_the_room_can_be_read_and_spoken_in_at_any_width(size):
    backend = Scripted(lines={ROOM: [line(1, "first " + "word " * 40 + "last")]})
    async with opened(backend, size=size) as (window, pilot):
        await shows(pilot, "first word", "last")
        assert ("1›lobby" in screen_text(window)) is (size[0] >= 84)
        await pilot.press("f2")
        await shows(pilot, "2 members")
        await pilot.press(*(["f2", "f3"] if size[0] < 84 else []))
        await shows(pilot, "1›lobby")
        await pilot.press(*(["f2"] if size[0] >= 84 else []), "f3", *"hi", "enter")
        await hides(pilot, "2 members\n", "1›lobby")
        await until(pilot, lambda: sent(backend) == ["hi"])
        assert all(len(row) <= size[0] for row in rows_of(window))
        assert "small" not in rows_of(window)[0]


async def test_a_tiny_screen_says_so_and_still_works():
    backend = Scripted(lines=lines(3))
    async with opened(backend, size=(30, 6)) as (window, pilot):
        await shows(pilot, r"small: \d+ columns")
        await pilot.press(*"hi", "enter", "f1", "escape", "f2")
        await until(pilot, lambda: sent(backend) == ["hi"])
        await pilot.resize_terminal(1, 1)
        await pilot.resize_terminal(100, 30)
        await shows(pilot, "said 3")
        assert "small" not in rows_of(window)[0]


async def test_without_colours_none_reach_the_screen(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    async with opened(Scripted(lines=lines(3))) as (window, pilot):
        await shows(pilot, "said 3")
        assert not colours_of(window)
        await pilot.press("f1")
        await shows(pilot, "help")
        assert not colours_of(window)


def colours_of(window):
    """Colours as a terminal would be told of them, the default ones aside."""
    strips = [
        strip.apply_filter(one, window.background_colors[1])
        for strip in window.screen._compositor.render_strips()
        for one in window._filters
        if one.enabled
    ]
    found = {
        colour
        for strip in strips
        for segment in strip
        if segment.style
        for colour in (segment.style.color, segment.style.bgcolor)
    }
    return {colour for colour in found if colour is not None and not colour.is_default}


async def test_light_and_dark(monkeypatch):
    monkeypatch.setenv("CHATON_THEME", "light")
    async with opened(Scripted(lines=lines(3))) as (window, pilot):
        await shows(pilot, "said 3")
        assert window.theme == "chaton-light"
        await pilot.press("ctrl+t")
        await until(pilot, lambda: window.look.text.color.name == "#d6d9df")
        assert window.theme == "chaton-dark"


async def test_hostile_names_and_topics_are_one_row_each():
    backend = Scripted(rooms=[facts(name="[bold]lob⏎by[/]", topic="two\nrows [red]x")], members=[member("[b]ben", BEN)])
    async with opened(backend) as (_, pilot):
        await pilot.press("f2")
        await shows(pilot, r"\[bold\]lob⏎by\[/\]  two rows \[red\]x", r"\[b\]ben", r"message \[bold\]lob⏎by\[/\], or /")
        await pilot.press("ctrl+r")
        await shows(pilot, r"─ search \[bold\]lob⏎by\[/\] ─")


@pytest.mark.parametrize("nick", ["[b]ben[/]", "[/]", "[@click=q]ben", "[bold", "\\[x"])
async def test_markup_in_a_nick_is_read_as_its_letters_everywhere(nick):
    one = member(nick, BEN, invited_by=nick)
    backend = Scripted(
        members=[one], lines={ROOM: [line(1, nick, sender=nick)]}, answers={Whois: MemberList(room=ROOM, members=[one])}
    )
    async with opened(backend) as (window, pilot):
        await shows(pilot, re.escape(f"{nick} │ {nick}"))
        await type_in(pilot, "/kick bbbbbbbb [b]why[/]")
        await pilot.press("enter")
        await shows(pilot, re.escape(f"{nick} is bbbb"), r"reason: \[b\]why\[/\]", "y does it")
        await pilot.press("n")
        await until(pilot, lambda: not isinstance(window.screen, Question))
        await type_in(pilot, "/whois bbbbbbbb")
        await pilot.press("enter")
        await shows(pilot, re.escape(f"─ {nick} ─"), re.escape(f"invited by {nick}"))


# --- the end ---


async def test_ctrl_q_quits_and_keeps_the_draft():
    backend = Scripted()
    async with opened(backend) as (window, pilot):
        await pilot.press(*"half", "ctrl+q")
        await until(pilot, lambda: window._exit)
        assert backend.requests(Draft)[-1].text == "half"
        assert window.return_value == 0


async def test_ctrl_d_quits_where_nothing_is_typed():
    async with opened(Scripted()) as (window, pilot):
        await pilot.press("a", "ctrl+d")
        assert not window._exit
        await pilot.press("ctrl+u", "ctrl+d")
        await until(pilot, lambda: window._exit)


async def test_ctrl_c_clears_and_twice_quits():
    async with opened(Scripted()) as (window, pilot):
        await pilot.press(*"text", "ctrl+c")
        assert typed(window) == ""
        await pilot.press("ctrl+c")
        await shows(pilot, r"Ctrl\+C again, or Ctrl\+Q, quits; you stay a member")
        assert not window._exit
        await pilot.press("ctrl+c")
        await until(pilot, lambda: window._exit)


async def test_slash_quit():
    async with opened(Scripted()) as (window, pilot):
        await type_in(pilot, "/quit")
        await pilot.press("enter")
        await until(pilot, lambda: window._exit)


# --- without a room ---


async def test_without_a_room_the_next_step_is_said():
    backend = Scripted(rooms=[])
    async with opened(backend, "") as (window, pilot):
        await shows(pilot, "Welcome to Chaton", "Paste an invite link", "no room yet")
        await pilot.press(*"hello", "enter")
        await shows(pilot, "you are in no room yet; paste an invite link")
        await pilot.press("escape")
        await type_in(pilot, "/quit")
        await pilot.press("enter")
        await until(pilot, lambda: window._exit)


async def test_a_link_and_a_nick_join():
    from chaton.client.requests import Join

    backend = Scripted(rooms=[], answers={Join: facts()})
    async with opened(backend, "") as (window, pilot):
        await shows(pilot, "Welcome")
        backend.rooms = [facts()]
        await paste(window, pilot, "chaton:abc")
        await type_in(pilot, " ada")
        await pilot.press("enter")
        await shows(pilot, "1›lobby", "● connected")
        assert [(one.link, one.nick) for one in backend.requests(Join)] == [("chaton:abc", "ada")]


async def test_a_direct_message_goes_to_one_alone():
    from chaton.client.replies import SentFacts

    backend = Scripted(answers={Send: SentFacts(room=OTHER, seq=1, id="e" * 64)})
    async with opened(backend) as (_, pilot):
        await type_in(pilot, "/msg ben psst")
        await pilot.press("enter")
        await shows(pilot, "sent to ben alone")
        assert [(one.to, one.text) for one in backend.requests(Send)] == [("ben", "psst")]


async def test_topic_without_a_text_tells_it():
    backend = Scripted(answers={Open: facts(topic="the plan")})
    async with opened(backend) as (_, pilot):
        await type_in(pilot, "/topic")
        await pilot.press("enter")
        await shows(pilot, "topic: the plan")


@pytest.mark.parametrize("seed", [5, 6])
async def test_no_size_and_no_key_ends_the_window(seed):
    chance = random.Random(seed)
    backend = Scripted(rooms=[facts(), facts(OTHER, "ops", unread=3)], lines=lines(59))
    keys = ["f1", "f2", "f3", "f4", "escape", "ctrl+up", "ctrl+t", "x", "ctrl+u", "pageup", "ctrl+k", "tab", "alt+2"]
    async with opened(backend) as (_window, pilot):
        for _ in range(60):
            await pilot.press(chance.choice(keys))
            await pilot.resize_terminal(chance.choice([1, 2, 5, 12, 28, 40, 60, 80, 200]), chance.choice([1, 3, 8, 24]))
        await pilot.resize_terminal(100, 30)
        await pilot.press("escape", "escape")
        await shows(pilot, "● connected")


async def test_a_bug_ends_the_window_without_what_was_said(monkeypatch, capsys):
    backend = Scripted(lines={ROOM: [line(1, "a secret word")]})
    with pytest.raises(RuntimeError, match="a bug"):
        await _break(backend, monkeypatch)
    assert "secret" not in "".join(capsys.readouterr())


async def _break(backend, monkeypatch):
    async with opened(backend) as (window, pilot):
        monkeypatch.setattr(window.talk, "draw", _fail)
        window.desk.changed()
        await until(pilot, lambda: window.bug is not None)


def _fail():
    raise RuntimeError("a bug")


async def test_where_the_history_begins_says_so():
    backend = Scripted(lines=lines(500))
    async with opened(backend) as (window, pilot):
        await hides(pilot, "your history begins here")
        await pilot.press("ctrl+home")
        await until(pilot, lambda: window.desk.book.complete)
        await pilot.press("ctrl+home")
        await shows(pilot, "your history begins here; nothing older can be read")
