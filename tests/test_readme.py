"""Every command and snippet of the README works as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from simcluster.scenario.compile import compile_text

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_two_commands_stand_first_and_make_has_them() -> None:
    first = blocks("sh")[0].split()
    assert first[:2] == ["make", "demo"]
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {"setup", "demo", "test"} <= set(targets)


@pytest.mark.parametrize("block", blocks("sh")[1:], ids=lambda block: str(block).split()[1])
def test_a_block_of_commands_runs(block: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "scenarios").symlink_to(ROOT / "scenarios")
    script = block.replace(".venv/bin/simcluster", f"{sys.executable} -m simcluster")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        ["bash", "-euc", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout


@pytest.mark.parametrize("block", blocks("yaml"))
def test_a_scenario_compiles(block: str) -> None:
    whole = {**yaml.safe_load(blocks("yaml")[0])}
    for key, value in yaml.safe_load(block).items():
        before = whole.get(key)
        whole[key] = {**before, **value} if isinstance(before, dict) and isinstance(value, dict) else value
    whole["workload"]["batch"] = {"per_gpu": 2}
    assert compile_text(yaml.safe_dump(whole), "README.md").cluster.gpus == 8 * whole["cluster"]["nodes"]


@pytest.mark.parametrize("block", blocks("python"))
def test_a_python_snippet_runs(block: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    exec(compile(block, "README.md", "exec"), {})
    assert len(capsys.readouterr().out.split()) == 5


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", README))
def test_a_link_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()
