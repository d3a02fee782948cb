"""How much slower a scenario is for its faults."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WithoutFaults:
    """The same scenario without its faults: latency of a step, throughput, and the latency with them over that."""

    latency_s: float
    throughput_tokens_per_s: float
    slowdown: float

    def as_dict(self) -> dict[str, float]:
        return asdict(self)
