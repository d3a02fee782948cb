"""Where every rank sits: its coordinates on the plan's axes, its groups, its node and GPU, the experts it holds.

Ranks of a stage are numbered tp innermost, then cp, then dp; the same numbers are read for the experts as etp
innermost, then ep, then edp.  Stages are outermost.  Rank r is GPU r % gpus_per_node of node r // gpus_per_node, so
neighbouring tensor ranks share a node.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal, overload

import numpy as np
from numpy.typing import NDArray

from simcluster.plan.degrees import Degrees

Axis = Literal["tp", "cp", "dp", "pp", "etp", "ep", "edp"]
Group = tuple[int, ...]
Ints = NDArray[np.int64]

_ATTENTION: tuple[Axis, ...] = ("tp", "cp", "dp", "pp")
_EXPERT: tuple[Axis, ...] = ("etp", "ep", "edp", "pp")


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
class Groups(Sequence[Group]):
    """The groups of one axis: `size` ranks each, `stride` apart, that together hold all `ranks`; listed one by one only
    where they are asked for."""

    ranks: int
    stride: int
    size: int

    def __len__(self) -> int:
        return self.ranks // self.size

    @overload
    def __getitem__(self, index: int) -> Group: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Group, ...]: ...
    def __getitem__(self, index: int | slice) -> Group | tuple[Group, ...]:
        if isinstance(index, slice):
            return tuple(self[one] for one in range(len(self))[index])
        number = range(len(self))[index]
        start = number // self.stride * self.stride * self.size + number % self.stride
        return tuple(range(start, start + self.stride * self.size, self.stride))

    def firsts(self) -> Ints:
        """The lowest rank of each group."""
        group = np.arange(len(self))
        return group // self.stride * self.stride * self.size + group % self.stride

    def of_rank(self, rank: Ints) -> Ints:
        """The number of each rank's group."""
        return rank // (self.stride * self.size) * self.stride + rank % self.stride

    def place_of(self, rank: Ints) -> Ints:
        """Each rank's place in its group."""
        return rank // self.stride % self.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The ranks of a plan on nodes of `gpus_per_node` GPUs."""

    degrees: Degrees
    gpus_per_node: int

    def coordinate(self, axis: Axis, rank: int) -> int:
        """The rank's index along `axis`."""
        return rank // self._stride(axis) % int(getattr(self.degrees, axis))

    def groups(self, axis: Axis) -> Groups:
        """Ranks that differ only along `axis`, in that axis' order: one group per set of other coordinates."""
        return Groups(ranks=self.degrees.gpus, stride=self._stride(axis), size=int(getattr(self.degrees, axis)))

    def seat(self, rank: int, *, experts: int, layers: int, nics_per_node: int) -> Seat:
        """Everything about one rank; `experts` and `layers` are the model's, cut evenly over ep and pp."""
        node, gpu = divmod(rank, self.gpus_per_node)
        nic = gpu * nics_per_node // self.gpus_per_node
        place = {axis: self.coordinate(axis, rank) for axis in ("tp", "cp", "dp", "pp", "etp", "ep", "edp")}
        per_group, per_stage = experts // self.degrees.ep, layers // self.degrees.pp
        return Seat(
            rank=rank,
            node=node,
            gpu=gpu,
            nic=nic,
            rail=nic,
            experts=tuple(range(place["ep"] * per_group, (place["ep"] + 1) * per_group)),
            layers=tuple(range(place["pp"] * per_stage, (place["pp"] + 1) * per_stage)),
            **place,
        )

    def _stride(self, axis: Axis) -> int:
        stride = 1
        for inner in _ATTENTION if axis in _ATTENTION else _EXPERT:
            if inner == axis:
                return stride
            stride *= int(getattr(self.degrees, inner))
        raise AssertionError(axis)
