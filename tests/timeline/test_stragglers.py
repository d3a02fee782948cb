"""Whom the others wait for: toy timelines by hand, and single slow GPUs in real ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from simcluster.pipeline import simulate
from simcluster.scenario.compile import compile_text
from simcluster.timeline.result import Result
from simcluster.timeline.store import pack, unpack
from simcluster.timeline.stragglers import stragglers, traced
from simcluster.timeline.timeline import LinkLoads, Operation, Timeline, Tracks, Wiring
from tests.edge_helpers import SMALL


def collective(name: str, axis: str) -> Operation:
    return Operation(
        name=name, kind="all_reduce", algorithm="ring", layer=0, flops=0, bytes=0, bytes_nvlink=0, bytes_infiniband=0,
        live_bytes=0, alone_s=1, bound="latency", axis=axis,
    )  # fmt: skip


def toy(rows: Sequence[tuple[int, int, float, float]], parties: dict[str, list[int]], counts: list[int]) -> Timeline:
    """Rows are (track, operation, arrive, start); every transfer takes 1 s; operation i runs on the i-th axis."""
    track, operation, arrive, start = (np.array(column) for column in zip(*rows, strict=True))
    of_rank = np.repeat(np.arange(len(counts)), counts)
    nothing = np.zeros(0)
    return Timeline(
        operations=tuple(collective(f"op{i}", axis) for i, axis in enumerate(parties)),
        tracks=Tracks.classes(of_rank),
        steps=1,
        track=track,
        step=np.zeros(len(track), dtype=np.int64),
        operation=operation,
        arrive_s=arrive.astype(float),
        start_s=start.astype(float),
        finish_s=start + 1.0,
        links=LinkLoads(
            time_s=nothing, state=nothing.astype(int), rates=nothing.reshape(0, 0), capacity=nothing,
            count=nothing.astype(int), kind=(), direction=(),
        ),
        node_bytes=None,
        folding=None,  # type: ignore[arg-type]
        wired=lambda: Wiring(
            names=(), kinds=(), owner=(), stands_for=(), cable=np.zeros((0, 2), dtype=int),
            column=np.zeros(0, dtype=int), plain=np.zeros((0, 2), dtype=int),
        ),
        parties={axis: np.array(party) for axis, party in parties.items()},
    )  # fmt: skip


def test_the_last_to_arrive_is_charged_with_the_waiting_of_the_others() -> None:
    """0 and 1 wait 3 s and 1 s for 2."""
    found = traced(toy([(0, 0, 1, 4), (1, 0, 3, 4), (2, 0, 4, 4)], {"tp": [0, 0, 0]}, [1, 1, 1]))
    assert found.tolist() == [0, 0, 4]


def test_several_that_come_last_share_the_charge_and_classes_count() -> None:
    """Two ranks of track 0 wait 2 s each for the three of track 1 and the one of track 2."""
    timeline = toy([(0, 0, 1, 3), (1, 0, 3, 3), (2, 0, 3, 3)], {"tp": [0, 0, 0]}, [2, 3, 1])
    assert traced(timeline).tolist() == [0, 2, 2]
    rows = stragglers(timeline, 4)
    assert [(row.rank, row.gpu, row.count) for row in rows] == [(2, "node0.gpu2", 3), (5, "node1.gpu1", 1)]
    assert [row.seconds for row in rows] == [2 / 6, 2 / 6]
    assert [row.fraction for row in rows] == [2 / 6 / 4] * 2


def test_who_is_late_for_having_waited_passes_the_charge_on() -> None:
    """1 waits 5 s for 0 in a pair, so 3 and 2, 3's partner of the other pair, wait 5 s for 1 that is 0's fault."""
    rows = [
        (0, 0, 6, 6),
        (1, 0, 1, 6),
        (2, 0, 1, 1),
        (3, 0, 1, 1),
        (1, 1, 7, 7),
        (3, 1, 2, 7),
        (0, 1, 7, 7),
        (2, 1, 2, 7),
    ]
    found = traced(toy(rows, {"tp": [0, 0, 1, 1], "ep": [0, 1, 0, 1]}, [1, 1, 1, 1]))
    assert found.tolist() == [15, 0, 0, 0]


def test_only_what_is_more_than_one_s_own_lateness_is_passed_on() -> None:
    """1 waited 2 s for 0, and then is late by 5 s for 3: 2 s are 0's, 3 s its own."""
    rows = [
        (0, 0, 3, 3),
        (1, 0, 1, 3),
        (2, 0, 1, 1),
        (3, 0, 1, 1),
        (1, 1, 7, 7),
        (3, 1, 2, 7),
        (0, 1, 4, 4),
        (2, 1, 4, 4),
    ]
    found = traced(toy(rows, {"tp": [0, 0, 1, 1], "ep": [0, 1, 0, 1]}, [1, 1, 1, 1]))
    assert found.tolist() == [4, 3, 0, 0]


def test_groups_that_meet_at_the_same_instant_are_told_apart() -> None:
    """Both pairs start at 3 s: 0 waits for 1, and 3 for 2."""
    rows = [(0, 0, 1, 3), (1, 0, 3, 3), (2, 0, 3, 3), (3, 0, 2, 3)]
    assert traced(toy(rows, {"tp": [0, 0, 1, 1]}, [1, 1, 1, 1])).tolist() == [0, 2, 1, 0]


def run(*overrides: str, fold: str = "auto") -> Result:
    return simulate(compile_text(SMALL, "small.yaml", overrides), fold=fold)  # type: ignore[arg-type]


def waiting(result: Result) -> float:
    """All waiting in collectives, mean over GPUs and step."""
    timeline = result.timeline
    assert timeline is not None
    waits = (timeline.start_s - timeline.arrive_s) * timeline.tracks.count[timeline.track]
    return float(waits[~timeline.on_compute].sum()) / timeline.ranks / timeline.steps


def test_nobody_waits_where_all_are_equal() -> None:
    result = run()
    assert result.waited_for == ()
    assert result.as_dict()["waited_for"] == []


@pytest.mark.parametrize("gpu", ["node0.gpu0", "node0.gpu3", "node1.gpu2"])
@pytest.mark.parametrize("plan", ["EP4_TP2_PP1", "EP8", "TP8"])
def test_all_wait_for_the_one_slow_gpu(gpu: str, plan: str) -> None:
    result = run(f"faults=[{{gpu: {gpu}, factor: 0.5}}]", f"plan={plan}")
    rows = result.waited_for
    assert (rows[0].gpu, rows[0].count) == (gpu, 1)
    assert rows[0].seconds > 0.99 * waiting(result) > 0
    assert sum(row.seconds for row in rows) == pytest.approx(waiting(result), rel=1e-9)
    assert rows[0].fraction == pytest.approx(rows[0].seconds / (result.metrics["latency_s"] or 0), rel=1e-12)


def test_a_slow_node_is_one_class() -> None:
    rows = run("faults=[{node: 1, factor: 0.5}]", "plan=EP8").waited_for
    assert [(row.gpu, row.count) for row in rows] == [("node1.gpu0", 4)]


def test_folding_changes_no_charge() -> None:
    faults = "faults=[{gpu: node1.gpu1, factor: 0.7}]"
    folded, unfolded = run(faults).waited_for, run(faults, fold="off").waited_for
    assert folded[0].gpu == unfolded[0].gpu == "node1.gpu1"
    assert folded[0].seconds == pytest.approx(unfolded[0].seconds, rel=1e-9)


def test_the_rank_with_the_hot_expert_is_waited_for() -> None:
    """Expert 5 is on ep coordinate 2, ranks 4 and 5."""
    rows = run("workload.expert_load={5: 7}", "workload.sequence=4096").waited_for
    assert (rows[0].rank, rows[0].count) == (4, 2)


def test_a_stored_run_answers_alike(tmp_path: object) -> None:
    from pathlib import Path

    path = Path(str(tmp_path)) / "timeline.npz"
    result = run("faults=[{gpu: node0.gpu1, factor: 0.5}]", "workload.expert_load={zipf: 1}")
    path.write_bytes(pack(result))
    again = unpack(path)
    assert again.waited_for == result.waited_for
    assert again.routing == result.routing
    assert replace(again, timeline=None, states=None) == replace(result, timeline=None, states=None)
