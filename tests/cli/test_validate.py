"""`simcluster validate`: the error against measurements that a user brings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simcluster.api import collective_seconds, kernel_seconds
from tests.edge_helpers import Outcome, no_longer_than, process, simcluster

NETWORK = "machine,kind,gpus,gpus_per_node,dtype,bytes,setup,measured_us,source\n"
MOE = "machine,mode,gpus,tokens_per_rank,hidden,top_k,experts,sms,dispatch_us,combine_us,source\n"
PUBLISHED = ("id,regime,machine,gpus,model,precision,plan,phase,batch,sequence,output,kv_reads,metric,measured,status,"
             "waits_for,clean,fitted,source\n")  # fmt: skip
KEYS = ["regime", "points", "mean", "median", "worst", "bias", "fitted", "source"]


def _folder(folder: Path, *rows: str, name: str = "network.csv", header: str = NETWORK) -> Path:
    (folder / name).write_text(header + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    return folder


def _validate(*arguments: object) -> Outcome:
    with no_longer_than(60):
        return simcluster("validate", *arguments)


def _ours(message_bytes: float) -> float:
    return collective_seconds(cluster="dgx-h100", kind="all_reduce", gpus=8, message_bytes=message_bytes) * 1e6


def _row(message_bytes: int, measured_us: float) -> str:
    return f"h100,all_reduce,8,8,half,{message_bytes},,{measured_us!r},my bench"


def test_the_error_is_that_of_hand_made_rows(tmp_path: Path) -> None:
    """20 % too slow at 1 KiB, half as fast again at 1 MiB: mean 35 % over all sizes, 50 % from 1 MiB."""
    folder = _folder(tmp_path, _row(2**10, _ours(2**10) / 0.8), _row(2**20, _ours(2**20) / 1.5))
    regimes = {one["regime"]: one for one in _validate("--data", folder, "--json").json()["regimes"]}
    assert list(regimes) == ["h100 all_reduce, one node, all sizes", "h100 all_reduce, one node, from 1 MiB"]
    whole, large = regimes.values()
    assert list(whole) == KEYS
    assert (whole["points"], large["points"]) == (2, 1)
    for key, expected in (("mean", 0.35), ("median", 0.35), ("worst", 0.5), ("bias", 0.15)):
        assert whole[key] == pytest.approx(expected, rel=1e-9), key
        assert large[key] == pytest.approx(0.5, rel=1e-9), key
    assert whole["source"] == "my bench"


def test_dispatch_and_combine_are_scored_apart(tmp_path: Path) -> None:
    asked = {"gpus": 8, "tokens_per_rank": 512, "hidden": 7168, "top_k": 8, "experts": 256}
    ours = [collective_seconds(cluster="dgx-h100", kind=kind, **asked) * 1e6  # type: ignore[arg-type]
            for kind in ("moe_dispatch", "moe_combine")]  # fmt: skip
    row = f"h100,normal,8,512,7168,8,256,0,{ours[0] / 1.25!r},{ours[1] * 2!r},mine"
    folder = _folder(tmp_path, row, name="moe.csv", header=MOE)
    regimes = {one["regime"]: one["mean"] for one in _validate("--data", folder, "--json").json()["regimes"]}
    assert regimes == pytest.approx(
        {"h100 moe_dispatch normal, EP8": 0.25, "h100 moe_combine normal, EP8": 0.5}, rel=1e-9
    )


def test_an_exchange_without_a_combine_time_is_scored_once(tmp_path: Path) -> None:
    folder = _folder(tmp_path, "h100,normal,8,512,7168,8,256,0,100,0,mine", name="moe.csv", header=MOE)
    (one,) = _validate("--data", folder, "--json").json()["regimes"]
    assert one["regime"] == "h100 moe_dispatch normal, EP8"


def test_the_table_for_people_names_every_regime(tmp_path: Path) -> None:
    outcome = _validate("--data", _folder(tmp_path, _row(2**20, 100.0)))
    assert (outcome.code, outcome.err) == (0, "")
    assert "h100 all_reduce, one node, from 1 MiB" in outcome.out
    assert "my bench" in outcome.out


RAW_GEMM = "m,n,k,latency_us\n"


def _gemm_row(m: int, times: float) -> str:
    """A row whose measured time is `times` that of the shipped profile."""
    return f"{m},4096,4096,{kernel_seconds(gpu='h100-sxm', kernel='gemm', m=m, n=4096, k=4096) * 1e6 * times!r}"


@pytest.mark.parametrize("inner", ["", "measured"])
def test_raw_kernel_tables_are_scored_against_the_shipped_profiles(inner: str, tmp_path: Path) -> None:
    """Half and four fifths of what is predicted: 100 % and 25 % too long."""
    (tmp_path / inner).mkdir(exist_ok=True)
    rows = (_gemm_row(64, 0.5), _gemm_row(100, 0.8), _gemm_row(3000, 1.0))
    _folder(tmp_path / inner, *rows, name="h100_sxm_gemm_trtllm_bfloat16.csv", header=RAW_GEMM)
    (one,) = _validate("--data", tmp_path, "--json").json()["regimes"]
    assert list(one) == KEYS
    assert (one["regime"], one["points"], one["fitted"]) == ("h100-sxm gemm/bf16, all rows", 3, True)
    for key, expected in (("mean", 1.25 / 3), ("median", 0.25), ("worst", 1.0), ("bias", 1.25 / 3)):
        assert one[key] == pytest.approx(expected, abs=1e-6), key


def test_raw_tables_stand_beside_a_users_collectives(tmp_path: Path) -> None:
    _folder(tmp_path, _gemm_row(64, 0.5), name="h100_sxm_gemm_trtllm_bfloat16.csv", header=RAW_GEMM)
    (tmp_path / "published.csv").write_text("id,hardware,value\nraw,H100,1\n", encoding="utf-8")
    out = _validate("--data", _folder(tmp_path, _row(2**20, 100.0))).out
    assert "h100-sxm gemm/bf16, all rows" in out
    assert "h100 all_reduce, one node, from 1 MiB" in out


@pytest.mark.parametrize("row", ["64,4096,4096,0", "64,4096,4096,nan", "64,many,4096,10", "64,4096"])
def test_a_broken_row_of_a_raw_table_is_refused_with_its_line(row: str, tmp_path: Path) -> None:
    name = "h100_sxm_gemm_trtllm_bfloat16.csv"
    outcome = _validate("--data", _folder(tmp_path, _gemm_row(64, 1.0), row, name=name, header=RAW_GEMM))
    assert (outcome.code, outcome.out) == (2, ""), outcome.err
    assert f"{name}:3" in outcome.err


GOOD = _row(2**20, 100.0)
BROKEN = {
    "a column short": GOOD.rpartition(",")[0],
    "a column long": f"{GOOD},more",
    "words for GPUs": GOOD.replace("all_reduce,8", "all_reduce,eight"),
    "half a GPU": GOOD.replace("all_reduce,8", "all_reduce,8.5"),
    "words for bytes": GOOD.replace("1048576", "1MiB"),
    "words for a time": GOOD.replace("100.0", "fast"),
    "no time": GOOD.replace("100.0", "0"),
    "a negative time": GOOD.replace("100.0", "-5"),
    "NaN": GOOD.replace("100.0", "nan"),
    "endless bytes": GOOD.replace("1048576", "inf"),
    "an unknown machine": GOOD.replace("h100", "h101"),
    "an unknown kind": GOOD.replace("all_reduce", "all_reduc"),
    "an unknown type": GOOD.replace("half", "quarter"),
    "one GPU": GOOD.replace("all_reduce,8,8", "all_reduce,1,8"),
    "no GPUs a node": GOOD.replace("all_reduce,8,8", "all_reduce,8,0"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_row_is_refused(what: str, tmp_path: Path) -> None:
    outcome = _validate("--data", _folder(tmp_path, GOOD, BROKEN[what]))
    assert (outcome.code, outcome.out) == (2, ""), outcome.err
    assert "Traceback" not in outcome.err


def test_a_missing_column_is_refused(tmp_path: Path) -> None:
    (tmp_path / "network.csv").write_text("machine,kind\nh100,all_reduce\n", encoding="utf-8")
    outcome = _validate("--data", tmp_path)
    assert (outcome.code, outcome.out) == (2, ""), outcome.err


def test_a_folder_without_measurements_is_refused_with_the_names(tmp_path: Path) -> None:
    outcome = _validate("--data", tmp_path)
    assert outcome.code == 2
    assert "network.csv" in outcome.err
    assert "moe.csv" in outcome.err


@pytest.mark.parametrize("name", ["missing", "file.csv"])
def test_what_is_no_folder_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "file.csv").touch()
    outcome = _validate("--data", tmp_path / name)
    assert (outcome.code, outcome.out) == (2, "")
    assert "--data" in outcome.err


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "network.csv").write_bytes(b"\xff\xfe\x00")
    outcome = _validate("--data", tmp_path)
    assert (outcome.code, outcome.out) == (2, ""), outcome.err


def test_nothing_but_the_package_and_the_folder_is_read(tmp_path: Path) -> None:
    """As a process of its own in an empty folder."""
    data, empty = tmp_path / "data", tmp_path / "empty"
    data.mkdir()
    empty.mkdir()
    outcome = process("validate", "--data", _folder(data, GOOD), "--json", folder=empty, environment={"HOME": "/"})
    assert (outcome.code, outcome.err) == (0, "")
    assert [one["points"] for one in json.loads(outcome.out)["regimes"]] == [1, 1]
    assert list(empty.iterdir()) == []


RUN = "mine-128,my runs,dgx-a100,1,llama-2-7b,bf16,TP1,prefill,1,128,0,per_kv_head,ttft_s,0.02,ready,,yes,no,my bench"
WAITING = "mine-ifb,my runs,dgx-a100,1,llama-2-7b,bf16,TP1,generate,0,128,8,per_query_head,"
WAITING += "output_tokens_per_s_per_gpu,900,waiting,a scheduler,no,no,my bench"


def _runs(folder: Path, *rows: str) -> Path:
    return _folder(folder, *rows, name="published.csv", header=PUBLISHED)


def test_a_users_own_runs_are_predicted(tmp_path: Path) -> None:
    """What is twice as long as measured is 100 % off; what waits has neither value nor error."""
    ours = _validate("--data", _runs(tmp_path, RUN), "--json").json()["cases"][0]["predicted"]
    folder = _runs(tmp_path, RUN.replace("0.02", repr(ours / 2)), WAITING)
    document = _validate("--data", folder, "--json").json()
    first, second = document["cases"]
    assert first["error"] == pytest.approx(1.0, rel=1e-9)
    assert (first["status"], first["clean"], first["fitted"], first["source"]) == ("scored", True, False, "my bench")
    assert (second["status"], second["waits_for"]) == ("waiting", "a scheduler")
    assert (second["predicted"], second["measured"], second["error"]) == (None, 900, None)
    names = [one["regime"] for one in document["regimes"]]
    assert names == ["published inference, one node, clean setup", "my runs"]
    assert [one["mean"] for one in document["regimes"]] == pytest.approx([1.0, 1.0], rel=1e-9)


def test_the_text_tells_scored_failed_and_waiting_runs_apart(tmp_path: Path) -> None:
    fitted = RUN.replace("mine-128", "mine-fit").replace("yes,no", "yes,yes")
    failed = RUN.replace("mine-128", "mine-bad").replace("llama-2-7b", "llama-2-7c")
    out = _validate("--data", _runs(tmp_path, RUN, fitted, failed, WAITING, WAITING)).out
    titles = ["Published runs that took no part in the fit", "Published runs of the fit",
              "Published runs that could not be predicted", "Published runs that wait"]  # fmt: skip
    places = [out.index(title) for title in titles]
    assert places == sorted(places)
    for name, title in zip(("mine-128", "mine-fit", "mine-bad"), titles, strict=False):
        assert out.index(title) < out.index(name)
    assert "20 ms" in out
    assert "2  a scheduler" in out[places[-1] :]
    assert "mine-ifb" not in out


def test_runs_that_all_wait_are_no_mistake(tmp_path: Path) -> None:
    document = _validate("--data", _runs(tmp_path, WAITING), "--json").json()
    assert document["regimes"] == []
    assert len(document["cases"]) == 1
    assert _validate("--data", tmp_path).out.startswith("Published runs that wait\n")


def test_a_run_that_cannot_be_run_is_named_and_is_exit_status_2(tmp_path: Path) -> None:
    failed = RUN.replace("mine-128", "mine-bad").replace("llama-2-7b", "llama-2-7c")
    outcome = _validate("--data", _runs(tmp_path, RUN, failed))
    assert outcome.code == 2
    assert "mine-bad cannot be run: " in outcome.err
    assert "mine-128" not in outcome.err
    assert "mine-128" in outcome.out


def test_a_ledger_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "network.csv").write_text(f"{NETWORK}{GOOD}\n", encoding="utf-8-sig")
    assert _validate("--data", tmp_path).code == 0


def test_a_broken_row_is_refused_with_its_file_and_line(tmp_path: Path) -> None:
    outcome = _validate("--data", _folder(tmp_path, GOOD, BROKEN["no time"]))
    assert f"{tmp_path / 'network.csv'}:3: " in outcome.err


BROKEN_RUNS = {
    "a ready run that waits": RUN.replace("ready,,", "ready,a scheduler,"),
    "waiting for nothing": WAITING.replace("a scheduler", ""),
    "an unknown status": RUN.replace("ready", "done"),
    "an unknown phase": RUN.replace("prefill", "serve"),
    "a ready run without a batch": RUN.replace("prefill,1", "prefill,0"),
    "an unknown metric": RUN.replace("ttft_s", "ttft_ms"),
    "an unknown precision": RUN.replace("bf16", "bf17"),
    "no time": RUN.replace("0.02", "0"),
    "neither yes nor no": RUN.replace("yes,no", "yes,maybe"),
}


@pytest.mark.parametrize("what", BROKEN_RUNS)
def test_a_broken_run_is_refused_with_its_line(what: str, tmp_path: Path) -> None:
    outcome = _validate("--data", _runs(tmp_path, RUN, BROKEN_RUNS[what]))
    assert (outcome.code, outcome.out) == (2, ""), outcome.err
    assert "published.csv:3" in outcome.err


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_the_figure_is_drawn(ending: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    _runs(_folder(data, _row(2**20, 100.0)), RUN, RUN.replace("yes,no", "yes,yes"))
    path = tmp_path / "figures" / f"scatter.{ending}"
    outcome = _validate("--data", data, "--json", "--plot", path)
    assert (outcome.code, outcome.err) == (0, f"figure: {path}\n")
    assert len(outcome.json()["cases"]) == 2
    assert path.read_bytes()[:5] in (b"\x89PNG\r", b"<?xml", b"%PDF-")


def test_the_figure_names_its_panels_and_groups(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    path = tmp_path / "scatter.svg"
    _validate("--data", _runs(_folder(data, _row(2**20, 100.0)), RUN), "--plot", path)
    drawn = path.read_text(encoding="utf-8")
    panels = ("collectives and kernels (1)", "published whole runs (1)")
    for words in (*panels, "my runs", "NCCL, one node", "at most 15 %"):
        assert words in drawn, words


@pytest.mark.parametrize("rows", [(RUN,), (WAITING,)])
def test_a_figure_of_few_rows_is_drawn_too(rows: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "scatter.svg"
    outcome = _validate("--data", _runs(tmp_path, *rows), "--plot", path)
    assert outcome.code == 0, outcome.err
    assert ("nothing could be predicted" in path.read_text(encoding="utf-8")) == (rows == (WAITING,))


def test_a_figure_of_an_unknown_kind_is_refused_before_the_work(tmp_path: Path) -> None:
    outcome = _validate("--data", _runs(tmp_path, RUN), "--plot", tmp_path / "scatter.txt")
    assert (outcome.code, outcome.out) == (2, "")
