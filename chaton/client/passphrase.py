"""Where the passphrase of a profile comes from: never an argument, and no environment variable holds it.

In this order: the file that CHATON_PASSPHRASE_FILE names, the systemd credential ``chaton-passphrase``,
``passphrase_command`` in the profile's ``config.toml``, and last a question to whoever sits there.
"""

import os
import shlex
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from chaton.errors import ProfileError, ProfileLocked

CONFIG_FILE: Final = "config.toml"
CREDENTIAL: Final = "chaton-passphrase"
_FILE_VARIABLE: Final = "CHATON_PASSPHRASE_FILE"
_COMMAND_TIMEOUT_S: Final = 120  # It may ask somebody for a PIN.
_HINT: Final = "name a file in CHATON_PASSPHRASE_FILE, or set passphrase_command in the profile's config.toml"


def find_passphrase(directory: Path, ask: Callable[[], str] | None = None) -> str:
    """The passphrase of a profile.

    Args:
        directory: The profile's.
        ask: Asks a person; None where nobody is there.

    Raises:
        ProfileLocked: There is no source, and nobody to ask.
        ProfileError: A source is named and does not work: another one is not tried, as that would hide it.
    """
    found = configured_passphrase(directory)
    if found is not None:
        return found
    if ask is None:
        raise ProfileLocked("this profile needs its passphrase", hint=_HINT)
    return ask()


def configured_passphrase(directory: Path) -> str | None:
    """What the environment or the profile's configuration gives, without asking anybody; None if they name nothing."""
    if named := os.environ.get(_FILE_VARIABLE):
        return _of_file(Path(named))
    if credentials := os.environ.get("CREDENTIALS_DIRECTORY"):
        credential = Path(credentials) / CREDENTIAL
        if credential.exists():
            return _of_file(credential)
    command = _configured_command(directory)
    return None if command is None else _of_command(command)


def _of_file(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as cause:
        raise ProfileError(f"the passphrase file {path} cannot be read", hint=_HINT) from cause
    return _first_line(text, str(path))


def _first_line(text: str, source: str) -> str:
    """Password managers print notes behind the first line."""
    line = text.partition("\n")[0].removesuffix("\r")
    if not line:
        raise ProfileError(f"{source} gives an empty passphrase", hint=_HINT)
    return line


def _configured_command(directory: Path) -> str | None:
    path = directory / CONFIG_FILE
    try:
        command = tomllib.loads(path.read_text(encoding="utf-8")).get("passphrase_command")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as cause:
        raise ProfileError(f"{path} cannot be read: {cause}", hint="correct or remove it") from cause
    if command is not None and not isinstance(command, str):
        raise ProfileError(f"{path}: passphrase_command is a text such as 'pass show chaton'")
    return command


def _of_command(command: str) -> str:
    """Run without a shell, so that a name with a space or a semicolon stays what it is."""
    try:
        done = subprocess.run(  # noqa: S603 - The owner of the profile has written it.
            shlex.split(command), stdout=subprocess.PIPE, check=True, timeout=_COMMAND_TIMEOUT_S, text=True
        )
    except (OSError, ValueError, subprocess.SubprocessError) as cause:
        raise ProfileError(f"passphrase_command does not work: {cause}", hint="run it by hand to see why") from cause
    return _first_line(done.stdout, "passphrase_command")
