"""The names of files from others, made harmless once: under what ``file_name`` gives, a file may be saved anywhere."""

import re
import unicodedata
from typing import Final

from chaton.session.text import SafeText, clean_line

NAME_BYTES_MAX: Final = 200  # Of the 255 that file systems take: " (2)" and the like have room behind it.
_SUFFIX_BYTES_MAX: Final = 20
_NO_NAME: Final = "attachment"
_SEPARATORS: Final = re.compile(r"[/\\]")
_FORBIDDEN: Final = re.compile(r'[:*?"<>|]')  # Where Windows or macOS gives them a meaning.
_DEVICES: Final = re.compile(r"^(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(?= *(\.|$))", re.IGNORECASE)


def file_name(claimed: str) -> SafeText:
    """A name of one part, 1 to 200 bytes of UTF-8, that is no path, no option, no hidden file and no device.

    Nothing in it steers a terminal or turns what is read; its extension is kept, so that nobody is shown another kind
    of file than is saved.
    """
    named = unicodedata.normalize("NFC", claimed.encode(errors="replace").decode())
    last = next((part for part in reversed(_SEPARATORS.split(named)) if part.strip(" .")), "")
    visible = "".join("_" if unicodedata.category(one)[0] == "C" else one for one in last)
    plain = _FORBIDDEN.sub("_", clean_line(" ".join(visible.split())))
    bare = _DEVICES.sub(r"_\1", plain.strip(" .").lstrip(" .-"))
    return SafeText(_cut(bare) or _NO_NAME)


def _cut(name: str) -> str:
    """At most ``NAME_BYTES_MAX`` bytes, cut out of the part before the extension."""
    if len(name.encode()) <= NAME_BYTES_MAX:
        return name
    stem, dot, suffix = name.rpartition(".")
    if len(suffix.encode()) > _SUFFIX_BYTES_MAX:
        stem, dot, suffix = name, "", ""
    room = NAME_BYTES_MAX - len((dot + suffix).encode())
    return stem.encode()[:room].decode(errors="ignore").rstrip(" .") + dot + suffix
