"""Traces read by HolisticTraceAnalysis, which runs in an environment of its own (`make hta`)."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

import simcluster
from simcluster.timeline.result import Result
from tests.edge_helpers import scenario_file

EXAMPLE = Path(__file__).parents[2] / "scenarios" / "ep64_tp2_pp1.yaml"


@pytest.fixture(scope="module")
def interpreter() -> str:
    found = os.environ.get("SIMCLUSTER_HTA_PYTHON")
    if not found:
        pytest.skip("HolisticTraceAnalysis has an environment of its own; run `make hta`")
    return found


def results(folder: Path) -> dict[str, Result]:
    """The example, in one piece and in two batches that overlap, and a pipeline with a slow GPU."""
    pipeline = scenario_file(folder)
    slow = ["plan={tp: 2, pp: 2, ep: 2}", "execution={microbatches: 4}", "faults=[{gpu: node0.gpu1, factor: 0.7}]"]
    loaded = {
        "example": simcluster.load(EXAMPLE),
        "two batches": simcluster.load(EXAMPLE, ["execution.overlap=two-batch"]),
        "pipeline": simcluster.load(pipeline, slow),
    }
    return {name: simcluster.simulate(scenario) for name, scenario in loaded.items()}


@pytest.mark.hta
def test_it_finds_the_same_times_to_a_microsecond(interpreter: str, tmp_path: Path) -> None:
    script = Path(__file__).with_name("hta_breakdown.py")
    for name, result in results(tmp_path).items():
        timeline, states = result.timeline, result.states
        assert timeline is not None
        assert states is not None
        folder = tmp_path / name.replace(" ", "-")
        simcluster.trace(result, folder)
        done = subprocess.run(
            [interpreter, script, folder], env={**os.environ, "HTA_DISABLE_NS_ROUNDING": "1"}, capture_output=True,
            encoding="utf-8", check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        found = {row["rank"]: row for row in json.loads(done.stdout)}
        assert sorted(found) == sorted(timeline.tracks.first.tolist())
        for track, rank in enumerate(timeline.tracks.first.tolist()):
            row, mine = found[rank], timeline.track == track
            kernels = int(np.count_nonzero(mine & timeline.on_compute))
            counts = {"COMPUTATION": kernels, "COMMUNICATION": int(np.count_nonzero(mine)) - kernels}
            assert row["types"] == {kind: count for kind, count in counts.items() if count}
            first, last = float(timeline.start_s[mine].min()), float(timeline.finish_s[mine].max())
            outside = timeline.end_s - (last - first)  # it looks from a rank's first kernel to its last
            hidden = float(states.transferring[track] - states.communicating[track])
            expected = {
                "kernel": last - first,
                "compute": float(states.computing[track]),
                "non_compute": float(states.communicating[track]),
                "idle": float(states.idle[track] + states.waiting[track]) - outside,
            }
            for what, seconds in expected.items():
                assert row[what] == pytest.approx(seconds * 1e6, abs=1), f"{name}: {what} of rank {rank}"
            covered = row["overlap_percent"] / 100 * float(states.transferring[track]) * 1e6
            assert covered == pytest.approx(hidden * 1e6, abs=1), f"{name}: overlap of rank {rank}"
