"""JSON events: what ``--json`` prints (docs/guide.md lists each key and code).

Keys are only ever added. Every text comes from a notice or a reply, where it is safe already.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from chaton.client import replies
from chaton.client.news import Progress
from chaton.client.replies import LineFacts, Lines
from chaton.client.words import time_text
from chaton.errors import ChatonError, Refused
from chaton.session import notices

Event = dict[str, Any]
VERSION: Final = 1


def event(name: str, room: object, /, **keys: Any) -> Event:
    """One event: the keys that all have, then its own."""
    return {"v": VERSION, "event": name, "room": str(room) if room else None, **keys}


def of_notice(notice: object) -> Event | None:
    """The event of a notice; None for what has none."""
    make = _OF_NOTICE.get(type(notice))
    return make(notice) if make is not None else None


def of_line(room: str, line: LineFacts) -> Event:
    """A line as ``Tail`` gives it."""
    return event(
        "message", room, seq=line.seq, at=time_text(line.at), id=line.id, sender=line.sender, identity=line.identity,
        kind=line.kind, text=line.text, to=line.to, own=line.own, re=line.re, file=line.file,
        file_size=line.file_size if line.file else None,
    )  # fmt: skip


def of_reply(reply: replies.Reply) -> list[Event]:
    """The events of an answer: one for each line of a ``Lines``, else one with the answer's own keys."""
    if isinstance(reply, Lines):
        return [of_line(reply.room, line) for line in reply.lines]
    keys: Event = _untagged(msgspec.to_builtins(reply))
    return [event(_REPLY_NAMES[type(reply)], keys.pop("room", None), **_with_times(keys))]


def _untagged(keys: Event) -> Event:
    """Without the names of our classes, which msgspec writes into a reply and a reply inside of one."""
    lists = {key: value for key, value in keys.items() if isinstance(value, list)}
    cleaned = {key: [_untagged(one) if isinstance(one, dict) else one for one in value] for key, value in lists.items()}
    return {key: value for key, value in (keys | cleaned).items() if key != "type"}


def of_refusal(room: str, error: ChatonError, ref: int | None) -> Event:
    """A line or command that failed."""
    code = error.code if isinstance(error, Refused) else CODES.get(type(error).__name__, "failed")
    return event("refused", room, code=code, detail=str(error), ref=ref)


CODES: Final[Mapping[str, str]] = {
    "UsageError": "usage",
    "Unreachable": "unreachable",
    "SecurityStop": "security",
    "PinMismatch": "pin-mismatch",
    "Fork": "fork",
    "InvalidLog": "invalid-log",
}

_REPLY_NAMES: Final[dict[type, str]] = {
    replies.Ok: "ok", replies.RoomFacts: "room", replies.RoomList: "rooms", replies.SentFacts: "sent",
    replies.Saved: "saved",
    replies.MemberList: "members", replies.LogLines: "log", replies.Codes: "codes", replies.LinkText: "link",
    replies.InviteList: "invites", replies.Signed: "signed",
}  # fmt: skip


def _with_times(keys: Event) -> Event:
    """Times are given as text, as in ``at``: no reader has to know which numbers are times."""
    for key, value in keys.items():
        if key in {"expires", "t"}:
            keys[key] = time_text(value)
        elif isinstance(value, list):
            keys[key] = [_with_times(one) if isinstance(one, dict) else one for one in value]
    return keys


# --- notices ---


def _joined(notice: notices.Joined) -> Event:
    members = [
        {"nick": one.nick, "identity": str(one.identity), "role": one.role.name.lower(), "online": one.online}
        for one in notice.members
    ]
    return event(
        "joined", notice.room, room_id=str(notice.room), nick=notice.nick, identity=str(notice.identity),
        members=members, name=notice.name, topic=notice.topic,
    )  # fmt: skip


def _said(notice: notices.Said) -> Event:
    more = {} if notice.added else {"added": False}
    return event(
        "message", notice.room, seq=notice.seq, at=time_text(notice.at), id=str(notice.id), sender=notice.sender,
        identity=str(notice.identity), kind=notice.kind, text=notice.text, to=notice.to, own=notice.own,
        re=str(notice.re) if notice.re else None, file=notice.file.name if notice.file else None,
        file_size=notice.file.size if notice.file else None, **more,
    )  # fmt: skip


def _member(notice: notices.MemberChanged) -> Event:
    more = {"detail": notice.detail} if notice.detail else {}
    return event(
        "member", notice.room, action=notice.action, nick=notice.nick, identity=str(notice.identity), by=notice.by,
        reason=notice.reason, n=notice.n, **more,
    )  # fmt: skip


def _link_wanted(notice: notices.LinkWanted) -> Event:
    detail = f"{notice.by} removed somebody whose link had {notice.uses} uses left: an admin may make another"
    return event("warning", notice.room, code="link-wanted", detail=detail)


_OF_NOTICE: Final[dict[type, Callable[[Any], Event]]] = {
    notices.Joined: _joined,
    notices.Said: _said,
    notices.MemberChanged: _member,
    notices.LinkWanted: _link_wanted,
    notices.Waiting: lambda one: event(
        "warning", one.room, code="waiting", detail="an admin of the room has to admit you"
    ),
    notices.Redacted: lambda one: event("redacted", one.room, id=str(one.message), by=one.by, n=one.n),
    notices.TopicChanged: lambda one: event("topic", one.room, text=one.text, by=one.by, name=one.name),
    notices.PresenceChanged: lambda one: event("presence", one.room, nick=one.nick, online=one.online),
    notices.Warned: lambda one: event("warning", one.room, code=one.code, detail=one.detail),
    notices.Rejected: lambda one: event("refused", one.room, code=one.code, detail=one.detail, ref=one.ref),
    notices.Ended: lambda one: event("closed", one.room, code=one.code, detail=one.detail),
    notices.Working: lambda one: event("working", one.room, what=one.what, done=one.done, total=one.total),
    Progress: lambda one: event("progress", one.room, name=one.name, done=one.done, total=one.total, up=one.up),
}  # fmt: skip
