"""The shipped measurements, predicted again: how far the collectives' times are from those of real machines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.edge_helpers import simcluster

Regime = dict[str, Any]
KEPT_BACK = ", rows kept back"
ONE_NODE, SEVERAL = ", one node, ", ", several nodes, "
NOT_NCCL = ("custom_all_reduce", ", older, ", ", ring, ", " moe_")


@pytest.fixture(scope="module")
def document() -> dict[str, list[Regime]]:
    outcome = simcluster("validate", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    found: dict[str, list[Regime]] = outcome.json()
    assert list(found) == ["regimes", "cases"]
    return found


@pytest.fixture(scope="module")
def regimes(document: dict[str, list[Regime]]) -> list[Regime]:
    return document["regimes"]


@pytest.fixture(scope="module")
def cases(document: dict[str, list[Regime]]) -> list[Regime]:
    return document["cases"]


def _mean(regimes: list[Regime], wanted: Callable[[str], bool]) -> float:
    """The mean error of the regimes, each counted by its points; at least a hundred points in all."""
    chosen = [one for one in regimes if wanted(one["regime"])]
    points = sum(one["points"] for one in chosen)
    assert points >= 100, [one["regime"] for one in chosen]
    return float(sum(one["points"] * one["mean"] for one in chosen) / points)


def _nccl(regime: str) -> bool:
    return not any(word in regime for word in NOT_NCCL)


def test_every_regime_has_its_figures(regimes: list[Regime]) -> None:
    assert len(regimes) > 80
    assert len({one["regime"] for one in regimes}) == len(regimes)
    for one in regimes:
        assert {"regime", "points", "mean", "median", "worst", "fitted", "source"} <= set(one)
        assert one["points"] >= 1
        assert isinstance(one["fitted"], bool)
        assert one["source"]
        if one["regime"].endswith(KEPT_BACK):
            assert 0 < one["mean"] < 0.08
            assert one["median"] is one["worst"] is one["bias"] is None
            continue
        assert 0 <= one["median"] <= one["worst"]
        assert 0 <= one["mean"] <= one["worst"]
        assert abs(one["bias"]) <= one["mean"] * (1 + 1e-9)


@pytest.mark.parametrize(
    ("regime", "points", "mean"),
    [
        ("h100-sxm gemm/bf16", 4_534, 0.025),
        ("h100-sxm moe/fp8_block", 1_649, 0.016),
        ("a100-sxm attention_decode", 637, 0.0623),
        ("b200-sxm gemm/nvfp4", 3_758, 0.015),
    ],
)
def test_kernels_have_the_recorded_errors_of_rows_kept_back(
    regimes: list[Regime], regime: str, points: int, mean: float
) -> None:
    """15 % of the rows, such as of 30,230 GEMMs on H100; the mean of the tables, weighted with their rows."""
    (one,) = (one for one in regimes if one["regime"] == f"{regime}, rows kept back")
    assert (one["points"], one["fitted"]) == (points, False)
    assert one["mean"] == pytest.approx(mean, abs=0.0006)
    assert "aiconfigurator-core" in one["source"]


def test_every_profile_and_family_of_kernels_has_its_regime(regimes: list[Regime]) -> None:
    found = [one["regime"] for one in regimes if one["regime"].endswith(KEPT_BACK)]
    assert {name.split(" ")[0] for name in found} == {"a100-sxm", "b200-sxm", "h100-sxm", "h200-sxm"}
    assert {name.split(" ")[1].split("/")[0].rstrip(",") for name in found} == {
        "attention_prefill", "attention_decode", "gemm", "mla_prefill", "mla_decode", "moe", "moe-skewed"
    }  # fmt: skip


def test_one_node_from_1_mib_is_within_6_percent(regimes: list[Regime]) -> None:
    assert _mean(regimes, lambda name: _nccl(name) and ONE_NODE in name and name.endswith("from 1 MiB")) <= 0.06


def test_one_node_at_all_sizes_is_within_9_percent(regimes: list[Regime]) -> None:
    assert _mean(regimes, lambda name: _nccl(name) and ONE_NODE in name and name.endswith("all sizes")) <= 0.09


def test_several_nodes_from_16_mib_are_within_10_percent(regimes: list[Regime]) -> None:
    assert _mean(regimes, lambda name: _nccl(name) and SEVERAL in name and name.endswith("from 16 MiB")) <= 0.10


@pytest.mark.parametrize("ranks", [8, 16, 32])
@pytest.mark.parametrize("phase", ["moe_dispatch", "moe_combine"])
@pytest.mark.parametrize("mode", ["normal", "low_latency"])
def test_an_expert_exchange_is_within_12_percent(regimes: list[Regime], ranks: int, phase: str, mode: str) -> None:
    (one,) = (one for one in regimes if one["regime"] == f"h100 {phase} {mode}, EP{ranks}")
    assert one["mean"] <= 0.12
    assert one["points"] > 20


@pytest.mark.parametrize("machine", ["a100", "h100", "h200", "b200"])
@pytest.mark.parametrize("kind", ["all_reduce", "all_gather", "reduce_scatter", "all_to_all"])
def test_every_machine_and_kind_on_one_node_is_within_9_percent(regimes: list[Regime], machine: str, kind: str) -> None:
    (one,) = (one for one in regimes if one["regime"] == f"{machine} {kind}, one node, all sizes")
    assert one["mean"] <= 0.09
    assert one["points"] >= 90


def test_what_took_no_part_in_the_fit_says_so(regimes: list[Regime]) -> None:
    fitted = {one["regime"]: one["fitted"] for one in regimes}
    assert not any(fitted[name] for name in fitted if ", older, " in name or "EP64" in name or name.startswith("h800"))
    assert all(fitted[name] for name in fitted if name.startswith("h100 all_reduce, one node, all sizes"))
    network = [name for name in fitted if not name.endswith(KEPT_BACK)]
    assert sum(fitted[name] for name in network) > len(network) / 2


def test_every_published_run_is_listed(cases: list[Regime]) -> None:
    assert len({one["id"] for one in cases}) == len(cases) == 326
    for one in cases:
        assert isinstance(one["fitted"], bool)
        assert isinstance(one["clean"], bool)
        assert one["measured"] > 0
        assert (one["waits_for"] != "") == (one["status"] == "waiting")
        assert (one["reason"] != "") == (one["status"] == "failed")


def test_a_waiting_run_is_never_scored(regimes: list[Regime], cases: list[Regime]) -> None:
    waiting = [one for one in cases if one["status"] == "waiting"]
    assert len(waiting) == 306
    assert all(one["predicted"] is one["error"] is None for one in waiting)
    names = {one["regime"] for one in regimes}
    assert not names & {one["regime"] for one in waiting}


def test_the_error_of_a_published_run_is_that_of_its_metric(cases: list[Regime]) -> None:
    """All that are ready, none of them further off than a factor of three."""
    scored = [one for one in cases if one["status"] == "scored"]
    assert len(scored) == 20
    for one in scored:
        assert 1 / 3 < one["predicted"] / one["measured"] < 3
        assert one["error"] == pytest.approx((one["predicted"] - one["measured"]) / one["measured"], rel=1e-9)


def test_a_regime_of_published_runs_is_the_mean_of_its_cases(regimes: list[Regime], cases: list[Regime]) -> None:
    means = {one["regime"]: one for one in regimes}
    for fitted, ending in ((False, ""), (True, ", fitted")):
        scored = [one for one in cases if one["status"] == "scored" and one["fitted"] is fitted]
        chosen = [one for one in scored if one["regime"].startswith("Llama-2")]
        every = means[f"published inference, one node, clean setup{ending}"]
        assert every["points"] == len(chosen)
        assert every["mean"] == pytest.approx(sum(abs(one["error"]) for one in chosen) / len(chosen), rel=1e-9)
        assert every["fitted"] is fitted
        first = [one for one in chosen if one["regime"] == "Llama-2 first token, A100"]
        assert means[f"Llama-2 first token, A100{ending}"]["points"] == len(first)
    wide = [one for one in cases if one["regime"] == "published wide-EP deployments"]
    assert means["published wide-EP deployments"]["points"] == len(wide) == 3
    assert means["published inference, several nodes, clean setup"]["points"] == 2
    assert not any(one["fitted"] for one in wide)


@pytest.mark.parametrize(
    ("name", "kernels"),
    [
        ("published kernels, DeepSeek-V3 training trace", {"mla_prefill": 1, "grouped_gemm": 2}),
        ("published kernels, DeepGEMM", {"grouped_gemm": 8, "gemm": 20}),
    ],
)
def test_published_kernels_are_scored_together_and_by_kind(
    name: str, kernels: dict[str, int], regimes: list[Regime]
) -> None:
    means = {one["regime"]: one for one in regimes if one["regime"].startswith(name)}
    every = means.pop(name)
    assert {regime: one["points"] for regime, one in means.items()} == {
        f"{name}, {kernel}": points for kernel, points in kernels.items()
    }
    assert (every["points"], every["fitted"]) == (sum(kernels.values()), False)
    total = sum(one["mean"] * one["points"] for one in means.values())
    assert every["mean"] == pytest.approx(total / sum(kernels.values()), rel=1e-9)
