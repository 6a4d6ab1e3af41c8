"""Bundles and parcels."""

import pytest

from chaton.identity.bundle import PARCEL_BYTES
from chaton.identity.ids import RoomId
from chaton.limits import BUNDLE_AHEAD_MS, BUNDLE_OF_STRANGER_MS, DAY_MS, PARCEL_LIFE_MS
from chaton.relay.hub import mailbox as mailbox_module
from chaton.relay.hub.effects import Push
from chaton.relay.hub.mailbox import Mailbox, Waiting
from chaton.relay.loading import reload
from chaton.relay.store.base import BundleRow, ParcelRow, ParcelsGone
from chaton.relay.store.memory import MemoryStore
from chaton.room.records import Leave
from chaton.wire import frames
from tests.relay.play import NOW, Script, bundle, identity, login_answer, parcel, seed, spoiled
from tests.relay.stage import PIN, Stage, effects

OWNER, ANN, BEN, KEY = seed(1), seed(2), seed(3), seed(9)


def published(stage, session, who, **options):
    keys = bundle(who, **options)
    assert isinstance(stage.ask(session, frames.Publish, keys.raw), frames.Done)
    return keys


def listed(stage, session, *people):
    return stage.ask(session, frames.Bundles, [identity(who) for who in people]).bundles


def test_a_bundle_is_ones_own_signed_current_and_newer():
    stage = Stage()
    _, (owner, ann) = stage.room(OWNER, KEY, ANN)
    keys = published(stage, ann, ANN)
    assert stage.decision.writes == [BundleRow(identity(ANN), keys.id, keys.raw, NOW, 0)]
    assert stage.ask(ann, frames.Publish, keys.raw) == frames.Done(stage.decision.asker[1])
    assert not stage.decision.writes
    assert listed(stage, owner, ANN, BEN, ANN) == [keys.raw]
    assert stage.refusal(ann, frames.Publish, bundle(ANN, NOW - 1).raw) == "old-bundle"
    assert stage.refusal(ann, frames.Publish, bundle(ANN, NOW).raw) == "old-bundle"
    assert stage.refusal(ann, frames.Publish, bundle(OWNER, NOW + 1).raw) == "bad-bundle"
    assert stage.refusal(ann, frames.Publish, spoiled(keys.raw)) == "bad-bundle"
    assert stage.refusal(ann, frames.Publish, bundle(ANN, NOW + BUNDLE_AHEAD_MS + 1).raw) == "clock"
    assert stage.refusal(ann, frames.Publish, bundle(ANN, NOW + 1, life=15 * DAY_MS).raw) == "clock"
    newer = published(stage, ann, ANN, counter=NOW + 1)
    assert listed(stage, owner, ANN) == [newer.raw]
    stage.now += 2 * DAY_MS
    assert listed(stage, owner, ANN) == []


def test_the_bundle_of_a_non_member_is_kept_ten_minutes_or_until_it_joins():
    stage = Stage()
    script, (owner,) = stage.room(OWNER, KEY)
    ann, ben = stage.login(ANN), stage.login(BEN)
    published(stage, ann, ANN)
    assert stage.decision.writes[0].until == NOW + BUNDLE_OF_STRANGER_MS
    published(stage, ben, BEN)
    decision = stage.submit(ann, script, script.join(ANN, KEY))
    assert [write.until for write in decision.writes if isinstance(write, BundleRow)] == [0]
    stage.now += BUNDLE_OF_STRANGER_MS
    assert len(listed(stage, owner, ANN, BEN)) == 1
    stage.hub.expire(stage.now)
    assert set(stage.memory.bundles) == {identity(ANN)}


def test_who_joins_within_ten_minutes_of_its_last_word_has_its_bundle():
    """Found by the simulation: the ten minutes of a bundle that was known had begun with its first publication."""
    stage = Stage()
    script, (owner,) = stage.room(OWNER, KEY)
    ann = stage.login(ANN)
    keys = published(stage, ann, ANN)
    stage.now += BUNDLE_OF_STRANGER_MS - 1
    stage.ask(ann, frames.Publish, keys.raw)
    stage.now += BUNDLE_OF_STRANGER_MS - 1
    stage.hub.expire(stage.now)
    stage.submit(ann, script, script.join(ANN, KEY))
    assert listed(stage, owner, ANN) == [keys.raw]


def test_strangers_bundles_are_bounded(monkeypatch):
    from chaton.relay.hub import keys

    monkeypatch.setattr(keys, "BUNDLES_OF_STRANGERS_MAX", 1)
    stage = Stage()
    ann, ben = stage.login(ANN), stage.login(BEN)
    published(stage, ann, ANN)
    assert stage.refusal(ben, frames.Publish, bundle(BEN).raw) == "limited"
    published(stage, ann, ANN, counter=NOW + 1)
    stage.now += BUNDLE_OF_STRANGER_MS
    published(stage, ben, BEN)


def test_parcels_go_to_current_bundles_of_members():
    stage = Stage()
    script, (owner, ann, ben) = stage.room(OWNER, KEY, ANN, BEN)
    keys = published(stage, ann, ANN)
    old = bundle(BEN)
    fresh = published(stage, ben, BEN, counter=NOW + 5)
    cem = stage.login(seed(4))
    published(stage, cem, seed(4))
    posted = [
        frames.ParcelTo(identity(ANN), parcel(keys)),
        frames.ParcelTo(identity(BEN), parcel(old)),
        frames.ParcelTo(identity(OWNER), parcel(old)),
        frames.ParcelTo(identity(seed(4)), parcel(old)),
    ]
    answer = stage.ask(owner, frames.Parcels, script.room, posted)
    assert answer.stale == [fresh.raw]
    assert answer.absent == [identity(OWNER), identity(seed(4))]
    (row,) = stage.decision.writes
    assert row == ParcelRow(row.token, identity(ANN), identity(OWNER), script.room, NOW, posted[0].parcel)
    assert effects(stage.decision, Push) == [Push(ann.id, frames.Parcel(row.token, posted[0].parcel))]
    assert stage.refusal(cem, frames.Parcels, script.room, posted) == "not-member"
    bad = [frames.ParcelTo(identity(ANN), parcel(keys)[:-1])]
    assert stage.refusal(owner, frames.Parcels, script.room, [*posted, *bad]) == "bad-parcel"


def test_parcels_are_taken_by_their_recipient_only():
    stage = Stage()
    script, (owner, ann) = stage.room(OWNER, KEY, ANN)
    keys = published(stage, ann, ANN)
    stage.ask(owner, frames.Parcels, script.room, [frames.ParcelTo(identity(ANN), parcel(keys))] * 3)
    tokens = [row.token for row in stage.decision.writes]
    assert tokens == sorted(set(tokens))
    stage.ask(owner, frames.ParcelTaken, tokens)
    assert not stage.decision.writes
    stage.ask(ann, frames.ParcelTaken, [tokens[0], tokens[0], 5, tokens[2]])
    assert stage.decision.writes == [ParcelsGone(identity(ANN), (tokens[0], tokens[2]))]
    assert len(stage.memory.mailbox(identity(ANN))) == 1


def test_parcels_in_a_direct_room():
    stage = Stage()
    _, (owner, ann) = stage.room(OWNER, KEY, ANN)
    stage.ask(owner, frames.Direct, identity(ANN))
    room = next(iter(stage.memory.directs_of[identity(ANN)]))
    keys = published(stage, ann, ANN)
    answer = stage.ask(owner, frames.Parcels, room, [frames.ParcelTo(identity(ANN), parcel(keys))])
    assert (answer.stale, answer.absent) == ([], [])
    assert isinstance(stage.decision.writes[0], ParcelRow)


def test_too_many_or_too_old_parcels_drop_the_oldest(monkeypatch):
    monkeypatch.setattr(mailbox_module, "PARCELS_PER_SENDER_MAX", 2)
    stage = Stage()
    script, (owner, ann) = stage.room(OWNER, KEY, ANN)
    keys = published(stage, ann, ANN)
    stage.ask(owner, frames.Parcels, script.room, [frames.ParcelTo(identity(ANN), parcel(keys))] * 3)
    rows = [write for write in stage.decision.writes if isinstance(write, ParcelRow)]
    assert ParcelsGone(identity(ANN), (rows[0].token,)) in stage.decision.writes
    stage.hub.gone(ann, stage.now)
    stage.now += PARCEL_LIFE_MS + 1
    decision = stage.hub.expire(stage.now)
    assert decision.writes == [ParcelsGone(identity(ANN), (rows[1].token, rows[2].token))]
    assert not stage.memory.mailboxes


def test_old_parcels_are_dropped_at_login():
    stage = Stage()
    script, (owner, ann) = stage.room(OWNER, KEY, ANN)
    keys = published(stage, ann, ANN)
    stage.ask(owner, frames.Parcels, script.room, [frames.ParcelTo(identity(ANN), parcel(keys))])
    token = stage.decision.writes[0].token
    stage.now += PARCEL_LIFE_MS + 1
    session = stage.connect()
    decision = stage.play(session, frames.Login(login_answer(ANN, PIN, session.nonce)))
    assert decision.writes == [ParcelsGone(identity(ANN), (token,))]


@pytest.mark.parametrize("full", [PARCEL_BYTES * 2, PARCEL_BYTES * 3 - 1])
def test_a_mailbox_is_bounded_in_bytes(monkeypatch, full):
    monkeypatch.setattr(mailbox_module, "PARCELS_PER_RECIPIENT_BYTES_MAX", full)
    box = Mailbox()
    shed = []
    for token in range(4):
        sender, room = identity(seed(token + 1)), RoomId(bytes(32))
        box.add(Waiting(token, sender, room, NOW, PARCEL_BYTES))
        shed += box.shed(NOW, sender, room)
    assert shed == [0, 1]
    assert box.bytes == 2 * PARCEL_BYTES
    box.drop(99)
    assert 2 in box
    assert 0 not in box


def test_tokens_never_repeat_after_a_restart():
    stage = Stage()
    first = stage.memory.token()
    later = Stage()
    later.memory.put_waiting([(first, identity(ANN), identity(BEN), RoomId(bytes(32)), NOW, 10)])
    assert later.memory.token() > first


def test_damaged_bundles_of_the_store_are_left_out():
    stage = Stage()
    keys = bundle(ANN)
    good = BundleRow(identity(ANN), keys.id, keys.raw, keys.counter, 0)
    bad = BundleRow(identity(BEN), keys.id, spoiled(keys.raw), keys.counter, 0)
    stage.memory.put_bundles([good, bad])
    assert set(stage.memory.bundles) == {identity(ANN)}


def test_as_many_strangers_have_a_bundle_as_there_is_place_for(monkeypatch):
    from chaton.relay.hub import keys

    monkeypatch.setattr(keys, "BUNDLES_OF_STRANGERS_MAX", 2)
    stage = Stage()
    for who in (ANN, BEN):
        published(stage, stage.login(who), who)
    assert stage.refusal(stage.login(OWNER), frames.Publish, bundle(OWNER).raw) == "limited"


def written_until(decision):
    return [write.until for write in decision.writes if isinstance(write, BundleRow)]


def test_the_bundle_of_who_leaves_its_last_room_is_kept_ten_minutes_more():
    stage = Stage()
    script, (owner, ann) = stage.room(OWNER, KEY, ANN)
    keys = published(stage, ann, ANN)
    other = Script(OWNER)
    stage.create(owner, other)
    stage.submit(owner, other, other.invite(KEY))
    assert written_until(stage.submit(ann, other, other.join(ANN, KEY))) == [], "it is kept for good already"
    assert written_until(stage.submit(ann, script, script.sign(ANN, Leave(script.inst(ANN))))) == []
    last = stage.submit(ann, other, other.sign(ANN, Leave(other.inst(ANN))))
    assert written_until(last) == [NOW + BUNDLE_OF_STRANGER_MS]
    stage.now += BUNDLE_OF_STRANGER_MS - 1
    assert listed(stage, owner, ANN) == [keys.raw]
    stage.now += 1
    assert listed(stage, owner, ANN) == []


def test_who_is_left_with_a_direct_room_alone_keeps_its_bundle():
    stage = Stage()
    script, (owner, ann) = stage.room(OWNER, KEY, ANN)
    keys = published(stage, ann, ANN)
    stage.ask(owner, frames.Direct, identity(ANN))
    assert written_until(stage.submit(ann, script, script.sign(ANN, Leave(script.inst(ANN))))) == []
    stage.now += BUNDLE_OF_STRANGER_MS
    stage.hub.expire(stage.now)
    assert listed(stage, owner, ANN) == [keys.raw]


def test_a_lost_bundle_is_unknown_again():
    stage = Stage()
    _, (owner, ann) = stage.room(OWNER, KEY, ANN)
    store = MemoryStore()
    mine = published(stage, owner, OWNER)
    store.commit(stage.decision.writes)
    published(stage, ann, ANN)
    reload(stage.memory, store, stage.decision.writes)()
    assert listed(stage, owner, OWNER, ANN) == [mine.raw]


def test_a_lost_parcel_is_unknown_again_and_one_that_was_written_is_not():
    stage = Stage()
    script, (owner, ann) = stage.room(OWNER, KEY, ANN)
    store, keys = MemoryStore(), published(stage, ann, ANN)
    tokens = []
    for _ in range(2):
        lost = stage.ask(owner, frames.Parcels, script.room, [frames.ParcelTo(identity(ANN), parcel(keys))])
        assert isinstance(lost, frames.ParcelsStored)
        tokens.append(stage.decision.writes[0].token)
        if len(tokens) == 1:
            store.commit(stage.decision.writes)
    reload(stage.memory, store, stage.decision.writes)()
    stage.ask(ann, frames.ParcelTaken, tokens)
    assert stage.decision.writes == [ParcelsGone(identity(ANN), (tokens[0],))]


def test_a_parcel_waits_to_the_end_of_its_fourteenth_day():
    box, sender, room = Mailbox(), identity(ANN), RoomId(bytes(32))
    box.add(Waiting(7, sender, room, NOW, PARCEL_BYTES))
    assert box.expire(NOW + PARCEL_LIFE_MS) == []
    assert box.expire(NOW + PARCEL_LIFE_MS + 1) == [7]


def test_an_empty_mailbox_remembers_nobody():
    box = Mailbox()
    for token in range(4):
        box.add(Waiting(token, identity(seed(token % 2)), RoomId(bytes(32)), NOW, PARCEL_BYTES))
    for token in range(4):
        box.drop(token)
    assert (len(box), box.bytes, box._by_source) == (0, 0, {})
