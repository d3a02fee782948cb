"""Which flows cross which wires: what sharing is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Crossings:
    """Which flows cross which wires.

    Entry j says that flow `flow[j]` puts `use[j]` > 0 bytes on wire `wire[j]` per unit of its progress.  `flow` is
    non-decreasing; `count` flows in all, numbered from 0.  Entries of one flow and wire add up.
    """

    flow: Ints
    wire: Ints
    use: Floats
    count: int

    def only(self, chosen: Bools) -> Crossings:
        """Those of the chosen flows, renumbered from 0 in order."""
        if chosen.all():
            return self
        kept = np.flatnonzero(chosen[self.flow])
        number = np.cumsum(chosen) - 1
        return Crossings(
            flow=number[self.flow[kept]],
            wire=self.wire[kept],
            use=self.use[kept],
            count=int(np.count_nonzero(chosen)),
        )

    @staticmethod
    def joined(parts: Sequence[Crossings]) -> Crossings:
        """The flows of the parts one after the other."""
        parts = [part for part in parts if part.count]
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return Crossings(flow=np.zeros(0, np.int64), wire=np.zeros(0, np.int64), use=np.zeros(0), count=0)
        first = np.cumsum([0, *(part.count for part in parts)])
        return Crossings(
            flow=np.concatenate([part.flow + number for part, number in zip(parts, first[:-1], strict=True)]),
            wire=np.concatenate([part.wire for part in parts]),
            use=np.concatenate([part.use for part in parts]),
            count=int(first[-1]),
        )
