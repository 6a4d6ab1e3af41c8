"""The first five minutes of the README in two real terminals, and what a terminal is left with."""

import re
import signal

import pytest

from tests.tui.terminal import ALT_1, ALT_ENTER, ESCAPE, F2, OF_THE_SHELL, Terminal


@pytest.fixture
def up(tmp_path):
    """Ada's terminal: ``chaton up`` on a port of its own, the link read and the panel closed."""
    with Terminal(tmp_path / "ada", "up", "--listen", "127.0.0.1:0", "--nick", "ada") as ada:
        ada.want_no_passphrase()
        ada.wait("invite link")
        ada.wait(r"c copies · Esc goes to the room")
        panel = re.sub(r"[\s│]", "", ada.text)
        ada.link = re.search(r"chaton:[A-Za-z0-9_.:/?=&%@-]+?(?=onlythismachine)", panel)[0]
        ada.press(ESCAPE)
        ada.wait_gone("invite link")
        ada.wait("● connected")
        yield ada


def test_up_join_talk_kick_quit(up, tmp_path):
    ada = up
    with Terminal(tmp_path / "ben", "join") as ben:
        ben.wait("invite link:")
        ben.press(ada.link + "\r")
        ben.want_no_passphrase()
        ben.wait("your nick")
        ben.press("ben\r")
        ben.wait("● connected")
        ada.wait("ben joined, invited by ada")
        ada.wait("2 members")
        # Typed ahead in one write: the keys arrive in order.
        ada.press("hello ben\r")
        ben.wait(r"ada │ hello ben")
        ben.press(f"two{ALT_ENTER}lines\r")
        ada.wait(r"ben │ two\n.*│ lines")
        ben.press(F2)
        ben.wait(r"● ◆ ada")
        ada.press("/kick ben too loud\r")
        ada.wait(r"ben is [0-9a-f]{16}…")
        ada.wait("reason: too loud")
        ada.wait("y does it")
        ada.press("y")
        ada.wait(r"ben was kicked by ada \([0-9a-f]{8}\): too loud")
        ben.wait(r"you were kicked by ada \([0-9a-f]{8}\):")
        ben.wait("you are not in this room any more")
        ben.press("\x11")
        assert ben.end() == 0
        assert ben.left_on() == set()
        assert ben.title() == OF_THE_SHELL
    ada.press("\x11")
    assert ada.end() == 0
    assert ada.left_on() == set()
    assert "stopping the relay" in ada.text


def test_alt_and_a_digit_is_a_key_and_no_character(up):
    up.press("/topic first things first\r")
    up.wait("lobby  first things first")
    up.press(f"£{ALT_1}x")
    up.wait(r"£x")
    assert "¡" not in up.text


def test_type_ahead_sends_exactly_what_was_typed(up):
    for number in range(15):
        up.press(f"text {number}\rnext")
        up.wait(rf"ada │ text {number}\n")
        up.wait(r"\n[^│\n]* next\n[^\n]*connected")
        up.press("\x15")
        up.wait_gone(r"\n[^│\n]* next\n")
    assert not re.search(r"nextt|tex\n", up.text)


def test_a_paste_is_one_message_and_executes_nothing(up):
    up.press("\x1b[200~/leave\r/quit\x1b[201~")
    up.wait(r"\n[^\n]* /leave\n[^\n]* /quit\n")
    up.press("\r")
    up.wait(r"ada │ /leave\n.*│ /quit\n")
    up.wait_gone("sending")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_terminal_is_left_clean_by_a_signal_and_the_draft_is_kept(up, number, tmp_path):
    up.press("half a sentence")
    up.wait("half a sentence")
    assert "alternate screen" in up.left_on()
    assert up.title() == up.title(with_stack=False) == "lobby - Chaton"
    up.program.kill(number)
    assert up.end() == 143
    assert up.left_on() == set()
    assert up.title() == OF_THE_SHELL
    assert up.title(with_stack=False) == ""
    with Terminal(tmp_path / "ada", "up") as again:
        again.wait(r"\n[^\n]* half a sentence\n")  # No further link is made where the room is there already.


def test_without_colours_no_colour_is_sent(tmp_path):
    with Terminal(tmp_path / "ada", "up", "--listen", "127.0.0.1:0", "--nick", "ada", NO_COLOR="1") as ada:
        ada.want_no_passphrase()
        ada.wait("Esc goes to the room")
        ada.press(ESCAPE)
        ada.wait_gone("invite link")
        ada.press("hello\r")
        ada.wait(r"ada │ hello")
        sent = re.findall(r"\x1b\[([\d;]*)m", ada.output)
        assert not [one for one in sent if re.search(r"(^|;)([349][0-7]|10[0-7]|[34]8)(;|$)", one)]
