"""Which ranks a track stands for, in words."""

from __future__ import annotations

import numpy as np

from simcluster.timeline.timeline import Timeline

_FIRST = 3
"""Ranks that a list without an order begins with."""


def all_named(timeline: Timeline, track: int) -> str:
    """`rank 26`, `1,024 ranks: 0 … 1,023`, or `127 ranks: 0, 2, 5 …`."""
    count, first = int(timeline.tracks.count[track]), int(timeline.tracks.first[track])
    if count == 1:
        return f"rank {first:,}"
    if count == timeline.ranks:
        return f"{count:,} ranks: 0 … {count - 1:,}"
    members = np.flatnonzero(timeline.tracks.of_rank == track)
    if members[-1] - first + 1 == count:
        return f"{count:,} ranks: {first:,} … {members[-1]:,}"
    end = " …" if count > _FIRST else ""
    return f"{count:,} ranks: {', '.join(f'{rank:,}' for rank in members[:_FIRST])}{end}"


def like_first(timeline: Timeline, track: int) -> str:
    """`and 127 like it`, of the ranks after a track's first one; empty where there are none."""
    others = int(timeline.tracks.count[track]) - 1
    return f"and {others:,} like it" if others else ""
