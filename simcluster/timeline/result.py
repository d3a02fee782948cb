"""The result of one simulation: an immutable value that answers every question of `run --json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property

import numpy as np

from simcluster.gpu.power import Power
from simcluster.timeline import energy, generation
from simcluster.timeline.check import Check
from simcluster.timeline.critical_path import CriticalPath, critical_path
from simcluster.timeline.generation import PhaseTotal
from simcluster.timeline.links import link_rows, wire_rows
from simcluster.timeline.metric import METRICS, OF_GENERATION
from simcluster.timeline.parts import Floats
from simcluster.timeline.routing import Routing
from simcluster.timeline.series import BINS, Series, series
from simcluster.timeline.states import States
from simcluster.timeline.stragglers import Straggler, stragglers
from simcluster.timeline.timeline import Timeline
from simcluster.timeline.totals import OperationTotal, operation_totals

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
class Work:
    """The counted FLOPs of one operation name, per GPU and step, and the factors they are the product of, in words."""

    flops: float
    formula: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What was simulated: names, the reading of the plan, and how to choose the other one ("" where there is none)."""

    scenario: str
    plan: str
    convention: str
    degrees: Mapping[str, int]
    counts: Mapping[str, int | None]
    gpus: int
    gpus_per_node: int
    other_reading: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where one kind of time came from."""

    kind: str
    source: str


def part_of(name: str) -> str:
    """The part of `flops_per_gpu` that an operation counts to."""
    if name in ("moe.experts", "moe.shared"):
        return "experts"
    return "attention" if name.startswith("attention.") else "other"


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one scenario gives; without a `timeline` and its `states` the plan does not fit and nothing was replayed.

    `peak_flops_per_s` is one GPU's datasheet peak at the plan's compute type, which MFU divides by; `divisions` are
    the plan's cuts as arithmetic and `scales` the numbers that figures of this scenario are multiples of, by name.
    `resident_bytes` is what a GPU of each pipeline stage holds beside activations. `work` holds one GPU's counted
    FLOPs of a step by operation name, kernels that count none left out. Where it `generates`, a step is the whole
    generation. Without a GPU's `price_usd_per_h` there is no cost, without its `power` no energy. `routing` is
    there where experts do not get equally many copies.
    """

    identity: Identity
    tokens: int
    peak_flops_per_s: float
    memory: Mapping[str, MemoryPart]
    memory_capacity_bytes: float
    resident_bytes: tuple[float, ...]
    balance: Mapping[str, float]
    modules: tuple[Mapping[str, str | int], ...]
    divisions: tuple[str, ...]
    scales: Mapping[str, float]
    work: Mapping[str, Work]
    provenance: Mapping[str, Source]
    generates: bool = False
    price_usd_per_h: float | None = None
    power: Power | None = None
    routing: Routing | None = None
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

    @cached_property
    def by_operation(self) -> tuple[OperationTotal, ...]:
        """Totals by operation name, mean per GPU and step; empty where nothing was replayed."""
        if self.timeline is None or self.states is None:
            return ()
        return operation_totals(self.timeline, self.states.exposed)

    @cached_property
    def waited_for(self) -> tuple[Straggler, ...]:
        """The ranks that others wait for, longest first."""
        return () if self.timeline is None else stragglers(self.timeline, self.identity.gpus_per_node)

    @cached_property
    def critical_path(self) -> CriticalPath | None:
        """The chain of spans that makes the run as long as it is."""
        return None if self.timeline is None else critical_path(self.timeline)

    @cached_property
    def phases(self) -> tuple[PhaseTotal, ...]:
        """Prefill and decode of a generation."""
        return () if self.timeline is None else generation.phase_totals(self.timeline)

    @cached_property
    def series(self) -> Series | None:
        """The run over time."""
        if self.timeline is None:
            return None
        resident, load = self.resident_of_tracks(self.timeline), self.balance["expert_load_max_over_mean"]
        return series(self.timeline, tokens=self.tokens, resident_bytes=resident, expert_load=load)

    def resident_of_tracks(self, timeline: Timeline) -> Floats:
        """What a GPU of each track holds beside activations, in bytes."""
        return np.array(self.resident_bytes)[timeline.stage_of_track]

    @cached_property
    def metrics(self) -> Mapping[str, float | None]:
        """Every scalar by its dotted path; None where a plan that does not fit has no such number."""
        identity = self.identity
        groups = {
            "degrees": identity.degrees,
            "counts": identity.counts,
            "memory": self._memory(),
            "flops_per_gpu": self.flops_per_gpu(),
            "traffic": self._traffic(),
            "balance": self.balance,
            **{f"modules.{module['type']}": module for module in self.modules},
        }
        values: dict[str, float | None] = {"gpus": identity.gpus, **self._time()}
        for head, group in groups.items():
            for leaf, value in group.items():
                values[f"{head}.{leaf}"] = value if isinstance(value, int | float) else None
        return {path: values.get(path) for path in METRICS}

    def as_dict(self) -> dict[str, object]:
        """The object of `run --json`, in the contract's order."""
        identity, timeline = self.identity, self.timeline
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
            "waited_for": [one.as_dict() for one in self.waited_for],
            **({"phases": [asdict(phase) for phase in self.phases]} if self.generates else {}),
            "critical_path": [] if self.critical_path is None else self.critical_path.as_rows(),
            "memory": self._memory(),
            "flops_per_gpu": self.flops_per_gpu(),
            "traffic": self._traffic(),
            "traffic_between_nodes": self._between_nodes(),
            "links": [] if timeline is None else link_rows(timeline),
            "wires": [] if timeline is None else wire_rows(timeline, BINS),
            "folding": None if timeline is None else asdict(timeline.folding),
            "balance": {**self.balance, **({} if self.routing is None else self.routing.as_dict())},
            "modules": [dict(module) for module in self.modules],
            "timeseries": None if self.series is None else self.series.as_dict(),
            "checks": [check.as_dict() for check in self.checks],
            "provenance": {name: {"kind": item.kind, "source": item.source} for name, item in self.provenance.items()},
        }

    def _time(self) -> dict[str, float | int | None]:
        apart = ("gpus", "tokens", *OF_GENERATION)
        names = [name for name in METRICS if "." not in name and name not in apart]
        if self.timeline is None or self.states is None:
            return {"latency_s": None, "tokens": self.tokens, **dict.fromkeys(names), **self._generated()}
        end_s, seen, mean = self.timeline.end_s, self.states, self.timeline.tracks.mean
        parts = self.timeline.parts
        latency_s = end_s if self.timeline.segments else float(parts.latency_s.mean())
        throughput = self.tokens * self.timeline.steps / end_s
        layers = {operation.layer for operation in self.timeline.operations if operation.layer is not None}
        collectives = sum(op.layer is not None and op.stream == "communication" for op in self.timeline.operations)
        in_layers = collectives / max(1, len(self.timeline.segments))
        return {
            "latency_s": latency_s,
            **self._generated(),
            "tokens": self.tokens,
            "throughput_tokens_per_s": throughput,
            "throughput_tokens_per_s_per_gpu": throughput / self.identity.gpus,
            "mfu": self.flops_per_gpu()["total"] / (self.peak_flops_per_s * latency_s),
            **self._costs(self.timeline, seen),
            "compute_busy": mean(seen.computing) / end_s,
            "exposed_communication": mean(seen.communicating) / end_s,
            "waiting": mean(seen.waiting) / end_s,
            "idle": mean(seen.idle) / end_s,
            "communication_busy": mean(seen.transferring) / end_s,
            "synchronisation_points_per_layer": in_layers / len(layers),
        }

    def _costs(self, timeline: Timeline, seen: States) -> dict[str, float | None]:
        """Money and energy, None where the GPU's price or power is not known; all GPUs of the plan take part.

        Steps of a pipeline overlap: each costs what the run takes for one, not its latency.
        """
        step = self.identity.gpus, timeline.end_s / timeline.steps, self.tokens
        price = self.price_usd_per_h
        power_w = None if self.power is None else energy.mean_power_w(timeline, seen, self.power)
        return {
            "cost_per_million_tokens": None if price is None else energy.cost_per_million_tokens(price, *step),
            "energy_per_token_j": None if power_w is None else energy.energy_per_token_j(power_w, *step),
            "power_mean_w": power_w,
        }

    def _generated(self) -> dict[str, float | None]:
        """What only a generation has."""
        if not self.generates:
            return {}
        if self.timeline is None:
            return dict.fromkeys(OF_GENERATION)
        found = (generation.ttft_s, generation.tpot_s, generation.error_bound)
        return {name: question(self.timeline) for name, question in zip(OF_GENERATION, found, strict=True)}

    def _between_nodes(self) -> list[list[float]] | None:
        """Bytes of a step from node to node; None where nothing was replayed or the nodes are too many to list."""
        if self.timeline is None or self.timeline.node_bytes is None:
            return None
        between: list[list[float]] = (self.timeline.node_bytes / self.timeline.steps).tolist()
        return between

    def _memory(self) -> dict[str, float]:
        return {
            **{name: part.bytes for name, part in self.memory.items()},
            "total": self.memory_total_bytes,
            "capacity": self.memory_capacity_bytes,
            "fraction": self.memory_fraction,
        }

    def flops_per_gpu(self) -> dict[str, float]:
        """Counted FLOPs of one step, mean over GPUs: attention, experts (shared included), other, total."""
        parts = {"attention": 0.0, "experts": 0.0, "other": 0.0}
        for name, work in self.work.items():
            parts[part_of(name)] += work.flops
        return {**parts, "total": sum(parts.values())}

    def _traffic(self) -> dict[str, float | None]:
        if self.timeline is None:
            return {"nvlink": None, "infiniband": None}
        gpus = self.identity.gpus
        return {
            "nvlink": gpus * sum(row.bytes_nvlink for row in self.by_operation),
            "infiniband": gpus * sum(row.bytes_infiniband for row in self.by_operation),
        }
