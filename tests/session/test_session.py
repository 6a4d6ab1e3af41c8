"""Whole sessions against the real hub, in one process: what people see."""

import pytest
from msgspec.structs import replace

from chaton.errors import InvalidLog, Refused, SecurityStop, UsageError
from chaton.identity.ids import RoomId
from chaton.limits import BUNDLE_LIFE_GUEST_MS, BUNDLE_LIFE_MS, BUNDLE_ROTATE_MS, DAY_MS, HOUR_MS, MINUTE_MS
from chaton.room.envelope import Header
from chaton.room.link import Link
from chaton.room.records import Role
from chaton.room.state import direct_room
from chaton.session import acts
from chaton.session.content import Delete, Edit, React, Reply, Text
from chaton.session.memory import RoomEntry
from chaton.session.notices import (
    Ended,
    Joined,
    LinkWanted,
    MemberChanged,
    Redacted,
    Rejected,
    Said,
    Sent,
    Waiting,
    Warned,
)
from chaton.wire import frames
from tests.session.test_refusals import heard, held_back, refuse, tell_late
from tests.session.world import Person, World, invite, joined, make_room, only, say, texts, waiting


def test_two_people_talk(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    assert ben.told(Joined)[0].name == "ops"
    assert [person.nick for person in ben.told(Joined)[0].members] == ["ada", "ben"]
    say(ada, room, "hello")
    say(ben, room, "hi ada", ref=7)
    assert texts(ada) == texts(ben) == ["hello", "hi ada"]
    assert ben.told(Sent)[0].ref == 7
    assert [said.own for said in ben.told(Said)] == [False, True]
    assert not ada.told(Warned)
    assert not ben.told(Warned)


def test_a_late_joiner_reads_what_comes_after(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    say(ada, room, "before")
    cyd = joined(world, ada, room, "cyd")
    say(ada, room, "after")
    say(ben, room, "and this")
    assert texts(cyd) == ["after", "and this"]


def test_a_kick_turns_the_key_and_tells_everybody(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben, cyd = joined(world, ada, room, "ben"), joined(world, ada, room, "cyd")
    say(ada, room, "all three")
    old = ada.session.rooms[room].sender.chain
    ada.ask(ada.session.remove(room, acts.remove(cyd.identity, "spam", ban=False)))
    assert cyd.told(Ended)[0].code == "kicked"
    assert "spam" in cyd.told(Ended)[0].detail
    assert "ada" in cyd.told(Ended)[0].detail
    assert ben.told(MemberChanged)[-1].action == "kicked"
    assert ben.told(MemberChanged)[-1].nick == "cyd"
    say(ada, room, "two of us")
    assert ada.session.rooms[room].sender.chain is not old
    assert texts(ben) == ["all three", "two of us"]
    assert texts(cyd) == ["all three"]


def test_a_ban_holds_against_a_fresh_link(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    ada.ask(ada.session.remove(room, acts.remove(ben.identity, "", ban=True)))
    assert ben.told(Ended)[0].code == "banned"
    with pytest.raises(Refused) as refusal:
        ben.ask(ben.session.join(invite(ada, room), "ben"))
    assert refusal.value.code == "banned"
    ada.ask(ada.session.act(room, acts.unban(ben.identity)))
    ben.ask(ben.session.join(invite(ada, room), "ben"))
    say(ada, room, "welcome back")
    assert texts(ben)[-1] == "welcome back"


def test_a_kick_gives_a_new_link_for_the_uses_left(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    link = invite(ada, room, uses=3)
    ben = world.person("ben")
    ben.ask(ben.session.join(link, "ben"))
    removed = ada.ask(ada.session.remove(room, acts.remove(ben.identity, "", ban=False)))
    assert removed.link is not None
    assert removed.lost.uses_left == 2
    with pytest.raises(Refused) as refusal:
        ben.ask(ben.session.join(link, "ben"))
    assert refusal.value.code == "bad-invite"
    ben.ask(ben.session.join(removed.link, "ben"))


def test_a_mods_kick_tells_admins_of_the_lost_link(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    mod, admin = joined(world, ada, room, "mod"), joined(world, ada, room, "admin")
    ada.ask(ada.session.act(room, acts.role(mod.identity, Role.MOD)))
    ada.ask(ada.session.act(room, acts.role(admin.identity, Role.ADMIN)))
    link = invite(ada, room, uses=3)
    ben = world.person("ben")
    ben.ask(ben.session.join(link, "ben"))
    removed = mod.ask(mod.session.remove(room, acts.remove(ben.identity, "", ban=False)))
    assert removed.link is None
    assert removed.lost.uses_left == 2
    assert [[wanted.uses for wanted in one.told(LinkWanted)] for one in (ada, admin, mod)] == [[2], [2], []]


def test_an_admins_kick_asks_no_other_admin_for_a_link(world: World, ada: Person, room: RoomId) -> None:
    admin = joined(world, ada, room, "admin")
    ada.ask(ada.session.act(room, acts.role(admin.identity, Role.ADMIN)))
    ben = joined(world, ada, room, "ben", uses=3)
    removed = admin.ask(admin.session.remove(room, acts.remove(ben.identity, "", ban=False)))
    assert removed.link is not None
    assert [one.told(LinkWanted) for one in (ada, admin)] == [[], []]


def test_mute_roles_and_rights(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    with pytest.raises(Refused) as refusal:
        ben.ask(ben.session.act(room, acts.mute(ada.identity, muted=True)))
    assert refusal.value.code == "not-allowed"
    ada.ask(ada.session.act(room, acts.mute(ben.identity, muted=True)))
    say(ben, room, "mmf", ref=3)
    assert ben.told(Rejected)[0].code == "muted"
    assert ben.told(Rejected)[0].ref == 3
    ada.ask(ada.session.act(room, acts.mute(ben.identity, muted=False)))
    say(ben, room, "free")
    assert texts(ada) == ["free"]
    assert not ada.told(Warned)


def test_approval(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada, approve=True)
    link = invite(ada, room)
    ben = world.person("ben")
    ticket = ben.session.begin(ben.session.join(link, "ben"))
    world.settle()
    assert ben.told(Waiting)
    assert ticket not in ben.answers
    say(ada, room, "not for ben")
    ada.ask(ada.session.act(room, acts.admit(ben.identity)))
    assert ben.answers[ticket] == room
    say(ada, room, "for ben")
    assert texts(ben) == ["for ben"]
    say(ben, room, "thanks")
    assert texts(ada)[-1] == "thanks"


def test_a_pending_one_restarts_and_is_admitted(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada, approve=True)
    link = invite(ada, room)
    ben = world.person("ben")
    ben.session.begin(ben.session.join(link, "ben"))
    world.settle()
    ben.disconnect()
    ada.ask(ada.session.act(room, acts.admit(ben.identity)))
    ben.start()
    ben.connect()
    world.settle()
    say(ada, room, "for ben")
    assert texts(ben) == ["for ben"]


def test_what_happens_in_a_room_is_not_the_end_for_one_who_waits(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada, approve=True)
    ben = waiting(world, ada, room, "ben")
    ada.ask(ada.session.act(room, acts.info(None, "ben waits")))
    ben.restart()
    world.settle()
    assert not ben.told(Ended)
    ada.ask(ada.session.act(room, acts.admit(ben.identity)))
    say(ada, room, "for ben")
    assert texts(ben) == ["for ben"]


@pytest.mark.parametrize("online", [True, False])
def test_one_who_waits_is_told_to_be_turned_down(world: World, online: bool) -> None:
    ada = world.person("ada")
    room = make_room(ada, approve=True)
    ben = waiting(world, ada, room, "ben")
    if not online:
        ben.disconnect()
    ada.ask(ada.session.remove(room, acts.remove(ben.identity, "no room", ban=False)))
    if not online:
        ben.restart()
        world.settle()
    (ended,) = ben.told(Ended)
    assert (ended.code, ended.detail) == ("kicked", f"ada ({ada.identity.short}) removed you: no room")


def test_the_join_of_one_who_is_turned_down_fails_and_says_why(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada, approve=True)
    ben = world.person("ben")
    joining = ben.session.begin(ben.session.join(invite(ada, room), "ben"))
    world.settle()
    turning_down = ada.session.begin(ada.session.remove(room, acts.remove(ben.identity, "no room", ban=False)))
    only(ada, lambda: turning_down in ada.answers)
    only(ben, lambda: joining in ben.answers)
    with pytest.raises(Refused, match="no room"):
        ben.ask(ben.session.in_step(room))


def test_direct_messages(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben, cyd = joined(world, ada, room, "ben"), joined(world, ada, room, "cyd")
    direct = ada.ask(ada.session.direct(ben.identity))
    teller = ada.session.room(direct).teller
    assert (teller.name, teller.topic) == ("", "")
    say(ada, direct, "psst")
    assert texts(ben) == ["psst"]
    assert ben.told(Said)[0].to == "ben"
    say(ben, direct, "what?")
    assert texts(ada) == ["psst", "what?"]
    assert texts(cyd) == []


def test_offline_reader_gets_everything(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    ben.disconnect()
    for number in range(250):
        say(ada, room, f"message {number}")
        world.clock.now += 100
    ben.restart()
    world.settle()
    assert texts(ben) == [f"message {number}" for number in range(250)]
    assert not ben.told(Warned)


def test_what_was_typed_offline_is_sent_once(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    ben.disconnect()
    ben.session.say(room, Text("typed offline"), 5)
    ben.carry_out()
    ben.restart()
    world.settle()
    assert texts(ada) == ["typed offline"]
    ben.restart()
    world.settle()
    assert texts(ada) == ["typed offline"]


def test_sealed_bytes_are_sent_again_as_they_are(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    say(ben, room, "first")
    hear = world.relay.hear
    world.relay.hear = lambda number, raw: None  # the connection swallows everything
    ben.session.say(room, Text("second"), 2)
    ben.carry_out()
    world.relay.hear = hear
    sealed = ben.session.rooms[room].outbox[0].envelope
    assert sealed
    ben.restart()
    world.settle()
    assert texts(ada) == ["first", "second"]
    assert sum(sealed in raw for raw in world.relay.heard) == 1
    say(ben, room, "third")
    assert texts(ada) == ["first", "second", "third"]
    assert not ada.told(Warned)


def test_answer_lost_after_acceptance_is_no_second_message(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    ben.session.say(room, Text("hello"), 2)
    while ben.session.rooms[room].outbox[0].envelope == b"":
        ben.carry_out()
        ben.listen()
    ben.carry_out()
    world.relay.outgoing[ben.connection].clear()
    ben.restart()
    world.settle()
    assert texts(ada) == ["hello"]
    assert len(ben.told(Sent)) == 1


def test_epoch_moves_under_an_offline_sender(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben, cyd = joined(world, ada, room, "ben"), joined(world, ada, room, "cyd")
    say(ben, room, "one")
    hear = world.relay.hear
    world.relay.hear = lambda number, raw: None
    ben.session.say(room, Text("two"), 2)
    ben.carry_out()
    world.relay.hear = hear
    ben.disconnect()
    ada.ask(ada.session.remove(room, acts.remove(cyd.identity, "", ban=False)))
    ben.start()
    ben.connect()
    world.settle()
    assert texts(ada) == ["one", "two"]
    assert texts(cyd) == ["one"]
    assert not ada.told(Warned)


def test_a_sender_waits_for_the_removal_that_the_relay_knows_already(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben, cyd = joined(world, ada, room, "ben"), joined(world, ada, room, "cyd")
    say(ben, room, "one")
    late = held_back(world, frames.Event, ben)
    ada.ask(ada.session.remove(room, acts.remove(cyd.identity, "", ban=False)))
    say(ben, room, "two")
    assert texts(ada) == ["one"]
    assert ben.session.rooms[room].outbox[0].attempts == 1
    tell_late(world, ben, *late)
    assert texts(ada) == ["one", "two"]
    assert not ada.told(Warned)


@pytest.mark.parametrize("code", ["kicked", "closed"])
def test_what_waits_when_the_room_is_over_is_handed_back(world: World, code: str) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    ben.disconnect()
    ben.session.say(room, Text("never sent"), 4)
    ben.carry_out()
    over = acts.close(None) if code == "closed" else acts.remove(ben.identity, "", ban=False)
    ada.ask(ada.session.act(room, over))
    ben.restart()
    world.settle()
    rejected = ben.told(Rejected)[0]
    assert (rejected.code, rejected.ref, rejected.text) == (code, 4, "never sent")
    assert not ben.session.rooms[room].outbox


def test_a_new_chain_after_an_hour_and_after_100_messages(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    say(ada, room, "one")
    first = ada.session.rooms[room].sender.chain
    world.pass_time(HOUR_MS)
    say(ada, room, "two")
    assert ada.session.rooms[room].sender.chain is not first
    for number in range(120):
        say(ada, room, str(number))
        world.clock.now += 100
    assert len(texts(ben)) == 122
    assert not ben.told(Warned)
    assert max(Header.decode(sent.envelope).index for sent in heard(world, frames.Send)) == 99


def test_lines_are_edited_deleted_reacted_to_and_redacted(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    say(ben, room, "helo")
    message = ada.told(Said)[0].id
    for content in (Edit(message, "hello"), Reply(message, "to myself"), Text("rude")):
        ben.session.say(room, content, 1)
        world.settle()
    ada.session.say(room, React(message, True, "👍"), 1)
    world.settle()
    assert [(said.kind, str(said.text)) for said in ada.told(Said)] == [
        ("text", "helo"), ("edit", "hello"), ("reply", "to myself"), ("text", "rude"), ("react", "👍"),
    ]  # fmt: skip
    rude = ada.told(Said)[3].id
    ada.ask(ada.session.act(room, acts.redact(rude)))
    assert ben.told(Redacted)[0].message == rude
    ben.session.say(room, Delete(message), 1)
    world.settle()
    lines = ada.session.rooms[room].timeline.backlog()
    assert [(line.kind, str(line.text)) for line in lines] == [("deleted", ""), ("reply", "to myself")]


def test_two_admins_act_at_once(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben, cyd = joined(world, ada, room, "ben"), joined(world, ada, room, "cyd")
    ada.ask(ada.session.act(room, acts.role(ben.identity, Role.ADMIN)))
    one = ada.session.begin(ada.session.act(room, acts.mute(cyd.identity, muted=True)))
    other = ben.session.begin(ben.session.act(room, acts.info("war room", None)))
    ada.carry_out()
    ben.carry_out()
    world.settle()
    assert ada.answers[one].n != ben.answers[other].n
    assert ada.session.rooms[room].view.state.head == cyd.session.rooms[room].view.state.head
    again = [p.session.begin(p.session.remove(room, acts.remove(cyd.identity, "", ban=False))) for p in (ada, ben)]
    ada.carry_out()
    ben.carry_out()
    world.settle()
    outcomes = [ada.answers[again[0]], ben.answers[again[1]]]
    assert sum(isinstance(outcome, Refused) for outcome in outcomes) == 1


def test_everything_survives_a_restart(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    say(ada, room, "one")
    say(ben, room, "two")
    for person in (ada, ben):
        person.restart()
    world.settle()
    say(ada, room, "three")
    say(ben, room, "four")
    for person in (ada, ben):
        lines = person.session.rooms[room].timeline.backlog()
        assert [str(line.text) for line in lines] == ["one", "two", "three", "four"]
        assert not person.told(Warned)
    assert ada.session.rooms[room].view.history.last == ben.session.rooms[room].view.history.last


def test_a_removed_member_learns_it_when_it_comes_back(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    ben.disconnect()
    ada.ask(ada.session.remove(room, acts.remove(ben.identity, "asleep", ban=False)))
    ben.restart()
    world.settle()
    assert ben.told(Ended)[0].code == "kicked"
    assert "asleep" in ben.told(Ended)[0].detail
    with pytest.raises(Refused):
        ben.session.say(room, Text("hello?"), 1)


@pytest.mark.parametrize("nick", ["ada", "Ada", "аԁа", "ADA"])
def test_a_nick_that_is_taken_or_looks_like_one_is_refused(world: World, nick: str) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = world.person("ben")
    link = invite(ada, room)
    with pytest.raises(Refused) as refusal:
        ben.ask(ben.session.join(link, nick))
    assert refusal.value.code == "nick-taken"
    ben.ask(ben.session.join(link, "ben"))
    ben.ask(ben.session.act(room, acts.nick("benny")))
    changed = ada.told(MemberChanged)[-1]
    assert (changed.nick, changed.detail) == ("ben", "benny")


@pytest.mark.parametrize("nick", ["", "  ", "a\x1bb", "a\u200bb", "a\u202eb", "x" * 33, "аda"])
def test_a_nick_that_cannot_be_one_is_refused(world: World, nick: str) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = world.person("ben")
    with pytest.raises(UsageError):
        ben.ask(ben.session.join(invite(ada, room), nick))


@pytest.mark.parametrize("uses", [1, 2])
def test_a_join_whose_answer_was_lost_is_taken_up_again(world: World, uses: int) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    link = invite(ada, room, uses=uses)
    ben = world.person("ben")
    ben.session.begin(ben.session.join(link, "ben"))
    only(ben, lambda: ben.identity in world.relay.hub.memory.rooms[room].state.members)
    ben.disconnect()
    ben.start()
    ben.connect()
    world.settle()
    ben.ask(ben.session.join(link, "ben"))
    say(ada, room, "hello ben")
    assert texts(ben) == ["hello ben"]
    assert ada.session.rooms[room].view.state.n == ben.session.rooms[room].view.state.n


def test_one_who_waits_and_does_not_know_it_takes_up_the_wait_by_the_link_that_is_used_up(world: World) -> None:
    ada, ben = world.person("ada"), world.person("ben")
    room = make_room(ada, approve=True)
    link = invite(ada, room)
    ben.session.begin(ben.session.join(link, "ben"))
    only(ben, lambda: ben.identity in world.relay.hub.memory.rooms[room].state.pending)
    ben.restart()
    world.settle()
    ticket = ben.session.begin(ben.session.join(link, "ben"))
    world.settle()
    assert len(ben.told(Waiting)) == 1
    ada.ask(ada.session.act(room, acts.admit(ben.identity)))
    assert ben.answers[ticket] == room


def test_rejoining_keeps_what_was_read_before(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    say(ada, room, "one")
    ada.ask(ada.session.remove(room, acts.remove(ben.identity, "", ban=False)))
    say(ada, room, "without ben")
    ben.ask(ben.session.join(invite(ada, room), "ben"))
    say(ada, room, "two")
    ben.restart()
    world.settle()
    say(ben, room, "three")
    for person, expected in ((ben, ["one", "two", "three"]), (ada, ["one", "without ben", "two", "three"])):
        assert [str(line.text) for line in person.session.rooms[room].timeline.backlog()] == expected
        assert not person.told(Warned)


@pytest.mark.parametrize("nonsense", [frames.Pong(0), frames.RecordsPage(0, 0, [])], ids=["a pong", "a log"])
def test_a_relay_that_answers_nonsense_is_left(
    world: World, ada: Person, room: RoomId, nonsense: frames.AnyRelayFrame
) -> None:
    hear = world.relay.hear
    world.relay.hear = lambda number, raw: None
    ada.session.say(room, Text("hello"), 1)
    ada.carry_out()
    asked = next(iter(ada.session.context.desk._asked))
    world.relay.tell(ada.connection, replace(nonsense, ref=asked))
    world.settle()
    world.relay.hear = hear
    assert isinstance(ada.hung_up, SecurityStop)


def test_a_link_into_another_log_is_refused(world: World) -> None:
    ada = world.person("ada")
    room, other = make_room(ada), make_room(ada)
    link, wrong = invite(ada, room), invite(ada, other)
    forged = Link(link.address, link.room, link.n, wrong.head, link.seed, link.rik)
    ben = world.person("ben")
    with pytest.raises(InvalidLog):
        ben.ask(ben.session.join(forged, "ben"))
    wrong_key = Link(link.address, link.room, link.n, link.head, link.seed, wrong.rik)
    with pytest.raises(InvalidLog):
        ben.ask(ben.session.join(wrong_key, "ben"))


def test_a_bot_posts_and_never_reads(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    bot = joined(world, ada, room, "bot", flags=2)
    say(bot, room, "disk 91%")
    say(ada, room, "thanks, bot")
    assert texts(ada) == ["disk 91%", "thanks, bot"]
    assert texts(bot) == ["disk 91%"]
    assert not bot.told(Warned)


def test_a_bot_goes_on_after_a_restart(world: World, ada: Person, ben: Person, room: RoomId) -> None:
    bot = joined(world, ada, room, "bot", flags=2)
    for person, text in ((bot, "disk 91%"), (ada, "thanks, bot"), (bot, "disk 92%")):
        say(person, room, text)
    bot.restart()
    world.settle()
    say(bot, room, "disk 93%")
    assert texts(ben) == ["disk 91%", "thanks, bot", "disk 92%", "disk 93%"]
    assert not ben.told(Warned)


def test_an_expired_invite_is_taken_back_by_an_admin(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    invite(ada, room)
    world.pass_time(DAY_MS + MINUTE_MS)
    assert not ada.session.rooms[room].view.state.invites


@pytest.mark.parametrize(("role", "taken_back"), [(Role.MOD, False), (Role.ADMIN, True)])
def test_an_expired_invite_is_taken_back_by_any_admin_and_nobody_else(
    ada: Person, ben: Person, room: RoomId, role: Role, taken_back: bool
) -> None:
    ada.ask(ada.session.act(room, acts.role(ben.identity, role)))
    invite(ada, room)
    ada.disconnect()
    ada.world.pass_time(DAY_MS + MINUTE_MS)
    assert (not ben.session.room(room).view.state.invites) is taken_back


def test_a_lost_key_is_asked_for_again(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    world.relay.twist = lambda number, frame: [] if isinstance(frame, frames.Parcel) else [frame]
    say(ada, room, "whose key is lost")
    assert texts(ben) == []
    assert [warning.code for warning in ben.told(Warned)] == ["waiting"]
    world.relay.twist = lambda _, frame: [frame]
    ben.restart()
    world.settle()
    assert texts(ben) == ["whose key is lost"]


def test_keys_are_asked_for_again_after_a_minute(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    taken: list[int] = []

    def twist(number: int, frame: frames.AnyRelayFrame) -> list[frames.AnyRelayFrame]:
        if isinstance(frame, frames.Parcel):
            taken.append(frame.token)
            return []
        return [frame]

    world.relay.twist = twist
    say(ada, room, "held")
    world.relay.store._parcels.clear()
    world.relay.twist = lambda _, frame: [frame]
    world.pass_time(2 * MINUTE_MS)
    world.pass_time(2 * MINUTE_MS)
    say(ada, room, "next")
    assert "next" in texts(ben)
    assert taken


def test_an_admin_lets_a_quiet_room_hear_from_it_once_a_day(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    before = ada.session.rooms[room].view.history.s
    world.pass_time(DAY_MS + MINUTE_MS)
    world.pass_time(MINUTE_MS)
    assert ada.session.rooms[room].view.history.s == before + 1
    assert texts(ben) == texts(ada) == []
    assert [sent.ref for sent in ada.told(Sent)] == [0], "no request of a person waits for it"


def test_what_a_quiet_room_is_to_hear_is_said_once_however_long_it_waits(
    world: World, ada: Person, room: RoomId
) -> None:
    refuse(world, frames.Send, ("limited", MINUTE_MS, ()))
    world.pass_time(DAY_MS + MINUTE_MS)
    for _ in range(3):
        world.pass_time(MINUTE_MS // 2)
    assert [sent.ref for sent in ada.told(Sent)] == [0]


def test_a_room_is_not_quiet_where_its_admin_has_spoken_within_a_day(world: World, ada: Person, room: RoomId) -> None:
    for _ in range(2):
        say(ada, room, "still here")
        before = ada.session.room(room).view.history.s
        world.pass_time(DAY_MS - HOUR_MS)
    assert ada.session.room(room).view.history.s == before


def test_a_clone_is_noticed(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    copy = Person(world, "copy", ada.seed)
    copy.disk = dict(ada.disk)
    copy.start()
    world.people.append(copy)
    ada.disconnect()
    world.clock.now += 2 * HOUR_MS
    copy.connect()
    world.settle()
    copy.disconnect()
    world.clock.now += MINUTE_MS
    ada.connect()
    world.settle()
    assert [warning.code for warning in ada.told(Warned)] == ["clone"]
    assert room in copy.session.rooms


def test_the_log_of_a_room_reads_the_same_to_all(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    ada.ask(ada.session.act(room, acts.role(ben.identity, Role.MOD)))
    views = [person.session.rooms[room] for person in (ada, ben)]
    lines = [[view.teller.log_line(record) for record in view.view.records] for view in views]
    assert lines[0] == lines[1]
    assert lines[0][-1] == "role ben mod"


def test_who_makes_a_room_is_told_to_be_in_it(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    (told,) = ada.told(Joined)
    assert (told.room, told.name, [person.nick for person in told.members]) == (room, "ops", ["ada"])


def test_who_is_admitted_is_told_what_led_to_it_first(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada, approve=True)
    ben = waiting(world, ada, room, "ben")
    ada.ask(ada.session.act(room, acts.admit(ben.identity)))
    told = [type(notice) for notice in ben.notices if isinstance(notice, MemberChanged | Joined)]
    assert told == [MemberChanged, Joined]


def test_only_who_is_a_guest_everywhere_has_keys_that_live_a_day(world: World) -> None:
    ada = world.person("ada")
    room, other = make_room(ada), make_room(ada)
    guest, ben = joined(world, ada, room, "guest", flags=1), joined(world, ada, room, "ben", flags=1)
    ben.ask(ben.session.join(invite(ada, other), "ben"))
    nobody = world.person("nobody")
    world.pass_time(BUNDLE_ROTATE_MS)
    for person, life in ((guest, BUNDLE_LIFE_GUEST_MS), (ben, BUNDLE_LIFE_MS), (nobody, BUNDLE_LIFE_MS)):
        bundle = person.session.keyring.shown.bundle
        assert (bundle.counter, bundle.expires - bundle.counter) == (world.clock.now, life)


def test_who_joins_after_a_while_can_be_written_to(world: World) -> None:
    """The relay forgets the keys of those without a room; they are shown to it again before the JOIN."""
    ada = world.person("ada")
    room, ben = make_room(ada), world.person("ben")
    world.pass_time(11 * MINUTE_MS)
    world.relay.hub.expire(world.clock.now)
    ben.ask(ben.session.join(invite(ada, room), "ben"))
    say(ada, room, "hello")
    assert texts(ben) == ["hello"]
    assert not ada.told(Warned)


def test_who_joins_before_the_relay_is_reached_joins_when_it_is(world: World, ada: Person, room: RoomId) -> None:
    link, ben = invite(ada, room), world.person("ben", connect=False)
    ticket = ben.session.begin(ben.session.join(link, "ben"))
    world.settle()
    ben.connect()
    world.settle()
    assert ben.answers == {ticket: room}


def test_each_thing_that_a_person_settles_is_kept_by_itself(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben").identity
    ada.disconnect()
    for settle, settled in (
        (lambda: ada.session.mark_read(room, 7), lambda: ada.session.room(room).entry.read_s == 7),
        (lambda: ada.session.keep_draft(room, "half"), lambda: ada.session.room(room).entry.draft == "half"),
        (lambda: ada.session.compared(ben), lambda: ada.session.peers.entry(ben).compared),
        (lambda: ada.session.ignore(ben, ignored=True), lambda: ada.session.peers.ignored(ben)),
    ):
        assert not settled()
        settle()
        ada.carry_out()
        ada.start()
        assert settled()


def test_who_is_out_of_one_room_keeps_up_the_others(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    own = make_room(ben)
    invite(ben, own)
    ada.ask(ada.session.remove(room, acts.remove(ben.identity, "", ban=False)))
    world.pass_time(DAY_MS + MINUTE_MS)
    assert not ben.session.room(own).view.state.invites


def test_nothing_is_asked_about_a_room_that_one_was_put_out_of(
    world: World, ada: Person, ben: Person, room: RoomId
) -> None:
    ada.ask(ada.session.remove(room, acts.remove(ben.identity, "", ban=False)))
    world.relay.heard.clear()
    ben.restart()
    world.settle()
    assert ben.session.arrival.settled
    assert not heard(world, frames.Log)


def test_who_waits_for_a_room_that_is_over_is_told(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    ben.disconnect()
    ticket = ben.session.begin(ben.session.in_step(room))
    ada.ask(ada.session.remove(room, acts.remove(ben.identity, "", ban=False)))
    ben.connect()
    world.settle()
    assert ben.answers[ticket].code == "not-member"
    assert "removed you" in str(ben.answers[ticket])


def test_a_direct_room_is_ready_when_it_is_told(world: World) -> None:
    ada = world.person("ada")
    ben = joined(world, ada, make_room(ada), "ben")
    ticket = ada.session.begin(ada.session.direct(ben.identity))
    only(ada, lambda: ticket in ada.answers)
    assert ada.session.room(ada.answers[ticket]).caught_up


def test_a_direct_room_with_somebody_met_where_one_is_out_is_passed_over(
    world: World, ada: Person, ben: Person, room: RoomId
) -> None:
    ada.ask(ada.session.remove(room, acts.remove(ben.identity, "", ban=False)))
    direct = direct_room(ada.identity, ben.identity)
    world.relay.tell(ben.connection, frames.DirectRoom(direct, ada.identity, 0))
    world.settle()
    assert direct not in ben.session.rooms


def test_who_is_known_by_a_direct_room_alone_has_no_name(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben").identity
    direct = ada.ask(ada.session.direct(ben))
    ada.disk = {place: raw for place, raw in ada.disk.items() if place != (RoomEntry, bytes(room))}
    ada.restart()
    assert direct in ada.session.rooms
    assert room not in ada.session.rooms
    assert ada.session.known_as(ben) == f"~{ben.short}"


def test_after_a_restart_a_room_is_in_step_once_its_events_are_here(world: World) -> None:
    ada = world.person("ada")
    room = make_room(ada)
    ben = joined(world, ada, room, "ben")
    ben.disconnect()
    say(ada, room, "meanwhile")
    ben.start()
    ben.answers.clear()
    ticket = ben.session.begin(ben.session.in_step(room))
    ben.carry_out()
    assert ticket not in ben.answers
    ben.connect()
    world.settle()
    assert ben.answers[ticket] is ben.session.room(room)
    assert texts(ben) == ["meanwhile"]
