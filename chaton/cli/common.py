"""What commands share: their options, and how a coroutine is run to its end."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from chaton.cli.known import complete_room
from chaton.cli.progress import telling
from chaton.errors import UsageError

if TYPE_CHECKING:
    from chaton.cli.face import Backend
    from chaton.client.replies import Reply
    from chaton.client.requests import AnyRequest

_Result = TypeVar("_Result")
_Reply = TypeVar("_Reply")
_Function = TypeVar("_Function", bound=Callable[..., Any])

room_argument = click.argument("room", metavar="ROOM", shell_complete=complete_room)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")


def command(name: str, *, examples: str = "") -> Callable[[Callable[..., Any]], click.Command]:
    """A command that also takes ``--profile`` and ``--debug`` behind its name, as people write them there.

    Args:
        name: As it is typed.
        examples: Lines to copy, for the end of its help.
    """
    # click wraps paragraphs, unless they begin with this mark.
    epilog = f"\b\nExamples:\n{examples}" if examples else None

    def make(function: Callable[..., Any]) -> click.Command:
        settings = {"help_option_names": ["-h", "--help"]}
        made = click.command(name, epilog=epilog, context_settings=settings)(_common_options(function))
        assert isinstance(made, click.Command)
        return made

    return make


def _common_options(function: _Function) -> _Function:
    debug = click.option("--debug", is_flag=True, hidden=True, expose_value=False, callback=_note("debug"))
    profile = click.option("--profile", metavar="DIR", hidden=True, expose_value=False, callback=_note("profile"))
    return debug(profile(function))


def _note(key: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(ctx: click.Context, _parameter: click.Parameter, value: Any) -> None:
        if value and ctx.obj is not None:
            ctx.obj[key] = value

    return callback


def profile_directory() -> Path:
    """Where the profile is: ``--profile``, CHATON_PROFILE, or the platform's directory for data."""
    chosen = click.get_current_context().obj["profile"]
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return platformdirs.user_data_path("chaton") / "profile"


def is_debug() -> bool:
    """Whether ``--debug`` was given."""
    return bool(click.get_current_context().obj["debug"])


def run(coroutine: Coroutine[Any, Any, _Result]) -> _Result:
    """Run a coroutine to its end; Ctrl-C cancels it and becomes KeyboardInterrupt."""
    return asyncio.run(coroutine)


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of a relay to go to, as ``relay.example:5555``.

    Raises:
        UsageError: It is written otherwise.
    """
    from chaton.relay.config import parse_listen

    try:
        host, port = parse_listen(text)
    except UsageError as cause:
        hint = "write it like relay.example:5555 or [::1]:5555"
        raise UsageError(f"{text[:80]!a} is not HOST:PORT", hint=hint) from cause
    if not port:
        raise UsageError("no relay listens on port 0", hint="write it like relay.example:5555")
    return host, port


def parse_pin(text: str) -> str:
    """A relay's pin, 64 lower-case hex digits; raises ``UsageError``."""
    from chaton.errors import Malformed
    from chaton.identity.ids import Pin

    try:
        return str(Pin.from_hex(text))
    except Malformed as cause:
        hint = "chaton serve prints it, and chaton health HOST:PORT shows it"
        raise UsageError("a pin is 64 lower-case hex digits", hint=hint) from cause


@asynccontextmanager
async def backend(*, create_profile: bool = False, lasting: bool = False) -> AsyncIterator["Backend"]:
    """The profile, open here or in the process that has it already.

    Args:
        create_profile: Make a profile with a fresh identity where there is none.
        lasting: This process stays and keeps the connection: it rotates keys and answers others.
    """
    from chaton.cli.asking import has_window, make_profile, passphrase_asker
    from chaton.client.gateway import open_backend
    from chaton.client.profile import exists

    directory = profile_directory()
    is_first = create_profile and lasting and has_window() and not exists(directory)
    ask = make_profile(directory) if is_first else passphrase_asker()
    async with open_backend(directory, ask=ask, create=create_profile, lasting=lasting) as opened:
        yield opened


async def perform(request: "AnyRequest") -> "Reply":
    """Open the profile, perform one request, and close it."""
    async with backend() as opened, telling(opened):
        return await opened.perform(request)


def ask_for(kind: type[_Reply], request: "AnyRequest") -> _Reply:
    """Perform one request whose answer is of one kind, and print nothing."""
    reply = run(perform(request))
    assert isinstance(reply, kind)
    return reply


def answer(
    request: "AnyRequest",
    *,
    as_json: bool = False,
    text: Callable[[Any], list[str]] | None = None,
) -> "Reply":
    """Perform one request, print its answer, and give it back.

    Args:
        request: What to do.
        as_json: Print JSON instead of lines.
        text: Makes the lines; else as everywhere.
    """
    reply = run(perform(request))
    show(reply, as_json=as_json, text=text)
    return reply


def show(reply: "Reply", *, as_json: bool = False, text: Callable[[Any], list[str]] | None = None) -> None:
    """Print an answer, as ``answer`` does."""
    from chaton.cli.events import of_reply as json_of_reply
    from chaton.cli.lines import Narrator, of_reply
    from chaton.cli.output import put, put_json

    if as_json:
        for event in json_of_reply(reply):
            put_json(event)
        return
    for line in text(reply) if text is not None else of_reply(reply, Narrator(numbers=True)):
        put(line)
