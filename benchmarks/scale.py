"""What a run costs from 8 to 1,048,576 GPUs, as a table and as docs/figures/cost.png.

.venv/bin/python benchmarks/scale.py [--out docs/figures/cost.png]

The example's plan on ever more GPUs, one sequence each: all of them equal, one of them slow, and every one replayed;
beside them one collective among all of the GPUs.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cases import EXAMPLE, ONE_EACH
from benchmarks.cost import ROOT, SIMCLUSTER, Cost, machine, measure

PER_NODE = 8
LONG_S = 5.0
"""CPU seconds from which on a command is run once only."""

ALL = 2**20
POWERS = (8, 32, 128, 512, 2048, 8192, 32768, 131072, 524288)
WHOLE = (128, 2048, 16384, 131072, ALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One way to use the cluster, at several numbers of GPUs; `kind` is that of a collective alone, None of a run."""

    name: str
    gpus: tuple[int, ...]
    arguments: tuple[str, ...] = ()
    kind: str | None = None

    def command(self, gpus: int) -> tuple[str, ...]:
        """Below 128 GPUs the example's plan has fewer places for experts: EP4_TP2 on 8, EP16_TP2 on 32."""
        nodes = ("--set", f"cluster.nodes={gpus // PER_NODE}")
        if self.kind is not None:
            among = ("--cluster", EXAMPLE, "--gpus", str(gpus))
            return (SIMCLUSTER, "collective", self.kind, *among, *nodes, *self.arguments)
        plan = ("--set", f"plan=EP{min(64, gpus // 2)}_TP2_PP1")
        return (SIMCLUSTER, "run", EXAMPLE, *nodes, *ONE_EACH, *plan, *self.arguments)


SLOW = ("--set", "faults=[{gpu: node0.gpu2, factor: 0.5}]")
CURVES = (
    Curve(name="every GPU replayed", gpus=(8, 32, 128, 256, 512, 1024, 2048), arguments=("--fold", "off")),
    Curve(name="one GPU slow", gpus=(8, 32, 128, 512, 2048, 8192, 16384), arguments=SLOW),
    Curve(name="all GPUs equal", gpus=(*POWERS, ALL)),
    Curve(name="one all-reduce", gpus=WHOLE, arguments=("--bytes", "64MiB"), kind="all_reduce"),
    Curve(name="one all-to-all", gpus=WHOLE, arguments=("--bytes", "8MiB"), kind="all_to_all"),
)


def costs(curve: Curve, runs: int) -> Iterator[tuple[int, Cost]]:
    """(GPUs, cost): the median of `runs` runs after a first one, or that first one where it is long."""
    for gpus in curve.gpus:
        cost = measure(curve.command(gpus), 1)
        if cost.cpu_s < LONG_S:
            cost = measure(curve.command(gpus), runs)
        print(f"{curve.name:<20} {gpus:>9,} {cost.cpu_s:8.2f} {cost.peak_mb:6.0f}", flush=True)
        yield gpus, cost


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="runs of each short command that count")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "figures" / "cost.png")
    options = parser.parse_args()
    os.chdir(ROOT)
    print(machine())
    print(f"{'what':<20} {'GPUs':>9} {'CPU s':>8} {'MB':>6}")
    measure((SIMCLUSTER, "run", EXAMPLE), 1)
    found = {curve.name: list(costs(curve, options.runs)) for curve in CURVES}

    from benchmarks import cost_chart  # matplotlib in this process would show in a child's peak memory

    cost_chart.write(found, machine(), options.out)
    print(f"figure: {options.out}")


if __name__ == "__main__":
    main()
