"""The command `completion`: the script by which a shell completes commands and options; click makes it."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

_VARIABLE = "_TRAITCAST_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands, options and choices in a SHELL.

    \b
    Examples, once:
      traitcast completion bash > ~/.traitcast-complete.bash && echo '. ~/.traitcast-complete.bash' >> ~/.bashrc
      traitcast completion zsh > ~/.traitcast-complete.zsh && echo '. ~/.traitcast-complete.zsh' >> ~/.zshrc
      traitcast completion fish > ~/.config/fish/completions/traitcast.fish
    """
    made = get_completion_class(shell)
    assert made is not None
    click.echo(made(ctx.find_root().command, {}, "traitcast", _VARIABLE).source())
