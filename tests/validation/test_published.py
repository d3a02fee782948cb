"""Published whole runs: the ledger's rows and units, the scenario of a run, and what is predicted of it."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from simcluster import load, units
from simcluster.pipeline import simulate
from simcluster.scenario.compile import compile_text
from simcluster.validation import published
from tools.published_rows import COLUMNS, WIDE, rows

CASES = {case.id: case for case in published.cases()}
FIRST = CASES["trtllm05-ttft-A100-Llama-2-7B-tp1-128"]
BATCH = CASES["trtllm061-h100-Llama-2-70B-tp4-128-2048"]
DECODE = CASES["dsv3-profile-decode-ep128"]
PREFILL = CASES["dsv3-profile-prefill-ep32"]
RAW = Path("../shared/data/published.csv")
SCENARIOS = Path(__file__).parents[2] / "scenarios"


def test_every_run_of_the_raw_table_is_there_once() -> None:
    """8 first tokens, 9 static batches and 3 wide deployments are ready; 210 inference and 96 training runs wait."""
    assert len(CASES) == len(published.cases()) == 326
    assert Counter(case.regime for case in CASES.values() if case.ready) == {
        "Llama-2 first token, A100": 4,
        "Llama-2 first token, H100": 4,
        "Llama-2 static batch, A100": 7,
        "Llama-2 static batch, H100": 2,
        WIDE: 3,
    }
    assert Counter(case.waits_for for case in CASES.values() if not case.ready) == {
        "in-flight batching: a scheduler of requests": 210,
        "training: backward pass and pipeline schedules": 96,
    }


def test_a_quarter_of_the_ready_runs_may_fix_the_overhead() -> None:
    """4, 4, 7 and 2 rows give 1, 1, 2 and 0; wide deployments are not asked."""
    fitted = Counter(case.regime for case in CASES.values() if case.fitted)
    assert fitted == {"Llama-2 first token, A100": 1, "Llama-2 first token, H100": 1, "Llama-2 static batch, A100": 2}
    assert all(case.ready and case.clean for case in CASES.values() if case.fitted)


@pytest.mark.parametrize(
    ("name", "measured"),
    [
        ("trtllm05-ttft-H100-Llama-2-70B-tp4-2048", 0.109),  # 109 ms
        ("trtllm014-H100-fp16-llama31-70b-tp2-1000-1000", 785.4931 / 2),  # the engine's tokens/s on two GPUs
        ("sglang-prefill-ep32-4096-perfect", 59_337 / 8),  # a node's tokens/s
        ("dsv3-profile-decode-ep128", 18_598 / 8),
        ("trtllm061-a100-Llama-2-7B-tp1-128-128", 5_586),  # a GPU's tokens/s
        ("korth-GPT3-175B-full-recompute", 18.13),  # s
    ],
)
def test_a_measurement_is_in_seconds_or_tokens_per_second_and_gpu(name: str, measured: float) -> None:
    assert CASES[name].measured == pytest.approx(measured, rel=1e-7)


def test_tokens_of_a_gpu_become_sequences_of_the_deployment() -> None:
    """16,384 tokens are 4 prompts of 4,096; 32 GPUs have 128.  128 requests on each of 128 GPUs are 16,384."""
    assert CASES["sglang-prefill-ep32-4096-perfect"].batch == PREFILL.batch == 128
    assert DECODE.batch == 16_384


def test_the_degrees_of_every_plan_multiply_to_its_gpus() -> None:
    """In the folded reading, tp·cp·pp·DP; experts sit inside."""
    for case in CASES.values():
        count = 1
        for axis, degree in re.findall(r"([A-Z]+)(\d+)", case.plan):
            count *= int(degree) if axis in ("TP", "PP", "CP", "DP") else 1
        assert count == case.gpus, case.id


def test_the_time_of_a_run_follows_from_its_rate() -> None:
    """480 · 2,048 tokens at 1,486 tokens/s on each of 4 GPUs take 165.4 s; a time is itself."""
    assert BATCH.run_seconds(1486) == pytest.approx(165.38, rel=1e-4)
    assert FIRST.run_seconds(0.016) == 0.016
    prefill = CASES["sglang-prefill-ep32-4096-perfect"]
    assert prefill.run_seconds(59_337 / 8) == pytest.approx(128 * 4096 / (4 * 59_337), rel=1e-9)
    assert DECODE.run_seconds(18_598 / 8) == pytest.approx(128 * 8 / 18_598, rel=1e-9)


def test_a_run_is_a_scenario() -> None:
    text, changes = published.scenario(BATCH, host_overhead_s=0.002)
    assert text == (
        "cluster: dgx-h100\nmodel: llama-2-70b\nplan: TP4\nworkload:\n"
        "  phase: generate\n  batch: 480\n  sequence: 128\n  output: 2048\n"
        "  kv_reads: per_query_head\n  host_overhead: 2 ms\n"
    )
    assert changes[0].startswith("model.precision={weights: fp8, compute: fp8, attention: bf16")
    assert changes[2:] == ("cluster.nodes=1", "cluster.gpus_per_node=4", "cluster.infiniband=null")
    assert "host_overhead" not in published.scenario(FIRST, host_overhead_s=0)[0]


def test_a_wide_run_has_its_execution_and_exchange() -> None:
    """A trace of kernels has no host in it; the number of nodes tells that 32 x 32 GPUs are not meant."""
    text, changes = published.scenario(DECODE)
    assert text.endswith("workload:\n  phase: decode\n  batch: 16384\n  context: 4096\n  kv_reads: per_kv_head\n")
    assert changes[2:] == (
        "execution={overlap: two-batch, expert_kernels: grouped-gemm}",
        "cluster.algorithms.all_to_all=low-latency",
        "cluster.nodes=16",
    )
    _, changes = published.scenario(PREFILL)
    assert "execution={overlap: two-batch, communication_sms: 0.15, expert_kernels: grouped-gemm}" in changes
    assert "cluster.algorithms.all_to_all=node-dedup" in changes
    measured = CASES["sglang-prefill-ep32-4096-perfect"]
    assert (measured.timed, PREFILL.timed, DECODE.timed) == ("engine", "trace", "trace")
    assert "host_overhead" in published.scenario(measured)[0]


@pytest.mark.parametrize(("stem", "case"), [("deepseek_v3_prefill", PREFILL), ("deepseek_v3_decode", DECODE)])
def test_a_shipped_scenario_gives_what_the_ledger_predicts(stem: str, case: published.Case) -> None:
    """The scenario writes the catalogue's cluster out; blocks of 64 positions divide the cache of 4,096."""
    ours = load_and_simulate(SCENARIOS / f"{stem}.yaml")
    assert published.predict(case).predicted == pytest.approx(ours, rel=1e-9)


def load_and_simulate(path: Path) -> float:
    found = simulate(load(path)).metrics["throughput_tokens_per_s_per_gpu"]
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("dsv3-profile-prefill-ep32", 0.05, 0.1),
        ("sglang-prefill-ep32-4096-perfect", 0.1, 0.17),
        ("dsv3-profile-decode-ep128", -0.08, 0.0),
    ],
)
def test_the_error_of_a_wide_deployment_is_known(name: str, low: float, high: float) -> None:
    """The mean is within the 10 % aimed at; an engine on H100s comes out 14 % too fast."""
    error = published.predict(CASES[name]).error
    assert error is not None
    assert low < error < high


def test_turns_and_free_sms_help_and_the_exchange_is_the_one_named() -> None:
    found = {
        text: published.predict(replace(PREFILL, execution=text)).predicted or 0.0
        for text in (PREFILL.execution, "overlap: two-batch, expert_kernels: grouped-gemm", "overlap: two-batch", "")
    }
    with_cost, free, fused, one_batch = found.values()
    assert one_batch < fused < with_cost < free
    direct = published.predict(replace(PREFILL, all_to_all="direct")).predicted
    assert direct is not None
    assert direct < with_cost


@pytest.mark.parametrize("changed", [{"execution": "overlap: twice"}, {"execution": "}"}, {"all_to_all": "ring"}])
def test_a_run_whose_execution_cannot_be_has_a_reason(changed: dict[str, str]) -> None:
    found = published.predict(replace(DECODE, **changed))  # type: ignore[arg-type]
    assert found.predicted is None
    assert found.reason


def test_a_first_token_is_the_latency_of_a_prefill() -> None:
    """As written by hand: fp16 takes bf16's rates, and one GPU is alone."""
    text = "cluster: dgx-a100\nmodel: llama-2-7b\nplan: TP1\nworkload: {phase: prefill, batch: 1, sequence: 128}\n"
    alone = ("cluster.gpus_per_node=1", "cluster.nodes=1", "cluster.infiniband=null")
    ours = simulate(compile_text(text, "by hand", alone)).metrics["latency_s"]
    found = published.predict(FIRST, host_overhead_s=0)
    assert ours is not None
    assert found.predicted == pytest.approx(ours, rel=1e-12)
    assert found.error == pytest.approx(ours / 0.016 - 1, rel=1e-12)


def test_the_fp8_model_is_the_lighter_one() -> None:
    half = published.predict(replace(CASES["trtllm05-ttft-H100-Llama-2-70B-tp4-2048"], precision="bf16"))
    eight = published.predict(CASES["trtllm05-ttft-H100-Llama-2-70B-tp4-2048"])
    assert eight.predicted is not None
    assert half.predicted is not None
    assert eight.predicted < half.predicted


def test_the_host_adds_its_time_to_every_step() -> None:
    """16 tokens of 2 prompts are 16 steps: a prefill, which gives the first token, and 15 of decode."""
    few = replace(CASES["trtllm061-a100-Llama-2-7B-tp1-128-128"], batch=2, output=16)
    without, within = (published.predict(few, host_overhead_s=time_s).predicted for time_s in (0, 0.003))
    assert without is not None
    assert within is not None
    assert few.run_seconds(within) - few.run_seconds(without) == pytest.approx(16 * 0.003, rel=1e-9)


def test_a_waiting_run_is_not_run() -> None:
    waiting = [case for case in CASES.values() if not case.ready]
    found = list(published.predictions(waiting))
    assert [one.case for one in found] == waiting
    assert all(one.predicted is one.error is None for one in found)


def test_a_run_that_is_no_scenario_has_a_reason() -> None:
    found = published.predict(replace(FIRST, model="llama-2-7c"))
    assert (found.predicted, found.error) == (None, None)
    assert "llama-2-7c" in found.reason


def test_memory_is_not_asked_of_a_run_that_was_measured() -> None:
    """4,096 prompts of 128 tokens at 512 KiB of cache a token are 275 GB."""
    found = published.predict(replace(FIRST, batch=4096))
    assert found.predicted is not None, found.reason


def test_a_time_is_kept_exactly() -> None:
    text, _ = published.scenario(FIRST, host_overhead_s=0.0034567)
    written = text.split("host_overhead: ")[1].strip()
    assert units.parse(written, "seconds") == 0.0034567


@pytest.mark.shared
@pytest.mark.skipif(not RAW.is_file(), reason="needs ../shared")
def test_the_ledger_is_what_the_tool_derives() -> None:
    found = rows(RAW)
    assert len(found) == len(CASES)
    assert set(found[0]) == set(COLUMNS)
    for row in found:
        case = CASES[row["id"]]
        assert float(row["measured"]) == case.measured
        assert (row["regime"], row["plan"], row["waits_for"]) == (case.regime, case.plan, case.waits_for)
        assert (row["fitted"] == "yes", row["clean"] == "yes") == (case.fitted, case.clean)
