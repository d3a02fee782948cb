"""What memory allows: the largest batch and context that fit, and what would make a plan fit that does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from simcluster.errors import InputError
from simcluster.pipeline import simulate, sized
from simcluster.scenario.compile import compile_text
from simcluster.scenario.render import render
from simcluster.scenario.scenario import Scenario
from simcluster.timeline.capacity import Capacity, Remedy

MOST = 100_000_000
"""Sequences or tokens that are looked at, as many as a scenario may ask for."""

ENOUGH = 3
"""Remedies that are named."""


def capacity(scenario: Scenario) -> Capacity:
    """Limits, found by counting memory again and again, and for a plan that does not fit up to three remedies."""
    replicas = scenario.plan.degrees.dp
    batch = replicas * _largest(lambda count: _fraction(_with_batch(scenario, count * replicas)))
    length = _largest(lambda count: _fraction(_with_length(scenario, count)))
    name = "context" if scenario.workload.phase == "decode" else "sequence"
    fits = _fraction(scenario) <= 1
    return Capacity(
        largest_batch=batch,
        largest_length=length,
        length_name=name,
        remedies=() if fits else _remedies(scenario, batch, length, name),
    )


def _fraction(scenario: Scenario) -> float:
    return sized(scenario).memory_fraction


def _with_batch(scenario: Scenario, batch: int) -> Scenario:
    return replace(scenario, workload=replace(scenario.workload, batch=batch))


def _with_length(scenario: Scenario, length: int) -> Scenario:
    return replace(scenario, workload=replace(scenario.workload, length=length))


def _largest(fraction: Callable[[int], float]) -> int:
    """The largest count whose memory is at most 1, by a rising `fraction`; 0 if 1 is too many.

    Memory is nearly a straight line, so that its crossing is guessed first, and the guess then closed in on.
    """
    low_use, high = fraction(1), 2
    if low_use > 1:
        return 0
    slope = fraction(1025) - low_use
    low = 1
    if slope > 0:
        guess = min(MOST, int((1 - low_use) / slope * 1024) + 1)
        low, high = (guess, guess + 2) if fraction(guess) <= 1 else (max(1, guess // 2), guess)
        if fraction(low) > 1:
            low = 1
    while high < MOST and fraction(high) <= 1:
        low, high = high, high * 2
    high = min(high, MOST + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fraction(middle) <= 1 else (low, middle)
    return low


def _remedies(scenario: Scenario, batch: int, length: int, name: str) -> tuple[Remedy, ...]:
    """The fastest change of each kind that makes the plan fit, each simulated, until there are enough; then others."""
    found: list[Remedy] = []
    others: list[Remedy] = []
    for kind in (_plans(scenario), _less(batch, length, name), _narrower(), _larger()):
        fitting = [remedy for change in kind if (remedy := _tried(scenario, change)) is not None]
        fitting.sort(key=lambda remedy: remedy.latency_s)
        found += fitting[:1]
        others += fitting[1:]
        if len(found) >= ENOUGH:
            break
    return tuple((found + others)[:ENOUGH])


def _tried(scenario: Scenario, change: str) -> Remedy | None:
    """The scenario with `--set change` simulated; None where that is no scenario or does not fit either."""
    try:
        changed = compile_text(render(replace(scenario, expect=())), "the scenario", [change])
    except InputError:
        return None
    if _fraction(changed) > 1:
        return None
    result = simulate(changed)
    latency_s = result.metrics["latency_s"]
    assert latency_s is not None
    return Remedy(change=change, memory_fraction=result.memory_fraction, latency_s=latency_s)


def _plans(scenario: Scenario) -> Iterator[str]:
    """Plans on the same GPUs that cut weights more: every tp up to a node, and experts over as many GPUs as divide."""
    gpus, per_node = scenario.plan.degrees.gpus, scenario.cluster.gpus_per_node
    tensor = [tp for tp in (1, 2, 4, 8, 16) if tp <= per_node and gpus % tp == 0]
    experts = 0 if scenario.model.moe is None else scenario.model.moe.experts
    for tp in tensor:
        yield f"plan=TP{tp}"
        for ep in (8, 16, 32, 64, 128):
            if experts and experts % ep == 0 and gpus % (ep * tp) == 0:
                yield f"plan=EP{ep}_TP{tp}"


def _less(batch: int, length: int, name: str) -> Iterator[str]:
    if batch:
        yield f"workload.batch={batch}"
    if length:
        yield f"workload.{name}={length}"


def _narrower() -> Iterator[str]:
    yield "model.precision=fp8"
    yield "model.precision.weights=int4"


def _larger() -> Iterator[str]:
    for name in ("h200-sxm", "b200-sxm"):
        yield f"cluster.gpu={name}"
