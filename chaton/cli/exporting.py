"""``chaton export``: what a profile holds of a room, as text, JSON or one HTML page."""

import html
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from chaton.cli.common import backend, command, room_argument, run

if TYPE_CHECKING:
    from chaton.client.replies import LineFacts, RoomFacts

_PAGE: Final = 2_000
_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 50em; margin: 2em auto; padding: 0 1em; color: #23262b; }
p { margin: .2em 0; white-space: pre-wrap; overflow-wrap: anywhere; }
time { color: #77736a; font-variant-numeric: tabular-nums; } .note { color: #77736a; }
"""


@command(
    "export",
    examples="""\
  chaton export ops > ops.txt
  chaton export ops --json --since 7d --out week.jsonl
  chaton export ops --html --out ops.html             one page without scripts, pictures or links
""",
)
@room_argument
@click.option("--since", metavar="TIME", help="Only what is younger, such as 30m, 1h, 7d.")
@click.option("--json", "form", flag_value="json", help="One JSON object a line.")
@click.option("--text", "form", flag_value="text", default="text", help="Lines for people. [default]")
@click.option("--html", "form", flag_value="html", help="One HTML page.")
@click.option("--out", metavar="FILE", type=click.Path(path_type=Path), help="A new file, mode 0600; else the output.")
def export(*, room: str, since: str | None, form: str, out: Path | None) -> None:
    """Write down what this profile holds of a room. It asks no relay; what is written is not encrypted."""
    from chaton.cli.asking import write_new
    from chaton.cli.output import put

    facts, lines = run(_history(room))
    oldest = _oldest(since)
    text = "\n".join(_FORMS[form](facts, [line for line in lines if line.at >= oldest]))
    if out is None:
        put(text)
    else:
        write_new(out, text + "\n")


def _oldest(since: str | None) -> int:
    from chaton.client.duration import parse_duration_ms

    return time.time_ns() // 1_000_000 - parse_duration_ms(since) if since else 0


async def _history(room: str) -> "tuple[RoomFacts, list[LineFacts]]":
    """The room, and every line that the profile holds of it, oldest first."""
    from chaton.client.replies import Lines, RoomList
    from chaton.client.requests import Page, Rooms

    lines: list[LineFacts] = []
    async with backend() as opened:
        while True:
            page = await opened.perform(Page(room=room, before=lines[0].seq if lines else 0, limit=_PAGE))
            assert isinstance(page, Lines)
            if not page.lines:
                break
            lines = page.lines + lines
        known = await opened.perform(Rooms())
    assert isinstance(known, RoomList)
    return next(one for one in known.rooms if one.room == page.room), lines


def _text(facts: "RoomFacts", lines: "list[LineFacts]") -> Iterator[str]:
    from chaton.cli.lines import Narrator

    narrator, day = Narrator(numbers=True), ""
    yield facts.name
    for line in lines:
        if (today := _day(line.at)) != day:
            day = today
            yield f"-- {day} --"
        yield narrator.line(line)


def _json(facts: "RoomFacts", lines: "list[LineFacts]") -> Iterator[str]:
    import json

    from chaton.cli.events import of_line

    return (json.dumps(of_line(facts.room, line), separators=(",", ":")) for line in lines)


def _html(facts: "RoomFacts", lines: "list[LineFacts]") -> Iterator[str]:
    """A page in which every text of others is escaped, and nothing is fetched or carried out."""
    from chaton.cli.lines import Narrator

    title, narrator, day = html.escape(facts.name), Narrator(), ""
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    yield f"<title>{title}</title><style>{_STYLE}</style></head><body><h1>{title}</h1>"
    for line in lines:
        if (today := _day(line.at)) != day:
            day = today
            yield f"<h2>{day}</h2>"
        kind = "" if line.kind in {"text", "reply"} else ' class="note"'
        yield f'<p id="m{line.seq}"{kind}>{html.escape(narrator.line(line))}</p>'
    yield "</body></html>"


def _day(at: int) -> str:
    from chaton.client.words import moment

    return f"{moment(at).astimezone():%Y-%m-%d}"


_FORMS: Final = {"text": _text, "json": _json, "html": _html}
