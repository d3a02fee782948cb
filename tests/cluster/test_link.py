"""Links: usable rates and how many nodes a leaf faces."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from simcluster.cluster.link import Fabric, InfiniBand
from tests.physics_helpers import ideal_cluster


def infiniband(leaf_ports: int, oversubscription: float, nics_per_node: int = 8) -> InfiniBand:
    link = ideal_cluster(
        2, 8, nics_per_node=nics_per_node, leaf_ports=leaf_ports, oversubscription=oversubscription
    ).infiniband
    assert link is not None
    return link


@pytest.mark.parametrize("leaf_ports", [2, 11, 24, 32, 48, 64, 88, 128])
@pytest.mark.parametrize("tenths", [10, 12, 14, 15, 17, 20, 30, 34, 50, 78, 100])
def test_a_leaf_faces_as_many_nodes_as_its_ports_allow(leaf_ports: int, tenths: int) -> None:
    """The largest d with d + d / oversubscription <= leaf_ports, in exact arithmetic, at least one."""
    oversubscription = Fraction(tenths, 10)
    fitting = [d for d in range(1, leaf_ports) if d + d / oversubscription <= leaf_ports]
    assert infiniband(leaf_ports, tenths / 10).nodes_per_leaf == max(fitting, default=1)


@pytest.mark.parametrize(
    ("fabric", "leaf_ports", "nics", "nodes"),
    [
        ("leaf-spine", 64, 8, 64 * 4),
        ("leaf-spine", 64, 1, 64 * 32),
        ("fat-tree", 64, 1, 64**4 // 8),
        ("fat-tree", 8, 1, 512),
        ("rail-optimized", 64, 8, 64**4 // 8 // 8),
        ("rail-optimized", 32, 4, 32**4 // 8 // 4),
        ("dragonfly", 64, 16, 16 * 32 * (32 * 16 + 1) // 16),
        ("single-switch", 64, 8, None),
        ("torus-3d", 64, 8, None),
    ],
)
def test_a_fabric_joins_as_many_nodes_as_the_ports_of_its_switches_allow(
    fabric: Fabric, leaf_ports: int, nics: int, nodes: int | None
) -> None:
    """Two levels: a leaf per port of a spine.  Four: k**4 / 8 NICs (Leiserson).  Dragonfly: a p (a h + 1)."""
    assert replace(infiniband(leaf_ports, 1.0, nics), fabric=fabric).largest_nodes == nodes


def test_usable_bandwidth_is_the_efficient_share() -> None:
    cluster = ideal_cluster(2, 8)
    assert cluster.nvlink is not None
    assert cluster.infiniband is not None
    assert replace(cluster.nvlink, bytes_per_s=450e9, efficiency=0.8).usable_bytes_per_s == pytest.approx(360e9)
    assert replace(cluster.infiniband, bytes_per_s=50e9, efficiency=0.9).usable_bytes_per_s == pytest.approx(45e9)
