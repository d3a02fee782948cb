"""Crossovers against closed forms, where both plans' latencies are known functions of a bandwidth."""

from __future__ import annotations

import pytest

from simcluster.errors import InputError
from simcluster.pipeline import simulate
from simcluster.scenario.compile import compile_text
from simcluster.study import crossover as module
from simcluster.study.crossover import crossover
from simcluster.study.span import Span, parse_span
from simcluster.timeline.crossover import Crossover, Point
from simcluster.units import parse
from tests.edge_helpers import SMALL
from tests.physics_helpers import EXAMPLE, IDEAL

TOY = (
    *IDEAL,
    "workload={phase: decode, batch: 64, context: 64}",
    "cluster.gpu.memory_bandwidth=0.1 TB/s",
    "model.hidden=1024",
    "model.moe.hidden=2048",
)
"""Two nodes of four GPUs: EP8 reads half of EP4's expert weights, and pays for it with bytes between nodes."""

BANDWIDTH = "cluster.infiniband.bandwidth"


def race(over: str, *overrides: str, plans: tuple[str, str] = ("EP8", "EP4"), **how: float) -> Crossover:
    return crossover(SMALL, "x.yaml", plans, parse_span(over), overrides=(*TOY, *overrides), tolerance=1e-9, **how)  # type: ignore[arg-type]


def closed_form() -> float:
    """L(EP4) = A, L(EP8) = B + bytes off the node / bandwidth while NICs are fullest, so they meet at bytes/(A - B)."""
    results = [
        simulate(compile_text(SMALL, "x.yaml", (*TOY, f"plan={plan}", f"{BANDWIDTH}=1 GB/s")))
        for plan in ("EP8", "EP4")
    ]
    sent = sum(row.bytes_infiniband for row in results[0].by_operation)
    inside_s = (results[0].metrics["latency_s"] or 0) - sent / 1e9
    assert sum(row.bytes_infiniband for row in results[1].by_operation) == 0
    return sent / ((results[1].metrics["latency_s"] or 0) - inside_s)


def test_the_crossing_is_where_the_formula_has_it() -> None:
    found = race(f"{BANDWIDTH}=1 Gbit/s..10 Tbit/s")
    (crossing,) = found.crossings
    assert crossing.at.value == pytest.approx(closed_form(), rel=1e-8)
    assert (crossing.leads_below, crossing.leads_above) == ("EP4", "EP8")
    assert crossing.at.ratio == pytest.approx(1, rel=1e-8)
    assert crossing.low.value <= crossing.at.value <= crossing.high.value
    assert "EP8 overtakes EP4 at cluster.infiniband.bandwidth = 4.6784 Gbit/s" in found.verdict


def test_the_order_of_the_plans_does_not_matter() -> None:
    over = f"{BANDWIDTH}=1 Gbit/s..10 Tbit/s"
    one, other = race(over), race(over, plans=("EP4", "EP8"))
    assert one.crossings[0].at.value == other.crossings[0].at.value
    assert one.verdict == other.verdict


def test_a_tolerance_is_kept() -> None:
    found = crossover(SMALL, "x.yaml", ("EP8", "EP4"), parse_span(f"{BANDWIDTH}=1 Gbit/s..10 Tbit/s"), overrides=TOY)
    (crossing,) = found.crossings
    assert crossing.at.value == pytest.approx(closed_form(), rel=1e-4)
    assert crossing.at.value != pytest.approx(closed_form(), rel=1e-9)


@pytest.mark.parametrize("over", ["10 Gbit/s..10 Tbit/s", "1 Mbit/s..1 Gbit/s"])
def test_a_crossing_outside_of_the_range_is_found_there(over: str) -> None:
    found = race(f"{BANDWIDTH}={over}")
    assert found.crossings == ()
    (crossing,) = found.outside
    assert crossing.at.value == pytest.approx(closed_form(), rel=1e-8)
    assert "No crossing from" in found.verdict
    assert "Outside of the range: EP8 overtakes EP4" in found.verdict


def test_where_none_crosses_the_factors_and_what_it_would_take_are_said() -> None:
    """The example: no InfiniBand lets EP64_TP2_PP1 catch EP8, because of what it does on NVLink."""
    span = parse_span(f"{BANDWIDTH}=100 Gbit/s..10 Tbit/s")
    found = crossover(EXAMPLE, "x.yaml", ("EP64_TP2_PP1", "EP8"), span)
    assert found.crossings == found.outside == ()
    ratios = [point.ratio for point in (*found.scan, *found.beyond)]
    assert all(ratio is not None and ratio > 1 for ratio in ratios)
    assert (
        "EP8 is faster throughout; EP64_TP2_PP1 takes 5.203 x at 100 Gbit/s and 1.204 x at 10 Tbit/s" in found.verdict
    )
    assert "Nor do they meet outside of it" in found.verdict
    assert "EP64_TP2_PP1 would have to save" in found.verdict
    assert "more NVLink" in found.verdict


def test_counts_cross_between_neighbours() -> None:
    found = crossover(EXAMPLE, "x.yaml", ("EP64_TP2_PP1", "EP8"), parse_span("workload.sequence=16..4096"))
    (crossing,) = found.crossings
    assert crossing.high.value - crossing.low.value == 1
    assert crossing.at.value == crossing.high.value
    for value, ahead in ((crossing.low, "EP64_TP2_PP1"), (crossing.high, "EP8")):
        latencies = [
            simulate(compile_text(EXAMPLE, "x.yaml", (f"plan={plan}", f"workload.sequence={value.value:.0f}"))).metrics
            for plan in found.plans
        ]
        first, second = (metrics["latency_s"] or 0 for metrics in latencies)
        assert ahead == found.plans[0 if first < second else 1]


def test_every_change_of_the_lead_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Latencies 1 and 1 + (x - 2)(x - 5)(x - 7)/1000 seconds at x GB/s: the lead changes at 2, 5 and 7."""

    def at(_race: object, span: Span, value: float) -> Point:
        x = value / 1e9
        return Point(value=value, text=span.shown(value), latencies_s=(1 + (x - 2) * (x - 5) * (x - 7) / 1000, 1.0))

    monkeypatch.setattr(module._Race, "at", at)
    found = race(f"{BANDWIDTH}=1 GB/s..10 GB/s")
    assert [one.at.value / 1e9 for one in found.crossings] == pytest.approx([2, 5, 7], rel=1e-6)
    assert [one.leads_above for one in found.crossings] == ["EP4", "EP8", "EP4"]
    assert found.verdict.startswith("The lead changes 3 times. EP4 overtakes EP8 at")


def test_points_that_tie_are_a_crossing_only_if_the_lead_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Latencies that are equal to the bit from 3 to 5 GB/s; beyond, the other plan leads, or the same one again."""

    def at(_race: object, span: Span, value: float) -> Point:
        x = value / 1e9
        first = 1.1 if x < 3 else 1.0 if x < 5 else last
        return Point(value=value, text=span.shown(value), latencies_s=(first, 1.0))

    monkeypatch.setattr(module._Race, "at", at)
    last = 0.9
    (crossing,) = race(f"{BANDWIDTH}=1 GB/s..10 GB/s").crossings
    assert crossing.exact
    assert 3e9 <= crossing.at.value < 5e9
    last = 1.1
    monkeypatch.setattr(module._Race, "behind", lambda *_: "")
    assert race(f"{BANDWIDTH}=1 GB/s..10 GB/s").crossings == ()


def test_plans_that_a_value_does_not_touch_are_told_so() -> None:
    found = race(f"{BANDWIDTH}=1 Gbit/s..10 Gbit/s", plans=("EP4", "TP4"))
    assert (found.crossings, found.outside, found.beyond) == ((), (), ())
    assert "cluster.infiniband.bandwidth changes neither plan's latency" in found.verdict


def test_points_where_a_plan_does_not_fit_are_left_out_with_the_reason() -> None:
    found = race("cluster.gpu.memory=1 MB..1 GB")
    bad = [point for point in found.scan if point.ratio is None]
    assert bad
    assert all("does not fit" in point.reason for point in bad)
    everywhere = race("cluster.gpu.memory=1 kB..1 MB")
    assert everywhere.verdict.startswith("No value from 1 kB to 1 MB lets both plans run: EP8 does not fit")


@pytest.mark.parametrize(
    ("plans", "over", "message"),
    [
        (("EP8", "EP8"), f"{BANDWIDTH}=1 GB/s..2 GB/s", "the same plan"),
        (("EP8", "FOO"), f"{BANDWIDTH}=1 GB/s..2 GB/s", "--between FOO: plan: 'FOO' is not a plan"),
        (("EP8", "EP7"), f"{BANDWIDTH}=1 GB/s..2 GB/s", "EP7 asks for 7 GPUs"),
        (("EP8", "EP4"), "cluster.infiniband.bandwith=1 GB/s..2 GB/s", "did you mean bandwidth"),
        (("EP8", "EP4"), f"{BANDWIDTH}=1..2", "has no unit"),
    ],
)
def test_what_no_end_allows_is_refused(plans: tuple[str, str], over: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        race(over, plans=plans)


@pytest.mark.parametrize("tolerance", [0.0, 1.0, -1.0, float("nan")])
def test_a_tolerance_that_is_none_is_refused(tolerance: float) -> None:
    with pytest.raises(InputError, match="is no tolerance"):
        crossover(SMALL, "x.yaml", ("EP8", "EP4"), parse_span(f"{BANDWIDTH}=1 GB/s..2 GB/s"), tolerance=tolerance)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a", "expected PATH=LO..HI"),
        ("a=1", "expected PATH=LO..HI"),
        ("a=..2", "expected PATH=LO..HI"),
        ("=1..2", "expected PATH=LO..HI"),
        ("a=2..1", "write the smaller value first"),
        ("a=1..1", "write the smaller value first"),
        ("a=1 GB/s..2 us", "the unit us measures seconds"),
        ("a=1..2 us", "both ends need a unit"),
        ("a=-1..2", "neither is negative"),
        ("a=x..y", "neither a number nor a quantity"),
        ("plan=1..2", "the plans are what is compared"),
        ("plan.tp=1..2", "the plans are what is compared"),
    ],
)
def test_a_range_that_is_none_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_span(text)


def test_a_range_is_scanned_evenly_on_its_scale() -> None:
    logarithmic = parse_span("a=1 GB/s..256 GB/s").scan(9)
    assert logarithmic == pytest.approx([1e9 * 2**power for power in range(9)], rel=1e-12)
    assert parse_span("a=0 us..8 us").scan(9) == pytest.approx([index * 1e-6 for index in range(9)], rel=1e-12)
    assert parse_span("a=64..4096").scan(9) == [64, 128, 256, 512, 1024, 2048, 4096]
    assert parse_span("a=3..5").scan(9) == [3, 4, 5]
    ends = parse_span("a=100..1000").scan(9)
    assert (ends[0], ends[-1]) == (100, 1000)
    assert all(value % 100 == 0 for value in ends)


def test_values_are_written_to_the_bit_and_shown_in_the_typed_unit() -> None:
    span = parse_span("a=100 Gbit/s..10 Tbit/s")
    assert (span.low, span.high) == (12.5e9, 1.25e12)
    for value in span.scan(9):
        assert parse(span.written(value), "bytes/s") == value
    assert span.shown(50e9) == "400 Gbit/s"
    assert span.shown(125e9) == "1 Tbit/s"
    assert parse_span("a=1..9").written(4.0) == "4"
    assert parse_span("a=0.5..9").written(0.1) == "0.1"
