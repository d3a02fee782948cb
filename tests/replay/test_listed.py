"""Small groups of a large cluster take the first group's load, moved to their own ports: what each would find."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest

from simcluster.cluster.cluster import Cluster, Fault
from simcluster.cluster.link import Pcie
from simcluster.cluster.routes import Routes
from simcluster.plan.layout import Groups
from simcluster.program.program import Collective, CollectiveKind, Program
from simcluster.replay.listed import listed
from simcluster.timeline.timeline import MOST_NODES
from simcluster.traffic.pricing import Pricing
from simcluster.traffic.traffic import routed
from tests.physics_helpers import a_collective, ideal_cluster

NODES = MOST_NODES + 6


def with_pcie() -> Cluster:
    pcie = Pcie(bytes_per_s=50e9, latency_s=1e-6, efficiency=1.0, provenance="datasheet", source="tests")
    return replace(ideal_cluster(NODES, 4), nvlink=None, pcie=pcie)


def program(cluster: Cluster, kind: CollectiveKind, stride: int, size: int, shares: tuple[float, ...] = ()) -> Program:
    op: Collective = a_collective("all together", 1e9, axis="ep", kind=kind)._replace(shares=shares)
    groups = Groups(ranks=cluster.gpus, stride=stride, size=size)
    return Program(operations=(op,), groups={"ep": groups}, ranks=cluster.gpus, steps=1, tokens=1)


CLUSTERS = {
    "nvswitch": ideal_cluster(NODES, 4),
    "slow nvlink": replace(
        ideal_cluster(NODES, 4), faults=(Fault(ends=("node7.gpu1", "node7.nvswitch"), factor=0.25),)
    ),
    "dead nic": replace(ideal_cluster(NODES, 4), faults=(Fault(ends=("node9.nic3",), factor=0.0),)),
    "mesh": replace(
        ideal_cluster(NODES, 4),
        nvlink=replace(ideal_cluster(NODES, 4).nvlink, topology="mesh"),  # type: ignore[type-var]
    ),
    "pcie": with_pcie(),
    "domains of two nodes": replace(
        ideal_cluster(NODES, 4),
        nvlink=replace(ideal_cluster(NODES, 4).nvlink, domain_gpus=8),  # type: ignore[type-var]
    ),
}


@pytest.mark.parametrize("sharing", ["activity", "flow"])
@pytest.mark.parametrize(("stride", "size"), [(1, 2), (2, 2), (1, 4), (1, 8), (4, 2)])
@pytest.mark.parametrize("kind", ["all_reduce", "all_to_all"])
@pytest.mark.parametrize("name", CLUSTERS)
def test_every_group_has_the_load_it_would_find_by_itself(
    name: str, kind: CollectiveKind, stride: int, size: int, sharing: Literal["activity", "flow"]
) -> None:
    cluster = replace(CLUSTERS[name], sharing=sharing)
    asked = program(cluster, kind, stride, size)
    routes = Routes(cluster)
    alone = Pricing(cluster, lambda shape, group: routed(shape, group, routes))
    (meetings,) = listed(asked, routes).meetings.values()
    assert len(meetings) == cluster.gpus // size
    for meeting, group in zip(meetings, asked.groups["ep"], strict=True):
        (op,) = asked.operations
        assert isinstance(op, Collective)
        found = alone.of(op, group, 1e9)
        assert (meeting.payload_bytes, meeting.traffic.algorithm) == (1e9, found.algorithm)
        assert meeting.traffic.nvlink_share == pytest.approx(found.nvlink_share, rel=1e-12)
        assert meeting.traffic.infiniband_share == pytest.approx(found.infiniband_share, rel=1e-12)
        for leg, mine in zip(meeting.traffic.legs, found.legs, strict=True):
            assert (leg.latency_s, leg.flows.count) == (mine.latency_s, mine.flows.count)
            # of equally full wires either may be named; all that is asked of it is its kind
            assert routes.wire_class[leg.full_wire].kind == routes.wire_class[mine.full_wire].kind
            assert leg.full_wire in leg.flows.wire
            assert (leg.alone_rate, leg.port_share) == pytest.approx((mine.alone_rate, mine.port_share), rel=1e-12)
            np.testing.assert_allclose(leg.flow_share, mine.flow_share, rtol=1e-12)
            for one, other in ((leg.flows, mine.flows),):
                order, theirs = np.lexsort((one.wire, one.flow)), np.lexsort((other.wire, other.flow))
                np.testing.assert_array_equal(one.flow[order], other.flow[theirs])
                np.testing.assert_array_equal(one.wire[order], other.wire[theirs])
                np.testing.assert_allclose(one.use[order], other.use[theirs], rtol=1e-12)
