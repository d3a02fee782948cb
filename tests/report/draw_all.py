"""Every figure the package draws, as small pictures: `make pictures` rewrites the stored ones."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import matplotlib.image
import numpy as np
from matplotlib.figure import Figure

import simcluster
from simcluster.report.figures import (
    breakdown,
    busbw,
    compare_chart,
    links,
    memory,
    pareto,
    scaling_chart,
    steps,
    style,
    sweep_chart,
    timeline_chart,
    topology,
    utilization,
)
from simcluster.timeline.table import Cell, Column, Table

ROOT = Path(__file__).parents[2]
PICTURES = Path(__file__).parent / "pictures"
EXAMPLE = ROOT / "scenarios" / "ep64_tp2_pp1.yaml"
LARGE = ROOT / "scenarios" / "ep64_tp2_pp1_1024.yaml"
SLOW = "faults=[{gpu: node3.gpu2, factor: 0.5}]"
DPI = 40


def figures() -> Iterator[tuple[str, Figure]]:
    """(name, figure) of every kind, light, and one of them dark."""
    result = simcluster.simulate(simcluster.load(EXAMPLE, ["workload.steps=2"]))
    yield "utilization", utilization.draw(result)
    yield "timeline", timeline_chart.draw(result)
    slow = simcluster.simulate(simcluster.load(LARGE, ["model.layers=4", SLOW]))
    yield "utilization_bands", utilization.draw(slow)
    yield "timeline_slow", timeline_chart.draw(slow)
    yield "breakdown", breakdown.draw(result)
    yield "memory", memory.draw(result)
    yield "links", links.draw(result)
    yield "topology", topology.draw(result)
    for fabric in ("dragonfly", "torus-3d"):
        changes = ["model.layers=1", f"cluster.infiniband.fabric={fabric}", "cluster.infiniband.leaf_ports=16"]
        yield f"topology_{fabric}", topology.draw(simcluster.simulate(simcluster.load(EXAMPLE, changes)))
    yield "topology_folded", topology.draw(simcluster.simulate(simcluster.load(LARGE, ["cluster.nodes=131072"])))
    yield "busbw", busbw.draw(bandwidths_by_size())
    yield "latency", steps.draw_latency(result)
    yield "throughput", steps.draw_throughput(result)
    yield "breakdown_dark", breakdown.draw(result, style.DARK)
    bandwidths = {
        "cluster.infiniband.bandwidth": ["100 Gbit/s", "400 Gbit/s", "1.6 Tbit/s"],
        "plan": ["EP64_TP2", "EP8"],
    }
    yield "sweep", sweep_chart.draw(simcluster.sweep(EXAMPLE, bandwidths, workers=1))
    nodes = {"cluster.nodes": ["4", "8", "16"], "plan": ["EP8", "EP64_TP2"], "workload.batch": ["{per_gpu: 1}", "128"]}
    yield "compare", compare_chart.draw(simcluster.compare(EXAMPLE, plans=["EP8", "TP2", "EP7"], sensitivities=False))
    yield "scaling", scaling_chart.draw(simcluster.sweep(EXAMPLE, nodes, workers=1))
    few = ["cluster.nodes=1", "cluster.gpus_per_node=4", "cluster.infiniband.nics_per_node=4"]
    changes = [*few, "plan=EP4", "workload.batch=4", "model.layers=2"]
    node = simcluster.load(EXAMPLE, changes)
    yield "pareto", pareto.draw(simcluster.search(node, batches=[4, 16, 64], workers=1))


def bandwidths_by_size() -> Table:
    """An all-reduce of 8 GPUs that takes 20 us and 1 s per 500 GB, by one algorithm below 1 MiB and another above."""
    columns = ("bytes", "time_s", "algbw_bytes_per_s", "busbw_bytes_per_s", "algorithm")
    rows: list[dict[str, Cell]] = []
    for size in (2**power for power in range(10, 31)):
        time_s = 20e-6 + size / 500e9
        values = (size, time_s, size / time_s, 1.75 * size / time_s, "ring" if size > 2**20 else "double binary tree")
        rows.append(dict(zip(columns, values, strict=True)))
    title = "all_reduce on 8 GPUs"
    return Table(title=title, columns=tuple(Column(name=name) for name in columns), rows=tuple(rows), swept=("bytes",))


def pixels(figure: Figure) -> np.ndarray:
    """The figure as an array of RGB values from 0 to 1."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    buffer.seek(0)
    return np.asarray(matplotlib.image.imread(buffer))[:, :, :3]


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    PICTURES.mkdir(exist_ok=True)
    for name, figure in figures():
        figure.savefig(PICTURES / f"{name}.png", format="png", dpi=DPI, metadata={"Software": None})
