"""Where a new room is made, and as whom one is there: what nobody has said is as in the rooms that one has already."""

from collections import Counter
from dataclasses import dataclass, replace

from chaton.cli.common import parse_address
from chaton.cli.face import Backend
from chaton.cli.output import tell
from chaton.client.replies import RoomFacts, RoomList
from chaton.client.requests import Rooms
from chaton.client.words import nick
from chaton.errors import UsageError

_PIN_DIGITS = 16  # Shown of a pin: enough to recognise it by.


@dataclass(frozen=True, slots=True)
class Place:
    """A relay's HOST:PORT and pin, and one's nick there; each is empty where nobody has said it."""

    relay: str
    pin: str
    nick: str


async def rooms_of(backend: Backend) -> list[RoomFacts]:
    """The rooms that one is in. A direct one tells nothing that the room one met in does not."""
    told = await backend.perform(Rooms())
    assert isinstance(told, RoomList)
    return [one for one in told.rooms if one.status == "in" and not one.peer]


def completed(place: Place, rooms: list[RoomFacts]) -> Place:
    """The place with what these rooms know of it, and that is told; the nick stays empty where there is none.

    Raises:
        UsageError: They know no such relay, or several.
    """
    there = [one for one in rooms if _is_at(one, place)]
    whole = place
    if not (place.relay and place.pin):
        known = _only_relay(place, there)
        whole = replace(place, relay=place.relay or known.relay, pin=place.pin or known.pin)
    if not place.nick:
        whole = replace(whole, nick=_usual_nick(there or rooms))
    _tell_taken(place, whole)
    return whole


def _is_at(room: RoomFacts, place: Place) -> bool:
    is_there = not place.relay or parse_address(room.relay) == parse_address(place.relay)
    return is_there and place.pin in {"", room.pin}


def _only_relay(place: Place, there: list[RoomFacts]) -> RoomFacts:
    relays = {one.pin: one for one in there if one.pin}  # An older program that has the profile open tells none.
    if len(relays) > 1:
        known = ", ".join(sorted(one.relay for one in relays.values()))
        hint = "name the one that is meant: --relay HOST:PORT"
        raise UsageError(f"you have rooms on several relays: {known}", hint=hint)
    for one in relays.values():
        return one
    where = f" at {place.relay}" if place.relay else " on a relay with that pin" if place.pin else ""
    sentence = f"you have no room yet{where}, so the relay and its pin have to be named"
    raise UsageError(sentence, hint="--relay HOST:PORT --pin PIN; chaton serve prints both")


def _usual_nick(rooms: list[RoomFacts]) -> str:
    """The nick that one has in most of these rooms, without the digits that tell it from one that is alike."""
    nicks = Counter(one.nick.removesuffix(f"~{one.identity[:8]}") for one in rooms)
    return max(nicks, key=lambda nick: nicks[nick], default="")


def _tell_taken(given: Place, whole: Place) -> None:
    taken = [f"relay {whole.relay}"] * (not given.relay) + [f"pin {whole.pin[:_PIN_DIGITS]}…"] * (not given.pin)
    taken += [f"nick {nick(whole.nick)}"] * bool(whole.nick and not given.nick)
    if taken:
        tell(f"* as in your rooms: {', '.join(taken)}")
