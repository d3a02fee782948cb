"""Max-min fair sharing of wires: pure arithmetic, no clock.

Progressive filling (Bertsekas & Gallager, Data Networks, section 6.5.2): all activities' rates rise together; when a
wire fills, the activities that cross it keep their rate and the others rise on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_FULL = 1e-12
"""Relative headroom below which a wire counts as full: a few hundred roundings of float64."""


def fair_rates(wires: Sequence[Ints], uses: Sequence[Floats], capacity: Floats) -> Floats:
    """The max-min fair rate of each activity, in its own units per second.

    Activity i loads wire `wires[i][j]` with `uses[i][j]` bytes per unit of progress; `capacity` is bytes/s per wire.
    Every activity must use at least one wire.  At the result no wire is over capacity and every activity crosses a full
    wire on which no other activity has a higher rate.
    """
    activity = np.repeat(np.arange(len(wires)), [len(crossed) for crossed in wires])
    used, wire = np.unique(np.concatenate(wires), return_inverse=True)
    use = np.concatenate(uses)
    room, full_size = capacity[used].astype(np.float64), capacity[used]
    rate = np.zeros(len(wires))
    rising = np.ones(len(wires), dtype=np.bool_)
    while rising.any():
        lifting = rising[activity]
        demand = np.bincount(wire[lifting], weights=use[lifting], minlength=len(used))
        with np.errstate(divide="ignore", invalid="ignore"):
            step = float(np.min(np.where(demand > 0, room / demand, np.inf)))
        rate[rising] += step
        room = room - step * demand
        full = (demand > 0) & (room <= _FULL * full_size)
        rising[activity[lifting & full[wire]]] = False
    return rate
