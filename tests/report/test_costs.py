"""Cost, energy and uncertainty as text: every number with its unit."""

from __future__ import annotations

import simcluster
from simcluster.report import text
from simcluster.report.uncertainty import uncertainty
from simcluster.timeline.interval import Range, Uncertainty, interval
from simcluster.units import show_joules, show_usd, show_watts
from tests.physics_helpers import EXAMPLE, run_text

POWER = "cluster.gpu.power={idle: 100 W, busy: 700 W, memory: 500 W, network: 300 W}"


def test_run_tells_cost_energy_and_where_the_energy_goes() -> None:
    told = text.summary(run_text(EXAMPLE, "cluster.gpu.price=2.5 USD/h", POWER))
    assert "\ncost           0.00612 USD per million tokens, at 2.50 USD per GPU and hour\n" in told
    assert "\nenergy         3.848 mJ a token, at 436.6 W a GPU in the mean\n" in told
    assert "\nkernels bound by computing     2.645 ms  700 W   1.852 J     47.0 %\n" in told
    assert "\npower       datasheet  the scenario's datasheet" in told


def test_a_price_alone_tells_no_energy_and_none_nothing() -> None:
    priced, plain = text.summary(run_text(EXAMPLE, "cluster.gpu.price=2.5 USD/h")), text.summary(run_text(EXAMPLE))
    assert "\ncost  " in priced
    assert "energy" not in priced
    assert "cost  " not in plain


def test_the_arithmetic_of_a_claim_is_told() -> None:
    claims = "expect=[cost_per_million_tokens <= 0.001 USD, power_mean_w <= 0.5 kW]"
    cost, power = run_text(EXAMPLE, "cluster.gpu.price=2.5 USD/h", POWER, claims).checks[-2:]
    assert (cost.passed, power.passed) == (False, True)
    assert "2.50 USD per GPU and hour x 128 GPUs x 9.025 ms / 131,072 tokens x 1,000,000" in cost.why
    assert "5.209 ms only communicating at 300 W" in power.why


def test_money_energy_and_power_have_four_digits_and_a_unit() -> None:
    assert [show_usd(value) for value in (0, 0.0012345678, 0.1, 2.5, 1234.5)] == [
        "0.00 USD", "0.001235 USD", "0.10 USD", "2.50 USD", "1,234.50 USD",
    ]  # fmt: skip
    assert [show_joules(value) for value in (0, 2e-9, 3.8e-3, 1.5, 2500, 3e6)] == [
        "0 J", "2 nJ", "3.8 mJ", "1.5 J", "2.5 kJ", "3 MJ",
    ]  # fmt: skip
    assert [show_watts(value) for value in (0, 84, 1200)] == ["0 W", "84 W", "1.2 kW"]


def test_inputs_are_sorted_by_what_they_do_and_a_certain_one_says_so() -> None:
    found = Uncertainty(
        draws=3,
        seed=9,
        ranges={"nvlink_latency": Range(factor=1.0, source="a"), "compute_efficiency": Range(factor=1.25, source="b")},
        intervals={
            "latency_s": interval(
                2e-3, [1e-3, 2e-3, 3e-3], {"nvlink_latency": [1.0] * 3, "compute_efficiency": [1.2, 1.0, 0.9]}
            )
        },
    )
    told = uncertainty(found).splitlines()
    assert told[0] == "Uncertainty (3 draws of the hardware, seed 9)"
    (latency,) = (line for line in told if line.startswith("latency"))
    assert latency.split()[1:9] == ["1.1", "ms", "2", "ms", "2.9", "ms", "2", "ms"]
    assert latency.endswith("compute efficiency (100.0 %, -1.00)")
    inputs = [line.split("  ")[0] for line in told[-2:]]
    assert inputs == ["compute efficiency", "NVLink latency"]
    assert "1 (certain)" in told[-1]


def test_the_catalogue_s_gpus_state_their_power_and_no_price() -> None:
    for name in ("a100-sxm", "h100-sxm", "h200-sxm", "h800-sxm", "b200-sxm", "l40s", "mi300x"):
        scenario = simcluster.load("scenarios/ep64_tp2_pp1.yaml", [f"cluster.gpu={name}", "model.precision=bf16"])
        power = scenario.cluster.gpu.power
        assert power is not None
        assert 0 < power.idle_w < power.network_w < power.memory_w < power.busy_w
        assert "assumed" in power.source
        assert scenario.cluster.gpu.price_usd_per_h is None
