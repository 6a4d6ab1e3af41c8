"""The ``chaton`` command: which commands there are, and how a program of Chaton ends.

Exit codes: 0 done · 1 failed otherwise · 2 wrong usage · 3 refused · 4 relay unreachable or timed out · 5 security stop
· 6 profile locked or wrong passphrase · 130 Ctrl-C · 143 SIGTERM. An error says what happened and, as ``hint``, what
to do about it.
"""

import contextlib
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Final

import click

import chaton
from chaton.errors import ChatonError, ProfileError, Refused, SecurityStop, Unreachable, UsageError

EXIT_INTERRUPTED: Final = 130
_COMPLETION: Final = "_CHATON_COMPLETE"
EXIT_CODES: Final[tuple[tuple[type[ChatonError], int], ...]] = (
    (UsageError, 2), (Refused, 3), (Unreachable, 4), (SecurityStop, 5), (ProfileError, 6),
)  # fmt: skip

# Where each command is, and the line of it in --help: what the help needs without importing any of them.
_COMMANDS: Final = {
    "Start": {
        "up": ("starting:up", "A relay, a room, an invite link, and you in it: in one command."),
        "demo": ("demo:demo", "A short tour in one terminal, no questions."),
        "join": ("talking:join", "Join a room by an invite link, and open it."),
        "open": ("talking:open_", "Open a room that you are in."),
    },
    "Pipes and scripts": {
        "send": ("talking:send", "Send one message or file; done when it is in the room."),
        "get": ("files:get", "Fetch the file of a message."),
        "tail": ("talking:tail", "Print what a room has said, or follow it."),
        "export": ("exporting:export", "Write down what this profile holds of a room."),
    },
    "Rooms": {
        "rooms": ("rooms:rooms", "The rooms of this profile."),
        "room": ("rooms:room", "Make a room on a relay."),
        "invite": ("rooms:invite", "Make an invite link."),
        "invites": ("rooms:invites", "The invites that are live."),
        "uninvite": ("rooms:uninvite", "Take an invite back."),
        "members": ("rooms:members", "Who is in a room, and who waits."),
        "log": ("rooms:log", "The checked moderation log: each line with whose signature."),
        "verify": ("rooms:verify", "Safety codes, to compare over another channel."),
    },
    "Moderation": {
        "kick": ("moderating:kick", "Remove somebody from a room."),
        "ban": ("moderating:ban", "Remove somebody for good."),
        "unban": ("moderating:unban", "Lift a ban."),
        "mute": ("moderating:mute", "Let somebody read but not speak."),
        "unmute": ("moderating:unmute", "Let somebody speak again."),
        "role": ("moderating:role", "Give somebody another role."),
        "admit": ("moderating:admit", "Let in somebody who waits."),
        "topic": ("moderating:topic", "Set a room's topic."),
        "redact": ("moderating:redact", "Hide a message from everybody."),
        "close": ("moderating:close", "End a room for everybody."),
        "leave": ("moderating:leave", "Leave a room for good."),
        "submit": ("moderating:submit", "Hand in a record that was signed with --out."),
    },
    "Relay": {
        "serve": ("relaying:serve", "Run a relay."),
        "certs": ("relaying:certs", "Write or renew the relay's certificates."),
        "health": ("relaying:health", "Is a relay well?"),
    },
    "This machine": {
        "identity": ("identity:identity", "Show, make, lock, or move your keys."),
        "doctor": ("doctor:doctor", "Check versions, permissions, clock, store and terminal."),
        "completion": ("completion:completion", "Print a completion script for your shell."),
    },
}
_PLACES: Final = {name: place for section in _COMMANDS.values() for name, place in section.items()}


class LazyGroup(click.Group):
    """Commands that are imported when they are run: ``chaton --help`` is quick because it imports none."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature.
        """Every command's name."""
        return list(_PLACES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one."""
        if cmd_name not in _PLACES:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = _PLACES[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(f"chaton.cli.{module}"), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with a guess among the commands that are not imported."""
        if args[0] not in _PLACES and not args[0].startswith("-"):
            raise click.exceptions.NoSuchCommand(args[0], possibilities=list(_PLACES), ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The table, by its sections."""
        width = max(map(len, _PLACES))
        for title, section in _COMMANDS.items():
            with formatter.section(title):
                formatter.write_dl([(f"{name:{width}}", line) for name, (_, line) in section.items()])


_EPILOG: Final = """\b
Examples:
  chaton up                              start a relay and a room, and show an invite link
  chaton join                            asks for the link, so that nobody else on this machine sees it
  echo "disk 91%" | chaton send ops      from a script; exit code 0: it is in the room
  chaton tail ops --json -f              follow a room, one JSON object a line

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused, 4 relay unreachable (retry), 5 security stop
(do not retry), 6 profile locked or wrong passphrase, 130 Ctrl-C, 143 SIGTERM.
"""


@click.group(
    cls=LazyGroup, epilog=_EPILOG, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.option(
    "--profile", metavar="DIR", envvar="CHATON_PROFILE",
    help="Who you are. [env: CHATON_PROFILE; else the system's place for it]",
)  # fmt: skip
@click.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto", help="Colours in the output.")
@click.option("--debug", is_flag=True, help="Show tracebacks of errors, and what happens inside.")
@click.version_option(chaton.__version__, prog_name="chaton", message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context, profile: str | None, color: str, debug: bool) -> None:
    """An end-to-end encrypted chat room of your own, in the terminal.

    Without a COMMAND, a terminal opens the window on your rooms.
    """
    ctx.obj = {"profile": profile, "debug": debug}
    if color != "auto":
        from chaton.cli.output import choose_colour

        choose_colour(color)
    if ctx.invoked_subcommand is None:
        _without_command(ctx)


def _without_command(ctx: click.Context) -> None:
    """Open the window where there can be one; a pipe is told how the commands are written."""
    from chaton.cli.asking import has_window
    from chaton.cli.talking import end_with, look_around

    if not has_window():
        raise click.exceptions.NoArgsIsHelpError(ctx)
    end_with(look_around())


def main() -> None:
    """Run the command line and end the process with its exit code."""
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _forget_stdout()
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Carry out one command line and tell the exit code; every error is printed as a sentence."""
    try:
        _complete()
        # Not cli.main, which has an opinion of its own on pipes that break.
        with cli.make_context("chaton", list(arguments)) as context:
            cli.invoke(context)
    except click.exceptions.Exit as end:
        return end.exit_code
    except BrokenPipeError:
        # Whoever read our output has seen enough: that is no failure of ours.
        _forget_stdout()
        return 0
    except (KeyboardInterrupt, click.Abort):
        sys.stderr.write("\n")
        return EXIT_INTERRUPTED
    except click.ClickException as error:
        return _usage(error)
    except Exception as error:  # noqa: BLE001  # The last place that can turn a bug into a sentence.
        return _failed(error, debug="--debug" in arguments)
    return 0


def _complete() -> None:
    """Answer the shell instead, where it asks how a line could go on (``chaton completion``)."""
    instruction = os.environ.get(_COMPLETION)
    if instruction:
        from click.shell_completion import shell_complete

        raise click.exceptions.Exit(shell_complete(cli, {}, "chaton", _COMPLETION, instruction))


def exit_code_of(error: ChatonError) -> int:
    """Which exit code an error ends the program with."""
    return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), 1)


def _usage(error: click.ClickException) -> int:
    context = getattr(error, "ctx", None)
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and context is not None:
        sys.stderr.write(context.get_help() + "\n")
        return error.exit_code
    hint = f"see {context.command_path} --help" if context is not None else "see chaton --help"
    message = error.format_message()
    _tell(ChatonError(message[:1].lower() + message[1:].rstrip("."), hint=hint))
    return error.exit_code


def _failed(error: Exception, *, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    if isinstance(error, ChatonError):
        _tell(error)
        return exit_code_of(error)
    sentence = f"something went wrong inside Chaton: {type(error).__name__}: {error}"
    hint = "run it again with chaton --debug and report what it prints"
    _tell(ChatonError(sentence, hint=hint))
    return 1


def _tell(error: ChatonError) -> None:
    from chaton.cli.output import tell_error

    with contextlib.suppress(BrokenPipeError):
        tell_error(error)


def _forget_stdout() -> None:
    """Let nothing that is still buffered be written at exit, where it would fail once more and print a traceback."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
