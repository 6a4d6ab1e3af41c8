"""What Tab makes of what is typed: commands, nicks, rooms, file names and emoji; and the help for a command. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from chaton.client import emoji, slash
from chaton.errors import UsageError

_SHOWN_MAX: Final = 200
_EMOJI_MIN: Final = 2  # Characters behind the colon before anything is proposed.
_TAKES: Final = {
    "WHO": "who", "[WHO]": "who", "ROOM": "room", "FILE": "file", "COMMAND": "command", "[COMMAND]": "command",
    "ROLE": "role", "EMOJI": "emoji",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scene:
    """What can be named: nicks in the order in which they are proposed, rooms, and the directory of files."""

    nicks: Sequence[str] = ()
    rooms: Sequence[str] = ()
    directory: Path = field(default_factory=Path.cwd)


@dataclass(frozen=True, slots=True)
class Completion:
    """What could stand from ``start`` on up to the cursor, each with what follows it; emoji have ``names``."""

    start: int
    choices: tuple[str, ...]
    names: tuple[str, ...] = ()

    @property
    def listed(self) -> tuple[str, ...]:
        """Each as a list shows it."""
        names = self.names or ("",) * len(self.choices)
        return tuple(f"{choice.strip()} {name}".strip() for choice, name in zip(self.choices, names, strict=True))


def complete(before: str, scene: Scene) -> Completion:
    """What could go on from a text that ends at the cursor."""
    if before.startswith("/") and not before.startswith("//") and "\n" not in before:
        return _of_command(before, scene)
    return _in_text(before, scene, alone=": ")


def hint(text: str) -> str:
    """How the command that is being typed is written, and what it does; empty where it is none."""
    if not text.startswith("/") or text.startswith("//") or "\n" in text:
        return ""
    name = text[1:].partition(" ")[0]
    try:
        return "   ".join(slash.help_lines(name)[:1]) if name else "a command: Tab shows them all, // begins a text"
    except UsageError:
        near = [one.usage for one in slash.COMMANDS if one.name.startswith(name.lower())]
        return "   ".join(near[:4])


def _of_command(before: str, scene: Scene) -> Completion:
    name, space, rest = before[1:].partition(" ")
    if not space:
        return Completion(0, tuple(f"/{one} " for one in _beginning(name, [one.name for one in slash.COMMANDS])))
    try:
        takes = [_TAKES.get(word, "text") for word in slash.command(name).usage.split()[1:]]
    except UsageError:
        return Completion(len(before), ())
    return _of_argument(before, rest, takes, scene)


def _of_argument(before: str, rest: str, takes: list[str], scene: Scene) -> Completion:
    """Complete the argument that the cursor is in; a nick with spaces counts as one argument."""
    known, left = 0, rest
    while known < len(takes) - 1 and (whole := _whole(takes[known], left, scene)):
        known, left = known + 1, left[len(whole) + 1 :]
    kind = takes[known] if takes else "text"
    if kind == "text":
        return _in_text(before, scene, alone=" ")
    if kind == "emoji":
        return _emoji(len(before) - len(left), left.strip(":"), "")
    return Completion(len(before) - len(left), tuple(one for one in _CHOICES[kind](left, scene)))


def _whole(kind: str, left: str, scene: Scene) -> str:
    """The first argument, if more follows it: a nick or a path in quotes may have spaces. Else empty."""
    if kind == "file" and left.startswith('"'):
        path, closed, after = left[1:].partition('"')
        return f'"{path}"' if closed and after.startswith(" ") else ""
    named = [nick for nick in scene.nicks if kind == "who" and left.startswith(nick + " ")]
    head, space, _ = left.partition(" ")
    return max(named, key=len, default=head if space else "")


def _in_text(before: str, scene: Scene, *, alone: str) -> Completion:
    """An emoji, or a nick: one that begins the text is followed by ``alone``."""
    start = _word_start(before)
    word, end = before[start:], alone if _word_start(before) == 0 else " "
    if word.startswith(":") and len(word) > _EMOJI_MIN:
        return _emoji(start, word[1:], " ")
    if not word.removeprefix("@"):
        return Completion(start, ())
    return Completion(start, tuple(nick + end for nick in _beginning(word.removeprefix("@"), scene.nicks)))


def _emoji(start: int, begun: str, after: str) -> Completion:
    names = emoji.beginning(begun)
    return Completion(
        start, tuple(emoji.SHORTCODES[name] + after for name in names), tuple(f":{name}:" for name in names)
    )


def _word_start(before: str) -> int:
    return max(before.rfind(" "), before.rfind("\n")) + 1


def _beginning(word: str, among: Sequence[str]) -> list[str]:
    return [one for one in among if one.casefold().startswith(word.casefold())][:_SHOWN_MAX]


def _files(word: str, scene: Scene) -> list[str]:
    """Files and directories that begin so; a path with spaces is put in quotes, as ``/send`` reads it."""
    typed = word.removeprefix('"')
    folder, _, name = typed.rpartition("/")
    base = Path(folder or ("/" if typed.startswith("/") else ".")).expanduser()
    try:
        found = sorted(one for one in (scene.directory / base).iterdir() if one.name.startswith(name))
    except OSError:
        return []
    shown = [f"{folder}/{one.name}" if folder or typed.startswith("/") else one.name for one in found
             if name or not one.name.startswith(".")][:_SHOWN_MAX]  # fmt: skip
    return [_quoted(path, is_folder=(scene.directory / Path(path).expanduser()).is_dir()) for path in shown]


def _quoted(path: str, *, is_folder: bool) -> str:
    """A path as ``/send`` reads it; in a folder's one can go on, so its quote stays open."""
    if " " not in path:
        return f"{path}/" if is_folder else f"{path} "
    return f'"{path}/' if is_folder else f'"{path}" '


_CHOICES: Final[dict[str, Callable[[str, Scene], list[str]]]] = {
    "who": lambda word, scene: [nick + " " for nick in _beginning(word.removeprefix("@"), scene.nicks)],
    "room": lambda word, scene: [room + " " for room in _beginning(word, scene.rooms)],
    "command": lambda word, _scene: _beginning(word, [one.name for one in slash.COMMANDS]),
    "role": lambda word, _scene: [role + " " for role in _beginning(word, slash.ROLES)],
    "file": _files,
}
