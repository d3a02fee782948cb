"""What memory allows: the largest batch and context that fit, and what would make a plan fit that does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import count

from simcluster.errors import InputError
from simcluster.pipeline import memory_fraction, simulate
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
    batch = largest_batch(scenario)
    length = _largest(lambda count: memory_fraction(_with_length(scenario, count)))
    name = "context" if scenario.workload.phase == "decode" else "sequence"
    fits = memory_fraction(scenario) <= 1
    return Capacity(
        largest_batch=batch,
        largest_length=length,
        length_name=name,
        remedies=() if fits else _remedies(scenario, batch, length, name),
    )


def largest_batch(scenario: Scenario) -> int:
    """The most sequences of the whole deployment, a multiple of its replicas; 0 if not one each fits."""
    replicas = scenario.plan.degrees.dp
    return replicas * _largest(lambda count: memory_fraction(_with_batch(scenario, count * replicas)))


def _with_batch(scenario: Scenario, batch: int) -> Scenario:
    return replace(scenario, workload=replace(scenario.workload, batch=batch))


def _with_length(scenario: Scenario, length: int) -> Scenario:
    return replace(scenario, workload=replace(scenario.workload, length=length))


def _largest(fraction: Callable[[int], float]) -> int:
    """The largest count whose memory is at most 1, by a rising `fraction`; 0 if 1 is too many.

    Memory is nearly a straight line, so the line through the last two counts that were tried foretells the crossing.
    Where that creeps, halves are taken.
    """
    low, high = (1, fraction(1)), MOST + 1
    if low[1] > 1:
        return 0
    before, tried = low, (1025, fraction(1025))
    for step in count():
        if tried[1] <= 1:
            low = max(low, tried)
        else:
            high = min(high, tried[0])
        if high - low[0] <= 1:
            return low[0]
        slope = (tried[1] - before[1]) / (tried[0] - before[0])
        room = (1 - low[1]) / slope if slope > 0 else MOST
        guess = (low[0] + high) // 2 if step > HASTE else int(min(low[0] + room, MOST))
        guess = min(max(guess, low[0] + 1), high - 1)
        before, tried = tried, (guess, fraction(guess))
    raise AssertionError("a search in whole numbers ends")


HASTE = 12
"""Straight lines that are followed before halves are taken."""


def _remedies(scenario: Scenario, batch: int, length: int, name: str) -> tuple[Remedy, ...]:
    """The fastest change of each kind that makes the plan fit, each simulated, until there are enough; then others.

    Where those are too few, changes that make room for a larger batch, together with that batch, the largest first.
    """
    found: list[Remedy] = []
    others: list[Remedy] = []
    kinds = (tuple(_plans(scenario)), _less(batch, length, name), NARROWER, LARGER)
    for kind in kinds:
        fitting = [remedy for change in kind if (remedy := _tried(scenario, (change,))) is not None]
        fitting.sort(key=lambda remedy: remedy.latency_s)
        found += fitting[:1]
        others += fitting[1:]
        if len(found) >= ENOUGH:
            break
    found = (found + others)[:ENOUGH]
    roomier = [(change, _room(scenario, change)) for change in (*LARGER, *NARROWER, *kinds[0])] if batch else []
    for change, most in sorted(roomier, key=lambda one: -one[1]):
        if most > batch and len(found) < ENOUGH:
            remedy = _tried(scenario, (change, f"workload.batch={most}"))
            found += [remedy] if remedy is not None else []
    return tuple(found)


def _changed(scenario: Scenario, changes: Sequence[str]) -> Scenario | None:
    """The scenario with each of `--set changes`; None where that is no scenario."""
    try:
        return compile_text(render(replace(scenario, expect=())), "the scenario", changes)
    except InputError:
        return None


def _tried(scenario: Scenario, changes: tuple[str, ...]) -> Remedy | None:
    """The changed scenario simulated; None where there is none or it does not fit either."""
    changed = _changed(scenario, changes)
    if changed is None or memory_fraction(changed) > 1:
        return None
    result = simulate(changed)
    latency_s = result.metrics["latency_s"]
    assert latency_s is not None
    return Remedy(changes=changes, memory_fraction=result.memory_fraction, latency_s=latency_s)


def _room(scenario: Scenario, change: str) -> int:
    """The largest batch of the changed scenario if it is not as large as the one asked for; else 0."""
    changed = _changed(scenario, (change,))
    if changed is None:
        return 0
    most = largest_batch(changed)
    return most if most < scenario.workload.batch else 0


def _less(batch: int, length: int, name: str) -> tuple[str, ...]:
    return tuple(f"workload.{key}={most}" for key, most in (("batch", batch), (name, length)) if most)


NARROWER = ("model.precision=fp8", "model.precision.weights=int4")
"""Number types that take less memory."""

LARGER = ("cluster.gpu=h200-sxm", "cluster.gpu=b200-sxm")
"""GPUs with more."""


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
