"""Carrying out requests: the one place where a command, a slash command and a window come to the same deed."""

import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from chaton.client import replies
from chaton.client import requests as ask
from chaton.client.chatroom import ChatRoom
from chaton.client.facts import invite_facts, line_facts, log_lines, member_facts, room_facts
from chaton.client.pages import page, unsent
from chaton.client.replies import AnyReply
from chaton.client.requests import AnyRequest
from chaton.client.resolve import find_message, find_own_message, find_person
from chaton.errors import Malformed, UsageError
from chaton.identity.ids import Identity, Pin, RoomId
from chaton.limits import SUBMIT_ATTEMPTS_MAX
from chaton.room.link import Address
from chaton.room.records import Record, Role
from chaton.session import acts
from chaton.session.acts import Act
from chaton.session.content import Action, Content, Delete, Edit, React, Reply, Text
from chaton.session.errand import Interrupted
from chaton.session.errands import Removed
from chaton.session.room import Room

if TYPE_CHECKING:
    from chaton.client.client import Client

_RECORD_NUMBER: Final = re.compile(r"[0-9]{1,5}")


async def perform(client: "Client", request: AnyRequest) -> AnyReply:
    """Carry out a request.

    Raises:
        UsageError: It makes no sense, no room of this profile is called so, or a name fits several: then the sentence
            has the candidates.
        Refused: Nobody and nothing in the room is called so, or the room or the relay says no.
        Unreachable: The relay does not answer in time.
        SecurityStop: Nothing more should be done before a person has looked.
        StoreError: The disk refuses; it was not done.
    """
    return await _DEEDS[type(request)](client, request)


async def _connect(client: "Client", request: ask.Connect) -> replies.Ok:
    if request.now:
        client.reconnect()
    else:
        client.go_online()
    return replies.Ok()


async def _rooms(client: "Client", _request: ask.Rooms) -> replies.RoomList:
    rooms = [room_facts(room, driver.line) for driver in client.drivers for room in driver.session.rooms.values()]
    return replies.RoomList(rooms=sorted(rooms, key=lambda facts: (facts.status != "in", facts.name.casefold())))


async def _create(client: "Client", request: ask.Create) -> replies.RoomFacts:
    try:
        address = Address(request.host, request.port, Pin.from_hex(request.pin))
    except Malformed as cause:
        raise UsageError(str(cause)) from cause
    made = await client.create(
        address,
        request.name,
        nick=request.nick,
        topic=request.topic,
        approve=request.approve,
        max_members=request.max_members,
    )
    return _facts(made)


async def _join(client: "Client", request: ask.Join) -> replies.RoomFacts:
    return _facts(await client.join(request.link, nick=request.nick))


async def _open(client: "Client", request: ask.Open) -> replies.RoomFacts:
    return _facts(await client.open(request.room))


def _facts(room: ChatRoom) -> replies.RoomFacts:
    return room_facts(room.room, room.driver.line)


async def _current(client: "Client", text: str) -> ChatRoom:
    """A room brought up to date; one that is over is looked at as it was."""
    room = client.room(text)
    await room.in_step()
    return room


async def _send(client: "Client", request: ask.Send) -> replies.SentFacts | replies.Ok:
    room = client.room(request.room)
    if request.to:
        await room.in_step()  # Whom it is for may have joined since this profile was last open.
        room = await room.direct(request.to)
    if request.re:
        await _in_step_for(room, request.re)
    if not request.wait:
        room.say(_content(request, room.room), request.ref)
        return replies.Ok()
    sent = await room.send(_content(request, room.room))
    return replies.SentFacts(room=str(sent.room), seq=sent.seq, id=str(sent.id))


async def _send_file(client: "Client", request: ask.SendFile) -> replies.SentFacts:
    room = client.room(request.room)
    if request.to:
        await room.in_step()
        room = await room.direct(request.to)
    sent = await room.send_file(_whole(request.path), request.text)
    return replies.SentFacts(room=str(sent.room), seq=sent.seq, id=str(sent.id))


async def _get_file(client: "Client", request: ask.GetFile) -> replies.Saved:
    room = client.room(request.room)
    await _in_step_for(room, request.re)
    if not _has(room.room, request.re):
        # A direct message is shown in whatever room one is, and its file is fetched from there as well.
        directs = [each for each in room.driver.session.rooms.values() if each.entry.peer]
        room = next((client.room(each.view.room) for each in directs if _has(each, request.re)), room)
    path = await room.get_file(request.re, _whole(request.directory))
    return replies.Saved(room=str(room.id), path=str(path), size=path.stat().st_size)


def _whole(path: str) -> Path:
    """Who asks may be another process than this one, in another directory."""
    if not Path(path).is_absolute():
        raise UsageError(f"{path} is not a whole path", hint="begin it with a slash")
    return Path(path)


def _has(room: Room, message: str) -> bool:
    return any(str(known).startswith(message) for known in room.timeline.messages)


async def _in_step_for(room: ChatRoom, message: str) -> None:
    """A message that is named may have come since this profile was last open."""
    if not _has(room.room, message):
        await room.in_step()


def _content(request: ask.Send, room: Room) -> Content:
    if not request.text and request.kind != "delete":
        raise UsageError("there is nothing to send", hint="give a text")
    match request.kind:
        case "text":
            return Text(request.text)
        case "action":
            return Action(request.text)
    find = find_own_message if request.kind in {"edit", "delete"} else find_message
    message = find(room, request.re)
    match request.kind:
        case "reply":
            return Reply(message, request.text)
        case "edit":
            return Edit(message, request.text)
        case "delete":
            return Delete(message)
        case "react":
            return React(message, request.add, request.text)
    raise UsageError(f"there is no kind of message {request.kind!a}", hint="text, action, reply, edit, delete, react")


async def _tail(client: "Client", request: ask.Tail) -> replies.Lines:
    room = await _current(client, request.room)
    return replies.Lines(room=str(room.id), lines=[line_facts(said) for said in room.backlog(request.after)])


async def _page(client: "Client", request: ask.Page) -> replies.Lines:
    room = client.room(request.room)
    lines = page(room.room, room.driver.session.peers, request.before, request.limit)
    return replies.Lines(room=str(room.id), lines=lines, unsent=[] if request.before else unsent(room.room))


async def _search(client: "Client", request: ask.Search) -> replies.Lines:
    room, wanted = client.room(request.room), request.text.casefold()
    lines = [line_facts(said) for said in room.backlog() if wanted in said.text.casefold()]
    return replies.Lines(room=str(room.id), lines=lines)


async def _members(client: "Client", request: ask.Members) -> replies.MemberList:
    room = await _current(client, request.room) if request.wait else client.room(request.room)
    if request.wait and room.room.live:
        await room.driver.round_trip()  # Who is online is told just behind a room's events.
    return replies.MemberList(room=str(room.id), members=member_facts(room.room, room.driver.session.peers))


async def _whois(client: "Client", request: ask.Whois) -> replies.MemberList:
    everybody = await _members(client, ask.Members(room=request.room))
    room = client.room(everybody.room).room
    who = str(find_person(room, request.who))
    found = [member for member in everybody.members if member.identity == who]
    return replies.MemberList(room=everybody.room, members=found)


async def _log(client: "Client", request: ask.Log) -> replies.LogLines:
    room = await _current(client, request.room)
    return replies.LogLines(room=str(room.id), lines=log_lines(room.room), head=str(room.room.view.state.head))


async def _verify(client: "Client", request: ask.Verify) -> replies.Codes:
    room = await _current(client, request.room)
    peer = room.room.entry.peer
    who = room.find_person(request.who) if request.who else peer
    if request.ok:
        if who is not None:
            room.compared(who)
        if room.room.entry.forked and not request.who:
            room.excuse()
    return _codes(room, who)


def _codes(room: ChatRoom, who: Identity | None) -> replies.Codes:
    view, teller = room.room.view, room.room.teller
    return replies.Codes(
        room=str(room.id),
        code="" if view.state.direct else room.code(),
        n=view.state.n,
        nick="" if who is None else str(teller.called(who)),
        identity="" if who is None else str(who),
        pair="" if who is None else room.pair_code(who),
        compared=who is not None and room.driver.session.peers.entry(who).compared,
        forked=room.room.entry.forked,
    )


async def _invite(client: "Client", request: ask.Invite) -> replies.LinkText:
    room = client.room(request.room)
    link = await room.invite(
        uses=request.uses, life_ms=request.life_ms, guest=request.guest, post_only=request.post_only
    )
    live = next((live for live in room.room.view.state.invites.values() if live.n == link.n), None)
    expires = live.expires if live is not None else 0
    return replies.LinkText(room=str(room.id), link=link.encode(), n=link.n, uses=request.uses, expires=expires)


async def _invites(client: "Client", request: ask.Invites) -> replies.InviteList:
    room = await _current(client, request.room)
    return replies.InviteList(room=str(room.id), invites=invite_facts(room.room))


async def _ignore(client: "Client", request: ask.Ignore) -> replies.Ok:
    room = client.room(request.room)
    room.ignore(request.who, ignored=request.ignored)
    return replies.Ok()


async def _rekey(client: "Client", request: ask.Rekey) -> replies.Ok:
    client.room(request.room).rekey()
    return replies.Ok()


async def _seen(client: "Client", request: ask.Seen) -> replies.Ok:
    client.room(request.room).mark_read(request.seq)
    return replies.Ok()


async def _draft(client: "Client", request: ask.Draft) -> replies.Ok:
    client.room(request.room).keep_draft(request.text)
    return replies.Ok()


async def _submit(client: "Client", request: ask.Submit) -> replies.Signed:
    try:
        record = Record.decode(bytes.fromhex(request.record.strip()))
    except (Malformed, ValueError) as cause:
        hint = "chaton kick … --out FILE writes one"
        raise UsageError("this is no signed record of Chaton/1", hint=hint) from cause
    room = client.room(record.room)
    await _hand_in(room, record)
    return _signed(room, record)


async def _hand_in(room: ChatRoom, record: Record) -> None:
    """Have a signed record taken; over a connection that breaks, again, unless the log holds it by then."""
    for attempt in range(1, SUBMIT_ATTEMPTS_MAX + 1):
        try:
            await room.driver.run(room.driver.session.hand_in(record.raw))
        except Interrupted:
            if attempt == SUBMIT_ATTEMPTS_MAX:
                raise
        else:
            return
        await room.driver.until(lambda: room.room.log_current)
        if room.room.view.state.head_at(record.n) == record.head:
            return


async def _act(client: "Client", request: ask.Act) -> replies.Signed:
    # Names are looked up among who is there now, and a lost race for the log's head is less likely.
    room = client.room(request.room)
    await room.driver.run(room.driver.session.in_step(room.id))
    act = _act_of(request, room.room)
    if request.sign_only:
        return _signed(room, await room.sign(act))
    if request.what in {"kick", "ban"}:
        return _removed(room, await room.driver.run(room.driver.session.remove(room.id, act)))
    if request.what == "leave":
        return _signed(room, await room.leave())
    return _signed(room, await room.submit(act))


def _signed(room: ChatRoom, record: Record, *, link: str = "", lost_uses: int = 0) -> replies.Signed:
    what = room.room.teller.log_line(record)
    return replies.Signed(
        room=str(room.id), n=record.n, record=record.raw.hex(), what=what, link=link, lost_uses=lost_uses
    )


def _removed(room: ChatRoom, removed: Removed) -> replies.Signed:
    link = removed.link.encode() if removed.link is not None else ""
    lost = removed.lost.uses_left if removed.lost is not None and removed.link is None else 0
    return _signed(room, removed.record, link=link, lost_uses=lost)


_ACTS: Final[Mapping[str, Callable[[Room, str, str], Act]]] = {
    "kick": lambda room, who, text: acts.remove(find_person(room, who), text, ban=False),
    "ban": lambda room, who, text: acts.ban(find_person(room, who), text),
    "unban": lambda room, who, _text: acts.unban(find_person(room, who)),
    "mute": lambda room, who, _text: acts.mute(find_person(room, who), muted=True),
    "unmute": lambda room, who, _text: acts.mute(find_person(room, who), muted=False),
    "role": lambda room, who, text: acts.role(find_person(room, who), _role(text)),
    "admit": lambda room, who, _text: acts.admit(find_person(room, who)),
    "topic": lambda _room, _who, text: acts.info(None, text),
    "name": lambda _room, _who, text: acts.info(text, None),
    "nick": lambda _room, _who, text: acts.nick(text),
    "redact": lambda room, _who, text: acts.redact(find_message(room, text)),
    "uninvite": lambda _room, _who, text: acts.uninvite(_number(text)),
    "close": lambda _room, _who, text: acts.close(_successor(text)),
    "leave": lambda _room, _who, _text: acts.leave(),
}


def _act_of(request: ask.Act, room: Room) -> Act:
    make = _ACTS.get(request.what)
    if make is None:
        raise UsageError(f"there is no act {request.what!a}", hint=", ".join(_ACTS))
    return make(room, request.who, request.text)


def _role(text: str) -> Role:
    try:
        return Role[text.strip().upper()]
    except KeyError as cause:
        raise UsageError(f"there is no role {text[:40]!a}", hint="member, mod, admin, owner") from cause


def _number(text: str) -> int:
    if not _RECORD_NUMBER.fullmatch(text.strip()):
        raise UsageError("an invite is named by its record's number", hint="see chaton invites ROOM")
    return int(text)


def _successor(text: str) -> RoomId | None:
    try:
        return RoomId.from_hex(text.strip()) if text.strip() else None
    except Malformed as cause:
        raise UsageError("the room that follows is named by its whole id", hint="see chaton rooms --json") from cause


_DEEDS: Final[Mapping[type, Callable[["Client", Any], Awaitable[AnyReply]]]] = {
    ask.Connect: _connect,
    ask.Rooms: _rooms,
    ask.Create: _create,
    ask.Join: _join,
    ask.Open: _open,
    ask.Send: _send,
    ask.SendFile: _send_file,
    ask.GetFile: _get_file,
    ask.Tail: _tail,
    ask.Page: _page,
    ask.Search: _search,
    ask.Members: _members,
    ask.Whois: _whois,
    ask.Log: _log,
    ask.Verify: _verify,
    ask.Invite: _invite,
    ask.Invites: _invites,
    ask.Ignore: _ignore,
    ask.Rekey: _rekey,
    ask.Seen: _seen,
    ask.Draft: _draft,
    ask.Submit: _submit,
    ask.Act: _act,
}
