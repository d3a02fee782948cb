"""The wires a replay runs on, by class: each wire of a class carries the same at every instant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simcluster.cluster.clos import Clos
from simcluster.cluster.routes import Routes
from simcluster.traffic.background import background
from simcluster.traffic.crossings import Crossings, Floats, Ints


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Wires:
    """Column j is a class of `count[j]` wires of `capacity[j]` usable bytes/s each, of a `kind` and `direction`.

    `background` are streams that never end, each with the rate it asks for (`demand`); like all traffic they are given
    as bytes on one wire of each class.
    """

    capacity: Floats
    count: Ints
    kind: tuple[str, ...]
    direction: tuple[str, ...]
    background: Crossings
    demand: Floats

    def __len__(self) -> int:
        return len(self.capacity)

    @staticmethod
    def folded(clos: Clos) -> Wires:
        """The classes of a regular cluster."""
        families = clos.families
        return Wires(
            capacity=np.array([family.capacity for family in families], dtype=np.float64),
            count=np.array([family.count for family in families], dtype=np.int64),
            kind=tuple(family.wire_class.kind for family in families),
            direction=tuple(family.wire_class.direction for family in families),
            background=Crossings.joined([]),
            demand=np.zeros(0),
        )

    @staticmethod
    def listed(routes: Routes) -> Wires:
        """Every wire a class of its own."""
        streams, demand = background(routes)
        return Wires(
            capacity=routes.capacity,
            count=np.ones(len(routes.capacity), dtype=np.int64),
            kind=tuple(one.kind for one in routes.wire_class),
            direction=tuple(one.direction for one in routes.wire_class),
            background=streams,
            demand=demand,
        )
