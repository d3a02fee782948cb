"""`simcluster collective`: the table, its JSON and figure, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simcluster.cli.collective import message_sizes
from simcluster.errors import InputError
from tests.edge_helpers import Outcome, no_longer_than, scenario_file, simcluster

KINDS = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "broadcast", "send_recv")
COLUMNS = {"bytes", "algorithm", "time_s", "algbw_bytes_per_s", "busbw_bytes_per_s", "limited_by"}
MIB = 2.0**20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return scenario_file(tmp_path)


def _collective(*arguments: object) -> Outcome:
    with no_longer_than(20):
        return simcluster("collective", *arguments)


def _refused(*arguments: object) -> str:
    outcome = _collective(*arguments)
    assert (outcome.code, outcome.out) == (2, ""), outcome.err
    assert "Traceback" not in outcome.err
    return outcome.err


def test_the_table_is_that_of_nccl_tests() -> None:
    outcome = _collective("all_reduce", "--cluster", "dgx-h100", "--gpus", 8, "--bytes", "1MiB,64MiB")
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0] == "all_reduce on 8 GPUs"
    header = next(line for line in lines if "busbw" in line)
    assert [word for word in ("size", "algorithm", "time", "algbw", "busbw", "limited by") if word not in header] == []
    assert [line.split()[:2] for line in lines if "MiB" in line] == [["1", "MiB"], ["64", "MiB"]]
    assert "in-switch" in lines[-1]


@pytest.mark.parametrize("kind", KINDS)
def test_json_holds_a_row_a_size_of_finite_numbers(kind: str, path: Path) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    for source in (path, "dgx-h100"):
        outcome = _collective(kind, "--cluster", source, "--gpus", 8, "--bytes", "1B..16GiB", "--json")
        assert (outcome.code, outcome.err) == (0, "")
        rows = json.loads(outcome.out, parse_constant=refuse)["rows"]
        assert [row["bytes"] for row in rows] == [2.0**power for power in range(35)]
        assert all(set(row) == COLUMNS for row in rows)
        times = [row["time_s"] for row in rows]
        assert times == sorted(times)
        assert times[0] > 0


def test_bandwidths_follow_from_the_time(path: Path) -> None:
    (row,) = _collective("all_reduce", "--cluster", path, "--gpus", 8, "--bytes", "64MiB", "--json").json()["rows"]
    assert row["algbw_bytes_per_s"] == pytest.approx(64 * MIB / row["time_s"])
    assert row["busbw_bytes_per_s"] == pytest.approx(2 * 7 / 8 * 64 * MIB / row["time_s"])


def test_sizes_left_out_are_1_kib_to_1_gib(path: Path) -> None:
    rows = _collective("all_reduce", "--cluster", path, "--gpus", 8, "--json").json()["rows"]
    assert [row["bytes"] for row in rows] == [2.0**power for power in range(10, 31)]


def test_no_bytes_take_the_latency_alone(path: Path) -> None:
    (row,) = _collective("all_reduce", "--cluster", path, "--gpus", 8, "--bytes", "0B", "--json").json()["rows"]
    assert row["time_s"] == pytest.approx(2 * 7 * 3e-6)
    assert (row["algbw_bytes_per_s"], row["limited_by"]) == (0, "latency")


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("1MiB", [MIB]),
        ("1MiB,64MiB", [MIB, 64 * MIB]),
        (" 1 MiB , 2 MiB ", [MIB, 2 * MIB]),
        ("1KiB..5KiB", [1024, 2048, 4096]),
        ("1MiB..1MiB", [MIB]),
        ("0B,1B..2B", [0, 1, 2]),
    ],
)
def test_sizes_are_a_list_of_sizes_and_doublings(text: str, sizes: list[float]) -> None:
    assert message_sizes(text) == sizes


@pytest.mark.parametrize(
    "text",
    ["nonsense", "-1MiB", "0", "1", "1 GB/s", "1MiB,,2MiB", ",", "1MiB..0B", "0B..1MiB", "1MiB..", "..1MiB", "nan B",
     "inf B", "1e30 B", "2MiB..1MiB"],
)  # fmt: skip
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InputError) as raised:
        message_sizes(text)
    assert str(raised.value).startswith("--bytes: ")
    fits = ("1KiB..1GiB", "64 GB", "zero or more", "1e+21 bytes")
    assert any(fitting in str(raised.value) for fitting in fits), raised.value


def test_a_size_without_its_unit_ends_the_command(path: Path) -> None:
    assert "has no unit" in _refused("all_reduce", "--cluster", path, "--gpus", 8, "--bytes", 1024)


REFUSED: dict[str, tuple[tuple[object, ...], str]] = {
    "one GPU": (("all_reduce", "--gpus", 1), "2 or more"),
    "no GPUs": (("all_reduce", "--gpus", 0), "--gpus"),
    "fewer than none": (("all_reduce", "--gpus", -3), "--gpus"),
    "words for GPUs": (("all_reduce", "--gpus", "x"), "--gpus"),
    "more than there are": (("all_reduce", "--gpus", 9), "has 8 GPUs, not 9"),
    "far more than there are": (("all_reduce", "--gpus", 100_000_000), "has 8 GPUs, not 100,000,000"),
    "more a node than there are": (("all_reduce", "--gpus", 8, "--per-node", 9), "a node has 4 GPUs, not 9"),
    "more nodes than there are": (("all_reduce", "--gpus", 8, "--per-node", 2), "2 nodes give 4 GPUs"),
    "unknown kind": (("all_reduc", "--gpus", 8), "did you mean all_reduce?"),
    "unknown type": (("all_reduce", "--gpus", 8, "--dtype", "bf17"), "did you mean bf16?"),
    "unknown algorithm": (("all_reduce", "--gpus", 8, "--algorithm", "rong"), "it has ring, tree"),
    "another kind's algorithm": (("all_to_all", "--gpus", 8, "--algorithm", "ring"), "it has direct, pairwise"),
    "no adding switch": (("all_reduce", "--gpus", 4, "--algorithm", "in-switch"), "in_switch_reduction: true"),
    "no adding network": (("all_reduce", "--gpus", 8, "--algorithm", "in-network"), "in_network_reduction: true"),
    "no power of two": (("all_gather", "--gpus", 6, "--algorithm", "halving-doubling"), "a power of two"),
    "uneven domains": (("all_reduce", "--gpus", 6, "--algorithm", "hierarchical"), "not 4, 2"),
    "one-shot between nodes": (("all_reduce", "--gpus", 8, "--algorithm", "one-shot"), "one NVLink domain, not 2"),
    "tokens unknown": (("all_to_all", "--gpus", 8, "--algorithm", "node-dedup"), "top_k and experts"),
    "figure of no kind": (("all_reduce", "--gpus", 8, "--plot", "x.bmp"), ".png, .svg or .pdf"),
    "wrong setting": (("all_reduce", "--gpus", 8, "--set", "cluster.nvlink.topology=ring"), "'nvswitch', 'mesh'"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_is_refused_with_what_can(what: str, path: Path) -> None:
    arguments, fits = REFUSED[what]
    assert fits in _refused(*arguments, "--cluster", path)


@pytest.mark.parametrize(
    ("source", "word"),
    [("dgx-h10", "dgx-h100"), ("missing.yaml", "No such file"), ("/", "Is a directory")],
)
def test_an_unknown_cluster_is_refused_with_those_there_are(source: str, word: str) -> None:
    assert word in _refused("all_reduce", "--cluster", source, "--gpus", 8)


def test_a_catalogue_fabric_says_how_many_nodes_it_joins() -> None:
    assert "at most 262,144 nodes" in _refused("all_reduce", "--cluster", "dgx-h100", "--gpus", 100_000_000)


def test_in_switch_across_nodes_is_refused_on_a_catalogue_cluster() -> None:
    told = _refused("all_reduce", "--cluster", "dgx-h100", "--gpus", 16, "--algorithm", "in-switch")
    assert "one NVLink domain, not 2" in told


# ----------------------------------------------------------------------------------------- the matrix of an all-to-all


def _matrix(folder: Path, text: str) -> Path:
    file = folder / "matrix.csv"
    file.write_text(text, encoding="utf-8")
    return file


def _even(cell: str, gpus: int = 8) -> str:
    return "\n".join([",".join([cell] * gpus)] * gpus)


def _uneven(path: Path, text: str, *more: object) -> Outcome:
    matrix = _matrix(path.parent, text)
    return _collective("all_to_all", "--cluster", path, "--gpus", 8, "--matrix", matrix, *more)


def test_an_even_matrix_is_an_all_to_all_of_eight_times_a_cell(path: Path) -> None:
    time_s = _uneven(path, _even("1e6"), "--json").json()["time_s"]
    (row,) = _collective("all_to_all", "--cluster", path, "--gpus", 8, "--bytes", "8 MB", "--json").json()["rows"]
    assert time_s == pytest.approx(row["time_s"], rel=1e-9)


def test_one_cell_is_one_message(path: Path) -> None:
    """4.5 GB at 45 GB/s, and 3 us."""
    rows = [["0"] * 8 for _ in range(8)]
    rows[0][4] = "4.5e9"
    time_s = _uneven(path, "\n".join(map(",".join, rows)), "--json").json()["time_s"]
    assert time_s == pytest.approx(0.1 + 3e-6, rel=1e-9)


def test_nothing_to_send_takes_no_time(path: Path) -> None:
    assert _uneven(path, _even("0"), "--json").json() == {"time_s": 0}


def test_what_a_gpu_sends_itself_costs_nothing(path: Path) -> None:
    rows = [["1e12" if one == other else "1e6" for other in range(8)] for one in range(8)]
    mine = _uneven(path, "\n".join(map(",".join, rows)), "--json").json()
    assert mine == _uneven(path, _even("1e6"), "--json").json()


MATRICES = {
    "empty": ("", ""),
    "blank lines": ("\n\n", ""),
    "words": (_even("a"), "'a'"),
    "units": (_even("1 MB"), "plain numbers"),
    "a hole": (_even("1").replace("1,1", "1,,1", 1), "column"),
    "ragged": ("1,2\n3\n", "row 2 has 1 columns, row 1 has 2"),
    "too small": (_even("1", 4), "4 x 4"),
    "too large": (_even("1", 9), "9 x 9"),
    "not square": ("\n".join([",".join(["1"] * 8)] * 7), "7 x 8"),
    "negative": (_even("1")[:-1] + "-1", "row 8, column 8 is -1"),
    "NaN": (_even("nan"), "row 1, column 1 is nan"),
    "infinite": (_even("inf"), "row 1, column 1 is inf"),
    "past all floats": (_even("1e308"), ""),
}


@pytest.mark.parametrize("what", MATRICES)
def test_a_matrix_of_nonsense_is_refused_with_the_place(what: str, path: Path) -> None:
    text, fits = MATRICES[what]
    outcome = _uneven(path, text)
    assert (outcome.code, outcome.out) == (2, ""), outcome.err
    assert "Traceback" not in outcome.err
    assert fits in outcome.err


def test_a_matrix_that_cannot_be_read_is_refused(path: Path) -> None:
    (path.parent / "binary.csv").write_bytes(b"\xff\xfe\x00")
    for name in ("missing.csv", "binary.csv", "."):
        told = _refused("all_to_all", "--cluster", path, "--gpus", 8, "--matrix", path.parent / name)
        assert "read" in told or "directory" in told


@pytest.mark.parametrize("more", [("--bytes", "1MiB"), ("--algorithm", "pairwise"), ("--plot", "x.png")])
def test_a_matrix_stands_alone(more: tuple[str, ...], path: Path) -> None:
    outcome = _uneven(path, _even("1"), *more)
    assert outcome.code == 2
    assert "--matrix describes one direct all_to_all" in outcome.err


def test_a_figure_is_written_where_it_is_asked_for(path: Path) -> None:
    figure = path.parent / "deep" / "busbw.png"
    outcome = _collective("all_reduce", "--cluster", path, "--gpus", 8, "--bytes", "1KiB..1MiB", "--plot", figure)
    assert (outcome.code, outcome.err) == (0, f"figure: {figure}\n")
    assert figure.read_bytes().startswith(b"\x89PNG")
