"""Every word that a program may rely on stands in the guide."""

import re
from pathlib import Path

from chaton.cli.events import _REPLY_NAMES
from chaton.client.replies import InviteFacts, LogLine, MemberFacts
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


def events_in_use() -> set[str]:
    text = "".join(path.read_text() for path in (CODE / "cli").glob("*.py"))
    found = re.findall(r'\bevent\(\s*"([a-z]+)"|"event": "([a-z]+)"', text)
    return {*(one or other for one, other in found), *_REPLY_NAMES.values()}


def keys_of_replies() -> set[str]:
    kinds = [*_REPLY_NAMES, MemberFacts, LogLine, InviteFacts]
    return {field for kind in kinds for field in kind.__struct_fields__}


def test_the_search_finds_codes_of_every_kind() -> None:
    assert {"clone", "undecryptable", "nick-taken", "closed", "relay-gone", "replaced"} <= codes_in_use()


def test_every_code_is_in_the_guide() -> None:
    missing = sorted(code for code in codes_in_use() if f"`{code}`" not in GUIDE)
    assert missing == []


def test_every_event_and_key_of_an_answer_is_in_the_guide() -> None:
    assert {"joined", "help", "health", "signed"} <= events_in_use()
    assert sorted(event for event in events_in_use() if f"| `{event}` |" not in GUIDE) == []
    assert sorted(key for key in keys_of_replies() if not re.search(rf"\b{key}\b", GUIDE)) == []
