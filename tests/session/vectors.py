"""Test vectors, and readers as they describe them."""

import json
from pathlib import Path

from chaton.identity.ids import Identity, Transcript
from chaton.room.transcript import History
from chaton.session.view import View

_FOLDER = Path(__file__).parent.parent / "vectors"


def load(name: str) -> dict:
    return json.loads((_FOLDER / f"{name}.json").read_text())


def view_of(reader: str, log: list[str], s: int = 0, t: str | None = None) -> View:
    """A reader that has folded ``log`` and stands at event ``s`` with transcript ``t``."""
    raws = [bytes.fromhex(raw) for raw in log]
    history = History(s, Transcript.from_hex(t) if t else Transcript.zero())
    return View.of_log(Identity.from_hex(reader), raws, history, len(raws) - 1)
