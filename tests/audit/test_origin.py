"""Where a refuted figure can have come from, found by search and not by a table of known documents."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

import simcluster
from simcluster.audit.expectation import parse_expectation
from simcluster.audit.origin import origin
from simcluster.timeline.result import Result

ROOT = Path(__file__).parents[2]


@cache
def simulated(name: str, *overrides: str) -> Result:
    return simcluster.simulate(simcluster.load(ROOT / "scenarios" / name, overrides))


def explained(result: Result, *lines: str) -> str:
    """The origin of the first line among all of them."""
    claims = [parse_expectation(line) for line in lines]
    return origin(result, claims[0], claims)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("memory.attention_weights == 8.39 MB", "the output projection alone"),
        ("memory.expert_weights == 32.0 MB", "memory.expert_weights, in MiB under the name MB"),
        ("memory.activations == 16.78 MB", "the tensor outputs alone"),
        ("memory.total == 57.17 MB", "8.39 + 32.0 + 16.78, the claims on"),
        ("memory.fraction <= 0.0009", "57.17 / 64,000, the claims on memory.total over the memory in MB"),
        (
            "flops_per_gpu.attention == 67.11 TFLOP",
            "without attention.core / tokens of a replica (2,048), with a prefix",
        ),
        ("flops_per_gpu.experts == 268.44 TFLOP", "flops_per_gpu.experts / tokens of a replica (2,048), with a prefix"),
        ("mfu >= 0.839", "(67.11 + 268.44) / 400, the claims on flops_per_gpu.attention and flops_per_gpu.experts"),
        ("modules.layer.gpus_per_module == 8", "modules.layer.gpus_per_module / layers (16)"),
    ],
)
def test_every_wrong_figure_of_the_document_is_traced(line: str, words: str) -> None:
    check = next(check for check in simulated("planning_document.yaml").checks if check.name == line)
    assert not check.passed
    assert words in check.why


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (1 / 32, "memory.kv_cache / layers or heads (32)"),
        (1e6 / 2**20, "memory.kv_cache, in MiB under the name MB"),
        (8.0, "in bits under the name bytes"),
    ],
)
def test_another_scenario_s_confusions_are_found_too(factor: float, words: str) -> None:
    result = simulated("mixtral_prefill.yaml")
    value = result.memory["kv_cache"].bytes * factor
    assert words in explained(result, f"memory.kv_cache == {value / 1e6:.3f} MB")


@pytest.mark.parametrize("value", ["31.73 MB", "71.89 MB", "413.7 MB"])
def test_a_figure_from_nowhere_stays_unexplained(value: str) -> None:
    assert explained(simulated("mixtral_prefill.yaml"), f"memory.kv_cache == {value}") == ""


def test_a_change_of_the_scenario_changes_the_origin() -> None:
    halved = simulated("planning_document.yaml", "workload.sequence=512")
    check = next(check for check in halved.checks if check.name == "flops_per_gpu.experts == 268.44 TFLOP")
    assert "tokens of a replica (1,024)" in check.why
