"""Text from others, made harmless once: what is ``SafeText`` may go to a terminal, a log or a title as it is."""

import unicodedata
from typing import Final

LINES_MAX: Final = 2_000
MARKS_MAX: Final = 8  # combining marks in a row; more would climb over the lines above

_VISIBLE = {*range(0x09), *range(0x0B, 0x20)}
_INVISIBLE = {
    *range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x2060, 0x2070), *range(0xFFF0, 0xFFFC),
    *range(0xE0000, 0xE0100), *range(0xE01F0, 0xE1000),
}  # fmt: skip
_SILENT = {0x0D, 0xAD, 0x061C, 0x200B, 0x200E, 0x200F, 0xFEFF}

# Control characters become the pictures Unicode has for them, so that nobody wonders where something went;
# direction overrides and the like become the replacement character; what only hides is left out.
_TABLE: Final = (
    {code: 0x2400 + code for code in _VISIBLE}
    | {0x7F: 0x2421}
    | dict.fromkeys(_INVISIBLE, 0xFFFD)
    | dict.fromkeys(_SILENT)
    | {0x2028: 0x0A, 0x2029: 0x0A, 0x09: "    "}
)


class SafeText(str):
    """Text without control, escape or direction-override characters. Made by ``clean`` and ``clean_line`` only."""

    __slots__ = ()


def clean(text: str) -> SafeText:
    """Make any text harmless; line breaks stay.

    At most ``LINES_MAX`` lines and ``MARKS_MAX`` combining marks in a row are kept. Lone surrogates, which only our
    own input can hold, become question marks.
    """
    text = text.encode(errors="replace").decode()
    harmless = _few_marks(text.translate(_TABLE))
    return SafeText("\n".join(harmless.split("\n")[:LINES_MAX]))


def clean_line(text: str) -> SafeText:
    """Make any text harmless for a place of one line: a nick, a topic, a title. Line breaks become ``⏎``."""
    return SafeText(clean(text).replace("\n", "⏎"))


def _few_marks(text: str) -> str:
    if text.isascii():
        return text
    kept, run = [], 0
    for character in text:
        run = run + 1 if _is_mark(character) else 0
        if run <= MARKS_MAX:
            kept.append(character)
    return "".join(kept)


def _is_mark(character: str) -> bool:
    return unicodedata.category(character) in {"Mn", "Me"}
