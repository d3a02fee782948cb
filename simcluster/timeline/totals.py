"""Totals by operation name: the rows of `by_operation`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from operator import attrgetter, mul

import numpy as np
from numpy.typing import NDArray

from simcluster.timeline.timeline import Floats, Operation, Timeline

Values = NDArray[np.floating]

_ROUNDING = 1e-6
"""What sums of shares may lack of a half, which is rounded up: stages may run an operation unequally often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationTotal:
    """One row: sums over layers, mean per GPU and step.

    `seconds` runs from the transfer's or kernel's start to its end; `alone_seconds` is what it would take with the
    wires to itself; `exposed_seconds` is the part of a transfer that no kernel of its GPU hides.  `limited_by` is what
    limits most of its time.
    """

    name: str
    kind: str
    algorithm: str | None
    limited_by: str
    count: int
    seconds: float
    alone_seconds: float
    exposed_seconds: float
    flops: float
    bytes: float
    bytes_nvlink: float
    bytes_infiniband: float

    def as_dict(self) -> dict[str, str | int | float | None]:
        return asdict(self)


def operation_totals(timeline: Timeline, exposed: Floats) -> tuple[OperationTotal, ...]:
    """A row per name in order of first appearance; `exposed` is each span's exposed time in seconds."""
    size = len(timeline.operations)
    share = timeline.tracks.count[timeline.track] / (timeline.ranks * timeline.steps)
    runs: Floats = np.bincount(timeline.operation, share, minlength=size).astype(np.float64)
    runs *= [operation.times for operation in timeline.operations]
    lasting = (timeline.finish_s - timeline.start_s) * share
    seconds: Floats = np.bincount(timeline.operation, lasting, minlength=size).astype(np.float64)
    uncovered: Floats = np.bincount(timeline.operation, exposed * share, minlength=size).astype(np.float64)
    by_name: dict[str, list[int]] = {}
    for index, operation in enumerate(timeline.operations):
        by_name.setdefault(operation.name, []).append(index)
    return tuple(
        _total([timeline.operations[i] for i in rows], runs[rows], seconds[rows], uncovered[rows])
        for rows in by_name.values()
    )


def _total(operations: list[Operation], runs: Values, seconds: Values, exposed: Values) -> OperationTotal:
    """One name's operations added up, each weighted by how often a GPU runs it in a step."""
    longest = max(operations, key=lambda operation: operation.alone_s)
    limits: dict[str, float] = {}
    for operation in operations:
        limits[operation.bound] = limits.get(operation.bound, 0.0) + operation.times * operation.alone_s
    times = runs.tolist()

    def added(column: str) -> float:
        value = attrgetter(column)
        return float(sum(map(mul, times, map(value, operations))))

    return OperationTotal(
        name=longest.name,
        kind=longest.kind,
        algorithm=longest.algorithm,
        limited_by=max(limits, key=lambda bound: limits[bound]),
        count=int(float(runs.sum()) + 0.5 + _ROUNDING),
        seconds=float(seconds.sum()),
        alone_seconds=added("alone_s"),
        exposed_seconds=float(exposed.sum()),
        flops=added("flops"),
        bytes=added("bytes"),
        bytes_nvlink=added("bytes_nvlink"),
        bytes_infiniband=added("bytes_infiniband"),
    )
