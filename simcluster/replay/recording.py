"""The spans of a running replay, one append a span, handed over as columns."""

from __future__ import annotations

from array import array
from collections.abc import Callable

import numpy as np

from simcluster.timeline.timeline import Floats, Folding, LinkLoads, Operation, Timeline, Tracks, Wiring


class Recording:
    """Parallel columns that grow by one row a span."""

    def __init__(self) -> None:
        self._track, self._step, self._operation = array("q"), array("q"), array("q")
        self._arrive_s, self._start_s, self._finish_s = array("d"), array("d"), array("d")

    def __len__(self) -> int:
        return len(self._track)

    def add(self, track: int, step: int, operation: int, arrive_s: float, start_s: float, finish_s: float) -> None:
        self._track.append(track)
        self._step.append(step)
        self._operation.append(operation)
        self._arrive_s.append(arrive_s)
        self._start_s.append(start_s)
        self._finish_s.append(finish_s)

    def timeline(
        self,
        operations: tuple[Operation, ...],
        tracks: Tracks,
        steps: int,
        links: LinkLoads,
        node_bytes: Floats | None,
        folding: Folding,
        wired: Callable[[], Wiring],
    ) -> Timeline:
        """The run so far, in the same memory: nothing can be added afterwards."""
        return Timeline(
            operations=operations,
            tracks=tracks,
            steps=steps,
            track=np.frombuffer(self._track, dtype=np.int64),
            step=np.frombuffer(self._step, dtype=np.int64),
            operation=np.frombuffer(self._operation, dtype=np.int64),
            arrive_s=np.frombuffer(self._arrive_s, dtype=np.float64),
            start_s=np.frombuffer(self._start_s, dtype=np.float64),
            finish_s=np.frombuffer(self._finish_s, dtype=np.float64),
            links=links,
            node_bytes=node_bytes,
            folding=folding,
            wired=wired,
        )
