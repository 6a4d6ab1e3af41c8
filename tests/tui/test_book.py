"""One room's book: the order of its lines, what is on its way, and what is let go."""

from hypothesis import given
from hypothesis import strategies as st

from chaton.client.replies import LineFacts, UnsentFacts
from chaton.tui.book import KEPT_AFTER_TRIM, KEPT_AT_MOST, Book, Note, Pending
from tests.tui.scripted import BEN, ME, facts, line, member

NOW = 1_800_000_000_000


def seqs(book):
    return [one.seq for one in book.items() if isinstance(one, LineFacts)]


def shown(book):
    return [one.text for one in book.items()]


def filled(*numbers):
    book = Book(facts())
    for number in numbers:
        book.put(line(number, f"said {number}"))
    return book


@given(st.lists(st.integers(1, 500)))
def test_lines_stand_in_order_of_their_events_however_they_come(numbers):
    book = filled(*numbers)
    assert seqs(book) == sorted(set(numbers))
    assert book.first == min(numbers, default=0)
    assert book.last == max(numbers, default=0)


@given(st.lists(st.one_of(st.integers(1, 50), st.just("note")), max_size=40))
def test_a_note_stands_behind_all_that_was_there_when_it_was_made(steps):
    book, came = Book(facts()), []
    for number, step in enumerate(steps):
        if step == "note":
            there = {one.seq for one in book.items() if isinstance(one, LineFacts)}
            book.note(f"note {number}", "info", NOW)
            came.append((f"note {number}", there))
        else:
            book.put(line(step, f"said {step}"))
    items = book.items()
    for text, there in came:
        place = next(index for index, one in enumerate(items) if one.text == text)
        before = {one.seq for one in items[:place] if isinstance(one, LineFacts)}
        after = {one.seq for one in items[place:] if isinstance(one, LineFacts)}
        assert there <= before
        assert all(seq > max(there, default=0) for seq in after)
    assert [text for text, _ in came] == [one.text for one in items if isinstance(one, Note)]


def test_a_line_that_is_another_now_keeps_its_place_and_is_not_new():
    book = filled(1, 2, 3)
    assert book.put(line(2, "changed", edited=True)) is False
    assert shown(book) == ["said 1", "changed", "said 3"]


def test_a_message_that_can_be_read_only_later_takes_its_place_and_is_new():
    book = filled(1, 3)
    assert book.put(line(2, "waiting for ben's key", kind="unread")) is True
    assert book.put(line(2, "waiting for ben's key", kind="unread")) is False
    assert book.put(line(2, "opened")) is True
    assert shown(book) == ["said 1", "opened", "said 3"]


def test_what_is_on_its_way_is_last_and_edits_and_reactions_are_no_lines():
    book = filled(1)
    for ref, kind in enumerate(["text", "edit", "react", "delete", "unreact", "reply"], 10):
        book.hold(Pending(ref, kind, kind, None, NOW))
    assert shown(book) == ["said 1", "text", "reply"]
    book.put(line(2, "later"))
    assert shown(book) == ["said 1", "later", "text", "reply"]


def test_a_refused_edit_is_a_line_until_it_is_given_up():
    book = filled(1)
    book.hold(Pending(5, "edit", "better", "a", NOW, failed="you are muted"))
    assert shown(book) == ["said 1", "better"]
    assert book.last_failed().ref == 5
    assert book.drop(5).text == "better"
    assert book.last_failed() is None
    assert book.drop(5) is None


def test_the_message_that_was_refused_last_is_the_one_to_retry():
    book = Book(facts())
    for ref, failed in ((1, "no"), (2, ""), (3, "no"), (4, "")):
        book.hold(Pending(ref, "text", "t", None, NOW, failed=failed))
    assert book.last_failed().ref == 3


def test_the_outbox_of_before_is_shown_once():
    book = Book(facts())
    book.hold(Pending(7, "text", "said now", None, NOW))
    unsent = [
        UnsentFacts(ref=7, kind="text", text="from the disk", re=None),
        UnsentFacts(ref=3, kind="text", text="old", re=None),
    ]
    book.waits(unsent, NOW)
    assert {one.ref: one.text for one in book.pending.values()} == {7: "said now", 3: "old"}


def test_an_older_page_goes_before_and_a_short_one_is_the_last():
    book = filled(10, 11)
    book.turn_back([line(8, "8"), line(9, "9")], 2)
    assert seqs(book) == [8, 9, 10, 11]
    assert book.complete is False
    book.turn_back([line(7, "7")], 2)
    assert book.complete is True


def test_a_book_with_many_lines_lets_the_oldest_go_and_can_turn_back_to_them():
    book = filled(*range(1, KEPT_AT_MOST + 2))
    book.complete = True
    book.note("behind all", "info", NOW)
    book.trim()
    assert len(book.items()) == KEPT_AFTER_TRIM
    assert shown(book)[-1] == "behind all"
    assert book.first == KEPT_AT_MOST + 1 - (KEPT_AFTER_TRIM - 1) + 1
    assert book.complete is False
    assert book.seq_of(line(1, "").id) is None
    assert book.at(1) is None
    assert book.seq_of(line(book.last, "").id) == book.last


def test_few_lines_are_not_trimmed():
    book = filled(*range(1, KEPT_AT_MOST + 1))
    version = book.version
    book.trim()
    assert (len(book.items()), book.version) == (KEPT_AT_MOST, version)


def test_after_a_trim_in_the_middle_of_notes_no_line_is_lost_to_turning_back():
    """The page before the oldest thing held must hold every line that is not."""
    book = filled(1)
    for number in range(KEPT_AT_MOST + 1):
        book.note(f"note {number}", "info", NOW)
    book.put(line(2, "newest"))
    book.trim()
    assert seqs(book) == [2]
    assert book.first == 2


def test_after_clear_nothing_of_before_is_shown_but_all_of_it_can_be_fetched():
    book = filled(1, 2, 3)
    book.complete = True
    book.clear()
    assert book.items() == []
    assert (book.first, book.complete) == (0, False)
    book.note("a note", "info", NOW)
    book.put(line(4, "four"))
    book.turn_back([line(number, str(number)) for number in (1, 2, 3)], 300)
    assert shown(book) == ["1", "2", "3", "a note", "four"]


def test_clear_keeps_what_is_on_its_way():
    book = filled(1)
    book.hold(Pending(5, "text", "on its way", None, NOW))
    book.clear()
    assert shown(book) == ["on its way"]


def test_the_last_message_is_one_that_somebody_said():
    book = filled(1)
    book.put(line(2, "mine", own=True))
    book.put(line(3, "theirs"))
    book.put(line(4, "ben joined", kind="record"))
    book.put(line(5, "no key", kind="unread"))
    assert book.last_said() == line(3, "").id
    assert book.last_said(own=True) == line(2, "").id
    assert Book(facts()).last_said() == ""


def test_who_spoke_last_is_named_first_and_nobody_who_is_not_there():
    book = Book(
        facts(), members=[member("ada", ME), member("ben", BEN), member("cleo", "c" * 64), member("dan", "d" * 64)]
    )
    book.put(line(1, "x", sender="dan", identity="d" * 64))
    book.put(line(2, "x", sender="cleo", identity="c" * 64))
    book.put(line(3, "x", sender="gone", identity="e" * 64))
    book.put(line(4, "x", own=True))
    assert book.talkers() == ["cleo", "dan", "ben"]


def test_a_reply_finds_what_it_answers_while_that_is_held():
    book = filled(1, 2)
    assert book.quoted(line(1, "").id).text == "said 1"
    assert book.quoted("f" * 64) is None
    assert book.quoted(None) is None
    book.clear()
    assert book.quoted(line(1, "").id) is None


def test_messages_that_are_missing_or_stale_alarm_until_their_line_is_let_go():
    book = Book(facts())
    book.put(line(1, "a", lost=2))
    book.put(line(2, "b", lost=2, pruned=True))
    book.put(line(3, "c", stale=True))
    assert sorted(book.alarming) == [1, 3]
    book.put(line(1, "a"))
    assert sorted(book.alarming) == [3]
    book.clear()
    assert book.alarming == {}


def test_another_person_under_a_nick_is_found_whatever_the_case():
    book = Book(facts())
    book.put(line(1, "x", sender="Ben", identity=BEN))
    assert book.has_other("ben", "c" * 64)
    assert not book.has_other("ben", BEN)
    assert not book.has_other("cleo", "c" * 64)


def test_each_change_of_what_is_shown_has_another_version():
    book, versions = Book(facts()), []
    for change in (
        lambda: book.put(line(1, "a")),
        lambda: book.note("n", "info", NOW),
        lambda: book.hold(Pending(1, "text", "t", None, NOW)),
        lambda: book.drop(1),
        lambda: book.waits([], NOW),
        book.clear,
    ):
        change()
        versions.append(book.version)
    assert len(set(versions)) == len(versions)


def test_a_book_begins_with_what_is_new_and_looking_ends_that():
    book = Book(facts(unread=4, mentions=1, read=9))
    assert (book.unread, book.mentions, book.marker) == (4, 1, 9)
    book.seen()
    assert (book.unread, book.mentions) == (0, 0)
