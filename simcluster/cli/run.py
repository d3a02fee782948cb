"""`simcluster run`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from simcluster.cli import place
from simcluster.cli.options import (
    fold_option,
    html_option,
    json_option,
    quiet_answer_option,
    scenario_argument,
    set_option,
)
from simcluster.cli.progress import note, progress, waiting
from simcluster.cli.screen import put

if TYPE_CHECKING:
    from simcluster.replay.run import Fold
    from simcluster.scenario.scenario import Scenario
    from simcluster.timeline.interval import Uncertainty
    from simcluster.timeline.result import Result


@click.command("run")
@scenario_argument
@set_option
@json_option
@quiet_answer_option
@fold_option
@html_option
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="Keep the run in DIR.")
@click.option(
    "--trace", type=click.Path(path_type=Path), metavar="FILE.json|FILE.json.gz|DIR",
    help="Write a trace for Perfetto, or in DIR one for each class of ranks for HolisticTraceAnalysis.",
)  # fmt: skip
@click.option("--advise/--no-advise", default=None, help="Simulate changes that could help [default: a few, in text].")
@click.option(
    "--uncertainty", "draws", type=click.IntRange(1, 10_000), metavar="N",
    help="Replay N draws of the uncertain hardware and print intervals.",
)  # fmt: skip
def command(
    scenario: str,
    overrides: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    fold: Fold,
    page: Path | None,
    out: Path | None,
    trace: Path | None,
    advise: bool | None,
    draws: int | None,
) -> int:
    """Simulate SCENARIO and print what binds it, latency, throughput, where the time goes, memory, wires and what to
    change next; with faults also what the same scenario gives without them.

    Exit status 1 if the plan does not fit in memory; nothing is replayed then.
    """
    from simcluster.cli import folder
    from simcluster.pipeline import simulate
    from simcluster.report import machine, text, uncertainty
    from simcluster.report.verdict import in_a_line
    from simcluster.scenario.compile import load
    from simcluster.scenario.without_effect import without_effect
    from simcluster.study.capacity import capacity
    from simcluster.study.remedies import remedies
    from simcluster.study.slowdown import slowdown

    if page is not None:
        place.refuse_page(page)
    if trace is not None:
        _refuse_trace(trace)
    _refuse_clash(Path(scenario), out, trace, page)
    compiled = load(scenario, overrides)
    if out is not None:
        folder.refuse_foreign(out)
    for unused in without_effect(compiled):
        note(f"no effect: {unused}")
    with waiting("simulating"):
        result = simulate(compiled, fold=fold)
    if quiet and not as_json and out is None and page is None and trace is None and draws is None:
        click.echo(in_a_line(result))
        return 0 if result.fits else 1
    with waiting("asking what fits"):
        allowed = capacity(compiled)
        if not result.fits:
            found = remedies(compiled, lambda changes: load(scenario, [*overrides, *changes]), allowed)
            allowed = replace(allowed, remedies=found)
    spread = None if draws is None else _spread(compiled, result, draws, fold)
    with waiting("simulating without faults"):
        healthy = slowdown(compiled, result, fold=fold)
    if out is not None:
        folder.write(out, compiled, result, allowed, spread, healthy)
    if trace is not None:
        _write_trace(trace, result)
    from simcluster.study.advice import advise as find_advice

    wanted = result.fits and advise is not False and (page is not None or not (as_json or quiet))
    with waiting("trying changes"):
        changes = find_advice(compiled, result, thorough=advise is True) if wanted else None
    if page is not None:
        from simcluster.report.html.page import html
        from simcluster.report.html.run import page as page_of

        place.write_page(page, html(page_of(result, changes, allowed, spread, healthy)))
    if as_json:
        click.echo(machine.result_json(result, allowed, spread, healthy))
        return 0 if result.fits else 1
    if quiet:
        click.echo(in_a_line(result))
        if spread is not None:
            click.echo(uncertainty.in_a_line(spread))
        return 0 if result.fits else 1
    put(text.summary(result, changes, allowed, healthy))
    if spread is not None:
        put(f"\n{uncertainty.uncertainty(spread)}")
    return 0 if result.fits else 1


def _refuse_trace(path: Path) -> None:
    """Complain before the work, not after it."""
    from simcluster.report.trace import file

    file.refuse(path)
    place.refuse_unwritable(path / "rank-0.json.gz" if file.is_folder(path) else path)


def _refuse_clash(scenario: Path, out: Path | None, trace: Path | None, page: Path | None) -> None:
    from simcluster.report.trace import file

    folder = trace is not None and file.is_folder(trace)
    folders, files = {"--out": out}, {"--html": page}
    (folders if folder else files)["--trace"] = trace
    place.refuse_clash(scenario, folders, files)


def _write_trace(path: Path, result: Result) -> None:
    """Of a plan that does not fit there is nothing to write, and `run` ends with 1 anyway."""
    from simcluster.report.trace import file

    if result.timeline is None:
        click.echo(f"no trace in {path}: the plan does not fit in memory, so there is no timeline", err=True)
        return
    file.write(result, path)
    note(f"trace: {path}")


def _spread(scenario: Scenario, result: Result, draws: int, fold: Fold) -> Uncertainty | None:
    from simcluster.study.uncertainty import intervals

    with progress("draws") as told:
        return intervals(scenario, result, draws, fold=fold, progress=told)
