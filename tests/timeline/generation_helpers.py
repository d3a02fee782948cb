"""A generation beside the sum of its steps, each run by itself, on hardware that leaves closed forms only."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from functools import cache

from simcluster.pipeline import simulate
from simcluster.replay.run import Fold
from simcluster.scenario.compile import compile_text
from simcluster.timeline.result import Result
from tests.physics_helpers import as_text

Tree = dict[str, object]

CLUSTER: Tree = {
    "nodes": 1,
    "gpus_per_node": 4,
    "gpu": {
        "memory": "1 TB",
        "memory_bandwidth": "2 TB/s",
        "peak": {"bf16": "400 TFLOPS", "fp8": "800 TFLOPS"},
        "efficiency": {"compute": 1, "memory": 1},
        "launch_overhead": "0 s",
    },
    "nvlink": {"bandwidth": "400 GB/s", "efficiency": 1},
    "infiniband": {"bandwidth": "50 GB/s", "efficiency": 1},
}
"""Four ideal GPUs."""

TWO_NODES: Tree = {**CLUSTER, "nodes": 2}

_SHAPE: Tree = {"layers": 2, "hidden": 1024, "heads": 16, "kv_heads": 4, "vocab": 32000, "precision": "bf16"}
DENSE: Tree = {**_SHAPE, "mlp": {"hidden": 4096}}
EXPERTS: Tree = {**_SHAPE, "moe": {"experts": 16, "top_k": 2, "hidden": 1024}}


def generation(
    model: object = "", plan: str = "TP4", cluster: object = "", *, faults: object = None, **workload: object
) -> str:
    """A generation's scenario; 8 sequences of 256 tokens and 20 of output unless `workload` says."""
    tree: Tree = {"name": "generation", "cluster": cluster or CLUSTER, "model": model or DENSE, "plan": plan}
    tree["workload"] = {"phase": "generate", "batch": 8, "sequence": 256, "output": 20, **workload}
    if faults is not None:
        tree["faults"] = faults
    return as_text(tree)


@cache
def generated(text: str, fold: Fold = "auto") -> Result:
    """The generation, simulated once per test run."""
    return simulate(compile_text(text, "x.yaml"), fold=fold)


@cache
def steps_of(text: str) -> tuple[Result, ...]:
    """The prefill, and each decode step, as scenarios of their own."""
    tree = json.loads(text)
    rest = {key: value for key, value in tree["workload"].items() if key not in ("phase", "sequence", "output")}
    sequence, output = tree["workload"]["sequence"], tree["workload"]["output"]
    alone = [{"phase": "prefill", "sequence": sequence, **rest}]
    alone += [{"phase": "decode", "context": sequence + step, **rest} for step in range(1, output)]
    return tuple(simulate(compile_text(as_text({**tree, "workload": one}), "x.yaml")) for one in alone)


def quantities(result: Result) -> Mapping[str, float]:
    """What adds up over steps, by name: latency, operations, FLOPs, wires, nodes, and seconds of the states."""
    document = result.as_dict()
    found: dict[str, float] = {"latency_s": result.metrics["latency_s"] or 0.0}
    for row in result.by_operation:
        for column in ("count", "seconds", "alone_seconds", "flops", "bytes", "bytes_nvlink", "bytes_infiniband"):
            found[f"{row.name} {column}"] = getattr(row, column)
    for path in ("traffic.nvlink", "traffic.infiniband", *(f"flops_per_gpu.{part}" for part in ("attention", "total"))):
        found[path] = result.metrics[path] or 0.0
    links = document["links"]
    assert isinstance(links, list)
    found |= {f"{link['kind']} {link['direction']}": link["bytes"] for link in links}
    nodes = document["traffic_between_nodes"]
    assert isinstance(nodes, list)
    found |= {f"node {a} to {b}": sent for a, row in enumerate(nodes) for b, sent in enumerate(row)}
    found["computing seconds"] = found["latency_s"] * (result.metrics["compute_busy"] or 0.0)
    return found


def added(results: tuple[Result, ...]) -> Mapping[str, float]:
    """Quantities summed over results."""
    total: dict[str, float] = defaultdict(float)
    for result in results:
        for name, value in quantities(result).items():
            total[name] += value
    return dict(total)
