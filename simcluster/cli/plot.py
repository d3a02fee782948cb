"""`simcluster plot`."""

from __future__ import annotations

from pathlib import Path

import click

from simcluster.cli.options import set_option

KINDS = ("utilization", "timeline")


@click.command("plot")
@click.argument("scenario", metavar="SCENARIO|DIR", type=click.Path())
@set_option
@click.option("--kind", type=click.Choice(KINDS), default="utilization", show_default=True, help="Which figure.")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.png|svg|pdf",
              help="Where to write it [default: KIND.png].")  # fmt: skip
@click.option("--rank", "ranks", type=int, multiple=True, help="A rank to draw (timeline); may be repeated.")
@click.option("--layers", type=click.IntRange(1), default=2, show_default=True, help="Layers to draw (timeline).")
def command(
    scenario: str,
    overrides: tuple[str, ...],
    kind: str,
    output: Path | None,
    ranks: tuple[int, ...],
    layers: int,
) -> int:
    """Draw a figure of SCENARIO, or of the folder that `run --out` wrote.

    Exit status 1 if the plan does not fit in memory, so that there is nothing to draw.
    """
    from simcluster.report import text

    path = output or Path(f"{kind}.png")
    refuse_unwritable(path)
    result = _result(scenario, overrides)
    if result.timeline is None:
        click.echo(text.verdict(result), err=True)
        return 1
    wrong = [rank for rank in ranks if not 0 <= rank < result.timeline.ranks]
    if wrong:
        raise click.BadParameter(f"rank {wrong[0]} does not exist; ranks are 0 to {result.timeline.ranks - 1}")
    from simcluster.report.figures import style, timeline_chart, utilization

    match kind:
        case "utilization":
            figure = utilization.draw(result)
        case "timeline":
            figure = timeline_chart.draw(result, ranks or None, layers)
        case _:
            raise AssertionError(kind)
    style.save(figure, path)
    click.echo(str(path))
    return 0


def refuse_unwritable(path: Path) -> None:
    """Complain before the work, not after it."""
    if path.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise click.BadParameter(f"{path}: the ending must be .png, .svg or .pdf")
    path.parent.mkdir(parents=True, exist_ok=True)


def _result(source: str, overrides: tuple[str, ...]):  # type: ignore[no-untyped-def]
    from simcluster.pipeline import simulate
    from simcluster.scenario.compile import load
    from simcluster.timeline.store import unpack

    if not Path(source).is_dir():
        return simulate(load(source, overrides))
    if overrides:
        raise click.BadParameter("--set needs a scenario; a folder holds a finished run")
    return unpack(Path(source) / "timeline.npz")
