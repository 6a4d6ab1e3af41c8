"""Whom or what a typed line names: where a nick or a path ends and what is said begins."""

import re
from collections.abc import Sequence
from typing import Final

from chaton.errors import UsageError

_PATH: Final = re.compile(r"(?:\\.|[^\s\\])+")
ID_BEGINNING: Final = re.compile(r"[0-9a-f]{8,64}")


def take_who(rest: str, nicks: Sequence[str]) -> tuple[str, str]:
    """The person named first, and what follows. A nick with spaces is known as one, or stands in quotes.

    Raises:
        UsageError: Where the nick ends is open, because a shorter one fits too.
    """
    rest = rest.removeprefix("@")
    if rest[:1] in {'"', "'"}:
        who, closed, after = rest[1:].partition(rest[0])
        if closed and who:
            return who, after.removeprefix(":").strip()
    fitting = {nick.casefold(): nick for nick in nicks if _end_of(nick, rest)}
    word, _, after = rest.partition(" ")
    if fitting and ID_BEGINNING.fullmatch(word):
        fitting.setdefault(word, word)  # It may as well mean an identity.
    if len(fitting) > 1:
        raise _open_ended(rest, max(fitting.values(), key=len))
    for nick in fitting.values():
        return nick, rest[_end_of(nick, rest) :].removeprefix(":").strip()
    return word, after.strip()


def take_path(rest: str) -> tuple[str, str]:
    """The path named first, and what follows. One with spaces stands in quotes, or has a backslash before each.

    Raises:
        UsageError: A quote is not closed.
    """
    if rest[:1] in {'"', "'"}:
        path, closed, after = rest[1:].partition(rest[0])
        if not closed:
            raise UsageError("the quote is not closed, so nothing was done", hint=f"end the path with {rest[0]}")
        return path, after.strip()
    found = _PATH.match(rest)
    path = found[0] if found else ""
    return re.sub(r"\\(.)", r"\1", path), rest[len(path) :].strip()


def take_directory(rest: str) -> str:
    """The directory that is named, with nothing behind it; ``UsageError`` where it is not one path alone."""
    path, after = take_path(rest)
    if after:
        sentence = f"“{rest[:60]}” is more than one directory, so nothing was fetched"
        raise UsageError(sentence, hint='put one with spaces in quotes, such as "my files"')
    return path


def _end_of(nick: str, rest: str) -> int:
    """Where the nick ends that a line begins with, in any case: STRASSE is longer than straße; 0 if it does not."""
    folded = nick.casefold()
    ends = (end for end in range(1, len(folded) + 1) if rest[:end].casefold() == folded)
    return next((end for end in ends if rest[end:].startswith((" ", ": ")) or not rest[end:]), 0)


def _open_ended(rest: str, nick: str) -> UsageError:
    sentence = f"“{rest[:60]}” begins with several nicks, so nothing was done"
    return UsageError(sentence, hint=f'put the one that is meant in quotes, such as "{nick}"')


def mentions(text: str, nick: str) -> bool:
    """Whether a text names somebody: the nick as a word of its own, whatever its case."""
    return bool(re.search(rf"(?<!\w){re.escape(nick)}(?!\w)", text, re.IGNORECASE)) if nick else False
