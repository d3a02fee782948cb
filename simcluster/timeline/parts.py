"""A run cut into its steps, or into the segments of a generation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A part of a generation, up to `end_s`: the prefill of `length` tokens a sequence, or `times` decode steps as one
    stretched step with a cache of `length`, their mean."""

    name: str
    times: int
    length: float
    end_s: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parts:
    """Stretches of a run one after another: when the first rank began and the slowest ended each, and how many steps
    it is made of.  In a pipeline a step begins before the one before it has ended.
    """

    begin_s: Floats
    end_s: Floats
    steps: Ints

    @property
    def latency_s(self) -> Floats:
        """Seconds of one step of each part, from its begin to its end."""
        return np.asarray((self.end_s - self.begin_s) / self.steps)

    @property
    def period_s(self) -> Floats:
        """Seconds from the end of one step to the end of the next, in each part."""
        return np.asarray(np.diff(np.append(0.0, self.end_s)) / self.steps)
