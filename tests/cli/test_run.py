"""`run`, `check` and `show`: exit statuses, and what goes to which stream."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simcluster.pipeline import simulate
from simcluster.scenario.scenario import Scenario
from simcluster.timeline.result import Result
from tests.edge_helpers import DOES_NOT_FIT, SMALL, changed, scenario_file, simcluster

TIMED = ("latency_s", "throughput_tokens_per_s", "throughput_tokens_per_s_per_gpu", "mfu", "compute_busy",
         "exposed_communication", "waiting", "idle")  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return scenario_file(tmp_path)


def test_run_prints_on_stdout_alone_and_ends_with_zero(path: Path) -> None:
    outcome = simcluster("run", path)
    assert (outcome.code, outcome.err) == (0, "")
    for word in ("latency", "throughput", "EP4_TP2_PP1", "orthogonal", "memory", "MFU"):
        assert word.lower() in outcome.out.lower()


def test_run_json_is_one_object_and_nothing_else(path: Path) -> None:
    outcome = simcluster("run", path, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    document = outcome.json()
    keys = ["schema_version", "scenario", "plan", "convention", "degrees", "gpus", "counts", "latency_s", "tokens",
            "throughput_tokens_per_s", "throughput_tokens_per_s_per_gpu", "mfu", "compute_busy",
            "exposed_communication", "waiting", "idle", "communication_busy", "by_operation", "memory",
            "flops_per_gpu", "traffic", "links", "balance", "modules", "checks", "provenance"]  # fmt: skip
    assert [key for key in keys if key not in document] == []
    assert document["scenario"] == "small"
    assert document["degrees"] == {"tp": 2, "pp": 1, "dp": 4, "cp": 1, "ep": 4, "etp": 2, "edp": 1}
    assert document["counts"] == {"orthogonal": 8, "folded": 4}
    states = [document[name] for name in ("compute_busy", "exposed_communication", "waiting", "idle")]
    assert abs(sum(states) - 1) < 1e-9
    assert document["tokens"] == 1024
    assert document["throughput_tokens_per_s"] == pytest.approx(1024 / document["latency_s"])


def test_json_holds_plain_numbers_only(path: Path) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    for command in ("run", "check", "show"):
        json.loads(simcluster(command, path, "--json").out, parse_constant=refuse)


def test_a_plan_that_does_not_fit_ends_with_one_and_numbers_of_memory_only(path: Path) -> None:
    outcome = simcluster("run", path, "--set", DOES_NOT_FIT)
    assert (outcome.code, outcome.err) == (1, "")
    assert "does not fit" in outcome.out
    assert "1 MB" in outcome.out
    assert "kB too little" in outcome.out
    lines = outcome.out.lower().splitlines()
    assert not [line for line in lines if line.startswith(("latency", "throughput", "mfu"))]
    assert "tokens/s" not in outcome.out


def test_the_json_of_a_plan_that_does_not_fit_has_no_times(path: Path) -> None:
    outcome = simcluster("run", path, "--json", "--set", DOES_NOT_FIT)
    assert (outcome.code, outcome.err) == (1, "")
    document = outcome.json()
    assert {name: document[name] for name in TIMED} == dict.fromkeys(TIMED)
    assert document["memory"]["fraction"] > 1
    assert document["memory"]["total"] > document["memory"]["capacity"] == 1e6
    assert {check["name"]: check["passed"] for check in document["checks"]}["memory"] is False


def test_check_ends_with_one_where_the_plan_does_not_fit(path: Path) -> None:
    outcome = simcluster("check", path, "--set", DOES_NOT_FIT)
    assert (outcome.code, outcome.err) == (1, "")
    assert "FAIL  memory" in outcome.out


def test_check_ends_with_zero_where_all_holds_and_shows_its_arithmetic(path: Path) -> None:
    outcome = simcluster("check", path)
    assert (outcome.code, outcome.err) == (0, "")
    words = " ".join(outcome.out.split())
    assert "tp 2 x cp 1 x dp 4 x pp 1 = 8 GPUs" in words
    assert "orthogonal 8 GPUs, folded 4 GPUs" in words
    assert "FAIL" not in outcome.out


def test_run_and_check_say_which_reading_was_taken_and_how_to_choose_the_other(tmp_path: Path) -> None:
    path = scenario_file(tmp_path, changed(("plan: EP4_TP2_PP1", "plan: EP2_TP2")))
    for command in ("run", "check"):
        words = " ".join(simcluster(command, path).out.split())
        assert "read as orthogonal" in words
        assert "convention: folded" in words
    words = " ".join(simcluster("check", path).out.split())
    other = words[words.index("plan: {") :].split("}")[0] + "}"
    chosen = scenario_file(tmp_path, changed(("plan: EP4_TP2_PP1", other)), "chosen.yaml")
    assert simcluster("run", chosen, "--json").json()["convention"] == "folded"


@pytest.mark.parametrize("command", ["run", "check", "show", "plot"])
def test_mistakes_go_to_stderr_and_end_with_two(command: str, tmp_path: Path) -> None:
    path = scenario_file(tmp_path, changed(("64 GB", "64"), ("layers: 2", "layers: 1e1")))
    output = ("-o", tmp_path / "figure.png") if command == "plot" else ()
    outcome = simcluster(command, path, *output)
    assert (outcome.code, outcome.out) == (2, "")
    assert set(outcome.err.splitlines()) == {
        f"{path}:6:5: cluster.gpu.memory: 64 has no unit; write it as 64 GB or 60 GiB",
        f"{path}:12:3: model.layers: 10.0 is not a whole number as written; write 10",
    }
    assert not (tmp_path / "figure.png").exists()


@pytest.mark.parametrize("command", ["run", "check", "show"])
def test_mistakes_leave_stdout_empty_with_json_too(command: str, tmp_path: Path) -> None:
    outcome = simcluster(command, scenario_file(tmp_path, "- nothing\n"), "--json")
    assert (outcome.code, outcome.out) == (2, "")


@pytest.mark.parametrize(
    "arguments",
    [(), ("run",), ("frobnicate",), ("run", "a.yaml", "b.yaml"), ("run", "a.yaml", "--frobnicate"), ("--frobnicate",),
     ("sweep", "a.yaml"), ("sweep", "a.yaml", "--over", "a=1", "--workers", "0"), ("plot", "a.yaml", "--kind", "x"),
     ("run", "a.yaml", "--set"), ("plot", "a.yaml", "--rank", "one"), ("run", "a.yaml", "--fold", "on")],
)  # fmt: skip
def test_a_wrong_command_line_ends_with_two_and_says_how(arguments: tuple[str, ...]) -> None:
    outcome = simcluster(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert "Usage: simcluster" in outcome.err or outcome.err.startswith("Error: Option")
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("command", ["", "run", "check", "show", "plot", "sweep"])
def test_help_goes_to_stdout(command: str) -> None:
    outcome = simcluster(*([command] if command else []), "--help")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("Usage: simcluster")


SLOW = "faults=[{gpu: node1.gpu2, factor: 0.5}]"


@pytest.mark.parametrize("overrides", [(), ("--set", SLOW)])
def test_folding_changes_what_is_replayed_and_no_number(overrides: tuple[str, ...], path: Path) -> None:
    auto, off = (simcluster("run", path, "--json", "--fold", fold, *overrides).json() for fold in ("auto", "off"))
    assert simcluster("run", path, "--json", *overrides).json() == auto
    assert off["folding"] == {"ranks": 8, "tracks": 8, "wires": 40, "columns": 40, "split_by": []}
    assert auto["folding"]["tracks"] < 8
    assert auto["folding"]["columns"] < 40
    for name in (*TIMED, "communication_busy"):
        assert auto[name] == pytest.approx(off[name], rel=1e-9, abs=1e-12)
    for words in ("kind", "direction", "count"):
        assert [row[words] for row in auto["links"]] == [row[words] for row in off["links"]]
    for number in ("bytes", "utilization_mean", "utilization_peak"):
        found, expected = ([row[number] for row in one["links"]] for one in (auto, off))
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)
    named = [[(row["from"], row["to"], row["count"]) for row in one["wires"]] for one in (auto, off)]
    assert named[0] == named[1]


def test_the_summary_says_what_was_replayed(path: Path) -> None:
    assert "\nreplayed       every rank and wire\n" in simcluster("run", path, "--no-advise", "--fold", "off").out
    slow = simcluster("run", path, "--no-advise", "--set", SLOW).out
    assert "of 8 ranks and" in slow
    assert "split by: slow GPU node1.gpu2" in slow


def test_check_says_the_same_with_and_without_folding(path: Path) -> None:
    outcomes = [simcluster("check", path, "--fold", fold) for fold in ("auto", "off")]
    assert outcomes[0] == outcomes[1]
    assert outcomes[0].code == 0


def test_a_sweep_gives_the_same_with_and_without_folding(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def noted(scenario: Scenario, *, fold: str = "auto") -> Result:
        asked.append(fold)
        return simulate(scenario)

    monkeypatch.setattr("simcluster.study.sweep.simulate", noted)
    options = ("--json", "--workers", 1, "--over", "model.layers=1,2")
    tables = [simcluster("sweep", path, *options, "--fold", fold).json() for fold in ("auto", "off")]
    assert tables[0] == tables[1]
    assert asked == ["auto", "auto", "off", "off"]


def test_the_version_is_printed() -> None:
    outcome = simcluster("--version")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("simcluster")


def test_a_bug_of_ours_ends_with_three_and_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr("simcluster.report.text.summary", broken)
    outcome = simcluster("run", path)
    assert (outcome.code, outcome.out) == (3, "")
    assert "this is a bug of simcluster, not of your scenario" in outcome.err
    assert "Traceback" in outcome.err


def test_an_interrupt_ends_with_130_and_no_traceback(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("simcluster.report.text.summary", interrupted)
    outcome = simcluster("run", path)
    assert (outcome.code, outcome.out) == (130, "")
    assert "interrupted" in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize(
    "name", ["two words.yaml", "日本語 🎉.yaml", "$x_2$ %s {0}.yaml", "-dash.yaml", "no ending", "a:1:2.yml"]
)
def test_a_scenario_file_may_have_any_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario_file(tmp_path, name=name)
    monkeypatch.chdir(tmp_path)
    assert simcluster("run", "--json", "--", name).json()["gpus"] == 8
    scenario_file(tmp_path, changed(("64 GB", "64")), name)
    assert simcluster("run", "--", name).err.startswith(f"{name}:6:5: cluster.gpu.memory: 64 has no unit")


@pytest.mark.parametrize(
    "option",
    [
        "cluster.nvlink.bandwidth=1e18 B/s", "cluster.nvlink.bandwidth=1 B/s", "cluster.nvlink.latency=1000 s",
        "cluster.infiniband.bandwidth=1e21 B/s", "cluster.infiniband.bandwidth=1 B/s",
        "cluster.infiniband.latency=1000 s", "cluster.gpu.launch_overhead=1 s", "cluster.gpu.peak.fp8=1 FLOPS",
        "cluster.gpu.peak.fp8=1e21 FLOPS", "cluster.gpu.memory_bandwidth=1 B/s", "cluster.gpu.memory=1e21 B",
        "cluster.gpu.memory_bandwidth=1e21 B/s", "cluster.infiniband.oversubscription=1000",
    ],
)  # fmt: skip
def test_what_the_reader_takes_never_breaks_a_law(option: str, path: Path) -> None:
    """A quantity that is accepted is computed with; one that cannot be must be refused as a mistake, not as our bug."""
    outcome = simcluster("run", path, "--json", "--set", option)
    assert outcome.code in (0, 2), outcome.err.splitlines()[-1]
    assert "Traceback" not in outcome.err


def test_one_gpu_needs_no_wires(tmp_path: Path) -> None:
    text = SMALL.replace("  nvlink: {bandwidth: 450 GB/s, latency: 1 us}\n", "")
    text = text.replace("  infiniband: {bandwidth: 400 Gbit/s, latency: 3 us}\n", "").replace("  nodes: 2\n", "")
    path = scenario_file(tmp_path, text.replace("gpus_per_node: 4", "gpus_per_node: 1").replace("EP4_TP2_PP1", "TP1"))
    assert simcluster("run", path).code == 0
    document = simcluster("run", path, "--json").json()
    assert document["links"] == []
    assert document["traffic"] == {"nvlink": 0, "infiniband": 0}
    assert document["exposed_communication"] == 0
