"""How well a profile foretells measured rows, asked the way a simulation asks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from simcluster.gpu.fitting import Measured, families, profile_of
from simcluster.gpu.gpu import Gpu
from simcluster.gpu.place import own
from simcluster.gpu.profile import Profile
from simcluster.validation.kernel_regimes import KEPT_BACK


def errors(gpu: Gpu, profile: Profile, rows: Iterable[Measured]) -> dict[str, list[float]]:
    """Relative errors of the predicted times, by table."""
    asked = replace(gpu, profile=profile)
    found: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        time = asked.time(row.shape)
        assert time.table == own(row.shape)[0]
        found[time.table].append(abs(time.seconds / row.seconds - 1))
    return found


def halves(rows: Sequence[Measured], seed: int) -> tuple[list[Measured], list[Measured]]:
    """The rows to fit and those kept back."""
    back = np.random.default_rng(seed).random(len(rows)) < KEPT_BACK
    return (
        [row for row, out in zip(rows, back, strict=True) if not out],
        [row for row, out in zip(rows, back, strict=True) if out],
    )


def held_out(gpu: Gpu, rows: Sequence[Measured], seed: int) -> dict[str, list[float]]:
    """Errors on rows that had no part in the fit."""
    fit, back = halves(rows, seed)
    profile = profile_of(gpu, "", fit)
    return errors(gpu, profile, [row for row in back if own(row.shape)[0] in profile.tables])


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
