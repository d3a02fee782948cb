"""Every shipped scenario runs, and gives what its golden file says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import simcluster
from simcluster.timeline.result import Result

ROOT = Path(__file__).parent.parent
SCENARIOS = sorted((ROOT / "scenarios").glob("*.yaml"))


def recorded(result: Result) -> dict[str, object]:
    """What a golden file keeps: every scalar, and the seconds of every operation."""
    return {
        "metrics": {name: value for name, value in result.metrics.items() if value is not None},
        "seconds": {row.name: row.seconds for row in result.by_operation},
        "checks": {check.name: check.passed for check in result.checks},
    }


@pytest.mark.parametrize("path", SCENARIOS, ids=[path.stem for path in SCENARIOS])
def test_scenario_gives_what_it_gave(path: Path) -> None:
    """`make goldens` rewrites the files; a change of theirs is a change for users and belongs in the changelog."""
    golden = json.loads((Path(__file__).parent / "goldens" / f"{path.stem}.json").read_text())
    found = recorded(simcluster.simulate(simcluster.load(path)))
    assert found["checks"] == golden["checks"]
    assert found["metrics"] == pytest.approx(golden["metrics"], rel=1e-9)
    assert found["seconds"] == pytest.approx(golden["seconds"], rel=1e-9)


def test_every_golden_has_its_scenario() -> None:
    stems = {path.stem for path in SCENARIOS}
    assert {path.stem for path in (Path(__file__).parent / "goldens").glob("*.json")} == stems


def test_weak_scaling_keeps_the_step_of_the_128_gpu_example() -> None:
    """Replicas add no traffic to one another, so eight times the GPUs and sequences take the same step."""
    small, large = (
        simcluster.simulate(simcluster.load(ROOT / "scenarios" / name)).metrics
        for name in ("ep64_tp2_pp1.yaml", "ep64_tp2_pp1_1024.yaml")
    )
    assert large["latency_s"] == pytest.approx(small["latency_s"], rel=1e-9)
    assert large["tokens"] == 8 * (small["tokens"] or 0)
