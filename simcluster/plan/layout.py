"""Where every rank sits: its coordinates on the plan's axes, its groups, its node and GPU, the experts it holds.

Ranks of a stage are numbered tp innermost, then cp, then dp, unless the placement says otherwise; the same numbers are
read for the experts as etp innermost, then ep, then edp, or in orthogonal plans as etp for tp and ep for dp.  Stages
are outermost.  Rank r is GPU r % gpus_per_node of node r // gpus_per_node, so neighbouring tensor ranks share a node.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import prod
from typing import Literal

import numpy as np

from simcluster.plan.degrees import Convention, Degrees
from simcluster.plan.execution import PLACEMENT, AttentionAxis
from simcluster.plan.groups import Group as Group
from simcluster.plan.groups import Groups as Groups
from simcluster.plan.groups import Ints as Ints

Axis = Literal["tp", "cp", "dp", "pp", "etp", "ep", "edp"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """One rank's place: in the machine, on the axes, and what it holds."""

    rank: int
    node: int
    gpu: int
    nic: int
    rail: int
    dp: int
    cp: int
    pp: int
    ep: int
    tp: int
    etp: int
    edp: int
    experts: tuple[int, ...]
    layers: tuple[int, ...]

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The ranks of a plan on nodes of `gpus_per_node` GPUs, the attention axes innermost first as in `placement`.

    `convention` matters where cp > 1: orthogonal plans keep a token's experts on ranks with its own cp coordinate.
    """

    degrees: Degrees
    gpus_per_node: int
    placement: tuple[AttentionAxis, ...] = PLACEMENT
    convention: Convention = "folded"

    def coordinate(self, axis: Axis, rank: int) -> int:
        """The rank's index along `axis`."""
        if axis == "pp":
            return int(self.groups("tp").stage_of(np.array(rank)))
        if axis == "edp" and self._experts_follow_tp:
            copies = self.degrees.dp // self.degrees.ep
            return self.coordinate("dp", rank) // self.degrees.ep + copies * self.coordinate("cp", rank)
        return int(self.groups(axis).place_of(np.array(rank)))

    def groups(self, axis: Axis) -> Groups:
        """Ranks that differ only along `axis`, in that axis' order: one group per set of other coordinates."""
        if axis == "pp":
            return Groups(ranks=self.degrees.gpus, stride=self._block, size=self.degrees.pp)
        assert axis != "edp" or not self._experts_follow_tp or self.degrees.cp == 1, "these groups follow no stride"
        return Groups(
            ranks=self.degrees.gpus,
            stride=self._stride(axis),
            size=int(getattr(self.degrees, axis)),
            stages=self.degrees.pp,
            block=self._block,
        )

    def senders(self) -> Groups:
        """Every rank for itself, numbered stage by stage: number i of a stage sends to number i of the next."""
        return Groups(ranks=self.degrees.gpus, stride=1, size=1, stages=self.degrees.pp, block=self._block)

    def seat(self, rank: int, *, experts: int, stages: Sequence[range], nics_per_node: int) -> Seat:
        """Everything about one rank; `experts` are the model's, cut evenly over ep, `stages` each one's layers."""
        node, gpu = divmod(rank, self.gpus_per_node)
        nic = gpu * nics_per_node // self.gpus_per_node
        place = {axis: self.coordinate(axis, rank) for axis in ("tp", "cp", "dp", "pp", "etp", "ep", "edp")}
        per_group = experts // self.degrees.ep
        return Seat(
            rank=rank,
            node=node,
            gpu=gpu,
            nic=nic,
            rail=nic,
            experts=tuple(range(place["ep"] * per_group, (place["ep"] + 1) * per_group)),
            layers=tuple(stages[place["pp"]]),
            **place,
        )

    @property
    def _block(self) -> int:
        """Ranks inside the pipeline's axis."""
        inner = self.placement[: self.placement.index("pp")]
        return prod(int(getattr(self.degrees, axis)) for axis in inner)

    @property
    def _experts_follow_tp(self) -> bool:
        """Whether an expert's lanes are the lanes of a tensor group, and its peers those of other replicas."""
        degrees = self.degrees
        follows = degrees.etp == degrees.tp and degrees.dp % degrees.ep == 0
        return follows and (self.convention == "orthogonal" or not degrees.splits_tokens)

    def _stride(self, axis: Axis) -> int:
        """The distance of neighbours on an axis, in the numbering of a stage's ranks."""
        if self._experts_follow_tp and axis in ("etp", "ep", "edp"):
            like: Axis = "tp" if axis == "etp" else "dp"
            return self._stride(like) * (self.degrees.ep if axis == "edp" else 1)
        attention = tuple(one for one in self.placement if one != "pp")
        order: tuple[Axis, ...] = attention if axis in attention else ("etp", "ep", "edp")
        return prod(int(getattr(self.degrees, inner)) for inner in order[: order.index(axis)])
