"""How a room tells what happened in it, and how it names the people it happened to."""

import pytest

from chaton.identity.ids import BlobHash, BlobId, MessageId, RoomId
from chaton.room.names import distinguish
from chaton.room.records import Role
from chaton.session import acts, telling
from chaton.session.content import Action, Delete, Edit, File, React, Reply, Text, Unreadable
from chaton.session.notices import MemberChanged, Warned
from chaton.session.reader import Unopened
from chaton.session.telling import kind_name
from chaton.vault.keys import FileKey
from tests.session.world import Person, World, invite, joined, make_room

MESSAGE = MessageId(b"m" * 32)


def changes(person: Person) -> list[tuple[str, str, str, str, str]]:
    """What a person was told of others: what, of whom, by whom, why, and more."""
    told = [change for change in person.told(MemberChanged) if not change.me]
    return [(one.action, str(one.nick), str(one.by), str(one.reason), str(one.detail)) for one in told]


def test_everything_that_happens_to_a_member_is_told_and_stands_in_the_log(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada, approve=True)
    ben, dan = world.person("ben"), world.person("dan")
    coming = ben.session.begin(ben.session.join(invite(ada, room), "ben"))
    world.settle()
    for act in (
        acts.admit(ben.identity),
        acts.role(ben.identity, Role.MOD),
        acts.role(ben.identity, Role.MEMBER),
        acts.mute(ben.identity, muted=True),
        acts.mute(ben.identity, muted=False),
    ):
        ada.ask(ada.session.act(room, act))
    assert ben.answers[coming] == room
    ben.ask(ben.session.act(room, acts.nick("benny")))
    ada.ask(ada.session.remove(room, acts.remove(ben.identity, "too\nloud", ban=False)))
    ada.ask(ada.session.act(room, acts.ban(dan.identity, "")))
    ada.ask(ada.session.act(room, acts.unban(dan.identity)))
    stranger = f"~{dan.identity.short}"
    assert changes(ada) == [
        ("pending", "ben", "ben", "", "ada"),
        ("admitted", "ben", "ada", "", ""),
        ("role", "ben", "ada", "", "mod"),
        ("role", "ben", "ada", "", "member"),
        ("muted", "ben", "ada", "", ""),
        ("unmuted", "ben", "ada", "", ""),
        ("nick", "ben", "benny", "", "benny"),
        ("kicked", "benny", "ada", "too⏎loud", ""),
        ("banned", stranger, "ada", "", ""),
        ("unbanned", stranger, "ada", "", ""),
    ]
    teller, records = ada.session.room(room).teller, ada.session.room(room).view.records
    assert [teller.log_line(record) for record in records] == [
        "genesis",
        "new nick ada",
        "invite",
        "pending, invited by ada",
        "admitted benny",
        "role benny mod",
        "role benny member",
        "muted benny",
        "unmuted benny",
        "new nick benny",
        "kicked benny (too⏎loud)",
        f"banned {stranger}",
        f"unbanned {stranger}",
    ]


def test_who_comes_by_which_link_and_goes_is_told(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    ada.ask(ada.session.act(room, acts.role(ben.identity, Role.ADMIN)))
    links = [invite(ada, room), invite(ben, room), invite(ada, room)]
    cyd = world.person("cyd")
    cyd.ask(cyd.session.join(links[1], "cyd"))
    cyd.ask(cyd.session.act(room, acts.leave()))
    ada.ask(ada.session.remove(room, acts.remove(ben.identity, "", ban=True)))
    assert changes(ada) == [
        ("joined", "ben", "ben", "", "ada"),
        ("role", "ben", "ada", "", "admin"),
        ("joined", "cyd", "cyd", "", "ben"),
        ("left", "cyd", "cyd", "", ""),
        ("banned", "ben", "ada", "", ""),
    ]
    its = ada.session.room(room)
    assert its.teller.log_line(its.view.records[3]) == "joined, invited by ada"


def test_who_took_another_nick_and_went_is_told_of_under_the_old_one_first(
    world: World, ada: Person, ben: Person, room: RoomId
) -> None:
    ada.disconnect()
    ada.notices.clear()
    ben.ask(ben.session.act(room, acts.nick("benny")))
    ben.ask(ben.session.act(room, acts.leave()))
    ada.connect()
    world.settle()
    assert changes(ada) == [("nick", "ben", "benny", "", "benny"), ("left", "benny", "benny", "", "")]


def test_of_two_of_one_nick_the_one_who_is_in_has_it(world: World) -> None:
    """However early somebody had it who is out by now."""
    ada = world.person("ada")
    room = make_room(ada)
    first = joined(world, ada, room, "ben")
    first.ask(first.session.act(room, acts.leave()))
    teller = ada.session.room(room).teller
    assert teller.called(first.identity) == "ben"
    second = joined(world, ada, room, "ben")
    assert (teller.called(second.identity), teller.called(first.identity)) == ("ben", f"ben~{first.identity.short}")
    assert list(teller.names()) == [ada.identity, second.identity]


def test_names_are_told_apart_once_for_each_record(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    claims: list[int] = []
    monkeypatch.setattr(telling, "distinguish", lambda those: claims.append(1) or distinguish(those))
    teller = ada.session.room(room).teller
    for nick in ("ada", "adele"):
        assert [teller.called(ada.identity) for _ in range(3)] == [nick] * 3
        ada.ask(ada.session.act(room, acts.nick("adele")))
    assert len(claims) <= 3


def test_one_who_waits_has_a_nick_as_one_who_is_in(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada, approve=True)
    gone, waits = world.person("gone"), world.person("waits")
    for person in (gone, waits):
        person.session.begin(person.session.join(invite(ada, room), "ben"))
        world.settle()
        if person is gone:
            ada.ask(ada.session.act(room, acts.admit(gone.identity)))
            gone.ask(gone.session.act(room, acts.leave()))
    teller = ada.session.room(room).teller
    assert teller.called(waits.identity) == "ben"
    assert teller.called(gone.identity) == f"ben~{gone.identity.short}"


def test_who_is_there_is_told_by_rank_and_whether_online(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben, cyd = joined(world, ada, room, "ben"), joined(world, ada, room, "Cyd")
    joined(world, ada, room, "bot", flags=2)
    ada.ask(ada.session.act(room, acts.role(cyd.identity, Role.MOD)))
    ada.ask(ada.session.act(room, acts.mute(ben.identity, muted=True)))
    ben.disconnect()
    world.settle()
    people = ada.session.room(room).teller.people()
    assert [(str(one.nick), one.role, one.online, one.muted, one.bot) for one in people] == [
        ("ada", Role.OWNER, True, False, False),
        ("Cyd", Role.MOD, True, False, False),
        ("ben", Role.MEMBER, False, True, False),
        ("bot", Role.MEMBER, True, False, True),
    ]


def test_a_topic_is_told_apart_from_the_name(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    teller = ada.session.room(room).teller
    assert (teller.name, teller.topic) == ("ops", "a topic")
    ada.ask(ada.session.act(room, acts.info("war room", "two\nlines")))
    assert (teller.name, teller.topic) == ("war room", "two\nlines")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (Text("x"), "text"),
        (Action("x"), "action"),
        (Reply(MESSAGE, "x"), "reply"),
        (Edit(MESSAGE, "x"), "edit"),
        (Delete(MESSAGE), "delete"),
        (React(MESSAGE, add=True, emoji="x"), "react"),
        (File(BlobId(b"b" * 32), FileKey(b"k" * 32), BlobHash(b"h" * 32), 1, "x", ""), "file"),
        (Unreadable(99), "unknown"),
    ],
)
def test_every_kind_has_its_word(content, word: str) -> None:
    assert kind_name(content) == word


@pytest.mark.parametrize(
    ("reason", "why"),
    [
        ("index", "sent before you were given its key"),
        ("chain", "had moved on to newer keys"),
        ("muted", "its sender was muted"),
        ("sender", "its sender was no member"),
        ("closed", "the room was closed"),
        ("signature", "somebody else than the owner of its key"),
        ("future", "names events that you were not shown"),
        ("fork", "holds another history"),
        ("format", "damaged"),
    ],
)
def test_why_a_message_stays_unread_is_told(world: World, reason: str, why: str) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ada.session.room(room).inbox._tell_unopened(Unopened(7, reason), b"")
    ada.carry_out()
    (warning,) = ada.told(Warned)
    assert (warning.code, warning.seq) == ("undecryptable", 7)
    assert why in warning.detail
