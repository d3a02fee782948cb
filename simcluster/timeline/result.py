"""The result of one simulation: an immutable value that answers every question of `run --json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from simcluster.timeline.check import Check
from simcluster.timeline.metric import METRICS
from simcluster.timeline.states import States
from simcluster.timeline.timeline import Timeline

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPart:
    """One component of the fullest GPU's memory: bytes, the arithmetic behind them in words, and what it consists of.

    `parts` are bytes by name; empty where there is only one.
    """

    bytes: float
    formula: str
    parts: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What was simulated: names, the reading of the plan, and how to choose the other one ("" where there is none)."""

    scenario: str
    plan: str
    convention: str
    degrees: Mapping[str, int]
    counts: Mapping[str, int | None]
    gpus: int
    other_reading: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where one kind of time came from."""

    kind: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one scenario gives; without a `timeline` and its `states` the plan does not fit and nothing was replayed.

    `peak_flops_per_s` is one GPU's datasheet peak at the plan's compute type, which MFU divides by; `divisions` are the
    plan's cuts as arithmetic and `scales` the numbers that figures of this scenario are multiples of, by name.
    """

    identity: Identity
    tokens: int
    peak_flops_per_s: float
    memory: Mapping[str, MemoryPart]
    memory_capacity_bytes: float
    balance: Mapping[str, float]
    modules: tuple[Mapping[str, str | int], ...]
    divisions: tuple[str, ...]
    scales: Mapping[str, float]
    provenance: Mapping[str, Source]
    timeline: Timeline | None = None
    states: States | None = None
    checks: tuple[Check, ...] = field(default=())

    @property
    def fits(self) -> bool:
        return self.memory_total_bytes <= self.memory_capacity_bytes

    @property
    def memory_total_bytes(self) -> float:
        return sum(part.bytes for part in self.memory.values())

    @property
    def memory_fraction(self) -> float:
        return self.memory_total_bytes / self.memory_capacity_bytes

    def as_dict(self) -> dict[str, object]:
        """The object of `run --json`, in the contract's order."""
        identity = self.identity
        return {
            "schema_version": SCHEMA_VERSION,
            "scenario": identity.scenario,
            "plan": identity.plan,
            "convention": identity.convention,
            "degrees": dict(identity.degrees),
            "gpus": identity.gpus,
            "counts": dict(identity.counts),
            **self._time(),
            "by_operation": [row.as_dict() for row in self.by_operation],
            "memory": {
                **{name: part.bytes for name, part in self.memory.items()},
                "total": self.memory_total_bytes,
                "capacity": self.memory_capacity_bytes,
                "fraction": self.memory_fraction,
            },
            "flops_per_gpu": self.flops_per_gpu(),
            "traffic": self._traffic(),
            "links": self.links(),
            "balance": dict(self.balance),
            "modules": [dict(module) for module in self.modules],
            "checks": [check.as_dict() for check in self.checks],
            "provenance": {name: {"kind": item.kind, "source": item.source} for name, item in self.provenance.items()},
        }

    @cached_property
    def metrics(self) -> Mapping[str, float | None]:
        """Every scalar by its dotted path; None where a plan that does not fit has no such number."""
        tree, values = self.as_dict(), {}
        tree["modules"] = {str(module["type"]): dict(module) for module in self.modules}
        for path in METRICS:
            node: object = tree
            for key in path.split("."):
                node = node.get(key) if isinstance(node, dict) else None
            values[path] = node if isinstance(node, int | float) else None
        return values

    def _time(self) -> dict[str, float | int | None]:
        if self.timeline is None or self.states is None:
            names = ("throughput_tokens_per_s", "throughput_tokens_per_s_per_gpu", "mfu", "compute_busy",
                     "exposed_communication", "waiting", "idle", "communication_busy")  # fmt: skip
            return {"latency_s": None, "tokens": self.tokens, **dict.fromkeys(names)}
        end_s, seen = self.timeline.end_s, self.states
        latency_s = end_s / self.timeline.steps
        throughput = self.tokens / latency_s
        return {
            "latency_s": latency_s,
            "tokens": self.tokens,
            "throughput_tokens_per_s": throughput,
            "throughput_tokens_per_s_per_gpu": throughput / self.identity.gpus,
            "mfu": sum(row.flops for row in self.by_operation) / (self.peak_flops_per_s * latency_s),
            "compute_busy": float(seen.computing.mean()) / end_s,
            "exposed_communication": float(seen.communicating.mean()) / end_s,
            "waiting": float(seen.waiting.mean()) / end_s,
            "idle": float(seen.idle.mean()) / end_s,
            "communication_busy": float(seen.transferring.mean()) / end_s,
        }

    @cached_property
    def by_operation(self) -> tuple[OperationTotal, ...]:
        """Totals by operation name in order of first appearance, mean per GPU and step, summed over layers."""
        if self.timeline is None or self.states is None:
            return ()
        timeline, share = self.timeline, 1 / (self.timeline.ranks * self.timeline.steps)
        size = len(timeline.operations)
        runs = np.bincount(timeline.operation, minlength=size) * share
        seconds = np.bincount(timeline.operation, timeline.finish_s - timeline.start_s, minlength=size) * share
        exposed = np.bincount(timeline.operation, self.states.exposed, minlength=size) * share
        totals: dict[str, OperationTotal] = {}
        for index, operation in enumerate(timeline.operations):
            before = totals.get(operation.name, OperationTotal(name=operation.name, kind=operation.kind))
            count = float(runs[index])
            totals[operation.name] = OperationTotal(
                name=operation.name,
                kind=operation.kind,
                count=before.count + count,
                seconds=before.seconds + float(seconds[index]),
                exposed_seconds=before.exposed_seconds + float(exposed[index]),
                flops=before.flops + count * operation.flops,
                bytes=before.bytes + count * operation.bytes,
                bytes_nvlink=before.bytes_nvlink + count * operation.bytes_nvlink,
                bytes_infiniband=before.bytes_infiniband + count * operation.bytes_infiniband,
            )
        return tuple(totals.values())

    def flops_per_gpu(self) -> dict[str, float | None]:
        """Counted FLOPs of one step, mean over GPUs: attention, experts (shared included), other, total."""
        parts = {"attention": 0.0, "experts": 0.0, "other": 0.0}
        if self.timeline is None:
            return dict.fromkeys((*parts, "total"))
        for row in self.by_operation:
            part = "attention" if row.name.startswith("attention.") else "other"
            parts["experts" if row.name in ("moe.experts", "moe.shared") else part] += row.flops
        return {**parts, "total": sum(parts.values())}

    def _traffic(self) -> dict[str, float | None]:
        if self.timeline is None:
            return {"nvlink": None, "infiniband": None}
        gpus = self.identity.gpus
        return {
            "nvlink": gpus * sum(row.bytes_nvlink for row in self.by_operation),
            "infiniband": gpus * sum(row.bytes_infiniband for row in self.by_operation),
        }

    def links(self) -> list[dict[str, object]]:
        """Per class of wires: how many, bytes a step, and utilization as a share of usable bandwidth.

        The mean is over wires and time, the peak the fullest wire's at its fullest instant.
        """
        if self.timeline is None:
            return []
        loads, end_s = self.timeline.links, self.timeline.end_s
        carried = loads.bytes_on_wires(end_s)
        used, fullest = (
            carried / (loads.capacity * end_s),
            (loads.rates / loads.capacity).max(axis=0, initial=0.0),
        )
        classes = list(zip(loads.kind, loads.direction, strict=True))
        rows = []
        for kind, direction in dict.fromkeys(classes):
            chosen = np.array([wire_class == (kind, direction) for wire_class in classes])
            rows.append(
                {
                    "kind": kind,
                    "direction": direction,
                    "count": int(chosen.sum()),
                    "utilization_mean": float(used[chosen].mean()),
                    "utilization_peak": float(fullest[chosen].max()),
                    "bytes": float(carried[chosen].sum()) / self.timeline.steps,
                }
            )
        return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationTotal:
    """One row of `by_operation`."""

    name: str
    kind: str
    count: float = 0.0
    seconds: float = 0.0
    exposed_seconds: float = 0.0
    flops: float = 0.0
    bytes: float = 0.0
    bytes_nvlink: float = 0.0
    bytes_infiniband: float = 0.0

    def as_dict(self) -> dict[str, str | int | float]:
        row = {name: getattr(self, name) for name in self.__slots__}
        return {**row, "count": round(self.count)}
