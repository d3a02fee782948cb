"""The keys of a cluster's network: each survives `show`, each can be set, and each means what it says."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from simcluster.api import simulate
from simcluster.errors import InputError
from simcluster.report.machine import result_json
from simcluster.scenario.compile import compile_text
from simcluster.scenario.render import render
from tests.edge_helpers import SMALL, changed, scenario_file, simcluster
from tests.physics_helpers import answer, run_text

NVLINK = "  nvlink: {bandwidth: 450 GB/s, latency: 1 us}"
INFINIBAND = "  infiniband: {bandwidth: 400 Gbit/s, latency: 3 us}"
PLAN = "plan: EP4_TP2_PP1"
FABRICS = ("rail-optimized", "single-switch", "leaf-spine", "fat-tree", "dragonfly", "torus-2d", "torus-3d")

SWITCHES = "nodes: [{id: s}, {id: t, kind: spine}]"
CABLES = ", ".join(
    f"{{source: node{rank // 4}.nic{rank % 4}, target: {'st'[rank // 4]}, capacity: 50 GB/s, latency: {rank + 1} us}}"
    for rank in range(8)
)
GRAPH = f"graph: {{{SWITCHES}, edges: [{CABLES}, {{source: s, target: t, capacity: 80 GB/s}}]}}"
"""Two switches with a trunk of 80 GB/s, each with the four NICs of a node."""


def _nvlink(more: str) -> str:
    return changed((NVLINK, f"{NVLINK[:-1]}, {more}}}"))


def _infiniband(more: str) -> str:
    return changed((INFINIBAND, f"{INFINIBAND[:-1]}, {more}}}"))


def _cluster(line: str) -> str:
    return changed((INFINIBAND, f"{INFINIBAND}\n  {line}"))


NETWORKS = {
    "mesh": _nvlink("topology: mesh"),
    "domain of a node": _nvlink("domain: 4"),
    "domain of two nodes": _nvlink("domain: 8"),
    "adding NVSwitches": _nvlink("in_switch_reduction: true"),
    "PCIe beside NVLink": _cluster("pcie: {bandwidth: 64 GB/s, latency: 1 us}"),
    "PCIe alone": changed(
        (NVLINK, "  pcie: {bandwidth: 64 GB/s}"), (INFINIBAND, f"{INFINIBAND[:-1]}, nics_per_node: 1}}")
    ),
    **{fabric: _infiniband(f"fabric: {fabric}, leaf_ports: 8, oversubscription: 2") for fabric in FABRICS},
    "custom": _infiniband(f"fabric: custom, {GRAPH}"),
    "adding switches": _infiniband("in_network_reduction: true"),
    "seed": _cluster("routing: {seed: 7}"),
    "largest seed": _cluster(f"routing: {{seed: {2**63 - 1}}}"),
    "rail forwarding": _cluster("routing: {rail_forwarding: true}"),
    "flow": _cluster("sharing: flow"),
    "background": _cluster(
        "background: [{from: node0, to: [node1.gpu0, node1.gpu2], bandwidth: 33 GB/s}, "
        "{from: all, to: all, bandwidth: 0.1 TB/s}]"
    ),
    "algorithms": _cluster("algorithms: {all_reduce: tree, all_to_all: pairwise, all_gather: auto}"),
    "deduplication": _cluster("algorithms: {all_to_all: node-dedup}"),
    "library": _cluster("library: a100"),
    "library of another network": _cluster("library: gb200-efa"),
    "dead NIC": changed((PLAN, f"faults: [{{nic: node0.nic1, factor: 0}}]\n{PLAN}")),
    "faults": changed(
        (
            PLAN,
            "faults: [{nic: node1.nic1, factor: 0.3}, {link: [node0.nic0, leaf0.0], factor: 0}, "
            f"{{link: [node0.gpu0, node0.nvswitch], factor: 0.5}}]\n{PLAN}",
        )
    ),
    "no faults": changed((PLAN, f"faults: []\n{PLAN}")),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_what_show_prints_is_an_equal_scenario_with_the_same_result(name: str) -> None:
    scenario = compile_text(NETWORKS[name], "small.yaml")
    shown = render(scenario)
    again = compile_text(shown, "shown.yaml")
    assert again == scenario
    assert render(again) == shown
    assert result_json(simulate(again)) == result_json(simulate(scenario))


def test_show_prints_every_default_of_the_network(tmp_path: Path) -> None:
    cluster = simcluster("show", scenario_file(tmp_path), "--json").json()["cluster"]
    assert cluster["routing"] == {"seed": None, "rail_forwarding": False}
    assert cluster["sharing"] == "activity"
    assert set(cluster["algorithms"].values()) == {"auto"}
    assert (cluster["nvlink"]["topology"], cluster["nvlink"]["in_switch_reduction"]) == ("nvswitch", False)
    network = cluster["infiniband"]
    assert [network[key] for key in ("fabric", "leaf_ports", "oversubscription")] == ["rail-optimized", 64, 1.0]
    assert network["in_network_reduction"] is False


SETTINGS = {
    "cluster.nvlink.topology=mesh": "mesh",
    "cluster.nvlink.domain=8": "domain of two nodes",
    "cluster.nvlink.in_switch_reduction=true": "adding NVSwitches",
    "cluster.pcie={bandwidth: 64 GB/s, latency: 1 us}": "PCIe beside NVLink",
    f"cluster.infiniband={{bandwidth: 400 Gbit/s, latency: 3 us, fabric: custom, {GRAPH}}}": "custom",
    "cluster.infiniband.in_network_reduction=true": "adding switches",
    "cluster.routing.seed=7": "seed",
    "cluster.routing.rail_forwarding=true": "rail forwarding",
    "cluster.sharing=flow": "flow",
    "cluster.background=[{from: node0, to: [node1.gpu0, node1.gpu2], bandwidth: 33 GB/s}, "
    "{from: all, to: all, bandwidth: 0.1 TB/s}]": "background",
    "cluster.algorithms={all_reduce: tree, all_to_all: pairwise}": "algorithms",
    "cluster.library=gb200-efa": "library of another network",
    "faults=[{nic: node0.nic1, factor: 0}]": "dead NIC",
}


@pytest.mark.parametrize("assignment", SETTINGS)
def test_setting_a_key_is_writing_it(assignment: str) -> None:
    assert compile_text(SMALL, "s.yaml", [assignment]) == compile_text(NETWORKS[SETTINGS[assignment]], "s.yaml")


@pytest.mark.parametrize("fabric", FABRICS)
def test_a_fabric_needs_no_further_key(fabric: str) -> None:
    assert answer(run_text(SMALL, f"cluster.infiniband.fabric={fabric}"), "latency_s") > 0


def _of_nodes(nodes: int, gpus_per_node: int, *more: str) -> tuple[str, ...]:
    gpus = nodes * gpus_per_node
    sizes = (f"cluster.nodes={nodes}", f"cluster.gpus_per_node={gpus_per_node}", f"workload.batch={gpus}")
    return (*sizes, f"plan=DP{gpus}", *more)


@pytest.mark.parametrize("fabric", ["rail-optimized", "fat-tree"])
def test_four_levels_of_switches_with_64_ports_join_a_million_gpus(fabric: str) -> None:
    scenario = compile_text(SMALL, "s.yaml", _of_nodes(131_072, 8, f"cluster.infiniband.fabric={fabric}"))
    assert scenario.cluster.gpus == 1_048_576


@pytest.mark.parametrize(
    ("nodes", "gpus_per_node", "fabric", "told"),
    [
        # Four levels have 64⁴/8 NICs at most; two have 64 leaves, of four nodes each.
        (262_145, 8, "rail-optimized", "64 ports joins at most 262,144 nodes, not 262,145"),
        (262_145, 8, "fat-tree", "64 ports joins at most 262,144 nodes, not 262,145"),
        (257, 8, "leaf-spine", "64 ports joins at most 256 nodes, not 257"),
        (524_289, 8, "single-switch", "4,194,312 GPUs; at most 4,194,304 fit into memory; use fewer nodes"),
    ],
)
def test_more_nodes_than_a_fabric_joins_are_refused(nodes: int, gpus_per_node: int, fabric: str, told: str) -> None:
    settings = _of_nodes(nodes, gpus_per_node, f"cluster.infiniband.fabric={fabric}")
    with pytest.raises(InputError) as raised:
        compile_text(SMALL, "s.yaml", settings)
    assert told in str(raised.value)
    one_less = _of_nodes(nodes - 1, gpus_per_node, f"cluster.infiniband.fabric={fabric}")
    assert compile_text(SMALL, "s.yaml", one_less).cluster.nodes == nodes - 1


def test_a_run_over_four_levels_names_their_cables() -> None:
    """20 GPUs of one NIC each with switches of 4 ports: 10 leaves, and the higher a level, the fewer bytes reach it."""
    thin = ("cluster.infiniband.fabric=fat-tree", "cluster.infiniband.leaf_ports=4")
    settings = (*_of_nodes(20, 1), "plan=EP20_TP1_PP1", "model.moe.experts=20", *thin)
    found = simulate(compile_text(SMALL, "s.yaml", settings))
    links = {(row["kind"], row["direction"]): row for row in json.loads(result_json(found))["links"]}
    for kind in ("nic", "leaf", "spine", "core"):
        up, down = (links[kind, direction] for direction in (("out", "in") if kind == "nic" else ("up", "down")))
        assert 0 < up["bytes"] == pytest.approx(down["bytes"], rel=1e-9)
    assert links["core", "up"]["bytes"] < links["spine", "up"]["bytes"] < links["leaf", "up"]["bytes"]


@pytest.mark.parametrize(
    "assignment",
    ["cluster.routing.seed=null", "cluster.library=null", "cluster.nvlink.domain=null", "cluster.background=[]",
     "faults=[]", "cluster.algorithms={}", "cluster.algorithms.all_reduce=auto"],
)  # fmt: skip
def test_setting_a_default_changes_nothing(assignment: str) -> None:
    assert compile_text(SMALL, "s.yaml", [assignment]) == compile_text(SMALL, "s.yaml")


SPREAD = (
    changed(
        ("nodes: 2", "nodes: 8"),
        (INFINIBAND, f"{INFINIBAND[:-1]}, fabric: leaf-spine, leaf_ports: 12, oversubscription: 2}}"),
        (PLAN, "plan: EP32_TP1_PP1"),
        ("experts: 8", "experts: 32"),
        ("batch: 8", "batch: 32"),
        ("sequence: 128", "sequence: 1024"),
    )
)  # fmt: skip
"""32 GPUs under leaves of two nodes with half their bandwidth upwards: where hashed messages collide."""


def _swept(folder: Path, *more: object) -> list[dict[str, str]]:
    path = scenario_file(folder, SPREAD)
    outcome = simcluster("sweep", path, *more, "--out", folder / "out", "--workers", 1)
    assert outcome.code == 0, outcome.err
    with (folder / "out" / "results.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_sweep_over_seeds_gives_a_distribution_above_adaptive_routing(tmp_path: Path) -> None:
    rows = _swept(tmp_path, "--over", "cluster.routing.seed=1..5")
    assert [row["cluster.routing.seed"] for row in rows] == ["1", "2", "3", "4", "5"]
    latencies = [float(row["latency_s"]) for row in rows]
    assert len(set(latencies)) >= 4
    adaptive = answer(run_text(SPREAD), "latency_s")
    assert min(latencies) > adaptive
    assert max(latencies) < 2 * adaptive


def test_a_seed_means_the_same_ways_every_time() -> None:
    one, again = (result_json(simulate(compile_text(SPREAD, "s.yaml", ["cluster.routing.seed=3"]))) for _ in range(2))
    assert one == again


def test_a_sweep_keeps_what_is_no_seed_as_a_row_with_its_reason(tmp_path: Path) -> None:
    rows = _swept(tmp_path, "--over", "cluster.routing.seed=1,x,-1")
    assert [bool(row["reason"]) for row in rows] == [False, True, True]
    assert "whole number" in rows[1]["reason"]
    assert "at least 0" in rows[2]["reason"]


def test_every_number_of_a_run_is_finite(tmp_path: Path) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    for name in ("faults", "background", "custom", "library", "PCIe alone"):
        outcome = simcluster("run", scenario_file(tmp_path, NETWORKS[name]), "--json")
        assert (outcome.code, outcome.err) == (0, ""), name
        assert json.loads(outcome.out, parse_constant=refuse)["latency_s"] > 0


@pytest.mark.parametrize("name", NETWORKS)
def test_a_run_in_words_ends_well(name: str, tmp_path: Path) -> None:
    """With its advice, which tries the cluster in other sizes."""
    outcome = simcluster("run", scenario_file(tmp_path, NETWORKS[name]))
    assert (outcome.code, outcome.err) == (0, "")
    assert "latency" in outcome.out


def test_an_algorithm_that_a_group_cannot_use_is_refused_with_the_collective(tmp_path: Path) -> None:
    path = scenario_file(tmp_path, _cluster("algorithms: {all_reduce: in-switch}"))
    outcome = simcluster("run", path)
    assert outcome.code == 2
    assert "attention.all_reduce" in outcome.err
    assert "nvlink.in_switch_reduction: true" in outcome.err
