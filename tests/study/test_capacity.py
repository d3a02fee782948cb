"""What memory allows: the largest sizes are those that `run` still accepts, and every remedy does what it says."""

from __future__ import annotations

import pytest

from simcluster.errors import InputError
from simcluster.pipeline import memory_fraction, simulate
from simcluster.scenario.compile import compile_text
from simcluster.scenario.scenario import Scenario
from simcluster.study.capacity import capacity
from simcluster.study.remedies import remedies
from simcluster.timeline.capacity import Capacity, Remedy
from tests.physics_helpers import as_text

GPU = {
    "memory": "4 GB",
    "memory_bandwidth": "2 TB/s",
    "peak": {"bf16": "400 TFLOPS", "fp8": "800 TFLOPS"},
}
LINKS = {"nvlink": {"bandwidth": "400 GB/s"}, "infiniband": {"bandwidth": "50 GB/s"}}
SHAPE = {"layers": 2, "hidden": 1024, "heads": 16, "kv_heads": 4, "vocab": 32000, "precision": "bf16"}
DENSE = {**SHAPE, "mlp": {"hidden": 4096}}
WINDOWED = {**DENSE, "window": 300}
PARTLY = {**WINDOWED, "full_every": 2}
EXPERTS = {**SHAPE, "moe": {"experts": 16, "top_k": 2, "hidden": 1024}}
WIDE = {**SHAPE, "layers": 1, "kv_heads": 1, "mlp": {"hidden": 65536}}
"""Activations are nearly all that fills its memory."""

PREFILL = {"phase": "prefill", "batch": 8, "sequence": 64}
DECODE = {"phase": "decode", "batch": 8, "context": 1000}
GENERATE = {"phase": "generate", "batch": 8, "sequence": 64, "output": 50}


def _text(model: object, plan: object, workload: object, memory: str = "4 GB", **cluster: object) -> str:
    machine = {"nodes": 1, "gpus_per_node": 8, "gpu": {**GPU, "memory": memory}, **LINKS, **cluster}
    return as_text({"cluster": machine, "model": model, "plan": plan, "workload": workload})


def _read(text: str, *changes: str) -> Scenario:
    return compile_text(text, "x.yaml", changes)


def _accepted(text: str, *changes: str) -> bool:
    """Whether `run` exits with 0: the scenario is valid and fits."""
    try:
        return simulate(_read(text, *changes)).fits
    except InputError:
        return False


def _largest(text: str) -> Capacity:
    """The limits, checked: each is accepted, and one step more is not."""
    scenario = _read(text)
    found, replicas = capacity(scenario), scenario.plan.degrees.dp
    key = f"workload.{found.length_name}"
    assert found.largest_batch % replicas == 0
    for size, step, path in (
        (found.largest_batch, replicas, "workload.batch"),
        (found.largest_length, 1, key),
    ):
        assert not size or _accepted(text, f"{path}={size}")
        assert not _accepted(text, f"{path}={size + step}")
    return found


@pytest.mark.parametrize("workload", [PREFILL, DECODE, GENERATE], ids=["prefill", "decode", "generate"])
@pytest.mark.parametrize("plan", ["TP1", "TP8"])
@pytest.mark.parametrize("model", [DENSE, WINDOWED, PARTLY, WIDE], ids=["dense", "window", "partly", "wide"])
def test_one_more_does_not_fit(model: object, plan: str, workload: dict[str, object]) -> None:
    found = _largest(_text(model, plan, workload))
    assert found.largest_batch > 8
    assert found.remedies == ()


@pytest.mark.parametrize("plan", ["EP8", "TP2_EP4", "TP8"])
@pytest.mark.parametrize(("load", "block"), [({}, 64), ({"0": 3, "7": 2}, 1)], ids=["even", "uneven"])
def test_one_more_does_not_fit_with_experts(plan: str, load: dict[str, int], block: int) -> None:
    for workload in (PREFILL, DECODE, GENERATE):
        _largest(_text(EXPERTS, plan, {**workload, "expert_load": load, "kv_block": block}))


@pytest.mark.parametrize("memory", ["1 MB", "100 MB", "1 TB"])
def test_one_more_does_not_fit_from_nothing_to_plenty(memory: str) -> None:
    for workload in (PREFILL, DECODE, GENERATE):
        found = _largest(_text(DENSE, "TP4", workload, memory))
        assert (found.largest_batch == 0) == (memory == "1 MB")


@pytest.mark.parametrize(
    ("plan", "execution", "workload"),
    [
        ({"pp": 4, "tp": 2}, {}, PREFILL),
        ({"pp": 4, "tp": 2}, {}, DECODE),
        ({"pp": 4, "dp": 2}, {}, GENERATE),
        ({"pp": 2, "tp": 4}, {"microbatches": 3}, {**PREFILL, "batch": 9}),
        ({"tp": 2, "dp": 4}, {"overlap": "two-batch"}, PREFILL),
        ({"pp": 4, "dp": 2}, {"overlap": "two-batch"}, PREFILL),
        ({"cp": 8}, {}, PREFILL),
    ],
)
def test_the_largest_sizes_are_divided_by_the_plan(
    plan: dict[str, int], execution: dict[str, object], workload: dict[str, object]
) -> None:
    """And none of the next ones that are valid fits, however many microbatches there are."""
    cluster = {"nodes": 1, "gpus_per_node": 8, "gpu": {**GPU, "memory": "1 GB"}, **LINKS}
    deep = {**DENSE, "layers": 4}
    text = as_text({"cluster": cluster, "model": deep, "plan": plan, "workload": workload, "execution": execution})
    found = capacity(_read(text))
    assert _accepted(text, f"workload.batch={found.largest_batch}")
    for more in range(1, 100):
        assert not _accepted(text, f"workload.batch={found.largest_batch + more}")
    key = f"workload.{found.length_name}"
    assert _accepted(text, f"{key}={found.largest_length}")
    for more in range(1, 20):
        assert not _accepted(text, f"{key}={found.largest_length + more}")


def test_limits_are_sizes_that_a_scenario_may_ask_for() -> None:
    """Even where memory would hold more sequences than a scenario may have."""
    tiny = {"layers": 1, "hidden": 8, "heads": 2, "mlp": {"hidden": 8}, "precision": "bf16"}
    found = capacity(_read(_text(tiny, "TP1", DECODE, "1000000000 GB")))
    assert found.largest_length == 100_000_000
    assert _accepted(_text(tiny, "TP1", DECODE, "1000000000 GB"), f"workload.batch={found.largest_batch}")


def _scenario(cluster: object, model: object, plan: object, workload: dict[str, object]) -> str:
    return as_text({"cluster": cluster, "model": model, "plan": plan, "workload": workload})


H100 = {"nodes": 1, "gpus_per_node": 8, "gpu": "h100-sxm", "nvlink": {"bandwidth": "450 GB/s"}}
LATER = {"phase": "decode", "batch": 8, "context": 4096}

TOO_MUCH = {
    "weights of a dense model": _scenario(H100, "llama-3.1-70b", "TP1", LATER),
    "sequences for each GPU": _scenario(H100, "llama-3.1-70b", "TP1", {**LATER, "batch": {"per_gpu": 4}}),
    "sequences for each replica": _scenario(H100, "llama-3.1-70b", "TP1", {**LATER, "batch": {"per_replica": 4}}),
    "weights of experts": _scenario(H100, "deepseek-v3", "TP8", LATER),
    "the cache": _scenario(H100, "llama-3.1-70b", "TP8", {**LATER, "batch": 2000}),
    "a long prompt": _scenario(H100, "llama-3.1-70b", "TP8", {"phase": "prefill", "batch": 64, "sequence": 40_000}),
    "a generation": _scenario(H100, "llama-3.1-8b", "TP2", {**GENERATE, "batch": 2000, "sequence": 4096, "output": 9}),
    "as many nodes as the plan needs": _scenario(
        "dgx-h100", "llama-3.1-70b", {"tp": 1, "dp": 16}, {**LATER, "batch": 704}
    ),
}


def _remedies(text: str) -> tuple[Remedy, ...]:
    scenario = _read(text)
    return remedies(scenario, lambda changes: _read(text, *changes), capacity(scenario))


@pytest.mark.parametrize("name", TOO_MUCH)
def test_a_remedy_mends_the_scenario_as_the_user_wrote_it(name: str) -> None:
    """With its `--set` the written scenario fits, and needs the memory and the time that were told."""
    text = TOO_MUCH[name]
    assert not _accepted(text)
    found = _remedies(text)
    assert found
    for remedy in found:
        result = simulate(_read(text, *remedy.changes))
        assert result.fits, remedy.changes
        assert result.memory_fraction == pytest.approx(remedy.memory_fraction, rel=1e-9), remedy.changes
        assert result.metrics["latency_s"] == pytest.approx(remedy.latency_s, rel=1e-9), remedy.changes


@pytest.mark.parametrize("name", ["weights of a dense model", "weights of experts", "the cache"])
def test_three_remedies_are_named_where_there_are_three(name: str) -> None:
    """Narrower weights are one for experts too: 671 B parameters in int4 are 336 GB, on eight GPUs of 80 GB."""
    assert len({remedy.changes for remedy in _remedies(TOO_MUCH[name])}) == 3


@pytest.mark.parametrize("workload", [PREFILL, DECODE, GENERATE], ids=["prefill", "decode", "generate"])
@pytest.mark.parametrize(("model", "plan"), [(DENSE, "TP2"), (PARTLY, "TP8"), (EXPERTS, "EP8"), (EXPERTS, "TP2_EP4")])
def test_memory_counted_for_the_limits_is_that_of_the_run(
    model: object, plan: str, workload: dict[str, object]
) -> None:
    for changes in ((), ("workload.expert_load={3: 2}",) if model is EXPERTS else ("workload.kv_block=48",)):
        scenario = _read(_text(model, plan, workload), *changes)
        assert memory_fraction(scenario) == pytest.approx(simulate(scenario).memory_fraction, rel=1e-12)
