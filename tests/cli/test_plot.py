"""`plot`: a figure of a scenario or of a run's folder, the same bytes each time."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from simcluster.report.figures import KINDS
from tests.edge_helpers import DOES_NOT_FIT, scenario_file, simcluster

STARTS = {"png": b"\x89PNG\r\n", "svg": b"<?xml", "pdf": b"%PDF-"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return scenario_file(tmp_path)


@pytest.mark.parametrize(
    ("kind", "ending"), [*((kind, "svg") for kind in KINDS), ("utilization", "png"), ("memory", "pdf")]
)
def test_a_folder_plots_as_its_scenario_does(kind: str, ending: str, path: Path, tmp_path: Path) -> None:
    simcluster("run", path, "--out", tmp_path / "out")
    names = [tmp_path / f"{source}.{ending}" for source in ("scenario", "folder")]
    for source, name in zip((path, tmp_path / "out"), names, strict=True):
        outcome = simcluster("plot", source, "--kind", kind, "-o", name)
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.out == f"{name}\n"
    figures = [name.read_bytes() for name in names]
    assert figures[0].startswith(STARTS[ending])
    assert figures[0] == figures[1]


def test_the_figure_is_named_after_its_kind_unless_told(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert simcluster("plot", "small.yaml").out == "utilization.png\n"
    assert (tmp_path / "utilization.png").read_bytes().startswith(STARTS["png"])


@pytest.mark.parametrize("name", ["figure.gif", "figure", "figure.", "figure.png.txt", ".png", "figure.jpeg"])
def test_another_ending_is_refused_before_the_work(name: str, path: Path, tmp_path: Path) -> None:
    outcome = simcluster("plot", path, "-o", tmp_path / name)
    assert (outcome.code, outcome.out) == (2, "")
    assert ".png, .svg or .pdf" in outcome.err
    assert [entry.name for entry in tmp_path.iterdir()] == ["small.yaml"]


def test_an_ending_in_capitals_is_fine(path: Path, tmp_path: Path) -> None:
    assert simcluster("plot", path, "-o", tmp_path / "figure.SVG").code == 0
    assert (tmp_path / "figure.SVG").read_bytes().startswith(STARTS["svg"])


@pytest.mark.parametrize("where", ["small.yaml/figure.png", "/proc/figure.png", "/dev/null/figure.svg", "folder.png"])
def test_an_unwritable_place_ends_with_two(where: str, path: Path, tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    outcome = simcluster("plot", path, "-o", tmp_path / where)
    assert (outcome.code, outcome.out) == (2, "")
    assert str(tmp_path / where) in outcome.err
    assert "Traceback" not in outcome.err


def test_a_failure_while_drawing_leaves_the_older_figure_and_no_other_file(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figure = tmp_path / "figure.png"
    simcluster("plot", path, "-o", figure)
    before = figure.read_bytes()

    def full(_: Figure, name: Path, **options: object) -> None:
        Path(name).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", full)
    outcome = simcluster("plot", path, "-o", figure, "--set", "model.layers=4")
    assert outcome.out == ""
    assert figure.read_bytes() == before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["figure.png", "small.yaml"]
    assert outcome.code == 2
    assert "No space left on device" in outcome.err
    assert "Traceback" not in outcome.err


def test_a_plan_that_does_not_fit_has_nothing_to_draw(path: Path, tmp_path: Path) -> None:
    simcluster("run", path, "--out", tmp_path / "out", "--set", DOES_NOT_FIT)
    for source, options in ((path, ("--set", DOES_NOT_FIT)), (tmp_path / "out", ())):
        outcome = simcluster("plot", source, *options, "-o", tmp_path / "figure.png")
        assert (outcome.code, outcome.out) == (1, "")
        assert "does not fit" in outcome.err
        assert not (tmp_path / "figure.png").exists()


@pytest.mark.parametrize("rank", [-1, 8, 10**9])
def test_a_rank_that_does_not_exist_is_refused_with_those_that_do(rank: int, path: Path, tmp_path: Path) -> None:
    outcome = simcluster("plot", path, "--kind", "timeline", "--rank", rank, "-o", tmp_path / "figure.png")
    assert (outcome.code, outcome.out) == (2, "")
    assert "0 to 7" in outcome.err


@pytest.mark.parametrize("ranks", [(7,), (0, 7), (3, 3)])
def test_chosen_ranks_are_drawn(ranks: tuple[int, ...], path: Path, tmp_path: Path) -> None:
    options = [word for rank in ranks for word in ("--rank", str(rank))]
    outcome = simcluster("plot", path, "--kind", "timeline", *options, "--layers", 1, "-o", tmp_path / "figure.svg")
    assert (outcome.code, outcome.err) == (0, "")
    drawn = (tmp_path / "figure.svg").read_text()
    assert all(f"rank {rank}" in drawn for rank in ranks)


@pytest.mark.parametrize("kind", ["utilization", "timeline"])
def test_a_figure_may_be_drawn_without_folding(kind: str, path: Path, tmp_path: Path) -> None:
    outcome = simcluster("plot", path, "--kind", kind, "--fold", "off", "-o", tmp_path / "figure.svg")
    assert (outcome.code, outcome.err) == (0, "")
    assert (tmp_path / "figure.svg").read_text().startswith("<?xml")


def test_folding_cannot_be_chosen_for_a_finished_run(path: Path, tmp_path: Path) -> None:
    simcluster("run", path, "--out", tmp_path / "out")
    outcome = simcluster("plot", tmp_path / "out", "--fold", "off", "-o", tmp_path / "figure.png")
    assert (outcome.code, outcome.out) == (2, "")
    assert "--fold off needs a scenario" in outcome.err
    assert simcluster("plot", tmp_path / "out", "--fold", "auto", "-o", tmp_path / "figure.png").code == 0


def test_set_on_a_folder_is_refused(path: Path, tmp_path: Path) -> None:
    simcluster("run", path, "--out", tmp_path / "out")
    outcome = simcluster("plot", tmp_path / "out", "--set", "model.layers=4", "-o", tmp_path / "figure.png")
    assert outcome.code == 2
    assert "--set needs a scenario" in outcome.err


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    outcome = simcluster("plot", tmp_path, "-o", tmp_path / "figure.png")
    assert outcome.code == 2
    assert outcome.err.startswith(str(tmp_path))
