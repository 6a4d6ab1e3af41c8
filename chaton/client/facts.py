"""Rooms, people and records as replies: what ``chaton.client.requests`` answers with."""

from chaton.client.line import Line
from chaton.client.naming import mentions
from chaton.client.replies import InviteFacts, LineFacts, LogLine, MemberFacts, RoomFacts
from chaton.client.resolve import title
from chaton.identity.ids import Identity, InviteKey
from chaton.identity.safety import pair_code
from chaton.room.records import Invite, InviteFlag
from chaton.room.state import Member
from chaton.session.keyring import Peers
from chaton.session.notices import Said
from chaton.session.room import Room
from chaton.session.text import clean_line


def room_facts(room: Room, line: Line) -> RoomFacts:
    """A room as it stands, and the line to its relay."""
    entry, teller, state, me = room.entry, room.teller, room.view.state, room.context.me
    new = [said for said in room.timeline.backlog(entry.read_s) if not said.own]
    nick, chain = str(teller.called(me)), room.sender.chain
    return RoomFacts(
        room=str(room.view.room),
        name=title(room) if entry.peer else str(teller.name),
        topic=str(teller.topic),
        nick=nick,
        identity=str(me),
        status=entry.status,
        relay=line.name,
        pin=str(line.addresses[0].pin),
        why=str(clean_line(entry.why_detail or entry.why)),
        peer=str(teller.called(entry.peer)) if entry.peer else "",
        role=room.member.role.name.lower() if room.member else "",
        read=entry.read_s,
        unread=len(new),
        mentions=sum(mentions(said.text, nick) for said in new),
        connection=line.state.state,
        trouble=str(line.state.detail),
        turned=chain.born if chain is not None else 0,
        draft=entry.draft,
        members=len(state.members),
        pending=room.pending,
        forked=entry.forked,
        closed=state.closed,
    )


def line_facts(said: Said) -> LineFacts:
    """A message."""
    return LineFacts(
        seq=said.seq,
        at=said.at,
        id=str(said.id),
        sender=str(said.sender),
        identity=str(said.identity),
        kind=said.kind,
        text=str(said.text),
        to=None if said.to is None else str(said.to),
        own=said.own,
        re=None if said.re is None else str(said.re),
        file=None if said.file is None else str(said.file.name),
        file_size=0 if said.file is None else said.file.size,
    )


def member_facts(room: Room, peers: Peers) -> list[MemberFacts]:
    """Who is in a room, by rank and name, then who waits to be let in."""
    seated = [room.view.state.members[person.identity] for person in room.teller.people()]
    waiting = list(room.view.state.pending.values())
    inviters = _inviters(room)
    return [_member(room, peers, one, inviters, pending=False) for one in seated] + [
        _member(room, peers, one, inviters, pending=True) for one in waiting
    ]


def _member(
    room: Room, peers: Peers, member: Member, inviters: dict[InviteKey, Identity], *, pending: bool
) -> MemberFacts:
    who, me = member.identity, room.context.me
    inviter = inviters.get(member.invite)
    known = peers.entry(who)
    return MemberFacts(
        nick=str(room.teller.called(who)),
        identity=str(who),
        role=member.role.name.lower(),
        online=who in room.teller.online or who == me,
        muted=member.muted,
        bot=not member.reads,
        guest=member.guest,
        pending=pending,
        compared=known.compared,
        ignored=known.ignored,
        invited_by="" if inviter is None else str(room.teller.called(inviter)),
        code="" if who == me else pair_code(me, who),
    )


def _inviters(room: Room) -> dict[InviteKey, Identity]:
    return {record.body.key: record.actor for record in room.view.records if isinstance(record.body, Invite)}


def log_lines(room: Room) -> list[LogLine]:
    """The whole log. Every record in it was checked when it was taken in: signature, place, and right."""
    return [
        LogLine(
            n=record.n,
            t=record.t,
            what=room.teller.log_line(record),
            signer=str(room.teller.called(record.actor)),
            identity=str(record.actor),
        )
        for record in room.view.records
    ]


def invite_facts(room: Room) -> list[InviteFacts]:
    """The live invites, oldest first."""
    return [
        InviteFacts(
            n=live.n,
            uses_left=live.uses_left,
            expires=live.expires,
            guest=InviteFlag.GUEST in live.flags,
            post_only=InviteFlag.POST_ONLY in live.flags,
            creator=str(room.teller.called(live.creator)),
        )
        for live in sorted(room.view.state.invites.values(), key=lambda live: live.n)
    ]
