"""How much faster or slower a GPU runs its kernels than stated."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Factors on the rate of computing, on the rate of memory, and on the length of launches; 1 is as stated."""

    compute: float = 1.0
    memory: float = 1.0
    launch: float = 1.0


AS_STATED = Pace()
