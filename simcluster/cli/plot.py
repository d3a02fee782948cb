"""`simcluster plot`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from simcluster.cli import place
from simcluster.cli.options import fold_option, quiet_option, scenario_files, set_option, style_option
from simcluster.cli.progress import waiting
from simcluster.report.figures import KINDS

if TYPE_CHECKING:
    from simcluster.replay.run import Fold
    from simcluster.timeline.result import Result


@click.command("plot")
@click.argument("scenario", metavar="SCENARIO|DIR", type=click.Path(), shell_complete=scenario_files)
@set_option
@quiet_option
@style_option
@fold_option
@click.option(
    "--kind", type=click.Choice(KINDS), default="utilization", show_default=True, metavar="KIND", help="Which figure."
)
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.png|svg|pdf",
              help="Where to write it [default: KIND.png].")  # fmt: skip
@click.option(
    "--rank",
    "ranks",
    type=int,
    multiple=True,
    help="A rank to draw (timeline); may be repeated [default: ranks that differ].",
)
@click.option("--layers", type=click.IntRange(1), default=2, show_default=True, help="Layers to draw (timeline).")
def command(
    scenario: str,
    overrides: tuple[str, ...],
    style_name: str,
    fold: Fold,
    kind: str,
    output: Path | None,
    ranks: tuple[int, ...],
    layers: int,
) -> int:
    """Draw a figure of SCENARIO, or of the folder that `run --out` wrote.

    utilization: a heat map over ranks; timeline: operations of a few ranks; breakdown: where the time goes; memory:
    against capacity; links: use of wires over time and traffic between nodes; topology: the wiring; throughput and
    latency: over steps.  Exit status 1 if the plan does not fit in memory, so that only memory can be drawn.
    """
    from simcluster.report.verdict import verdict

    path = output or Path(f"{kind}.png")
    refuse_unwritable(path)
    with waiting("simulating"):
        result = _result(scenario, overrides, fold)
    if result.timeline is None and kind != "memory":
        click.echo(verdict(result), err=True)
        return 1
    count = result.timeline.ranks if result.timeline is not None else 0
    wrong = [rank for rank in ranks if not 0 <= rank < count]
    if wrong:
        raise click.BadParameter(f"rank {wrong[0]} does not exist; ranks are 0 to {count - 1}")
    from simcluster.report.figures import kinds, style

    place.make_folder(path.parent)
    with waiting("drawing"):
        style.save(kinds.draw(result, kind, style.LOOKS[style_name], ranks or None, layers), path)
    click.echo(str(path))
    return 0 if result.fits else 1


def refuse_unwritable(path: Path) -> None:
    """Complain before the work, not after it."""
    if path.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise click.BadParameter(f"{path}: the ending must be .png, .svg or .pdf")
    place.refuse_unwritable(path)


def _result(source: str, overrides: tuple[str, ...], fold: Fold) -> Result:
    from simcluster.pipeline import simulate
    from simcluster.scenario.compile import load
    from simcluster.timeline.store import unpack

    if not Path(source).is_dir():
        return simulate(load(source, overrides), fold=fold)
    for option, given in (("--set", bool(overrides)), ("--fold off", fold == "off")):
        if given:
            raise click.BadParameter(f"{option} needs a scenario; a folder holds a finished run")
    return unpack(Path(source) / "timeline.npz")
