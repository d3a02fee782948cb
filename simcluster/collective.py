"""One collective on a cluster, alone: nccl-tests' question, answered by the same replay as a whole program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from simcluster import units
from simcluster.cluster.cluster import Cluster
from simcluster.cluster.messages import Floats
from simcluster.cluster.routes import CutOffError, Routes
from simcluster.errors import InputError, Mistake, nearest, shortened
from simcluster.kernels import BYTES_PER_ELEMENT
from simcluster.machine import Machine
from simcluster.program.program import ALGORITHMS, CollectiveKind, Copies
from simcluster.replay.alone import seconds_alone
from simcluster.timeline.table import Cell, Column, Table
from simcluster.traffic.exchange import uneven
from simcluster.traffic.pattern import Group, Pattern
from simcluster.traffic.pricing import Pricing
from simcluster.traffic.traffic import Traffic, routed
from simcluster.traffic.wires import Wires


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Question:
    """`kind` among `gpus` GPUs of a cluster, of which every node gives `per_node` (None: all it has)."""

    cluster: Cluster
    kind: CollectiveKind
    gpus: int
    per_node: int | None = None
    dtype: str = "bf16"
    algorithm: str = "auto"

    def group(self) -> Group:
        """The ranks that take part, node by node."""
        per_node = self.per_node or self.cluster.gpus_per_node
        if per_node > self.cluster.gpus_per_node:
            raise InputError(f"a node has {self.cluster.gpus_per_node} GPUs, not {per_node}; use fewer per node")
        if self.dtype not in BYTES_PER_ELEMENT:
            raise InputError(f"no type is called {self.dtype!r:.60}{nearest(self.dtype, BYTES_PER_ELEMENT)}")
        if self.gpus < 2:
            raise InputError("1 GPU has nobody to talk to; a collective needs 2 or more")
        if self.gpus > self.cluster.nodes * per_node:
            raise InputError(
                f"{self.cluster.nodes} nodes give {self.cluster.nodes * per_node:,} GPUs at {per_node} each, not "
                f"{self.gpus:,}; use fewer GPUs or more nodes"
            )
        starts = range(0, self.cluster.gpus, self.cluster.gpus_per_node)
        ranks = [start + gpu for start in starts for gpu in range(per_node)]
        return tuple(ranks[: self.gpus])


def known_kind(name: str, algorithm: str = "auto", dtype: str = "bf16") -> CollectiveKind:
    """The collective of that name, which knows the algorithm; InputError lists what there is of each."""
    found = next((kind for kind in ALGORITHMS if kind == name), None)
    wrong = []
    if found is None:
        wrong.append(f"no collective is called {name!r:.60}{nearest(name, ALGORITHMS)}")
    elif algorithm not in ("auto", *ALGORITHMS[found]):
        wrong.append(f"{name} has no algorithm {algorithm!r:.40}; it has {', '.join(ALGORITHMS[found])}")
    if dtype not in BYTES_PER_ELEMENT:
        wrong.append(f"no type is called {dtype!r:.60}{nearest(dtype, BYTES_PER_ELEMENT)}")
    if wrong or found is None:
        raise InputError(Mistake(what=what) for what in wrong)
    return found


def bus_factor(kind: CollectiveKind, gpus: int) -> float:
    """busbw / algbw of nccl-tests: the share of the size that the busiest rank must send, so that busbw compares with a
    link's bandwidth (nccl-tests, doc/PERFORMANCE.md)."""
    match kind:
        case "all_reduce":
            return 2 * (gpus - 1) / gpus
        case "all_gather" | "reduce_scatter" | "all_to_all":
            return (gpus - 1) / gpus
        case "broadcast" | "send_recv":
            return 1.0


def measure(question: Question, sizes: Sequence[float]) -> Table:
    """Time, algorithm bandwidth and bus bandwidth at each message size (bytes), as nccl-tests prints them."""
    machine, group = Machine(question.cluster, question.gpus), question.group()
    for size in sizes:
        if not 0 <= size <= units.LARGEST:
            what = f"message_bytes is {size!r}; {question.kind} needs 0 bytes or more, at most {units.LARGEST:g}"
            raise InputError(what)
    rows: list[Mapping[str, Cell]] = []
    for size in sizes:
        load, wires = machine.load(partial(_told, question, group, size))
        time_s = seconds_alone(load, size, wires)
        rate = size / time_s if time_s > 0 else None
        factor = bus_factor(question.kind, len(group))
        rows.append(
            {
                "bytes": size,
                "algorithm": load.algorithm,
                "time_s": time_s,
                "algbw_bytes_per_s": rate,
                "busbw_bytes_per_s": None if rate is None else rate * factor,
                "limited_by": limited_by(load, size, time_s, wires),
            }
        )
    return Table(
        title=f"{question.kind} on {len(group)} GPUs",
        columns=(
            Column(name="bytes", measure="bytes"),
            Column(name="algorithm"),
            Column(name="time_s", measure="seconds"),
            Column(name="algbw_bytes_per_s", measure="bytes/s"),
            Column(name="busbw_bytes_per_s", measure="bytes/s"),
            Column(name="limited_by"),
        ),
        rows=tuple(rows),
        swept=("bytes",),
    )


def measure_uneven(question: Question, matrix: Floats) -> float:
    """Seconds of an all-to-all in which GPU i sends `matrix[i, j]` bytes to GPU j; shape (gpus, gpus)."""
    group = question.group()
    if matrix.shape != (len(group), len(group)):
        found = " x ".join(map(str, matrix.shape))
        raise InputError(f"the matrix is {found}; {len(group)} GPUs need {len(group)} x {len(group)}")
    fits = (matrix >= 0) & (matrix <= units.LARGEST)
    if not fits.all():
        row, column = np.argwhere(~fits)[0].tolist()
        what = f"row {row + 1}, column {column + 1} is {matrix[row, column]:g}; bytes are 0 to {units.LARGEST:g}"
        raise InputError(what)
    shape = Pattern(algorithm="direct", phases=(uneven(group, matrix),))
    if not len(shape.phases[0].listed().bytes):
        return 0.0
    routes = Routes(question.cluster)
    try:
        return seconds_alone(routed(shape, group, routes), 1.0, Wires.listed(routes))
    except CutOffError as error:
        raise _lost(question, group, error) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """Expert dispatch or combine as DeepEP does it: every rank has `tokens` tokens of `hidden` values, each for `top_k`
    of `experts` experts.  Dispatch sends fp8 with a 4-byte scale per 128 values, combine bf16.

    normal: a token crosses once to each node and once to each GPU that needs it, copied by `sms` SMs (20 on one node,
    24 on several unless given).  low_latency: one copy per expert, straight to its GPU.
    """

    question: Question
    back: bool
    mode: str
    tokens: float
    hidden: int
    top_k: int
    experts: int
    sms: int | None = None

    @property
    def token_bytes(self) -> float:
        return self.hidden * (2.0 if self.back else _SCALED)

    @property
    def payload_bytes(self) -> float:
        """All copies of a rank's tokens."""
        return self.tokens * self.top_k * self.token_bytes

    def check(self) -> None:
        """InputError for what no exchange can be."""
        if self.mode not in MODES:
            raise InputError(f"no mode is called {self.mode!r:.60}; it is {' or '.join(MODES)}")
        if self.experts < 1:
            raise InputError(f"experts is {self.experts}; it must be 1 or more")
        if not 1 <= self.top_k <= self.experts:
            raise InputError(f"top_k {self.top_k} of {self.experts} experts; it must be 1 to {self.experts}")
        for name, value in (("tokens per rank", self.tokens), ("hidden", self.hidden), ("sms", self.sms)):
            if value is not None and not 0 < value <= units.LARGEST:
                raise InputError(f"{name} is {value!r}; it must be more than 0")


MODES = ("normal", "low_latency")
_SCALED = 1 + 4 / 128
"""Bytes of an fp8 value with its share of the scale."""


def exchange_seconds(exchanges: Sequence[Exchange]) -> list[float]:
    """Seconds of each dispatch or combine; without measured constants the wires alone set the pace."""
    known: dict[Question, Machine] = {}
    times = []
    for exchange in exchanges:
        question, group = exchange.question, exchange.question.group()
        exchange.check()
        if question not in known:
            known[question] = Machine(question.cluster, question.gpus)
        try:
            load, wires = known[question].load(partial(_dispatched, exchange, group))
        except ValueError as error:
            raise InputError(Mistake(what=str(error))) from None
        except CutOffError as error:
            raise _lost(question, group, error) from None
        times.append(seconds_alone(load, exchange.payload_bytes, wires))
    return times


def limited_by(load: Traffic, size: float, time_s: float, wires: Wires) -> str:
    """Other traffic, its latency, its algorithm, or the kind of its fullest wire."""
    if wires.background.count and time_s > (1 + 1e-6) * load.alone_s(size):
        return "background"
    if load.latency_s > load.alone_s(size) - load.latency_s:
        return "latency"
    leg = load.slowest_leg(size)
    return "algorithm" if leg.limit < leg.alone_rate else wires.kind[leg.full_wire]


def _dispatched(exchange: Exchange, group: Group, pricing: Pricing) -> Traffic:
    copies = Copies(top_k=exchange.top_k, experts=exchange.experts, token_bytes=exchange.token_bytes)
    return pricing.exchange(group, exchange.payload_bytes, copies, exchange.mode, back=exchange.back, sms=exchange.sms)


def _told(question: Question, group: Group, size: float, pricing: Pricing) -> Traffic:
    try:
        chosen = question.algorithm
        if chosen == "auto":
            chosen = question.cluster.algorithms.get(question.kind, "auto")
        return pricing.traffic(question.kind, group, size, question.dtype, chosen)
    except ValueError as error:
        raise InputError(Mistake(what=str(error))) from None
    except CutOffError as error:
        raise _lost(question, group, error) from None


def _lost(question: Question, group: Group, error: CutOffError) -> InputError:
    return InputError(
        f"{question.kind} can never complete: rank {error.sender} cannot reach rank {error.receiver}, {error.where}; "
        f"ranks {shortened(group)} wait"
    )
