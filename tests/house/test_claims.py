"""Every test that SECURITY.md names as the proof of a claim exists under that name."""

import re
from pathlib import Path

TESTS = Path(__file__).parent.parent
PAGE = (TESTS.parent / "SECURITY.md").read_text()


def named() -> list[tuple[str, str]]:
    """File and test of each row; a row that begins with ``::`` goes on from the file of the one above."""
    found, file = [], ""
    for path, test in re.findall(r"`((?:[a-z_0-9]+/)*[a-z_0-9]+\.py)?(?:::([A-Za-z_0-9]+))?`", PAGE):
        file = path or file
        if test:
            found.append((file, test))
    return found


def test_the_page_names_tests() -> None:
    assert len(named()) > 60
    assert "to check" not in PAGE


def test_each_exists() -> None:
    missing = [
        f"{file}::{test}"
        for file, test in named()
        if not re.search(rf"(def|class) {test}\b", (TESTS / file).read_text() if (TESTS / file).exists() else "")
    ]
    assert missing == []
