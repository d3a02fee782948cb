"""Plans in order of merit: what a search returns and a report shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from simcluster.timeline.table import Table

Objective = str
"""latency, throughput or cost."""

MERITS = {
    "latency": "latency_s",
    "throughput": "throughput_tokens_per_s",
    "cost": "gpu_hours_per_million_tokens",
}
"""What each objective ranks by; a GPU's price is the same for all plans, so hours rank as money does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """One plan that was considered.

    `label` is its name and what else tells it from the scenario, `batch` counts as the scenario's batch is written, and
    `changes` are the `--set`s that make the scenario this plan.  `reason` is why it is out, None where it is not, and
    `cause` the scenario path or constraint behind that.

    The times are None where nothing was replayed.  `memory_fraction`, the fullest GPU's, is None where the plan cuts
    something that does not divide; where weights and cache alone are more than a GPU has, it is what those need.
    """

    plan: str
    label: str
    convention: str
    degrees: Mapping[str, int]
    nodes: int
    gpus: int
    batch: int
    microbatches: int | None
    placement: tuple[str, ...]
    changes: tuple[str, ...]
    fits: bool = False
    reason: str | None = None
    cause: str = ""
    latency_s: float | None = None
    throughput_tokens_per_s: float | None = None
    mfu: float | None = None
    memory_fraction: float | None = None
    price_usd_per_h: float | None = None

    @property
    def throughput_tokens_per_s_per_gpu(self) -> float | None:
        return None if self.throughput_tokens_per_s is None else self.throughput_tokens_per_s / self.gpus

    @property
    def gpu_hours_per_million_tokens(self) -> float | None:
        """gpus x 1e6 / (tokens/s x 3600 s)."""
        each = self.throughput_tokens_per_s_per_gpu
        return None if each is None else 1e6 / each / 3600

    @property
    def cost_per_million_tokens(self) -> float | None:
        """USD, where a GPU's price is stated: price x GPU-hours."""
        hours = self.gpu_hours_per_million_tokens
        return None if hours is None or self.price_usd_per_h is None else self.price_usd_per_h * hours

    def as_dict(self) -> dict[str, object]:
        return {
            "plan": self.plan,
            "convention": self.convention,
            "degrees": dict(self.degrees),
            "gpus": self.gpus,
            "nodes": self.nodes,
            "batch": self.batch,
            "microbatches": self.microbatches,
            "placement": list(self.placement),
            "set": list(self.changes),
            "fits": self.fits,
            "reason": self.reason,
            "latency_s": self.latency_s,
            "throughput_tokens_per_s": self.throughput_tokens_per_s,
            "throughput_tokens_per_s_per_gpu": self.throughput_tokens_per_s_per_gpu,
            "mfu": self.mfu,
            "memory_fraction": self.memory_fraction,
            "gpu_hours_per_million_tokens": self.gpu_hours_per_million_tokens,
            "cost_per_million_tokens": self.cost_per_million_tokens,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A plan and the fraction of draws in which it is the best."""

    label: str
    wins: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """The first plans of a ranking in `draws` draws of the uncertain hardware, by `seed`."""

    draws: int
    seed: int
    contenders: tuple[Contender, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """All plans that were considered, the feasible ones first and best first among them.

    `listed` says what the space held, in words, and `space` in numbers; `constraints` are those that held, in words.
    `front` are the feasible plans that no other beats in latency and in throughput per GPU, by rising latency; `asked`
    is the scenario's own plan and `place` where among the feasible ones it stands, from 1, or would stand if it was
    listed (None where it is not feasible itself).  `why` are sentences about the winner and the asked-for plan, and
    `states` their time side by side; both are empty where no plan is feasible.  `contest` says how sure the winner is,
    where that was asked for.
    """

    scenario: str
    objective: Objective
    constraints: tuple[str, ...]
    listed: tuple[str, ...]
    space: Mapping[str, object]
    plans: tuple[Ranked, ...]
    feasible: int
    front: tuple[Ranked, ...]
    asked: Ranked
    place: int | None
    why: tuple[str, ...]
    states: Table
    contest: Contest | None = None

    @property
    def considered(self) -> int:
        return len(self.plans)

    @property
    def winner(self) -> Ranked | None:
        return self.plans[0] if self.feasible else None

    def pruned(self) -> dict[str, list[Ranked]]:
        """The plans that are out by cause, the most frequent first."""
        found: dict[str, list[Ranked]] = {}
        for row in self.plans[self.feasible :]:
            found.setdefault(row.cause, []).append(row)
        return dict(sorted(found.items(), key=lambda item: -len(item[1])))

    def as_dict(self, top: int | None = None) -> dict[str, object]:
        """The object of `search --json`; `top` keeps so many plans."""
        return {
            "scenario": self.scenario,
            "objective": self.objective,
            "constraints": list(self.constraints),
            "space": dict(self.space),
            "considered": self.considered,
            "feasible": self.feasible,
            "pruned": {cause: len(rows) for cause, rows in self.pruned().items()},
            "plans": [row.as_dict() for row in self.plans[:top]],
            "front": [row.as_dict() for row in self.front],
            "asked": self.asked.as_dict() | {"place": self.place},
            "why": list(self.why),
            "states": [dict(row) for row in self.states.rows],
            **({} if self.contest is None else {"uncertainty": asdict(self.contest)}),
        }
