"""From what people write to what is meant: ROOM, WHO, and the id of a message.

A whole id is an id and never a name, because others choose the names. What fits several, be it by name or by the
beginning of an id, is refused with all that it fits, so that nobody is kicked by mistake.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from chaton.errors import Malformed, Refused, UsageError
from chaton.identity.ids import Fixed, Identity, MessageId
from chaton.room.names import nick_key
from chaton.session.room import Room
from chaton.session.text import clean_line

HEX_DIGITS_MIN: Final = 8
_WHOLE_DIGITS: Final = 64
_CANDIDATES_MAX: Final = 10
_HEX: Final = re.compile(rf"[0-9a-f]{{{HEX_DIGITS_MIN},64}}")


def title(room: Room) -> str:
    """A room's name; of a direct room ``@`` and the other one's nick. Safe to show."""
    return f"@{room.teller.called(room.entry.peer)}" if room.entry.peer else str(room.teller.name)


def find_room(rooms: Sequence[Room], text: str) -> Room:
    """The room that is meant by a name, ``@NICK`` for a direct room, or at least 8 hex digits of its id.

    Rooms that one is in count before those that one was in.

    Raises:
        UsageError: Several fit, or none.
    """
    wanted = text.strip().casefold()
    named = [] if _is_whole(wanted) else [room for room in rooms if _is_called(room, wanted)]
    begun = [room for room in rooms if _begins(room.view.room, wanted)]
    found = _current_first(named) + [room for room in _current_first(begun) if not any(room is one for one in named)]
    if not found:
        raise UsageError(f"no room of this profile is called {_quoted(text)}", hint="see chaton rooms")
    if len(found) > 1:
        candidates = (f"{title(room)} {room.view.room.short} on {room.entry.host}" for room in found)
        raise _ambiguous("rooms", text, candidates)
    return found[0]


def _is_called(room: Room, wanted: str) -> bool:
    """Whether a room has that name. ``@`` is for direct rooms alone: no room may pass for one by its name."""
    return bool(room.entry.peer) == wanted.startswith("@") and title(room).casefold() == wanted


def _current_first(found: list[Room]) -> list[Room]:
    return [room for room in found if room.entry.status == "in"] or found


def find_person(room: Room, text: str) -> Identity:
    """Who is meant by a nick, or at least 8 hex digits of an identity.

    Those who are in the room or wait count before those who were in it or are banned. A whole identity is taken as it
    is, so that somebody may be banned before ever coming in.

    Raises:
        UsageError: Several fit.
        Refused: Nobody fits.
    """
    wanted = text.strip().removeprefix("@")
    if _is_whole(wanted.casefold()):
        return _whole_identity(wanted.casefold(), text)
    state = room.view.state
    present = dict.fromkeys((*state.members, *state.pending))
    known = dict.fromkeys((*present, *(seat.identity for seat in room.view.register.seats.values()), *state.banned))
    key = nick_key(wanted)
    tries: list[tuple[Iterable[Identity], Callable[[Identity], bool]]] = [
        (present, lambda who: nick_key(room.teller.called(who)) == key),
        (known, lambda who: nick_key(room.teller.called(who)) == key),
        (known, lambda who: nick_key(_bare_nick(room, who)) == key),
    ]
    if _HEX.fullmatch(wanted.casefold()):
        # Nobody may pass for somebody else by a nick that is the beginning of an identity.
        fits_both = lambda who: _begins(who, wanted.casefold()) or nick_key(room.teller.called(who)) == key  # noqa: E731
        tries = [(known, fits_both), tries[-1]]
    for among, fits in tries:
        found = [who for who in among if fits(who)]
        if len(found) > 1:
            raise _ambiguous("people", text, (f"{room.teller.called(who)} {str(who)[:16]}" for who in found))
        if found:
            return found[0]
    raise _nobody(text)


def _whole_identity(wanted: str, text: str) -> Identity:
    try:
        return Identity.from_hex(wanted)
    except Malformed as cause:
        raise _nobody(text) from cause


def _nobody(text: str) -> Refused:
    hint = "/who lists them, or chaton members ROOM"
    return Refused("no-member", f"nobody in the room is called {_quoted(text)}", hint=hint)


def find_message(room: Room, text: str) -> MessageId:
    """The message that is meant by its id, or at least 8 hex digits of it.

    Raises:
        UsageError: Several fit.
        Refused: None fits.
    """
    found = [message for message in room.timeline.messages if _begins(message, text.strip())]
    if len(found) > 1:
        raise _ambiguous("messages", text, map(str, found))
    if not found:
        hint = "at least 8 hex digits of its id; chaton tail --json shows it"
        raise Refused("no-message", f"no message of this room has the id {_quoted(text)}", hint=hint)
    return found[0]


def find_own_message(room: Room, text: str) -> MessageId:
    """The own message that is meant; raises as ``find_message``, and ``Refused`` for one of somebody else."""
    found = find_message(room, text)
    if room.timeline.messages[found].sender != room.view.me:
        sentence = "only its author edits or takes back a message"
        raise Refused("not-allowed", sentence, hint="/redact hides it")
    return found


def _bare_nick(room: Room, who: Identity) -> str:
    """The last nick of somebody who is out, without the digits that tell it apart."""
    return room.teller.called(who).removesuffix(f"~{who.short}")


def _is_whole(text: str) -> bool:
    return len(text) == _WHOLE_DIGITS and bool(_HEX.fullmatch(text))


def _begins(identifier: Fixed, text: str) -> bool:
    return bool(_HEX.fullmatch(text)) and str(identifier).startswith(text)


def _quoted(text: str) -> str:
    return f"“{clean_line(text[:80])}”"


def _ambiguous(what: str, text: str, candidates: Iterable[str]) -> UsageError:
    named = sorted(candidates)
    more = f" and {len(named) - _CANDIDATES_MAX} more" if len(named) > _CANDIDATES_MAX else ""
    listed = ", ".join(named[:_CANDIDATES_MAX])
    return UsageError(
        f"{_quoted(text)} fits several {what}: {listed}{more}", hint="write more of the one that is meant"
    )
