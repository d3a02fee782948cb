"""The audit confirms and refutes, and its sentences are made of computed numbers."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

import simcluster
from simcluster.audit.audit import audit
from simcluster.audit.expectation import parse_expectation
from simcluster.timeline.check import Check
from simcluster.timeline.metric import METRICS, OF_GENERATION, OF_POWER, OF_PRICE
from simcluster.timeline.result import Result

EXAMPLE = Path(__file__).parents[2] / "scenarios" / "ep64_tp2_pp1.yaml"
FIXED = (
    "gpu_count",
    "expert_distribution",
    "memory",
    "compute_utilization",
    "load_balance",
    "module_division",
)
VARIANTS = ((), ("plan=EP8",), ("cluster.infiniband.bandwidth=1.6 Tbit/s", "workload.sequence=512"))
CHANGING = (
    "mfu >= 0.839",
    "exposed_communication <= 0.05",
    "memory.total == 57.17 MB",
    "memory.activations == 16.78 MB",
)


@cache
def simulated(*overrides: str) -> Result:
    return simcluster.simulate(simcluster.load(EXAMPLE, overrides))


def named(result: Result, name: str) -> Check:
    return next(check for check in result.checks if check.name == name)


def test_the_six_come_first_then_every_claim_in_order() -> None:
    result = simulated()
    claims = simcluster.load(EXAMPLE).expect
    assert [check.name for check in result.checks] == [*FIXED, *(claim.line for claim in claims)]


def test_the_document_is_refuted_where_it_is_wrong_and_confirmed_where_it_is_right() -> None:
    passed = {check.name: check.passed for check in simulated().checks}
    assert passed["gpus == 128"]
    assert passed["balance.expert_load_variance == 0"]
    assert passed["memory.expert_weights == 32 MiB"]
    assert not passed["memory.attention_weights == 8.39 MB"]
    assert not passed["mfu >= 0.839"]
    assert not passed["compute_busy >= 0.85"]
    assert not passed["exposed_communication <= 0.05"]
    assert not passed["compute_utilization"]


@pytest.mark.parametrize("line", CHANGING)
def test_a_changed_scenario_changes_the_sentence(line: str) -> None:
    sentences = {named(simulated(*overrides), line).why for overrides in VARIANTS}
    assert len(sentences) == len(VARIANTS)


@pytest.mark.parametrize("overrides", VARIANTS)
def test_the_mfu_sentence_multiplies_out(overrides: tuple[str, ...]) -> None:
    """`X GFLOP per GPU / (Y TFLOPS x Z ms) = W %`: the printed factors give the printed quotient."""
    why = named(simulated(*overrides), "mfu >= 0.839").why
    match = re.search(r"([\d.]+) GFLOP per GPU / \(([\d.]+) TFLOPS x ([\d.]+) ms\) = ([\d.]+) %", why)
    assert match is not None, why
    gflop, tflops, milliseconds, percent = (float(group) for group in match.groups())
    assert gflop / (tflops * milliseconds) * 100 == pytest.approx(percent, abs=0.06)


def test_a_refutation_says_how_far_off_the_claim_is() -> None:
    """Four times low: the document leaves out a factor the simulation has."""
    check = named(simulated(), "memory.attention_weights == 8.39 MB")
    assert check.actual == "33.55 MB"
    assert check.why.startswith("refuted (the claim is 4 times too low): 16 layers x (QKV 1,024 x 1,536")


def test_the_exposed_communication_is_blamed_on_the_all_to_alls() -> None:
    why = named(simulated(), "exposed_communication <= 0.05").why
    assert "moe.combine takes 2.844 ms: 16 x 8.258 MB sent by a GPU" in why
    assert "limited by the NICs" in why


@pytest.mark.parametrize("path", METRICS)
def test_every_metric_can_be_claimed_and_explained(path: str) -> None:
    """A true claim about any metric is confirmed with its value in the row, a false one refuted."""
    power = "{idle: 100 W, busy: 700 W, memory: 500 W, network: 300 W}"
    stated = {
        **dict.fromkeys(OF_GENERATION, "workload={phase: generate, batch: 128, sequence: 64, output: 40}"),
        **dict.fromkeys(OF_PRICE, "cluster.gpu.price=2.50 USD/h"),
        **dict.fromkeys(OF_POWER, f"cluster.gpu.power={power}"),
    }
    result = simulated("plan=EP8", *([stated[path]] if path in stated else []))
    value = result.metrics[path]
    assert value is not None
    units = {"bytes": " B", "seconds": " s", "FLOP": " FLOP", "USD": " USD", "joules": " J", "watts": " W"}
    unit = units.get(METRICS[path], "")
    true, false = (
        audit(result, [parse_expectation(f"{path} {relation} {value!r}{unit}")])[-1] for relation in ("<=", ">")
    )
    assert true.passed
    assert not false.passed
    assert true.why.startswith("confirmed: ")
    assert false.why.startswith("refuted")
    assert len(true.why) > len("confirmed: ") + 10


@pytest.mark.parametrize("path", [*OF_PRICE, *OF_POWER])
def test_a_claim_about_costs_without_a_price_or_power_says_what_states_it(path: str) -> None:
    check = audit(simulated("plan=EP8"), [parse_expectation(f"{path} <= 0")])[-1]
    assert (check.passed, check.actual) == (False, "none")
    assert ("cluster.gpu.price" if path in OF_PRICE else "cluster.gpu.power") in check.why


def test_a_claim_about_tokens_where_none_are_generated_says_so() -> None:
    check = named(simulated("expect=[tpot_s <= 30 ms]"), "tpot_s <= 30 ms")
    assert not check.passed
    assert "workload.phase: generate gives one" in check.why


def test_a_plan_that_does_not_fit_fails_the_memory_check_and_every_claim_about_time() -> None:
    result = simulated("cluster.gpu.memory=100 MB")
    assert not result.fits
    assert not named(result, "memory").passed
    assert "31.1 MB too much" in named(result, "memory").why
    assert named(result, "mfu >= 0.839").actual == "none"
    assert not named(result, "mfu >= 0.839").passed
    assert named(result, "memory.expert_weights == 32 MiB").passed


def test_without_claims_on_utilization_that_check_passes_and_gives_the_figures() -> None:
    result = simulated("expect=[gpus == 128]")
    check = named(result, "compute_utilization")
    assert check.passed
    assert check.claimed == "nothing claimed"
    assert check.actual == "mfu 20.0 %, compute_busy 42.3 %"
