"""A custom fabric: a graph of one's own, written out or in a file beside the scenario."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from simcluster.scenario.compile import compile_text, load
from simcluster.scenario.render import render
from tests.edge_helpers import Outcome, changed, no_longer_than, scenario_file, simcluster
from tests.physics_helpers import IDEAL

INFINIBAND = "  infiniband: {bandwidth: 400 Gbit/s, latency: 3 us}"
CUSTOM = f"{INFINIBAND[:-1]}, fabric: custom, graph: graph.json}}"
Graph = dict[str, Any]


def star(capacity: str = "50 GB/s", switch: str = "s") -> Graph:
    """Every NIC of two nodes of four in one switch."""
    return {
        "directed": False,
        "multigraph": False,
        "graph": {},
        "nodes": [{"id": switch, "kind": "leaf"}],
        "edges": [
            {"source": f"node{node}.nic{nic}", "target": switch, "capacity": capacity}
            for node in range(2)
            for nic in range(4)
        ],
    }


def _with_graph(folder: Path, graph: Graph | str, name: str = "graph.json") -> Path:
    text = graph if isinstance(graph, str) else json.dumps(graph)
    (folder / name).write_text(text, encoding="utf-8")
    return scenario_file(folder, changed((INFINIBAND, CUSTOM)))


def _refused(path: Path) -> Outcome:
    with no_longer_than(3):
        outcome = simcluster("run", path)
    assert (outcome.code, outcome.out) == (2, ""), outcome.err
    assert "Traceback" not in outcome.err
    return outcome


def test_a_star_written_as_a_graph_is_a_single_switch(tmp_path: Path) -> None:
    mine = simcluster("run", _with_graph(tmp_path, star()), "--json").json()
    path = scenario_file(tmp_path, changed((INFINIBAND, f"{INFINIBAND[:-1]}, fabric: single-switch}}")), "theirs.yaml")
    assert mine["latency_s"] == pytest.approx(simcluster("run", path, "--json").json()["latency_s"], rel=1e-9)


def test_a_file_and_its_graph_written_out_are_the_same_scenario(tmp_path: Path) -> None:
    written = changed((INFINIBAND, CUSTOM.replace("graph.json", json.dumps(star()))))
    assert load(_with_graph(tmp_path, star())) == compile_text(written, "small.yaml")


def test_show_writes_a_graph_file_out_so_that_the_file_is_needed_no_more(tmp_path: Path) -> None:
    path = _with_graph(tmp_path, star())
    scenario = load(path)
    (tmp_path / "graph.json").unlink()
    assert compile_text(render(scenario), "elsewhere.yaml") == scenario


def test_older_files_call_the_edges_links(tmp_path: Path) -> None:
    older = {("links" if key == "edges" else key): value for key, value in star().items()}
    assert load(_with_graph(tmp_path, older)) == load(_with_graph(tmp_path, star()))


def test_both_directions_written_out_are_an_undirected_cable(tmp_path: Path) -> None:
    both = star()
    back = [{**edge, "source": edge["target"], "target": edge["source"]} for edge in both["edges"]]
    both["edges"] = [edge for pair in zip(both["edges"], back, strict=True) for edge in pair]
    both["directed"] = True
    assert load(_with_graph(tmp_path, both)) == load(_with_graph(tmp_path, star()))


def test_a_slow_trunk_slows_what_crosses_it(tmp_path: Path) -> None:
    """Half of an all-to-all's 64 MB a rank crosses, four ranks together: 4 · 32 MB at 16 GB/s are 8 ms."""
    graph = star()
    for edge in graph["edges"][4:]:
        edge["target"] = "t"
    graph["nodes"].append({"id": "t"})
    graph["edges"].append({"source": "s", "target": "t", "capacity": "16 GB/s"})
    path = _with_graph(tmp_path, graph)
    ideal = [part for setting in IDEAL if "gpu" not in setting for part in ("--set", setting)]
    arguments = ("--gpus", 8, "--bytes", "64 MB", "--json", *ideal)
    (row,) = simcluster("collective", "all_to_all", "--cluster", path, *arguments).json()["rows"]
    assert row["time_s"] == pytest.approx(8e-3, rel=1e-9)
    assert row["limited_by"] == "leaf"


def test_a_way_with_stated_latencies_costs_their_sum(tmp_path: Path) -> None:
    graph = star()
    for edge in graph["edges"]:
        edge["latency"] = "7 us"
    path = _with_graph(tmp_path, graph)
    (row,) = simcluster("collective", "send_recv", "--cluster", path, "--gpus", 8, "--bytes", "0 B",
                        "--json").json()["rows"]  # fmt: skip
    assert row["time_s"] == pytest.approx(14e-6, rel=1e-9)


NICS = tuple(f"node{node}.nic{nic}" for node in range(2) for nic in range(4))


def test_nics_may_be_cabled_to_each_other(tmp_path: Path) -> None:
    everyone = star()
    everyone["nodes"] = []
    everyone["edges"] = [
        {"source": one, "target": other, "capacity": "50 GB/s"} for one, other in combinations(NICS, 2)
    ]
    assert simcluster("run", _with_graph(tmp_path, everyone), "--json").json()["latency_s"] > 0


def test_a_nic_passes_nothing_on_so_a_ring_of_nics_joins_neighbours_only(tmp_path: Path) -> None:
    ring = star()
    ring["nodes"] = []
    ring["edges"] = [{"source": one, "target": other, "capacity": "50 GB/s"}
                     for one, other in zip(NICS, [*NICS[1:], NICS[0]], strict=True)]  # fmt: skip
    assert "no cables lead from node" in _refused(_with_graph(tmp_path, ring)).err


BROKEN = {
    "empty": ("", "is not JSON"),
    "no JSON": ("nodes: []", "is not JSON"),
    "a list": ("[]", "no graph"),
    "null": ("null", "no graph"),
    "NaN": (json.dumps(star()).replace('"50 GB/s"', "NaN"), "NaN"),
    "Infinity": (json.dumps(star()).replace('"50 GB/s"', "Infinity"), "Infinity"),
    "minus Infinity": (json.dumps(star()).replace('"50 GB/s"', "-Infinity"), "Infinity"),
    "past the largest float": (json.dumps(star()).replace('"50 GB/s"', "1e999"), "450 GB/s"),
    "deeply nested": ("[" * 100_000 + "]" * 100_000, "graph.json"),
    "endless digits": ('{"nodes": ' + "9" * 10_000 + "}", "digits"),
    "text for nodes": ('{"nodes": "s", "edges": []}', "graph.nodes"),
    "a number as a name": ('{"nodes": [{"id": 3}], "edges": []}', "graph.nodes.0.id"),
    "other keys": (json.dumps(star()).replace('"capacity"', '"bandwidth"'), "capacity"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_graph_file_is_refused_with_its_key(what: str, tmp_path: Path) -> None:
    text, word = BROKEN[what]
    outcome = _refused(_with_graph(tmp_path, text))
    assert "cluster.infiniband.graph" in outcome.err
    assert word in outcome.err


@pytest.mark.parametrize("what", ["missing", "a folder"])
def test_what_is_no_file_is_refused(what: str, tmp_path: Path) -> None:
    if what == "a folder":
        (tmp_path / "graph.json").mkdir()
    told = _refused(scenario_file(tmp_path, changed((INFINIBAND, CUSTOM)))).err
    assert "cluster.infiniband.graph: graph.json " in told
    assert "read" in told


def test_what_is_no_text_is_no_graph(tmp_path: Path) -> None:
    (tmp_path / "graph.json").write_bytes(b"\xff\xfe\x00")
    path = scenario_file(tmp_path, changed((INFINIBAND, CUSTOM)))
    assert "graph.json is not JSON" in _refused(path).err


def test_a_graph_file_of_60_mb_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "graph.json").open("wb") as file:
        file.truncate(60_000_000)
    path = scenario_file(tmp_path, changed((INFINIBAND, CUSTOM)))
    assert "50,000,000" in _refused(path).err


def test_a_pipe_that_nobody_writes_to_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "graph.json")
    path = scenario_file(tmp_path, changed((INFINIBAND, CUSTOM)))
    start_s = time.monotonic()
    assert "graph.json" in _refused(path).err
    assert time.monotonic() - start_s < 2


def _edge(**change: object) -> Callable[[Graph], None]:
    return lambda graph: graph["edges"][0].update(change)


def _more(**edge: object) -> Callable[[Graph], None]:
    return lambda graph: graph["edges"].append({"capacity": "1 GB/s", **edge})


WRONG: dict[str, tuple[Callable[[Graph], None], str]] = {
    "zero capacity": (_edge(capacity="0 GB/s"), "edges.0.capacity"),
    "negative capacity": (_edge(capacity="-1 GB/s"), "edges.0.capacity"),
    "bare capacity": (_edge(capacity=45e9), "has no unit"),
    "negative latency": (_edge(latency="-1 us"), "edges.0.latency"),
    "bare latency": (_edge(latency=3), "has no unit"),
    "further key": (_edge(weight=1), "edges.0.weight"),
    "unknown end": (_more(source="leaf7", target="s"), "leaf7 is neither a node of the graph nor a NIC"),
    "a GPU as an end": (_more(source="node0.gpu0", target="s"), "node0.gpu0 is neither"),
    "the same cable": (_more(source="node0.nic0", target="s"), "joined twice"),
    "the same cable backwards": (_more(source="s", target="node0.nic0"), "joined twice"),
    "a cable to itself": (_more(source="s", target="s"), "joins s to itself"),
    "a NIC without a cable": (lambda graph: graph["edges"].pop(0), "no cable leads to node0.nic0"),
    "one way only": (lambda graph: graph.update(directed=True), "and back; join the parts"),
    "parallel cables": (lambda graph: graph.update(multigraph=True), "graph.multigraph"),
    "a switch twice": (lambda graph: graph["nodes"].append({"id": "s"}), "s is there twice"),
    "a switch named as a NIC": (lambda graph: graph["nodes"].append({"id": "node0.nic0"}), "is a NIC"),
    "a NIC of no node": (lambda graph: graph["nodes"].append({"id": "node9.nic0", "kind": "nic"}), "is no NIC"),
    "a switch without a name": (lambda graph: graph["nodes"].append({"id": ""}), "is empty"),
    "an unknown kind": (lambda graph: graph["nodes"].append({"id": "q", "kind": "router"}), "'leaf', 'spine', 'core'"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_mistake_in_a_graph_is_told_with_its_name(what: str, tmp_path: Path) -> None:
    change, word = WRONG[what]
    graph = star()
    change(graph)
    outcome = _refused(_with_graph(tmp_path, graph))
    assert word in outcome.err
    assert len(outcome.err.splitlines()) == 1, outcome.err


@pytest.mark.parametrize("name", ["node0.gpu0", "node1.nvswitch"])
def test_a_switch_may_not_take_the_name_of_a_part_of_a_node(name: str, tmp_path: Path) -> None:
    assert name in _refused(_with_graph(tmp_path, star(switch=name))).err


def test_all_mistakes_of_a_graph_are_told_at_once(tmp_path: Path) -> None:
    graph = star()
    graph["nodes"].append({"id": "s"})
    graph["edges"].append({"source": "s", "target": "s", "capacity": "1 GB/s"})
    graph["edges"].append({"source": "x", "target": "s", "capacity": "1 GB/s"})
    told = _refused(_with_graph(tmp_path, graph)).err.splitlines()
    assert len(told) == 3
    for word in ("s is there twice", "joins s to itself", "x is neither"):
        assert sum(word in line for line in told) == 1


def test_a_nic_listed_as_a_node_is_welcome(tmp_path: Path) -> None:
    listed = star()
    listed["nodes"].append({"id": "node0.nic0", "kind": "nic"})
    assert load(_with_graph(tmp_path, listed)) == load(_with_graph(tmp_path, star()))
