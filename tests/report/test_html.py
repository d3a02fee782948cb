"""Pages: what they say, that nothing in a name can act, and what they do in a real browser."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from simcluster.api import compare, load, search, simulate, sweep
from simcluster.report import ranking
from simcluster.report.html import spans
from simcluster.report.html.compare import compared
from simcluster.report.html.page import embedded, html
from simcluster.report.html.run import page
from simcluster.report.html.search import searched
from simcluster.report.html.sweep import swept
from simcluster.study.capacity import capacity
from simcluster.study.remedies import remedies
from simcluster.study.slowdown import slowdown
from simcluster.study.uncertainty import intervals
from simcluster.timeline import metric
from simcluster.timeline.links import in_words, link_rows
from simcluster.timeline.result import Result

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

EXAMPLE = "scenarios/ep64_tp2_pp1.yaml"
HOSTILE = "</script><script>window.hurt = 1</script><img src=x onerror='window.hurt = 1'>"
CHROMIUM = shutil.which("chromium")
OVER = {"cluster.infiniband.bandwidth": ["100 Gbit/s", "400 Gbit/s"], "plan": ["EP64_TP2_PP1", "EP8"]}


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    result = simulate(load(EXAMPLE))
    found = search(load("scenarios/mixtral_decode.yaml"))
    hostile = replace(result, identity=replace(result.identity, scenario=HOSTILE, plan=HOSTILE))
    return {
        "run": html(page(result)),
        "hostile": html(page(replace(hostile, checks=tuple(replace(one, why=HOSTILE) for one in result.checks)))),
        "pipeline": html(page(simulate(load(EXAMPLE, ["plan=TP2_PP4_DP16"])))),
        "unfit": html(page(simulate(load("scenarios/llama_3_70b.yaml", ["workload.batch=4096"])))),
        "search": html(searched(found, ranking.answer(found))),
        "compare": html(compared(compare(EXAMPLE, plans=["EP8", "EP3"]))),
        "sweep": html(swept(sweep(EXAMPLE, OVER, workers=1))),
    }


class _Reader(HTMLParser):
    """Tags with their attributes, and the text outside scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside not in ("script", "style"):
            self.words.append(data)


def test_the_verdict_and_the_numbers_of_a_run_come_first(pages: dict[str, str]) -> None:
    text = " ".join(" ".join(_Reader(pages["run"]).words).split())
    line = "9.025 ms a step, 14,523,494 tokens/s, MFU 20.0 %"
    assert text.index(line) < text.index("Bound by communication: 57.7 % of the step") < text.index("Checks")
    assert text.index("8 of 19 checks fail.") < text.index("Checks")
    assert "14,523,494 tokens/s" in text
    assert "8 fail" in text
    assert "723.7 GFLOP per GPU / (400 TFLOPS x 9.025 ms) = 20.0 %" in text
    assert text.index("fails mfu >= 0.839") < text.index("Where a GPU's time goes")


def test_a_plan_that_does_not_fit_says_so_and_draws_nothing(pages: dict[str, str]) -> None:
    text = " ".join(" ".join(_Reader(pages["unfit"]).words).split())
    assert "does not fit: the fullest GPU needs" in text
    assert "figure" not in [tag for tag, _ in _Reader(pages["unfit"]).tags]


@pytest.mark.parametrize("name", ["run", "hostile", "pipeline", "unfit", "search", "compare", "sweep"])
def test_a_page_needs_nothing_but_itself(name: str, pages: dict[str, str]) -> None:
    reader = _Reader(pages[name])
    assert {tag: sum(one == tag for one, _ in reader.tags) for tag in ("script", "link", "img", "iframe", "style")} == {
        "script": 2,
        "link": 0,
        "img": 0,
        "iframe": 0,
        "style": 1,
    }
    wanted = ("src", "href", "action", "style", "onerror", "onload", "onclick")
    assert not [(tag, attributes) for tag, attributes in reader.tags if set(wanted) & set(attributes)]
    assert "url(" not in pages[name]
    assert "@import" not in pages[name]
    policy = next(one["content"] for _, one in reader.tags if one.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy


def test_a_hostile_name_is_text(pages: dict[str, str]) -> None:
    reader = _Reader(pages["hostile"])
    assert HOSTILE in "".join(reader.words)
    assert HOSTILE not in pages["hostile"]


@pytest.mark.parametrize("text", ["</script>", "<!--", "]]>", "\u2028", "&lt;", "plain"])
def test_embedded_data_comes_back_and_cannot_end_its_element(text: str) -> None:
    found = embedded({"name": text})
    assert not re.search("[<>&\u2028\u2029]", found)
    assert json.loads(found) == {"name": text}
    with pytest.raises(ValueError, match="JSON"):
        embedded(float("nan"))


def test_the_timeline_s_spans_are_those_of_the_run(pages: dict[str, str]) -> None:
    """Seconds of kernels, of all lanes of a pipeline together."""
    result = simulate(load(EXAMPLE, ["plan=TP2_PP4_DP16"]))
    assert result.timeline is not None
    data = json.loads(pages["pipeline"].split('id="data">')[1].split("</script>")[0])
    lanes = data[0]["data"]["lanes"]
    ranks = [lane["name"].removesuffix(" compute").removeprefix("rank ") for lane in lanes if "compute" in lane["name"]]
    assert ranks == ["0", "32", "64", "96"]
    drawn = sum(sum(lane["length"]) for lane in lanes if "compute" in lane["name"])
    timeline = result.timeline
    own = timeline.on_compute
    assert drawn == pytest.approx(float((timeline.finish_s[own] - timeline.start_s[own]).sum()), rel=1e-5)


def test_curves_have_the_run_s_means(pages: dict[str, str]) -> None:
    """The mean of a curve over its bins is the metric; memory's peak is the fullest operation's activations."""
    result = simulate(load(EXAMPLE))
    assert result.timeline is not None
    data = json.loads(pages["run"].split('id="data">')[1].split("</script>")[0])
    curves = {one["name"]: one for one in data[0]["data"]["curves"]}
    means = {name: sum(one["value"]) / len(one["value"]) for name, one in curves.items()}
    assert means["GPUs computing"] == pytest.approx(result.metrics["compute_busy"], abs=1e-4)
    for link in link_rows(result.timeline):
        name = in_words(str(link["kind"]), str(link["direction"]))
        assert means[name] == pytest.approx(float(link["utilization_mean"]), abs=1e-4)
        assert max(curves[name]["value"]) <= float(link["utilization_peak"]) + 1e-4
    assert max(curves["activations"]["value"]) == pytest.approx(result.memory["activations"].bytes, abs=1)


def test_of_many_kinds_of_ranks_those_that_differ_most_are_drawn() -> None:
    """Among 128 whose experts are unevenly popular the busiest and the idlest."""
    slow = ["workload.expert_load={zipf: 1.0}", "faults=[{gpu: node3.gpu2, factor: 0.5}]"]
    result = simulate(load(EXAMPLE, slow))
    chart = spans.chart(result)
    assert isinstance(chart.data, dict)
    assert result.timeline is not None
    busy = [result.timeline.of(rank=rank, stream="compute").busy_s() for rank in range(128)]
    ranks = {lane["name"].split()[1] for lane in chart.data["lanes"]}
    assert len(ranks) == spans.MOST_TRACKS
    drawn = [busy[int(rank)] for rank in ranks]
    assert (min(drawn), max(drawn)) == pytest.approx((min(busy), max(busy)), rel=1e-12)
    assert "Of 128 kinds of ranks 120 are not drawn" in chart.note


# ------------------------------------------------------------------------------------------------ in a real browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def opened(browser: Browser, folder: Path, text: str, **options: Any) -> tuple[Page, list[str]]:
    """The page, and what went wrong or was asked of the network so far; the list grows."""
    file = folder / "page.html"
    file.write_text(text, encoding="utf-8")
    view, wrong = browser.new_page(**options), list[str]()
    view.on("console", lambda message: wrong.append(message.text))
    view.on("pageerror", lambda error: wrong.append(str(error)))
    view.on("request", lambda request: wrong.append(request.url) if request.url != file.as_uri() else None)
    view.goto(file.as_uri())
    return view, wrong


in_chromium = [
    pytest.mark.chromium,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's package chromium"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


def chromium(test: Any) -> Any:
    for mark in in_chromium:
        test = mark(test)
    return test


@chromium
@pytest.mark.parametrize("name", ["run", "hostile", "pipeline", "unfit", "search", "compare", "sweep"])
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


def _words(result: Result, **more: Any) -> str:
    return " ".join(" ".join(_Reader(html(page(result, **more))).words).split())


def test_a_page_has_all_that_run_prints_of_faults_and_doubt() -> None:
    scenario = load(EXAMPLE, ["faults=[{gpu: node3.gpu2, factor: 0.5}, {jitter: 0.05}]"])
    result = simulate(scenario)
    healthy = slowdown(scenario, result)
    assert healthy is not None
    found = intervals(scenario, result, 3)
    assert found is not None
    text = _words(result, healthy=healthy, uncertainty=found)
    assert "42.5 % slower than without faults" in text
    assert "Whom the others wait for" in text
    assert "26 node3.gpu2" in text
    latency = found.intervals["latency_s"]
    for value in (latency.p5, latency.p50, latency.p95):
        assert metric.show("latency_s", value) in text


def test_a_page_says_what_would_fit() -> None:
    edits = ["workload.batch=4096"]
    scenario = load("scenarios/llama_3_70b.yaml", edits)
    allowed = capacity(scenario)
    found = remedies(scenario, lambda changes: load("scenarios/llama_3_70b.yaml", [*edits, *changes]), allowed)
    assert found
    text = _words(simulate(scenario), capacity=replace(allowed, remedies=found))
    assert f"largest that fits: batch {allowed.largest_batch:,}" in text
    assert all(change in text for remedy in found for change in remedy.changes)


def test_a_generation_says_that_steps_are_drawn_as_one() -> None:
    result = simulate(load("scenarios/llama_3_70b.yaml"))
    chart = spans.chart(result)
    assert isinstance(chart.data, dict)
    assert result.timeline is not None
    told = {one["name"]: one["facts"][-2] for one in chart.data["operations"]}
    times = result.timeline.operations[-1].times
    assert times > 1
    assert told["lm_head"] == f"{times:,} steps drawn as one, FLOPs and bytes of one"
    assert "stands for" in chart.note
    text = _words(result)
    assert "Phases phase steps time a step" in text
    assert f"decode {result.phases[1].steps:,}" in text
