"""What uneven routing does, and would do by another seed or with redundant experts."""

from __future__ import annotations

from dataclasses import asdict, dataclass


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
    """`expert_load_max_over_mean` over so many other `seeds`: which experts are popular, who is drawn."""

    seeds: int
    mean: float
    min: float
    p5: float
    p95: float
    max: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """Routing that is not even: its fullest group's spread over seeds, and redundant experts."""

    over_seeds: Spread
    redundancy: tuple[Redundant, ...]

    def as_dict(self) -> dict[str, object]:
        return asdict(self)
