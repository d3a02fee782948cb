"""`simcluster sweep`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from simcluster.cli import place
from simcluster.cli.options import (
    fold_option,
    html_option,
    json_option,
    quiet_option,
    scenario_argument,
    set_option,
    style_option,
)
from simcluster.cli.progress import note, progress
from simcluster.cli.screen import put

if TYPE_CHECKING:
    from simcluster.replay.run import Fold


@click.command("sweep")
@scenario_argument
@set_option
@json_option
@quiet_option
@style_option
@fold_option
@click.option("--over", "over", multiple=True, required=True, metavar="PATH=V1,V2,…",
              help="Values of one path; 1..100 is a range. Several --over make a grid.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
              help="Keep finished points and results.csv in DIR; the same DIR resumes.")  # fmt: skip
@click.option("--workers", type=click.IntRange(1), help="Processes [default: one per core].")
@html_option
@click.option("--plot", "plot", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.png|svg|pdf",
              help="Draw latency, throughput, MFU and exposed communication; over cluster.nodes: scaling.")  # fmt: skip
def command(
    scenario: str,
    overrides: tuple[str, ...],
    as_json: bool,
    style_name: str,
    fold: Fold,
    over: tuple[str, ...],
    out: Path | None,
    workers: int | None,
    page: Path | None,
    plot: Path | None,
) -> int:
    """Simulate SCENARIO at every point of a grid.

    A point that is no valid scenario or does not fit is a row with its reason; exit status 2 only if every point is.
    """
    from simcluster.cli.plot import refuse_unwritable
    from simcluster.report import listing, machine
    from simcluster.scenario.sections import read_text
    from simcluster.study.grid import parse_axis, points
    from simcluster.study.sweep import sweep

    axes = [parse_axis(axis) for axis in over]
    if plot is not None:
        refuse_unwritable(plot)
    if page is not None:
        place.refuse_page(page)
    points(axes)
    source = read_text(scenario)
    if out is not None:
        place.make_folder(out)
    try:
        with progress("points") as told:
            table = sweep(source, scenario, axes, overrides=overrides, folder=out, workers=workers, fold=fold,
                          progress=told)  # fmt: skip
    except KeyboardInterrupt:
        kept = (
            f"; run the same command again to go on with what {out} holds" if out else "; --out DIR would keep points"
        )
        click.echo(f"interrupted{kept}", err=True)
        return 130
    if out is not None:
        place.write_text(out / "results.csv", machine.table_csv(table))
    valid = any(reason is None for reason in table.column("reason"))
    if plot is not None and valid:
        from simcluster.report.figures import scaling_chart, style, sweep_chart

        place.make_folder(plot.parent)
        chart = scaling_chart if table.swept[0] == "cluster.nodes" else sweep_chart
        style.save(chart.draw(table, style.LOOKS[style_name]), plot)
        note(f"figure: {plot}")
    if page is not None:
        from simcluster.report.html.page import html
        from simcluster.report.html.sweep import swept

        place.write_page(page, html(swept(table)))
    put(machine.table_json(table) if as_json else listing.table(table), plain=as_json)
    return 0 if valid else 2
