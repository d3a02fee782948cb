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
    """Stretches of a run one after another: when the slowest rank ended each, and how many steps it is made of."""

    end_s: Floats
    steps: Ints

    @property
    def latency_s(self) -> Floats:
        """Seconds of one step of each part."""
        return np.asarray(np.diff(np.append(0.0, self.end_s)) / self.steps)
