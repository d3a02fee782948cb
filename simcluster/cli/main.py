"""`simcluster`: the group of commands, and what every failure turns into."""

from __future__ import annotations

import errno
import importlib
import io
import os
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from simcluster.errors import InputError, Mistake, printable

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS = {
    "new": "Write a commented starter scenario.",
    "run": "Simulate a scenario and print what it gives.",
    "check": "Check a plan and every expectation of a scenario.",
    "show": "Print a scenario as it was understood.",
    "plot": "Draw a figure of a scenario or of a run's folder.",
    "sweep": "Simulate a scenario at every point of a grid.",
    "search": "Try every plan, rank those that fit, and say why the best wins.",
    "compare": "Put scenarios and plans side by side, and say why one is faster.",
    "crossover": "Find where one plan overtakes another as a value grows.",
    "validate": "Print our error against measurements of real machines.",
    "kernel": "Time one kernel on a GPU: achieved rate, bound, provenance.",
    "calibrate": "Fit your own measured kernels: a profile, and its errors.",
    "collective": "Time one collective on a cluster, as nccl-tests prints it.",
    "catalog": "List GPUs, clusters and models with their sources.",
    "schema": "Print the JSON Schema of a scenario, for editors.",
    "completion": "Print what makes a shell complete all this.",
}


class _Commands(click.Group):
    """Commands imported when they are called, so that `--help` needs none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"simcluster.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """Commands by name and help, without importing them; options of the group itself."""
        from click.shell_completion import CompletionItem

        found = [CompletionItem(name, help=text) for name, text in COMMANDS.items() if name.startswith(incomplete)]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="simcluster", prog_name="simcluster")
def cli() -> None:
    """How a parallel plan for a large language model will really run on a GPU cluster.

    Exit status: 0 done; 1 the answer is no; 2 mistakes in the input; 3 a bug of simcluster; 130 interrupted.
    """


def main() -> NoReturn:
    """Run the command line; mistakes go to stderr, and the exit status says what happened."""
    try:
        if sys.stdout is None:
            raise InputError(Mistake(what="is closed; there is nowhere to print the result", origin="standard output"))
        _print_whatever()
        code = cli.main(prog_name="simcluster", standalone_mode=False)
        sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else 0)
    except InputError as error:
        _complain(str(error))
        sys.exit(2)
    except click.ClickException as error:
        _complain(f"{error.ctx.get_usage()}\n" if isinstance(error, click.UsageError) and error.ctx else "", end="")
        _complain("\n".join(printable(line) for line in f"Error: {error.format_message()}".splitlines()))
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        _complain("interrupted")
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EIO, errno.EDQUOT):
            _our_bug(error)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _complain(f"standard output: cannot be written: {error.strerror}")
        sys.exit(2)
    except Exception as error:
        _our_bug(error)


def _print_whatever() -> None:
    """What the output's encoding has no sign for, a bar in Latin-1, is printed as a question mark."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _our_bug(error: Exception) -> NoReturn:
    import traceback

    traceback.print_exc()
    _complain(f"this is a bug of simcluster, not of your scenario: {type(error).__name__}: {error}")
    sys.exit(3)


def _complain(text: str, end: str = "\n") -> None:
    print(text, file=sys.stderr, end=end)
