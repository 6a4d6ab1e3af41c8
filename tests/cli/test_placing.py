"""Where a new room is made when nobody says it: as in the rooms that one has."""

import pytest

from chaton.cli.placing import Place, completed
from chaton.client.replies import RoomFacts
from chaton.errors import UsageError

ME = "0123abcd" * 8
UNSAID = Place("", "", "")


def room(relay, pin, nick="ada"):
    return RoomFacts(room="r", name="ops", topic="", nick=nick, identity=ME, status="in", relay=relay, pin=pin * 64)


@pytest.mark.parametrize(
    ("given", "rooms", "whole"),
    [
        (UNSAID, [room("x:1", "a")], Place("x:1", "a" * 64, "ada")),
        (UNSAID, [room("x:1", "a"), room("x:1", "a", "ann"), room("x:1", "a", "ann")], Place("x:1", "a" * 64, "ann")),
        # The digits that tell two of a nick apart are none of it.
        (UNSAID, [room("x:1", "a", f"ada~{ME[:8]}")], Place("x:1", "a" * 64, "ada")),
        (Place("y:2", "", ""), [room("x:1", "a"), room("y:2", "b", "ann")], Place("y:2", "b" * 64, "ann")),
        (Place("", "b" * 64, ""), [room("x:1", "a"), room("[::1]:2", "b")], Place("[::1]:2", "b" * 64, "ada")),
        (Place("z:3", "c" * 64, ""), [room("x:1", "a")], Place("z:3", "c" * 64, "ada")),
        (Place("z:3", "c" * 64, ""), [], Place("z:3", "c" * 64, "")),
    ],
)
def test_what_is_not_said_is_as_in_the_rooms_that_one_has(given, rooms, whole):
    assert completed(given, rooms) == whole


@pytest.mark.parametrize(
    ("given", "rooms", "why"),
    [
        (UNSAID, [], "no room yet"),
        (UNSAID, [room("x:1", "a"), room("y:2", "b")], "several relays: x:1, y:2"),
        (Place("z:3", "", ""), [room("x:1", "a")], "no room yet at z:3"),
        (Place("", "c" * 64, ""), [room("x:1", "a")], "no room yet on a relay with that pin"),
        (UNSAID, [room("x:1", "")], "no room yet"),  # From a program of before, which tells no pins.
    ],
)
def test_a_relay_is_not_guessed(given, rooms, why):
    with pytest.raises(UsageError, match=why) as refused:
        completed(given, rooms)
    assert "--relay HOST:PORT" in refused.value.hint


def test_what_is_taken_is_told(capsys):
    completed(UNSAID, [room("x:1", "a")])
    completed(Place("x:1", "a" * 64, "ada"), [room("x:1", "a")])
    assert capsys.readouterr().err == f"* as in your rooms: relay x:1, pin {'a' * 16}…, nick ada\n"
