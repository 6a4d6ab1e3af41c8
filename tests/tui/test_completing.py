"""What Tab makes of what is typed, and the help above it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaton.client import slash
from chaton.tui.completing import Scene, complete, hint

SCENE = Scene(nicks=["ben", "Bea", "anna lee", "cleo"], rooms=["ops", "lobby", "@ben"])


def choices(before, scene=SCENE):
    return list(complete(before, scene).choices)


def completed(before, scene=SCENE):
    """What stands there after the first Tab."""
    found = complete(before, scene)
    return before[: found.start] + found.choices[0]


def test_a_nick_that_begins_a_text_is_addressed_and_one_within_is_named():
    assert completed("be") == "ben: "
    assert completed("ask be") == "ask ben "
    assert completed("one\nbe") == "one\nben "
    assert choices("be") == ["ben: ", "Bea: "]
    assert completed("@CL") == "cleo: "


def test_whoever_spoke_last_is_proposed_first():
    assert choices("b", Scene(nicks=["Bea", "ben"])) == ["Bea: ", "ben: "]


@pytest.mark.parametrize("before", ["", "hello ", "zz", "@", "hello zz"])
def test_where_nothing_fits_nothing_is_proposed(before):
    assert choices(before) == []


def test_commands():
    assert completed("/ki") == "/kick "
    assert len(choices("/")) == len(slash.COMMANDS)
    assert choices("/RE") == choices("/re")
    assert "/reconnect " in choices("/re")
    assert choices("//ki") == []
    assert choices("/nothing-such be") == []


def test_the_arguments_of_commands():
    assert completed("/kick be") == "/kick ben "
    assert completed("/kick ben be") == "/kick ben ben "  # A reason is a text like any other.
    assert completed("/role ben ad") == "/role ben admin "
    assert completed("/role anna lee mo") == "/role anna lee mod "
    assert completed("/open lo") == "/open lobby "
    assert completed("/help ki") == "/help kick"
    assert completed("/react #3 :smil") in {"/react #3 🙂", "/react #3 😄", "/react #3 😊", "/react #3 😀"}
    assert choices("/msg @an") == ["anna lee "]


def test_several_lines_are_no_command():
    assert completed("/kick x\nbe") == "/kick x\nben "


def test_emoji_by_their_names():
    assert completed("great :tad") == "great 🎉 "
    assert choices(":t") == []  # Too many fit a single letter.
    assert choices("at 12:30") == []


def test_an_emoji_is_listed_with_its_name():
    found = complete("great :ta", SCENE)
    assert dict(zip(found.choices, found.listed, strict=True)) == {"🌮 ": "🌮 :taco:", "🎉 ": "🎉 :tada:"}
    assert complete("/react #3 :tad", SCENE).listed == ("🎉 :tada:",)
    assert complete("be", SCENE).listed == ("ben:", "Bea:")


def test_file_names(tmp_path):
    for name in ("plan.pdf", "plan b.pdf", ".hidden"):
        (tmp_path / name).touch()
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans" / "deep.txt").touch()
    scene = Scene(directory=tmp_path)
    assert choices("/send pl", scene) == ['"plan b.pdf" ', "plan.pdf ", "plans/"]
    assert choices("/send plans/", scene) == ["plans/deep.txt "]
    assert choices("/send .h", scene) == [".hidden "]
    assert ".hidden " not in choices("/send ", scene)
    assert choices("/send nowhere/x", scene) == []
    assert completed(f"/send {tmp_path}/plan.", Scene()) == f"/send {tmp_path}/plan.pdf "


def test_a_file_with_a_space_can_be_completed_further(tmp_path):
    """What is put in is what ``/send`` reads as one path."""
    (tmp_path / "a plan.txt").touch()
    (tmp_path / "a folder").mkdir()
    (tmp_path / "a folder" / "deep file").touch()
    scene = Scene(directory=tmp_path)
    assert choices("/send a", scene) == ['"a folder/', '"a plan.txt" ']
    assert completed('/send "a p', scene) == '/send "a plan.txt" '
    assert choices('/send "a plan.txt" ben') == ["ben "]
    assert completed('/send "a folder/d', scene) == '/send "a folder/deep file" '


@given(st.text(max_size=60), st.lists(st.text(min_size=1, max_size=12), max_size=4))
def test_whatever_is_typed_is_kept_before_what_is_proposed(before, nicks):
    found = complete(before, Scene(nicks=nicks))
    assert 0 <= found.start <= len(before)
    assert all(found.choices)


@pytest.mark.parametrize("text", ["", "hello", "//kick", "/kick ben\nand more", "/nothing-such"])
def test_no_help_where_no_command_is_typed(text):
    assert hint(text) == ""


def test_help_while_a_command_is_typed():
    assert hint("/").startswith("a command: Tab shows them all")
    assert hint("/kick") == "/kick WHO [REASON]   remove somebody; all keys are changed"
    assert hint("/kick ben because") == hint("/kick")
    assert hint("/in").split("   ")[0].startswith("/invite")


@given(st.text(max_size=40))
def test_help_never_fails(text):
    assert "\n" not in hint("/" + text.replace("\n", " "))
