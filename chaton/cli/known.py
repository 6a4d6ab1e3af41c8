"""What a shell completes: rooms and people that the profile knows. It asks no relay, and nobody for a passphrase."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from chaton.client.replies import AnyReply
    from chaton.client.requests import AnyRequest

_PATIENCE_S: Final = 1  # Whoever presses Tab does not wait longer.


def complete_room(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Names of rooms that begin so."""
    from chaton.client.replies import RoomList
    from chaton.client.requests import Rooms

    reply = _asked(ctx, Rooms())
    rooms = reply.rooms if isinstance(reply, RoomList) else []
    return [one.name for one in rooms if one.status == "in" and one.name.startswith(incomplete)]


def complete_person(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Nicks that begin so, of the room that is named before."""
    from chaton.client.replies import MemberList
    from chaton.client.requests import Members

    room = ctx.params.get("room") or ctx.params.get("room_name")
    reply = _asked(ctx, Members(room=room, wait=False)) if room else None
    people = reply.members if isinstance(reply, MemberList) else []
    return [one.nick for one in people if one.nick.startswith(incomplete)]


def _asked(ctx: click.Context, request: "AnyRequest") -> "AnyReply | None":
    """What the profile answers, where it can be asked at once; a shell has no place for an error."""
    from chaton.errors import ChatonError

    try:
        return asyncio.run(asyncio.wait_for(_ask(_directory(ctx), request), _PATIENCE_S))
    except (ChatonError, TimeoutError):
        return None


async def _ask(directory: Path, request: "AnyRequest") -> "AnyReply | None":
    from chaton.client import control, keyfile
    from chaton.client.gateway import open_backend
    from chaton.client.profile import exists

    if not exists(directory) or (keyfile.is_wrapped(directory) and not await control.is_served(directory)):
        return None
    async with open_backend(directory) as opened:
        return await opened.perform(request)


def _directory(ctx: click.Context) -> Path:
    from chaton.client.profile import default_directory

    chosen = ctx.find_root().params.get("profile")
    return Path(chosen).expanduser() if chosen else default_directory()
