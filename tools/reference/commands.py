"""docs/reference/commands.md: every command and option, from what click knows of them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click

from simcluster.cli.main import COMMANDS, cli
from tools.reference.table import cell, table

FRONT = """# Every command

`simcluster COMMAND --help` prints the same in a terminal. `python -m simcluster` is the same program, for a Python
whose `bin/` is not on the path:

```sh
python -m simcluster --version
```

Results go to stdout, everything else to stderr.

| exit status | means |
| --- | --- |
| 0 | done |
| 1 | the answer is no: a check or a claim fails, the plan does not fit in memory |
| 2 | mistakes in the input |
| 3 | a bug of simcluster |
| 130 | interrupted |

In value lists commas outside brackets separate, and `1..100` is a range of whole numbers.

This page is written by `python -m tools.reference` from the commands themselves.

"""


def page() -> str:
    """The whole page."""
    listed = table(("command", "does"), [(f"[{name}](#{name})", text) for name, text in COMMANDS.items()])
    return FRONT + listed + "".join(_command(name) for name in COMMANDS)


def _command(name: str) -> str:
    context = click.Context(cli, info_name="simcluster")
    command = cli.get_command(context, name)
    assert command is not None
    inner = click.Context(command, info_name=name, parent=context)
    usage = " ".join(command.collect_usage_pieces(inner))
    words = "\n\n".join(" ".join(part.split()) for part in (command.help or "").split("\n\n"))
    options = table(("option", "meaning"), _options(command, inner))
    return f"\n## {name}\n\n```\nsimcluster {name} {usage}\n```\n\n{words}\n\n{options}"


def _options(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    for option in command.get_params(context):
        record = option.get_help_record(context)
        if record is not None and record[1] and "--help" not in option.opts:
            names, words = record
            words = re.sub(r"(\d+)<=x<=(\d+)", r"\1 to \2", re.sub(r"x>=(\d+)", r"\1 or more", words))
            yield f"`{names}`", cell(words)
