"""The loads of collectives on the folded wires of a regular cluster, for all groups of an axis together."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from simcluster.cluster.clos import Clos, IrregularError
from simcluster.program.program import Groups
from simcluster.traffic.crossings import Crossings, Floats, Ints
from simcluster.traffic.parts import NEAR, Class, Part, parts
from simcluster.traffic.pattern import Group, Pattern, Phase
from simcluster.traffic.pricing import Pricing
from simcluster.traffic.stages import StageWires, stage_wires
from simcluster.traffic.traffic import EQUALLY_FULL, Leg, Traffic, between_nodes, nothing


@lru_cache(maxsize=512)
def roads(clos: Clos, groups: Groups, everyone: Groups, sends: int | None = None) -> Roads:
    """The roads of the groups of an axis, given with all ranks each for itself; kept, as plans that differ elsewhere
    have them in common."""
    of_a_stage = Groups(ranks=groups.ranks // groups.stages, stride=groups.stride, size=groups.size)
    return Roads(clos, of_a_stage, stage_wires(clos, everyone), sends)


class Roads:
    """Puts patterns of the first of some equal `groups` of a stage on the folded wires, for all of them at once.

    A wire carries what all groups put on its class, divided by the wires of the class: groups are shifted onto each
    other, and so are wires, so all get the same.  Wires are those of the first pipeline stage, or if the groups send to
    the stage after theirs, those of stage `sends` going out and of the next one going in.
    """

    def __init__(self, clos: Clos, groups: Groups, stages: StageWires | None = None, sends: int | None = None) -> None:
        self._clos, self._groups = clos, groups
        stages = StageWires(clos, groups) if stages is None else stages
        self.wires, self._column = stages.wires, stages.columns(0)
        members = np.array(groups[0], dtype=np.int64)
        self._ends = dict.fromkeys(("out", "up", "in", "down"), members)
        if sends is not None:
            theirs, gets = stages.columns(sends + 1), ("in", "down")
            mine = stages.columns(sends)
            self._column = {one: (theirs if one[1] in gets else mine)[one] for one in mine}
            self._ends = {way: members + groups.ranks * (sends + (way in gets)) for way in self._ends}
        self.pricing = Pricing(clos.cluster, self.put)

    def put(self, shape: Pattern, group: Group) -> Traffic:
        """The traffic of the pattern; IrregularError if it does not load equal wires equally."""
        cluster = self._clos.cluster
        phases = [list(parts(phase, self._clos)) for phase in shape.phases]
        for phase, mine in zip(shape.phases, phases, strict=True):
            if not all(map(self._even, self._shared(phase, mine))):
                raise IrregularError(f"places in a {shape.algorithm} {len(group)} ranks long")
        legs = [self._leg(phase, mine) for phase, mine in zip(shape.phases, phases, strict=True)]
        legs[0] = replace(legs[0], latency_s=legs[0].latency_s + cluster.gpu.collective_overhead_s)
        messages = [part for mine in phases for part in mine]
        pair, share = between_nodes(shape, cluster, self._groups)
        return Traffic(
            algorithm=shape.algorithm,
            legs=tuple(legs),
            sent_share=sum(part.bytes for part in messages) / len(group),
            nvlink_share=sum(part.bytes * part.nvlink_hops for part in messages) / len(group),
            infiniband_share=sum(part.bytes for part in messages if part.outside) / len(group),
            node_pair=pair,
            node_share=share,
        )

    def _leg(self, phase: Phase, messages: list[Part]) -> Leg:
        """One phase of all groups at once; `alone_rate` and `port_share` are of a single group."""
        if not messages:
            return nothing()
        crossed = dict.fromkeys(one for part in messages for one in part.ends)
        load = {one: sum(part.bytes for part in messages if one in part.ends) / self._touched(one) for one in crossed}
        port_share = max(each for (kind, _), each in load.items() if kind in NEAR)
        rates = {one: self.wires.capacity[self._column[one]] * port_share / each for one, each in load.items()}
        least = min(rates.values()) * (1 + EQUALLY_FULL)
        full = min((one for one in rates if rates[one] <= least), key=self._column.__getitem__)
        flows, share = self._by_message(messages) if self._by_flow(phase) else self._as_one(messages, port_share)
        forwarding_s = phase.forwards * self._clos.inside_latency_s
        return Leg(
            latency_s=phase.rounds * max(part.latency_s for part in messages) + forwarding_s,
            port_share=port_share,
            alone_rate=float(rates[full]),
            full_wire=self._column[full],
            flows=flows,
            flow_share=share,
        )

    def _as_one(self, messages: list[Part], port_share: float) -> tuple[Crossings, Floats]:
        """Each group's phase as one activity."""
        total = np.zeros(len(self.wires))
        for part in messages:
            for one in part.ends:
                total[self._column[one]] += part.bytes
        wire = np.flatnonzero(total)
        use = len(self._groups) * total[wire] / self.wires.count[wire] / port_share
        return Crossings(flow=np.zeros(len(wire), np.int64), wire=wire, use=use, count=1), np.array([port_share])

    def _by_message(self, messages: list[Part]) -> tuple[Crossings, Floats]:
        """Each message as a flow of its own; those of a part are alike."""
        wires = [np.array([self._column[one] for one in part.ends], dtype=np.int64) for part in messages]
        use = [
            len(self._groups) * part.count / self.wires.count[mine] for part, mine in zip(messages, wires, strict=True)
        ]
        flow = np.repeat(np.arange(len(messages)), [len(mine) for mine in wires])
        crossings = Crossings(flow=flow, wire=np.concatenate(wires), use=np.concatenate(use), count=len(messages))
        return crossings, np.array([part.bytes / part.count for part in messages])

    def _by_flow(self, phase: Phase) -> bool:
        """Whether each message has a fair share of its own."""
        return self._clos.cluster.sharing == "flow" and not phase.reductions

    def _shared(self, phase: Phase, messages: list[Part]) -> list[list[Part]]:
        """The messages that have a fair share together."""
        return [[part] for part in messages] if self._by_flow(phase) else [messages]

    def _even(self, together: list[Part]) -> bool:
        """Whether a group puts as much on one wire of a class as on the next."""
        for one in dict.fromkeys(one for part in together for one in part.ends):
            listed = [part for part in together if one in part.ends and not part.even]
            if not listed:
                continue
            where = np.concatenate([part.ends[one] for part in listed])
            weight = np.concatenate([np.full(len(part.ends[one]), part.bytes / part.count) for part in listed])
            ends, _ = self._begins(one)
            sums = np.bincount(where, weights=weight, minlength=int(ends[-1]) + 1)[ends]
            if not np.allclose(sums, weight.sum() / len(ends), rtol=1e-9, atol=0):
                return False
        return True

    def _touched(self, one: Class) -> int:
        """Wires of a class that a group's messages are spread over."""
        ends, fan = self._begins(one)
        return len(ends) * fan

    def _begins(self, one: Class) -> tuple[Ints, int]:
        """The ranks, NICs or leaves and pods of a group that wires of a class belong to, and how many each has."""
        clos, (kind, direction) = self._clos, one
        members = self._ends[direction]
        if kind in ("nvlink", "pcie"):
            return members, 1
        if kind == "nic":
            return _distinct(members // clos.gpus_per_nic), 1
        block, fan = 1, 1
        for level in clos.levels:
            fan *= level.fan
            if level.kind == kind:
                break
            block = level.pod
        return _distinct(clos.leaf(members) // block), fan


def _distinct(numbers: Ints) -> Ints:
    """Each number once, ascending."""
    return np.flatnonzero(np.bincount(numbers))
