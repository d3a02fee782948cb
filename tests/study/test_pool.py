"""Work on several processes ends when the caller does."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

from simcluster.study.pool import run_all


def slow(place: str) -> str:
    """The first task is quick; others would take a minute."""
    if not place.endswith("0"):
        time.sleep(60)
    return place


def test_workers_are_stopped_when_the_caller_stops(tmp_path: Path) -> None:
    found = run_all(slow, [str(tmp_path / f"{number}") for number in range(4)], workers=2)
    assert next(found)[1].endswith("0")
    begun = time.monotonic()
    found.close()  # type: ignore[attr-defined]
    assert time.monotonic() - begun < 30
    assert multiprocessing.active_children() == []
