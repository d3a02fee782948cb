"""`import simcluster` is cheap, and its functions do the work of the commands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import simcluster

EXAMPLE = Path(__file__).parent.parent / "scenarios" / "ep64_tp2_pp1.yaml"


def test_importing_the_package_imports_nothing_heavy() -> None:
    script = "import simcluster, sys; print(sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    for heavy in ("numpy", "matplotlib", "networkx", "pydantic", "simpy", "rich", "click"):
        assert f"'{heavy}'" not in loaded


def test_a_run_imports_no_matplotlib() -> None:
    script = (
        f"import simcluster, sys; simcluster.simulate(simcluster.load({str(EXAMPLE)!r}, ['plan=EP8']));"
        "print(sorted({name.split('.')[0] for name in sys.modules}))"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert "'numpy'" in loaded
    assert "'matplotlib'" not in loaded


def test_simulate_stays_a_function_whatever_was_imported_before() -> None:
    script = (
        "import simcluster.pipeline, simcluster.study.sweep; assert callable(simcluster.simulate and simcluster.sweep)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_check_gives_the_rows_of_the_command() -> None:
    checks = simcluster.check(simcluster.load(EXAMPLE, ["expect=[gpus == 128, mfu >= 0.9]"]))
    assert [check.passed for check in checks[-2:]] == [True, False]


def test_a_sweep_gives_a_table(tmp_path: Path) -> None:
    over = {"cluster.infiniband.bandwidth": ["200 Gbit/s", "400 Gbit/s"]}
    table = simcluster.sweep(EXAMPLE, over, out=tmp_path, workers=1)
    latencies = [float(str(cell)) for cell in table.column("latency_s")]
    assert latencies[0] > latencies[1]
    assert simcluster.sweep(EXAMPLE, over, out=tmp_path, workers=1) == table


def test_unknown_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = simcluster.nothing
