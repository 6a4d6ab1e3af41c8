"""Rooms and their links: make, list, invite, look into."""

import sys
from typing import TYPE_CHECKING

import click

from chaton.cli.common import (
    answer,
    backend,
    command,
    json_option,
    parse_address,
    parse_pin,
    profile_directory,
    run,
    show,
)
from chaton.cli.known import complete_person, complete_room
from chaton.cli.progress import telling
from chaton.errors import UsageError

if TYPE_CHECKING:
    from chaton.client.replies import Reply


@click.group("room")
def room() -> None:
    """Make a room on a relay."""


@command(
    "new",
    examples="""\
  chaton room new ops --relay relay.example:5555 --pin PIN --nick alice
  chaton invite ops                                   then: a link for somebody
""",
)
@click.argument("name", metavar="NAME")
@click.option("--relay", metavar="HOST:PORT", help="Where it is to be. [default: where your rooms are]")
@click.option("--pin", metavar="PIN", help="The relay's pin: chaton serve prints it. [default: as your rooms know it]")
@click.option("--nick", metavar="NICK", help="Your name there. [default: the one that you have there]")
@click.option("--topic", metavar="TEXT", default="", help="Its topic.")
@click.option("--approve", is_flag=True, help="Whoever joins waits until an admin admits them.")
@click.option("--max", "max_members", type=click.IntRange(2, 1_000), default=100, show_default=True, help="Members.")
@json_option
def new(
    *,
    name: str,
    relay: str | None,
    pin: str | None,
    nick: str | None,
    topic: str,
    approve: bool,
    max_members: int,
    as_json: bool,
) -> None:
    """Make a room that you own, and print its id.

    The relay has to allow it: run it with --owner and your identity, or call this on the relay's own machine. Where you
    have rooms already, what you do not name is as it is there.
    """
    from chaton.cli.asking import ask_nick
    from chaton.cli.placing import Place, completed, rooms_of
    from chaton.client.profile import exists
    from chaton.client.requests import Create

    if relay:
        parse_address(relay)
    given = Place(relay or "", parse_pin(pin) if pin else "", nick or "")
    if not exists(profile_directory()):
        # Nothing is known yet, and no profile is made for a command that lacks something.
        completed(given, [])
        given = Place(given.relay, given.pin, given.nick or ask_nick())

    async def making() -> "Reply":
        async with backend(create_profile=True) as opened, telling(opened):
            place = completed(given, await rooms_of(opened))
            host, port = parse_address(place.relay)
            request = Create(
                name=name, host=host, port=port, pin=place.pin, nick=place.nick or ask_nick(), topic=topic,
                approve=approve, max_members=max_members,
            )  # fmt: skip
            return await opened.perform(request)

    show(run(making()), as_json=as_json, text=lambda facts: [facts.room])


room.add_command(new)


@command("rooms", examples="  chaton rooms --json\n")
@json_option
def rooms(as_json: bool) -> None:
    """The rooms of this profile: name, id, members, your nick, relay."""
    from chaton.client.requests import Rooms

    answer(Rooms(), as_json=as_json)


@command(
    "invite",
    examples="""\
  chaton invite ops                                   one person, within a day
  chaton invite ops --uses 20 --expires 2h --guest    a workshop
  chaton invite ops --post-only                       for a bot that sends alerts and reads nothing
""",
)
@click.argument("room_name", metavar="ROOM", shell_complete=complete_room)
@click.option("--uses", type=click.IntRange(1, 1_000), default=1, show_default=True, help="How many may join by it.")
@click.option("--expires", metavar="TIME", default="24h", show_default=True, help="Such as 30m, 24h, 7d.")
@click.option("--guest", is_flag=True, help="Their keys live a day instead of two weeks.")
@click.option("--post-only", is_flag=True, help="They may send, and read nothing.")
@click.option("--qr", is_flag=True, help="Show it as a QR code on the terminal as well.")
@json_option
def invite(*, room_name: str, uses: int, expires: str, guest: bool, post_only: bool, qr: bool, as_json: bool) -> None:
    """Print an invite link, alone on standard output. Whoever holds it can join: send it over a channel you trust."""
    from chaton.client.duration import parse_duration_ms
    from chaton.client.replies import LinkText
    from chaton.client.requests import Invite

    life_ms = parse_duration_ms(expires)
    request = Invite(room=room_name, uses=uses, life_ms=life_ms, guest=guest, post_only=post_only)
    reply = answer(request, as_json=as_json)
    if qr and isinstance(reply, LinkText):
        show_qr(reply.link)


def show_qr(link: str) -> None:
    """Draw a link as a QR code on standard error, if that is a terminal it fits on; the text is always printed."""
    import io
    import shutil

    import segno

    from chaton.cli.output import tell

    drawn = io.StringIO()
    segno.make(link, error="l", micro=False).terminal(drawn, compact=True, border=2)
    lines = drawn.getvalue().splitlines()
    columns, rows = shutil.get_terminal_size()
    width = segno.make(link, error="l", micro=False).symbol_size(border=2)[0]
    if not sys.stderr.isatty():
        tell("no QR code: standard error is not a terminal")
    elif width > columns or len(lines) > rows:
        tell(f"no QR code: it takes {width} columns and {len(lines)} rows, this terminal has {columns} and {rows}")
    else:
        tell("\n".join(lines))


@command("invites")
@click.argument("room_name", metavar="ROOM", shell_complete=complete_room)
@json_option
def invites(room_name: str, as_json: bool) -> None:
    """The invites that are live: number, uses left, when they end, whose they are."""
    from chaton.client.requests import Invites

    answer(Invites(room=room_name), as_json=as_json)


@command("uninvite", examples="  chaton invites ops\n  chaton uninvite ops 12\n")
@click.argument("room_name", metavar="ROOM", shell_complete=complete_room)
@click.argument("number", metavar="N", type=click.IntRange(1))
@json_option
def uninvite(room_name: str, number: int, as_json: bool) -> None:
    """Take an invite back. N is the number of its record, as `chaton invites ROOM` shows it."""
    from chaton.client.requests import Act

    answer(Act(room=room_name, what="uninvite", text=str(number)), as_json=as_json)


@command("members")
@click.argument("room_name", metavar="ROOM", shell_complete=complete_room)
@json_option
def members(room_name: str, as_json: bool) -> None:
    """Who is in a room, and who waits: nick, role, the first digits of the identity."""
    from chaton.client.requests import Members

    answer(Members(room=room_name), as_json=as_json)


@command("log")
@click.argument("room_name", metavar="ROOM", shell_complete=complete_room)
@json_option
def log(room_name: str, as_json: bool) -> None:
    """The moderation log: every act and whose signature it bears. This machine has checked each of them."""
    from chaton.client.requests import Log

    answer(Log(room=room_name), as_json=as_json)


@command("verify", examples="  chaton verify ops bob\n  chaton verify ops bob --ok       after you have compared it\n")
@click.argument("room_name", metavar="ROOM", shell_complete=complete_room)
@click.argument("who", metavar="[WHO]", required=False, default="", shell_complete=complete_person)
@click.option("--ok", is_flag=True, help="You have compared it, and it is equal. After a fork: go on sending.")
@json_option
def verify(room_name: str, who: str, ok: bool, as_json: bool) -> None:
    """Safety codes of a room, or of you and WHO. Compare them over another channel, such as a call."""
    from chaton.client.requests import Verify

    if ok and not sys.stdin.isatty() and not who and as_json:
        raise UsageError("--ok says that a person has compared codes", hint="say it without --json")
    answer(Verify(room=room_name, who=who, ok=ok), as_json=as_json)
