"""`simcluster search`."""

from __future__ import annotations

from pathlib import Path

import click

from simcluster.cli import place
from simcluster.cli.options import (
    html_option,
    json_option,
    quiet_answer_option,
    scenario_argument,
    set_option,
    style_option,
)
from simcluster.cli.progress import note, progress
from simcluster.cli.screen import put
from simcluster.errors import InputError, Mistake, Together

TOP = 10
"""Plans that the text lists unless told."""


@click.command("search")
@scenario_argument
@set_option
@json_option
@quiet_answer_option
@style_option
@click.option("--objective", type=click.Choice(["latency", "throughput", "cost"]), default="latency", show_default=True,
              help="What is best; cost is GPU-hours per million tokens.")  # fmt: skip
@click.option("--top", type=click.IntRange(1), metavar="K", help="Plans listed [default: 10 in text, all in JSON].")
@click.option("--max-latency", metavar="TIME", help="Only plans at most as slow, such as 10ms.")
@click.option("--min-throughput", metavar="RATE", help="Only plans of at least so many tokens/s, such as 1e6.")
@click.option("--max-memory", metavar="FRACTION", help="Only plans that fill at most so much of a GPU, such as 0.9.")
@click.option("--fewer-gpus", is_flag=True, help="Also deployments that leave whole nodes out.")
@click.option("--placements", is_flag=True, help="Every order of the axes on the GPUs.")
@click.option(
    "--microbatches",
    metavar="M1,M2,…",
    help="Numbers of microbatches; rule is the number that follows from the plan [default].",
)
@click.option("--batches", metavar="B1,B2,…", help="Batches, counted as the scenario's batch is written.")
@click.option("--uncertainty", "draws", type=click.IntRange(1, 10_000), metavar="N",
              help="How often the best plans win in N draws of the uncertain hardware.")  # fmt: skip
@click.option("--workers", type=click.IntRange(1), help="Processes [default: one per core].")
@html_option
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.png|svg|pdf",
              help="Draw latency against throughput per GPU, with the Pareto front.")  # fmt: skip
def command(
    scenario: str,
    overrides: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    style_name: str,
    objective: str,
    top: int | None,
    max_latency: str | None,
    min_throughput: str | None,
    max_memory: str | None,
    fewer_gpus: bool,
    placements: bool,
    microbatches: str | None,
    batches: str | None,
    draws: int | None,
    workers: int | None,
    page: Path | None,
    plot: Path | None,
) -> int:
    """Try every combination of tp, pp, cp, dp, ep and etp on SCENARIO's GPUs; rank those that fit.

    Exit status 1 if no plan fits in memory; 2 if the constraints exclude every plan that does.
    """
    from simcluster.cli.plot import refuse_unwritable
    from simcluster.report import machine, ranking
    from simcluster.scenario.compile import load
    from simcluster.study.candidates import space
    from simcluster.study.limits import limits
    from simcluster.study.search import search

    if plot is not None:
        refuse_unwritable(plot)
    if page is not None:
        place.refuse_page(page)
    together = Together()
    slowest = together.of(lambda: _bound("--max-latency", "latency_s", max_latency))
    least = together.of(lambda: _bound("--min-throughput", "throughput_tokens_per_s", min_throughput))
    fullest = together.of(lambda: _bound("--max-memory", "memory.fraction", max_memory))
    parts = together.of(lambda: _microbatches(microbatches))
    sizes = together.of(lambda: _numbers("--batches", batches))
    base = together.of(lambda: load(scenario, overrides))
    asked = together.of(lambda: limits(max_latency_s=slowest, min_throughput_tokens_per_s=least, max_memory=fullest))
    together.tell()
    assert base is not None
    listed = space(base, fewer_gpus=fewer_gpus, placements=placements, microbatches=parts or (), batches=sizes or ())
    with progress("plans") as told:
        found = search(base, listed, objective=objective, limits=asked or (), workers=workers, draws=draws or 0,
                       progress=told, listing=told)  # fmt: skip
    if plot is not None and found.feasible:
        from simcluster.report.figures import pareto, style

        place.make_folder(plot.parent)
        style.save(pareto.draw(found, style.LOOKS[style_name]), plot)
        note(f"figure: {plot}")
    if page is not None:
        from simcluster.report.html.page import html
        from simcluster.report.html.search import searched

        place.write_page(page, html(searched(found, ranking.answer(found))))
    told_text = ranking.in_a_line(found) if quiet else ranking.text(found, top or TOP)
    put(machine.ranking_json(found, top) if as_json else told_text, plain=as_json)
    return 0 if found.feasible else 1


def _bound(option: str, path: str, text: str | None) -> float | None:
    """The SI value of a constraint."""
    from simcluster.timeline import metric

    if text is None:
        return None
    try:
        return metric.parse_value(path, text)
    except ValueError as error:
        raise InputError(Mistake(what=str(error), origin=option)) from None


def _microbatches(text: str | None) -> tuple[int | None, ...]:
    """Whole numbers, and None for `rule`."""
    words = [] if text is None else text.split(",")
    numbers = [word for word in words if word.strip() != "rule"]
    found: tuple[int | None, ...] = (None,) * (len(numbers) < len(words))
    return found + (_numbers("--microbatches", ",".join(numbers)) if numbers else ())


def _numbers(option: str, text: str | None) -> tuple[int, ...]:
    """`1,2,4` and ranges such as `1..8` as whole numbers."""
    from simcluster.study.grid import parse_axis

    if text is None:
        return ()
    try:
        return tuple(int(value) for value in parse_axis(f"{option}={text}").values)
    except ValueError as error:
        what = f"expected whole numbers such as 1,2,4 or 1..8, not {text!r:.60}"
        raise InputError(Mistake(what=what, origin=option)) from error
