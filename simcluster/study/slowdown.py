"""What the faults of a scenario cost: it is simulated without them, too."""

from __future__ import annotations

from simcluster.pipeline import Fold, simulate
from simcluster.scenario.scenario import Scenario
from simcluster.scenario.variant import without_faults
from simcluster.timeline.result import Result
from simcluster.timeline.slowdown import WithoutFaults


def slowdown(scenario: Scenario, result: Result, *, fold: Fold = "auto") -> WithoutFaults | None:
    """The scenario without its faults beside `result`; None where it has none or does not fit.

    Without faults a regular cluster is folded before it is built, so this takes a small part of what the scenario
    takes; where something else tells GPUs apart, about as long again.
    """
    healthy = without_faults(scenario)
    if healthy is None or result.timeline is None:
        return None
    found = simulate(healthy, fold=fold)
    latency_s, now_s = found.metrics["latency_s"], result.metrics["latency_s"]
    throughput = found.metrics["throughput_tokens_per_s"]
    assert latency_s is not None
    assert now_s is not None
    assert throughput is not None
    return WithoutFaults(latency_s=latency_s, throughput_tokens_per_s=throughput, slowdown=now_s / latency_s)
