"""The groups of an axis: ranks that differ only there, as arithmetic on their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

Group = tuple[int, ...]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups(Sequence[Group]):
    """The groups of one axis: `size` ranks each that together hold all `ranks`, listed one by one only where asked for.

    The ranks of each of `stages` pipeline stages are numbered by themselves, and a group's are `stride` apart there.
    `block` ranks of a stage sit side by side, then come those of the next stage (0: all of them, stages are outermost).
    Groups are numbered stage after stage.
    """

    ranks: int
    stride: int
    size: int
    stages: int = 1
    block: int = 0

    def __len__(self) -> int:
        return self.ranks // self.size

    @overload
    def __getitem__(self, index: int) -> Group: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Group, ...]: ...
    def __getitem__(self, index: int | slice) -> Group | tuple[Group, ...]:
        if isinstance(index, slice):
            return tuple(self[one] for one in range(len(self))[index])
        stage, number = divmod(range(len(self))[index], self.per_stage)
        start = number // self.stride * self.stride * self.size + number % self.stride
        return tuple(self._rank(stage, place) for place in range(start, start + self.stride * self.size, self.stride))

    @property
    def per_stage(self) -> int:
        """Groups of a stage."""
        return len(self) // self.stages

    @property
    def blocks(self) -> tuple[int, ...] | None:
        """The blocks of neighbouring ranks that groups and stages are made of; None where a group follows no stride."""
        around = () if self.stages == 1 else (self._block, self._block * self.stages)
        if self._block % (self.stride * self.size) == 0:
            return (self.stride, self.stride * self.size, *around)
        if self.stride % self._block == 0:
            return (*around, self.stride * self.stages, self.stride * self.size * self.stages)
        return None

    def firsts(self) -> Ints:
        """The lowest rank of each group."""
        stage, number = np.divmod(np.arange(len(self)), self.per_stage)
        place = number // self.stride * self.stride * self.size + number % self.stride
        return np.asarray(place // self._block * self._block * self.stages + stage * self._block + place % self._block)

    def of_rank(self, rank: Ints) -> Ints:
        """The number of each rank's group."""
        place = self._place(rank)
        number = place // (self.stride * self.size) * self.stride + place % self.stride
        return np.asarray(self.stage_of(rank) * self.per_stage + number)

    def place_of(self, rank: Ints) -> Ints:
        """Each rank's place in its group."""
        return self._place(rank) // self.stride % self.size

    def stage_of(self, rank: Ints) -> Ints:
        """Each rank's pipeline stage."""
        return rank // self._block % self.stages

    @property
    def _block(self) -> int:
        return self.block or self.ranks // self.stages

    def _place(self, rank: Ints) -> Ints:
        """Each rank's number among those of its stage."""
        return rank // (self._block * self.stages) * self._block + rank % self._block

    def _rank(self, stage: int, place: int) -> int:
        return place // self._block * self._block * self.stages + stage * self._block + place % self._block
