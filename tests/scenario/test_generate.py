"""Scenarios that generate: keys, what `show` writes, overrides of parts, expectations, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from simcluster.errors import InputError
from simcluster.pipeline import simulate
from simcluster.scenario.compile import compile_text
from simcluster.scenario.render import render
from tests.edge_helpers import simcluster

SCENARIOS = Path(__file__).parents[2] / "scenarios"
GENERATE = """cluster: {nodes: 1, gpus_per_node: 4, gpu: h100-sxm, nvlink: {bandwidth: 450 GB/s}}
model: llama-3.1-8b
plan: TP4
workload: {phase: generate, batch: 4, sequence: 100, output: 12}
"""
LATENT = GENERATE.replace("llama-3.1-8b", "deepseek-v2-lite")


def _refused(*overrides: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        compile_text(GENERATE, "x.yaml", overrides)
    return [str(mistake) for mistake in caught.value.mistakes]


@pytest.mark.parametrize(
    ("text", "overrides"),
    [
        (GENERATE, ()),
        (GENERATE, ("workload.output=1",)),
        (GENERATE, ("workload.output=40", "workload.host_overhead=1 ms", "workload.kv_block=16")),
        (GENERATE, ("workload.batch={per_gpu: 2}", "workload.kv_reads=per_query_head")),
        (GENERATE, ("cluster.gpu.profile=h200-sxm",)),
        (GENERATE, ("cluster.gpu.efficiency.memory=0.5",)),
        (GENERATE, ("model.window=64", "model.full_every=2", "model.qk_norm=true")),
        (GENERATE, ("model.precision.weights=int4", "model.precision.vocabulary=bf16")),
        (LATENT, ("model.latent.kv_rank=256", "model.latent.q_rank=512")),
        (LATENT, ("model.precision.expert_weights=mxfp4", "workload.expert_load={3: 2}")),
    ],
)
def test_what_is_shown_is_a_scenario_with_the_same_result(text: str, overrides: tuple[str, ...]) -> None:
    scenario = compile_text(text, "x.yaml", overrides)
    shown = compile_text(render(scenario), "y.yaml")
    assert shown == scenario
    assert render(shown) == render(scenario)
    assert simulate(shown).as_dict() == simulate(scenario).as_dict()


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("workload.steps", "3", "has no effect in generate"),
        ("workload.context", "5", "has no effect in generate; use sequence and output"),
        ("workload.output", "0", "0 is too small; it must be at least 1"),
        ("workload.output", "1.5", "expected a whole number, got 1.5"),
        ("workload.output", "100000001", "it must be at most 100,000,000"),
        ("workload.kv_block", "0", "0 is too small"),
        ("workload.kv_reads", "once", "once is not one of 'per_kv_head', 'per_query_head'"),
        ("workload.host_overhead", "3", "3 has no unit; write it as 3 us"),
        ("workload.phase", "generation", "is not one of 'prefill', 'decode', 'generate'"),
        ("model.precision.expert_weights", "fp9", "fp9 is not one of"),
        ("model.latent.kv_rank", "512", "nope_dim: missing"),
        ("cluster.gpu.profile", "h101", "no profile is called 'h101'; known: a100-sxm"),
    ],
)
def test_a_bad_value_is_told_with_its_place_and_what_fits(key: str, value: str, said: str) -> None:
    told = _refused(f"{key}={value}")
    assert all(line.startswith(f"--set {key}={value}: ") for line in told)
    assert any(said in line for line in told)


def test_bad_values_are_told_all_at_once() -> None:
    bad = {
        "workload.output": "0",
        "workload.kv_reads": "once",
        "model.precision.expert_weights": "fp9",
        "cluster.gpu.profile": "h101",
    }
    told = _refused(*(f"{key}={value}" for key, value in bad.items()))
    assert {key: sum(f"--set {key}=" in line for line in told) for key in bad} == dict.fromkeys(bad, 1)


@pytest.mark.parametrize("key", ["sequence", "output"])
def test_a_generation_needs_a_sequence_and_an_output(key: str) -> None:
    with pytest.raises(InputError, match=f"{key} is missing; generate needs it"):
        compile_text(GENERATE.replace(f"{key}:", "kv_block:"), "x.yaml")


@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_only_a_generation_has_an_output(phase: str) -> None:
    told = _refused(f"workload.phase={phase}")
    assert any("workload.output: has no effect" in line for line in told)


def test_an_efficiency_of_ones_own_takes_the_measured_kernels_away() -> None:
    def profile(*overrides: str) -> str | None:
        found = compile_text(GENERATE, "x.yaml", overrides).cluster.gpu.profile
        return found.name if found is not None else None

    known = compile_text(GENERATE, "x.yaml").cluster.gpu
    assert profile() == "h100-sxm"
    assert profile(f"cluster.gpu.efficiency.memory={known.memory_efficiency}") == "h100-sxm"
    assert profile("cluster.gpu.efficiency.memory=0.5") is None
    assert profile("cluster.gpu.efficiency.memory=0.5", "cluster.gpu.profile=h100-sxm") == "h100-sxm"


def test_expectations_on_a_generation_are_confirmed_or_refuted(tmp_path: Path) -> None:
    path = tmp_path / "generate.yaml"
    lines = ["ttft_s <= 1 s", "tpot_s < 1 ns", "integration_error <= 0.5 %"]
    path.write_text(GENERATE + "expect:\n" + "".join(f"  - {line}\n" for line in lines), encoding="utf-8")
    outcome = simcluster("check", path, "--json")
    passed = {check["name"]: check["passed"] for check in outcome.json()["checks"]}
    assert outcome.code == 1
    assert [passed[line] for line in lines] == [True, False, True]


@pytest.mark.parametrize("metric", ["ttft_s <= 1 s", "tpot_s <= 1 s", "integration_error <= 1 %"])
def test_an_expectation_that_only_a_generation_can_meet_says_so(metric: str, tmp_path: Path) -> None:
    path = tmp_path / "prefill.yaml"
    text = GENERATE.replace("phase: generate", "phase: prefill").replace(", output: 12", "")
    path.write_text(f"{text}expect: ['{metric}']\n", encoding="utf-8")
    outcome = simcluster("check", path)
    assert outcome.code == 1
    assert "generate" in outcome.out.split(metric)[1]


def test_a_generation_prints_its_phases_and_what_still_fits() -> None:
    outcome = simcluster("run", SCENARIOS / "llama_3_70b.yaml", "--set", "workload.output=9", "--no-advise")
    assert outcome.code == 0
    for words in ("first token", "per token", "prefill", "decode", "Largest that fits"):
        assert words in outcome.out


def test_how_often_a_kernel_reads_the_cache_is_refused_where_it_has_no_effect() -> None:
    """A latent is shared by all heads."""
    with pytest.raises(InputError, match="kv_reads: has no effect"):
        compile_text(LATENT, "x.yaml", ["workload.kv_reads=per_query_head"])
