"""Files: ``chaton get`` and ``chaton send --attach``."""

import re
from typing import TYPE_CHECKING, Final

import click

from chaton.cli.common import backend, command, json_option, room_argument, run
from chaton.cli.progress import telling
from chaton.errors import Refused, UsageError

if TYPE_CHECKING:
    from chaton.cli.face import Backend
    from chaton.client.replies import Reply

_NUMBER: Final = re.compile(r"#?([0-9]{1,7})")  # Eight digits and more are the beginning of an id.


@command(
    "get",
    examples="""\
  chaton get ops 17                                   prints where the file is now
  chaton get ops 17 --out /tmp                        into that directory
""",
)
@room_argument
@click.argument("number", metavar="N")
@click.option("--out", metavar="DIR", help="Where to; made if it is missing. [default: your directory for downloads]")
@json_option
def get(room: str, number: str, out: str | None, as_json: bool) -> None:
    """Fetch the file of message N, a number that chaton tail shows, or 8 hex digits of the message's id.

    It keeps the name that its sender gave it, made harmless; what is there already is never written over, and nothing
    is opened. If the relay goes away, or you press Ctrl-C, the same command goes on where it stopped.
    """
    from chaton.cli.output import put, put_json

    reply = run(_getting(room, number, out))
    if as_json:
        from chaton.cli.events import of_reply

        for event in of_reply(reply):
            put_json(event)
    else:
        put(reply.path)  # type: ignore[attr-defined]  # GetFile is answered by Saved.


async def _getting(room: str, number: str, out: str | None) -> "Reply":
    from chaton.client.incoming import default_directory, whole_path
    from chaton.client.requests import GetFile

    directory = default_directory() if out is None else whole_path(out)
    async with backend() as opened, telling(opened):
        message = await _find(opened, room, number)
        return await opened.perform(GetFile(room=room, re=message, directory=str(directory)))


async def _find(opened: "Backend", room: str, number: str) -> str:
    """The id of the message that is meant."""
    from chaton.client.naming import ID_BEGINNING
    from chaton.client.replies import Lines
    from chaton.client.requests import Tail

    if ID_BEGINNING.fullmatch(number):
        return number
    found = _NUMBER.fullmatch(number)
    if found is None:
        hint = "chaton tail ROOM shows it, behind /get"
        raise UsageError(f"{number[:40]!a} is no number of a message", hint=hint)
    told = await opened.perform(Tail(room=room, after=int(found[1]) - 1))
    assert isinstance(told, Lines)
    if not told.lines or told.lines[0].seq != int(found[1]):
        raise Refused("no-message", f"there is no message {found[1]} in this room", hint="see chaton tail ROOM")
    return told.lines[0].id


async def send_attached(room: str, path: str, caption: str, to: str) -> "Reply":
    """Send a file with a caption, in the room or to one member alone."""
    from chaton.client.incoming import whole_path
    from chaton.client.requests import SendFile

    async with backend() as opened, telling(opened):
        return await opened.perform(SendFile(room=room, path=str(whole_path(path)), text=caption, to=to))
