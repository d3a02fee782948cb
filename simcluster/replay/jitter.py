"""Jitter: every kernel of every rank takes a little more or less than it should."""

from __future__ import annotations

import numpy as np

from simcluster.cluster.cluster import Jitter
from simcluster.traffic.crossings import Floats


def jittered(seconds: Floats, jitter: Jitter, index: int) -> Floats:
    """The times of operation `index` on each rank, each times its own lognormal factor of mean 1.

    The factor is exp(s·z - s²/2) with z standard normal and s² = ln(1 + c²), whose mean is 1 and whose standard
    deviation is c (`relative`).  It depends on seed, operation and rank alone: each step of a run repeats it.
    """
    variance = np.log1p(jitter.relative**2)
    normal = np.random.default_rng([jitter.seed, index]).standard_normal(len(seconds))
    return np.asarray(seconds * np.exp(np.sqrt(variance) * normal - variance / 2))
