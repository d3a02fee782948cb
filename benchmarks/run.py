"""Whole-process costs of the commands users run: median CPU seconds and peak memory, beside what was asked.

.venv/bin/python benchmarks/run.py [--runs 5]
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SIMCLUSTER = str(Path(sys.executable).with_name("simcluster"))
EXAMPLE = "scenarios/ep64_tp2_pp1.yaml"

REPLAY = """
import statistics, time
from simcluster.cluster.routes import Routes
from simcluster.plan.layout import Layout
from simcluster.plan.share import Share
from simcluster.program.lower import lower
from simcluster.replay.engine import replay
from simcluster.scenario.compile import load

scenario = load("scenarios/ep64_tp2_pp1.yaml")
share = Share(model=scenario.model, degrees=scenario.plan.degrees, workload=scenario.workload)
program = lower(share, Layout(degrees=share.degrees, gpus_per_node=scenario.cluster.gpus_per_node))
routes = Routes(scenario.cluster)
seconds = []
for _ in range(7):
    start = time.process_time()
    replay(program, routes)
    seconds.append(time.process_time() - start)
print(statistics.median(seconds))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One command and the most it may cost; None where nothing was asked."""

    name: str
    command: tuple[str, ...]
    most_cpu_s: float | None = None
    most_wall_s: float | None = None
    most_mb: float | None = None
    runs: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    cpu_s: float
    wall_s: float
    peak_mb: float


def measure(command: tuple[str, ...]) -> Cost:
    """One run of a command: CPU of the process and its children, wall time, peak memory of the largest process."""
    start = time.perf_counter()
    process = os.spawnve(os.P_NOWAIT, command[0], command, {**os.environ, "COLUMNS": "120"})
    _, status, usage = os.wait4(process, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"failed: {' '.join(command)}")
    return Cost(
        cpu_s=usage.ru_utime + usage.ru_stime, wall_s=time.perf_counter() - start, peak_mb=usage.ru_maxrss * 1024 / 1e6
    )


def cases(scratch: Path) -> list[Case]:
    bandwidths = ["100", "200", "300", "400", "500", "600", "800", "1000", "1200", "1600"]
    infiniband = ",".join(f"{b} Gbit/s" for b in bandwidths)
    nvlink = ",".join(f"{b} GB/s" for b in range(150, 901, 83))
    sweep = ("sweep", EXAMPLE, "--over", f"cluster.infiniband.bandwidth={infiniband}")
    matrix = scratch / "matrix.csv"
    numbers = random.Random(1)
    matrix.write_text("\n".join(",".join(str(numbers.randint(1, 10**6)) for _ in range(128)) for _ in range(128)))
    among = ("--cluster", EXAMPLE, "--gpus")
    uneven = ("collective", "all_to_all", *among, "128", "--matrix", str(matrix))
    even = ("collective", "all_to_all", *among, "512", "--set", "cluster.nodes=64", "--bytes", "64MiB")
    by_flow = ("--set", "cluster.sharing=flow")
    return [
        Case(name="simcluster --help", command=("--help",), most_cpu_s=0.2),
        Case(name="run, 128 GPUs", command=("run", EXAMPLE), most_cpu_s=2.0, most_mb=250),
        Case(name="run, 1,024 GPUs", command=("run", "scenarios/ep64_tp2_pp1_1024.yaml"), runs=3),
        Case(name="run, Llama-2-70B on 8 GPUs", command=("run", "scenarios/llama_2_70b.yaml")),
        Case(name="plot utilization", command=("plot", EXAMPLE, "-o", str(scratch / "utilization.png"))),
        Case(name="run, hashed routes", command=("run", EXAMPLE, "--set", "cluster.routing.seed=1"), most_cpu_s=15),
        Case(name="all-to-all, 512 GPUs, by flow", command=(*even, *by_flow), most_cpu_s=2.0),
        Case(name="uneven, 128 GPUs, as one activity", command=uneven),
        Case(name="uneven, 128 GPUs, 16,256 flows", command=(*uneven, *by_flow), most_cpu_s=20, runs=3),
        Case(name="validate, 6,000 measured rows", command=("validate",), runs=3),
        Case(
            name="sweep, 100 points, all cores",
            command=(*sweep, "--over", f"cluster.nvlink.bandwidth={nvlink}", "--out", str(scratch / "sweep")),
            most_wall_s=40,
            runs=1,
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each command, after one warm-up")
    runs = parser.parse_args().runs
    os.chdir(ROOT)
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}")
    print(f"{'work':<32} {'CPU s':>8} {'asked':>7} {'wall s':>8} {'asked':>7} {'MB':>6} {'asked':>6}")
    with tempfile.TemporaryDirectory() as scratch:
        for case in cases(Path(scratch)):
            command = (SIMCLUSTER, *case.command)
            with open(os.devnull, "w") as sink:
                saved = os.dup(1)
                os.dup2(sink.fileno(), 1)
                try:
                    costs = [measure(command) for _ in range((case.runs or runs) + (1 if case.runs is None else 0))]
                finally:
                    os.dup2(saved, 1)
                    os.close(saved)
            counted = costs if case.runs is not None else costs[1:]
            cpu = statistics.median(cost.cpu_s for cost in counted)
            wall = statistics.median(cost.wall_s for cost in counted)
            peak = max(cost.peak_mb for cost in counted)
            asked = [_shown(most) for most in (case.most_cpu_s, case.most_wall_s, case.most_mb)]
            print(f"{case.name:<32} {cpu:8.2f} {asked[0]:>7} {wall:8.2f} {asked[1]:>7} {peak:6.0f} {asked[2]:>6}")
    sys.stdout.flush()
    print(f"{'the replay alone, 128 GPUs':<32} ", end="", flush=True)
    os.spawnv(os.P_WAIT, sys.executable, (sys.executable, "-c", REPLAY))


def _shown(most: float | None) -> str:
    return "" if most is None else f"{most:g}"


if __name__ == "__main__":
    main()
