"""Answers as lines for people: what every client shows for a command."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from chaton.client import replies
from chaton.client.words import count, local_time, nick, size_text, whole

_NS_IN_MS: Final = 1_000_000


def of_reply(reply: replies.Reply) -> list[str]:
    """What to show for an answer that is not made of messages."""
    return _OF_REPLY[type(reply)](reply)


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Columns that line up; the last one is as long as it is."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]) for row in rows
    ]


def _rooms(reply: replies.RoomList) -> list[str]:
    if not reply.rooms:
        return ["no rooms yet: chaton join, or chaton up"]
    rows = []
    for one in reply.rooms:
        marks = [f"{one.unread} new"] * (one.unread > 0) + ["closed"] * one.closed + ["fork!"] * one.forked
        status = {"in": "", "joining": "waits to be let in"}.get(one.status, one.why or one.status)
        name = one.name or f"direct: {one.peer}"
        about = ", ".join([*([status] if status else []), *marks])
        rows.append((name, one.room[:8], count(one.members, "member"), f"as {one.nick}", one.relay, about))
    return [line.rstrip() for line in _table(rows)]


def _members(reply: replies.MemberList) -> list[str]:
    return [line.rstrip() for line in _table([_member_row(one) for one in reply.members])]


def _member_row(one: replies.MemberFacts) -> tuple[str, ...]:
    marks = {
        "online": one.online, "waits to be let in": one.pending, "muted": one.muted, "bot": one.bot, "guest": one.guest,
        "compared": one.compared, "ignored": one.ignored,
    }  # fmt: skip
    invited = [f"invited by {nick(one.invited_by)}"] if one.invited_by else []
    return (
        nick(one.nick),
        one.role,
        one.identity[:16],
        ", ".join([word for word, is_so in marks.items() if is_so] + invited),
    )


def member_lines(one: replies.MemberFacts) -> list[str]:
    """Everything about one person."""
    lines = [" ".join(_member_row(one)), f"identity {one.identity}"]
    return lines + ([f"safety code with you: {one.code}"] if one.code else [])


def _log(reply: replies.LogLines) -> list[str]:
    rows = [
        (f"{line.n}", local_time(line.t), whole(line.what), f"signed by {nick(line.signer)} ({line.identity[:8]})")
        for line in reply.lines
    ]
    return [*_table(rows), f"every line is checked; head {reply.head}"]


def _codes(reply: replies.Codes) -> list[str]:
    lines = [f"room, up to record {reply.n}:  {reply.code}"]
    if reply.pair:
        state = "compared before" if reply.compared else "not compared yet"
        lines.append(f"{nick(reply.nick)} ({reply.identity[:8]}) and you:  {reply.pair}  ({state})")
    if reply.forked:
        lines.append("a FORK was seen: sending is stopped until you compare and say ok")
    return [*lines, "compare over another channel, such as a call; equal codes mean that nobody is between you"]


def _invites(reply: replies.InviteList) -> list[str]:
    if not reply.invites:
        return ["no live invites"]
    rows, now = [], time.time_ns() // _NS_IN_MS
    for one in reply.invites:
        flags = [word for word, is_so in {"guest": one.guest, "post-only": one.post_only}.items() if is_so]
        about = ", ".join([f"by {nick(one.creator)}", *flags])
        rows.append((f"{one.n}", f"{count(one.uses_left, 'use')} left", _until(one.expires, now), about))
    return _table(rows)


def _until(expires: int, now: int) -> str:
    return f"until {local_time(expires)}" if expires > now else f"expired {local_time(expires)}"


def _signed(reply: replies.Signed) -> list[str]:
    lines = [f"{reply.what}, record {reply.n}"]
    if reply.link:
        lines += ["the link they came by had uses left and is deleted; this one takes its place:", reply.link]
    if reply.lost_uses:
        lines.append(
            f"the link they came by had {count(reply.lost_uses, 'use')} left and is deleted; the admins were told"
        )
    return lines


def _link(reply: replies.LinkText) -> list[str]:
    return [reply.link]


def _room(reply: replies.RoomFacts) -> list[str]:
    name = reply.name or f"direct messages with {nick(reply.peer)}"
    return [
        f"{name}, as {nick(reply.nick)}, {count(reply.members, 'member')}",
        whole(f"topic: {reply.topic or '(none)'}"),
    ]


_OF_REPLY: Final[dict[type, Callable[[Any], list[str]]]] = {
    replies.Ok: lambda _reply: ["done"],
    replies.RoomFacts: _room,
    replies.RoomList: _rooms,
    replies.SentFacts: lambda _reply: [],
    replies.Saved: lambda reply: [f"saved as {reply.path}, {size_text(reply.size)}"],
    replies.MemberList: _members,
    replies.LogLines: _log,
    replies.Codes: _codes,
    replies.LinkText: _link,
    replies.InviteList: _invites,
    replies.Signed: _signed,
}  # fmt: skip
