"""A relay that lies about rooms, people and keys, on TLS, to real clients: what each person is shown (§§2, 3, 4)."""

import pytest
from msgspec.structs import replace

from chaton.errors import Fork, InvalidLog, Refused
from chaton.identity.ids import Head, Identity, InviteKey, RoomId
from chaton.identity.safety import direct_room
from chaton.identity.statement import Label, Seed, invite_signer
from chaton.room.records import Info, Invite, Join, Record, Role, sign_record
from chaton.session import acts
from chaton.session.notices import PresenceChanged
from chaton.vault.bundle import make_bundle
from chaton.vault.entropy import system_entropy
from chaton.vault.info import seal_info
from chaton.wire import frames
from tests.adversary.conftest import Someone, Trio, enter

GHOST = Seed(b"g" * 32)


async def refuses_to_send(someone) -> None:
    with pytest.raises(Refused):
        await someone.chat.send("anybody?")


def by_own_key(trio: Trio) -> bytes:
    """A JOIN by an invite that is in no log."""
    return ghost_record(trio, Seed(b"k" * 32)).raw


def by_the_key_of_a_spent_link(trio: Trio) -> bytes:
    """A JOIN by the link that ben and cyd have used up."""
    return ghost_record(trio, invite_signer(trio.link.seed)).raw


def ghost_record(trio: Trio, invite: Seed) -> Record:
    state = trio.ada.chat.room.view.state
    join = Join(InviteKey(invite.public), seal_info(trio.link.rik, "ghost", 256, system_entropy))
    return trio.ada.evil().record(join, seed=GHOST, n=state.n + 1, prev=state.head, invite=invite)


@pytest.mark.parametrize("make", [by_own_key, by_the_key_of_a_spent_link])
async def test_a_ghost_is_seated_by_nobody(trio, evil, make) -> None:
    raw = make(trio)
    s = trio.ben.chat.room.view.history.s
    evil.say(trio.ben, frames.Event(trio.room, s + 1, 0, frames.KIND_RECORD, GHOST.public, raw))
    await trio.ben.warned("invalid-log")
    assert trio.ben.ends() == ["security"]
    assert [person.nick for person in trio.ben.chat.members] == ["ada", "ben", "cyd"]
    await refuses_to_send(trio.ben)


async def test_a_captured_join_seats_nobody_but_its_signer(trio, evil, town) -> None:
    """Dan's JOIN, caught on its way, fits the next place and a live link: only the link's signature knows its actor."""
    link, dan = await trio.ada.chat.invite(uses=3), await town.person("dan")
    caught: list[bytes] = []

    def swallow(frame):
        if not isinstance(frame, frames.Submit):
            return [frame]
        caught.append(frame.record)
        evil.say(dan, frames.Refused(frame.ref, "room-full", "no", 0, []))
        return []

    evil.changes[dan.identity] = swallow
    with pytest.raises(Refused):
        await dan.join(link, nick="dan")
    for someone, raw in ((trio.cyd, caught[0]), (trio.ben, of_the_ghost(caught[0]))):
        await someone.caught_up()
        s = someone.chat.room.view.history.s
        evil.say(someone, frames.Event(trio.room, s + 1, 0, frames.KIND_RECORD, Record.decode(raw).actor, raw))
        await someone.caught_up()
    assert [person.nick for person in trio.cyd.chat.members] == ["ada", "ben", "cyd", "dan"]  # As it was, it fits.
    assert [person.nick for person in trio.ben.chat.members] == ["ada", "ben", "cyd"]
    assert trio.ben.warnings() == ["invalid-log"]
    assert trio.ben.ends() == ["security"]
    await refuses_to_send(trio.ben)


def of_the_ghost(join: bytes) -> bytes:
    """A JOIN with the ghost's key and signature in place of its actor's; the link's signature is the true one."""
    signed = join[:72] + GHOST.public + join[104:-128]
    return signed + GHOST.sign(Label.RECORD, signed) + join[-64:]


async def test_a_join_of_another_room_seats_nobody(trio, evil, house, town) -> None:
    other = await trio.ada.client.create(house.address, "other", nick="ada")
    dan = await enter(town, "dan", await other.invite())
    captured = next(one.raw for one in dan.chat.room.view.records if isinstance(one.body, Join))
    s = trio.cyd.chat.room.view.history.s
    evil.say(trio.cyd, frames.Event(trio.room, s + 1, 0, frames.KIND_RECORD, dan.identity, captured))
    await trio.cyd.warned("invalid-log")
    assert [person.nick for person in trio.cyd.chat.members] == ["ada", "ben", "cyd"]


async def test_a_ghost_in_the_log_at_login_is_seated_by_nobody(trio, evil) -> None:
    ghost = by_own_key(trio)

    def lie(frame):
        if isinstance(frame, frames.LogEnd):
            record = Record.decode(ghost)
            return [
                frames.RecordsPage(frame.ref, record.n, [ghost]),
                replace(frame, n=record.n, head=bytes(record.head)),
            ]
        return [frame]

    evil.lie_to(trio.ben, lie)
    evil.cut(trio.ben)
    await trio.ben.warned("invalid-log")
    assert len(trio.ben.chat.members) == 3
    await refuses_to_send(trio.ben)


async def test_a_lying_roster_changes_nothing(trio, evil) -> None:
    """The relay's lists of rooms and of who is there are hints: only the log says who is in."""
    ghost, with_ghost = Identity(GHOST.public), direct_room(trio.ben.identity, Identity(GHOST.public))
    directs = [(with_ghost, ghost), (RoomId(b"d" * 32), trio.ada.identity)]  # With a stranger, and of a false name.

    def lie(frame):
        if isinstance(frame, frames.LoggedIn):
            rooms = [replace(one, n=one.n + 5, s=one.s + 5, pending=True) for one in frame.rooms]
            strange = frames.RoomSummary(b"r" * 32, 3, 9, False)
            named = [frames.DirectSummary(room, peer, 4) for room, peer in directs]
            return [replace(frame, rooms=[*rooms, strange], directs=named)]
        return [frame]

    evil.lie_to(trio.ben, lie)
    evil.cut(trio.ben)
    await trio.ben.until(lambda: bool(evil.said_by(trio.ben, frames.Follow)) and trio.ben.chat.room.caught_up)
    for online in (True, False, True):
        evil.say(trio.ben, frames.Presence(trio.room, GHOST.public, online))
    assert list(trio.ben.chat.driver.session.rooms) == [trio.room]
    evil.say(trio.ben, *(frames.DirectRoom(room, peer, 0) for room, peer in directs))
    await trio.ben.caught_up()
    await trio.ben.chat.send("who is here?")
    await trio.ada.sees("who is here?")
    assert [person.nick for person in trio.ben.chat.members] == ["ada", "ben", "cyd"]
    assert ghost not in {notice.identity for notice in trio.ben.told(PresenceChanged)}
    assert list(trio.ben.chat.driver.session.rooms) == [trio.room]
    assert trio.ben.warnings() == []


async def test_keys_of_the_relays_making_are_sealed_nothing(trio, evil, town) -> None:
    """It gives a joiner keys of its own for ben: signed by itself, or under ben's name; also as "newer" ones."""
    dan = await enter(town, "dan", await trio.ada.chat.invite())
    now = dan.chat.driver.session.context.now
    made = make_bundle(GHOST, counter=now, expires=now + 60_000, entropy=system_entropy).bundle.raw
    fakes = [made, made[:3] + trio.ben.identity + made[35:]]

    def lie(frame):
        if isinstance(frame, frames.BundleList):
            return [replace(frame, bundles=[raw for raw in frame.bundles if trio.ben.identity not in raw] + fakes)]
        if isinstance(frame, frames.ParcelsStored):
            return [replace(frame, stale=[*frame.stale, *fakes])]
        return [frame]

    evil.lie_to(dan, lie)
    await dan.chat.send("who reads this?")
    await trio.ada.sees("who reads this?")
    assert dan.warnings() == ["unreachable"]
    served = {one.to for frame in evil.said_by(dan, frames.Parcels) for one in frame.parcels}
    assert served == {trio.ada.identity, trio.cyd.identity}
    await trio.ben.caught_up()
    assert "who reads this?" not in trio.ben.shown()


@pytest.mark.parametrize("cut", ["before the link", "everything"])
async def test_a_log_cut_before_the_links_head_is_not_joined(trio, evil, town, cut: str) -> None:
    link = await trio.ada.chat.invite()
    dan = await town.person("dan")
    keep = link.n if cut == "before the link" else 1
    head = trio.ada.chat.room.view.state.heads[keep - 1]

    def lie(frame):
        if isinstance(frame, frames.RecordsPage):
            return [replace(frame, records=frame.records[:keep])]
        return [replace(frame, n=keep - 1, head=bytes(head)) if isinstance(frame, frames.LogEnd) else frame]

    evil.lie_to(dan, lie)
    with pytest.raises(InvalidLog, match="another log than the one this link was made in"):
        await dan.join(link, nick="dan")
    assert len(trio.ada.chat.members) == 3


async def test_another_rooms_log_is_not_joined(trio, evil, town) -> None:
    """Another genesis, by somebody who had a link: the room's name under its own key, and the same invite in its place."""
    link, dan = await trio.ada.chat.invite(), await town.person("dan")
    body = acts.genesis(link.rik, "ops", "", approve=False, max_members=9, entropy=system_entropy)
    log = [sign_record(body, seed=GHOST, room=RoomId.zero(), n=0, prev=Head.zero(), t=0)]
    while len(log) <= link.n:
        last = len(log) == link.n
        body = Invite(InviteKey(invite_signer(link.seed).public), 9, 2**62, 0) if last else Info(b"")
        log.append(sign_record(body, seed=GHOST, room=RoomId(log[0].head), n=len(log), prev=log[-1].head, t=0))

    def lie(frame):
        if isinstance(frame, frames.RecordsPage):
            return [replace(frame, records=[one.raw for one in log])]
        return [replace(frame, n=link.n, head=bytes(log[-1].head)) if isinstance(frame, frames.LogEnd) else frame]

    evil.lie_to(dan, lie)
    with pytest.raises(InvalidLog, match="another log than the one this link was made in"):
        await dan.join(link, nick="dan")
    assert not evil.said_by(dan, frames.Submit)


async def test_a_room_id_without_its_seed_opens_nothing(trio, evil, town) -> None:
    """A thief of everything in a link but the seed; the relay helps, and lets it read the log."""
    link, eve = await trio.ada.chat.invite(), await town.person("eve")
    stolen = type(link)(link.address, link.room, link.n, link.head, type(link.seed)(b"s" * 32), link.rik)
    with pytest.raises(Refused) as honest:
        await eve.join(stolen, nick="eve")
    assert honest.value.code == "bad-invite"
    records = [one.raw for one in trio.ada.chat.room.view.records]
    state = trio.ada.chat.room.view.state

    def lie(frame):
        if isinstance(frame, frames.Refused) and frame.ref:
            asked = [one for one in evil.said_by(eve, object) if getattr(one, "ref", 0) == frame.ref][-1]
            if isinstance(asked, frames.Peek):
                return [frames.Done(frame.ref)]
            return [frames.RecordsPage(frame.ref, 0, records), frames.LogEnd(frame.ref, state.n, bytes(state.head))]
        return [frame]

    evil.lie_to(eve, lie)
    with pytest.raises(Refused) as helped:
        await eve.join(stolen, nick="eve")
    assert "used up or taken back" in str(helped.value)
    assert not evil.said_by(eve, frames.Submit)


@pytest.mark.parametrize("how", ["withheld", "reordered", "repeated"])
async def test_records_withheld_reordered_or_repeated_stop_the_room(trio, evil, how: str) -> None:
    kept: list[frames.Event] = []

    def lie(event):
        kept.append(event)
        if how == "withheld":
            return [event] if len(kept) > 1 else []
        if how == "repeated":
            return [event, replace(event, s=event.s + 1)]
        first = kept[0]
        return [replace(event, s=first.s), replace(first, s=event.s)] if len(kept) == 2 else []

    evil.lie_about_events(trio.ben, lie)
    for topic in ("one", "two"):
        await trio.ada.chat.describe(topic=topic)
    await trio.ben.warned("invalid-log")
    assert trio.ben.ends() == ["security"]
    await refuses_to_send(trio.ben)


async def test_an_older_log_at_login_takes_nothing_back(trio, evil) -> None:
    """It takes back the records that ben has seen, by a log that ends before them."""
    await trio.ada.chat.mute("cyd")
    await trio.ben.until(lambda: trio.ben.chat.room.view.n == trio.ada.chat.room.view.state.n)
    state = trio.ada.chat.room.view.state
    before = state.n - 1

    def lie(frame):
        if isinstance(frame, frames.RecordsPage):
            return []
        return [
            replace(frame, n=before, head=bytes(state.heads[before])) if isinstance(frame, frames.LogEnd) else frame
        ]

    evil.lie_to(trio.ben, lie)
    evil.cut(trio.ben)
    await trio.ben.until(lambda: bool(evil.said_by(trio.ben, frames.Follow)) and trio.ben.chat.room.caught_up)
    assert next(person for person in trio.ben.chat.members if person.nick == "cyd").muted


@pytest.mark.parametrize("how", ["named", "shown"])
async def test_another_record_at_a_place_that_one_has_stops_the_room_at_login(trio, evil, how: str) -> None:
    """An admin signs two records at one place. Ben has one; at his next login the log ends with the other."""
    await signs_two(trio, evil)
    own, other = trio.ben.chat.room.view.state.head, trio.ada.chat.room.view.records[-1]

    def show(frame):
        if isinstance(frame, frames.LogEnd):
            return [frames.RecordsPage(frame.ref, other.n, [other.raw]), replace(frame, head=bytes(own))]
        return [frame]

    evil.be_honest(trio.ben)  # It names the head of what it shows to everybody else.
    if how == "shown":
        evil.lie_to(trio.ben, show)
    evil.cut(trio.ben)
    await trio.ben.until(lambda: bool(evil.said_by(trio.ben, frames.Log)))
    await trio.ben.caught_up()
    assert trio.ben.warnings() == ["invalid-log"]
    assert trio.ben.ends() == ["security"]
    await refuses_to_send(trio.ben)


async def signs_two(trio: Trio, evil) -> None:
    """Cyd, an admin, signs two valid records at one place: ada is shown one, ben the other."""
    await trio.ada.chat.role("cyd", Role.ADMIN)
    for person in (trio.ben, trio.cyd):
        await person.until(lambda person=person: person.chat.room.view.n == trio.ada.chat.room.view.state.n)
    other = await trio.cyd.chat.sign(acts.info(None, "for ben"))
    evil.lie_about_events(
        trio.ben, lambda event: [replace(event, body=other.raw) if event.kind == frames.KIND_RECORD else event]
    )
    await trio.cyd.chat.describe(topic="for ada")
    await trio.ben.until(lambda: trio.ben.chat.topic == "for ben")
    await trio.ada.until(lambda: trio.ada.chat.topic == "for ada")


async def test_a_split_view_is_seen_at_the_first_message_that_crosses(trio, evil) -> None:
    """An admin signs two records at one place, and the relay shows ben the other one."""
    await signs_two(trio, evil)
    assert trio.ada.chat.code() != trio.ben.chat.code()
    assert trio.ben.warnings() == []
    await trio.ada.chat.send("crossing")
    await trio.ben.warned("fork")
    assert "crossing" not in trio.ben.shown()
    with pytest.raises(Fork):
        await trio.ben.chat.send("anybody?")


async def test_a_joiner_told_a_false_beginning_sees_it_at_the_first_message(trio, evil, town) -> None:
    """The transcript up to one's own JOIN is the relay's word, until a message of somebody else bears it out or not."""
    link, client = await trio.ada.chat.invite(), await town.person("dan")
    news = client.notices()

    def lie(frame):
        return [replace(frame, transcript=b"t" * 32) if isinstance(frame, frames.Accepted) else frame]

    evil.lie_to(client, lie)
    dan = Someone("dan", client, await client.join(link, nick="dan"), news)
    await trio.ada.until(lambda: len(trio.ada.chat.members) == 4)
    await trio.ada.chat.send("welcome")
    await dan.warned("fork")
    assert dan.shown() == []
    with pytest.raises(Fork):
        await dan.chat.send("thank you")


async def test_a_hidden_removal_is_marked_and_does_not_outlive_a_crossing_message(trio, evil) -> None:
    hidden: list[int] = []

    def hide(event):
        if event.kind == frames.KIND_RECORD:
            hidden.append(event.s)
            return []
        return [replace(event, s=event.s - len(hidden))]

    evil.lie_about_events(trio.ben, hide)
    evil.take_everything(trio.ben)
    await trio.ada.chat.kick("cyd")
    await trio.ada.until(lambda: trio.ada.chat.room.view.state.epoch == 1)
    trio.ben.chat.say("still to cyd")
    await trio.ada.sees("still to cyd")
    assert trio.ada.warnings() == ["stale"]
    await trio.ada.chat.send("crossing")
    await trio.ben.until(lambda: bool(set(trio.ben.warnings()) & {"fork", "undecryptable", "waiting"}))
    assert "crossing" not in trio.ben.shown()
