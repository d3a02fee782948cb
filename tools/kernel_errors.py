"""How well a profile foretells measured rows, asked the way a simulation asks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import exp

import numpy as np

from simcluster.gpu.gpu import Gpu
from simcluster.gpu.place import expert_place
from simcluster.gpu.profile import Profile
from simcluster.kernels import ExpertLayer
from tools.kernel_rows import Row
from tools.kernel_tables import bare_s, families, profile_of

SHARE = 0.15
"""Share of the rows that is kept back to measure errors."""


def seconds(gpu: Gpu, row: Row) -> float:
    """The GPU's time for a row's kernel; an expert layer's with the row's skew."""
    if not isinstance(row.noun, ExpertLayer):
        time = gpu.kernel_time(row.noun)
        assert time.table == row.table
        return time.seconds
    if not row.skew:
        time = gpu.expert_layer_time(row.noun)
        assert time.table == row.table
        return time.seconds
    assert gpu.profile is not None
    at = expert_place(row.noun, gpu.profile, row.skew)
    assert at is not None
    assert at.table == row.table
    table = gpu.profile.tables[at.table]
    return (bare_s(gpu, row.noun) + table.floor_s) * exp(table.grid.at(at.point)[0])


def errors(gpu: Gpu, profile: Profile, rows: Iterable[Row]) -> dict[str, list[float]]:
    """Relative errors of the predicted times, by table."""
    asked = replace(gpu, profile=profile)
    found: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        found[row.table].append(abs(seconds(asked, row) / row.seconds - 1))
    return found


def halves(rows: Sequence[Row], seed: int) -> tuple[list[Row], list[Row]]:
    """The rows to fit and those kept back."""
    back = np.random.default_rng(seed).random(len(rows)) < SHARE
    return (
        [row for row, out in zip(rows, back, strict=True) if not out],
        [row for row, out in zip(rows, back, strict=True) if out],
    )


def held_out(gpu: Gpu, rows: Sequence[Row], seed: int) -> dict[str, list[float]]:
    """Errors on rows that had no part in the fit."""
    fit, back = halves(rows, seed)
    profile = profile_of(gpu, "", fit)
    return errors(gpu, profile, [row for row in back if row.table in profile.tables])


def with_errors(profile: Profile, found: Mapping[str, Sequence[float]]) -> Profile:
    """The profile, each table with its mean error."""
    return replace(
        profile,
        tables={name: replace(table, error=float(np.mean(found[name]))) for name, table in profile.tables.items()},
    )


TITLE = f"{'GPU':10} {'tables':22} {'rows':>7} {'kept back':>9}  {'mean':>6} {'median':>6} {'90th':>6}"


def summary(profile: Profile, found: Mapping[str, Sequence[float]]) -> Iterable[str]:
    """One line per family of tables: errors in percent."""
    for family in families(profile.tables):
        back = np.concatenate([found[name] for name in family.tables]) * 100
        rows = sum(profile.tables[name].rows for name in family.tables)
        numbers = f"{back.mean():6.2f} {np.median(back):6.2f} {np.quantile(back, 0.9):6.2f}"
        yield f"{profile.gpu:10} {family.name:22} {rows:7,} {len(back):9,}  {numbers}"
