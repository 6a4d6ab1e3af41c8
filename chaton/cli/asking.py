"""Questions to the person at the terminal, asked on standard error, and only where there is somebody to ask."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import click

from chaton.errors import StoreError, UsageError


def somebody_is_there() -> bool:
    """Whether standard input is a terminal: without one nothing is ever asked."""
    return sys.stdin.isatty()


def has_window() -> bool:
    """Whether there is a terminal that can show the window, and nobody asked for lines instead."""
    asked_for_lines = os.environ.get("CHATON_PLAIN", "") not in {"", "0"}
    streams = (sys.stdin, sys.stdout, sys.stderr)
    return all(one.isatty() for one in streams) and os.environ.get("TERM", "dumb") != "dumb" and not asked_for_lines


def passphrase_asker() -> Callable[[], str] | None:
    """What asks for the profile's passphrase; None where nobody is there."""
    return (lambda: ask_secret("passphrase of the profile")) if somebody_is_there() else None


def ask_secret(what: str) -> str:
    """Ask for a passphrase without showing it."""
    return _prompt(what, show_default=False, hidden=True)


def make_profile(directory: Path) -> Callable[[], str] | None:
    """Make a profile for somebody who is here for the first time: a passphrase may be chosen, and need not be.

    Returns:
        What gives the passphrase that was chosen.
    """
    from chaton.client.passphrase import configured_passphrase
    from chaton.client.profile import Profile

    chosen = configured_passphrase(directory)
    if chosen is None:
        chosen = _chosen_passphrase() or None
    with Profile.create(directory, passphrase=chosen):
        return None if chosen is None else lambda: chosen


def _chosen_passphrase() -> str:
    """A passphrase, typed twice until both are the same; empty for none."""
    while True:
        asked = _prompt("a passphrase for this profile (Enter for none)", default="", show_default=False, hidden=True)
        if not asked or asked == _prompt("the same once more", default="", show_default=False, hidden=True):
            return asked
        click.echo("the two are not the same: once more, please", err=True)


def _prompt(what: str, *, default: str | None = None, show_default: bool = True, hidden: bool = False) -> str:
    """Ask for a line. Ctrl+C ends the program at once, also while an event loop runs, which would only note it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return str(click.prompt(what, default=default, show_default=show_default, hide_input=hidden, err=True))
    finally:
        signal.signal(signal.SIGINT, before)


def new_passphrase(what: str, file: Path | None) -> str:
    """A passphrase to seal something with: the first line of a file, or asked for twice.

    Raises:
        UsageError: Nobody is there to ask, or it is empty.
    """
    if file is not None:
        return read_passphrase(file)
    if not somebody_is_there():
        raise UsageError(
            "nobody is here to type a passphrase", hint="name a file that holds it: --passphrase-file FILE"
        )
    return str(click.prompt(what, hide_input=True, err=True, confirmation_prompt="the same once more"))


def read_passphrase(file: Path) -> str:
    """The first line of a file; raises ``UsageError`` where it is empty or cannot be read."""
    line = read_text(file).partition("\n")[0].removesuffix("\r")
    if not line:
        raise UsageError(f"{file} begins with an empty line instead of a passphrase", hint="write it into that line")
    return line


def read_text(file: Path | str) -> str:
    """A text file, ``-`` for standard input; raises ``UsageError`` where it cannot be read or is not UTF-8."""
    try:
        raw = sys.stdin.buffer.read() if str(file) == "-" else Path(file).read_bytes()
        return raw.decode()
    except OSError as cause:
        raise UsageError(f"{file} cannot be read: {cause.strerror}", hint="name another file") from cause
    except UnicodeDecodeError as cause:
        raise UsageError(f"{file} is not a text in UTF-8", hint="name another file") from cause


def write_new(file: Path, text: str) -> None:
    """Write a file with mode 0600 that was not there before; an existing one is never overwritten.

    Raises:
        UsageError: There is such a file.
        StoreError: The disk refuses.
    """
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError as cause:
        raise UsageError(f"{file} exists, and was left as it is", hint="name another file") from cause
    except OSError as cause:
        raise StoreError(f"{file} cannot be written: {cause.strerror}") from cause


def is_sure(sentence: str) -> bool:
    """Ask before something that cannot be undone; yes where nobody is there, as a script means what it says."""
    return not somebody_is_there() or click.confirm(f"{sentence}; go on?", err=True)


def ask_nick(proposal: str = "") -> str:
    """Ask for a nick; raises ``UsageError`` where nobody is there."""
    if not somebody_is_there():
        raise UsageError("a nick is needed, and nobody is here to ask", hint="give one: --nick NICK")
    return _prompt("your nick", default=proposal or default_nick())


def default_nick() -> str:
    """What to propose: the name of the account."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
