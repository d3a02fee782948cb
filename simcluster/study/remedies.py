"""What would make a plan fit that does not: changes, each simulated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from simcluster.errors import InputError
from simcluster.pipeline import memory_fraction, simulate
from simcluster.scenario.scenario import Scenario
from simcluster.study.capacity import largest_batch
from simcluster.timeline.capacity import Capacity, Remedy

Read = Callable[[Sequence[str]], Scenario]

ENOUGH = 3
"""Remedies that are named."""


def remedies(scenario: Scenario, read: Read, limits: Capacity) -> tuple[Remedy, ...]:
    """The fastest change of each kind that makes the plan fit, each simulated, until there are enough; then others.

    `read` gives the scenario as its file has it, with more `--set`s; `limits` are those of `capacity`.  Where the
    remedies are too few, changes that make room for a larger batch, together with that batch, the largest first.
    """
    found: list[Remedy] = []
    others: list[Remedy] = []
    kinds = (tuple(_plans(scenario)), _less(limits), NARROWER, LARGER)
    for kind in kinds:
        fitting = [remedy for change in kind if (remedy := _tried(read, (change,))) is not None]
        fitting.sort(key=lambda remedy: remedy.latency_s)
        found += fitting[:1]
        others += fitting[1:]
        if len(found) >= ENOUGH:
            break
    found = (found + others)[:ENOUGH]
    roomier = []
    if len(found) < ENOUGH:
        roomier = [(change, _room(scenario, read, change)) for change in (*LARGER, *NARROWER, *kinds[0])]
    for change, most in sorted(roomier, key=lambda one: -one[1]):
        if most > limits.largest_batch and len(found) < ENOUGH:
            remedy = _tried(read, (change, f"workload.batch={most}"))
            found += [remedy] if remedy is not None else []
    return tuple(found)


def _changed(read: Read, changes: Sequence[str]) -> Scenario | None:
    """The scenario with each of `--set changes`; None where that is no scenario."""
    try:
        return read(changes)
    except InputError:
        return None


def _tried(read: Read, changes: tuple[str, ...]) -> Remedy | None:
    """The changed scenario simulated; None where there is none or it does not fit either."""
    changed = _changed(read, changes)
    if changed is None or memory_fraction(changed) > 1:
        return None
    result = simulate(changed)
    latency_s = result.metrics["latency_s"]
    assert latency_s is not None
    return Remedy(changes=changes, memory_fraction=result.memory_fraction, latency_s=latency_s)


def _room(scenario: Scenario, read: Read, change: str) -> int:
    """The largest batch of the changed scenario if it is not as large as the one asked for; else 0."""
    changed = _changed(read, (change,))
    if changed is None:
        return 0
    most = largest_batch(changed)
    return most if most < scenario.workload.batch else 0


def _less(limits: Capacity) -> tuple[str, ...]:
    sizes = (("batch", limits.largest_batch), (limits.length_name, limits.largest_length))
    return tuple(f"workload.{key}={most}" for key, most in sizes if most)


NARROWER = ("model.precision=fp8", "model.precision.weights=int4")
"""Number types that take less memory."""

LARGER = ("cluster.gpu=h200-sxm", "cluster.gpu=b200-sxm")
"""GPUs with more."""


def _plans(scenario: Scenario) -> Iterator[str]:
    """Plans on the same GPUs: every tp up to a node, and experts over as many GPUs as divide; the rest are replicas."""
    gpus, per_node = scenario.plan.degrees.gpus, scenario.cluster.gpus_per_node
    experts = 0 if scenario.model.moe is None else scenario.model.moe.experts
    for tp in (1, 2, 4, 8, 16):
        if tp <= per_node and gpus % tp == 0:
            yield f"plan=TP{tp}_DP{gpus // tp}"
            for ep in (8, 16, 32, 64, 128):
                if experts and experts % ep == 0 and gpus % (ep * tp) == 0:
                    yield f"plan=EP{ep}_TP{tp}_DP{gpus // (ep * tp)}"
