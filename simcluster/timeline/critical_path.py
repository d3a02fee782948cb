"""The critical path of a run: the chain of spans, one started by the end of another, that made it as long as it is.

`timeline/walk.py` finds it.  Its pieces touch without gap or overlap, so their lengths add up to the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from simcluster.timeline.timeline import Floats, Ints, Timeline
from simcluster.timeline.walk import GAPS, Gap, walked

Part = Literal["compute", "hbm", "launch", "nvlink", "infiniband", "pcie", "latency", "waiting", "bubble", "host"]

PARTS: dict[Part, str] = {
    "compute": "computing",
    "hbm": "HBM",
    "launch": "launch overhead",
    "nvlink": "NVLink",
    "infiniband": "InfiniBand",
    "pcie": "PCIe",
    "latency": "latency of collectives",
    "waiting": "waiting",
    "bubble": "pipeline bubble",
    "host": "host",
}
"""What an instant of a critical path is spent on, and how a reader calls it."""

_OF_PACE: dict[str, Part] = {"compute": "compute", "memory": "hbm", "nvlink": "nvlink", "pcie": "pcie"}
"""By an operation's `pace`; every other wire is one of the network between nodes: NICs, leaves, spines, cores."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CriticalPath:
    """The path forwards in time: piece i lasts from `since_s[i]` to `until_s[i]`, where piece i+1 begins.

    `row[i]` is the timeline's row that ran, or, where `gap[i]` is not empty, the row that then started late.
    """

    timeline: Timeline
    since_s: Floats
    until_s: Floats
    row: Ints
    gap: tuple[Gap, ...]

    def __len__(self) -> int:
        return len(self.row)

    @property
    def ran(self) -> Ints:
        """The rows of the timeline on the path, in order."""
        return self.row[[not gap for gap in self.gap]]

    @property
    def period_s(self) -> float:
        """Seconds of the run for each step: its latency, except where a pipeline's steps overlap."""
        return self.timeline.end_s / self.timeline.steps

    @cached_property
    def detail(self) -> Mapping[tuple[str, Part], float]:
        """Seconds of one step by operation name and part, which add up to `period_s`; the name is "" where nothing ran,
        and zeros are left out.

        A kernel is launch overhead and then computing or HBM, whichever its roofline says; a collective is its latency
        and then its fullest wire, for as long as other traffic makes that take.  Where groups or ranks differ, the
        overhead and latency are those of the slowest; what a slow GPU adds counts as computing or HBM.
        """
        operations = self.timeline.operations
        seconds = (self.until_s - self.since_s) / self.timeline.steps
        gaps = np.array(self.gap)
        ran = gaps == ""
        operation, lasting = self.timeline.operation[self.row[ran]], seconds[ran]
        # a span of a generation stands for as many steps as its operation does, and so does its overhead
        stands_for = [one.times if self.timeline.segments else 1 for one in operations]
        fixed = np.array([one.fixed_s * times for one, times in zip(operations, stands_for, strict=True)])
        overhead = np.minimum(lasting, fixed[operation] / self.timeline.steps)
        still, moving = (
            np.bincount(operation, each, minlength=len(operations)).tolist() for each in (overhead, lasting - overhead)
        )
        spent: dict[tuple[str, Part], float] = {}
        for number, one in enumerate(operations):
            before: Part = "launch" if one.kind == "compute" else "latency"
            for part, value in ((before, still[number]), (_OF_PACE.get(one.pace, "infiniband"), moving[number])):
                spent[one.name, part] = spent.get((one.name, part), 0.0) + value
        for reason in GAPS:
            spent["", reason] = float(seconds[gaps == reason].sum())
        return {key: value for key, value in spent.items() if value > 0}

    @cached_property
    def split(self) -> Mapping[Part, float]:
        """Seconds of one step spent on each of PARTS; they add up to `period_s`."""
        spent = dict.fromkeys(PARTS, 0.0)
        for (_, part), value in self.detail.items():
            spent[part] += value
        return spent

    @cached_property
    def by_operation(self) -> Mapping[str, float]:
        """Seconds of one step on the path by operation name, in order of first appearance in the program."""
        spent: dict[str, float] = {}
        for (name, _), value in self.detail.items():
            if name:
                spent[name] = spent.get(name, 0.0) + value
        return spent

    def as_rows(self) -> list[dict[str, object]]:
        """`critical_path` of `run --json`: seconds of a step by part, and the fraction of all."""
        return [
            {"part": part, "seconds": seconds, "fraction": seconds / self.period_s if self.period_s else 0.0}
            for part, seconds in self.split.items()
        ]


def critical_path(timeline: Timeline) -> CriticalPath:
    """The chain that ends with the last end of the run; of several, the first track's."""
    pieces = walked(timeline)
    return CriticalPath(
        timeline=timeline,
        since_s=np.array([piece.since_s for piece in pieces]),
        until_s=np.array([*(piece.since_s for piece in pieces[1:]), timeline.end_s]),
        row=np.array([piece.row for piece in pieces], dtype=np.int64),
        gap=tuple(piece.gap for piece in pieces),
    )
