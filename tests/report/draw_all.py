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
    links,
    memory,
    scaling_chart,
    steps,
    style,
    sweep_chart,
    timeline_chart,
    topology,
    utilization,
)

ROOT = Path(__file__).parents[2]
PICTURES = Path(__file__).parent / "pictures"
EXAMPLE = ROOT / "scenarios" / "ep64_tp2_pp1.yaml"
DPI = 40


def figures() -> Iterator[tuple[str, Figure]]:
    """(name, figure) of every kind, light, and one of them dark."""
    result = simcluster.simulate(simcluster.load(EXAMPLE, ["workload.steps=2"]))
    yield "utilization", utilization.draw(result)
    yield "timeline", timeline_chart.draw(result)
    yield "breakdown", breakdown.draw(result)
    yield "memory", memory.draw(result)
    yield "links", links.draw(result)
    yield "topology", topology.draw(result)
    yield "latency", steps.draw_latency(result)
    yield "throughput", steps.draw_throughput(result)
    yield "breakdown_dark", breakdown.draw(result, style.DARK)
    bandwidths = {
        "cluster.infiniband.bandwidth": ["100 Gbit/s", "400 Gbit/s", "1.6 Tbit/s"],
        "plan": ["EP64_TP2", "EP8"],
    }
    yield "sweep", sweep_chart.draw(simcluster.sweep(EXAMPLE, bandwidths, workers=1))
    nodes = {"cluster.nodes": ["4", "8", "16"], "plan": ["EP8", "EP64_TP2"], "workload.batch": ["{per_gpu: 1}", "128"]}
    yield "scaling", scaling_chart.draw(simcluster.sweep(EXAMPLE, nodes, workers=1))


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
