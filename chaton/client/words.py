"""The words in which every client says what happened: who did what to whom, when, how large something is."""

from datetime import UTC, datetime
from typing import Final

from chaton.session.notices import MemberChanged, Working

_LAST_SECOND: Final = 253_402_214_400  # The day before the last one, so that no time zone leaves the year 9999.
_NICK_CHARACTERS: Final = 32
_NICK_TAIL: Final = 12  # What tells two of the same nick apart stands at the end.
_NICK_HEAD: Final = _NICK_CHARACTERS - _NICK_TAIL - 1
_MIB: Final = 2**20
_KIB: Final = 2**10
_ACTIONS: Final = {
    "joined": "{nick} joined{invited}",
    "pending": "{nick} asks to be let in{invited} (/admit {nick})",
    "admitted": "{nick} was let in by {by}",
    "left": "{nick} left",
    "kicked": "{nick} {was} kicked by {by}{reason}",
    "banned": "{nick} {was} banned by {by}{reason}",
    "unbanned": "{by} lifted the ban of {nick}",
    "muted": "{nick} was muted by {by}",
    "unmuted": "{nick} may speak again, says {by}",
    "role": "{nick} is now {detail}, says {by}",
    "nick": "{nick} is now known as {detail}",
}
_WORKS: Final = {
    "key": "giving members the key: {done:,} of {total:,} done",
    "log": "reading the log: {done:,} records so far",
    "events": "opening what came meanwhile: {done:,} so far",
}


def member_sentence(notice: MemberChanged) -> str:
    """What a record did to somebody, and whose signature it bears; empty where nothing is to be told."""
    had_none = notice.nick == f"~{notice.identity.short}"  # As a room's maker, whose first nick is a record too.
    if notice.action == "nick" and (notice.nick == notice.detail or had_none):
        return ""
    reason = f": {notice.reason}" if notice.reason else ""
    by = f"{nick(notice.by)} ({notice.by_identity.short})"
    detail, put_out = nick(notice.detail), notice.action in {"kicked", "banned"}
    invited = f", invited by {detail}" if detail else ""
    who, was = ("you", "were") if notice.me and put_out else (nick(notice.nick), "was")
    return _ACTIONS.get(notice.action, "{nick}: {action} by {by}").format(
        nick=who, was=was, by=by, reason=reason, detail=detail, invited=invited, action=notice.action
    )


def end_sentence(code: str, detail: str) -> str:
    """How one's time in a room ended."""
    sentence = {
        "kicked": "you were kicked", "banned": "you were banned", "left": "you left the room",
        "closed": "the room was closed", "security": "stopped for security",
    }.get(code, f"the room ended for you ({code})")  # fmt: skip
    return f"{sentence}: {detail}" if detail else sentence


def work_sentence(work: Working) -> str:
    """What takes so long, and how far it is."""
    return _WORKS.get(work.what, "working: {done:,} done").format(done=work.done, total=work.total or 0)


def whole(text: str) -> str:
    """A text of several lines as one piece: no line of it can pass for somebody else's."""
    return text.replace("\n", "\n  | ")


def nick(text: str) -> str:
    """A nick as lines show it: none is so long, or has such brackets, that a line reads like somebody else's."""
    short = text if len(text) <= _NICK_CHARACTERS else f"{text[:_NICK_HEAD]}…{text[-_NICK_TAIL:]}"
    return short.replace("<", "‹").replace(">", "›")


def count(number: int, what: str) -> str:
    """``1 member``, ``2 members``."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def size_text(size: int) -> str:
    """A number of bytes as people say it."""
    if size >= _MIB:
        return f"{size / _MIB:.1f} MB"
    return f"{size / _KIB:.1f} KB" if size >= _KIB else f"{size} bytes"


def time_text(at: int) -> str:
    """A relay's time in ms as RFC 3339 in UTC, with its milliseconds: ``2026-03-01T12:34:56.789Z``."""
    return f"{moment(at):%Y-%m-%dT%H:%M:%S}.{at % 1_000:03}Z"


def local_minute(at: int) -> str:
    """A time in ms as a person here reads it: ``12:34``."""
    return f"{moment(at).astimezone():%H:%M}"


def local_time(at: int) -> str:
    """A time in ms with its day, as a person here reads it: ``2026-03-01 12:34``."""
    return f"{moment(at).astimezone():%Y-%m-%d %H:%M}"


def moment(at: int) -> datetime:
    """A time that others state may be any number; past the calendar's end it stays there."""
    return datetime.fromtimestamp(min(at // 1_000, _LAST_SECOND), UTC)
