"""``chaton completion SHELL``: a script for the shell, made by click."""

import os

import click

from chaton.cli.common import command
from chaton.errors import UsageError

_SHELLS = ("bash", "zsh", "fish")


@command(
    "completion",
    examples="""\
  chaton completion bash > ~/.local/share/bash-completion/completions/chaton
  chaton completion zsh > ~/.zfunc/_chaton             with ~/.zfunc in fpath
  chaton completion fish > ~/.config/fish/completions/chaton.fish
""",
)
@click.argument("shell", type=click.Choice(_SHELLS), required=False)
def completion(shell: str | None) -> None:
    """Print a completion script for your shell. It asks no relay and no passphrase."""
    from click.shell_completion import get_completion_class

    from chaton.cli.main import cli
    from chaton.cli.output import put

    chosen = shell or os.path.basename(os.environ.get("SHELL", ""))  # noqa: PTH119  # A name, of no path of ours.
    kind = get_completion_class(chosen)
    if kind is None:
        raise UsageError("your shell is not known", hint=f"name one of {', '.join(_SHELLS)}")
    put(kind(cli, {}, "chaton", "_CHATON_COMPLETE").source())
