"""Moderation: each command signs one record, hands it in, and ends when it is in the room's log."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from chaton.cli.common import answer, ask_for, command, json_option, room_argument
from chaton.cli.known import complete_person
from chaton.errors import ChatonError, Refused, UsageError

_out_option = click.option(
    "--out", metavar="FILE", type=click.Path(path_type=Path), help="Only sign: write the record there."
)  # fmt: skip
_yes_option = click.option("--yes", is_flag=True, help="Do not ask.")
_reason_option = click.option("--reason", metavar="TEXT", default="", help="Why; members read it, the relay does not.")
_who_argument = click.argument("who", metavar="WHO", shell_complete=complete_person)


def _act(room: str, what: str, *, out: Path | None, as_json: bool, who: str = "", text: str = "") -> None:
    """Sign an act and hand it in, or write it to a file."""
    from chaton.cli.asking import write_new
    from chaton.cli.output import tell
    from chaton.client.replies import Signed
    from chaton.client.requests import Act

    request = Act(room=room, what=what, who=who, text=text, sign_only=out is not None)
    if out is None:
        answer(request, as_json=as_json)
        return
    if out.exists():
        raise UsageError(f"{out} exists, and was left as it is", hint="name another file")
    signed = ask_for(Signed, request)
    write_new(out, signed.record + "\n")
    tell(f"wrote {out}: {signed.what}, as record {signed.n}; chaton submit {out} hands it in, if nothing came before")


def _on_person(
    what: str, doc: str, *, reason: bool = False, confirm: str = "", examples: str = ""
) -> Callable[..., Any]:
    """A command about one person of a room."""

    def act(*, room: str, who: str, out: Path | None, as_json: bool, reason: str = "", yes: bool = True) -> None:
        from chaton.cli.asking import is_sure

        if yes or is_sure(confirm.format(who=who)):
            _act(room, what, who=who, text=reason, out=out, as_json=as_json)

    act.__doc__ = doc
    decorated = room_argument(_who_argument(_out_option(json_option(act))))
    if reason:
        decorated = _reason_option(decorated)
    if confirm:
        decorated = _yes_option(decorated)
    return command(what, examples=examples)(decorated)


kick = _on_person(
    "kick",
    """Remove somebody from a room, or turn away who waits. All members change their keys; they cannot read on.

    If they came by a link with uses left, the link is deleted with them. An admin gets a new link for those uses, on
    standard output; a mod's kick says so, and the admins' clients are told.
    """,
    reason=True,
    examples='  chaton kick ops mallory --reason "spam"\n  chaton kick ops 1a2b3c4d --out kick.rec\n',
)
ban = _on_person(
    "ban",
    "Remove somebody and let this identity never join again. It also bans who is not in the room: WHO is then an id.",
    reason=True,
    confirm="this bans {who} by identity, for good",
)
unban = _on_person("unban", "Lift a ban. They need a new link to come back.")
mute = _on_person("mute", "Let somebody read, but not speak nor change their nick.")
unmute = _on_person("unmute", "Let somebody speak again.")
admit = _on_person("admit", "Let in somebody who waits, in a room made with --approve.")


@command("role", examples="  chaton role ops bob mod\n  chaton role ops bob owner        hands the room over\n")
@room_argument
@_who_argument
@click.argument("role_name", metavar="ROLE", type=click.Choice(["member", "mod", "admin", "owner"]))
@_out_option
@_yes_option
@json_option
def role(*, room: str, who: str, role_name: str, out: Path | None, yes: bool, as_json: bool) -> None:
    """Give somebody another role: member, mod, admin; owner hands the room over and makes you an admin.

    A mod kicks, mutes and redacts; an admin also invites, admits, bans, gives roles and sets the topic.
    """
    from chaton.cli.asking import is_sure

    if role_name == "owner" and not yes and not is_sure(f"this makes {who} the owner, and only {who} can undo it"):
        return
    _act(room, "role", who=who, text=role_name, out=out, as_json=as_json)


@command("topic", examples='  chaton topic ops "deploy at 14:00"\n  chaton topic ops --name operations\n')
@room_argument
@click.argument("text", metavar="[TEXT]", required=False)
@click.option("--name", metavar="NAME", help="Give the room another name instead.")
@_out_option
@json_option
def topic(room: str, text: str | None, name: str | None, out: Path | None, as_json: bool) -> None:
    """Set a room's topic, or print it. An empty TEXT takes it away."""
    from chaton.client.requests import Open

    if name is not None:
        _act(room, "name", text=name, out=out, as_json=as_json)
    elif text is not None:
        _act(room, "topic", text=text, out=out, as_json=as_json)
    else:
        answer(Open(room=room), as_json=as_json, text=lambda facts: [facts.topic])


@command("redact", examples="  chaton tail ops --json           shows ids and numbers\n  chaton redact ops 1a2b3c4d\n")
@room_argument
@click.argument("message", metavar="MESSAGE")
@_out_option
@_yes_option
@json_option
def redact(room: str, message: str, out: Path | None, yes: bool, as_json: bool) -> None:
    """Hide a message from everybody. MESSAGE is its number, or at least 8 hex digits of its id."""
    from chaton.cli.asking import is_sure

    if yes or is_sure("this hides the message for good"):
        _act(room, "redact", text=_message_id(room, message), out=out, as_json=as_json)


def _message_id(room: str, message: str) -> str:
    """The id of a message that is named by its number."""
    from chaton.client.replies import LineFacts, Lines
    from chaton.client.requests import Tail

    number = message.removeprefix("#")
    if not number.isdecimal() or len(number) > 7:  # noqa: PLR2004  # Eight digits are the beginning of an id.
        return message
    lines: list[LineFacts] = ask_for(Lines, Tail(room=room, after=max(0, int(number) - 1))).lines
    found = next((line.id for line in lines if line.seq == int(number)), None)
    if found is None:
        hint = "chaton tail ROOM --json shows the numbers"
        raise Refused("no-message", f"there is no message {number} in this room", hint=hint)
    return found


@command("close")
@room_argument
@click.option("--successor", metavar="ID", default="", help="The id of the room that takes its place.")
@_out_option
@_yes_option
@json_option
def close(room: str, successor: str, out: Path | None, yes: bool, as_json: bool) -> None:
    """End a room for everybody. Only its owner may. What was said stays readable."""
    from chaton.cli.asking import is_sure

    if yes or is_sure("this ends the room for everybody, for good"):
        _act(room, "close", text=successor, out=out, as_json=as_json)


@command("leave")
@room_argument
@_out_option
@_yes_option
@json_option
def leave(room: str, out: Path | None, yes: bool, as_json: bool) -> None:
    """Leave a room. You come back by a new link only. Its owner hands it over or closes it first."""
    from chaton.cli.asking import is_sure

    if yes or is_sure("you come back by a new link only"):
        _act(room, "leave", out=out, as_json=as_json)


@command("submit", examples="  chaton kick ops mallory --out kick.rec\n  chaton submit kick.rec\n")
@click.argument("file", metavar="FILE")
@json_option
def submit(file: str, as_json: bool) -> None:
    """Hand in a record that was signed with --out. FILE may be -. Exit code 1 if the log has moved meanwhile."""
    from chaton.cli.asking import read_text
    from chaton.client.requests import Submit

    try:
        answer(Submit(record=read_text(file).strip()), as_json=as_json)
    except Refused as refusal:
        if refusal.code == "head-moved":
            hint = "look at chaton log ROOM, and sign it again if it is still wanted"
            raise ChatonError("the room's log has moved since this record was signed", hint=hint) from refusal
        raise
