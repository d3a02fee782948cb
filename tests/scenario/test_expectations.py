"""The lines under `expect`: grammar, names, units, and how near is near enough."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from simcluster.audit.expectation import parse_expectation
from simcluster.timeline.metric import METRICS, OF_GENERATION, OF_POWER, OF_PRICE
from tests.edge_helpers import DOES_NOT_FIT, SMALL, scenario_file, simcluster

bounded = settings(max_examples=300, derandomize=True, deadline=None, database=None)


@pytest.mark.parametrize(
    ("line", "path", "relation", "value"),
    [
        ("gpus == 8", "gpus", "==", 8),
        ("gpus==8", "gpus", "==", 8),
        ("  mfu   >=  0.839  ", "mfu", ">=", 0.839),
        ("mfu >= 83.9 %", "mfu", ">=", 0.839),
        ("mfu >= 83.9%", "mfu", ">=", 0.839),
        ("mfu > 1e-3", "mfu", ">", 1e-3),
        ("memory.fraction < 5e-1", "memory.fraction", "<", 0.5),
        ("latency_s <= 7.21 ms", "latency_s", "<=", 7.21e-3),
        ("memory.total == 57.17 MB", "memory.total", "==", 57.17e6),
        ("memory.expert_weights == 32 MiB", "memory.expert_weights", "==", 32 * 2**20),
        ("traffic.infiniband == 0 B", "traffic.infiniband", "==", 0),
        ("throughput_tokens_per_s >= 1e6", "throughput_tokens_per_s", ">=", 1e6),
        ("tokens == 131072", "tokens", "==", 131072),
        ("balance.expert_load_variance == 0", "balance.expert_load_variance", "==", 0),
    ],
)
def test_a_line_is_metric_relation_value(line: str, path: str, relation: str, value: float) -> None:
    claim = parse_expectation(line)
    assert (claim.line, claim.path, claim.relation) == (line, path, relation)
    assert math.isclose(claim.value, value, rel_tol=1e-15)


@pytest.mark.parametrize(
    ("name", "path"),
    [("tp", "degrees.tp"), ("edp", "degrees.edp"), ("kv_cache", "memory.kv_cache"), ("fraction", "memory.fraction"),
     ("capacity", "memory.capacity"), ("nvlink", "traffic.nvlink"), ("attention", "flops_per_gpu.attention"),
     ("experts_per_gpu_group", "balance.experts_per_gpu_group"), ("orthogonal", "counts.orthogonal")],
)  # fmt: skip
def test_a_name_without_its_prefix_means_its_unique_leaf(name: str, path: str) -> None:
    assert parse_expectation(f"{name} == 1{UNITS.get(METRICS[path], '')}").path == path


def test_a_name_that_could_be_two_is_refused_with_both() -> None:
    with pytest.raises(ValueError, match=r"memory\.total or flops_per_gpu\.total") as raised:
        parse_expectation("total == 1 GB")
    assert "write which" in str(raised.value)


def test_a_part_of_a_name_is_no_name() -> None:
    for name in ("otal", "cache", "memory", "degrees", "memory.", ".tp", "memory.tp", "Memory.total", "MFU"):
        with pytest.raises(ValueError, match=r"no metric is called|is not a claim"):
            parse_expectation(f"{name} == 1")


UNITS = {"bytes": " B", "seconds": " s", "FLOP": " FLOP", "USD": " USD", "joules": " J", "watts": " W"}
"""What a value of each measure carries in a claim; the others are bare."""


def leaf(result: object, path: str) -> float:
    """The number at a dotted path of `run --json`; rows of `modules` are addressed by their type."""
    for key in path.split("."):
        if isinstance(result, list):
            (result,) = [row for row in result if row["type"] == key]
        else:
            assert isinstance(result, dict)
            result = result[key]
    assert isinstance(result, int | float)
    return result


@pytest.mark.parametrize("metric", sorted(set(METRICS) - {*OF_GENERATION, *OF_PRICE, *OF_POWER}))
def test_every_metric_can_be_claimed_as_run_json_prints_it(metric: str, small_result: dict[str, object]) -> None:
    value = leaf(small_result, metric)
    claim = parse_expectation(f"{metric} == {value!r}{UNITS.get(METRICS[metric], '')}")
    assert claim.holds(value)
    assert not claim.holds(value * 1.02 + 1)


@pytest.fixture(scope="module")
def small_result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    path = scenario_file(tmp_path_factory.mktemp("small"))
    result: dict[str, object] = simcluster("run", path, "--json").json()
    return result


@pytest.mark.parametrize(
    ("line", "holding", "failing"),
    [
        ("gpus == 1000", [1000], [999, 1001, 1000.5]),
        ("tokens == 131072", [131072], [131071, 131073, 132000]),
        ("degrees.tp == 200", [200], [199, 201]),
        ("counts.folded == 1000", [1000], [1001]),
        ("balance.experts_per_gpu_group == 1000", [1000], [1001, 999]),
        ("waiting == 0", [0, 1e-9, -1e-9, 1e-10], [2e-9, 1e-6]),
        ("traffic.infiniband == 0 B", [0, 1e-9], [1, 1e-8]),
        ("balance.compute_variance == 0", [0, 9e-10], [1.1e-9, 1e-3]),
        ("mfu == 0.5", [0.5, 0.5049, 0.4951], [0.5051, 0.4949]),
        ("memory.total == 100 MB", [100e6, 101e6, 99e6], [101.1e6, 98.9e6]),
        ("latency_s == 10 ms", [10e-3, 10.09e-3, 9.91e-3], [10.2e-3, 9.8e-3]),
        ("mfu <= 0.5", [0.5, 0.1], [0.5000001]),
        ("mfu < 0.5", [0.4999], [0.5, 0.6]),
        ("mfu >= 0.5", [0.5, 0.6], [0.4999999]),
        ("mfu > 0.5", [0.50001], [0.5, 0.4]),
        ("gpus >= 8", [8, 9], [7]),
    ],
)
def test_how_near_is_near_enough(line: str, holding: list[float], failing: list[float]) -> None:
    claim = parse_expectation(line)
    assert [claim.holds(actual) for actual in holding] == [True] * len(holding)
    assert [claim.holds(actual) for actual in failing] == [False] * len(failing)


@bounded
@given(st.floats(1e-12, 1e12), st.floats(-0.02, 0.02))
def test_an_equality_holds_within_one_percent_of_the_claim(value: float, off: float) -> None:
    claim = parse_expectation(f"memory.total == {value!r} B")
    if abs(abs(off) - 0.01) > 1e-9:
        assert claim.holds(value * (1 + off)) == (abs(off) < 0.01)


metrics = st.sampled_from(sorted(METRICS))
relations = st.sampled_from(["==", "<=", ">=", "<", ">"])
figures = st.text(st.sampled_from("0123456789.eE+-_% kMGiBsFLOP/"), max_size=12)


@bounded
@given(st.text(max_size=40) | st.builds("{} {} {}".format, metrics, relations, figures))
@example("latency_s <= 0e999 s")
@example("mfu <= 0e999")
@example("mfu >= ٣")
@example("memory.total == 1_ GB")
def test_random_lines_are_claims_or_refused_in_words(line: str) -> None:
    try:
        claim = parse_expectation(line)
    except ValueError as error:
        told = str(error)
    else:
        told = ""
        assert claim.path in METRICS
        assert math.isfinite(claim.value)
    assert "could not convert" not in told, "Python's own words"


@pytest.mark.parametrize("line", ["mfu >= ٣", "gpus == 0x10", "mfu >= 1e400", "mfu >= infinity"])
def test_values_are_plain_finite_decimal_numbers(line: str) -> None:
    with pytest.raises(ValueError, match=r"not a number|out of range"):
        parse_expectation(line)


def test_a_failing_expectation_fails_check_but_not_run(tmp_path: Path) -> None:
    path = scenario_file(tmp_path, SMALL + "expect:\n  - gpus == 8\n  - mfu >= 0.99\n  - tp == 3\n")
    assert simcluster("run", path).code == 0
    outcome = simcluster("check", path, "--json")
    assert (outcome.code, outcome.err) == (1, "")
    rows = {row["name"]: row for row in outcome.json()["checks"]}
    assert rows["gpus == 8"]["passed"]
    assert not rows["mfu >= 0.99"]["passed"]
    assert not rows["tp == 3"]["passed"]
    assert all(row["why"] and row["claimed"] and row["actual"] for row in rows.values())


def test_check_lists_the_fixed_six_then_one_row_a_line(tmp_path: Path) -> None:
    lines = ["gpus == 8", "  mfu>=0.0001", "memory.total <= 1 GB"]
    path = scenario_file(tmp_path, SMALL + "expect:\n" + "".join(f"  - '{line}'\n" for line in lines))
    outcome = simcluster("check", path, "--json")
    assert outcome.code == 0
    assert set(outcome.json()) == {"checks", "latency_s", "mfu"}
    fixed = ["gpu_count", "expert_distribution", "memory", "compute_utilization", "load_balance", "module_division"]
    assert [row["name"] for row in outcome.json()["checks"]] == fixed + lines


def test_a_claim_on_utilization_decides_the_check_of_utilization(tmp_path: Path) -> None:
    for line, passed in (
        ("mfu >= 0.99", False),
        ("compute_busy >= 0.999", False),
        ("mfu >= 0", True),
        ("tp == 9", True),
    ):
        path = scenario_file(tmp_path, SMALL + f"expect:\n  - {line}\n")
        rows = {row["name"]: row["passed"] for row in simcluster("check", path, "--json").json()["checks"]}
        assert rows["compute_utilization"] == passed, line


def test_claims_on_a_plan_that_does_not_fit_fail_without_a_number(tmp_path: Path) -> None:
    lines = ("latency_s <= 1 s", "mfu >= 0", "traffic.infiniband == 0 B", "memory.fraction >= 1", "gpus == 8")
    path = scenario_file(tmp_path, SMALL + "expect:\n" + "".join(f"  - {line}\n" for line in lines))
    outcome = simcluster("check", path, "--json", "--set", DOES_NOT_FIT)
    assert outcome.code == 1
    document = outcome.json()
    assert document["latency_s"] is None
    assert document["mfu"] is None
    passed = {row["name"]: row["passed"] for row in document["checks"]}
    assert [passed[line] for line in lines] == [False, False, False, True, True]
    assert passed["memory"] is False
