"""The figure of a search: the front is numbered without one number covering another."""

from __future__ import annotations

from dataclasses import replace

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Annotation

from simcluster.report.figures import pareto, style
from simcluster.timeline.ranking import Ranked, Ranking
from simcluster.timeline.table import Table


def ranking(points: list[tuple[float, float]]) -> Ranking:
    """Plans of 8 GPUs by (latency, tokens/s per GPU), all of them on the front; the last is asked for."""
    one = Ranked(
        plan="EP8", label="EP8", convention="orthogonal", degrees={}, nodes=1, gpus=8, batch=1, microbatches=None,
        placement=(), changes=(), fits=True, memory_fraction=0.5, mfu=0.5,
    )  # fmt: skip
    rows = tuple(
        replace(one, label=f"plan {number}", latency_s=latency_s, throughput_tokens_per_s=8 * rate)
        for number, (latency_s, rate) in enumerate(points)
    )
    return Ranking(
        scenario="drawn", objective="latency", constraints=(), listed=(), space={}, plans=rows, feasible=len(rows),
        front=rows, asked=rows[-1], place=None, why=(), states=Table(title="", columns=(), rows=(), swept=()),
    )  # fmt: skip


CLOSE = [(0.010 + 0.0001 * step, 1e5 + 10 * step) for step in range(12)]
FAR = [(0.001 * 3**step, 1e3 * 2**step) for step in range(9)]
MANY = [(0.001 * 1.05**step, 1e3 * 1.04**step) for step in range(90)]


@pytest.mark.parametrize("points", [CLOSE, FAR, MANY, FAR[:1]])
@pytest.mark.parametrize("look", [style.LIGHT, style.DARK])
def test_no_number_covers_another(points: list[tuple[float, float]], look: style.Look) -> None:
    figure = pareto.draw(ranking(points), look)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    renderer = canvas.get_renderer()  # type: ignore[no-untyped-call]
    notes = [text for text in figure.axes[0].texts if isinstance(text, Annotation)]
    boxes = [note.get_window_extent(renderer) for note in notes]
    assert 1 <= len(notes) <= pareto.MOST_NAMED
    assert not any(one.overlaps(other) for index, one in enumerate(boxes) for other in boxes[:index])
    assert notes[0].get_text() == "1"
    assert all(figure.bbox.x0 <= box.x0 and box.y1 <= figure.bbox.y1 for box in boxes)


def test_both_ends_of_a_long_front_are_named() -> None:
    figure = pareto.draw(ranking(MANY))
    told = [text.get_text() for text in figure.legends[0].get_texts()]
    assert told[4] == "1  plan 0"
    assert told[-1] == "90  plan 89"
    assert len(told) == 4 + pareto.MOST_NAMED


def test_axes_have_units_and_are_logarithmic_where_values_are_far_apart() -> None:
    (near,), (far,) = pareto.draw(ranking(CLOSE)).axes, pareto.draw(ranking(FAR)).axes
    assert (near.get_xscale(), far.get_xscale(), far.get_yscale()) == ("linear", "log", "log")
    assert near.get_xlabel() == "latency (ms)"
    assert near.get_ylabel() == "throughput per GPU (thousand tokens/s)"
