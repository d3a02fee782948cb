"""Wires one by one and by class: hand arithmetic, conservation, order, and what counts as thinner."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import numpy as np
import pytest

from simcluster.timeline.links import (
    MOST_WIRES,
    Alike,
    equally_full,
    fullest_wires,
    in_words,
    link_rows,
    link_utilization,
    overlap_s,
    relative_capacity,
    thinner,
    wire_rows,
    wire_utilization,
)
from simcluster.timeline.timeline import LinkLoads, Timeline, Wiring
from tests.physics_helpers import EXAMPLE, answer, random_timeline, run_text


def two_nodes() -> Timeline:
    """Two NICs on a switch, 10 s: node 0 sends at 4 B/s for 4 s, then at 1 B/s for 4 s, then nothing for 2 s."""
    timeline = run_text(EXAMPLE).timeline
    assert timeline is not None
    names = ("node2.nic0", "node10.nic0", "switch")
    return replace(
        timeline,
        steps=2,
        finish_s=np.full(len(timeline.finish_s), 10.0),
        links=LinkLoads(
            time_s=np.array([0.0, 4.0, 8.0]),
            state=np.array([0, 1, 2]),
            rates=np.array([[4.0, 0.0, 0.0, 4.0], [1.0, 0.0, 0.0, 1.0], [0.0] * 4]),
            capacity=np.array([4.0, 4.0, 4.0, 8.0]),
            count=np.ones(4, dtype=np.int64),
            kind=("nic",) * 4,
            direction=("out", "in", "out", "in"),
        ),
        wired=lambda: Wiring(
            names=names,
            kinds=("nic", "nic", "leaf"),
            owner=(0, 1, -1),
            stands_for=(1, 1, 1),
            cable=np.array([[0, 2], [2, 0], [1, 2], [2, 1]]),
            column=np.arange(4),
            plain=np.zeros((0, 2), dtype=np.int64),
        ),
    )


def test_a_row_of_a_wire_by_hand() -> None:
    """4 B/s x 4 s + 1 B/s x 4 s are 20 B, 10 a step, of the 40 B that 4 B/s carry in 10 s; bins of 2.5 s."""
    first, second = wire_rows(two_nodes(), bins=4)[:2]
    assert (first["from"], first["to"], first["kind"], first["direction"]) == ("node2.nic0", "switch", "nic", "out")
    assert first["capacity_bytes_per_s"] == 4.0
    assert first["bytes"] == 10.0
    assert first["utilization_mean"] == 0.5
    assert first["utilization_peak"] == 1.0
    assert first["utilization"] == pytest.approx([1.0, (1.5 * 4 + 1.0 * 1) / 10, 0.25, 0.5 / 10], abs=1e-6)
    assert (second["to"], second["utilization_mean"], second["utilization_peak"]) == ("node10.nic0", 0.25, 0.5)


def test_the_fullest_come_first_and_equal_ones_in_the_order_of_the_wiring() -> None:
    rows = wire_rows(two_nodes(), bins=1)
    assert [(row["from"], row["to"], row["count"]) for row in rows] == [
        ("node2.nic0", "switch", 1),
        ("switch", "node10.nic0", 1),
        ("switch", "node2.nic0", 1),
        ("node10.nic0", "switch", 1),
    ]
    assert equally_full(two_nodes(), 1) == 2
    assert fullest_wires(two_nodes(), 1) == [Alike(column=0, wire=0, count=1)]


def test_wires_of_a_class_and_a_capacity_that_carry_the_same_are_one_row_named_by_their_first() -> None:
    """Two columns of three and five wires, one load; the first wire of either in the wiring names them.

    The third column has the same load and another capacity, the fourth another direction.
    """
    timeline = two_nodes()
    links = replace(
        timeline.links,
        rates=np.array([[2.0, 2.0, 2.0, 2.0], [1.0, 1.0, 1.0, 1.0], [0.0] * 4]),
        capacity=np.array([4.0, 4.0, 8.0, 4.0]),
        count=np.array([3, 5, 1, 1]),
        direction=("out", "out", "out", "in"),
    )
    wiring = replace(timeline.wiring, column=np.array([2, 1, 0, 3]))
    folded = replace(timeline, links=links, wired=lambda: wiring)
    assert fullest_wires(folded, 9) == [
        Alike(column=1, wire=1, count=8),
        Alike(column=3, wire=3, count=1),
        Alike(column=2, wire=0, count=1),
    ]
    assert equally_full(folded, 0) == 9
    out, into = link_rows(folded)
    # 2 B/s x 4 s + 1 B/s x 4 s are 12 B a wire in two steps: 6 B a step on each of 9 wires
    assert (out["count"], out["bytes"]) == (9, 54.0)
    assert (into["count"], into["bytes"]) == (1, 6.0)
    # 12 B of the 40 B of 4 B/s, and of the 80 B of 8 B/s
    assert out["utilization_mean"] == pytest.approx((8 * 0.3 + 0.15) / 9, rel=1e-12)
    assert out["utilization_peak"] == 0.5


def test_wires_of_a_class_add_up_to_its_row() -> None:
    overrides = ("cluster.nodes=2", "plan=EP16", "workload.batch=16", "expect=[]")
    result = run_text(EXAMPLE, *overrides)
    timeline = result.timeline
    assert timeline is not None
    rows = wire_rows(timeline, bins=7, most=10**6)
    assert sum(int(str(row["count"])) for row in rows) == timeline.links.count.sum()
    assert len(rows) <= len(timeline.links.capacity)
    for link in answer(result, "links"):
        own = [row for row in rows if (row["kind"], row["direction"]) == (link["kind"], link["direction"])]
        count = [int(str(row["count"])) for row in own]
        assert sum(count) == link["count"]
        carried = [float(str(row["bytes"])) for row in own]
        assert np.dot(count, carried) == pytest.approx(link["bytes"], rel=1e-9)
        mean = np.dot(count, [float(str(row["utilization_mean"])) for row in own]) / sum(count)
        assert mean == pytest.approx(link["utilization_mean"], rel=1e-9)
        assert max(float(str(row["utilization_peak"])) for row in own) == link["utilization_peak"]


HASHED = ("cluster.routing.seed=3", "cluster.infiniband.leaf_ports=16")


@pytest.mark.parametrize(("overrides", "groups"), [((), 6), (HASHED, MOST_WIRES)])
def test_the_json_lists_the_fullest_wires_in_the_bins_of_the_series_and_stays_small(
    overrides: tuple[str, ...], groups: int
) -> None:
    """Split evenly, all wires of a kind and direction are alike; hashed to single ways, there are too many to list."""
    result = run_text(EXAMPLE, *overrides)
    rows = answer(result, "wires")
    assert len(rows) == groups
    assert len(rows[0]["utilization"]) == len(answer(result, "timeseries.t_s"))
    assert len(json.dumps(rows, indent=2)) < 100_000
    for row in rows:
        assert np.mean(row["utilization"]) == pytest.approx(row["utilization_mean"], abs=1e-6)
        assert 0 <= row["utilization_mean"] <= row["utilization_peak"] <= 1 + 1e-9
    means = [row["utilization_mean"] for row in rows]
    assert means == pytest.approx(sorted(means, reverse=True), rel=1e-9)
    fullest = max(link["utilization_mean"] for link in answer(result, "links"))
    assert means[0] >= fullest * (1 - 1e-9)
    if not overrides:
        assert means[0] == pytest.approx(fullest, rel=1e-9)


def test_use_over_time_is_what_a_table_of_overlaps_says() -> None:
    """Against the plain definition: each bin's overlap with each interval, times the interval's rate."""
    rng = random.Random(7)
    for _ in range(10):
        timeline = random_timeline(rng)
        links, edges = timeline.links, np.linspace(0.0, timeline.end_s, 14)
        if len(links.time_s) == 0:
            continue
        share = overlap_s(np.append(links.time_s, timeline.end_s), edges) / np.diff(edges)[:, None]
        expected = share @ (links.rates / links.capacity)[links.state]
        wires = np.arange(len(links.capacity))
        assert pytest.approx(expected, abs=1e-9) == wire_utilization(timeline, edges, wires).T
        for name, used in link_utilization(timeline, edges).items():
            own = [f"{k} {d}" == name for k, d in zip(links.kind, links.direction, strict=True)]
            assert used == pytest.approx(expected[:, own].mean(axis=1), abs=1e-9)


def test_without_traffic_every_wire_is_listed_and_empty() -> None:
    rows, links = (answer(run_text(EXAMPLE, "plan=DP128"), name) for name in ("wires", "links"))
    assert sum(row["count"] for row in rows) == sum(link["count"] for link in links) == 544
    assert {row["bytes"] for row in rows} == {0.0}
    assert {value for row in rows for value in row["utilization"]} == {0.0}


def test_a_degraded_cable_is_thinner_than_its_class() -> None:
    timeline = run_text(EXAMPLE, "faults=[{nic: node3.nic4, factor: 0.25}]").timeline
    assert timeline is not None
    marked = np.flatnonzero(thinner(timeline.links))
    assert timeline.links.count[marked].tolist() == [1, 1]
    wires = np.flatnonzero(np.isin(timeline.wiring.column, marked))
    named = {tuple(timeline.wiring.names[end] for end in timeline.wiring.cable[wire]) for wire in wires}
    assert named == {("node3.nic4", "leaf0.4"), ("leaf0.4", "node3.nic4")}
    assert relative_capacity(timeline.links)[marked] == pytest.approx([0.25, 0.25])
    first = answer(run_text(EXAMPLE, "faults=[{nic: node3.nic4, factor: 0.25}]"), "wires")[0]
    assert "node3.nic4" in (first["from"], first["to"])


def test_where_most_of_a_class_is_thinner_the_fabric_is_built_so() -> None:
    links = replace(two_nodes().links, kind=("leaf",) * 4, direction=("up",) * 4, capacity=np.array([1.0, 1, 1, 2]))
    assert not thinner(links).any()
    assert thinner(replace(links, capacity=np.array([1.0, 1, 2, 2]))).tolist() == [True, True, False, False]


@pytest.mark.parametrize(
    ("kind", "direction", "words"),
    [
        ("nvlink", "out", "NVLink, from GPUs"),
        ("spine", "up", "spine to core"),
        ("leaf", "local", "dragonfly, inside a group"),
        ("spine", "global", "dragonfly, between groups"),
        ("leaf", "z-", "torus z-"),
    ],
)
def test_classes_have_words(kind: str, direction: str, words: str) -> None:
    assert in_words(kind, direction) == words
