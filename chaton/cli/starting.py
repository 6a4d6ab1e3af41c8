"""``chaton up``: certificates, a relay, a room, an invite link, and you in it.

What was chosen the first time is kept in ``up.json`` beside the relay's data, so that a second ``up`` starts the same
relay with the same key, and finds the room again from whatever directory it is called.
"""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import click

from chaton.cli.common import backend, command, profile_directory
from chaton.errors import ChatonError, StoreError, Unreachable, UsageError

if TYPE_CHECKING:
    from chaton.cli.child import RunningRelay
    from chaton.cli.face import Backend
    from chaton.client.replies import RoomFacts
    from chaton.client.requests import AnyRequest
    from chaton.tui.screens import Invitation

DEFAULT_LISTEN: Final = "127.0.0.1:5555"
DEFAULT_ROOM: Final = "lobby"
_STDIN: Final = 0
_LOOK_S: Final = 3  # How long something that listens already has to show that it is our relay.
_Kind = TypeVar("_Kind")


@command(
    "up",
    examples="""\
  chaton up                                           for this machine alone, to try it out
  chaton up --listen 0.0.0.0:5555 --room team         for everybody who reaches this machine
  chaton up < /dev/null                               prints the link, and runs until SIGTERM
""",
)
@click.option("--room", metavar="NAME", help=f"The room's name. [default: the last one, or {DEFAULT_ROOM}]")
@click.option("--nick", metavar="NICK", help="Your name there. [default: that of your account]")
@click.option("--listen", metavar="HOST:PORT", help=f"Where the relay listens. [default: {DEFAULT_LISTEN}]")
@click.option("--host", metavar="NAME", help="What others reach this machine by; goes into links. [default: guessed]")
@click.option("--uses", type=click.IntRange(1, 1_000), help="How many join by the link. [default: 1]")
@click.option("--plain", is_flag=True, help="Line by line: for screen readers and pipes.")
def up(
    *, room: str | None, nick: str | None, listen: str | None, host: str | None, uses: int | None, plain: bool
) -> None:
    """Start a relay and a room, show an invite link, and open the room. A second `up` finds the room again.

    In the window, `/invite` makes further links.

    The relay runs as long as this command does. Without a terminal it prints the link, alone on standard output, and
    keeps the relay until SIGTERM.
    """
    from chaton.cli.talking import end_with

    is_attended = sys.stdin.isatty()
    client = _up(_Wish(room, nick, listen, host, uses, plain, is_attended), profile_directory() / "relay")
    # Without a terminal SIGTERM is how it is meant to end.
    end_with(client, **({} if is_attended else {"terminated": 0}))


@dataclass(frozen=True, slots=True)
class _Wish:
    """What was asked for. ``attended``: somebody sits at a terminal."""

    room: str | None
    nick: str | None
    listen: str | None
    host: str | None
    uses: int | None
    plain: bool
    attended: bool


@dataclass(frozen=True, slots=True)
class _Chosen:
    """What ``up.json`` keeps. ``host`` and ``port`` are what links name; ``room`` is the id of the last room."""

    listen: str
    host: str
    port: int
    certs: str
    room: str = ""


async def _up(wish: _Wish, directory: Path) -> int:
    from chaton.cli.asking import has_window
    from chaton.cli.output import tell

    chosen = _choose(wish, directory)
    async with backend(create_profile=True, lasting=True) as opened, _relay(opened, chosen, directory) as relay:
        known, chosen = chosen.room, replace(chosen, port=relay.port)
        facts = await _room(opened, wish, chosen, relay.pin)
        _keep(directory, replace(chosen, room=facts.room))
        invitation = None
        if known != facts.room or wish.uses or wish.plain or not has_window():
            link = await _link(opened, facts.room, wish.uses or 1)
            invitation = _show(link, wish, facts, chosen)
        try:
            return await _stay(opened, wish, facts, relay, invitation)
        finally:
            if relay.process is not None:
                tell("stopping the relay; chaton up starts it again")


# --- what was chosen before ---


def _choose(wish: _Wish, directory: Path) -> _Chosen:
    """What was chosen the first time, else what is asked for now."""
    from chaton.relay.config import parse_listen

    before = _kept(directory)
    if before is None:
        listen = wish.listen or DEFAULT_LISTEN
        bound, port = parse_listen(listen)
        return _Chosen(listen, wish.host or _reachable_as(bound), port, str(_certs_directory(directory)))
    if wish.listen is None and wish.host is None:
        return before
    listen = wish.listen or before.listen
    bound, port = parse_listen(listen)
    return replace(before, listen=listen, host=wish.host or _reachable_as(bound), port=port or before.port)


def _kept(directory: Path) -> _Chosen | None:
    import msgspec

    path = directory / "up.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Chosen)
    except FileNotFoundError:
        return None
    except OSError as cause:
        raise StoreError(f"{path} cannot be read: {cause.strerror}") from cause
    except (msgspec.MsgspecError, UnicodeDecodeError) as cause:
        raise StoreError(f"{path} is damaged", hint="remove it; the room is found again by --room NAME") from cause


def _keep(directory: Path, chosen: _Chosen) -> None:
    import msgspec

    path, draft = directory / "up.json", directory / "up.json.new"
    try:
        draft.write_bytes(msgspec.json.encode(chosen))
        draft.replace(path)
    except OSError as cause:
        raise StoreError(f"{path} cannot be written: {cause.strerror}") from cause


def _certs_directory(directory: Path) -> Path:
    """``certs/`` here, where somebody has made certificates or keeps a checkout of the project; else our own."""
    here = Path("certs").absolute()
    is_checkout = (here / ".gitignore").is_file() and (here.parent / "chaton" / "cli" / "starting.py").is_file()
    return here if is_checkout or (here / "server.pem").is_file() else directory / "certs"


def _reachable_as(bound: str) -> str:
    """What to call this machine in links, where it listens on all of its addresses."""
    try:
        if not ip_address(bound).is_unspecified:
            return bound
    except ValueError:
        return bound
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # A datagram socket that is connected knows its own address, and has not sent anything.
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


# --- the relay ---


@asynccontextmanager
async def _relay(opened: "Backend", chosen: _Chosen, directory: Path) -> AsyncIterator["RunningRelay"]:
    """The relay: the one of an earlier ``up`` that is still there, or a child process."""
    from chaton.cli.child import relay_process
    from chaton.cli.output import tell

    pin = _prepared(chosen, directory)
    there = await _already_there(chosen, pin)
    if there is not None:
        tell(f"the relay is running already on {chosen.listen}")
        yield there
        return
    certs = Path(chosen.certs)
    listen = chosen.listen if not chosen.listen.endswith(":0") else f"{chosen.listen[:-1]}{chosen.port}"
    options = [
        "--listen", listen, "--data", str(directory / "data"), "--cert", str(certs / "server.pem"),
        "--key", str(certs / "server.key"), *_owner(opened),
    ]  # fmt: skip
    async with relay_process(options, directory / "relay.log") as relay:
        yield relay


def _prepared(chosen: _Chosen, directory: Path) -> str:
    """The pin of the relay that is to run, its directory made and its certificates there."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as cause:
        raise StoreError(f"{directory} cannot be made: {cause.strerror}") from cause
    return _certificates(chosen)


def _owner(opened: "Backend") -> list[str]:
    """Who may create rooms from elsewhere; through another process, being on this machine is enough."""
    from chaton.client.client import Client

    return ["--owner", str(opened.identity)] if isinstance(opened, Client) else []


def _certificates(chosen: _Chosen) -> str:
    """The pin of the relay's key; certificates are made where there are none."""
    from chaton.cli.output import tell
    from chaton.relay.certs import DEFAULT_ADDRESSES, DEFAULT_DAYS, DEFAULT_HOSTS, generate, pin_of

    certs = Path(chosen.certs)
    path = certs / "server.pem"
    if path.exists() and (certs / "server.key").exists():
        try:
            return str(pin_of(path.read_bytes()))
        except OSError as cause:
            raise StoreError(f"{path} cannot be read: {cause.strerror}", hint="look at its permissions") from cause
    hosts, addresses = [*DEFAULT_HOSTS], [*DEFAULT_ADDRESSES]
    known = addresses if _is_address(chosen.host) else hosts
    if chosen.host not in known:
        known.append(chosen.host)
    pin = generate(certs, hosts, addresses, DEFAULT_DAYS, now=datetime.now(UTC), force=False)
    tell(f"made certificates in {certs}")
    return str(pin)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


async def _already_there(chosen: _Chosen, pin: str) -> "RunningRelay | None":
    """A relay with our key that listens there; ``UsageError`` where somebody else does."""
    from chaton.cli.child import RunningRelay
    from chaton.cli.relaying import greet
    from chaton.relay.config import parse_listen

    bound, port = parse_listen(chosen.listen)
    port = port or chosen.port
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bound, bound)  # noqa: S104  # What to connect to instead.
    if not port or not await _is_taken(host, port):
        return None
    try:
        shown = (await asyncio.wait_for(greet(host, port), _LOOK_S))["pin"]
    except (Unreachable, TimeoutError):
        shown = ""
    if shown == pin:
        return RunningRelay(host, port, pin)
    what = "another relay" if shown else "another program"
    raise UsageError(f"{what} listens on {chosen.listen} already", hint="choose another port: --listen 127.0.0.1:5556")


async def _is_taken(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), _LOOK_S)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


# --- the room ---


async def _room(opened: "Backend", wish: _Wish, chosen: _Chosen, pin: str) -> "RoomFacts":
    """The room of the last time, or the one of that name on this relay; else a new one."""
    from chaton.cli.asking import ask_nick, default_nick, has_window
    from chaton.cli.relaying import netloc
    from chaton.client.replies import RoomFacts, RoomList
    from chaton.client.requests import Create, Open, Rooms

    there = netloc(chosen.host, chosen.port)
    known = [one for one in (await _ask(opened, Rooms(), RoomList)).rooms if one.status == "in" and not one.peer]
    wanted = wish.room or DEFAULT_ROOM
    named = [one for one in known if one.name == wanted]
    last = [one for one in known if one.room == chosen.room] if wish.room is None else []
    for one in last or [one for one in named if one.relay == there]:
        if one.relay != there:
            hint = "leave --listen and --host out, or make a room for the new address: --room NAME"
            raise UsageError(f"the room {one.name} is at {one.relay}, and its links say so", hint=hint)
        return await _ask(opened, Open(room=one.room), RoomFacts)
    asked = ask_nick() if wish.nick is None and has_window() and not wish.plain else default_nick()
    nick = wish.nick or asked or "owner"
    request = Create(name=wanted, host=chosen.host, port=chosen.port, pin=pin, nick=nick)
    return await _ask(opened, request, RoomFacts)


async def _link(opened: "Backend", room: str, uses: int) -> str:
    from chaton.client.replies import LinkText
    from chaton.client.requests import Invite

    return (await _ask(opened, Invite(room=room, uses=uses), LinkText)).link


async def _ask(opened: "Backend", request: "AnyRequest", kind: type[_Kind]) -> _Kind:
    reply = await opened.perform(request)
    assert isinstance(reply, kind)
    return reply


def _show(link: str, wish: _Wish, facts: "RoomFacts", chosen: _Chosen) -> "Invitation | None":
    """Show the link: alone on standard output, what to do with it beside it; or give it to the window to show."""
    from chaton.cli.asking import has_window
    from chaton.cli.output import put, tell

    people = "one person" if (wish.uses or 1) == 1 else f"{wish.uses} people"
    about = f"{facts.name} is open. This link lets {people} in within 24 hours; they run: chaton join"
    if not wish.plain and has_window():
        from chaton.tui.screens import Invitation

        return Invitation(link, about, _who_reaches(chosen))
    tell(about)
    put(link, "bold")
    tell(_who_reaches(chosen))
    if not wish.attended:
        tell("no terminal: the relay runs until SIGTERM")
    return None


def _who_reaches(chosen: _Chosen) -> str:
    """Who can come to this relay, by the address that its links name."""
    if _is_address(chosen.host) and ip_address(chosen.host).is_loopback:
        return "only this machine reaches the relay; for others: chaton up --listen 0.0.0.0:5555 --room NAME"
    return f"everybody reaches the relay who reaches {chosen.host}, port {chosen.port}; only links let people in"


async def _stay(
    opened: "Backend", wish: _Wish, facts: "RoomFacts", relay: "RunningRelay", invitation: "Invitation | None"
) -> int:
    from chaton.cli.talking import talk
    from chaton.cli.typing_in import read_lines
    from chaton.client.requests import Open

    if wish.attended:
        async with aclosing(read_lines(_STDIN)) as lines:
            hosting = relay.process is not None
            request = Open(room=facts.room)
            return await talk(opened, request, lines, plain=wish.plain, invitation=invitation, hosting=hosting)
    if relay.process is None:
        await asyncio.Event().wait()
    else:
        await relay.process.wait()
    raise ChatonError("the relay has ended by itself", hint=f"see {profile_directory() / 'relay' / 'relay.log'}")
