"""The roofline that measured kernels reach, for the kernels that no table holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from simcluster.gpu.fitting import LAUNCH, Measured
from simcluster.gpu.gpu import Gpu
from simcluster.kernels import ExpertLayer, Precision
from simcluster.units import plural, show_seconds

LONG = 10
"""Rates are those of kernels that last so many launches at the datasheet's rates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Roofline:
    """Reachable shares of the datasheet's rates and the seconds of a launch; None where no row tells.  `found` says of
    each, by its name in a `gpu:` mapping, where it comes from."""

    compute: dict[Precision, float]
    memory: float | None
    launch_s: float | None
    found: dict[str, str]


def roofline(gpu: Gpu, rows: Sequence[Measured]) -> Roofline:
    """The highest rates that single kernels of the rows achieve, and their lowest time.

    A kernel tells the rate of what bounds it at the datasheet's rates, its launch taken off.  Layers of experts, which
    are several kernels, tell nothing.
    """
    found: dict[str, str] = {}
    pairs = [(row, gpu.bare(row.shape)) for row in rows if not isinstance(row.shape, ExpertLayer)]
    shortest, bare = min(pairs, key=lambda pair: pair[0].seconds, default=(None, (0.0, 0.0)))
    launch_s = None
    if shortest is not None and max(bare) <= LAUNCH * shortest.seconds:
        launch_s = shortest.seconds
        found["launch_overhead"] = f"the lowest time of {plural(len(pairs), 'row')}"
    else:
        found["launch_overhead"] = "the catalogue's: no single kernel is short enough to tell"
    overhead_s = launch_s or 0.0
    compute: dict[Precision, list[float]] = defaultdict(list)
    memory: list[float] = []
    for row, (compute_s, memory_s) in pairs:
        if max(compute_s, memory_s) >= LONG * overhead_s:
            shares = compute[row.shape.compute] if compute_s > memory_s else memory
            shares.append(max(compute_s, memory_s) / (row.seconds - overhead_s))
    for precision, shares in compute.items():
        if shares:
            found[f"efficiency.compute.{precision}"] = _told(shares, "computing", launch_s)
    found["efficiency.memory"] = _told(memory, "HBM", launch_s) if memory else "the catalogue's: no row tells"
    return Roofline(
        compute={precision: min(1.0, max(shares)) for precision, shares in compute.items() if shares},
        memory=min(1.0, max(memory)) if memory else None,
        launch_s=launch_s,
        found=found,
    )


def _told(shares: Sequence[float], bound: str, launch_s: float | None) -> str:
    long = "" if launch_s is None else f" for {LONG} launches ({show_seconds(LONG * launch_s)}) or more"
    limited = "" if max(shares) <= 1 else "; limited to 1, the datasheet's rate, which some exceed"
    return f"the highest rate of {plural(len(shares), 'row')} that wait for {bound}{long}{limited}"
