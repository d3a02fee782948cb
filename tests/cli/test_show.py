"""`show`: what was understood, and where every rank sits."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.edge_helpers import changed, scenario_file, simcluster

KEYS = ["rank", "node", "gpu", "nic", "rail", "dp", "cp", "pp", "ep", "tp", "etp", "edp", "experts", "layers"]


def placement(path: Path) -> list[dict[str, int | list[int]]]:
    outcome = simcluster("show", path, "--placement", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    document = outcome.json()
    assert list(document) == ["placement"]
    rows: list[dict[str, int | list[int]]] = document["placement"]
    return rows


def test_placement_json_has_a_row_a_rank_with_these_keys(tmp_path: Path) -> None:
    rows = placement(scenario_file(tmp_path))
    assert [row["rank"] for row in rows] == list(range(8))
    assert all(sorted(row) == sorted(KEYS) for row in rows)
    numbers = [row[key] for row in rows for key in KEYS if key not in ("experts", "layers")]
    assert all(type(number) is int for number in numbers)
    assert all(isinstance(row["experts"], list) and isinstance(row["layers"], list) for row in rows)


def test_ranks_fill_nodes_in_order_and_tensor_groups_are_neighbours(tmp_path: Path) -> None:
    rows = placement(scenario_file(tmp_path))
    assert [(row["node"], row["gpu"]) for row in rows] == [(rank // 4, rank % 4) for rank in range(8)]
    assert [row["tp"] for row in rows] == [0, 1] * 4
    assert [row["dp"] for row in rows] == [0, 0, 1, 1, 2, 2, 3, 3]


def test_every_expert_and_layer_is_held_by_its_groups(tmp_path: Path) -> None:
    rows = placement(scenario_file(tmp_path))
    for row in rows:
        assert row["layers"] == [0, 1]
        assert row["experts"] == [2 * int(str(row["ep"])), 2 * int(str(row["ep"])) + 1]
    held = [expert for row in rows if isinstance(row["experts"], list) for expert in row["experts"]]
    assert sorted(held) == sorted([*range(8)] * 2)  # each by etp 2 x edp 1 ranks


def test_gpus_share_nics_where_there_are_fewer(tmp_path: Path) -> None:
    rows = placement(scenario_file(tmp_path, changed(("latency: 3 us", "latency: 3 us, nics_per_node: 2"))))
    assert [row["nic"] for row in rows] == [0, 0, 1, 1] * 2


def test_a_dense_model_holds_no_experts(tmp_path: Path) -> None:
    text = changed(
        ("  moe: {experts: 8, top_k: 2, hidden: 512, gated: false}", "  mlp: {hidden: 512}"),
        ("plan: EP4_TP2_PP1", "plan: TP2"),
    )
    assert all(row["experts"] == [] for row in placement(scenario_file(tmp_path, text)))


def test_placement_as_text_has_a_line_a_rank_under_a_header(tmp_path: Path) -> None:
    outcome = simcluster("show", scenario_file(tmp_path), "--placement")
    lines = outcome.out.splitlines()
    assert (outcome.code, outcome.err, len(lines)) == (0, "", 9)
    assert lines[0].split() == KEYS
    assert [line.split()[0] for line in lines[1:]] == [str(rank) for rank in range(8)]


def test_show_prints_defaults_with_their_units_and_provenance(tmp_path: Path) -> None:
    out = simcluster("show", scenario_file(tmp_path)).out
    for line in ("launch_overhead: 3 us", "collective_overhead: 0 s", "memory: 0.82", "fp8: 0.75", "efficiency: 0.8",
                 "efficiency: 0.9", "fabric: rail-optimized", "leaf_ports: 64", "provenance: datasheet",
                 "communication: bf16", "kv_heads: 8", "head_dim: 32", "nics_per_node: 4", "steps: 1"):  # fmt: skip
        assert f"{line}\n" in out, line


@pytest.mark.parametrize("arguments", [(), ("--json",), ("--placement",), ("--placement", "--json")])
def test_output_ends_with_one_newline(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    out = simcluster("show", scenario_file(tmp_path), *arguments).out
    assert out.endswith("\n")
    assert not out.endswith("\n\n")
