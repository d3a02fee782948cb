"""The commands users run, each with the most it may cost."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

EXAMPLE = "scenarios/ep64_tp2_pp1.yaml"
ONE_EACH = ("--set", "workload.batch={per_gpu: 1}")
"""One sequence per GPU: the example's own load, whatever the number of GPUs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Arguments of `simcluster` and the most they may cost; None where nothing was asked."""

    name: str
    command: tuple[str, ...]
    most_cpu_s: float | None = None
    most_wall_s: float | None = None
    most_mb: float | None = None
    runs: int | None = None


def cases(scratch: Path) -> Iterator[Case]:
    """Every case; what they read or write besides the scenarios lies in `scratch`."""
    yield Case(name="simcluster --help", command=("--help",), most_cpu_s=0.2)
    yield from _runs()
    yield from _large()
    yield Case(name="plot utilization, 128 GPUs", command=("plot", EXAMPLE, "-o", str(scratch / "utilization.png")))
    yield from _exchanges(scratch)
    yield Case(name="validate, every measured row", command=("validate",), runs=3)
    yield from _sweeps()


def _runs() -> Iterator[Case]:
    larger = "scenarios/ep64_tp2_pp1_1024.yaml"
    slow = ("--set", "faults=[{gpu: node3.gpu2, factor: 0.5}]")
    hashed = ("--set", "cluster.routing.seed=1")
    yield Case(name="run, 128 GPUs", command=("run", EXAMPLE), most_cpu_s=1.0, most_mb=250)
    yield Case(name="run, 128 GPUs, every one replayed", command=("run", EXAMPLE, "--fold", "off"))
    yield Case(name="run, 128 GPUs, hashed routes", command=("run", EXAMPLE, *hashed), most_cpu_s=15)
    yield Case(name="run, Llama-2-70B on 8 GPUs", command=("run", "scenarios/llama_2_70b.yaml"))
    yield Case(name="run, 1,024 GPUs", command=("run", larger))
    yield Case(name="run, 1,024 GPUs, one of them slow", command=("run", larger, *slow), most_cpu_s=3.0)


def _large() -> Iterator[Case]:
    yield Case(name="run, Llama 3 405B on 16,384 GPUs", command=("run", "scenarios/llama_3_405b.yaml"), most_cpu_s=2.0)
    for nodes, most_cpu_s, most_mb in ((2048, 2.0, 250), (131072, 15.0, 2000)):
        yield Case(
            name=f"run, {8 * nodes:,} GPUs",
            command=("run", EXAMPLE, "--set", f"cluster.nodes={nodes}", *ONE_EACH),
            most_cpu_s=most_cpu_s,
            most_mb=most_mb,
        )
    whole = ("--cluster", EXAMPLE, "--set", "cluster.nodes=2048", "--gpus", "16384")
    for kind, size in (("all_reduce", "64MiB"), ("all_to_all", "8MiB")):
        yield Case(
            name=f"{kind} {size}, 16,384 GPUs",
            command=("collective", kind, *whole, "--bytes", size),
            most_cpu_s=1.5,
            most_mb=250,
        )


def _exchanges(scratch: Path) -> Iterator[Case]:
    """All-to-alls flow by flow, and uneven ones."""
    numbers = random.Random(1)
    matrix = scratch / "matrix.csv"
    matrix.write_text("\n".join(",".join(str(numbers.randint(1, 10**6)) for _ in range(128)) for _ in range(128)))
    among = ("collective", "all_to_all", "--cluster", EXAMPLE, "--gpus")
    even = (*among, "512", "--set", "cluster.nodes=64", "--bytes", "64MiB")
    uneven = (*among, "128", "--matrix", str(matrix))
    by_flow = ("--set", "cluster.sharing=flow")
    yield Case(name="even all_to_all, 512 GPUs, by flow", command=(*even, *by_flow), most_cpu_s=2.0)
    yield Case(name="uneven all_to_all, 128 GPUs, as one", command=uneven)
    yield Case(name="the same as 16,256 flows", command=(*uneven, *by_flow), most_cpu_s=20, runs=3)


def _sweeps() -> Iterator[Case]:
    """Nothing is kept between runs: a folder would let the second one find its points done."""
    infiniband = "100,200,300,400,500,600,800,1000,1200,1600"
    nvlink = ",".join(f"{b} GB/s" for b in range(150, 901, 83))
    grid = (_over("infiniband", infiniband.split(",")), "--over", f"cluster.nvlink.bandwidth={nvlink}")
    line = _over("infiniband", [str(100 + 2 * point) for point in range(1000)])
    yield Case(name="sweep, 100 points, all cores", command=("sweep", EXAMPLE, "--over", *grid), most_wall_s=40, runs=3)
    yield Case(
        name="sweep, 1,000 points, all cores", command=("sweep", EXAMPLE, "--over", line), most_wall_s=30, runs=3
    )


def _over(network: str, gigabits: list[str]) -> str:
    return f"cluster.{network}.bandwidth={','.join(f'{one} Gbit/s' for one in gigabits)}"
