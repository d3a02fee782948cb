"""What a Python process pays that has simcluster loaded: a replay alone, and a study of 200 variants.

.venv/bin/python benchmarks/inside.py
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from itertools import product

import simcluster
from benchmarks.cases import EXAMPLE
from simcluster.plan.layout import Layout
from simcluster.plan.share import Share
from simcluster.program.lower import lower
from simcluster.replay.run import run

PLANS = ("EP64_TP2_PP1", "EP8", "EP2", "TP1", "TP2")
RUNS = 7


def replays() -> Iterator[float]:
    """CPU seconds of replaying the example's program on its cluster, lowering left out."""
    scenario = simcluster.load(EXAMPLE)
    share = Share(model=scenario.model, degrees=scenario.plan.degrees, workload=scenario.workload)
    program = lower(share, Layout(degrees=share.degrees, gpus_per_node=scenario.cluster.gpus_per_node))
    for _ in range(RUNS):
        start = time.process_time()
        run(program, scenario.cluster)
        yield time.process_time() - start


def variants() -> Iterator[float]:
    """CPU seconds of loading and simulating each of 200 variants of the example: 5 plans on 40 InfiniBands."""
    simcluster.simulate(simcluster.load(EXAMPLE))
    for plan, gigabits in product(PLANS, range(100, 1700, 40)):
        start = time.process_time()
        scenario = simcluster.load(EXAMPLE, [f"plan={plan}", f"cluster.infiniband.bandwidth={gigabits} Gbit/s"])
        simcluster.simulate(scenario)
        yield time.process_time() - start


CASES: tuple[tuple[str, Callable[[], Iterator[float]], float | None], ...] = (
    ("the replay alone, 128 GPUs", replays, 30),
    ("load and simulate, each of 200 variants", variants, None),
)
"""What is timed, and the most milliseconds asked of each time."""


def main() -> None:
    print(f"{'inside one Python process':<42} {'CPU ms':>8} {'asked':>7} {'least':>8} {'most':>8}")
    for name, work, most_ms in CASES:
        times = [1e3 * seconds for seconds in work()]
        asked = "" if most_ms is None else f"{most_ms:g}"
        print(f"{name:<42} {statistics.median(times):8.1f} {asked:>7} {min(times):8.1f} {max(times):8.1f}")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
