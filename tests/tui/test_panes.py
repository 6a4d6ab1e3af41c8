"""The list of rooms where there are more of them than rows."""

import pytest

from chaton.tui.panes import in_sight
from tests.tui.screen import opened, rows_of, shows, until
from tests.tui.scripted import Scripted, facts

ROOMS = [f"{number:064x}" for number in range(40)]


@pytest.mark.parametrize("rows", range(12))
@pytest.mark.parametrize("total", range(12))
def test_the_current_one_is_in_sight_and_every_row_is_used(total, rows):
    for at in range(total):
        shown = in_sight(total, at, rows)
        assert at in shown or rows == 0
        marks = (shown.start > 0) + (shown.stop < total) if len(shown) < rows else 0
        assert len(shown) + marks == min(total, rows)
        assert shown.start >= 0
        assert shown.stop <= total
        if rows >= 3:
            assert len(shown) == total or marks
            assert shown.start != 1  # A row that says "1 more" could show that one.
            assert shown.stop != total - 1


def many():
    return Scripted(rooms=[facts(room, f"room {number:02}") for number, room in enumerate(ROOMS)])


def listed(window):
    """What the list of rooms shows, by row of the screen."""
    top, cells = window._rooms.region.y, window._rooms.region.width
    return [row[:cells].strip() for row in rows_of(window)[top : top + window._rooms.region.height]]


async def test_the_list_follows_to_the_current_room_and_says_what_is_left_out():
    async with opened(many(), ROOMS[0], size=(100, 14)) as (window, pilot):
        await shows(pilot, "1›room 00")
        height = len(listed(window))
        assert listed(window)[-1] == f"… {40 - height + 1} more"
        await pilot.press("ctrl+p")
        await shows(pilot, "›room 39")
        assert listed(window)[0] == f"… {40 - height + 1} more"
        assert listed(window)[-1] == "›room 39"
        await window.go(ROOMS[20])
        await shows(pilot, "›room 20")
        told = listed(window)
        left_out = [int(told[at].removeprefix("… ").removesuffix(" more")) for at in (0, -1)]
        assert sum(left_out) + height - 2 == 40
        assert told[1].endswith(f"room {left_out[0]:02}")


@pytest.mark.parametrize("current", [0, 20, 39])
async def test_a_click_goes_to_the_room_that_is_shown_there(current):
    async with opened(many(), ROOMS[current], size=(100, 14)) as (window, pilot):
        await shows(pilot, f"›room {current:02}")
        told = listed(window)
        row = next(at for at, text in enumerate(told) if "room" in text and "›" not in text)
        wanted = int(told[row].split()[-1])
        await pilot.click(window._rooms, offset=(5, row))
        await until(pilot, lambda: window.desk.current == ROOMS[wanted])


@pytest.mark.parametrize(("current", "row"), [(39, 0), (20, 0), (20, -1), (0, -1)])
async def test_a_click_on_what_is_left_out_goes_nowhere(current, row):
    async with opened(many(), ROOMS[current], size=(100, 14)) as (window, pilot):
        await shows(pilot, f"›room {current:02}")
        assert listed(window)[row].endswith("more")
        await pilot.click(window._rooms, offset=(5, row % len(listed(window))))
        await pilot.press("x")
        await until(pilot, lambda: window.talk.composer.text == "x")
        assert window.desk.current == ROOMS[current]
