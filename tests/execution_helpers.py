"""Small scenarios on hardware with round numbers, to run plans with stages, context ranks and overlap by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simcluster.pipeline import program_of, simulate
from simcluster.program.program import Collective, Compute, Program
from simcluster.scenario.compile import compile_text
from simcluster.scenario.scenario import Scenario
from simcluster.timeline.result import Result
from simcluster.timeline.timeline import Timeline
from tests.physics_helpers import as_text, ideal_gpu

Tree = dict[str, Any]

DENSE: Tree = {
    "layers": 8,
    "hidden": 1024,
    "heads": 16,
    "kv_heads": 8,
    "mlp": {"hidden": 4096},
    "precision": "bf16",
}
MIXTURE: Tree = {
    "layers": 4,
    "hidden": 1024,
    "heads": 16,
    "kv_heads": 8,
    "moe": {"experts": 16, "top_k": 2, "hidden": 512},
    "precision": "bf16",
}
LATENT: Tree = {
    "layers": 4,
    "hidden": 1024,
    "heads": 16,
    "latent": {"q_rank": 256, "kv_rank": 128, "nope_dim": 64, "rope_dim": 32, "value_dim": 64},
    "mlp": {"hidden": 4096},
    "precision": "bf16",
}
PREFILL: Tree = {"phase": "prefill", "batch": 8, "sequence": 512}
DECODE: Tree = {"phase": "decode", "batch": 8, "context": 4096}

FREE = "100000000 TB/s"
"""A bandwidth at which nothing takes time: a gigabyte in 1e-11 s."""


def cluster(nodes: int, gpus_per_node: int = 1, *, nvlink: str = "400 GB/s", nic: str = "50 GB/s", **more: Any) -> Tree:
    """Nodes of the ideal GPU (100 TFLOPS of bf16, 1 TB/s) on one switch; every wire is usable in full."""
    return {
        "nodes": nodes,
        "gpus_per_node": gpus_per_node,
        "gpu": {
            "memory": "1000 TB",
            "memory_bandwidth": "1 TB/s",
            "peak": {"bf16": "100 TFLOPS"},
            "efficiency": {"compute": 1, "memory": 1},
            "launch_overhead": "0 s",
        },
        "nvlink": {"bandwidth": nvlink, "latency": "0 s", "efficiency": 1},
        "infiniband": {"bandwidth": nic, "latency": "0 s", "efficiency": 1, "fabric": "single-switch"},
        **more,
    }


def scenario(
    plan: object, machine: Tree, *, model: Tree = DENSE, workload: Tree = PREFILL, **execution: Any
) -> Scenario:
    """The plan on the machine, run in a way that is plain but for what `execution` says."""
    tree = {
        "name": "by hand",
        "cluster": machine,
        "model": model,
        "plan": plan,
        "execution": execution,
        "workload": workload,
    }
    return compile_text(as_text({key: value for key, value in tree.items() if value != {}}), "x.yaml")


def timeline_of(case: Scenario, fold: Any = "auto") -> Timeline:
    found = simulate(case, fold=fold).timeline
    assert found is not None
    return found


def seconds(result: Result) -> float:
    assert result.timeline is not None
    return result.timeline.end_s


def kernel_s(program: Program, stage: int) -> float:
    """How long a stage computes on the ideal GPU for one microbatch: each kernel as long as its FLOPs or its bytes."""
    gpu = ideal_gpu()
    kernels = [one.kernel for one in program.operations if isinstance(one, Compute) and one.stage == stage]
    return sum(max(one.flops / gpu.peak("bf16"), one.bytes / gpu.memory_bytes_per_s) for one in kernels)


def collectives(case: Scenario, name: str) -> list[Collective]:
    """The collectives of this name in a step's program."""
    return [one for one in program_of(case).operations if isinstance(one, Collective) and one.name == name]


def collective_names(case: Scenario) -> set[str]:
    return {one.name for one in program_of(case).operations if isinstance(one, Collective)}


def computes(case: Scenario, name: str) -> list[Compute]:
    return [one for one in program_of(case).operations if isinstance(one, Compute) and one.name == name]


def total_flops(case: Scenario) -> float:
    """Counted FLOPs of one step, over all GPUs."""
    program = program_of(case)
    per_stage = program.ranks / program.stages
    return sum(per_stage * sum(each) / len(each) for each in program.flops)


def ends_of(timeline: Timeline, name: str, track: int) -> NDArray[np.float64]:
    """When each run of an operation of this name ended on a track (s), ascending."""
    wanted = [index for index, one in enumerate(timeline.operations) if one.name == name]
    mine = (timeline.track == track) & np.isin(timeline.operation, wanted)
    return np.sort(timeline.finish_s[mine])
