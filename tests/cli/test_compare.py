"""`simcluster compare` and `simcluster crossover` as a user types them."""

from __future__ import annotations

from pathlib import Path

import pytest

from simcluster.report.figures.style import FORMATS
from tests.edge_helpers import DOES_NOT_FIT, SMALL, changed, scenario_file, simcluster

OVER = "cluster.infiniband.bandwidth=1 Gbit/s..1 Tbit/s"


def test_compare_prints_aligned_columns_and_a_reason(tmp_path: Path) -> None:
    path = scenario_file(tmp_path)
    outcome = simcluster("compare", path, "--plan", "EP8", "--plan", "TP2")
    assert (outcome.code, outcome.err) == (0, "")
    blocks = outcome.out.split("\n\n")
    titles = [block.splitlines()[0] for block in blocks]
    assert titles[0] == "Side by side"
    assert titles[-1] == "Why"
    for block in blocks[:4]:
        header, *rows = block.splitlines()[2:]
        places = [header.index(label) + len(label) for label in ("EP4_TP2_PP1", "EP8", "TP2 ")]
        assert all(len(row) <= len(header) for row in rows), block
        assert places == sorted(places)
    why = " ".join(blocks[-1].splitlines()[2:])
    assert [f"{plan} " in why and " its critical path has " in why for plan in ("EP8", "TP2")] == [True, True]


def test_compare_as_json_prints_one_object(tmp_path: Path) -> None:
    columns = simcluster("compare", scenario_file(tmp_path), "--plan", "EP8", "--json").json()["columns"]
    assert [one["plan"] for one in columns] == ["EP4_TP2_PP1", "EP8"]
    assert all(one["latency_s"] > 0 for one in columns)


def test_compare_exits_1_where_nothing_fits_and_2_where_nothing_is_valid(tmp_path: Path) -> None:
    path = scenario_file(tmp_path)
    assert simcluster("compare", path, "--set", DOES_NOT_FIT).code == 1
    refused = simcluster("compare", path, "--set", "plan=EP7")
    assert (refused.code, refused.out) == (2, "")
    assert "EP7 asks for 7 GPUs" in refused.err
    assert simcluster("compare", path, "--plan", "EP7").code == 0
    assert simcluster("compare").code == 2
    missing = simcluster("compare", path, tmp_path / "no.yaml")
    assert missing.code == 2
    assert "no.yaml: cannot be read" in missing.err


@pytest.mark.parametrize("ending", FORMATS)
def test_compare_draws_a_figure(ending: str, tmp_path: Path) -> None:
    figure = tmp_path / "new" / f"figure.{ending}"
    path = scenario_file(tmp_path, changed(("name: small", 'name: "$x_2$ </svg> %s {}"')))
    outcome = simcluster("compare", path, "--plan", "EP8", "--plan", "EP7", "--plot", figure, "--style", "dark")
    assert outcome.code == 0
    assert outcome.err == f"figure: {figure}\n"
    assert figure.stat().st_size > 1000
    again = figure.read_bytes()
    simcluster("compare", path, "--plan", "EP8", "--plan", "EP7", "--plot", figure, "--style", "dark")
    assert figure.read_bytes() == again


def test_compare_refuses_a_figure_it_cannot_write_before_the_work(tmp_path: Path) -> None:
    outcome = simcluster("compare", scenario_file(tmp_path), "--plot", tmp_path / "x.bmp")
    assert (outcome.code, outcome.out) == (2, "")
    assert "the ending must be" in outcome.err


def test_crossover_prints_the_answer_first(tmp_path: Path) -> None:
    path = scenario_file(tmp_path, SMALL)
    arguments = ("crossover", path, "--between", "EP8", "EP4", "--over", OVER, "--tolerance", "1e-3")
    outcome = simcluster(*arguments)
    assert (outcome.code, outcome.err) == (0, "")
    tree = simcluster(*arguments, "--json").json()
    assert outcome.out.split("\n\n")[0].replace("\n", " ") == tree["verdict"]
    assert tree["plans"] == ["EP8", "EP4"]
    assert len(tree["scan"]) == 9
    assert all(point["latency_s"]["EP4"] > 0 for point in tree["scan"])
    rows = outcome.out.split("latency of a step")[1].splitlines()
    assert sum(row.split()[-1] in ("EP8", "EP4", "crossing") for row in rows[3:]) >= 9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--between", "EP8", "EP8", "--over", OVER), "are the same plan"),
        (("--between", "EP8", "EP7", "--over", OVER), "--between EP7: plan: EP7 asks for 7 GPUs"),
        (("--between", "EP8", "EP4", "--over", "x"), "expected PATH=LO..HI"),
        (("--between", "EP8", "EP4", "--over", "nothing=1..2"), "nothing: unknown key"),
        (("--between", "EP8", "EP4", "--over", "\x1b[31m=1..2"), "x1b"),
        (("--over", OVER, "--between", "EP8"), "Option '--between' requires 2 arguments"),
        (("--between", "EP8", "EP4", "--over", OVER, "--points", "1"), "--points"),
        (("--between", "EP8", "EP4"), "Missing option '--over'"),
    ],
)
def test_crossover_refuses_with_status_2(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    outcome = simcluster("crossover", scenario_file(tmp_path), *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err
    assert "\x1b" not in outcome.err


def test_run_prints_the_critical_path(tmp_path: Path) -> None:
    outcome = simcluster("run", scenario_file(tmp_path), "--no-advise")
    assert "Critical path (what the latency is made of)\n" in outcome.out
    rows = simcluster("run", scenario_file(tmp_path), "--json").json()["critical_path"]
    assert sum(row["fraction"] for row in rows) == pytest.approx(1, rel=1e-9)
    assert simcluster("run", scenario_file(tmp_path), "--json", "--set", DOES_NOT_FIT).json()["critical_path"] == []


def test_an_escape_in_a_plan_is_not_sent(tmp_path: Path) -> None:
    for plan in ("\x1b[31m", "EP\x9b8", ""):
        outcome = simcluster("compare", scenario_file(tmp_path), "--plan", plan, "--no-sensitivities")
        assert outcome.code == 0
        assert all(line.isprintable() for line in outcome.out.splitlines())
