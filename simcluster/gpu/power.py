"""The power a GPU draws, by what it does."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """Watts of one GPU by state, and where they come from.

    `busy_w` while a kernel that computing binds runs, `memory_w` while one that its memory's bandwidth binds does,
    `network_w` while the GPU only communicates, `idle_w` while it waits, idles, or mostly waits for a launch.
    """

    idle_w: float
    busy_w: float
    memory_w: float
    network_w: float
    source: str
