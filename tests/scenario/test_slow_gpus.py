"""Slow GPUs and nodes: which GPUs keep how much of their speed, and how a scenario says so."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simcluster.cluster.cluster import Fault
from simcluster.errors import InputError
from simcluster.scenario.compile import compile_text
from simcluster.scenario.render import as_tree, render
from simcluster.scenario.scenario import Scenario
from simcluster.scenario.variant import one_node
from tests.edge_helpers import SMALL


def compiled(faults: str, *more: str) -> Scenario:
    return compile_text(SMALL, "small.yaml", [f"faults=[{faults}]", *more])


@pytest.mark.parametrize(
    ("faults", "slow"),
    [
        ("{gpu: node0.gpu2, factor: 0.5}", {2: 0.5}),
        ("{gpu: node1.gpu2, factor: 0.5}", {6: 0.5}),
        ("{node: 1, factor: 0.75}", {4: 0.75, 5: 0.75, 6: 0.75, 7: 0.75}),
        ("{gpu: node1.gpu0, factor: 0.5}, {node: 1, factor: 0.5}", {4: 0.25, 5: 0.5, 6: 0.5, 7: 0.5}),
        ("{gpu: node0.gpu0, factor: 1}, {node: 1, factor: 1.0}", {}),
        ("{gpu: node0.gpu0, factor: 1e-9}", {0: 1e-9}),
    ],
)
def test_each_gpu_keeps_the_product_of_its_factors(faults: str, slow: dict[int, float]) -> None:
    cluster = compiled(faults).cluster
    assert cluster.slow_gpus == slow
    assert cluster.faults == ()


def test_wires_and_gpus_can_be_at_fault_together() -> None:
    cluster = compiled("{nic: node0.nic1, factor: 0}, {gpu: node0.gpu1, factor: 0.5}").cluster
    assert cluster.faults == (Fault(ends=("node0.nic1",), factor=0),)
    assert cluster.slow_gpus == {1: 0.5}


def test_a_gpu_needs_no_network_to_be_slow() -> None:
    alone = ("cluster.nodes=1", "cluster.gpus_per_node=1", "plan=EP1", "workload.batch=1")
    assert compiled("{gpu: node0.gpu0, factor: 0.5}", *alone).cluster.slow_gpus == {0: 0.5}
    with pytest.raises(InputError, match=r"there is no node 1; the only node is 0"):
        compiled("{node: 1, factor: 0.5}", *alone)


def test_a_node_is_shown_as_one_and_its_single_gpus_by_name() -> None:
    shown = as_tree(compiled("{node: 1, factor: 0.5}, {gpu: node0.gpu3, factor: 0.25}, {nic: node0.nic0, factor: 0}"))
    assert shown["faults"] == [
        {"nic": "node0.nic0", "factor": 0},
        {"gpu": "node0.gpu3", "factor": 0.25},
        {"node": 1, "factor": 0.5},
    ]


def test_a_node_that_runs_slower_does_not_stand_for_all() -> None:
    replicas = ("plan=TP4", "workload.batch=8")
    assert one_node(compiled("", *replicas)) is not None
    assert one_node(compiled("{gpu: node1.gpu0, factor: 0.5}", *replicas)) is None


def test_a_gpu_that_all_its_faults_leave_next_to_nothing_is_refused() -> None:
    with pytest.raises(InputError, match=r"faults: node1.gpu2 keeps 1e-12 of its speed in all; it must be at least"):
        compiled("{node: 1, factor: 1e-6}, {gpu: node1.gpu2, factor: 1e-6}")


part = st.floats(1e-4, 1)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(gpus=st.dictionaries(st.integers(0, 7), part), nodes=st.dictionaries(st.integers(0, 1), part))
def test_any_slow_gpus_survive_show(gpus: dict[int, float], nodes: dict[int, float]) -> None:
    of_gpus = [f"{{gpu: node{gpu // 4}.gpu{gpu % 4}, factor: {factor!r}}}" for gpu, factor in gpus.items()]
    of_nodes = [f"{{node: {node}, factor: {factor!r}}}" for node, factor in nodes.items()]
    scenario = compiled(", ".join([*of_gpus, *of_nodes]))
    wanted = {gpu: gpus.get(gpu, 1.0) * nodes.get(gpu // 4, 1.0) for gpu in range(8)}
    assert scenario.cluster.slow_gpus == {gpu: share for gpu, share in wanted.items() if share < 1}
    assert compile_text(render(scenario), "shown.yaml") == scenario
