"""What uneven routing does, and would do by another seed or with redundant experts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Redundant:
    """What so many redundant experts would give: experts a GPU, fullest GPU group over mean, and bytes a GPU more than
    without any."""

    redundant_experts: int
    experts_per_gpu: int
    expert_load_max_over_mean: float
    extra_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How a number scatters over seeds: mean, least, 5th and 95th percentile, most."""

    mean: float
    min: float
    p5: float
    p95: float
    max: float

    @staticmethod
    def of(values: Sequence[float]) -> Spread:
        low, high = np.percentile(values, (5, 95)).tolist()
        return Spread(mean=float(np.mean(values)), min=min(values), p5=low, p95=high, max=max(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class OverSeeds:
    """Load and time of the fullest GPUs over the mean by so many other `seeds`, which make other experts popular and
    draw other copies."""

    seeds: int
    expert_load_max_over_mean: Spread
    straggler_factor: Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """Routing that is not even: other seeds, and redundant experts."""

    over_seeds: OverSeeds
    redundancy: tuple[Redundant, ...]

    def as_dict(self) -> dict[str, object]:
        return asdict(self)

    @staticmethod
    def from_dict(tree: dict[str, Any]) -> Routing:
        seeds = tree["over_seeds"]
        return Routing(
            over_seeds=OverSeeds(
                seeds=seeds["seeds"],
                expert_load_max_over_mean=Spread(**seeds["expert_load_max_over_mean"]),
                straggler_factor=Spread(**seeds["straggler_factor"]),
            ),
            redundancy=tuple(Redundant(**row) for row in tree["redundancy"]),
        )
