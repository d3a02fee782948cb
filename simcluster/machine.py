"""A cluster on which single collectives are timed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from simcluster.cluster.clos import Clos, IrregularError
from simcluster.cluster.cluster import Cluster
from simcluster.cluster.routes import Routes
from simcluster.plan.layout import Groups
from simcluster.traffic.pricing import Pricing
from simcluster.traffic.roads import Roads
from simcluster.traffic.traffic import Traffic, routed
from simcluster.traffic.wires import Wires


class Machine:
    """A cluster's wires, and the prices of collectives among `gpus` of its GPUs: folded where all take part alike, else
    listed."""

    def __init__(self, cluster: Cluster, gpus: int) -> None:
        self._cluster = cluster
        self._folded: Roads | None = None
        if gpus == cluster.gpus:
            try:
                clos = Clos(cluster)
                clos.check(())
                self._folded = Roads(clos, Groups(ranks=gpus, stride=1, size=gpus))
            except IrregularError:
                pass

    @cached_property
    def _listed(self) -> tuple[Pricing, Wires]:
        routes = Routes(self._cluster)
        return Pricing(self._cluster, lambda shape, group: routed(shape, group, routes)), Wires.listed(routes)

    def load(self, price: Callable[[Pricing], Traffic]) -> tuple[Traffic, Wires]:
        """What `price` makes of a collective, and the wires that load is for."""
        if self._folded is not None:
            try:
                return price(self._folded.pricing), self._folded.wires
            except IrregularError:
                self._folded = None
        pricing, wires = self._listed
        return price(pricing), wires
