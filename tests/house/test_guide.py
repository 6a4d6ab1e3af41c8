"""Every word that a program may rely on stands in the guide."""

import re
from pathlib import Path

from chaton.relay.hub.refusals import SENTENCES

ROOT = Path(__file__).parent.parent.parent
GUIDE = (ROOT / "docs" / "guide.md").read_text()
CODE = ROOT / "chaton"
PATTERNS = [
    r'Warned\(\s*[\w.]+, "([a-z-]+)"',
    r'_warn\("([a-z-]+)"',
    r'Refused\(\s*"([a-z-]+)"',
    r'Ended\([\w.]+, "([a-z-]+)"',
    r'\.end\("([a-z-]+)"',
    r'Goodbye\("([a-z-]+)"',
    r'code="([a-z-]+)"',
]


def codes_in_use() -> set[str]:
    found = set(SENTENCES)
    for path in CODE.rglob("*.py"):
        text = path.read_text()
        for pattern in PATTERNS:
            found.update(re.findall(pattern, text))
    return found


def test_the_search_finds_codes_of_every_kind() -> None:
    assert {"clone", "undecryptable", "nick-taken", "closed", "relay-gone", "replaced"} <= codes_in_use()


def test_every_code_is_in_the_guide() -> None:
    missing = sorted(code for code in codes_in_use() if f"`{code}`" not in GUIDE)
    assert missing == []
