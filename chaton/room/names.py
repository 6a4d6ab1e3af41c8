"""Nicks: what one may choose, which two are the same, and how two alike are told apart.

Nothing of security rests on a nick: identity is the key. The Unicode tables differ between Python versions, so nothing
here is part of the fold.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from precis_i18n import get_profile

from chaton.errors import UsageError
from chaton.identity.ids import Identity
from chaton.limits import NICK_CHARS_MAX

# Letters of other scripts that are drawn like a Latin one, after case folding.
_ALIKE: Final = str.maketrans(
    "аеорсухіјѕԁӏԛԝһνοραικυτ",
    "aeopcyxijsdlqwhvopaikut",
)
# Characters that are drawn as nothing or as a blank, though Unicode calls them letters, marks or symbols, or has set
# them aside for such as it may have one day.
_BLANK: Final = {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, *range(0x180B, 0x1810), 0x2800, 0x3164, *range(0xFE00, 0xFE10),
                 0xFFA0, *range(0xFFF0, 0xFFF9), *range(0xE0000, 0xE1000)}  # fmt: skip
_SUFFIXED: Final = re.compile(r"~[0-9a-f]{8}$")
_MIXED_FREELY: Final = {"HIRAGANA", "KATAKANA", "CJK", "HANGUL", "BOPOMOFO"}


def prepare_nick(text: str) -> str:
    """The form in which an own nick is stored (RFC 8266, case kept).

    Raises:
        UsageError: It is empty, too long, mixes scripts, or has characters that no nick may have.
    """
    try:
        nick = str(get_profile("NicknameCasePreserved").enforce(text))
    except UnicodeEncodeError as cause:
        hint = "use letters, digits, spaces between words and punctuation; no control or invisible characters"
        raise UsageError("this cannot be a nick", hint=hint) from cause
    if len(nick) > NICK_CHARS_MAX:
        raise UsageError(f"a nick has at most {NICK_CHARS_MAX} characters, this one {len(nick)}")
    if mixes_scripts(nick):
        raise UsageError("a nick keeps to one alphabet, so that nobody is taken for somebody else")
    return nick


def nick_key(text: str) -> str:
    """What two nicks have in common that people would take for one another. Never fails, whatever others sent."""
    try:
        folded = str(get_profile("NicknameCaseMapped:CaseFold").enforce(text))
    except UnicodeEncodeError:
        folded = unicodedata.normalize("NFKC", text).casefold().strip()
    return "".join(filter(_is_drawn, folded)).translate(_ALIKE)


def _is_drawn(character: str) -> bool:
    """Whether a character leaves a mark on the screen: two nicks must not differ by what nobody sees."""
    return unicodedata.category(character) not in {"Cf", "Cc"} and ord(character) not in _BLANK


def mixes_scripts(text: str) -> bool:
    """Whether letters of several alphabets stand in one name, as in a Latin name with one Cyrillic letter."""
    letters = (character for character in text if character.isalpha())
    scripts = {unicodedata.name(letter, "UNKNOWN").split()[0] for letter in letters}
    # Japanese, Chinese and Korean names mix their scripts with one another and with Latin as a matter of course.
    return len(scripts) > 1 and not scripts <= _MIXED_FREELY | {"LATIN"}


def distinguish(claims: Iterable[tuple[Identity, str, int]]) -> dict[Identity, str]:
    """The name to show for each person: of those with one nick, all but the first to take it get a suffix.

    Args:
        claims: Identity, nick (already harmless; may be empty), and the number of the record that claims it.
    """
    shown: dict[Identity, str] = {}
    taken: set[str] = set()
    for identity, nick, _ in sorted(claims, key=lambda claim: (claim[2], claim[0])):
        key = nick_key(nick)
        alone = key and key not in taken and not _SUFFIXED.search(nick)
        shown[identity] = nick if alone else f"{nick}~{identity.short}"
        taken.add(key)
    return shown
