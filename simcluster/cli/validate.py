"""`simcluster validate`."""

from __future__ import annotations

from pathlib import Path

import click

from simcluster.cli.options import json_option


@click.command("validate")
@json_option
@click.option("--data", type=click.Path(path_type=Path, file_okay=False, exists=True), metavar="DIR",
              help="Score against network.csv and moe.csv in DIR instead of the shipped measurements.")  # fmt: skip
def command(as_json: bool, data: Path | None) -> int:
    """Print our error against measurements of real machines, regime by regime."""
    from simcluster.report import listing, machine
    from simcluster.study.validate import validate

    table = validate(data)
    click.echo(machine.regimes_json(table) if as_json else listing.regimes(table))
    return 0
