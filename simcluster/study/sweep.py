"""A sweep: one scenario simulated at every point of a grid."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from simcluster.errors import InputError
from simcluster.pipeline import Fold, simulate
from simcluster.scenario.compile import compile_text
from simcluster.study.grid import Axis, points
from simcluster.study.pool import run_all
from simcluster.study.state import Row, State
from simcluster.timeline.metric import METRICS
from simcluster.timeline.table import Column, Table
from simcluster.units import show_bytes

Reading = Literal["orthogonal", "folded"] | None
"""Which reading of an ambiguous plan name to keep, if any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One point: the base scenario's text, its overrides, and the swept values.

    `prefer` is the base plan's reading, kept where it is possible.
    """

    text: str
    origin: str
    overrides: tuple[str, ...]
    values: tuple[tuple[str, str], ...]
    prefer: Reading
    fold: Fold = "auto"

    @property
    def key(self) -> str:
        return json.dumps(self.values)


def sweep(
    text: str,
    origin: str,
    axes: Sequence[Axis],
    *,
    overrides: Sequence[str] = (),
    folder: Path | None = None,
    workers: int | None = None,
    fold: Fold = "auto",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Table:
    """Simulate the scenario in `text` at every point of the grid of `axes`; one row a point, in the grid's order.

    A row holds the swept values, the reading of the plan, every scalar metric, and `reason` where the point is no valid
    scenario or does not fit.  With a `folder`, finished points are kept there and not simulated again.  `progress` is
    called with points done and in all.
    """
    grid = points(axes)
    title, prefer = _base(text, origin, overrides)
    paths = [axis.path for axis in axes]
    todo = [
        Point(
            text=text,
            origin=origin,
            overrides=tuple(overrides),
            values=tuple(zip(paths, values, strict=True)),
            prefer=prefer,
            fold=fold,
        )
        for values in grid
    ]
    state = None if folder is None else State(folder / "state.sqlite", _fingerprint(text, overrides, fold))
    try:
        done: dict[str, Row] = state.rows() if state is not None else {}
        missing = [point for point in todo if point.key not in done]
        progress(len(todo) - len(missing), len(todo))
        for count, (point, row) in enumerate(run_all(simulate_point, missing, workers), start=1):
            done[point.key] = row
            if state is not None:
                state.put(point.key, row)
            progress(len(todo) - len(missing) + count, len(todo))
    finally:
        if state is not None:
            state.close()
    columns = [*(Column(name=path) for path in paths), Column(name="convention"), Column(name="reason")]
    columns += [Column(name=name, measure=measure) for name, measure in METRICS.items() if name not in paths]
    rows = tuple({column.name: done[point.key].get(column.name) for column in columns} for point in todo)
    return Table(title=title, columns=tuple(columns), rows=rows, swept=tuple(paths), reading=prefer)


def simulate_point(point: Point) -> Row:
    """One row; mistakes in the point's scenario and plans that do not fit become its `reason`."""
    swept = [f"{path}={value}" for path, value in point.values]
    row: dict[str, str | int | float | None] = {}
    try:
        scenario = compile_text(point.text, point.origin, (*point.overrides, *swept), point.prefer)
        result = simulate(scenario, fold=point.fold)
        row = {**result.metrics, "convention": result.identity.convention, "reason": None}
        if not result.fits:
            needed, capacity = result.memory_total_bytes, result.memory_capacity_bytes
            row["reason"] = f"does not fit: {show_bytes(needed)} of {show_bytes(capacity)}"
    except InputError as error:
        row["reason"] = "; ".join(": ".join(p for p in (m.path, m.what) if p) for m in error.mistakes)
    return {**row, **dict(point.values)}


def _base(text: str, origin: str, overrides: Sequence[str]) -> tuple[str, Reading]:
    """The base scenario's name and the reading of its plan; its file and None where the base alone is no valid one."""
    try:
        scenario = compile_text(text, origin, overrides)
    except InputError:
        return origin, None
    return scenario.name, scenario.plan.convention


def _fingerprint(text: str, overrides: Sequence[str], fold: Fold) -> str:
    from importlib import metadata  # takes a while, and few sweeps are kept

    told = [metadata.version("simcluster"), text, list(overrides), fold]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()
