"""What a layer does, worked out again in plain arithmetic from the contract's words; imports nothing of simcluster.

Powers of two keep every group equally many members in each node it touches, which the closed forms need.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

BF16 = 2.0
"""Bytes of an element of the residual stream, reductions, combine and token gathers."""


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """Usable rates are `efficiency` x datasheet for the GPU, and as written for the wires; `gpus_per_nic` share one."""

    gpus_per_node: int
    gpus_per_nic: int
    peak: dict[str, float]
    compute_efficiency: float
    memory_bandwidth: float
    memory_efficiency: float
    launch_overhead_s: float
    nvlink: float
    nvlink_latency_s: float
    infiniband: float
    infiniband_latency_s: float


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model, a plan and a workload; `experts` 0 is a dense model of width `inner`.

    The dispatch type is the compute type here.  `types` holds bytes per element by part, `type_names` the names.
    """

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    inner: int
    gated: bool
    experts: int
    top_k: int
    shared: int
    type_names: dict[str, str]
    types: dict[str, float]
    prefill: bool
    batch: int
    length: int
    tp: int
    dp: int
    ep: int
    etp: int
    hardware: Hardware

    @property
    def gpus(self) -> int:
        return self.tp * self.dp

    @property
    def sequences(self) -> float:
        return self.batch / self.dp

    @property
    def tokens(self) -> float:
        return self.sequences * (self.length if self.prefill else 1)

    @property
    def query_width(self) -> float:
        return self.heads / self.tp * self.head_dim

    @property
    def kv_width(self) -> float:
        """A KV head is never cut: with more tensor ranks than heads several ranks hold the same one."""
        return max(1.0, self.kv_heads / self.tp) * self.head_dim

    @property
    def up_matrices(self) -> int:
        return 2 if self.gated else 1

    @property
    def splits_tokens(self) -> bool:
        return not (self.ep == 1 and self.etp == self.tp)


@dataclass
class Row:
    count: int = 0
    flops: float = 0.0
    bytes: float = 0.0
    nvlink: float = 0.0
    infiniband: float = 0.0
    seconds: float = 0.0


@dataclass
class Rows:
    """Rows of one step, summed over layers."""

    case: Case
    by_name: dict[str, Row] = field(default_factory=lambda: defaultdict(Row))

    def kernel(self, name: str, flops: float, moved: float, kind: str = "compute") -> None:
        """Roofline: the slower of arithmetic and memory, and a launch."""
        hardware, times = self.case.hardware, self.case.layers
        rate = hardware.compute_efficiency * hardware.peak[self.case.type_names[kind]]
        seconds = max(flops / rate, moved / (hardware.memory_efficiency * hardware.memory_bandwidth))
        self._add(name, times, flops=flops, bytes=moved, seconds=seconds + hardware.launch_overhead_s)

    def collective(self, name: str, kind: str, axis: str, payload: float) -> None:
        """Ring or direct: bytes over each tier, the slower tier's time, and per step the slower message's latency."""
        size, per_node, nodes = members(self.case, axis)
        if size == 1:
            return
        hardware = self.case.hardware
        sent = payload * (size - 1) / size * (2 if kind == "all_reduce" else 1)
        steps = {"all_reduce": 2 * (size - 1), "all_to_all": 1}.get(kind, size - 1)
        ring_share = 1 / per_node if nodes > 1 else 0.0
        off_node = payload * (size - per_node) / size if kind == "all_to_all" else sent * ring_share
        seconds = max((sent - off_node) / hardware.nvlink, off_node * hardware.gpus_per_nic / hardware.infiniband)
        inside = hardware.nvlink_latency_s if per_node > 1 else 0.0
        outside = hardware.infiniband_latency_s if nodes > 1 else 0.0
        seconds += steps * max(inside, outside)
        self._add(name, self.case.layers, bytes=sent, nvlink=sent - off_node, infiniband=off_node, seconds=seconds)

    def _add(self, name: str, times: int, **amounts: float) -> None:
        row = self.by_name[name]
        row.count += times
        for key, amount in amounts.items():
            setattr(row, key, getattr(row, key) + times * amount)


def members(case: Case, axis: str) -> tuple[int, int, int]:
    """Size of an axis' groups, members in one node, and nodes a group touches; alike for all groups, or it fails.

    tp is innermost in the attention part and dp outside it; etp, ep and edp in the expert part.
    """
    inner, size = {"tp": (1, case.tp), "etp": (1, case.etp), "ep": (case.etp, case.ep)}[axis]
    shapes = set()
    for rank in range(case.gpus):
        first = rank - rank // inner % size * inner
        nodes = [(first + step * inner) // case.hardware.gpus_per_node for step in range(size)]
        counts = {nodes.count(node) for node in nodes}
        assert len(counts) == 1, f"{axis} groups of {case} lie unevenly on nodes"
        shapes.add((size, counts.pop(), len(set(nodes))))
    assert len(shapes) == 1, f"{axis} groups of {case} differ"
    return shapes.pop()


def rows(case: Case) -> dict[str, Row]:
    """Every row of `run --json`'s by_operation."""
    found = Rows(case)
    _attention(found)
    if case.experts:
        _experts(found)
    else:
        _norm(found)
        _gemms(found, ("mlp.up", "mlp.activation", "mlp.down"), case.tokens, case.inner / case.tp)
        found.collective("mlp.all_reduce", "all_reduce", "tp", case.tokens * case.hidden * BF16)
        _residual(found)
    return dict(found.by_name)


def _norm(found: Rows) -> None:
    case = found.case
    found.kernel("norm", 0, case.tokens * case.hidden * (BF16 + case.types["compute"]))


def _residual(found: Rows) -> None:
    found.kernel("residual", 0, found.case.tokens * found.case.hidden * 3 * BF16)


def _attention(found: Rows) -> None:
    case, types = found.case, found.case.types
    tokens, hidden, query, kv = case.tokens, case.hidden, case.query_width, case.kv_width
    compute, weights = types["compute"], types["weights"]
    _norm(found)
    wide = query + 2 * kv
    found.kernel(
        "attention.qkv",
        2 * tokens * hidden * wide,
        tokens * hidden * compute + hidden * wide * weights + tokens * wide * compute,
    )
    found.kernel("attention.rotary", 0, 2 * tokens * (query + kv) * types["attention"])
    pairs = case.length**2 / 2 if case.prefill else case.length
    found.kernel(
        "attention.core",
        4 * case.sequences * pairs * query,
        tokens * query * (types["attention"] + compute) + case.sequences * case.length * 2 * kv * types["kv_cache"],
        kind="attention",
    )
    found.kernel(
        "attention.output",
        2 * tokens * query * hidden,
        tokens * query * compute + query * hidden * weights + tokens * hidden * BF16,
    )
    found.collective("attention.all_reduce", "all_reduce", "tp", tokens * hidden * BF16)
    _residual(found)


def _gemms(found: Rows, names: tuple[str, str, str], tokens: float, inner: float, matrices: float = 1) -> None:
    """Up (and gate), activation and down of `tokens` rows through `matrices` weight matrices of width `inner`."""
    case, compute, weights = found.case, found.case.types["compute"], found.case.types["weights"]
    up, hidden = case.up_matrices, case.hidden
    read = matrices * hidden * inner * weights
    found.kernel(
        names[0],
        2 * tokens * hidden * up * inner,
        tokens * hidden * compute + up * read + tokens * up * inner * compute,
    )
    found.kernel(names[1], 0, tokens * (up + 1) * inner * compute)
    found.kernel(names[2], 2 * tokens * inner * hidden, tokens * inner * compute + read + tokens * hidden * BF16)


def _experts(found: Rows) -> None:
    case, compute = found.case, found.case.types["compute"]
    hidden, split = case.hidden, case.splits_tokens
    tokens = case.tokens / case.tp if split else case.tokens
    copies = tokens * case.top_k
    visits = copies * case.etp if split else copies
    _norm(found)
    found.kernel(
        "moe.router",
        2 * tokens * hidden * case.experts,
        tokens * hidden * compute + hidden * case.experts * case.types["weights"] + tokens * case.experts * BF16,
    )
    if case.shared:
        _gemms(found, ("moe.shared",) * 3, tokens, case.shared / (1 if split else case.tp))
    found.kernel("moe.permute", 0, (tokens + copies) * hidden * compute)
    found.kernel("moe.permute", 0, (copies + tokens) * hidden * BF16)
    reached = min(case.experts / case.ep, visits)
    _gemms(found, ("moe.experts", "moe.activation", "moe.experts"), visits, case.inner / case.etp, reached)
    if split:
        found.collective("moe.dispatch", "all_to_all", "ep", copies * hidden * compute)
        found.collective("moe.lane_all_gather", "all_gather", "etp", visits * hidden * compute)
        found.collective("moe.lane_reduce_scatter", "reduce_scatter", "etp", visits * hidden * BF16)
        found.collective("moe.combine", "all_to_all", "ep", copies * hidden * BF16)
        found.collective("moe.all_gather", "all_gather", "tp", case.tokens * hidden * BF16)
    else:
        found.collective("moe.all_reduce", "all_reduce", "etp", case.tokens * hidden * BF16)
    _residual(found)


def memory(case: Case) -> dict[str, float]:
    """Bytes of weights and KV cache on one GPU."""
    weights, hidden = case.types["weights"], case.hidden
    attention = hidden * (2 * case.query_width + 2 * case.kv_width)
    matrices = case.up_matrices + 1
    experts, other = 0.0, 2.0 * hidden
    if case.experts:
        experts = case.experts / case.ep * matrices * hidden * case.inner / case.etp
        experts += matrices * hidden * case.shared / (1 if case.splits_tokens else case.tp)
        other += hidden * case.experts
    else:
        other += matrices * hidden * case.inner / case.tp
    cache = case.sequences * case.length * 2 * case.kv_width * case.types["kv_cache"]
    return {
        "attention_weights": case.layers * attention * weights,
        "expert_weights": case.layers * experts * weights,
        "other_weights": case.layers * other * weights,
        "kv_cache": case.layers * cache,
    }


def flops_per_gpu(found: dict[str, Row]) -> dict[str, float]:
    """Attention is QKV, core and output; experts are their GEMMs, shared included; the rest is other."""
    parts = {"attention": 0.0, "experts": 0.0, "other": 0.0}
    for name, row in found.items():
        part = "attention" if name.startswith("attention.") else "other"
        parts["experts" if name in ("moe.experts", "moe.shared") else part] += row.flops
    return {**parts, "total": sum(parts.values())}
