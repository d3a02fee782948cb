"""Messages of a group on a regular cluster, by the kind of way they go: what can be counted instead of listed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from simcluster.cluster.clos import Clos, IrregularError
from simcluster.cluster.messages import Messages, Reduction
from simcluster.traffic.crossings import Ints
from simcluster.traffic.pattern import Phase

Class = tuple[str, str]
"""Kind and direction of wires."""

NEAR = ("nvlink", "pcie", "nic")
"""Wires that a GPU or NIC ends in."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """`count` messages of a group, `bytes` together, that go the same kind of way.

    `ends` has an entry for each class of wires they cross: the number of the rank, NIC or switch where each leaves or
    enters.  `even`: all members send alike, so those of one sender are enough and stand for the rest.
    """

    bytes: float
    count: int
    latency_s: float
    nvlink_hops: int
    outside: bool
    ends: dict[Class, Ints]
    even: bool


def parts(phase: Phase, clos: Clos) -> Iterator[Part]:
    """The messages of one phase; IrregularError where they cannot be counted."""
    for reduction in phase.reductions:
        yield _sum(reduction, clos)
    listed = phase.messages.only(phase.messages.bytes > 0)
    if len(listed.bytes):
        yield from _alike(listed, 1, clos, even=False)
    for everyone in phase.everyone:
        if len({len(part) for part in everyone.parts}) > 1:
            raise IrregularError("domains with unequally many members")
        part = np.array(everyone.parts[0], dtype=np.int64)
        others = len(part) - 1
        if others and everyone.bytes > 0:
            sizes = np.full(others, everyone.bytes)
            row = Messages(sender=np.full(others, part[0]), receiver=part[1:], bytes=sizes)
            yield from _alike(row, len(part) * len(everyone.parts), clos, even=True)


def _sum(reduction: Reduction, clos: Clos) -> Part:
    """What an NVSwitch adds: every rank sends and receives as much."""
    if reduction.tier != "nvlink":
        raise IrregularError("trees of switches that add")
    ranks = np.array(reduction.ranks, dtype=np.int64)
    return Part(
        bytes=reduction.bytes * len(ranks),
        count=len(ranks),
        latency_s=clos.inside_latency_s,
        nvlink_hops=1,
        outside=False,
        ends={("nvlink", "out"): ranks, ("nvlink", "in"): ranks},
        even=True,
    )


def _alike(messages: Messages, times: int, clos: Clos, *, even: bool) -> Iterator[Part]:
    """Messages that go the same kind of way with the same bytes together; each stands for `times` as many."""
    cluster, ways = clos.cluster, clos.ways(messages.sender, messages.receiver)
    forwarded = ways.gate != messages.sender
    sizes = np.zeros(len(messages.bytes), dtype=np.int64)
    if (messages.bytes != messages.bytes[0]).any():
        sizes = np.unique(messages.bytes, return_inverse=True)[1].ravel()
    kind = (sizes * 8 + ways.climb + 1) * 2 + forwarded  # fewer than eight levels
    for number in np.flatnonzero(np.bincount(kind)).tolist():
        mine = np.flatnonzero(kind == number)
        climb, moved = number // 2 % 8 - 1, number % 2
        outside = climb >= 0
        latency_s = clos.inside_latency_s if moved or not outside else 0.0
        if outside:
            assert cluster.infiniband is not None
            latency_s += cluster.infiniband.latency_s
        yield Part(
            bytes=float(messages.bytes[mine].sum()) * times,
            count=len(mine) * times,
            latency_s=latency_s,
            nvlink_hops=int(cluster.nvlink is not None and (moved or not outside)),
            outside=outside,
            ends=_ends(clos, messages.sender[mine], messages.receiver[mine], ways.gate[mine], climb, moved=bool(moved)),
            even=even,
        )


def _ends(clos: Clos, sender: Ints, receiver: Ints, gate: Ints, climb: int, *, moved: bool) -> dict[Class, Ints]:
    """Where messages leave and enter the classes of wires on their way, `climb` levels of switches up."""
    near = "nvlink" if clos.cluster.nvlink is not None else "pcie"
    if climb < 0:
        return {(near, "out"): sender, (near, "in"): receiver}
    ends: dict[Class, Ints] = {}
    if moved:
        ends |= {(near, "out"): sender, (near, "in"): gate}
    if clos.cluster.pcie is not None:
        ends |= {("pcie", "out"): gate, ("pcie", "in"): receiver}
    ends |= {("nic", "out"): gate // clos.gpus_per_nic, ("nic", "in"): receiver // clos.gpus_per_nic}
    block = 1
    for level in clos.levels[:climb]:
        ends |= {(level.kind, "up"): clos.leaf(gate) // block, (level.kind, "down"): clos.leaf(receiver) // block}
        block = level.pod
    return ends
