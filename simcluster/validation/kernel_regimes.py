"""Our error against measured kernels: as recorded when the profiles were made, or over all rows of the raw tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

from simcluster.gpu import profile_file as profiles
from simcluster.gpu.fitting import families
from simcluster.gpu.place import own
from simcluster.scenario.cluster_section import load_gpu
from simcluster.study.pool import run_all
from simcluster.validation import kernel_rows

KEPT_BACK = 0.15
"""Share of the rows that were kept back while a shipped profile was made."""

RAW = "measured"
"""The folder of raw tables inside a folder of measurements."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Regime:
    """Relative errors of so many points, absolute but for `bias`; None for what is not recorded."""

    regime: str
    points: int
    mean: float
    median: float | None
    worst: float | None
    bias: float | None
    fitted: bool
    source: str


def recorded() -> list[Regime]:
    """One per GPU and family of tables, of the rows that were kept back while the shipped profiles were made.

    The mean is that of the tables, each weighted with its rows; only the tables' means are recorded.
    """
    found = []
    for name in profiles.names():
        profile = profiles.load(name)
        for family in families(profile.tables):
            tables = [profile.tables[table] for table in family.tables]
            known = [(table.rows, table.error) for table in tables if table.error is not None]
            rows = sum(count for count, _ in known)
            found.append(
                Regime(
                    regime=f"{name} {family.name}, rows kept back",
                    points=round(KEPT_BACK * rows),
                    mean=sum(count * error for count, error in known) / rows,
                    median=None,
                    worst=None,
                    bias=None,
                    fitted=False,
                    source=profile.source,
                )
            )
    return found


def raw_folder(folder: Path) -> Path | None:
    """`folder` or the folder measured in it, whichever holds raw kernel tables of a GPU with a shipped profile."""
    for place in (folder, folder / RAW):
        if any(kernel_rows.files(place, name) for name in profiles.names()):
            return place
    return None


def scored(folder: Path) -> list[Regime]:
    """One per GPU and family of tables, of all rows of the raw tables; the profiles were made from such rows."""
    tasks = [(folder, name) for name in profiles.names() if kernel_rows.files(folder, name)]
    answers = dict(run_all(_errors, tasks))
    found = []
    for task in tasks:
        name, errors = task[1], answers[task]
        for family in families(errors):
            of_family = [error for table in family.tables for error in errors[table]]
            found.append(_regime(f"{name} {family.name}, all rows", of_family, profiles.load(name).source))
    return found


def _regime(regime: str, errors: Sequence[float], source: str) -> Regime:
    sizes = [abs(error) for error in errors]
    return Regime(
        regime=regime,
        points=len(errors),
        mean=fmean(sizes),
        median=median(sizes),
        worst=max(sizes),
        bias=fmean(errors),
        fitted=True,
        source=source,
    )


def _errors(task: tuple[Path, str]) -> Mapping[str, list[float]]:
    """(predicted - measured) / measured of every row of a GPU, by the row's own table."""
    folder, name = task
    gpu = load_gpu(name, name)
    found: dict[str, list[float]] = defaultdict(list)
    for row in kernel_rows.rows(folder, name):
        found[own(row.shape)[0]].append(gpu.time(row.shape).seconds / row.seconds - 1)
    return dict(found)
