"""What dividing the wires fairly costs: CPU seconds and peak memory of an all-to-all among GPUs, flow by flow.

.venv/bin/python benchmarks/sharing.py

Every case is a process of its own.  The cluster: nodes of 8 GPUs, NVLink wires of 360 GB/s per GPU, a NIC of 45 GB/s
per GPU, one leaf per rail, and non-blocking spines of which every pair of nodes has one.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np

from simcluster.replay import sharing
from simcluster.replay.sharing import FlowSet, fair_rates
from simcluster.traffic.crossings import Crossings, Floats

PER_NODE = 8


def all_to_all(nodes: int, spines: int) -> tuple[Crossings, Floats, Floats]:
    """A flow from every GPU to every other, the wires' capacities and no limits."""
    gpus, rails = nodes * PER_NODE, PER_NODE
    sender, receiver = np.divmod(np.arange(gpus * gpus), gpus)
    sender, receiver = sender[sender != receiver], receiver[sender != receiver]
    flow = np.arange(len(sender))
    inside = sender // PER_NODE == receiver // PER_NODE
    outside = np.where(inside, 0, 2 * gpus)
    parts = [(flow, outside + sender), (flow, outside + gpus + receiver)]
    crosses = ~inside & (sender % rails != receiver % rails)
    spine = (sender // PER_NODE - receiver // PER_NODE) % spines
    for first, rail in ((4 * gpus, sender % rails), (4 * gpus + rails * spines, receiver % rails)):
        parts.append((flow[crosses], (first + rail * spines + spine)[crosses]))
    flows, wires = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(flows, kind="stable")
    capacity = np.repeat([360e9, 45e9, 45e9 * nodes / spines], [2 * gpus, 2 * gpus, 2 * rails * spines])
    crossings = Crossings(flow=flows[order], wire=wires[order], use=np.ones(len(order)), count=len(sender))
    return crossings, capacity, np.full(len(sender), np.inf)


def ends(crossings: Crossings) -> list[int]:
    """An order in which the flows end: that of random sizes."""
    order: list[int] = np.random.default_rng(1).permutation(crossings.count).tolist()
    return order


def uniform() -> int:
    fair_rates(*all_to_all(64, 8))
    return 1


def one_by_one() -> int:
    crossings, capacity, limit = all_to_all(16, 2)
    flows = FlowSet(crossings, capacity, limit)
    for flow in ends(crossings):
        flows.rates()
        flows.end(np.array([flow]))
    return crossings.count


def afresh() -> int:
    crossings, capacity, limit = all_to_all(16, 2)
    number, order = np.arange(crossings.count), ends(crossings)
    for flow in order:
        fair_rates(crossings, capacity, limit)
        stays = number != flow
        crossings, limit, number = crossings.only(stays), limit[stays], number[stays]
    return len(order)


def numpy_alone() -> int:
    """A hundred of the 16,256 solves, evenly picked, with no help from numba."""
    sharing._load = lambda: None  # type: ignore[assignment]
    crossings, capacity, limit = all_to_all(16, 2)
    order = ends(crossings)
    for solve in range(100):
        live = np.ones(crossings.count, dtype=np.bool_)
        live[order[: solve * crossings.count // 100]] = False
        fair_rates(crossings.only(live), capacity, limit[live])
    return 100


def only() -> int:
    crossings, _, _ = all_to_all(16, 2)
    stays = np.arange(crossings.count) != 77
    for _ in range(200):
        crossings.only(stays)
    return 200


def joined() -> int:
    crossings, _, _ = all_to_all(16, 2)
    for _ in range(200):
        Crossings.joined([crossings, crossings])
    return 200


def numba_import() -> int:
    import numba  # noqa: F401

    return 1


def load() -> int:
    assert sharing._load() is not None
    return 1


CASES: list[tuple[str, Callable[[], int], bool]] = [
    ("uniform, 512 GPUs, 261,632 flows, numpy", uniform, True),
    ("16,256 flows end one by one, FlowSet", one_by_one, True),
    ("the same, nothing compiled before", one_by_one, False),
    ("the same, fair_rates and only() each time", afresh, True),
    ("the same, numpy alone, 100 of the solves", numpy_alone, True),
    ("only(), 16,255 of 16,256 flows", only, True),
    ("joined(), twice 16,256 flows", joined, True),
    ("import numba", numba_import, True),
    ("import numba and load the program", load, True),
    ("import numba and compile the program", load, False),
]


def measure(name: str, work: Callable[[], int]) -> None:
    """Print one row: the CPU seconds of the work alone, building the flows included, and the process's peak memory."""
    start = time.process_time()
    times = work()
    cpu_s = time.process_time() - start
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(f"{name:<44} {cpu_s:8.2f} {cpu_s / times * 1e3:10.3f} {peak_mb:8.0f}")


def main() -> None:
    if len(sys.argv) > 1:
        name, work, _ = CASES[int(sys.argv[1])]
        measure(name, work)
        return
    load_first = [sys.executable, "-c", "from simcluster.replay import sharing; sharing._load()"]
    os.spawnv(os.P_WAIT, sys.executable, load_first)
    print(f"{'work':<44} {'CPU s':>8} {'ms each':>10} {'peak MB':>8}", flush=True)
    for number, (_, _, compiled) in enumerate(CASES):
        with tempfile.TemporaryDirectory() as empty:
            environment = os.environ if compiled else {**os.environ, "NUMBA_CACHE_DIR": empty}
            os.spawnve(os.P_WAIT, sys.executable, [sys.executable, __file__, str(number)], environment)


if __name__ == "__main__":
    main()
