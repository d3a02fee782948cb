"""Hostile names: whatever a file calls its things, terminals, JSON and figures show text and interpret nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.edge_helpers import SMALL, changed, named, scenario_file, simcluster

TAKEN = (
    "</script><script>alert(1)</script>", "$x_2$", r"$\frac{1}{0}$", r"\alpha $", "$", "%s %d %(x)s %", "{} {0} {x!r}",
    "<svg/onload=alert(1)>", "&amp; & < > \" '", "a\\nb", "_hidden", "-rf", "x" * 200, "é" * 200, "name: {a: b}", "--",
    "]]>", "=1+1", "C:\\temp\\x", "${HOME} `id` $(id)", "∑ μs — ×", "\\", "''", "{", "}",
)  # fmt: skip
REFUSED = (
    "two\nlines",
    "\x1b[31mred\x1b[0m",
    "\x00",
    "tab\there",
    "x" * 201,
    "",
    "\u2028",
    "\x85",
    "\x9b31m",
    "\u202eevil",
    "\r",
)


@pytest.mark.parametrize("name", TAKEN)
def test_a_name_is_printed_as_it_is(name: str, tmp_path: Path) -> None:
    path = scenario_file(tmp_path, named(name))
    outcome = simcluster("run", path)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(f"{name}\n{'=' * len(name)}\n")
    assert simcluster("run", path, "--json").json()["scenario"] == name


@pytest.mark.parametrize("name", REFUSED)
def test_a_name_of_several_lines_or_with_controls_is_refused_in_plain_text(name: str, tmp_path: Path) -> None:
    text = SMALL.replace("name: small", f"name: {json.dumps(name)}")
    outcome = simcluster("run", scenario_file(tmp_path, text))
    assert (outcome.code, outcome.out) == (2, "")
    assert ":1:1: name: expected one line of text, at most 200 characters" in outcome.err
    assert all(line.isprintable() for line in outcome.err.splitlines())


@pytest.mark.parametrize("kind", ["utilization", "timeline"])
@pytest.mark.parametrize("name", ["</script>$x_2$ %s {} &amp; <b>", r"$\frac{1}{0}$", "$", "_hidden $_$"])
def test_a_figure_shows_the_name_and_interprets_nothing(kind: str, name: str, tmp_path: Path) -> None:
    path = scenario_file(tmp_path, named(name))
    outcome = simcluster("plot", path, "--kind", kind, "-o", tmp_path / "figure.svg", "--layers", 1)
    assert (outcome.code, outcome.err) == (0, "")
    assert name in texts(tmp_path / "figure.svg")


@pytest.mark.parametrize("name", ["日本語", "🎉 party", "العربية", "ｆｕｌｌ"])
def test_a_name_the_font_has_no_letters_for_is_drawn_without_complaint(name: str, tmp_path: Path) -> None:
    path = scenario_file(tmp_path, named(name))
    for ending in ("png", "svg"):
        outcome = simcluster("plot", path, "-o", tmp_path / f"figure.{ending}")
        assert (outcome.code, outcome.err) == (0, "")


def test_a_long_name_is_cut_in_a_figure_with_a_sign(tmp_path: Path) -> None:
    path = scenario_file(tmp_path, named("x" * 200))
    assert simcluster("plot", path, "-o", tmp_path / "figure.svg").code == 0
    shown = [text for text in texts(tmp_path / "figure.svg") if text.startswith("xxx")]
    assert len(shown) == 1
    assert shown[0].endswith("…")
    assert len(shown[0]) < 120


def texts(svg: Path) -> list[str]:
    """All text of a figure; parsing proves that nothing broke out of its element."""
    root = ElementTree.fromstring(svg.read_bytes())
    return ["".join(element.itertext()).strip() for element in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("text", ["$x_2$ %s {}", "</script> \\frac"])
def test_swept_values_are_legend_and_tick_text(text: str, tmp_path: Path) -> None:
    path = scenario_file(tmp_path, name=f"{text.replace('/', '')} file.yaml")
    quoted = json.dumps(text)
    figure = tmp_path / "figure.svg"
    axes = ("--over", f"name={quoted},plain", "--over", "workload.steps=1,2")
    assert simcluster("sweep", path, *axes, "--plot", figure, "--workers", 1).code == 0
    assert quoted in texts(figure)  # along the axis
    assert simcluster("sweep", path, *axes[2:], *axes[:2], "--plot", figure, "--workers", 1).code == 0
    assert quoted in texts(figure)  # in the legend


def test_a_swept_value_that_begins_with_an_underscore_is_in_the_legend(tmp_path: Path) -> None:
    """matplotlib leaves labels that begin with _ out of a legend; a reader would miss a line."""
    figure = tmp_path / "figure.svg"
    axes = ("--over", "workload.steps=1,2", "--over", "name=_first,second")
    assert simcluster("sweep", scenario_file(tmp_path), *axes, "--plot", figure, "--workers", 1).code == 0
    assert {"_first", "second"} <= set(texts(figure))


HARDWARE = [
    ("    memory: 64 GB", "    name: {}\n    memory: 64 GB"),
    ("    memory: 64 GB", "    source: {}\n    memory: 64 GB"),
    ("  layers: 2", "  name: {}\n  layers: 2"),
    ("latency: 1 us", "latency: 1 us, source: {}"),
    ("latency: 3 us", "latency: 3 us, source: {}"),
]


@pytest.mark.parametrize(
    "edit", HARDWARE, ids=["gpu name", "gpu source", "model name", "nvlink source", "infiniband source"]
)
@pytest.mark.parametrize("text", ["\x1b]0;owned\x07\x1b[2J", "one\ntwo", "\x9b31m", "\u202eevil"])
def test_no_other_text_of_a_file_reaches_the_terminal_raw(text: str, edit: tuple[str, str], tmp_path: Path) -> None:
    """A datasheet's source is printed by `run`: an escape in it is refused or shown, but never sent."""
    old, new = edit
    given = changed((old, new.format(json.dumps(text))))
    path = scenario_file(tmp_path, given)
    for command in ("run", "check"):
        outcome = simcluster(command, path)
        assert outcome.code in (0, 2)
        assert text not in outcome.out + outcome.err
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", outcome.out + outcome.err)


def test_an_escape_in_an_option_is_not_sent(tmp_path: Path) -> None:
    for option in ("\x1b[31m", "\x1b[31m=3", "plan=\x1b[31m", "name.\x1b=3"):
        outcome = simcluster("run", scenario_file(tmp_path), "--set", option)
        assert outcome.code == 2
        assert "\x1b" not in outcome.err, option
    outcome = simcluster("sweep", scenario_file(tmp_path), "--over", "\x1b[31m")
    assert outcome.code == 2
    assert "\x1b" not in outcome.err


def test_an_escape_in_a_file_name_is_not_sent(tmp_path: Path) -> None:
    outcome = simcluster("run", scenario_file(tmp_path, "- a\n", "\x1b[31m.yaml"))
    assert outcome.code == 2
    assert "\x1b" not in outcome.err
