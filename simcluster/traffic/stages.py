"""The wires of a regular cluster, each class cut into those that different pipeline stages load."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from simcluster.cluster.clos import Clos, IrregularError
from simcluster.program.program import Groups
from simcluster.traffic.parts import Class
from simcluster.traffic.traffic import Leg, Traffic
from simcluster.traffic.wires import Wires


@lru_cache(maxsize=64)
def stage_wires(clos: Clos, groups: Groups) -> StageWires:
    """Kept for the plans that have their stages in common."""
    return StageWires(clos, groups)


class StageWires:
    """Columns of wires: one for each class and set of stages whose ranks are below a wire of it.

    `groups` are those of any axis: they tell how many stages there are and how many of their ranks sit side by side.
    A stage's ranks are shifted onto each other, and so are the wires that one set of stages loads; IrregularError where
    stages share a node, whose wires then differ.
    """

    def __init__(self, clos: Clos, groups: Groups) -> None:
        self._clos, self.stages, self._block = clos, groups.stages, groups.ranks // groups.stages
        if self.stages > 1:
            if groups.block not in (0, self._block):
                raise IrregularError("a placement with stages inside other axes")
            if clos.cluster.uses_nics and self._block % clos.cluster.gpus_per_node:
                raise IrregularError("pipeline stages that share a node")
        self._families = [(one.wire_class.kind, one.wire_class.direction) for one in clos.families]
        parts = [self._parts(kind) for kind, _ in self._families]
        starts = np.cumsum([0, *parts])
        self._first = dict(zip(self._families, starts.tolist(), strict=False))
        whole = Wires.folded(clos)
        family = np.repeat(np.arange(len(parts)), parts)
        self.wires = replace(
            whole,
            capacity=whole.capacity[family],
            count=whole.count[family] // np.array(parts, dtype=np.int64)[family],
            kind=tuple(whole.kind[one] for one in family.tolist()),
            direction=tuple(whole.direction[one] for one in family.tolist()),
        )

    def column(self, one: Class, stage: int) -> int:
        """The column of a class that a stage loads."""
        return int(self._first[one]) + stage * self._parts(one[0]) // self.stages

    def columns(self, stage: int) -> dict[Class, int]:
        return {one: self.column(one, stage) for one in self._families}

    def column_above(self, one: Class, rank: int) -> int:
        """The column of a class' wire whose lower end has `rank` as its first."""
        return self.column(one, rank // self._block)

    def _parts(self, kind: str) -> int:
        """Columns of a class: one for each stage where a wire has ranks of one stage below it, fewer where of more."""
        below = self._clos.below(kind)
        if self.stages == 1 or self._block % below == 0:
            return self.stages
        together = below // self._block
        if below % self._block or (self.stages % together and together % self.stages):
            raise IrregularError(f"pipeline stages of {self._block} ranks under switches of {below}")
        return max(1, self.stages // together)

    def moved(self, traffic: Traffic, stage: int) -> Traffic:
        """The traffic of the first stage's groups as that of another stage's."""
        if stage == 0:
            return traffic
        column = {self.column(one, 0): self.column(one, stage) for one in self._families}
        cluster = self._clos.cluster
        nodes = stage * self._block // cluster.gpus_per_node
        legs = tuple(_moved(leg, column) for leg in traffic.legs)
        return replace(traffic, legs=legs, node_pair=traffic.node_pair + nodes * (cluster.nodes + 1))


def _moved(leg: Leg, column: dict[int, int]) -> Leg:
    wire = np.array([column[one] for one in leg.flows.wire.tolist()], dtype=np.int64)
    full = column[leg.full_wire] if leg.full_wire >= 0 else -1
    return replace(leg, flows=replace(leg.flows, wire=wire), full_wire=full)
