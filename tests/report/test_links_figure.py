"""The figures of links and of bus bandwidth say what their numbers say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.patches import StepPatch

from simcluster.report.figures import busbw, links, style
from simcluster.timeline.links import fullest_wires, link_rows
from tests.physics_helpers import EXAMPLE, run_text
from tests.report.draw_all import bandwidths_by_size

SMALL = ("cluster.nodes=4", "plan=EP32", "workload.batch=32", "model.layers=1", "expect=[]")


@pytest.mark.parametrize(
    ("changes", "titles"),
    [
        ((), ["NVLink", "NICs", "leaf to spine"]),
        (("cluster.nvlink.topology=mesh",), ["NVLink", "NICs", "leaf to spine"]),
        (("cluster.infiniband.fabric=torus-2d",), ["NVLink", "NICs", "torus x+", "torus y+"]),
        (
            ("cluster.infiniband.fabric=dragonfly", "cluster.infiniband.leaf_ports=8"),
            ["NVLink", "NICs", "dragonfly, inside a group", "dragonfly, between groups"],
        ),
    ],
)
def test_a_panel_per_class_in_words_with_its_count_and_use(changes: tuple[str, ...], titles: list[str]) -> None:
    result = run_text(EXAMPLE, *SMALL, *changes)
    assert result.timeline is not None
    figure = links.draw(result)
    panels = [axes for axes in figure.axes if axes.get_ylabel() == "used (%)"]
    assert [axes.get_title(loc="left").split(":")[0] for axes in panels] == titles
    rows = [
        row for row in link_rows(result.timeline) if row["direction"] in ("out", "up", "x+", "y+", "local", "global")
    ]
    for axes, row in zip(panels, rows, strict=True):
        assert f": {row['count']:,} wires" in axes.get_title(loc="left")
        (filled,) = (patch for patch in axes.patches if isinstance(patch, StepPatch) and patch.get_fill())
        mean = float(np.mean(filled.get_data()[0])) / 100
        assert mean == pytest.approx(row["utilization_mean"], rel=1e-9)


def test_the_fullest_wires_are_named_with_those_like_them_and_a_degraded_one_is_marked() -> None:
    result = run_text(EXAMPLE, *SMALL, "faults=[{nic: node3.nic4, factor: 0.25}]")
    assert result.timeline is not None
    (axes,) = (axes for axes in links.draw(result, style.DARK).axes if "fullest wires" in axes.get_title(loc="left"))
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert 2 < len(names) <= links.MOST_WIRES
    assert set(names[:2]) == {"node3.nic4 → leaf0.4", "leaf0.4 → node3.nic4"}
    shown = fullest_wires(result.timeline, links.MOST_WIRES)
    like = [f" and {one.count - 1} like it" if one.count > 1 else "" for one in shown]
    assert all(name.endswith(more) for name, more in zip(names, like, strict=True))
    assert any(like)
    told = [(text.get_text(), text.get_fontweight()) for text in axes.texts]
    assert all(text.endswith("of 11.25 GB/s, not 45 GB/s") and weight == "bold" for text, weight in told[:2])
    assert all(weight == "normal" and ", not " not in text for text, weight in told[2:])


def test_equal_wires_are_told_once_and_unused_ones_not_at_all() -> None:
    """Tensor parallelism inside four nodes: 32 equal wires to NVSwitches, 32 equal ones back, nothing else carries."""
    result = run_text(EXAMPLE, *SMALL[:1], "plan=EP8", *SMALL[2:])
    (axes,) = (axes for axes in links.draw(result).axes if "fullest wires" in axes.get_title(loc="left"))
    assert sorted(label.get_text() for label in axes.get_yticklabels()) == [
        "node0.gpu0 → node0.nvswitch and 31 like it",
        "node0.nvswitch → node0.gpu0 and 31 like it",
    ]


def test_the_matrix_is_left_out_where_nodes_are_too_many_for_one() -> None:
    result = run_text(EXAMPLE, *SMALL)
    assert result.timeline is not None
    many = replace(result, timeline=replace(result.timeline, node_bytes=None))
    with_matrix, without = (
        [axes.get_xlabel() for axes in links.draw(one).axes].count("to node") for one in (result, many)
    )
    assert (with_matrix, without) == (1, 0)


def test_the_way_back_is_a_line_where_it_differs() -> None:
    """Half of what NICs receive is taken away; all else goes to and fro alike."""
    result = run_text(EXAMPLE, *SMALL)
    assert result.timeline is not None
    assert all(axes.get_legend() is None for axes in links.draw(result).axes)
    loads = result.timeline.links
    share = [0.5 if one == ("nic", "in") else 1.0 for one in zip(loads.kind, loads.direction, strict=True)]
    other = replace(result.timeline, links=replace(loads, rates=loads.rates * share))
    legends = [axes.get_legend() for axes in links.draw(replace(result, timeline=other)).axes]
    (legend,) = (one for one in legends if one is not None)
    assert [text.get_text() for text in legend.get_texts()] == ["NICs, sending", "NICs, receiving"]


@pytest.mark.parametrize("look", [style.LIGHT, style.DARK])
def test_bus_bandwidth_has_a_line_per_algorithm_over_powers_of_two(look: style.Look) -> None:
    table = bandwidths_by_size()
    (axes,) = busbw.draw(table, look).axes
    joined, first, second = axes.get_lines()
    assert [line.get_label() for line in (first, second)] == ["double binary tree", "ring"]
    assert len(np.ravel(joined.get_xdata())) == 21
    assert len(np.ravel(first.get_xdata())) == 11
    assert np.ravel(second.get_ydata())[-1] == pytest.approx(float(str(table.rows[-1]["busbw_bytes_per_s"])) / 1e9)
    assert axes.get_xlabel() == "message size"
    assert axes.get_ylabel() == "bus bandwidth (GB/s)"
    assert [tick.get_text() for tick in axes.get_xticklabels()][:3] == ["1 KiB", "4 KiB", "16 KiB"]


def test_algorithms_side_by_side_are_lines_of_their_own() -> None:
    table = bandwidths_by_size()
    rows = tuple({**row, "algorithm": name} for row in table.rows for name in ("ring", "tree"))
    (axes,) = busbw.draw(replace(table, rows=rows)).axes
    assert [line.get_linestyle() for line in axes.get_lines()] == ["-", "-"]


def test_a_table_without_bus_bandwidth_is_said_to_have_none() -> None:
    table = bandwidths_by_size()
    rows = tuple({**row, "busbw_bytes_per_s": None} for row in table.rows)
    (axes,) = busbw.draw(replace(table, rows=rows)).axes
    assert [text.get_text() for text in axes.texts] == ["no bus bandwidth is defined for this"]
