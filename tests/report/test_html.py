"""Pages: what they say, and that nothing in a name can act."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from simcluster.api import load, search, simulate
from simcluster.report import ranking
from simcluster.report.html import spans
from simcluster.report.html.blocks import Chart
from simcluster.report.html.page import embedded
from simcluster.report.html.search import searched
from simcluster.study.capacity import capacity
from simcluster.study.remedies import remedies
from simcluster.study.slowdown import slowdown
from simcluster.study.uncertainty import intervals
from simcluster.timeline import metric
from simcluster.timeline.links import in_words, link_rows

if TYPE_CHECKING:
    pass

from tests.report.html_helpers import EXAMPLE, HOSTILE, KINDS, Reader, words_of


def test_the_verdict_and_the_numbers_of_a_run_come_first(pages: dict[str, str]) -> None:
    text = " ".join(" ".join(Reader(pages["run"]).words).split())
    line = "9.025 ms a step, 14,523,494 tokens/s, MFU 20.0 %"
    assert text.index(line) < text.index("Bound by communication: 57.7 % of the step") < text.index("Checks")
    assert text.index("8 of 19 checks fail.") < text.index("Checks")
    assert "14,523,494 tokens/s" in text
    assert "8 fail" in text
    assert "723.7 GFLOP per GPU / (400 TFLOPS x 9.025 ms) = 20.0 %" in text
    assert text.index("fails mfu >= 0.839") < text.index("Where a GPU's time goes")


def test_a_plan_that_does_not_fit_says_so_and_draws_nothing(pages: dict[str, str]) -> None:
    text = " ".join(" ".join(Reader(pages["unfit"]).words).split())
    assert "does not fit: the fullest GPU needs" in text
    assert "figure" not in [tag for tag, _ in Reader(pages["unfit"]).tags]


@pytest.mark.parametrize("name", KINDS)
def test_a_page_needs_nothing_but_itself(name: str, pages: dict[str, str]) -> None:
    reader = Reader(pages[name])
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
    reader = Reader(pages["hostile"])
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


def test_a_page_has_all_that_run_prints_of_faults_and_doubt() -> None:
    scenario = load(EXAMPLE, ["faults=[{gpu: node3.gpu2, factor: 0.5}, {jitter: 0.05}]"])
    result = simulate(scenario)
    healthy = slowdown(scenario, result)
    assert healthy is not None
    found = intervals(scenario, result, 3)
    assert found is not None
    text = words_of(result, healthy=healthy, uncertainty=found)
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
    text = words_of(simulate(scenario), capacity=replace(allowed, remedies=found))
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
    text = words_of(result)
    assert "Phases phase steps time a step" in text
    assert f"decode {result.phases[1].steps:,}" in text


def test_a_plan_may_be_asked_for_and_on_the_front() -> None:
    found = search(load("scenarios/llama_3_70b.yaml"), workers=1)
    chart = next(block for block in searched(found, ranking.answer(found)).blocks if isinstance(block, Chart))
    assert isinstance(chart.data, dict)
    both = [one for one in chart.data["points"] if one["role"] == "front asked"]
    assert len(both) == (found.asked in found.front)
    assert len(both) == 1
    assert "Pareto front\nasked for (ringed)" in both[0]["text"]
    assert len(chart.data["legend"]) == 3
