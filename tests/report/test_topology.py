"""Every fabric is drawn whole: no two symbols or labels overlap, nothing leaves the page, no cable is forgotten."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from simcluster.cluster.cluster import Cluster, Fault
from simcluster.cluster.link import Cable, Fabric, Pcie
from simcluster.report.figures import style, topology
from simcluster.report.figures.wiring import boxes, grid, layers, ring
from simcluster.report.figures.wiring.sketch import Sketch, View
from simcluster.timeline.links import mean_use
from simcluster.timeline.timeline import Timeline
from tests.physics_helpers import a_collective, a_kernel, ideal_cluster, run_program

FABRICS: tuple[Fabric, ...] = (
    "single-switch", "rail-optimized", "leaf-spine", "fat-tree", "dragonfly", "torus-2d", "torus-3d",
)  # fmt: skip


def timeline_of(cluster: Cluster) -> Timeline:
    """All-to-alls among groups of up to 16 GPUs, spread over the cluster; alone, a GPU runs a kernel."""
    count = cluster.gpus // min(16, cluster.gpus)
    groups = tuple(tuple(range(first, cluster.gpus, count)) for first in range(count))
    work = a_collective("exchange", 1e6) if cluster.gpus > 1 else a_kernel("kernel", 1e-3)
    return run_program([work], {"tp": groups}, cluster)


def custom() -> Cluster:
    """Six nodes under three leaves; two leaves are joined to each other, and one has a single, thin way up."""
    cluster = ideal_cluster(6, 4, nics_per_node=2, fabric="custom")
    ends = [("tor0", "agg0"), ("tor0", "agg1"), ("tor1", "agg0"), ("tor1", "tor2"), ("agg0", "top"), ("agg1", "top")]
    ends += [(f"node{node}.nic{index}", f"tor{node // 2}") for node in range(6) for index in range(2)]
    cables = [Cable(tail=a, head=b, bytes_per_s=50e9, latency_s=None) for one, two in ends
              for a, b in ((one, two), (two, one))]  # fmt: skip
    switches = {"tor0": "leaf", "tor1": "leaf", "tor2": "leaf", "agg0": "spine", "agg1": "spine", "top": "core"}
    assert cluster.infiniband is not None
    return replace(cluster, infiniband=replace(cluster.infiniband, cables=tuple(cables), switches=switches))


def mesh(nodes: int) -> Cluster:
    cluster = ideal_cluster(nodes, 8)
    assert cluster.nvlink is not None
    return replace(cluster, nvlink=replace(cluster.nvlink, topology="mesh"))


def pcie(nodes: int) -> Cluster:
    bus = Pcie(bytes_per_s=30e9, latency_s=0.0, efficiency=1.0, provenance="datasheet", source="tests")
    return replace(ideal_cluster(nodes, 8, nics_per_node=2), nvlink=None, pcie=bus)


def domain(nodes: int) -> Cluster:
    cluster = ideal_cluster(nodes, 4)
    assert cluster.nvlink is not None
    return replace(cluster, nvlink=replace(cluster.nvlink, domain_gpus=72))


def damaged() -> Cluster:
    faults = (Fault(ends=("leaf0.2", "spine0"), factor=0.5), Fault(ends=("node1.nic1",), factor=0.0))
    return replace(ideal_cluster(4, 4), faults=faults)


CASES: dict[str, Cluster] = {
    "one GPU": ideal_cluster(1, 1),
    "one node": ideal_cluster(1, 8),
    "mesh": mesh(1),
    "meshes": mesh(16),
    "PCIe": pcie(2),
    "domain": domain(18),
    "domains": domain(72),
    "custom": custom(),
    "damaged": damaged(),
    "three levels": ideal_cluster(24, 4, fabric="fat-tree", leaf_ports=8),
    "rails with cores": ideal_cluster(40, 4, leaf_ports=8),
    "four levels": ideal_cluster(32, 1, fabric="fat-tree", leaf_ports=4),
    "rails with tops": ideal_cluster(90, 4, leaf_ports=8),
    "small groups": ideal_cluster(60, 4, fabric="dragonfly", leaf_ports=12),
    "one group": ideal_cluster(16, 8, fabric="dragonfly"),
    **{f"{fabric} of 2": ideal_cluster(2, 8, fabric=fabric, leaf_ports=16) for fabric in FABRICS},
    **{f"{fabric} of 128": ideal_cluster(128, 8, fabric=fabric, leaf_ports=16 if fabric in FABRICS[3:5] else 64)
       for fabric in FABRICS},
}  # fmt: skip


@cache
def drawn(name: str) -> tuple[Timeline, View, tuple[Sketch, ...]]:
    timeline = timeline_of(CASES[name])
    view = View(timeline)
    return timeline, view, topology.layout(view, timeline)


@pytest.mark.parametrize("name", CASES)
def test_no_two_symbols_overlap_and_all_are_on_the_page(name: str) -> None:
    for sketch in drawn(name)[2]:
        check_symbols(sketch)


def check_symbols(sketch: Sketch) -> None:
    place = np.array([(mark.x, mark.y, mark.width / 2, mark.height / 2) for mark in sketch.marks])
    assert (place[:, :2] >= place[:, 2:]).all()
    assert (place[:, :2] + place[:, 2:] <= [sketch.width, sketch.height]).all()
    apart = np.abs(place[:, None, :2] - place[None, :, :2]) - (place[:, None, 2:] + place[None, :, 2:])
    overlap = (apart < -1e-9).all(axis=2)
    np.fill_diagonal(overlap, False)
    assert [(sketch.marks[a], sketch.marks[b]) for a, b in np.argwhere(overlap)[:2]] == []


@pytest.mark.parametrize("name", CASES)
def test_every_node_has_a_symbol_of_its_kind_and_every_use_is_shown(name: str) -> None:
    timeline, view, sketches = drawn(name)
    whole = sketches[-1]
    assert (whole.mark_of >= 0).all()
    used = mean_use(timeline)
    for index, mark in enumerate(whole.mark_of.tolist()):
        inside = {"node"} if view.owner[index] >= 0 else set()
        assert whole.marks[mark].kind in {view.kinds[index]} | inside
    shown = [topology.cables(timeline, sketch, used) for sketch in sketches]
    most = max(float(cables.use.max(initial=0.0)) for cables in shown)
    assert most == pytest.approx(float(used.max(initial=0.0)), rel=1e-12)


@pytest.mark.parametrize("look", [style.LIGHT, style.DARK], ids=["light", "dark"])
@pytest.mark.parametrize("name", CASES)
def test_no_text_overlaps_another_or_leaves_the_page(name: str, look: style.Look) -> None:
    if look is style.DARK and "128" in name:
        pytest.skip("the places of texts do not depend on colours")
    check_texts(topology.draw_wiring(drawn(name)[0], name, look))


def check_texts(figure: Figure) -> None:
    FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    texts = [text for axes in figure.axes if not axes.axison for text in axes.texts] + list(figure.texts)
    texts = [axes.yaxis.label for axes in figure.axes if axes.axison] + texts
    texts = [text for text in texts if text.get_text().strip()]
    extents = np.array([text.get_window_extent().extents for text in texts])
    assert (extents[:, :2] >= 0).all()
    outside = (extents[:, 2:] > figure.bbox.extents[2:]).any(axis=1)
    assert [told(texts[i]) for i in np.flatnonzero(outside)] == []
    low = np.maximum(extents[:, None, :2], extents[None, :, :2])
    high = np.minimum(extents[:, None, 2:], extents[None, :, 2:])
    overlap = (high - low > 1.0).all(axis=2)
    np.fill_diagonal(overlap, False)
    overlap[-len(figure.texts) :, -len(figure.texts) :] = False  # the title ends in an empty line
    assert [(told(texts[a]), told(texts[b])) for a, b in np.argwhere(overlap)[:2]] == []


def told(text: Text) -> str:
    return text.get_text()


def test_cables_of_two_nodes_on_rails_by_hand() -> None:
    """8 NVLinks and 8 NIC cables a node, and each of 8 leaves to the spine: 40 cables, none of them thin."""
    timeline, _, (sketch,) = drawn("rail-optimized of 2")
    shown = topology.cables(timeline, sketch, mean_use(timeline))
    assert len(shown.ends) == 2 * 8 + 2 * 8 + 8
    assert not shown.thin.any()
    assert (np.diff(shown.use) >= 0).all()


def test_a_damaged_cable_is_drawn_thin_and_a_dead_one_not_at_all() -> None:
    timeline, view, (sketch,) = drawn("damaged")
    shown = topology.cables(timeline, sketch, mean_use(timeline))
    (thin,) = shown.ends[shown.thin].tolist()
    assert {sketch.marks[end].text for end in thin} == {"leaf0.2", "spine0"}
    dead = sketch.mark_of[view.wiring.names.index("node1.nic1")]
    assert dead not in shown.ends


@pytest.mark.parametrize(
    ("nodes", "fabric", "sides"),
    [(128, "torus-2d", (16, 8)), (128, "torus-3d", (8, 4, 4)), (2, "torus-3d", (2,)), (7, "torus-2d", (7,)),
     (12, "torus-3d", (3, 2, 2)), (6, "torus-2d", (3, 2)), (8, "fat-tree", None)],
)  # fmt: skip
def test_the_sides_of_a_torus_follow_from_its_cables(nodes: int, fabric: Fabric, sides: tuple[int, ...] | None) -> None:
    timeline = timeline_of(ideal_cluster(nodes, 2, fabric=fabric))
    assert grid.shape(View(timeline)) == sides


def test_cables_around_a_torus_are_two_stubs_and_others_one_line() -> None:
    timeline, _, (_, sketch) = drawn("torus-2d of 128")
    shown = topology.cables(timeline, sketch, mean_use(timeline))
    pieces = [len(sketch.path(sketch.marks[a], sketch.marks[b])) for a, b in shown.ends.tolist()]
    assert pieces.count(2) == 16 + 8
    assert pieces.count(1) == 15 * 8 + 16 * 7 + 128


def test_machines_of_a_large_cluster_share_boxes_and_never_cross_a_pod() -> None:
    _, view, _ = drawn("rail-optimized of 128")
    groups = boxes.grouped(view)
    assert [machine for group in groups for machine in group] == list(range(128))
    assert len(groups) == boxes.MOST_BOXES
    leaf_of = [{machine // 32 for machine in group} for group in groups]
    assert all(len(pods) == 1 for pods in leaf_of)


def test_pods_of_pods_are_drawn_apart_below_their_tops() -> None:
    """Four levels of 4-port switches: 4 pods of 8 nodes, of two pods with two leaves, spines and cores each."""
    _, view, (sketch,) = drawn("four levels")
    rows = {kind: sorted((mark.y, mark.x) for mark in sketch.marks if mark.kind == kind)
            for kind in ("leaf", "spine", "core", "top")}  # fmt: skip
    assert [len(row) for row in rows.values()] == [16, 16, 16, 8]
    heights = [row[0][0] for row in rows.values()]
    assert heights == sorted(heights)
    place = {name: sketch.marks[mark].x for name, mark in zip(view.wiring.names, sketch.mark_of, strict=True)}
    for kind, pods in (("spine", 8), ("core", 4)):
        for pod in range(pods):
            below = range(32 // pods * pod, 32 // pods * (pod + 1))
            low, high = (end(place[f"node{node}.nic0"] for node in below) for end in (min, max))
            own = [f"spine{pod}.{s}" for s in range(2)] if kind == "spine" else [
                f"core{s}.{pod}.{c}" for s in range(2) for c in range(2)
            ]  # fmt: skip
            assert all(low - 1e-9 <= place[name] <= high + 1e-9 for name in own)


def test_the_fullest_wire_is_named() -> None:
    timeline = timeline_of(replace(ideal_cluster(2, 2), faults=(Fault(ends=("node1.nic0",), factor=0.5),)))
    texts = [text.get_text() for text in topology.draw_wiring(timeline, "").texts]
    assert any(text.startswith("fullest wire (outlined): node1.nic0 → leaf0.0") for text in texts)


def test_a_dragonfly_of_very_many_groups_or_routers_shares_symbols(monkeypatch: pytest.MonkeyPatch) -> None:
    _, view, _ = drawn("small groups")
    monkeypatch.setattr(ring, "MOST_ROUTERS", 10)
    check_symbols(ring.sketch(view))
    monkeypatch.setattr(ring, "MOST_GROUPS", 5)
    sketch = ring.sketch(view)
    check_symbols(sketch)
    assert sum(mark.kind == "leaf" for mark in sketch.marks) == 5


def test_switches_share_a_symbol_where_their_cables_would_be_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """24 leaves of one node each, in six pods of four leaves and four spines; two nodes share a box."""
    _, view, (sketch,) = drawn("three levels")
    single = sum(mark.kind == "spine" for mark in sketch.marks)
    monkeypatch.setattr(layers, "MOST_LINES", 40)
    few = layers.sketch(view)
    check_symbols(few)
    spines = [mark.text for mark in few.marks if mark.kind == "spine"]
    assert (single, spines) == (24, ["4 spines"] * 6)
