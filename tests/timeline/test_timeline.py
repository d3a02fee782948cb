"""Timelines: streams never overlap, dependencies hold, every layer has its spans, wires carry the traffic."""

from __future__ import annotations

import random

import numpy as np
import pytest

from simcluster.pipeline import simulate
from simcluster.scenario.compile import compile_text
from simcluster.timeline.timeline import LinkLoads, Operation, Timeline
from tests.physics_helpers import EXAMPLE, answer, random_timeline, run_text

STREAMS = ("compute", "communication", "exchange", "send")
PLANS = ["EP64_TP2_PP1", "DP128", "TP8_DP16", "{tp: 2, ep: 64, etp: 1}", "EP8_DP16"]


def stream_of(operation: Operation) -> str:
    """Kernels; collectives inside a replica; exchanges of tokens; sends."""
    if operation.kind == "compute":
        return "compute"
    return {"ep": "exchange", "pp": "send"}.get(str(operation.axis), "communication")


def check_streams(timeline: Timeline) -> None:
    """On every stream of every rank each span begins after the one before it has ended."""
    for rank in range(timeline.ranks):
        every = timeline.of(rank=rank).row
        for stream in STREAMS:
            rows = every[[stream_of(timeline.operations[index]) == stream for index in timeline.operation[every]]]
            rows = rows[np.lexsort((timeline.finish_s[rows], timeline.start_s[rows]))]
            assert (timeline.start_s[rows][1:] >= timeline.finish_s[rows][:-1] * (1 - 1e-12)).all()
            assert (timeline.arrive_s[rows] <= timeline.start_s[rows]).all()
            assert (timeline.start_s[rows] <= timeline.finish_s[rows]).all()


def example(plan: str = "EP64_TP2_PP1", *overrides: str) -> Timeline:
    timeline = run_text(EXAMPLE, f"plan={plan}", *overrides).timeline
    assert timeline is not None
    return timeline


def test_spans_of_a_stream_never_overlap_in_random_programs() -> None:
    rng = random.Random(20261104)
    for _ in range(40):
        check_streams(random_timeline(rng))


@pytest.mark.parametrize("plan", PLANS)
def test_spans_of_a_stream_never_overlap_in_the_example(plan: str) -> None:
    check_streams(example(plan))


def test_every_layer_of_every_rank_has_its_own_spans() -> None:
    timeline = example()
    for rank in range(128):
        cores = timeline.of(rank=rank, name="attention.core").row
        assert sorted(str(timeline.operations[index].layer) for index in timeline.operation[cores]) == sorted(
            map(str, range(16))
        )
        assert np.unique(timeline.start_s[cores]).size == 16


def test_layers_of_a_rank_run_in_order() -> None:
    timeline = example()
    rows = timeline.of(rank=77, name="attention.core").row
    layers = [
        timeline.operations[index].layer for index in timeline.operation[rows[np.argsort(timeline.start_s[rows])]]
    ]
    assert layers == list(range(16))


def test_members_of_a_collective_start_and_end_it_together() -> None:
    """EP groups of the example are the ranks of one parity; rank by rank, on a cluster whose ranks are not alike."""
    timeline = simulate(
        compile_text(EXAMPLE, "x.yaml", ("faults=[{gpu: node3.gpu2, factor: 0.5}]",)), fold="off"
    ).timeline
    assert timeline is not None
    rank = timeline.tracks.first[timeline.track]
    for index, operation in enumerate(timeline.operations):
        if operation.name == "moe.dispatch":
            for parity in (0, 1):
                rows = (timeline.operation == index) & (rank % 2 == parity)
                assert rows.sum() == 64
                assert np.unique(timeline.start_s[rows]).size == np.unique(timeline.finish_s[rows]).size == 1


@pytest.mark.parametrize("plan", PLANS)
def test_wires_carry_what_the_traffic_says(plan: str) -> None:
    """A byte over NVLink leaves one GPU and enters another; a byte between nodes leaves one NIC and enters another."""
    result = run_text(EXAMPLE, f"plan={plan}")
    carried = {(link["kind"], link["direction"]): link["bytes"] for link in answer(result, "links")}
    for kind, tier in (("nvlink", "nvlink"), ("nic", "infiniband")):
        for direction in ("out", "in"):
            assert carried[kind, direction] == pytest.approx(answer(result, f"traffic.{tier}"), rel=1e-9, abs=1e-3)
    assert carried["leaf", "up"] == pytest.approx(carried["leaf", "down"], rel=1e-9, abs=1e-3)
    assert carried["leaf", "up"] <= carried["nic", "out"] * (1 + 1e-9)


@pytest.mark.parametrize("plan", PLANS)
def test_no_wire_is_ever_over_its_capacity(plan: str) -> None:
    links = example(plan).links
    assert (links.rates <= links.capacity * (1 + 1e-9)).all()
    for link in answer(run_text(EXAMPLE, f"plan={plan}"), "links"):
        assert 0 <= link["utilization_mean"] <= link["utilization_peak"] <= 1 + 1e-9


@pytest.mark.parametrize("plan", ["EP8_DP16", "TP8_DP16", "{tp: 2, ep: 8, etp: 1}", "TP4_EP2_DP16"])
def test_a_plan_whose_groups_fit_a_node_puts_nothing_on_infiniband(plan: str) -> None:
    result = run_text(EXAMPLE, f"plan={plan}")
    assert answer(result, "traffic.infiniband") == 0
    assert answer(result, "traffic.nvlink") > 0
    assert all(link["bytes"] == 0 for link in answer(result, "links") if link["kind"] != "nvlink")


def test_pure_data_parallel_experts_are_read_from_memory_more_slowly_than_they_compute() -> None:
    """With every expert on every GPU 4,096 rows meet 64 matrices of 2 MiB: memory binds, and no wire is used."""
    result = run_text(EXAMPLE, "plan=DP128")
    timeline = example("DP128")
    bounds = {operation.bound for operation in timeline.operations if operation.name == "moe.experts"}
    assert bounds == {"memory"}
    assert answer(result, "traffic") == {"nvlink": 0, "infiniband": 0}
    assert answer(result, "compute_busy") == pytest.approx(1.0, rel=1e-9)
    assert {operation.bound for operation in example().operations if operation.name == "moe.experts"} == {"compute"}


@pytest.mark.parametrize("steps", [2, 5])
def test_n_steps_last_n_times_as_long_and_each_as_long_as_one(steps: int) -> None:
    one, many = run_text(EXAMPLE), run_text(EXAMPLE, f"workload.steps={steps}")
    single_s = answer(one, "latency_s")
    assert answer(many, "latency_s") == pytest.approx(single_s, rel=1e-9)
    assert many.timeline is not None
    assert many.timeline.end_s == pytest.approx(steps * single_s, rel=1e-9)
    assert many.timeline.parts.latency_s == pytest.approx([single_s] * steps, rel=1e-9)
    for name in ("throughput_tokens_per_s", "mfu", "compute_busy", "exposed_communication", "communication_busy"):
        assert answer(many, name) == pytest.approx(answer(one, name), rel=1e-9), name
    assert answer(many, "traffic") == pytest.approx(answer(one, "traffic"), rel=1e-9)
    wanted = {total.name: total.as_dict() for total in one.by_operation}
    for total in many.by_operation:
        for key, value in total.as_dict().items():
            same = pytest.approx(value, rel=1e-9) if isinstance(value, int | float) else value
            assert wanted[total.name][key] == same, (total.name, key)


def test_what_one_wire_carries_is_the_integral_of_its_rate() -> None:
    loads = LinkLoads(
        time_s=np.array([0.0, 1.0, 4.0]),
        state=np.array([0, 1, 0]),
        rates=np.array([[0.0, 2.0], [5.0, 1.0]]),
        capacity=np.array([5.0, 5.0]),
        count=np.array([1, 3]),
        kind=("nic", "nic"),
        direction=("out", "in"),
    )
    assert loads.bytes_on_wires(6.0).tolist() == [5.0 * 3, 2.0 * 1 + 1.0 * 3 + 2.0 * 2]


def test_rows_are_chosen_by_rank_stream_and_name() -> None:
    timeline = example()
    assert len(timeline.of(rank=3, stream="compute")) + len(timeline.of(rank=3, stream="communication")) == 16 * 20
    assert len(timeline.of(name="moe.permute")) == len(timeline.tracks) * 16 * 2
    assert timeline.of(rank=5).busy_s() == pytest.approx(timeline.end_s, rel=1e-9)
    assert timeline.of(rank=5).waiting_s() == pytest.approx(0.0, abs=1e-12)
