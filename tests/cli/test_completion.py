"""`simcluster completion`, and what click's completion protocol then gives for half-written lines."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from simcluster.cli.main import COMMANDS
from simcluster.scenario import catalogue
from tests.edge_helpers import process, scenario_file, simcluster


def completed(folder: Path, *words: str) -> list[str]:
    """What bash would be offered for the last of the words."""
    environment = {
        "_SIMCLUSTER_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(["simcluster", *words]),
        "COMP_CWORD": str(len(words)),
    }
    program = [sys.executable, "-c", "from simcluster.cli.main import main; main()"]
    done = subprocess.run(
        program, cwd=folder, env={**os.environ, **environment}, capture_output=True, encoding="utf-8", check=False
    )
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


def test_commands_and_options_are_completed(tmp_path: Path) -> None:
    assert completed(tmp_path, "c") == [name for name in COMMANDS if name.startswith("c")]
    assert "--quiet" in completed(tmp_path, "run", "--q")
    assert completed(tmp_path, "plot", "x.yaml", "--kind", "time") == ["timeline"]


def test_names_of_the_catalogue_are_completed(tmp_path: Path) -> None:
    assert completed(tmp_path, "kernel", "gemm", "--gpu", "h") == ["h100-sxm", "h200-sxm", "h800-sxm"]
    assert completed(tmp_path, "collective", "all_reduce", "--cluster", "dgx-h1") == ["dgx-h100"]
    assert completed(tmp_path, "new", "--model", "mix") == ["mixtral-8x22b", "mixtral-8x7b"]
    assert completed(tmp_path, "catalog", "cluster", "") == list(catalogue.names("cluster"))
    assert completed(tmp_path, "catalog", "p") == ["profile"]


def test_words_that_commands_know_are_completed(tmp_path: Path) -> None:
    assert completed(tmp_path, "kernel", "att") == ["attention_prefill", "attention_decode"]
    assert completed(tmp_path, "kernel", "gemm", "--dtype", "fp8_") == ["fp8_block"]
    assert completed(tmp_path, "collective", "all") == ["all_reduce", "all_gather", "all_to_all"]
    assert completed(tmp_path, "collective", "all_reduce", "--algorithm", "node") == ["node-dedup"]


def test_a_name_that_needs_quotes_is_left_to_the_shell(tmp_path: Path) -> None:
    """Of type file, which bash's own completion quotes."""
    (tmp_path / "sp dir").mkdir()
    scenario_file(tmp_path / "sp dir", name="one.yaml")
    assert completed(tmp_path, "run", "sp") == ["sp"]


def test_scenario_files_are_completed_also_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "scenarios").mkdir()
    scenario_file(tmp_path / "scenarios", name="one.yaml")
    scenario_file(tmp_path, name="two.yaml")
    (tmp_path / "notes.txt").touch()
    assert completed(tmp_path, "run", "") == ["scenarios/one.yaml", "two.yaml"]
    assert completed(tmp_path, "run", "scenarios/o") == ["scenarios/one.yaml"]
    assert completed(tmp_path, "run", "no") == ["no"]  # of type file: the shell lists what there is


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_is_printed_that_the_shell_can_read(shell: str) -> None:
    outcome = simcluster("completion", shell)
    assert (outcome.code, outcome.err) == (0, "")
    assert f"_SIMCLUSTER_COMPLETE={shell}_complete" in outcome.out
    if shutil.which(shell) is not None:
        done = subprocess.run([shell, "-n"], input=outcome.out, capture_output=True, encoding="utf-8", check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_help_shows_the_line_that_installs_it_and_other_shells_are_refused() -> None:
    assert 'eval "$(simcluster completion bash)"' in simcluster("completion", "--help").out
    assert simcluster("completion", "csh").code == 2


def test_the_schema_is_printed_as_one_json_object() -> None:
    outcome = process("schema", module=True)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.json()["title"] == "simcluster scenario"
