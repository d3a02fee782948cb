"""`simcluster validate`."""

from __future__ import annotations

from pathlib import Path

import click

from simcluster.cli.options import json_option, quiet_option, style_option
from simcluster.cli.progress import note, waiting
from simcluster.cli.screen import put
from simcluster.errors import printable


@click.command("validate")
@json_option
@quiet_option
@style_option
@click.option("--data", type=click.Path(path_type=Path, file_okay=False, exists=True), metavar="DIR",
              help="Score against network.csv, moe.csv, traces.csv and published.csv of DIR instead.")  # fmt: skip
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.png|svg|pdf",
              help="Draw predicted against measured times.")  # fmt: skip
def command(as_json: bool, style_name: str, data: Path | None, plot: Path | None) -> int:
    """Print our error against measurements of real machines: regime by regime, and run by run where published.

    Exit status 2 if a ready run of DIR's published.csv cannot be run.
    """
    from simcluster.cli.place import make_folder
    from simcluster.cli.plot import refuse_unwritable
    from simcluster.report import listing, machine
    from simcluster.validation.validate import validate

    if plot is not None:
        refuse_unwritable(plot)
    with waiting("comparing with measurements"):
        found = validate(data)
    if plot is not None:
        from simcluster.report.figures import scatter, style

        make_folder(plot.parent)
        style.save(scatter.draw(found.points, style.LOOKS[style_name]), plot)
        note(f"figure: {plot}")
    if as_json:
        put(machine.regimes_json(found.regimes, found.cases), plain=True)
    else:
        parts = [listing.regimes(found.regimes), listing.cases(found.cases)]
        put("\n\n".join(part for part in parts if part))
    failed = [row for row in found.cases.rows if row["status"] == "failed"] if data is not None else []
    for row in failed:
        click.echo(printable(f"{data}: {row['id']} cannot be run: {row['reason']}"), err=True)
    return 2 if failed else 0
