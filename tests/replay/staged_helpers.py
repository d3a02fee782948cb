"""Random scenarios with pipeline stages, context ranks, placements and overlap."""

from __future__ import annotations

import json
import random
from typing import Any

from simcluster.errors import InputError
from simcluster.plan.execution import PLACEMENT
from simcluster.scenario.compile import compile_text
from simcluster.scenario.scenario import Scenario
from tests.replay.folding_helpers import Drawn, can_run, divisors, random_faults, random_tree

Tree = dict[str, Any]

MOST_GPUS = 64


def drawn_staged(seed: int) -> Drawn:
    """The scenario of a seed: trees are drawn until one is valid and can run to its end."""
    rng = random.Random(seed)
    while True:
        tree = random_tree(rng)
        gpus = tree["cluster"]["nodes"] * tree["cluster"]["gpus_per_node"]
        if gpus > MOST_GPUS:
            continue
        _stage(tree, gpus, rng)
        found = _compiled(tree)
        if found is None:
            continue
        faults = random_faults(rng, found)
        if faults:
            tree["faults"] = faults
            found = _compiled(tree)
        if found is not None and can_run(found):
            return Drawn(found, json.dumps(tree))


def _compiled(tree: Tree) -> Scenario | None:
    try:
        return compile_text(json.dumps(tree), "staged.yaml")
    except InputError:
        return None


def _stage(tree: Tree, gpus: int, rng: random.Random) -> None:
    """Give the tree a plan of its own, and a way to run it."""
    model: Tree = tree["model"]
    execution: Tree = {}
    pp = rng.choice([one for one in divisors(gpus) if one <= 8])
    cp = rng.choice([1, 1, *[one for one in divisors(gpus // pp) if one <= 4]])
    tp = rng.choice([one for one in divisors(gpus // pp // cp) if one <= 16])
    plan = {"pp": pp, "cp": cp, "tp": tp}
    if "moe" in model:
        experts = model["moe"]["experts"]
        plan["ep"] = rng.choice([one for one in divisors(gpus // pp) if experts % one == 0])
        plan["etp"] = rng.choice([1, *[one for one in divisors(gpus // pp // plan["ep"]) if one <= 4]])
        if rng.random() < 0.2:
            model |= {"dense_layers": 1, "mlp": {"hidden": 4096}}
    layers = [rng.choice([1, 1, 2]) for _ in range(pp)]
    model["layers"] = max(sum(layers), 2)
    if pp > 1:
        execution["stage_layers"] = layers
    if rng.random() < 0.3:
        model["window"] = rng.choice([64, 4000])
    each = rng.choice([2, 4, 4])
    tree["plan"] = plan
    tree["workload"] |= {"batch": {"per_replica": each}, "steps": rng.choice([1, 1, 2, 3])}
    if rng.random() < 0.5:
        execution["placement"] = rng.sample(PLACEMENT, 4)
    if rng.random() < 0.3:
        execution["microbatches"] = rng.choice([1, 2, 4])
    execution |= {
        "sequence_parallel": rng.random() < 0.4,
        "context_attention": rng.choice(["ring", "all-gather"]),
        "overlap": rng.choice(["none", "none", "two-batch"]),
        "overlap_shared_experts": rng.random() < 0.4,
        "dispatch_chunks": rng.choice([1, 1, 1, 2, 3]),
        "communication_sms": rng.choice([0, 0.2]),
        "communication_memory": rng.choice([0, 0.1]),
    }
    if rng.random() < 0.1:
        tree["workload"] = {"phase": "generate", "batch": {"per_replica": each}, "sequence": 128, "output": 4}
    tree["execution"] = execution
