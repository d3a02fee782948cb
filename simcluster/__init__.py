"""simcluster: how a parallel plan for a large language model will really run on a GPU cluster.

>>> import simcluster
>>> scenario = simcluster.load("scenarios/ep64_tp2_pp1.yaml")
>>> result = simcluster.simulate(scenario)
>>> result.identity.gpus
128
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simcluster.api import (
        check,
        collective_seconds,
        compare,
        crossover,
        kernel_seconds,
        load,
        search,
        simulate,
        sweep,
        trace,
        uncertainty,
    )

__all__ = [
    "check",
    "collective_seconds",
    "compare",
    "crossover",
    "kernel_seconds",
    "load",
    "search",
    "simulate",
    "sweep",
    "trace",
    "uncertainty",
]


def __getattr__(name: str) -> Any:
    """Import a room only when something in it is asked for."""
    if name in __all__:
        from simcluster import api

        return getattr(api, name)
    raise AttributeError(f"module 'simcluster' has no attribute {name!r}")
