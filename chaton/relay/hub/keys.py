"""Bundles and the parcels sealed to them (docs/protocol.md §§4, 5)."""

from chaton.errors import BadSignature, BundleRefused, Malformed
from chaton.identity.bundle import PARCEL_BYTES, Bundle, parcel_recipient
from chaton.identity.ids import BundleId, Identity, RoomId
from chaton.limits import BUNDLE_OF_STRANGER_MS
from chaton.relay.hub.effects import Decision, Pages, Push, Reply
from chaton.relay.hub.mailbox import Waiting
from chaton.relay.hub.memory import BUNDLES_OF_STRANGERS_MAX, Keys, Memory, Session
from chaton.relay.hub.refusals import No
from chaton.relay.store.base import BundleRow, ParcelRow, ParcelsGone
from chaton.wire.frames import (
    BundleList,
    Bundles,
    Done,
    Parcel,
    Parcels,
    ParcelsStored,
    ParcelTaken,
    Publish,
)
from chaton.wire.parts import ParcelTo


def publish(memory: Memory, session: Session, who: Identity, frame: Publish, now: int) -> Decision:
    """Make a bundle its owner's current one, if it is the owner's and not older than the last.

    Who is in no room shows the same one again before it joins: its 10 minutes begin anew.
    """
    bundle = _own_bundle(frame.bundle, who, now)
    decision = Decision((session.id, frame.ref), then=[Reply(session.id, Done(frame.ref))])
    last = memory.bundles.get(who)
    if last is not None:
        try:
            bundle.check_counter(last.row.counter, last.row.bundle_id)
        except BundleRefused as cause:
            raise No("old-bundle") from cause
    until = 0
    if not memory.belongs(who):
        until = now + BUNDLE_OF_STRANGER_MS
        _make_place(memory, who, now)
    row = BundleRow(who, bundle.id, bundle.raw, bundle.counter, until)
    if last is None or row != last.row:
        memory.bundles[who] = Keys(row, bundle.expires)
        decision.writes.append(row)
    return decision


def _own_bundle(raw: bytes, who: Identity, now: int) -> Bundle:
    try:
        bundle = Bundle.decode(raw)
    except (Malformed, BadSignature) as cause:
        raise No("bad-bundle") from cause
    if bundle.identity != who:
        raise No("bad-bundle")
    try:
        bundle.check_time(now)
    except BundleRefused as cause:
        raise No("clock") from cause
    return bundle


def _make_place(memory: Memory, who: Identity, now: int) -> None:
    """Bound how many bundles of non-members are kept: anybody can make identities."""
    if who in memory.bundles:
        return
    memory.forget_strangers(now)
    strangers = sum(1 for keys in memory.bundles.values() if keys.row.until)
    if strangers >= BUNDLES_OF_STRANGERS_MAX:
        raise No("limited", retry_ms=BUNDLE_OF_STRANGER_MS)


def bundles(memory: Memory, session: Session, _who: Identity, frame: Bundles, now: int) -> Decision:
    """Tell the current bundles of some identities, of those that have one."""
    found = (memory.keys(Identity(identity), now) for identity in dict.fromkeys(frame.identities))
    listed = BundleList(frame.ref, [keys.row.raw for keys in found if keys is not None])
    return Decision((session.id, frame.ref), then=[Pages(session.id, (listed,))])


def parcels(memory: Memory, session: Session, who: Identity, frame: Parcels, now: int) -> Decision:
    """Store parcels for members of a room, and tell which must be sealed again or have nobody to go to."""
    room = memory.room(frame.room)
    room.member(who)
    sealed_to = [_recipient(item) for item in frame.parcels]
    decision = Decision((session.id, frame.ref))
    stale: dict[Identity, bytes] = {}
    absent: dict[Identity, None] = {}
    for item, bundle_id in zip(frame.parcels, sealed_to, strict=True):
        to = Identity(item.to)
        keys = memory.keys(to, now) if to in room.state.members else None
        if keys is None:
            absent[to] = None
        elif keys.row.bundle_id != bundle_id:
            stale[to] = keys.row.raw
        else:
            _store(memory, ParcelRow(memory.token(), to, who, room.id, now, item.parcel), decision)
    stored = ParcelsStored(frame.ref, list(stale.values()), list(absent))
    decision.then.append(Pages(session.id, (stored,)))
    return decision


def _recipient(item: ParcelTo) -> BundleId:
    try:
        return parcel_recipient(item.parcel)
    except Malformed as cause:
        raise No("bad-parcel") from cause


def _store(memory: Memory, row: ParcelRow, decision: Decision) -> None:
    mailbox = memory.mailbox(row.to)
    mailbox.add(Waiting(row.token, row.sender, RoomId(row.room), row.at, PARCEL_BYTES))
    decision.writes.append(row)
    shed = mailbox.shed(row.at, row.sender, row.room)
    if shed:
        decision.writes.append(ParcelsGone(row.to, tuple(shed)))
    session = memory.online.get(row.to)
    if session is not None:
        decision.then.append(Push(session.id, Parcel(row.token, row.raw)))


def taken(memory: Memory, session: Session, who: Identity, frame: ParcelTaken, _now: int) -> Decision:
    """Delete parcels that their recipient has taken; what is not its own, or gone already, is passed over."""
    mailbox = memory.mailbox(who)
    tokens = tuple(token for token in dict.fromkeys(frame.tokens) if token in mailbox)
    for token in tokens:
        mailbox.drop(token)
    decision = Decision((session.id, frame.ref), then=[Reply(session.id, Done(frame.ref))])
    if tokens:
        decision.writes.append(ParcelsGone(who, tokens))
    return decision
