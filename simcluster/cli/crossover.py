"""`simcluster crossover`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from simcluster.cli.options import fold_option, json_option, quiet_option, scenario_argument, set_option
from simcluster.cli.progress import progress
from simcluster.cli.screen import put

if TYPE_CHECKING:
    from simcluster.replay.run import Fold


@click.command("crossover")
@scenario_argument
@click.option("--between", nargs=2, required=True, metavar="PLAN PLAN", help="The two plans.")
@click.option("--over", required=True, metavar="PATH=LO..HI",
              help="What grows, such as cluster.infiniband.bandwidth=100 Gbit/s..10 Tbit/s.")  # fmt: skip
@set_option
@json_option
@quiet_option
@fold_option
@click.option("--tolerance", type=float, default=1e-4, show_default=True, help="Relative width of the answer.")
@click.option("--points", type=click.IntRange(2, 10_000), default=9, show_default=True,
              help="Points of the scan; two crossings between neighbouring points are not seen.")  # fmt: skip
def command(
    scenario: str,
    between: tuple[str, str],
    over: str,
    overrides: tuple[str, ...],
    as_json: bool,
    fold: Fold,
    tolerance: float,
    points: int,
) -> int:
    """Find where one plan of SCENARIO overtakes another as a value grows, or by how much none does."""
    from simcluster.report import crossing, machine
    from simcluster.scenario.sections import read_text
    from simcluster.study.crossover import crossover
    from simcluster.study.span import parse_span

    span = parse_span(over)
    with progress("points") as told:
        found = crossover(read_text(scenario), scenario, between, span, overrides=overrides, tolerance=tolerance,
                          points=points, fold=fold, progress=told)  # fmt: skip
    put(machine.crossover_json(found) if as_json else crossing.crossover(found), plain=as_json)
    return 0
