"""The numbers of a scenario's hardware that could be better: what they are called, what they are, a better one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from simcluster.scenario.scenario import Scenario
from simcluster.units import Dimension, format_exact, show_bytes, show_bytes_per_s, show_flop_per_s, show_seconds

_FIELDS: dict[str, tuple[str, str, Dimension]] = {
    "gpu.memory_bandwidth": ("gpu", "memory_bytes_per_s", "bytes/s"),
    "gpu.launch_overhead": ("gpu", "launch_overhead_s", "seconds"),
    "gpu.collective_overhead": ("gpu", "collective_overhead_s", "seconds"),
    "nvlink.bandwidth": ("nvlink", "bytes_per_s", "bytes/s"),
    "nvlink.latency": ("nvlink", "latency_s", "seconds"),
    "pcie.bandwidth": ("pcie", "bytes_per_s", "bytes/s"),
    "pcie.latency": ("pcie", "latency_s", "seconds"),
    "infiniband.bandwidth": ("infiniband", "bytes_per_s", "bytes/s"),
    "infiniband.latency": ("infiniband", "latency_s", "seconds"),
    "gpu.memory": ("gpu", "memory_bytes", "bytes"),
}
"""Where a cluster keeps each, and its dimension; the peaks of a GPU, one for each type of number, come before these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One number: `path` as in `--set`, its SI `value` and `dimension`."""

    path: str
    value: float
    dimension: Dimension

    def times(self, factor: float) -> float:
        """The value `factor` times as good: a rate or a size so many times as large, a time so many times as short."""
        return self.value / factor if self.dimension == "seconds" else self.value * factor

    def shown(self, value: float) -> str:
        """Such a value as a reader wants it."""
        match self.dimension:
            case "seconds":
                return show_seconds(value)
            case "bytes":
                return show_bytes(value)
            case "bytes/s":
                return show_bytes_per_s(value)
            case _:
                return show_flop_per_s(value)

    def assignment(self, value: float) -> str:
        """The `--set` that gives it such a value."""
        return f"{self.path}={format_exact(value, self.dimension)}"


def inputs(scenario: Scenario) -> tuple[Input, ...]:
    """Every one that the scenario's cluster has."""
    cluster: Any = scenario.cluster
    found = [
        Input(path=f"cluster.gpu.peak.{precision}", value=peak, dimension="FLOP/s")
        for precision, peak in scenario.cluster.gpu.peak_flops_per_s.items()
    ]
    for path, (head, name, dimension) in _FIELDS.items():
        part = getattr(cluster, head)
        if part is not None:
            found.append(Input(path=f"cluster.{path}", value=getattr(part, name), dimension=dimension))
    return tuple(found)


def with_input(scenario: Scenario, path: str, value: float) -> Scenario:
    """The scenario with another value of one of its `inputs`, all else as it is: a GPU keeps its measured kernels."""
    cluster, gpu = scenario.cluster, scenario.cluster.gpu
    _, head, *rest = path.split(".")
    changed: Any
    if rest[0] == "peak":
        peaks: dict[Any, float] = {**gpu.peak_flops_per_s, rest[1]: value}
        changed = replace(gpu, peak_flops_per_s=peaks)
    else:
        part: Any = getattr(cluster, head)
        changed = replace(part, **{_FIELDS[f"{head}.{rest[0]}"][1]: value})
    replaced: dict[str, Any] = {head: changed}
    return replace(scenario, cluster=replace(cluster, **replaced), expect=())
