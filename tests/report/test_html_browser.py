"""Pages in a real browser: no errors, and what mouse, keys, touch and paper do."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from simcluster.api import load, simulate, sweep
from simcluster.report.html import spans
from simcluster.report.html.page import html
from simcluster.report.html.run import page
from simcluster.report.html.sweep import swept

if TYPE_CHECKING:
    from playwright.sync_api import Browser

from tests.report.html_helpers import EXAMPLE, KINDS, chromium, opened


@chromium
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("width", [390, 1440])
def test_a_page_loads_without_errors_and_fits_its_window(
    name: str, width: int, browser: Browser, tmp_path: Path, pages: dict[str, str]
) -> None:
    view, wrong = opened(browser, tmp_path, pages[name], viewport={"width": width, "height": 844})
    assert wrong == []
    assert view.evaluate("document.documentElement.scrollWidth") == width
    assert view.evaluate("window.hurt") is None
    assert len(view.pdf()) > 10_000
    view.close()


@chromium
def test_a_timeline_zooms_moves_and_tells(browser: Browser, tmp_path: Path, pages: dict[str, str]) -> None:
    view, wrong = opened(browser, tmp_path, pages["pipeline"], viewport={"width": 1200, "height": 900})
    canvas = view.locator("figure.timeline canvas")

    def window() -> tuple[float, float]:
        low, high = (float(each) for each in str(canvas.get_attribute("data-window")).split())
        return low, high

    view.get_by_role("button", name="All").click()
    whole = window()
    view.get_by_role("button", name="Zoom in").click()
    low, high = window()
    assert high - low == pytest.approx((whole[1] - whole[0]) / 2)
    canvas.focus()
    canvas.press("ArrowRight")
    assert window()[0] == pytest.approx(low + (high - low) / 5)
    canvas.press("0")
    assert window() == pytest.approx(whole)
    canvas.press(".")
    tip = view.locator("#tip")
    assert "from 0 s" in tip.inner_text()
    assert "limited by" in tip.inner_text()
    for _ in range(40):
        canvas.press("ArrowDown")
    assert "activations" in tip.inner_text()
    canvas.press("ArrowUp")
    assert "receiving" in tip.inner_text() or "spine" in tip.inner_text()
    assert "%" in tip.inner_text()
    canvas.press("Escape")
    assert tip.is_hidden()
    box = canvas.bounding_box()
    assert box is not None
    view.mouse.move(box["x"] + 150, box["y"] + 30)
    assert "0 compute" in tip.inner_text()
    view.mouse.down()
    view.mouse.move(box["x"] + 100, box["y"] + 30)
    view.mouse.up()
    assert wrong == []
    view.close()


@chromium
def test_tables_sort_and_filter(browser: Browser, tmp_path: Path, pages: dict[str, str]) -> None:
    view, wrong = opened(browser, tmp_path, pages["search"])
    plans = view.locator("section", has=view.get_by_role("heading", name="All 136 feasible plans"))
    places = plans.locator("tbody tr:not([hidden]) td:first-child")
    assert places.first.inner_text() == "1"
    for _ in range(2):
        plans.get_by_role("button", name="latency").click()
    assert places.first.inner_text() == "136"
    assert plans.locator("th[aria-sort=descending]").inner_text().startswith("latency")
    plans.get_by_role("searchbox").fill("asked for")
    assert places.all_inner_texts() == ["1"]
    assert plans.locator(".shown").inner_text() == "1 of 136"
    assert wrong == []
    view.close()


@chromium
@pytest.mark.parametrize(("name", "marks", "words"), [("search", 136, "tokens/s/GPU"), ("sweep", 16, "400 Gbit/s")])
def test_marks_of_a_chart_can_be_reached_and_tell(
    name: str, marks: int, words: str, browser: Browser, tmp_path: Path, pages: dict[str, str]
) -> None:
    view, wrong = opened(browser, tmp_path, pages[name])
    found = view.locator("svg.plot circle")
    assert found.count() == marks
    found.nth(marks - 1).focus()
    assert words in view.locator("#tip").inner_text()
    assert wrong == []
    view.close()


@chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_button_switches_light_and_dark(
    scheme: str, browser: Browser, tmp_path: Path, pages: dict[str, str]
) -> None:
    view, _ = opened(browser, tmp_path, pages["run"], color_scheme=scheme)

    def paper() -> object:
        return view.evaluate("getComputedStyle(document.body).backgroundColor")

    papers = {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}
    assert paper() == papers.pop(scheme)
    view.get_by_role("button", name="Switch between light and dark").click()
    assert paper() == papers.popitem()[1]
    view.close()


@chromium
def test_a_script_that_the_page_did_not_bring_does_not_run(
    browser: Browser, tmp_path: Path, pages: dict[str, str]
) -> None:
    view, wrong = opened(browser, tmp_path, pages["run"].replace("<main>", "<script>window.hurt = 1</script><main>"))
    assert view.evaluate("window.hurt") is None
    assert "Content Security Policy" in " ".join(wrong)
    view.close()


@chromium
def test_paper_is_light_whole_and_short(browser: Browser, tmp_path: Path, pages: dict[str, str]) -> None:
    """From a dark screen: light colours, every check open, no table wider than the sheet, 50 plans at most."""
    view, wrong = opened(browser, tmp_path, pages["run"], viewport={"width": 750, "height": 1000}, color_scheme="dark")
    canvas = "getComputedStyle(document.body).backgroundColor"
    assert view.evaluate(canvas) == "rgb(20, 23, 27)"
    view.emulate_media(media="print")
    view.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert view.evaluate(canvas) == "rgb(255, 255, 255)"
    assert view.locator("details:not([open])").count() == 0
    assert view.evaluate("document.documentElement.scrollWidth") <= 750
    corner = view.evaluate("[...document.querySelector('canvas').getContext('2d').getImageData(5, 40, 1, 1).data]")
    assert corner == [255, 255, 255, 255]
    view.emulate_media(media="screen")
    view.evaluate("dispatchEvent(new Event('afterprint'))")
    assert view.evaluate(canvas) == "rgb(20, 23, 27)"
    assert view.locator("details[open]").count() == 0
    assert wrong == []
    many, _ = opened(browser, tmp_path, pages["search"], viewport={"width": 750, "height": 1000})
    rows = many.locator("table.many tbody tr")
    assert rows.count() > 50
    many.emulate_media(media="print")
    assert rows.nth(49).is_visible()
    assert rows.nth(50).is_hidden()
    assert many.get_by_text(f"The first 50 of {rows.count()} rows are printed.").is_visible()


@chromium
def test_a_chart_is_one_stop_and_arrows_go_from_mark_to_mark(
    browser: Browser, tmp_path: Path, pages: dict[str, str]
) -> None:
    view, wrong = opened(browser, tmp_path, pages["search"], viewport={"width": 1200, "height": 900})
    marks = view.locator("svg.plot [role=img]")
    assert marks.count() > 50
    assert view.locator("svg.plot [role=img][tabindex='0']").count() == 1
    view.locator("svg.plot [role=img][tabindex='0']").focus()
    tip, focused = view.locator("#tip"), "Number(document.activeElement.getAttribute('cx'))"
    places = [view.evaluate(focused)]
    for key in ("ArrowRight", "ArrowRight", "End", "ArrowLeft", "Home"):
        view.keyboard.press(key)
        places.append(view.evaluate(focused))
        assert "tokens/s/GPU" in tip.inner_text()
    assert places[0] <= places[1] <= places[2] <= places[4] <= places[3]
    assert places[5] == places[0]
    view.set_viewport_size({"width": 800, "height": 900})
    view.wait_for_function("document.querySelector('svg.plot').getAttribute('viewBox').split(' ')[2] < 900")
    assert view.evaluate("document.activeElement.getAttribute('role')") == "img"
    view.keyboard.press("Escape")
    assert tip.is_hidden()
    assert wrong == []


@chromium
def test_a_tap_tells_and_a_scroll_does_not_hold_on(browser: Browser, tmp_path: Path, pages: dict[str, str]) -> None:
    view, wrong = opened(browser, tmp_path, pages["run"], viewport={"width": 390, "height": 800}, has_touch=True)
    canvas = view.locator("figure.timeline canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    view.touchscreen.tap(box["x"] + 140, box["y"] + 30)
    tip = view.locator("#tip")
    assert "rank 0 compute" in tip.inner_text()
    assert tip.is_visible()
    before = canvas.get_attribute("data-window")
    at = "{ clientX: 300, clientY: 300, pointerId: 7, pointerType: 'touch', bubbles: true }"
    send = "(canvas, kind) => canvas.dispatchEvent(new PointerEvent(kind, " + at + "))"
    canvas.evaluate("canvas => { canvas.setPointerCapture = () => {}; }")
    for kind in ("pointerdown", "pointercancel", "pointermove"):
        canvas.evaluate(send, kind)
    assert canvas.get_attribute("data-window") == before
    canvas.evaluate("canvas => { canvas.focus(); canvas.dispatchEvent(new WheelEvent('wheel', { deltaX: 40 })); }")
    after = [float(each) for each in str(canvas.get_attribute("data-window")).split()]
    low, high = (float(each) for each in str(before).split())
    assert after[1] - after[0] == pytest.approx(high - low)
    assert wrong == []


@chromium
def test_late_in_a_long_run_times_are_told_apart(browser: Browser, tmp_path: Path) -> None:
    result = simulate(load("scenarios/llama_3_70b.yaml"))
    view, _ = opened(browser, tmp_path, html(page(result)), viewport={"width": 1200, "height": 900})
    canvas = view.locator("figure.timeline canvas")
    canvas.focus()
    for key in ("0", *["+"] * 12, "."):
        canvas.press(key)
    first = view.locator("#tip").inner_text().split("from ")[1].split(" s,")[0]
    canvas.press(".")
    second = view.locator("#tip").inner_text().split("from ")[1].split(" s,")[0]
    assert result.timeline is not None
    assert float(first) > result.timeline.end_s / 3
    assert float(second) > float(first)
    canvas.press("ArrowDown")
    assert float(view.locator("#tip").inner_text().split("from ")[1].split(" s,")[0]) > result.timeline.end_s / 3


@chromium
def test_text_on_every_colour_can_be_read(browser: Browser, tmp_path: Path, pages: dict[str, str]) -> None:
    """A contrast of at least 4.5 in both themes (WCAG 2.2, 1.4.3)."""
    shine = """hex => [1, 3, 5].map(at => parseInt(hex.slice(at, at + 2), 16) / 255)
        .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
        .reduce((sum, part, i) => sum + part * [0.2126, 0.7152, 0.0722][i], 0)"""
    hues = [hue for hue, _ in spans.HUES.values()]
    for scheme in ("light", "dark"):
        view, _ = opened(browser, tmp_path, pages["run"], color_scheme=scheme)
        for hue in hues:
            light, dark = sorted(
                float(view.evaluate(f"({shine})({one})")) for one in (f"colour('{hue}')", f"inkOn(colour('{hue}'))")
            )[::-1]
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (scheme, hue)


@chromium
@pytest.mark.parametrize("width", [390, 1440])
def test_words_on_an_axis_do_not_touch(browser: Browser, tmp_path: Path, width: int) -> None:
    plans = ["EP64_TP2_PP1", "EP8", "TP2_PP4_DP16", "TP8_DP16", "TP4_DP32", "EP2", "EP4", "TP2", "EP16", "EP32"]
    table = sweep(EXAMPLE, {"plan": plans}, workers=1)
    view, _ = opened(browser, tmp_path, html(swept(table)), viewport={"width": width, "height": 900})
    label = "[...document.querySelector('svg.plot').querySelectorAll('text')].slice(0, 10)"
    boxes = view.evaluate(f"{label}.map(one => [one.textContent, one.hasAttribute('transform'), "
                          "one.getBoundingClientRect().left, one.getBoundingClientRect().right])")  # fmt: skip
    assert [one[0] for one in boxes] == plans
    assert all(one[1] == (width == 390) for one in boxes)
    assert min(one[2] for one in boxes) >= 0
    if width == 1440:
        assert all(before[3] < after[2] for before, after in pairwise(boxes))


@chromium
def test_equal_values_are_drawn_from_zero_and_blanks_sort_last(
    browser: Browser, tmp_path: Path, pages: dict[str, str]
) -> None:
    flat = html(swept(sweep(EXAMPLE, {"seed": ["1", "2", "3"]}, workers=1)))
    view, _ = opened(browser, tmp_path, flat, viewport={"width": 1200, "height": 900})
    marks = view.locator("svg.plot").first.locator("text").all_text_contents()
    assert "8 ms" in marks
    assert "10 ms" not in marks
    view, _ = opened(browser, tmp_path, pages["run"], viewport={"width": 1200, "height": 900})
    table = view.locator("section", has=view.get_by_role("heading", name="Operations")).locator("table")
    for _ in range(2):
        table.get_by_role("button", name="exposed").click()
        cells = table.locator("tbody tr td:nth-child(5)").all_inner_texts()
        blank = [not cell for cell in cells]
        assert any(blank)
        assert blank == sorted(blank)
    memory = view.locator("section", has=view.get_by_role("heading", name="Memory")).locator("table")
    memory.get_by_role("button", name="bytes").click()
    assert memory.locator("tr").last.inner_text().startswith("total")
