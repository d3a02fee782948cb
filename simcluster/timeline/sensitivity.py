"""What a little more of one input buys."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """One input made better (`path` from `value` to `better`, in words), and a step's latency then.

    `change` is that latency over today's, minus 1; `elasticity` the percent of latency that one percent of the input
    saves, -ln(latency ratio) / ln(factor): 1 where the step is as fast as the input, 0 where it has no effect.  `why`
    says why there is none; empty where there is one.  `never` marks an input that cannot matter whatever its value.
    """

    path: str
    value: str
    better: str
    latency_s: float
    change: float
    elasticity: float
    why: str = ""
    never: bool = False

    @property
    def matters(self) -> bool:
        return not self.why

    def as_dict(self) -> dict[str, str | float | bool]:
        return asdict(self) | {"matters": self.matters}
