"""The public functions: what a notebook or a script calls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from simcluster.pipeline import simulate
from simcluster.scenario.compile import load, read_text
from simcluster.scenario.scenario import Scenario
from simcluster.study.grid import Axis
from simcluster.study.sweep import sweep as run_sweep
from simcluster.timeline.check import Check
from simcluster.timeline.table import Table

__all__ = ["check", "load", "simulate", "sweep"]


def check(scenario: Scenario) -> tuple[Check, ...]:
    """The fixed six checks and one row per expectation of the scenario."""
    return simulate(scenario).checks


def sweep(
    path: str | Path,
    over: Mapping[str, Iterable[object]],
    *,
    overrides: Sequence[str] = (),
    out: str | Path | None = None,
    workers: int | None = None,
) -> Table:
    """The scenario file at `path` simulated at every point of the grid `over` (values by scenario path).

    With `out`, finished points are kept in that folder and a second call resumes.
    """
    axes = [Axis(path=name, values=tuple(str(value) for value in values)) for name, values in over.items()]
    folder = None if out is None else Path(out)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    return run_sweep(read_text(path), str(path), axes, overrides=overrides, folder=folder, workers=workers)
