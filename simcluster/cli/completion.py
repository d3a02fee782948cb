"""`simcluster completion`."""

from __future__ import annotations

import click


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> int:
    """Print what makes SHELL complete commands, options, catalogue names and scenario files.

    \b
    bash: add to ~/.bashrc        eval "$(simcluster completion bash)"
    zsh:  add to ~/.zshrc         eval "$(simcluster completion zsh)"
    fish: add to config.fish      simcluster completion fish | source
    """
    from click.shell_completion import get_completion_class

    from simcluster.cli.main import cli

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(cli, {}, "simcluster", "_SIMCLUSTER_COMPLETE").source())
    return 0
