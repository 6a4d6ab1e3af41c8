"""Rooms over real sockets: several clients, one relay, everything on disk."""

import asyncio

import pytest

from chaton.client import requests as ask
from chaton.errors import Refused, UsageError
from chaton.identity.ids import RoomId
from chaton.limits import MEMBERS_MAX
from chaton.room.records import Role
from chaton.session.notices import Ended, Joined, MemberChanged, Said, Waiting
from tests.client.conftest import heard, said


async def room_of_two(house, town, **options):
    ann, bob = await town.person("ann"), await town.person("bob")
    annes = await ann.create(house.address, "garden", nick="Ann", **options)
    bobs = await bob.join(await annes.invite(), nick="Bob")
    return ann, bob, annes, bobs


async def test_two_people_talk(house, town):
    _, _, annes, bobs = await room_of_two(house, town)
    assert (bobs.name, [person.nick for person in bobs.members]) == ("garden", ["Ann", "Bob"])
    sent = await annes.send("good morning")
    told = await said(bobs.notices(), "good morning")
    assert (told.sender, told.seq, told.id) == ("Ann", sent.seq, sent.id)
    await bobs.reply(told.id, "and to you")
    answer = await said(annes.notices(), "and to you")
    assert (answer.kind, answer.re, answer.sender) == ("reply", sent.id, "Bob")


async def test_direct_messages(house, town):
    _, _, annes, bobs = await room_of_two(house, town)
    to_bob = await annes.direct("bob")
    everything = bobs.driver
    await to_bob.send("for you alone")
    room = everything.session.rooms
    await everything.until(lambda: to_bob.id in room and bool(room[to_bob.id].timeline.thread.lines))
    line = room[to_bob.id].timeline.backlog()[0]
    assert (line.text, line.sender, line.to) == ("for you alone", "Ann", "Bob")
    assert to_bob.name == "@Bob"


async def test_a_kick_turns_the_key(house, town):
    ann, bob, annes, bobs = await room_of_two(house, town)
    cleo = await town.person("cleo")
    cleos = await cleo.join(await annes.invite(), nick="Cleo")
    await annes.send("all three")
    await said(bobs.notices(), "all three")
    removed = await annes.kick("bob", "too loud")
    assert (removed.lost, removed.link) == (None, None)
    ended = await heard(bobs.notices(), lambda notice: isinstance(notice, Ended))
    assert ended.code == "kicked"
    assert "too loud" in ended.detail
    assert "Ann" in ended.detail
    before = annes.room.sender.chain
    await annes.send("only two")
    assert annes.room.sender.chain is not before
    assert bob.identity not in annes.room.sender.served
    await said(cleos.notices(), "only two")
    with pytest.raises(Refused) as refused:
        await bobs.send("still here?")
    assert refused.value.code == "not-member"
    assert ann.room("garden").room.view.state.epoch == 1


async def test_a_ban_holds_across_restarts(house, town):
    ann, _, annes, _ = await room_of_two(house, town)
    link = await annes.invite(uses=5)
    async with town.client("dora") as dora:
        doras = await dora.join(link, nick="Dora")
        who = dora.identity
        removed = await annes.ban("dora")
        assert removed.link is not None
        assert removed.link.seed is not link.seed
        await heard(doras.notices(), lambda notice: isinstance(notice, Ended) and notice.code == "banned")
    await house.close()
    house.open()
    async with town.client("dora") as dora:
        assert dora.room("garden").room.entry.status == "out"
        with pytest.raises(Refused) as refused:
            await dora.join(removed.link, nick="Other")
        assert refused.value.code == "banned"
    await annes.unban(str(who))
    async with town.client("dora") as dora:
        again = await dora.join(removed.link, nick="Dora")
        await annes.send("back again")
        await said(again.notices(), "back again")
    assert ann.identity in annes.room.view.state.members


async def test_nicks(house, town):
    _, _, annes, bobs = await room_of_two(house, town)
    await bobs.nick("Robert")
    is_nick = lambda notice: isinstance(notice, MemberChanged) and notice.action == "nick"  # noqa: E731
    assert [(await heard(annes.notices(), is_nick)).detail for _ in range(2)] == ["Ann", "Robert"]
    with pytest.raises(Refused) as refused:
        await annes.nick("robert")
    assert refused.value.code == "nick-taken"


async def test_an_admin_admits(house, town):
    ann, bob = await town.person("ann"), await town.person("bob")
    annes = await ann.create(house.address, "garden", nick="Ann", approve=True)
    news = bob.notices()
    joining = asyncio.create_task(bob.join(await annes.invite(), nick="Bob"))
    await heard(news, lambda notice: isinstance(notice, Waiting))
    await annes.driver.until(lambda: bool(annes.room.view.state.pending))
    await annes.admit("Bob")
    bobs = await joining
    await bobs.send("thank you")
    await said(annes.notices(), "thank you")


async def test_one_waits_for_an_admin_longer_than_for_a_relay(house, town):
    from tests.client.conftest import IMPATIENT

    ann, bob = await town.person("ann"), await town.person("bob", timing=IMPATIENT)
    annes = await ann.create(house.address, "garden", nick="Ann", approve=True)
    joining = asyncio.create_task(bob.join(await annes.invite(), nick="Bob"))
    await annes.driver.until(lambda: bool(annes.room.view.state.pending))
    done, _ = await asyncio.wait({joining}, timeout=3 * IMPATIENT.request_ms / 1_000)
    assert not done
    await annes.admit("Bob")
    assert (await joining).room.member is not None


async def test_leaving(house, town):
    _, bob, annes, bobs = await room_of_two(house, town)
    await bobs.leave()
    assert bobs.room.entry.status == "out"
    await heard(annes.notices(), lambda notice: isinstance(notice, MemberChanged) and notice.action == "left")
    with pytest.raises(Refused):
        await bob.open("garden")


async def test_many_join_at_once(house, town):
    ann = await town.person("ann")
    annes = await ann.create(house.address, "crowd", nick="Ann", max_members=MEMBERS_MAX)
    link = await annes.invite(uses=12)
    people = [await town.person(f"p{number}") for number in range(12)]
    rooms = await asyncio.gather(*(one.join(link, nick=f"guest {number}") for number, one in enumerate(people)))
    await annes.driver.until(lambda: len(annes.room.view.state.members) == 13)
    await asyncio.gather(*(room.send(f"hello from {number}") for number, room in enumerate(rooms)))
    await annes.send("welcome")
    for room in (*rooms, annes):
        await room.driver.until(lambda room=room: len(room.room.timeline.thread.lines) == 13)
        texts = {line.text for line in room.backlog()}
        assert texts == {"welcome", *(f"hello from {number}" for number in range(12))}
    assert len({room.code() for room in rooms}) == 1


async def test_admins_act_at_once(house, town):
    _, _, annes, bobs = await room_of_two(house, town)
    await annes.role("bob", Role.ADMIN)
    await bobs.driver.until(lambda: bobs.room.member.role is Role.ADMIN)
    await asyncio.gather(
        *(annes.describe(topic=f"ann {number}") for number in range(4)),
        *(bobs.describe(topic=f"bob {number}") for number in range(4)),
    )
    await bobs.driver.until(lambda: bobs.room.view.state.n == annes.room.view.state.n)
    assert bobs.topic == annes.topic


async def test_rejoining_after_a_kick_and_a_restart(house, town):
    ann = await town.person("ann")
    annes = await ann.create(house.address, "garden", nick="Ann")
    async with town.client("bob") as bob:
        bobs = await bob.join(await annes.invite(), nick="Bob")
        await annes.send("before")
        await said(bobs.notices(), "before")
        await annes.kick("Bob")
        await heard(bobs.notices(), lambda notice: isinstance(notice, Ended))
        bobs = await bob.join(await annes.invite(), nick="Bob")
        await annes.send("after")
        await said(bobs.notices(), "after")
        await bobs.send("I am back")
    async with town.client("bob") as bob:
        bobs = await bob.open("garden")
        texts = [line.text for line in bobs.backlog()]
        assert texts[-2:] == ["after", "I am back"]
        await annes.send("good")
        await said(bobs.notices(), "good")


async def test_people_in_two_relays_have_keys_of_their_own(house, town, pair, tmp_path_factory):
    from datetime import UTC, datetime

    from chaton.relay import certs
    from tests.client.conftest import House

    other_pair = tmp_path_factory.mktemp("other")
    certs.generate(other_pair, ["localhost"], ["127.0.0.1"], 30, now=datetime.now(UTC), force=False)
    other = House(other_pair, other_pair / "data")
    other.open()
    try:
        for _ in range(2):
            async with town.client("ann") as ann, town.client("bob") as bob:
                for each in (house, other):
                    name = f"room {each.port} {_}"
                    annes = await ann.create(each.address, name, nick="Ann")
                    bobs = await bob.join(await annes.invite(), nick="Bob")
                    direct = await annes.direct("Bob")
                    await annes.send("hello")
                    await direct.send("psst")
                    await said(bobs.notices(), "hello")
                    rooms = bobs.driver.session.rooms
                    await bobs.driver.until(
                        lambda rooms=rooms, direct=direct: (
                            direct.id in rooms and bool(rooms[direct.id].timeline.thread.lines)
                        )
                    )
                assert len(ann.drivers) == 2
    finally:
        await other.close()


async def test_names_that_fit_several_are_refused_with_the_candidates(house, town):
    ann, _, annes, _ = await room_of_two(house, town)
    await ann.create(house.address, "Garden", nick="Ann")
    with pytest.raises(UsageError, match=r"fits several rooms: .*garden"):
        ann.room("garden")
    assert ann.room(str(annes.id)[:8]).id == annes.id
    with pytest.raises(UsageError, match="no room of this profile"):
        ann.room("shed")
    with pytest.raises(Refused, match="nobody in the room"):
        annes.find_person("zoe")
    assert annes.find_person("@BOB") == annes.find_person(str(annes.find_person("bob"))[:8])


async def test_no_name_wins_over_an_id(house, town):
    ann, bob, annes, bobs = await room_of_two(house, town)
    whole = str(annes.id)
    await annes.describe(name="x")
    trap = await ann.create(house.address, whole, nick="Ann")
    assert ann.room(whole).id == ann.room(whole.upper()).id == ann.room(annes.id).id == annes.id
    await trap.describe(name=whole[:10])
    with pytest.raises(UsageError, match="fits several rooms"):
        ann.room(whole[:10])
    await trap.describe(name="@Bob")
    with pytest.raises(UsageError, match="no room of this profile"):
        ann.room("@bob")
    direct = await annes.direct("bob")
    assert ann.room("@bob").id == direct.id
    with pytest.raises(UsageError, match="no room of this profile"):
        ann.room(RoomId(b"x" * 32))
    me = str(ann.identity)
    await bobs.nick(me[:10])
    with pytest.raises(UsageError, match="fits several people"):
        bobs.find_person(me[:10])
    assert bobs.find_person(me) == bobs.find_person(me[:12]) == ann.identity
    assert bobs.find_person(str(bob.identity)[:10]) == bob.identity


async def test_only_its_author_changes_a_message(house, town):
    _, bob, annes, bobs = await room_of_two(house, town)
    sent = await annes.send("mine")
    await said(bobs.notices(), "mine")
    for kind in ("edit", "delete"):
        with pytest.raises(Refused, match="only its author") as refused:
            await bob.perform(ask.Send(room="garden", kind=kind, re=str(sent.id), text="yours"))
        assert (refused.value.code, refused.value.hint) == ("not-allowed", "/redact hides it")
    for deed in (bobs.edit(sent.id, "yours"), bobs.delete(sent.id)):
        with pytest.raises(Refused, match="only its author"):
            await deed
    await annes.edit(sent.id, "mine, and better")
    await annes.delete(sent.id)


async def test_what_was_seen_is_not_new(house, town):
    _, bob, annes, bobs = await room_of_two(house, town)
    sent = await annes.send("news")
    await said(bobs.notices(), "news")
    assert [facts.unread for facts in (await bob.perform(ask.Rooms())).rooms] == [1]
    await bob.perform(ask.Seen(room="garden", seq=sent.seq))
    assert [facts.unread for facts in (await bob.perform(ask.Rooms())).rooms] == [0]


async def test_what_others_hear_while_joining_is_told(house, town):
    ann = await town.person("ann")
    annes = await ann.create(house.address, "garden", nick="Ann")
    bob = await town.person("bob")
    news = bob.notices()
    await bob.join(await annes.invite(), nick="Bob")
    joined = await heard(news, lambda notice: isinstance(notice, Joined))
    assert [person.nick for person in joined.members] == ["Ann", "Bob"]


async def test_every_request_is_answered(house, town):
    ann, bob, annes, bobs = await room_of_two(house, town, topic="plants")
    name, me = str(annes.id)[:12], str(ann.identity)
    sent = await ann.perform(ask.Send(room=name, text="a rose"))
    await ann.perform(ask.Send(room=name, kind="edit", re=sent.id, text="two roses"))
    await said(bobs.notices(), "two roses")
    lines = (await bob.perform(ask.Tail(room="garden"))).lines
    assert [(line.text, line.sender, line.seq) for line in lines] == [("two roses", "Ann", sent.seq)]
    assert (await bob.perform(ask.Search(room="garden", text="ROSES"))).lines == lines
    await bob.perform(ask.Send(room="garden", kind="react", re=lines[0].id[:8], text="🌹"))
    direct = await bob.perform(ask.Send(room="garden", to="ann", text="hush"))
    assert (await bob.perform(ask.Tail(room=direct.room))).lines[0].to == "Ann"
    members = (await ann.perform(ask.Members(room=name))).members
    assert [(one.nick, one.role, one.online) for one in members] == [("Ann", "owner", True), ("Bob", "member", True)]
    assert members[1].invited_by == "Ann"
    whois = (await bob.perform(ask.Whois(room="garden", who="ann"))).members
    assert [one.identity for one in whois] == [me]
    codes = [await each.perform(ask.Verify(room="garden", who=who)) for each, who in ((ann, "bob"), (bob, "ann"))]
    assert (codes[0].code, codes[0].pair) == (codes[1].code, codes[1].pair)
    assert not codes[0].compared
    assert (await ann.perform(ask.Verify(room="garden", who="bob", ok=True))).compared
    rooms = (await bob.perform(ask.Rooms())).rooms
    assert [(facts.name, facts.status, facts.unread) for facts in rooms] == [("@Ann", "in", 0), ("garden", "in", 1)]


async def test_every_act_is_carried_out(house, town):
    ann, bob, annes, _ = await room_of_two(house, town)

    async def act(what, who="", text="", **more):
        return await ann.perform(ask.Act(room="garden", what=what, who=who, text=text, **more))

    for what, who, text in (
        ("topic", "", "vegetables"), ("name", "", "Garden"), ("nick", "", "Anna"),
        ("mute", "bob", ""), ("unmute", "bob", ""), ("role", "bob", "mod"), ("role", "bob", "member"),
    ):  # fmt: skip
        assert (await act(what, who, text)).n == annes.room.view.state.n
    sent = await ann.perform(ask.Send(room="garden", text="oops"))
    await act("redact", text=sent.id)
    link = await ann.perform(ask.Invite(room="garden", uses=3))
    (live,) = (await ann.perform(ask.Invites(room="garden"))).invites
    assert (live.n, live.uses_left, live.expires) == (link.n, 3, link.expires)
    await act("uninvite", text=str(link.n))
    kicked = await act("kick", "bob", "bye")
    assert "kicked" in kicked.what
    assert kicked.link == ""
    who = str(bob.identity)
    await act("ban", who)
    await act("unban", who)
    signed = await act("topic", text="tomorrow", sign_only=True)
    assert annes.topic == "vegetables"
    handed_in = await ann.perform(ask.Submit(record=signed.record))
    assert (handed_in.n, annes.topic) == (signed.n, "tomorrow")
    with pytest.raises(Refused):
        await ann.perform(ask.Submit(record=(await act("topic", text="x", sign_only=True)).record[:-2] + "ff"))
    assert (await act("close")).what == "close"
    log = (await ann.perform(ask.Log(room="garden"))).lines
    assert len(log) == annes.room.view.state.n + 1
    assert {line.signer for line in log} == {"Anna", log[3].signer}
    with pytest.raises(Refused) as refused:
        await annes.send("hello?")
    assert refused.value.code == "closed"


async def test_requests_that_make_no_sense(house, town):
    ann, _, _, _ = await room_of_two(house, town)
    for request in (
        ask.Send(room="garden"),
        ask.Send(room="garden", text="x", kind="shout", re="0" * 64),
        ask.Act(room="garden", what="dance"),
        ask.Act(room="garden", what="role", who="bob", text="king"),
        ask.Act(room="garden", what="uninvite", text="first"),
        ask.Act(room="garden", what="uninvite", text="9" * 5_000),
        ask.Act(room="garden", what="close", text="garden"),
        ask.Join(link="chaton:nonsense", nick="x"),
        ask.Create(name="x", host="localhost", port=1, pin="no", nick="x"),
        ask.Submit(record="zz"),
    ):
        with pytest.raises((UsageError, Refused)) as error:
            await ann.perform(request)
        assert isinstance(error.value, UsageError) or error.value.code == "no-message"


async def test_a_new_key_on_request(house, town):
    ann, _, annes, bobs = await room_of_two(house, town)
    for text in ("under one key", "under the same"):
        await annes.send(text)
    await ann.perform(ask.Rekey(room="garden"))
    await annes.send("under a new one")
    await bobs.driver.until(lambda: len(bobs.room.timeline.messages) == 3)
    one, same, new = (entry.chain for entry in bobs.room.timeline.messages.values())
    assert one == same != new


async def test_ignoring(house, town):
    _, bob, annes, bobs = await room_of_two(house, town)
    await bob.perform(ask.Ignore(room="garden", who="ann"))
    await annes.send("nobody hears me")
    await bobs.driver.until(lambda: len(bobs.room.timeline.messages) == 1)
    await bob.perform(ask.Ignore(room="garden", who="ann", ignored=False))
    await annes.send("and now?")
    told = await heard(bobs.notices(), lambda notice: isinstance(notice, Said))
    assert told.text == "and now?"
