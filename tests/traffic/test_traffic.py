"""Traffic: what it says about a lone collective is what the network's clock finds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simcluster.cluster.routes import Routes
from simcluster.plan.layout import Group
from simcluster.program.program import CollectiveKind
from tests.physics_helpers import ideal_cluster, law, run_transfers, traffic

KINDS: tuple[CollectiveKind, ...] = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all")
groups = st.lists(st.integers(0, 31), min_size=2, max_size=32, unique=True).map(lambda ranks: tuple(sorted(ranks)))


@law(60)
@given(group=groups, kind=st.sampled_from(KINDS), nics=st.sampled_from([1, 4, 8]), payload=st.floats(1.0, 1e12))
def test_its_time_alone_is_the_network_s(group: Group, kind: CollectiveKind, nics: int, payload: float) -> None:
    routes = Routes(ideal_cluster(4, 8, nics_per_node=nics, oversubscription=3, infiniband_latency_s=2e-6))
    shape = traffic(kind, group, routes)
    ends, _ = run_transfers(routes, [(0.0, shape, payload)])
    assert shape.alone_s(payload) == pytest.approx(ends[0], rel=1e-9)


@law(60)
@given(group=groups, kind=st.sampled_from(KINDS))
def test_what_is_sent_goes_over_nvlink_or_infiniband_and_fills_those_ports(group: Group, kind: CollectiveKind) -> None:
    routes = Routes(ideal_cluster(4, 8))
    shape = traffic(kind, group, routes)
    n = len(group)
    assert shape.sent_share == pytest.approx((n - 1) / n * (2 if kind == "all_reduce" else 1), rel=1e-9)
    assert shape.nvlink_share + shape.infiniband_share == pytest.approx(shape.sent_share, rel=1e-9)
    for tier, share in (("nvlink", shape.nvlink_share), ("nic", shape.infiniband_share)):
        for direction in ("out", "in"):
            carried = sum(
                use * leg.port_share
                for leg in shape.legs
                for wire, use in zip(leg.flows.wire, leg.flows.use, strict=True)
                if (routes.wire_class[wire].kind, routes.wire_class[wire].direction) == (tier, direction)
            )
            assert carried == pytest.approx(n * share, rel=1e-9, abs=1e-12)


@law(60)
@given(group=groups, kind=st.sampled_from(KINDS), oversubscription=st.sampled_from([1.0, 16.0]))
def test_the_wire_that_limits_it_is_full_and_no_other_is_fuller(
    group: Group, kind: CollectiveKind, oversubscription: float
) -> None:
    routes = Routes(ideal_cluster(4, 8, oversubscription=oversubscription))
    (shape,) = traffic(kind, group, routes).legs
    use_of_wires = shape.alone_rate * shape.flows.use / routes.capacity[shape.flows.wire]
    assert use_of_wires.max() == pytest.approx(1.0, rel=1e-9)
    assert use_of_wires[shape.flows.wire.tolist().index(shape.full_wire)] == pytest.approx(1.0, rel=1e-9)


def test_the_latency_of_a_collective_includes_the_gpu_s_overhead() -> None:
    cluster = ideal_cluster(1, 4, nvlink_latency_s=1e-6)
    slow = replace(cluster, gpu=replace(cluster.gpu, collective_overhead_s=10e-6))
    assert traffic("all_gather", (0, 1, 2, 3), Routes(slow)).latency_s == pytest.approx(13e-6, rel=1e-12)
