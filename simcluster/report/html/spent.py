"""Where the time of a run goes: states, phases, critical path, stragglers, energy."""

from __future__ import annotations

from collections.abc import Iterator

from simcluster.report.html import cells
from simcluster.report.html.blocks import Bar, Bars, Block, Cell, Grid
from simcluster.report.states import STATES
from simcluster.report.stragglers import SHOWN
from simcluster.report.verdict import unit_of
from simcluster.timeline import energy
from simcluster.timeline.critical_path import PARTS
from simcluster.timeline.result import Result
from simcluster.units import show_joules, show_percent, show_seconds, show_watts

STATE_COLOURS = dict(zip((path for path, _ in STATES), ("computing", "communicating", "waiting", "idle"), strict=True))

PATH_COLOURS = {"compute": "computing", "hbm": "send", "nvlink": "communicating", "infiniband": "exchange"}


def spent(result: Result) -> Iterator[Block]:
    """Blocks for a run that has a timeline."""
    if result.phases:
        yield _phases(result)
    yield _states(result)
    if result.waited_for:
        yield _waited_for(result)
    yield _path(result)
    if result.power is not None:
        yield _energy(result)


def _states(result: Result) -> Bars:
    latency_s = result.metrics["latency_s"] or 0.0
    bars = (
        _bar(name, (result.metrics[path] or 0.0) * latency_s, latency_s, STATE_COLOURS[path]) for path, name in STATES
    )
    note = f"Mean over GPUs, of a {unit_of(result)}."
    return Bars(title="Where a GPU's time goes", bars=tuple(bars), note=note)


def _path(result: Result) -> Bars:
    path = result.critical_path
    assert path is not None
    longest = sorted(path.by_operation.items(), key=lambda item: -item[1])[:3]
    told = ", ".join(f"{name} {show_percent(seconds / (path.period_s or 1.0))}" for name, seconds in longest)
    overlap = path.period_s < (result.metrics["latency_s"] or 0.0) * (1 - 1e-9)
    made = "the time from one step's end to the next, as steps overlap," if overlap else "the latency"
    return Bars(
        title=f"Critical path: what {made} is made of",
        bars=tuple(
            _bar(PARTS[part], seconds, path.period_s, PATH_COLOURS.get(part, "other"))
            for part, seconds in path.split.items()
            if seconds > 0
        ),
        note=f"Most of it: {told}.",
    )


def _bar(name: str, seconds: float, whole_s: float, colour: str) -> Bar:
    share = seconds / whole_s if whole_s else 0.0
    return Bar(name=name, value=show_seconds(seconds), percent=show_percent(share), share=share, colour=colour)


def _phases(result: Result) -> Grid:
    rows = tuple(
        (
            Cell(text=phase.phase),
            cells.count(phase.steps),
            cells.seconds(phase.seconds),
            cells.seconds(phase.seconds / phase.steps),
            *(cells.share(getattr(phase, path)) for path, _ in STATES),
        )
        for phase in result.phases
    )
    header = ("phase", "steps", "time", "a step", *(name for _, name in STATES))
    doubt = show_percent(result.metrics["integration_error"] or 0.0)
    note = (
        f"Decode steps were simulated at some contexts; the latency is within {doubt} of simulating them all, if no "
        "step is shorter than one with a smaller cache."
    )
    return Grid(title="Phases", header=header, rows=rows, numbers=frozenset(range(1, 8)), note=note)


def _waited_for(result: Result) -> Grid:
    rows = tuple(
        (
            cells.count(one.rank),
            Cell(text=one.gpu),
            Cell(text=f"and {one.count - 1:,} like it" if one.count > 1 else "", order=one.count),
            cells.seconds(one.seconds),
            cells.share(one.fraction),
        )
        for one in result.waited_for[:SHOWN]
    )
    note, rest = "In collectives, per step; traced back to who was late by itself.", result.waited_for[SHOWN:]
    if rest:
        ranks, seconds = sum(one.count for one in rest), sum(one.seconds for one in rest)
        note += f" For {ranks:,} others together {show_seconds(seconds)}."
    return Grid(
        title="Whom the others wait for",
        header=("rank", "GPU", "", "the mean GPU waits", "of latency"),
        rows=rows,
        numbers=frozenset({0, 3, 4}),
        note=note,
    )


def _energy(result: Result) -> Grid:
    timeline, states, power = result.timeline, result.states, result.power
    assert timeline is not None
    assert states is not None
    assert power is not None
    parts = [one for one in energy.by_state(timeline, states, power) if one.seconds]
    total, steps = sum(one.joules for one in parts), timeline.steps
    rows = tuple(
        (
            Cell(text=one.state),
            cells.seconds(one.seconds / steps),
            Cell(text=show_watts(one.watts), order=one.watts),
            Cell(text=show_joules(one.joules / steps), order=one.joules),
            cells.share(one.joules / total if total else 0.0),
        )
        for one in parts
    )
    return Grid(
        title="Where a GPU's energy goes",
        header=("state", "time", "power", "energy", "of energy"),
        rows=rows,
        numbers=frozenset({1, 2, 3, 4}),
        note=f"Mean over GPUs, of a {unit_of(result)}.",
    )
