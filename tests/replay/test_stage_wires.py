"""Pipeline stages folded before anything is built, on every kind of leaf, against every rank on every wire."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from simcluster.pipeline import simulate
from simcluster.scenario.scenario import Scenario
from tests.execution_helpers import DENSE, MIXTURE, PREFILL, Tree, cluster, scenario, seconds, timeline_of
from tests.replay.folding_helpers import check_folded_is_unfolded

FABRICS = ("rail-optimized", "leaf-spine", "fat-tree", "single-switch")
STAGES = {2: 4, 4: 2, 8: 1}
"""Nodes of a stage, of 8 in all, by the number of stages."""


def wired(fabric: str, leaf_ports: int, oversubscription: int = 1, nodes: int = 8) -> Tree:
    machine = cluster(nodes, 4)
    machine["infiniband"] |= {
        "fabric": fabric,
        "leaf_ports": leaf_ports,
        "oversubscription": oversubscription,
        "latency": "3 us",
    }
    return machine


def staged(machine: Tree, pp: int, **execution: Any) -> Scenario:
    """Tensor pairs and experts inside a node or across two, and replicas."""
    plan = {"tp": 2, "pp": pp, "ep": 2}
    work = {**PREFILL, "batch": {"per_replica": 2}}
    return scenario(plan, machine, model={**MIXTURE, "layers": 8}, workload=work, microbatches=2, **execution)


def regularly(case: Scenario, tracks: int) -> None:
    """Known before it is built, one track a stage, and the same numbers as unfolded."""
    folding = timeline_of(case).folding
    assert (folding.tracks, folding.split_by) == (tracks, ())
    check_folded_is_unfolded(case, finer=True)


EVERY = [
    (fabric, ports, pp)
    for fabric, ports, pp in product(FABRICS, (4, 8, 16, 32), STAGES)
    if (fabric, ports) != ("leaf-spine", 4)
]


@pytest.mark.parametrize(
    ("fabric", "ports", "pp"),
    [
        ("leaf-spine", 8, 2),
        ("leaf-spine", 8, 8),
        ("leaf-spine", 16, 8),
        ("leaf-spine", 32, 4),
        ("rail-optimized", 4, 2),
        ("rail-optimized", 8, 4),
        ("rail-optimized", 8, 8),
        ("rail-optimized", 32, 4),
        ("fat-tree", 4, 4),
        ("fat-tree", 16, 8),
        ("single-switch", 8, 4),
    ],
)
def test_stages_smaller_and_larger_than_a_leaf_are_folded_by_arithmetic(fabric: str, ports: int, pp: int) -> None:
    regularly(staged(wired(fabric, ports), pp), pp)


@pytest.mark.exhaustive
@pytest.mark.parametrize(("fabric", "ports", "pp"), EVERY)
@pytest.mark.parametrize("sharing", ["activity", "flow"])
def test_stages_of_every_size_are_folded_by_arithmetic(fabric: str, ports: int, pp: int, sharing: str) -> None:
    regularly(staged(wired(fabric, ports) | {"sharing": sharing}, pp), pp)


@pytest.mark.parametrize("fabric", ["leaf-spine", "fat-tree"])
@pytest.mark.parametrize("pp", [2, 8])
def test_narrow_trunks_between_stages_are_the_same_folded(fabric: str, pp: int) -> None:
    regularly(staged(wired(fabric, 12, oversubscription=2), pp), pp)


@pytest.mark.parametrize("pp", [2, 3])
def test_stages_that_cut_a_leaf_are_the_same_folded(pp: int) -> None:
    """Six nodes, leaves of two: stages of three nodes share a leaf, those of two fill one each."""
    case = staged(wired("leaf-spine", 16, nodes=6), pp, stage_layers=[8 - 2 * (pp - 1), *[2] * (pp - 1)])
    folding = timeline_of(case).folding
    assert bool(folding.split_by) == (pp == 2)
    check_folded_is_unfolded(case, finer=True)


def test_stages_inside_a_node_and_inside_other_axes_say_why_they_are_listed() -> None:
    inside = staged(cluster(2, 4), 4)
    between = staged(wired("single-switch", 8), 2, placement=["tp", "pp", "dp", "cp"])
    for case, cause in ((inside, "pipeline stages that share a node"), (between, "a placement with stages inside")):
        (found,) = timeline_of(case).folding.split_by
        assert found.startswith(cause)
        check_folded_is_unfolded(case)


@pytest.mark.parametrize("workload", [PREFILL, {"phase": "decode", "batch": 4, "context": 1000, "steps": 3}])
def test_replicas_of_a_dense_pipeline_change_nothing(workload: Tree) -> None:
    """2,048 GPUs take as long as the 32 of one replica, and are told by as many tracks."""

    def replicas(dp: int) -> Scenario:
        machine = cluster(4 * dp, 8, nic="20 GB/s")
        plan = {"tp": 8, "pp": 4, "dp": dp}
        return scenario(plan, machine, model=DENSE, workload={**workload, "batch": {"per_replica": 4}})

    one, many = (simulate(replicas(dp)) for dp in (1, 64))
    assert seconds(many) == pytest.approx(seconds(one), rel=1e-9)
    assert many.timeline is not None
    assert (many.timeline.folding.tracks, many.timeline.folding.ranks) == (4, 2048)
    for name in ("idle", "exposed_communication", "compute_busy", "waiting"):
        assert many.metrics[name] == pytest.approx(one.metrics[name], rel=1e-9, abs=1e-12)
    for total, other in zip(one.by_operation, many.by_operation, strict=True):
        assert total.name == other.name
        assert total.bytes == pytest.approx(other.bytes, rel=1e-9)
