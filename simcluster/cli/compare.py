"""`simcluster compare`."""

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
    scenario_files,
    set_option,
    style_option,
)
from simcluster.cli.progress import note, waiting
from simcluster.cli.screen import put

if TYPE_CHECKING:
    from simcluster.replay.run import Fold


@click.command("compare")
@click.argument(
    "scenarios",
    metavar="SCENARIO...",
    nargs=-1,
    required=True,
    type=click.Path(dir_okay=False),
    shell_complete=scenario_files,
)
@click.option("--plan", "plans", multiple=True, metavar="NAME", help="Another plan of each scenario; may be repeated.")
@set_option
@json_option
@quiet_option
@style_option
@fold_option
@click.option("--sensitivities/--no-sensitivities", "thorough", default=None,
              help="What 10 % more of each resource buys [default: where runs are short].")  # fmt: skip
@html_option
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.png|svg|pdf",
              help="Draw what every column's latency is made of.")  # fmt: skip
def command(
    scenarios: tuple[str, ...],
    plans: tuple[str, ...],
    overrides: tuple[str, ...],
    as_json: bool,
    style_name: str,
    fold: Fold,
    thorough: bool | None,
    page: Path | None,
    plot: Path | None,
) -> int:
    """Put each SCENARIO under its own plan and under every --plan side by side, and say why one is faster.

    A plan that cannot be, or does not fit in memory, is a column with its reason; exit status 1 if no column fits.
    """
    from simcluster.cli.plot import refuse_unwritable
    from simcluster.report import comparison, machine
    from simcluster.scenario.sections import read_text
    from simcluster.study.compare import Source, compare

    if plot is not None:
        refuse_unwritable(plot)
    if page is not None:
        place.refuse_page(page)
    sources = [Source(text=read_text(path), origin=path) for path in scenarios]
    with waiting("simulating"):
        columns = compare(sources, plans, overrides=overrides, fold=fold, thorough=thorough)
    if plot is not None:
        from simcluster.report.figures import compare_chart, style

        place.make_folder(plot.parent)
        style.save(compare_chart.draw(columns, style.LOOKS[style_name]), plot)
        note(f"figure: {plot}")
    if page is not None:
        from simcluster.report.html.compare import compared
        from simcluster.report.html.page import html

        place.write_page(page, html(compared(columns)))
    put(machine.comparison_json(columns) if as_json else comparison.comparison(columns), plain=as_json)
    return 0 if any(one.ran for one in columns) else 1
