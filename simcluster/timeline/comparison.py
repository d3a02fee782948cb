"""Results side by side: what differs between the first and each other one, in seconds of their critical paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TypeVar

from simcluster.timeline.critical_path import PARTS, Part
from simcluster.timeline.result import Result
from simcluster.timeline.sensitivity import Sensitivity
from simcluster.units import show_seconds

STATES = ("compute_busy", "exposed_communication", "waiting", "idle")

Key = TypeVar("Key")

_WORTH = 0.02
"""Share of the difference in latency below which a part of it is not told."""

_TOLD = 2
"""Parts either way that are told, and operations of each."""

EQUAL = 1e-9
"""Latencies whose ratio is nearer to one are equally long."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One column: a scenario under a plan.

    `result` is None where that is no valid scenario, and has no timeline where it does not fit; `reason` says why there
    are no numbers, "" where there are.
    """

    label: str
    scenario: str
    plan: str
    result: Result | None
    reason: str
    sensitivities: tuple[Sensitivity, ...] = ()

    @property
    def ran(self) -> bool:
        return not self.reason

    @property
    def latency_s(self) -> float:
        """Of a column that ran."""
        latency_s = self.metric("latency_s")
        assert latency_s is not None
        return latency_s

    def metric(self, path: str) -> float | None:
        return None if self.result is None else self.result.metrics[path]

    @property
    def states(self) -> Mapping[str, float]:
        """Seconds of a step in each state, mean over GPUs."""
        return {name: (self.metric(name) or 0.0) * self.latency_s for name in STATES} if self.ran else {}

    @property
    def path(self) -> Mapping[Part, float]:
        """Seconds of a step on the critical path by part."""
        found = None if self.result is None else self.result.critical_path
        return {} if found is None else found.split

    @property
    def detail(self) -> Mapping[tuple[str, Part], float]:
        """The same by operation and part; the operation is "" where nothing ran."""
        found = None if self.result is None else self.result.critical_path
        return {} if found is None else found.detail

    @property
    def operations(self) -> Mapping[str, float]:
        """Seconds of a step by operation, mean per GPU."""
        return {} if self.result is None else {row.name: row.seconds for row in self.result.by_operation}


def difference(first: Compared, other: Compared) -> str:
    """Why `other` is faster or slower than `first`, in one sentence.

    Both critical paths add up to the latency, so what differs between them does so too.
    """
    if not (first.ran and other.ran):
        bad = first if other.ran else other
        return f"{bad.label} has no numbers to compare: {bad.reason}."
    ratio = other.latency_s / first.latency_s
    against = f"({show_seconds(other.latency_s)} against {show_seconds(first.latency_s)})"
    if abs(ratio - 1) <= EQUAL:
        return f"{other.label} is as fast as {first.label} {against}."
    verdict = f"{other.label} is {1 / ratio:.3g} x as fast as {first.label} {against}"
    if ratio > 1:
        verdict = f"{other.label} takes {ratio:.3g} x as long as {first.label} {against}"
    if abs(ratio - 1) < 0.005:
        slower = "slower" if ratio > 1 else "faster"
        verdict = f"{other.label} is {100 * abs(ratio - 1):.2g} % {slower} than {first.label} {against}"
    way = 1 if ratio > 1 else -1
    least = _WORTH * abs(other.latency_s - first.latency_s)
    because = " and ".join(_told(first, other, way, least))
    yet = " and ".join(_told(first, other, -way, least))
    told = f"{verdict}: its critical path has {because}{', but ' + yet if yet else ''}{_still(first, other, least)}"
    return f"{told}{_work(first, other)}."


def _told(first: Compared, other: Compared, way: int, least: float) -> list[str]:
    """The largest differences one way by part, `4.2 ms less InfiniBand (moe.combine -2.8 ms, moe.dispatch -1.4 ms)`."""
    differences = _differences(first.detail, other.detail)
    told = []
    for part, seconds in _largest(_differences(first.path, other.path), way, least):
        names = {name: more for (name, spent_on), more in differences.items() if spent_on == part and name}
        where = ", ".join(f"{name} {signed(more)}" for name, more in _largest(names, way, least))
        amount = f"{show_seconds(abs(seconds))} {'more' if way > 0 else 'less'} {PARTS[part]}"
        told.append(f"{amount} ({where})" if where else amount)
    return told


def _differences(first: Mapping[Key, float], other: Mapping[Key, float]) -> dict[Key, float]:
    """Seconds that `other` takes more."""
    return {name: other.get(name, 0.0) - first.get(name, 0.0) for name in dict.fromkeys((*first, *other))}


def _largest(differences: Mapping[Key, float], way: int, least: float) -> list[tuple[Key, float]]:
    fitting = [(name, seconds) for name, seconds in differences.items() if seconds * way > least]
    return sorted(fitting, key=lambda item: -item[1] * way)[:_TOLD]


def _still(first: Compared, other: Compared, least: float) -> str:
    """By how much longer or shorter a GPU is idle and waits, in the mean: a path goes through all stages of a pipeline
    and through the slowest rank, so that it shows neither."""
    told = []
    for state, name in (("idle", "idle"), ("waiting", "waiting for other ranks")):
        more = other.states[state] - first.states[state]
        if abs(more) > least:
            told.append(f"{name} {show_seconds(abs(more))} {'more' if more > 0 else 'less'}")
    piped = any(one.result is not None and one.result.identity.degrees["pp"] > 1 for one in (first, other))
    bubble = " (the pipeline's bubble)" if piped and told and told[0].startswith("idle") else ""
    return f"; a GPU of it is {' and '.join(told)}{bubble}" if told else ""


def _work(first: Compared, other: Compared) -> str:
    """Where they do not process the same number of tokens, their throughput."""
    tokens = [one.metric("tokens") or 1.0 for one in (first, other)]
    if tokens[0] == tokens[1]:
        return ""
    done = [count / one.latency_s for count, one in zip(tokens, (first, other), strict=True)]
    return f"; it processes {tokens[1] / tokens[0]:.3g} x the tokens, so throughput is {done[1] / done[0]:.3g} x"


def signed(seconds: float) -> str:
    """`+1.2 ms`, `-1.2 ms`."""
    return f"{'+' if seconds > 0 else ''}{show_seconds(seconds)}"


def as_dict(columns: Sequence[Compared]) -> dict[str, object]:
    """The object of `compare --json`; differences are to the first column's seconds."""
    first = columns[0]
    rows = []
    for one in columns:
        result = one.result
        named = ("latency_s", "ttft_s", "tpot_s", "throughput_tokens_per_s", "throughput_tokens_per_s_per_gpu", "mfu")
        shared = one.ran and first.ran and one is not first
        more = _differences(first.operations, one.operations) if shared else {}
        rows.append(
            {
                "label": one.label,
                "scenario": one.scenario,
                "plan": one.plan,
                "degrees": None if result is None else dict(result.identity.degrees),
                "fits": result is not None and result.fits,
                "reason": one.reason or None,
                **{name: one.metric(name) for name in named},
                "memory_fraction": one.metric("memory.fraction"),
                "memory_total": one.metric("memory.total"),
                **{name: one.metric(name) for name in STATES},
                "critical_path": []
                if result is None or result.critical_path is None
                else result.critical_path.as_rows(),
                "by_operation": [
                    {"name": name, "seconds": seconds, "difference_s": more.get(name, 0.0 if one is first else None)}
                    for name, seconds in {**dict.fromkeys(more, 0.0), **one.operations}.items()
                ],
                "sensitivities": [asdict(row) for row in one.sensitivities if row.matters],
                "without_effect": [
                    {"path": row.path, "value": row.value, "why": row.why, "never": row.never}
                    for row in one.sensitivities
                    if not row.matters
                ],
                "why": None if one is first else difference(first, one),
            }
        )
    return {"columns": rows}
