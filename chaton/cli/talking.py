"""Talking: join or open a room, send one message, print what was said."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

import click

from chaton.cli.common import backend, command, json_option, perform, room_argument, run
from chaton.cli.progress import telling
from chaton.errors import Refused, Unreachable, UsageError

if TYPE_CHECKING:
    from chaton.cli.chat import Chat
    from chaton.cli.face import Backend
    from chaton.cli.typing_in import Line
    from chaton.client.requests import AnyRequest
    from chaton.tui.screens import Invitation

EXIT_TERMINATED: Final = 143
_STDIN: Final = 0
_PATIENCE_S: Final = 30.0
_NICK_ATTEMPTS: Final = 5

_plain_option = click.option(
    "--plain", is_flag=True, help="Line by line: for a screen reader, a pipe, a dumb terminal."
)
_json_lines_option = click.option("--json", "as_json", is_flag=True, help="For programs: JSON events out, lines in.")


@command(
    "join",
    examples="""\
  chaton join                                         asks for the link and a nick
  chaton join --nick db1 --json - < link-then-lines   the first line of input is the link
  pass show ops-link | chaton join - --nick alice
""",
)
@click.argument("link", metavar="[LINK or -]", required=False)
@click.option("--nick", metavar="NICK", help="Your name in the room.")
@_plain_option
@_json_lines_option
def join(link: str | None, nick: str | None, plain: bool, as_json: bool) -> None:
    """Join a room by an invite link, and open it.

    A LINK given as an argument can be read by other users of this machine while chaton runs. Without LINK it is asked
    for, and with - it is the first line of standard input: then nobody sees it.
    """
    if link is None and not sys.stdin.isatty():
        raise UsageError("an invite link is needed", hint="give - as LINK to read it from standard input")
    end_with(_joining(link, nick, as_json=as_json, plain=plain))


@command("open", examples="  chaton open ops\n  chaton open ops --json < commands\n")
@room_argument
@_plain_option
@_json_lines_option
def open_(room: str, plain: bool, as_json: bool) -> None:
    """Open a room that you are in. ROOM is its name, or at least 8 hex digits of its id."""
    from chaton.client.requests import Open

    end_with(_staying(Open(room=room), as_json=as_json, plain=plain))


async def look_around() -> int:
    """Open the window on every room of the profile."""
    from chaton.tui.start import run_window

    async with backend(create_profile=True, lasting=True) as opened:
        return await run_window(opened)


def end_with(client: Coroutine[Any, Any, int], *, terminated: int = EXIT_TERMINATED) -> None:
    """Run a client that stays, and end the process with its exit code; ``terminated`` is that of SIGTERM."""
    code = run(_until_terminated(client, terminated))
    if code:
        sys.exit(code)


async def _until_terminated(client: Coroutine[Any, Any, int], exit_code: int) -> int:
    """SIGTERM and a terminal that hangs up end a client as Ctrl-C does: the terminal is put in order again."""
    task = asyncio.ensure_future(client)
    loop = asyncio.get_running_loop()
    is_terminated = False

    def terminate() -> None:
        nonlocal is_terminated
        is_terminated = True
        task.cancel()

    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, terminate)
    try:
        code = await task
    except asyncio.CancelledError:
        if not is_terminated:
            raise
        code = exit_code
    finally:
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)
    # The window takes being cancelled as if somebody had quit.
    return exit_code if is_terminated else code


def make_chat(opened: "Backend", *, as_json: bool, plain: bool) -> "Chat":
    """The client to talk with: JSON, or lines."""
    from chaton.cli.chat import Chat
    from chaton.cli.jsonlines import JsonFace
    from chaton.cli.plain import REPEATED_LINES, PlainFace

    if as_json and plain:
        raise UsageError("--plain and --json contradict each other", hint="give one of them")
    return Chat(opened, JsonFace()) if as_json else Chat(opened, PlainFace(), repeat=REPEATED_LINES)


async def _staying(request: "AnyRequest", *, as_json: bool, plain: bool) -> int:
    from chaton.cli.typing_in import read_lines

    async with backend(lasting=True) as opened, aclosing(read_lines(_STDIN)) as lines:
        return await talk(opened, request, lines, as_json=as_json, plain=plain)


async def talk(
    opened: "Backend",
    request: "AnyRequest",
    lines: AsyncIterator["Line"],
    *,
    as_json: bool = False,
    plain: bool = False,
    invitation: "Invitation | None" = None,
    hosting: bool = False,
) -> int:
    """Enter a room by a ``Join`` or ``Open`` and stay: in the window where there can be one, else line by line."""
    from chaton.cli.asking import has_window
    from chaton.cli.typing_in import marked_pastes

    if as_json or plain or not has_window():
        with marked_pastes(_STDIN):
            return await make_chat(opened, as_json=as_json, plain=plain).run(request, lines)
    from chaton.tui.start import run_window

    return await run_window(opened, await _entered(opened, request), invitation, hosting=hosting)


async def _entered(opened: "Backend", request: "AnyRequest") -> str:
    """The id of the room to show: one that is known is shown before its relay has answered."""
    from chaton.client.replies import Lines, RoomFacts
    from chaton.client.requests import Open, Page

    if isinstance(request, Open):
        known = await opened.perform(Page(room=request.room, limit=1))
        assert isinstance(known, Lines)
        return known.room
    saying = asyncio.create_task(_say_that_one_waits(opened))
    try:
        async with telling(opened):
            facts = await opened.perform(request)
    finally:
        saying.cancel()
    assert isinstance(facts, RoomFacts)
    return facts.room


async def _say_that_one_waits(opened: "Backend") -> None:
    """An admin may have to let one in, which takes as long as it takes."""
    from chaton.cli.lines import Narrator
    from chaton.cli.output import tell
    from chaton.session.notices import Waiting

    async for notice in opened.notices():
        if isinstance(notice, Waiting):
            tell(Narrator().notice(notice))


async def _joining(link: str | None, nick: str | None, *, as_json: bool, plain: bool) -> int:
    from chaton.cli.typing_in import read_lines

    async with aclosing(read_lines(_STDIN)) as lines:
        given = link if link is not None and link != "-" else await _next_line(lines, "invite link: ", of=link)
        room = _room_of(given)
        async with backend(create_profile=True, lasting=True) as opened:
            request = await _request_to_join(opened, given.strip(), room, nick, lines)
            return await _join_under_some_nick(opened, request, lines, as_json=as_json, plain=plain)


def _room_of(link: str) -> str:
    """The room of a link, which is looked at before a profile is made or a relay asked."""
    from chaton.errors import Malformed
    from chaton.room.link import Link

    try:
        return str(Link.decode(link.strip()).room)
    except Malformed as cause:
        hint = "copy the whole link once more, from chaton: to its end; it has no spaces or line breaks"
        raise Refused("bad-link", str(cause), hint=hint) from cause


async def _request_to_join(
    opened: "Backend", link: str, room: str, nick: str | None, lines: AsyncIterator["Line"]
) -> "AnyRequest":
    """Join, or open where one is in already."""
    from chaton.client.replies import RoomList
    from chaton.client.requests import Join, Open, Rooms

    known = await opened.perform(Rooms())
    assert isinstance(known, RoomList)
    if any(one.room == room and one.status == "in" for one in known.rooms):
        return Open(room=room)
    return Join(link=link, nick=nick or await _ask_nick(lines))


async def _join_under_some_nick(
    opened: "Backend", request: "AnyRequest", lines: AsyncIterator["Line"], *, as_json: bool, plain: bool
) -> int:
    """Join; where somebody has the nick already and a person is there, ask for another one."""
    from chaton.cli.output import tell_error
    from chaton.client.requests import Join

    for attempt in range(2, _NICK_ATTEMPTS + 2):
        try:
            return await talk(opened, request, lines, as_json=as_json, plain=plain)
        except (Refused, UsageError) as refusal:
            is_nick = isinstance(request, Join) and (isinstance(refusal, UsageError) or refusal.code == "nick-taken")
            if not is_nick or not sys.stdin.isatty():
                raise
            tell_error(refusal)
            assert isinstance(request, Join)
            request = Join(link=request.link, nick=await _ask_nick(lines, f"{request.nick[:28]}{attempt}"))
    raise UsageError("no nick was found", hint="give one: --nick NICK")


async def _ask_nick(lines: AsyncIterator["Line"], proposal: str = "") -> str:
    from chaton.cli.asking import default_nick

    if not sys.stdin.isatty():
        raise UsageError("a nick is needed, and nobody is here to ask", hint="give one: --nick NICK")
    proposed = proposal or default_nick()
    typed = await _next_line(lines, f"your nick{f' [{proposed}]' if proposed else ''}: ")
    return typed.strip() or proposed


async def _next_line(lines: AsyncIterator["Line"], question: str, *, of: str | None = None) -> str:
    """The next line of input; asked for where somebody is there."""
    if sys.stdin.isatty():
        sys.stderr.write(question)
        sys.stderr.flush()
    try:
        line = await anext(lines)
    except StopAsyncIteration as cause:
        what = "standard input ended before a link came" if of == "-" else "the input has ended"
        raise UsageError(what, hint="with - as LINK, its first line is the link") from cause
    if line.problem:
        raise UsageError(line.problem)
    return line.text


@command(
    "send",
    examples="""\
  chaton send ops "deploy starts"
  df -h / | chaton send ops                           what comes by a pipe is one message
  chaton send ops -m "-5 degrees" --timeout 10
  chaton send ops --to bob "are you there?"           a direct message
  chaton send ops --attach plan.pdf "second draft"    a file, and what to say about it
""",
)
@room_argument
@click.argument("text", metavar="[TEXT or -]", nargs=-1)
@click.option("-m", "--message", metavar="TEXT", help="The message; it may begin with a dash.")
@click.option("--file", metavar="FILE", help="The message is what this file holds; - is standard input.")
@click.option("--attach", metavar="FILE", help="Send this file; the message, if there is one, is its caption.")
@click.option("--to", metavar="WHO", default="", help="As a direct message to one member.")
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(min=0.1),
    help="When to give up. [default: 30; none with --attach, while the relay answers]",
)
@json_option
def send(
    *,
    room: str,
    text: tuple[str, ...],
    message: str | None,
    file: str | None,
    attach: str | None,
    to: str,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Send one message, or a file. Exit code 0 only when it is in the room.

    TEXT as an argument can be read by other users of this machine; what comes by a pipe cannot. A message that is
    not in the room in time ends with exit code 4; the error says if it may still be on its way.
    """
    given = bool(text) or message is not None or file is not None
    said = _text_to_send(" ".join(text), message, file) if given or attach is None else ""
    if attach is None:
        _check_text(said)
    patience = timeout if timeout is not None or attach is not None else _PATIENCE_S

    async def sending() -> Any:
        try:
            async with asyncio.timeout(patience):
                return await _send(room, said, attach, to)
        except TimeoutError as cause:
            hint = "it may be on its way: look at chaton tail before you send it again"
            raise Unreachable(f"the message was not in the room within {patience:g} s", hint=hint) from cause

    reply = run(sending())
    if as_json:
        from chaton.cli.output import put_json

        put_json({"v": 1, "event": "sent", "room": reply.room, "seq": reply.seq, "id": reply.id, "ref": 1})


async def _send(room: str, text: str, attach: str | None, to: str) -> Any:
    from chaton.cli.files import send_attached
    from chaton.client.requests import Send

    if attach is not None:
        return await send_attached(room, attach, text, to)
    return await perform(Send(room=room, text=text, to=to))


def _check_text(text: str) -> None:
    from chaton.limits import TEXT_BYTES_MAX

    size = len(text.encode(errors="replace"))
    if not text.strip():
        raise UsageError("there is nothing to send", hint="give a TEXT, or pipe it in")
    if size > TEXT_BYTES_MAX:
        hint = f"{TEXT_BYTES_MAX:,} is the most: send it in parts, or as a file: --attach FILE"
        raise UsageError(f"this message has {size:,} bytes, and was not sent", hint=hint)


def _text_to_send(text: str, message: str | None, file: str | None) -> str:
    """The message, from the one place that was given, or from standard input."""
    from chaton.cli.asking import read_text
    from chaton.cli.output import tell

    if sum([bool(text), message is not None, file is not None]) > 1:
        raise UsageError("TEXT, -m and --file are three ways to give one message", hint="give one of them")
    if message is not None:
        return message
    if text and text != "-":
        return text
    source = file if file is not None else "-"
    if source == "-" and sys.stdin.isatty():
        tell("reading from stdin, Ctrl+D to end")
    return read_text(source).removesuffix("\n")


@command(
    "tail",
    examples="""\
  chaton tail ops                                     what was said
  chaton tail ops --json --after 120                  what was said after message 120
  chaton tail ops -f --since 1h                       the last hour, and what is said from now on
""",
)
@room_argument
@json_option
@click.option("--after", metavar="S", type=click.IntRange(0), default=0, help="Only what has a larger number.")
@click.option("--since", metavar="TIME", help="Only what is younger, such as 30m, 1h, 7d.")
@click.option("-n", "--lines", "count", metavar="N", type=click.IntRange(0), help="Only the last N lines.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is said from now on.")
def tail(*, room: str, as_json: bool, after: int, since: str | None, count: int | None, follow: bool) -> None:
    """Print what a room has said, and end; -f goes on until it is stopped."""
    from chaton.cli.tailing import follow_room, print_tail

    if follow:
        end_with(follow_room(room, after=after, since=since, count=count, as_json=as_json))
    else:
        run(print_tail(room, after=after, since=since, count=count, as_json=as_json))
