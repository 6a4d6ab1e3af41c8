"""``chaton identity``: the profile's keys."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chaton.cli.asking import (
    ask_secret,
    new_passphrase,
    passphrase_asker,
    read_passphrase,
    read_text,
    somebody_is_there,
    write_new,
)
from chaton.cli.common import command, json_option, profile_directory
from chaton.cli.output import put, put_json, tell
from chaton.errors import UsageError

if TYPE_CHECKING:
    from chaton.client.profile import Profile

_passphrase_file = click.option(
    "--passphrase-file", metavar="FILE", type=click.Path(path_type=Path), help="Its first line is the passphrase."
)


@click.group("identity")
def identity() -> None:
    """Your keys. An identity is one installation: it is moved to another machine, never copied."""


@contextmanager
def _opened() -> Iterator["Profile"]:
    from chaton.client.profile import Profile

    with Profile.open(profile_directory(), ask=passphrase_asker()) as profile:
        yield profile


@command("show", examples="  chaton serve --owner $(chaton identity show)\n")
@json_option
def show(as_json: bool) -> None:
    """Print your identity: 64 hex digits, which anybody may know."""
    with _opened() as profile:
        me, locked = str(profile.me), profile.has_passphrase
    if as_json:
        put_json({"v": 1, "event": "identity", "identity": me, "passphrase": locked, "profile": str(profile.directory)})
        return
    put(me)
    tell(f"profile {profile.directory}, {'locked by a passphrase' if locked else 'without a passphrase'}")


@command("new", examples="  chaton --profile ~/work-chat identity new --passphrase\n")
@click.option("--passphrase", "wants_passphrase", is_flag=True, help="Lock the profile by a passphrase; asks for it.")
@_passphrase_file
def new(wants_passphrase: bool, passphrase_file: Path | None) -> None:
    """Make a profile with a fresh identity, and print it."""
    from chaton.client.profile import Profile

    wants = wants_passphrase or passphrase_file is not None
    passphrase = new_passphrase("passphrase for the profile", passphrase_file) if wants else None
    with Profile.create(profile_directory(), passphrase=passphrase) as profile:
        _tell_made(profile)


def _tell_made(profile: "Profile") -> None:
    put(str(profile.me))
    locked = "" if profile.has_passphrase else "; without a passphrase, so whoever reads the directory is you"
    tell(f"made the profile {profile.directory}{locked}")


@command("passphrase", examples="  chaton identity passphrase\n  chaton identity passphrase --remove\n")
@click.option("--remove", is_flag=True, help="Keep the keys without a passphrase from now on.")
@_passphrase_file
def passphrase(remove: bool, passphrase_file: Path | None) -> None:
    """Lock the profile by a new passphrase. A lost one cannot be recovered."""
    if remove and passphrase_file is not None:
        raise UsageError("--remove and --passphrase-file contradict each other", hint="give one of them")
    with _opened() as profile:
        chosen = None if remove else new_passphrase("new passphrase", passphrase_file)
        profile.change_passphrase(chosen)
    tell("the profile has no passphrase now" if remove else "the profile has its new passphrase")


@command(
    "export",
    examples="  chaton identity export --out me.chaton\n",
)
@click.option("--out", metavar="FILE", type=click.Path(path_type=Path), help="A file that is not there yet.")
@_passphrase_file
def export(out: Path | None, passphrase_file: Path | None) -> None:
    """Seal your identity by a passphrase, to move it to another machine. Rooms and messages stay behind.

    Delete the profile here once it is imported there: two running copies cut each other off, and everybody who talks
    to them is warned of a stolen key.
    """
    if out is None and sys.stdout.isatty():
        raise UsageError("a secret key is not printed to a terminal", hint="name a file: --out FILE")
    with _opened() as profile:
        text = profile.export(new_passphrase("passphrase for the exported key", passphrase_file))
    if out is None:
        put(text.rstrip("\n"))
        return
    write_new(out, text)
    tell(f"wrote {out}; move it, then delete it and this profile")


@command("import", examples="  chaton identity import me.chaton\n")
@click.argument("file", metavar="FILE")
@_passphrase_file
def import_(file: str, passphrase_file: Path | None) -> None:
    """Make a profile with an identity that was exported elsewhere. FILE may be -, for standard input."""
    from chaton.client.keyfile import import_seed
    from chaton.client.profile import Profile

    text = read_text(file)
    if passphrase_file is None and not somebody_is_there():
        raise UsageError("the passphrase of the export is needed", hint="name a file that holds it: --passphrase-file")
    given = read_passphrase(passphrase_file) if passphrase_file else ask_secret("passphrase of the exported key")
    with Profile.create(profile_directory(), seed=import_seed(text, given)) as profile:
        _tell_made(profile)


for _command in (show, new, passphrase, export, import_):
    identity.add_command(_command)
