"""Pages in use: corners of zooming, keys, wheel, words and paper that a first look does not reach."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from simcluster.api import load, simulate
from simcluster.report.html.blocks import Chart, Page
from simcluster.report.html.page import html
from simcluster.report.html.run import page
from tests.report.html_helpers import chromium, opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser

LONG = [f"a_plan_of_a_rather_long_name_{number}" for number in range(10)]
MANY = [f"EP{number}_TP2_PP4" for number in range(30)]
TWO = ["EP64_TP2_PP1_DP16", "EP8_TP2_PP4_DP128"]
NOTE_LABELS = """() => {
    window.noted = [];
    const draw = CanvasRenderingContext2D.prototype.fillText;
    CanvasRenderingContext2D.prototype.fillText = function (text, x, y, most) {
        if (y === 9) window.noted.push([text, x, x + this.measureText(text).width]);
        return draw.call(this, text, x, y, most);
    };
}"""
"""Notes where the labels above a timeline are drawn."""


def words(names: list[str]) -> str:
    """A page with one chart over words."""
    points = [{"x": at, "y": 0.01, "text": name} for at, name in enumerate(names)]
    across = {"name": "plan", "measure": "number", "log": False, "low": 0, "high": len(names) - 1, "names": names}
    up = {"name": "", "measure": "seconds", "log": False, "zero": True, "low": 0.01, "high": 0.01}
    data = {"lines": [{"name": "", "points": points}], "x": across, "y": up}
    chart = Chart(title="Latency", chart="lines", data=data, label="Latency against plan")
    return html(Page(title="Words", subtitle="", verdict=(), cards=(), claims=(), blocks=(chart,)))


def window(canvas: Any) -> list[float]:
    return [float(each) for each in canvas.get_attribute("data-window").split()]


@chromium
@pytest.mark.parametrize("width", [390, 1440])
def test_labels_of_times_are_whole_and_apart(browser: Browser, tmp_path: Path, width: int) -> None:
    text = html(page(simulate(load("scenarios/llama_3_70b.yaml"))))
    view, _ = opened(browser, tmp_path, text, viewport={"width": width, "height": 900})
    view.evaluate(NOTE_LABELS)
    canvas = view.locator("figure.timeline canvas")
    canvas.focus()
    for key in ("0", *["+"] * 20):
        canvas.press(key)
    for _ in range(10):
        view.evaluate("window.noted = []")
        canvas.press("ArrowRight")
        labels = view.evaluate("window.noted")
        assert labels
        assert max(end for _, _, end in labels) <= canvas.evaluate("canvas => canvas.clientWidth")
        assert all(before[2] < after[1] for before, after in pairwise(labels))
        assert len({label for label, _, _ in labels}) == len(labels)
    view.close()


@chromium
def test_a_wheel_that_does_not_turn_does_not_zoom_and_a_drag_puts_the_tip_away(
    browser: Browser, tmp_path: Path, pages: dict[str, str]
) -> None:
    view, wrong = opened(browser, tmp_path, pages["pipeline"], viewport={"width": 1200, "height": 900})
    canvas, tip = view.locator("figure.timeline canvas"), view.locator("#tip")
    canvas.focus()
    before = window(canvas)
    canvas.evaluate("canvas => canvas.dispatchEvent(new WheelEvent('wheel', { deltaX: 0, deltaY: 0 }))")
    assert window(canvas) == before
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    view.mouse.move(box["x"] + 150, box["y"] + 30)
    assert tip.is_visible()
    view.mouse.down()
    view.mouse.move(box["x"] + 140, box["y"] + 30)
    assert tip.is_hidden()
    view.mouse.up()
    assert wrong == []
    view.close()


@chromium
def test_up_and_down_go_to_the_nearest_span(browser: Browser, tmp_path: Path, pages: dict[str, str]) -> None:
    """Of a lane whose spans lie apart, the one that ended a moment ago, not one that starts long after."""
    view, wrong = opened(browser, tmp_path, pages["pipeline"], viewport={"width": 1200, "height": 900})
    canvas = view.locator("figure.timeline canvas")
    computing, sending = view.evaluate("data.find(one => one.chart === 'timeline').data.lanes")[:2]
    spans = [(start, start + length) for start, length in zip(sending["start"], sending["length"], strict=True)]

    def nearest(at: float) -> tuple[float, float]:
        return min(spans, key=lambda span: max(span[0] - at, at - span[1], 0.0))

    number, near = next(
        (number, nearest(at)) for number, at in enumerate(computing["start"]) if nearest(at)[1] < at < spans[-1][0]
    )
    canvas.focus()
    for key in ("0", *["."] * (number + 1), "ArrowDown"):
        canvas.press(key)
    low, high = window(canvas)
    assert f"from {view.evaluate(f'seconds({near[0]}, {(high - low) / 1000})')}," in view.locator("#tip").inner_text()
    assert wrong == []
    view.close()


@chromium
def test_a_chart_says_its_keys_and_does_not_pull_the_page_back(
    browser: Browser, tmp_path: Path, pages: dict[str, str]
) -> None:
    view, wrong = opened(browser, tmp_path, pages["search"], viewport={"width": 390, "height": 500})
    chart = view.locator("svg.plot")
    assert "Arrow keys" in str(chart.get_attribute("aria-label"))
    keys = chart.locator(".keys")
    assert keys.evaluate("one => getComputedStyle(one).opacity") == "0"
    chart.locator("[tabindex='0']").focus()
    view.keyboard.press("ArrowRight")
    assert keys.evaluate("one => getComputedStyle(one).opacity") == "1"
    name, help_ = (chart.get_by_text(text).bounding_box() for text in ("tokens/s/GPU", "Arrow keys"))
    assert name is not None
    assert help_ is not None
    assert name["x"] + name["width"] < help_["x"]
    view.evaluate("scrollTo(0, document.body.scrollHeight)")
    before = view.evaluate("scrollY")
    view.evaluate("dispatchEvent(new Event('resize'))")
    assert view.evaluate("document.activeElement.getAttribute('role')") == "img"
    assert view.evaluate("scrollY") == before > 500
    assert wrong == []
    view.close()


@chromium
@pytest.mark.parametrize("width", [390, 800, 1440])
@pytest.mark.parametrize("names", [LONG, MANY, TWO], ids=["long", "many", "two"])
def test_long_and_many_words_are_whole_and_apart(
    browser: Browser, tmp_path: Path, names: list[str], width: int
) -> None:
    """Turned words lie apart by at least the height of a letter, measured across them."""
    view, _ = opened(browser, tmp_path, words(names), viewport={"width": width, "height": 900})
    labels = view.evaluate(
        """names => [...document.querySelectorAll('svg.plot text')].filter(one => one.textContent &&
            names.some(name => name.startsWith(one.textContent.split("…")[0]))).map(one => {
            const box = one.getBoundingClientRect(), turn = one.getCTM();
            return [box.left, box.right, Number(one.getAttribute('x')), Math.abs(turn.b) / Math.hypot(turn.a, turn.b),
                one.textContent];
        })""",
        names,
    )
    sheet = view.evaluate(
        "(({ left, right }) => [left, right])(document.querySelector('svg.plot').getBoundingClientRect())"
    )
    assert len(labels) == len(names) or (len(names) == 30 and len(labels) >= 10)
    assert len({one[4] for one in labels}) == len(labels)
    assert min(one[0] for one in labels) >= sheet[0]
    assert max(one[1] for one in labels) <= sheet[1]
    for before, after in pairwise(labels):
        assert before[1] < after[0] or (after[2] - before[2]) * after[3] >= 12
    assert view.locator("svg.plot circle").count() == len(names)
    view.close()


@chromium
def test_of_a_filtered_table_the_rows_that_match_are_printed(
    browser: Browser, tmp_path: Path, pages: dict[str, str]
) -> None:
    view, wrong = opened(browser, tmp_path, pages["search"], viewport={"width": 750, "height": 1000})
    rows, note = view.locator("table.many tbody tr"), view.locator(".printed")
    whole = note.text_content()
    for wanted in ("PP2", "TP"):
        view.get_by_role("searchbox").fill(wanted)
        left = view.locator("table.many tbody tr:not([hidden])").count()
        view.emulate_media(media="print")
        assert sum(row.is_visible() for row in rows.all()) == min(left, 50)
        told = "all printed" if left <= 50 else "of which the first 50 are printed"
        assert note.inner_text() == f"Rows with “{wanted}”: {left}, {told}."
        view.emulate_media(media="screen")
    view.get_by_role("searchbox").fill("")
    assert note.text_content() == whole
    assert wrong == []
    view.close()
