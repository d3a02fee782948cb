"""The printed summary opens with the verdict, and every number in it has a unit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import simcluster
from simcluster.report import machine, text
from simcluster.report.folding import replayed
from simcluster.report.verdict import verdict
from simcluster.timeline.metric import METRICS, OF_GENERATION, OF_POWER, OF_PRICE
from simcluster.timeline.result import Result
from simcluster.timeline.timeline import Folding

ROOT = Path(__file__).parents[2]


def simulated(name: str = "ep64_tp2_pp1.yaml", *overrides: str) -> Result:
    return simcluster.simulate(simcluster.load(ROOT / "scenarios" / name, overrides))


def test_the_summary_opens_with_what_binds_the_plan() -> None:
    lines = text.summary(simulated()).split("\n\n")
    assert lines[0].startswith("EP64_TP2_PP1 on 128 GPUs")
    assert lines[1].startswith("Bound by communication: 57.7 % of the step is exposed communication")
    assert "moe.combine" in lines[1]


def test_a_plan_bound_by_its_kernels_is_called_so() -> None:
    assert verdict(simulated("ep64_tp2_pp1.yaml", "plan=EP8")).startswith("Bound by its kernels: GPUs compute 87.4 %")


def test_the_summary_says_which_reading_was_taken_and_how_to_take_the_other() -> None:
    summary = text.summary(simulated())
    assert "read as orthogonal (orthogonal 128 GPUs, folded 64 GPUs)" in summary
    assert "plan: {tp: 2, pp: 1, dp: 64, cp: 1, ep: 64, etp: 1, edp: 2, convention: folded}" in summary


def test_the_other_reading_as_printed_can_be_taken() -> None:
    other = simulated().identity.other_reading
    result = simulated("ep64_tp2_pp1.yaml", f"plan={other.removeprefix('plan: ')}")
    assert result.identity.convention == "folded"
    assert result.identity.degrees["etp"] == 1


def test_every_operation_stands_in_the_table_with_its_time() -> None:
    result = simulated("mixtral_decode.yaml")
    summary = text.summary(result)
    for row in result.by_operation:
        assert f"\n{row.name} " in summary


def test_a_plan_that_does_not_fit_is_told_in_numbers_and_without_a_latency() -> None:
    summary = text.summary(simulated("ep64_tp2_pp1.yaml", "cluster.gpu.memory=100 MB"))
    assert "does not fit: the fullest GPU needs 131.1 MB and has 100 MB, 31.1 MB too little" in summary
    assert "latency  " not in summary
    assert "throughput  " not in summary


def test_the_json_holds_every_metric_and_only_metrics_as_scalars() -> None:
    tree = json.loads(machine.result_json(simulated()))
    tree["modules"] = {module["type"]: module for module in tree["modules"]}
    leaves = set(_leaves(tree, ""))
    assert set(METRICS) - {*OF_GENERATION, *OF_PRICE, *OF_POWER} <= leaves
    folding = {f"folding.{name}" for name in ("ranks", "tracks", "wires", "columns")}
    assert leaves - set(METRICS) == {"schema_version", *folding}


def _leaves(node: object, prefix: str) -> list[str]:
    if isinstance(node, dict):
        return [leaf for key, value in node.items() for leaf in _leaves(value, f"{prefix}.{key}" if prefix else key)]
    return [prefix] if isinstance(node, int | float) else []


@pytest.mark.parametrize("field", ["latency_s", "mfu", "throughput_tokens_per_s"])
def test_the_json_of_a_plan_that_does_not_fit_has_memory_and_no_time(field: str) -> None:
    tree = json.loads(machine.result_json(simulated("ep64_tp2_pp1.yaml", "cluster.gpu.memory=100 MB")))
    assert tree[field] is None
    assert tree["memory"]["total"] > tree["memory"]["capacity"]


@pytest.mark.parametrize(
    ("sizes", "split_by", "told"),
    [
        ((128, 4, 544, 16), ("slow GPU node3.gpu2",),
         "4 classes of 128 ranks and 16 of 544 wires; split by: slow GPU node3.gpu2"),
        ((8192, 9, 40960, 31), ("a", "b", "c", "d"),
         "9 classes of 8,192 ranks and 31 of 40,960 wires; split by: a, b, c and 1 more"),
        ((128, 2, 544, 16), (), "2 classes of 128 ranks and 16 of 544 wires"),
        ((128, 1, 544, 6), (), "one rank for all 128 and 6 of 544 wires; equal ones are replayed once"),
        ((128, 128, 544, 544), (), "every rank and wire"),
        ((2, 2, 12, 10), ("slow GPU node0.gpu1",), "every rank and 10 of 12 wires"),
        ((1, 1, 0, 0), (), "every rank and wire"),
    ],
)  # fmt: skip
def test_the_summary_says_how_much_was_replayed(
    sizes: tuple[int, int, int, int], split_by: tuple[str, ...], told: str
) -> None:
    ranks, tracks, wires, columns = sizes
    folding = Folding(ranks=ranks, tracks=tracks, wires=wires, columns=columns, split_by=split_by)
    assert replayed(folding) == told


def test_the_line_on_folding_stands_under_the_headline() -> None:
    slow = text.summary(simulated("ep64_tp2_pp1.yaml", "faults=[{gpu: node3.gpu2, factor: 0.5}]"))
    assert "\nreplayed       4 classes of 128 ranks and 16 of 544 wires; split by: slow GPU node3.gpu2\n" in slow
    assert "\nreplayed  " not in text.summary(simulated("ep64_tp2_pp1.yaml", "cluster.gpu.memory=100 MB"))
