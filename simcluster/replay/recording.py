"""The spans of a running replay, one append a span, handed over as columns."""

from __future__ import annotations

from array import array

import numpy as np

from simcluster.timeline.timeline import Floats, LinkLoads, Operation, Timeline, Wiring


class Recording:
    """Parallel columns that grow by one row a span."""

    def __init__(self) -> None:
        self._rank, self._step, self._operation = array("q"), array("q"), array("q")
        self._arrive_s, self._start_s, self._finish_s = array("d"), array("d"), array("d")

    def __len__(self) -> int:
        return len(self._rank)

    def add(self, rank: int, step: int, operation: int, arrive_s: float, start_s: float, finish_s: float) -> None:
        self._rank.append(rank)
        self._step.append(step)
        self._operation.append(operation)
        self._arrive_s.append(arrive_s)
        self._start_s.append(start_s)
        self._finish_s.append(finish_s)

    def timeline(
        self,
        operations: tuple[Operation, ...],
        ranks: int,
        steps: int,
        links: LinkLoads,
        node_bytes: Floats,
        wiring: Wiring,
    ) -> Timeline:
        return Timeline(
            operations=operations,
            ranks=ranks,
            steps=steps,
            rank=np.array(self._rank, dtype=np.int64),
            step=np.array(self._step, dtype=np.int64),
            operation=np.array(self._operation, dtype=np.int64),
            arrive_s=np.array(self._arrive_s, dtype=np.float64),
            start_s=np.array(self._start_s, dtype=np.float64),
            finish_s=np.array(self._finish_s, dtype=np.float64),
            links=links,
            node_bytes=node_bytes,
            wiring=wiring,
        )
