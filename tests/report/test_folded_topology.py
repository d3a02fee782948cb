"""A folded wiring is drawn as a box for each kind of equal nodes, with the numbers of what joins them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from simcluster.report.figures import links, style, topology
from simcluster.report.figures.wiring.sketch import View
from simcluster.timeline.links import mean_use
from simcluster.timeline.timeline import LinkLoads, Timeline, Wiring
from tests.physics_helpers import EXAMPLE, run_text
from tests.report.test_topology import check_symbols, check_texts

GPUS = 1_048_576

NODES = {
    "node0.gpu0": ("gpu", GPUS), "node0.nvswitch": ("nvswitch", GPUS // 8), "node0.nic0": ("nic", GPUS),
    "leaf0.0": ("leaf", 32_768), "spine0.0": ("spine", 32_768), "core0.0": ("core", 1),
}  # fmt: skip
"""Of each kind of node the first one, its kind, and how many are equal to it."""

Cable = tuple[str, str, str, tuple[str, str], float, int, tuple[float, float]]

CABLES: tuple[Cable, ...] = (
    ("node0.gpu0", "node0.nvswitch", "nvlink", ("out", "in"), 360e9, GPUS, (0.5, 0.5)),
    ("node0.nic0", "leaf0.0", "nic", ("out", "in"), 45e9, GPUS, (0.8, 0.8)),
    ("leaf0.0", "spine0.0", "leaf", ("up", "down"), 45e9, GPUS, (0.6, 0.25)),
    ("spine0.0", "core0.0", "spine", ("up", "down"), 1474.56e12, 32_768, (0.0, 0.0)),
)
"""Cables between two kinds of nodes: the words of both directions, capacity, how many, and the share used each way."""


def folded(nodes: dict[str, tuple[str, int]] = NODES) -> Timeline:
    """A second in which the wires of each class carry a share of what they can."""
    names = tuple(nodes)
    both = [(names.index(one), names.index(other)) for one, other, *_ in CABLES]
    cable = np.array([ends for one, other in both for ends in ((one, other), (other, one))])
    capacity = np.repeat([row[4] for row in CABLES], 2)
    use = np.array([share for row in CABLES for share in row[6]])
    wiring = Wiring(
        names=names,
        kinds=tuple(kind for kind, _ in nodes.values()),
        owner=tuple(0 if name.startswith("node") else -1 for name in names),
        stands_for=tuple(count for _, count in nodes.values()),
        cable=cable,
        column=np.arange(len(cable)),
        plain=np.array([(names.index("node0.gpu0"), names.index("node0.nic0"))]),
    )
    result = run_text(EXAMPLE, "cluster.nodes=1", "plan=EP8", "workload.batch=8", "model.layers=1", "expect=[]")
    assert result.timeline is not None
    loads = LinkLoads(
        time_s=np.zeros(1),
        state=np.zeros(1, dtype=np.int64),
        rates=(use * capacity)[None, :],
        capacity=capacity,
        count=np.repeat([row[5] for row in CABLES], 2),
        kind=tuple(row[2] for row in CABLES for _ in row[3]),
        direction=tuple(word for row in CABLES for word in row[3]),
    )
    return replace(result.timeline, links=loads, node_bytes=None, wired=lambda: wiring)


def test_a_box_a_kind_says_how_many_it_stands_for() -> None:
    timeline = folded()
    assert not timeline.wiring.listed
    (sketch,) = topology.layout(View(timeline), timeline)
    assert [mark.text for mark in sorted(sketch.marks, key=lambda mark: mark.y)] == [
        "node0.nvswitch\n× 131,072 NVSwitches", "node0.gpu0\n× 1,048,576 GPUs", "node0.nic0\n× 1,048,576 NICs",
        "leaf0.0\n× 32,768 leaves", "spine0.0\n× 32,768 spines", "core0.0",
    ]  # fmt: skip
    check_symbols(sketch)


def test_a_cable_says_how_many_there_are_their_capacity_and_their_use() -> None:
    timeline = folded()
    (sketch,) = topology.layout(View(timeline), timeline)
    assert [label.text for label in sorted(sketch.labels, key=lambda label: label.y)] == [
        "1,048,576 × 360 GB/s each way, 50.0 % used",
        "1,048,576 × 45 GB/s each way, 80.0 % used",
        "1,048,576 × 45 GB/s each way, up 60.0 %, down 25.0 % used",
        "32,768 × 1.475 PB/s each way, 0.0 % used",
    ]
    shown = topology.cables(timeline, sketch, mean_use(timeline))
    assert shown.use.tolist() == pytest.approx([0.0, 0.5, 0.6, 0.8])


@pytest.mark.parametrize("look", [style.LIGHT, style.DARK], ids=["light", "dark"])
def test_no_text_overlaps_another_or_leaves_the_page(look: style.Look) -> None:
    figure = topology.draw_wiring(folded(), "a million GPUs", look)
    check_texts(figure)
    texts = [text.get_text() for text in figure.texts]
    assert "1,048,576 GPUs; a box stands for all that are equal" in texts
    (told,) = (text for text in texts if text.startswith("fullest wire"))
    assert told.startswith("fullest wire (outlined): node0.nic0 → leaf0.0, 80.0 % of 45 GB/s; 2,097,151 other wires")


def test_boxes_of_one_kind_stand_side_by_side() -> None:
    """A second class of GPUs, joined to the same NVSwitches by one cable, which leads only there."""
    timeline = folded({**NODES, "node3.gpu2": ("gpu", 1)})
    names, wiring = timeline.wiring.names, timeline.wiring
    ends = np.array([(names.index("node3.gpu2"), names.index("node0.nvswitch"))])
    more = replace(wiring, cable=np.concatenate([wiring.cable, ends]), column=np.append(wiring.column, 0))
    timeline = replace(timeline, wired=lambda: more)
    (sketch,) = topology.layout(View(timeline), timeline)
    check_symbols(sketch)
    one, other = (mark for mark in sketch.marks if mark.kind == "gpu")
    assert one.y == other.y
    assert "1,048,576 × 360 GB/s, 50.0 % used" in {label.text for label in sketch.labels}
    check_texts(topology.draw_wiring(timeline, ""))


def test_the_fullest_wires_of_a_folded_wiring_are_told_with_their_number() -> None:
    result = run_text(EXAMPLE, "cluster.nodes=1", "plan=EP8", "workload.batch=8", "model.layers=1", "expect=[]")
    figure = links.draw(replace(result, timeline=folded()))
    (axes,) = (axes for axes in figure.axes if "fullest wires" in axes.get_title(loc="left"))
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names[0] == "node0.nic0 → leaf0.0 and 1,048,575 like it"
    assert len(names) == 6
