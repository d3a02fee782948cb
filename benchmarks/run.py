"""Whole-process costs of the commands users run: median CPU seconds and peak memory, beside what was asked.

.venv/bin/python benchmarks/run.py [--runs 5] [--only WORD]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from benchmarks.cases import Case, cases
from benchmarks.cost import ROOT, SIMCLUSTER, Cost, environment, machine, measure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="runs of each command that count, after one that does not")
    parser.add_argument("--only", default="", metavar="WORD", help="only the commands whose name has this in it")
    options = parser.parse_args()
    os.chdir(ROOT)
    print(machine())
    print(f"{'work':<42} {'CPU s':>8} {'asked':>7} {'wall s':>8} {'asked':>7} {'MB':>6} {'asked':>6}", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        for case in cases(Path(scratch)):
            if options.only in case.name:
                print(_row(case, _cost(case, options.runs)), flush=True)
    if not options.only:
        print(flush=True)
        inside = (sys.executable, str(ROOT / "benchmarks" / "inside.py"))
        os.spawnve(os.P_WAIT, sys.executable, inside, environment())


def _cost(case: Case, runs: int) -> Cost:
    """Once before it counts where it is short: caches fill.  Of a long one the median leaves that out."""
    command = (SIMCLUSTER, *case.command)
    if case.runs is None:
        measure(command, 1)
    return measure(command, case.runs or runs)


def _row(case: Case, cost: Cost) -> str:
    cpu, wall, mb = (_shown(most) for most in (case.most_cpu_s, case.most_wall_s, case.most_mb))
    return f"{case.name:<42} {cost.cpu_s:8.2f} {cpu:>7} {cost.wall_s:8.2f} {wall:>7} {cost.peak_mb:6.0f} {mb:>6}"


def _shown(most: float | None) -> str:
    return "" if most is None else f"{most:g}"


if __name__ == "__main__":
    main()
