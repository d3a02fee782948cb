"""What faults cost: the change against the same scenario without them, and laws of faults."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simcluster.api import collective_seconds
from simcluster.pipeline import simulate
from simcluster.scenario.cluster_section import load_cluster
from simcluster.scenario.compile import compile_text
from simcluster.scenario.variant import without_faults
from simcluster.study.slowdown import slowdown
from tests.edge_helpers import DOES_NOT_FIT, SMALL, scenario_file, simcluster
from tests.physics_helpers import law

ONE_LINERS = {
    "slow GPU": "{gpu: node1.gpu2, factor: 0.5}",
    "slow node": "{node: 1, factor: 0.5}",
    "degraded NIC": "{nic: node0.nic1, factor: 0.5}",
    "dead NIC": "{nic: node0.nic1, factor: 0}",
    "degraded cable": "{link: [node0.nic0, leaf0.0], factor: 0.25}",
    "degraded NVLink": "{link: [node0.gpu0, node0.nvswitch], factor: 0.1}",
    "jitter": "{jitter: 0.2}",
}


@pytest.mark.parametrize("fault", ONE_LINERS.values(), ids=ONE_LINERS.keys())
def test_every_kind_of_fault_in_one_line(tmp_path: Path, fault: str) -> None:
    path = scenario_file(tmp_path)
    healthy = simcluster("run", path, "--json").json()
    outcome = simcluster("run", path, "--set", f"faults=[{fault}]", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    found = outcome.json()
    assert found["without_faults"] == {
        "latency_s": healthy["latency_s"],
        "throughput_tokens_per_s": healthy["throughput_tokens_per_s"],
        "slowdown": found["latency_s"] / healthy["latency_s"],
    }
    assert found["without_faults"]["slowdown"] > 1
    assert "without_faults" not in healthy


def test_text_says_how_much_slower_and_who_is_waited_for(tmp_path: Path) -> None:
    path = scenario_file(tmp_path)
    told = simcluster("run", path, "--set", "faults=[{gpu: node1.gpu2, factor: 0.5}]", "--no-advise").out
    assert " % slower than without faults (" in told
    table = told[told.index("Whom the others wait for") :].splitlines()
    assert table[3].split()[:2] == ["6", "node1.gpu2"]
    healthy = simcluster("run", path, "--no-advise").out
    assert "without faults" not in healthy
    assert "wait for" not in healthy


def test_a_fault_where_nothing_goes_makes_no_difference(tmp_path: Path) -> None:
    told = simcluster(
        "run", scenario_file(tmp_path), "--set", "plan=TP4", "--set", "faults=[{nic: node0.nic1, factor: 0.5}]",
        "--no-advise",
    ).out  # fmt: skip
    assert "makes no difference (" in told


def test_one_factor_can_be_set_and_a_fault_appended(tmp_path: Path) -> None:
    path = scenario_file(tmp_path, f"{SMALL}faults:\n  - {{gpu: node0.gpu1, factor: 0.5}}\n")
    shown = simcluster("show", path, "--set", "faults.0.factor=0.25", "--set", "faults.1={node: 1, factor: 0.5}").out
    assert "- gpu: node0.gpu1\n  factor: 0.25\n- node: 1\n  factor: 0.5\n" in shown


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("faults.2.factor=0.5", "faults is a list, which has no entry 2; count its entries from 0: 0 to 0, or 1 for a"),
        ("faults.first.factor=0.5", "faults is a list, which has no entry first"),
        ("faults.-1.factor=0.5", "faults is a list, which has no entry -1"),
        ("faults.0.factor=2", "faults.0.factor: 2 is too large"),
        ("faults.0.factor.x=2", "faults.0.factor is 0.5, which has no part x"),
        ("faults.1.factor=0.5", "faults.1: write link"),
    ],
)
def test_a_path_into_a_list_that_leads_nowhere(tmp_path: Path, option: str, told: str) -> None:
    path = scenario_file(tmp_path, f"{SMALL}faults:\n  - {{gpu: node0.gpu1, factor: 0.5}}\n")
    outcome = simcluster("run", path, "--set", option)
    assert outcome.code == 2
    assert told in outcome.err
    assert f"--set {option}" in outcome.err


def test_nothing_to_compare_without_faults_or_where_it_does_not_fit() -> None:
    scenario = compile_text(SMALL, "small.yaml")
    assert without_faults(scenario) is None
    assert slowdown(scenario, simulate(scenario)) is None
    small = compile_text(SMALL, "small.yaml", ["faults=[{jitter: 0.1}]", DOES_NOT_FIT])
    assert slowdown(small, simulate(small)) is None


def test_half_the_speed_of_every_gpu_takes_kernels_twice_as_long() -> None:
    faults = "faults=[{node: 0, factor: 0.5}, {node: 1, factor: 0.5}]"
    scenario = compile_text(SMALL, "small.yaml", [faults, "plan=TP1"])
    found = slowdown(scenario, simulate(scenario))
    assert found is not None
    assert found.slowdown == pytest.approx(2, rel=1e-9)


def kinds() -> st.SearchStrategy[str]:
    return st.sampled_from(["all_reduce", "all_gather", "reduce_scatter", "all_to_all", "broadcast"])


def wires() -> st.SearchStrategy[str]:
    """A fault of a wire of two nodes of four GPUs, a leaf for each rail."""
    node, index, factor = st.integers(0, 1), st.integers(0, 3), st.sampled_from([0, 0.1, 0.5, 0.9])
    nic = st.builds("{{nic: node{}.nic{}, factor: {}}}".format, node, index, factor)
    cable = st.builds("{{link: [node{0}.nic{1}, leaf0.{1}], factor: {2}}}".format, node, index, factor)
    inside = st.builds("{{link: [node{}.gpu{}, node{}.nvswitch], factor: {}}}".format, node, index, node, st.just(0.5))
    return st.one_of(nic, cable, inside.filter(lambda text: text[12] == text[text.index("nvswitch") - 2]))


@law(60)
@given(kind=kinds(), fault=wires(), size=st.sampled_from([1.0, 2.0**16, 2.0**28]), gpus=st.sampled_from([2, 4, 8]))
def test_a_fault_never_helps_a_lone_collective(kind: str, fault: str, size: float, gpus: int) -> None:
    scenario = Path(__file__).parents[1] / "scenario" / "valid" / "faults.yaml"
    healthy = load_cluster(str(scenario), gpus, ["faults=[]"])
    broken = load_cluster(str(scenario), gpus, [f"faults=[{fault}]"])
    before, after = (
        collective_seconds(cluster=one, kind=kind, gpus=gpus, message_bytes=size) for one in (healthy, broken)
    )
    assert after >= before * (1 - 1e-9)


@law(20)
@given(kind=kinds(), gpu=st.integers(0, 7), factor=st.sampled_from([0.1, 0.5]))
def test_a_slow_gpu_changes_no_lone_collective(kind: str, gpu: int, factor: float) -> None:
    scenario = Path(__file__).parents[1] / "scenario" / "valid" / "faults.yaml"
    name = f"node{gpu // 4}.gpu{gpu % 4}"
    before, after = (
        collective_seconds(cluster=load_cluster(str(scenario), 8, [faults]), kind=kind, gpus=8, message_bytes=2.0**20)
        for faults in ("faults=[]", f"faults=[{{gpu: {name}, factor: {factor}}}]")
    )
    assert after == before
