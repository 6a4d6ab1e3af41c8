"""What a room shows: who may hide what, what a line names, and what is told of it."""

import pytest

from chaton.errors import Refused
from chaton.identity.ids import Identity, Instance, MessageId, RoomId
from chaton.room.records import Role
from chaton.session import acts
from chaton.session.content import Content, Delete, Edit, React, Reply, Text
from chaton.session.notices import Redacted, Said
from chaton.session.thread import Post, Result, Thread
from chaton.wire import frames
from tests.session.test_inbox import again, backlog
from tests.session.test_refusals import held_back, refuse, tell_late
from tests.session.world import Person, World, invite, joined, say, texts

LINE = MessageId(b"m" * 32)


# --- what is hidden ---


@pytest.mark.parametrize(("rank", "hides"), [(Role.MEMBER, True), (Role.MOD, False), (Role.ADMIN, False)])
def test_a_mod_hides_what_one_of_a_lower_rank_has_said_and_nothing_else(
    ada: Person, room: RoomId, rank: Role, hides: bool
) -> None:
    mod, cyd = (joined(ada.world, ada, room, name) for name in ("mod", "cyd"))
    ada.ask(ada.session.act(room, acts.role(mod.identity, Role.MOD)))
    if rank > Role.MEMBER:
        ada.ask(ada.session.act(room, acts.role(cyd.identity, rank)))
    say(cyd, room, "mine")
    mod.ask(mod.session.act(room, acts.redact(mod.told(Said)[0].id)))
    for person in (ada, mod, cyd):
        assert len(person.told(Redacted)) == hides
        again(person)
        assert backlog(person, room) == ([] if hides else ["mine"])


def test_what_an_admin_has_said_may_be_hidden_by_a_mod_once_they_are_out(ada: Person, room: RoomId) -> None:
    mod, cyd = (joined(ada.world, ada, room, name) for name in ("mod", "cyd"))
    ada.ask(ada.session.act(room, acts.role(mod.identity, Role.MOD)))
    ada.ask(ada.session.act(room, acts.role(cyd.identity, Role.ADMIN)))
    say(cyd, room, "mine")
    cyd.ask(cyd.session.act(room, acts.leave()))
    mod.ask(mod.session.act(room, acts.redact(mod.told(Said)[0].id)))
    for person in (ada, mod):
        assert len(person.told(Redacted)) == 1
        again(person)
        assert backlog(person, room) == []


def test_who_has_come_back_hides_by_the_rank_that_they_have_now(ada: Person, ben: Person, room: RoomId) -> None:
    ben.ask(ben.session.act(room, acts.leave()))
    ben.ask(ben.session.join(invite(ada, room), "ben"))
    ada.ask(ada.session.act(room, acts.role(ben.identity, Role.MOD)))
    cyd = joined(ada.world, ada, room, "cyd")
    say(cyd, room, "rude")
    ben.ask(ben.session.act(room, acts.redact(ben.told(Said)[-1].id)))
    for person in (ada, ben, cyd):
        assert len(person.told(Redacted)) == 1
        assert backlog(person, room) == []


def test_what_one_has_said_and_hears_of_after_leaving_is_hidden_all_the_same(
    world: World, ada: Person, ben: Person, room: RoomId
) -> None:
    late = held_back(world, frames.Event, ben)
    say(ben, room, "mine")
    ada.ask(ada.session.act(room, acts.redact(ada.told(Said)[0].id)))
    ben.ask(ben.session.act(room, acts.leave()))
    tell_late(world, ben, *late)
    assert len(ben.told(Redacted)) == 1
    for _ in range(2):
        assert ben.session.rooms[room].timeline.backlog() == []
        again(ben)


def test_a_redaction_that_came_before_its_message_hides_nothing_from_one_who_is_out(
    world: World, ada: Person, ben: Person, room: RoomId
) -> None:
    cyd = joined(world, ada, room, "cyd")
    refuse(world, frames.Send, ("limited", 1_000, ()))
    say(ben, room, "here it is")
    (waits,) = ben.session.room(room).outbox
    ada.ask(ada.session.act(room, acts.redact(waits.id)))
    assert not cyd.told(Redacted)
    world.pass_time(1_000)
    assert texts(cyd) == ["here it is"]
    ada.ask(ada.session.remove(room, acts.remove(cyd.identity, "", ban=False)))
    for _ in range(2):
        assert [str(line.text) for line in cyd.session.rooms[room].timeline.backlog()] == ["here it is"]
        again(cyd)


# --- what is told ---


def test_what_acts_on_a_line_or_answers_it_names_it(ada: Person, ben: Person, room: RoomId) -> None:
    say(ada, room, "a line")
    line = ada.told(Said)[0].id
    acting: list[Content] = [Reply(line, "yes"), Edit(line, "the line"), React(line, add=True, emoji="x"), Delete(line)]
    for content in acting:
        ada.session.say(room, content, 1)
        ada.world.settle()
    assert [(said.kind, said.re) for said in ben.told(Said)] == [
        ("text", None), ("reply", line), ("edit", line), ("react", line), ("delete", line),
    ]  # fmt: skip


def test_only_a_reaction_is_ever_taken_back_and_nothing_of_ones_own_is_stale(ada: Person, room: RoomId) -> None:
    say(ada, room, "a line")
    for add in (True, False):
        ada.session.say(room, React(ada.told(Said)[0].id, add=add, emoji="x"), 1)
        ada.world.settle()
    told = [(said.kind, said.added, said.stale) for said in ada.told(Said)]
    assert told == [("text", True, False), ("react", True, False), ("react", False, False)]


@pytest.mark.parametrize("ended", ["deleted", "redacted"])
def test_at_the_place_of_a_line_that_has_ended_stands_how(ada: Person, ben: Person, room: RoomId, ended: str) -> None:
    say(ben, room, "rude")
    message = ben.told(Said)[0].id
    if ended == "deleted":
        ben.session.say(room, Delete(message), 2)
        ben.world.settle()
    else:
        ada.ask(ada.session.act(room, acts.redact(message)))
    timeline = ada.session.room(room).timeline
    said = timeline.said(timeline.messages[message], timeline.thread.lines[message])
    assert (said.kind, said.text) == (ended, "")


@pytest.mark.parametrize("there", [True, False])
def test_what_is_no_file_is_not_fetched(ada: Person, room: RoomId, there: bool) -> None:
    say(ada, room, "just a text")
    message = ada.told(Said)[0].id if there else LINE
    with pytest.raises(Refused) as refusal:
        ada.session.room(room).timeline.file(message)
    assert refusal.value.code == "no-file"


@pytest.mark.parametrize(("late", "result"), [(b"a", Result.ACCEPT), (b"b", Result.IGNORE)])
def test_what_is_opened_late_counts_if_its_author_may_do_it(late: bytes, result: Result) -> None:
    """Whatever becomes of what came behind it, and was opened before."""
    thread, other = Thread(), b"b" if late == b"a" else b"a"

    def post(s: int, who: bytes, content: Content) -> Result:
        return thread.post(Post(s, MessageId(bytes([s]) * 32), Identity(who * 32), Instance(who * 32), content))

    post(1, b"a", Text("first"))
    line = MessageId(bytes([1]) * 32)
    post(3, other, Edit(line, "third"))
    assert post(2, late, Edit(line, "second")) is result
