"""Random scenarios of every kind of cluster, plan and fault, and how far apart two replays of one scenario are."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simcluster.cluster.routes import Routes
from simcluster.errors import InputError
from simcluster.pipeline import at_length, program_of, simulate
from simcluster.program.program import ALGORITHMS
from simcluster.replay.engine import replay
from simcluster.replay.folding import folded
from simcluster.replay.listed import listed
from simcluster.replay.wiring import wiring
from simcluster.scenario.compile import compile_text
from simcluster.scenario.override import written_out
from simcluster.scenario.scenario import Scenario
from simcluster.timeline.links import link_rows, wire_rows
from simcluster.timeline.result import Result
from simcluster.timeline.series import BINS
from simcluster.timeline.states import states
from simcluster.timeline.timeline import Folding, Timeline
from tests.edge_helpers import refusal

Tree = dict[str, Any]
Floats = NDArray[np.float64]

# ------------------------------------------------------------------------------------------------- random scenarios

FABRICS = (
    "rail-optimized",
    "rail-optimized",
    "rail-optimized",
    "single-switch",
    "leaf-spine",
    "fat-tree",
    "dragonfly",
    "torus-2d",
    "torus-3d",
    "custom",
)
MACHINES = ("dgx-a100", "dgx-b200", "dgx-h100", "dgx-h200", "dgx-h800", "gb200-nvl72")
MOST_GPUS = 256
MOST_OF_SEPARATE_FLOWS = 32
"""GPUs up to which every message may get a fair share of its own: there are as many flows as pairs."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A random scenario, and its text, which is all that is needed to see a failure again."""

    scenario: Scenario
    text: str


def drawn(seed: int) -> Drawn:
    """The scenario of a seed: trees are drawn until one is valid and can run to its end."""
    rng = random.Random(seed)
    while True:
        tree = random_tree(rng)
        compiled = _compiled(tree)
        if compiled is None:
            continue
        faults = random_faults(rng, compiled)
        if faults:
            tree["faults"] = faults
            compiled = _compiled(tree)
        if compiled is not None and can_run(compiled):
            return Drawn(compiled, json.dumps(tree))


def _compiled(tree: Tree) -> Scenario | None:
    try:
        return compile_text(json.dumps(tree), "drawn.yaml")
    except InputError:
        return None


def can_run(scenario: Scenario) -> bool:
    """Whether it does; where not, folded or not it is refused in the same words."""
    each = [refusal(partial(listed, program_of(scenario), Routes(scenario.cluster)))]
    if each[0] is not None:
        each += [refusal(partial(simulate, scenario, fold=fold)) for fold in ("auto", "off")]
        assert len({str(error) for error in each}) == 1, [str(error) for error in each]
    return each[0] is None


def random_tree(rng: random.Random) -> Tree:
    """A scenario of 2 to 256 GPUs; it may break a rule of the plan or of a fabric."""
    written = rng.random() < 0.75
    flow = rng.random() < 0.25
    cluster, gpus = _random_cluster(rng, MOST_OF_SEPARATE_FLOWS if flow else MOST_GPUS) if written else _machine(rng)
    nodes = cluster["nodes"]
    if flow and gpus <= MOST_OF_SEPARATE_FLOWS:
        cluster["sharing"] = "flow"
    if rng.random() < 0.2:
        cluster["routing"] = {**cluster.get("routing", {}), "seed": rng.randrange(100)}
    if rng.random() < 0.4:
        for kind in rng.sample(["all_reduce", "all_to_all", "all_gather", "reduce_scatter"], rng.randint(1, 3)):
            cluster.setdefault("algorithms", {})[kind] = rng.choice(ALGORITHMS[kind])  # type: ignore[index]
    if rng.random() < 0.15:
        cluster["background"] = [_random_stream(rng, gpus, nodes) for _ in range(rng.randint(1, 3))]
    model = _random_model(rng)
    experts = model["moe"]["experts"] if "moe" in model else 0
    return {
        "name": "drawn",
        "cluster": cluster,
        "model": model,
        "plan": _random_plan(rng, gpus, experts),
        "workload": _random_workload(rng, gpus, experts),
    }


def _random_cluster(rng: random.Random, most: int) -> tuple[Tree, int]:
    per_node = rng.choice([1, 2, 3, 4, 4, 6, 8, 8, 8])
    nodes = rng.choice([1, 2, 2, 3, 4, 4, 5, 6, 8, 8, 9, 12, 16, 16, 24, 27, 32, 48, 64])
    nodes = max(1, min(nodes, most // per_node))
    cluster: Tree = {
        "nodes": nodes,
        "gpus_per_node": per_node,
        "gpu": {"memory": "10 TB", "memory_bandwidth": "2 TB/s", "peak": {"fp8": "400 TFLOPS", "bf16": "200 TFLOPS"},
                "collective_overhead": rng.choice(["0 s", "5 us"])},
    }  # fmt: skip
    wired = rng.choice(["nvswitch", "nvswitch", "nvswitch", "mesh", "domain", "pcie", "both"])
    if wired != "pcie":
        cluster["nvlink"] = {"bandwidth": rng.choice(["450 GB/s", "200 GB/s", "48 GB/s"]), "latency": "1 us"}
    if wired == "mesh":
        cluster["nvlink"]["topology"] = "mesh"
    elif wired == "domain":
        fits = [part for part in (1, 2, 3, 4, 8) if nodes % part == 0]
        cluster["nvlink"]["domain"] = per_node * rng.choice(fits)
    elif wired in ("pcie", "both"):
        cluster["pcie"] = {"bandwidth": "64 GB/s", "latency": "2 us"}
    if wired in ("nvswitch", "domain", "both") and rng.random() < 0.3:
        cluster["nvlink"]["in_switch_reduction"] = True
    fabric = rng.choice(FABRICS)
    nics = rng.choice([n for n in (1, 2, 3, 4, 6, 8) if per_node % n == 0])
    cluster["infiniband"] = {
        "bandwidth": rng.choice(["400 Gbit/s", "100 Gbit/s"]),
        "latency": "3 us",
        "nics_per_node": rng.choice([per_node, per_node, nics]),
        "fabric": fabric,
        "leaf_ports": rng.choice([4, 4, 6, 8, 8, 10, 12, 16, 24, 32, 64]),
        "oversubscription": rng.choice([1, 1, 1, 2, 3, 4]),
        "in_network_reduction": rng.random() < 0.2,
    }
    if fabric == "custom":
        cluster["infiniband"]["graph"] = _random_graph(rng, nodes, cluster["infiniband"]["nics_per_node"])
    if fabric == "rail-optimized" and rng.random() < 0.25:
        cluster["routing"] = {"rail_forwarding": True}
    return cluster, nodes * per_node


def _machine(rng: random.Random) -> tuple[Tree, int]:
    """A machine of the catalogue, written out with the constants measured on it, sometimes on another fabric."""
    name = rng.choice(MACHINES)
    nodes = rng.choice([1, 2, 3, 4, 8, 16])
    base: Any = written_out(("cluster",), name)
    per_node = base["gpus_per_node"]
    nodes = max(1, min(nodes, MOST_GPUS // per_node))
    if name == "gb200-nvl72":
        nodes = rng.choice([18, 36])
    cluster = json.loads(json.dumps({**base, "nodes": nodes}))
    if rng.random() < 0.5:
        cluster["infiniband"]["leaf_ports"] = rng.choice([8, 12, 16, 32])
    if rng.random() < 0.3:
        cluster["infiniband"]["oversubscription"] = 2
    if rng.random() < 0.2:
        cluster.setdefault("routing", {})["rail_forwarding"] = True
    return cluster, nodes * per_node


def _random_graph(rng: random.Random, nodes: int, nics: int) -> Tree:
    """A star, two switches with a cable between them, or a ring of switches with a chord."""
    switches = rng.choice([1, 2, 4])
    names = [f"s{number}" for number in range(switches)]
    edges = [
        {"source": f"node{node}.nic{nic}", "target": names[node % switches], "capacity": "50 GB/s"}
        for node in range(nodes)
        for nic in range(nics)
    ]
    latency = rng.choice([{}, {"latency": "1 us"}])
    if switches == 2:
        edges.append({"source": "s0", "target": "s1", "capacity": "100 GB/s", **latency})
    elif switches == 4:
        edges += [
            {"source": names[i], "target": names[(i + 1) % 4], "capacity": "100 GB/s", **latency} for i in range(4)
        ]
        if rng.random() < 0.5:
            edges.append({"source": "s0", "target": "s2", "capacity": "25 GB/s", **latency})
    return {"nodes": [{"id": name, "kind": "leaf"} for name in names], "edges": edges}


def _random_stream(rng: random.Random, gpus: int, nodes: int) -> Tree:
    if nodes > 1 and rng.random() < 0.4:
        one, other = rng.sample(range(nodes), 2)
        ends: Tree = {"from": f"node{one}", "to": f"node{other}"}
    else:
        chosen = rng.sample(range(gpus), min(gpus, rng.randint(2, 5)))
        ends = {"from": [str(one) for one in chosen[:1]], "to": [str(one) for one in chosen[1:]]}
    return {**ends, "bandwidth": rng.choice(["1 GB/s", "10 GB/s", "60 GB/s"])}


def _random_model(rng: random.Random) -> Tree:
    model: Tree = {"layers": rng.choice([1, 1, 2]), "hidden": 1024, "heads": 16,
                   "precision": rng.choice(["fp8", "bf16"])}  # fmt: skip
    if rng.random() < 0.75:
        model["moe"] = {"experts": rng.choice([4, 8, 8, 16, 32, 64]), "top_k": rng.choice([1, 2, 4]), "hidden": 512}
        if rng.random() < 0.3:
            model["moe"]["shared_experts"] = 1
    else:
        model["mlp"] = {"hidden": 4096}
    if rng.random() < 0.3:
        model["vocab"] = 32000
    return model


def divisors(number: int) -> list[int]:
    return [one for one in range(1, number + 1) if number % one == 0]


def _random_plan(rng: random.Random, gpus: int, experts: int) -> Tree | str:
    """Degrees that fit the GPUs, or a name that one of its two readings may fit."""
    tp = rng.choice([one for one in divisors(gpus) if one <= 16])
    ep = rng.choice([one for one in divisors(gpus) if one <= max(1, experts) and max(1, experts) % one == 0])
    kind = rng.random()
    if kind < 0.25 and experts:
        return f"EP{ep}_TP{tp}_PP1"
    if kind < 0.4:
        return f"TP{tp}_DP{gpus // tp}"
    if kind < 0.5 and experts:
        return f"EP{ep}_DP{gpus // tp}_TP{tp}"
    etp = rng.choice([one for one in divisors(gpus // ep) if one <= 16])
    if kind < 0.7:
        etp = 1
    return {"tp": tp, "ep": ep, "etp": etp} if experts else {"tp": tp}


def _random_workload(rng: random.Random, gpus: int, experts: int) -> Tree:
    workload: Tree = {"batch": {"per_gpu": rng.choice([1, 2])}, "steps": rng.choice([1, 1, 1, 2, 3])}
    if rng.random() < 0.5:
        workload |= {"phase": "prefill", "sequence": rng.choice([128, 1024])}
    else:
        workload |= {"phase": "decode", "context": 1000, "batch": {"per_gpu": rng.choice([4, 16])}}
    if experts and rng.random() < 0.2:
        hot = rng.sample(range(experts), min(experts, rng.choice([1, 1, 2, 3])))
        workload["expert_load"] = {str(one): rng.choice([0.5, 2, 4]) for one in hot}
    return workload


def random_faults(rng: random.Random, scenario: Scenario) -> list[Tree]:
    """None for half of the scenarios; else cables and NICs that are slow or dead, slow GPUs, slow nodes."""
    if rng.random() < 0.5:
        return []
    cluster = scenario.cluster
    wires = Routes(cluster).wires
    nics = sorted({name for ends in wires for name in ends if ".nic" in name})
    found: list[Tree] = []
    for _ in range(rng.choice([1, 1, 2, 3, 4])):
        node, gpu = rng.randrange(cluster.nodes), rng.randrange(cluster.gpus_per_node)
        kind = rng.choice(["cable", "nic", "gpu", "gpu", "node"])
        if kind == "cable" and wires:
            found.append({"link": list(rng.choice(wires)), "factor": rng.choice([0, 0.25, 0.5])})
        elif kind == "nic" and nics:
            found.append({"nic": rng.choice(nics), "factor": rng.choice([0, 0.25, 0.5])})
        elif kind == "gpu":
            found.append({"gpu": f"node{node}.gpu{gpu}", "factor": rng.choice([0.5, 0.8, 0.9])})
        elif kind == "node":
            found.append({"node": node, "factor": rng.choice([0.5, 0.8])})
    return found


# ------------------------------------------------------------------------------------------------ three ways to run


def refined_timeline(scenario: Scenario) -> Timeline:
    """The timeline of the classes that colour refinement finds, also where a shorter way to them is known."""
    routes = Routes(scenario.cluster)
    program = program_of(scenario)
    whole = listed(program, routes)
    small = folded(whole)
    counts = Folding(
        ranks=len(whole.tracks), tracks=len(small.schedule.tracks), wires=len(whole.wires),
        columns=len(small.schedule.wires), split_by=(),
    )  # fmt: skip
    return at_length(replay(small.schedule, counts, partial(wiring, routes.graph, small.column)), program)


# --------------------------------------------------------------------------------------------- how far two are apart


ALLOWED = 1e-9


def check_folded_is_unfolded(scenario: Scenario, *, finer: bool = False) -> float:
    """Both ways to fold against none; the largest relative difference.

    The classes of a regular cluster, known before it is built, must be those that refinement finds, or where stages
    load its wires apart may be `finer`.
    """
    small, whole = simulate(scenario), simulate(scenario, fold="off")
    assert small.timeline is not None
    assert whole.timeline is not None
    apart, refined = compare_results(small, whole), refined_timeline(scenario)
    by_classes = Apart()
    compare_timelines(by_classes, refined, whole.timeline)
    for found in (apart, by_classes):
        assert found.worst[0] <= ALLOWED, found.found
    folding, each = small.timeline.folding, whole.timeline.folding
    assert (each.tracks, each.columns) == (each.ranks, each.wires) == (folding.ranks, folding.wires)
    assert (folding.tracks, folding.columns) == (len(small.timeline.tracks), len(small.timeline.links.capacity))
    assert folding.tracks == refined.folding.tracks
    assert folding.columns == refined.folding.columns or (finer and folding.columns > refined.folding.columns)
    return max(apart.worst[0], by_classes.worst[0])


class Apart:
    """The largest relative difference of each kind of number between a folded result and the unfolded one."""

    def __init__(self) -> None:
        self.found: dict[str, float] = {}

    def add(self, what: str, mine: object, theirs: object, scale: object = None) -> None:
        """|mine - theirs| / scale; the scale is the unfolded number itself unless it is given."""
        a, b = np.asarray(mine, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
        assert a.shape == b.shape, f"{what}: {a.shape} and {b.shape}"
        size = np.abs(b) if scale is None else np.broadcast_to(np.asarray(scale, dtype=np.float64), b.shape)
        off = np.abs(a - b)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(off == 0, 0.0, off / size)
        self.found[what] = max(self.found.get(what, 0.0), float(share.max(initial=0.0)))

    def same(self, what: str, mine: object, theirs: object) -> None:
        assert mine == theirs, f"{what}: {mine} and {theirs}"

    @property
    def worst(self) -> tuple[float, str]:
        return max(((value, what) for what, value in self.found.items()), default=(0.0, ""))


def compare_results(folded_one: Result, whole: Result) -> Apart:
    """Every number of two results, scalars, rows and series, and every span and wire of their timelines."""
    apart = Apart()
    for path, value in whole.metrics.items():
        mine = folded_one.metrics[path]
        assert (mine is None) == (value is None), path
        if value is not None:
            apart.add("scalars", mine, value, 1.0 if path in _SHARES else None)
    _rows(apart, "by_operation", [row.as_dict() for row in folded_one.by_operation],
          [row.as_dict() for row in whole.by_operation], whole)  # fmt: skip
    apart.same("checks", [(check.name, check.passed) for check in folded_one.checks],
               [(check.name, check.passed) for check in whole.checks])  # fmt: skip
    assert folded_one.timeline is not None
    assert whole.timeline is not None
    _series(apart, folded_one, whole)
    compare_timelines(apart, folded_one.timeline, whole.timeline)
    return apart


_SHARES = ("compute_busy", "exposed_communication", "waiting", "idle", "communication_busy")
"""Metrics that are times relative to the latency already."""


def _rows(apart: Apart, what: str, mine: list[Any], theirs: list[Any], whole: Result) -> None:
    assert whole.timeline is not None
    apart.same(what, [row["name"] for row in mine], [row["name"] for row in theirs])
    for one, other in zip(mine, theirs, strict=True):
        for key, value in other.items():
            if key == "count" and whole.identity.degrees["pp"] > 1:
                assert abs(one[key] - value) <= 1, "a mean over stages, rounded: a half either way"
            elif isinstance(value, int | float):
                apart.add(what, one[key], value, whole.timeline.end_s if key.endswith("seconds") else None)
            else:
                apart.same(f"{what} {other['name']} {key}", one[key], value)


def _series(apart: Apart, folded_one: Result, whole: Result) -> None:
    assert whole.timeline is not None
    assert whole.series is not None
    assert folded_one.series is not None
    for name in whole.series.__slots__:
        mine, theirs = getattr(folded_one.series, name), getattr(whole.series, name)
        if name == "link_utilization":
            apart.same("classes of wires", sorted(mine), sorted(theirs))
            for key, used in theirs.items():
                apart.add("series", mine[key], used, 1.0)
            continue
        clear = (
            _clear_bins(whole.timeline) if name in ("memory_bytes", "tokens_done") else np.ones(BINS, dtype=np.bool_)
        )
        scale = 1.0 if name in ("compute_busy", "exposed_communication") else float(np.abs(theirs).max())
        apart.add("series", mine[clear], theirs[clear], scale)


def _clear_bins(timeline: Timeline) -> NDArray[np.bool_]:
    """Bins at whose edges nothing starts or ends, up to rounding: elsewhere rounding says which bin a span reaches."""
    moments = np.unique(np.concatenate([timeline.arrive_s, timeline.finish_s]))
    edges = np.linspace(0.0, timeline.end_s, BINS + 1)
    near = np.abs(moments[np.clip(np.searchsorted(moments, edges), 0, len(moments) - 1)] - edges)
    near = np.minimum(near, np.abs(moments[np.clip(np.searchsorted(moments, edges) - 1, 0, None)] - edges))
    met = near <= 1e-9 * timeline.end_s
    met[[0, -1]] = False
    return ~(met[:-1] | met[1:])


def compare_timelines(apart: Apart, mine: Timeline, whole: Timeline) -> None:
    """Every rank's spans and states, every wire's bytes and its rate at every instant, and the rows of both."""
    end_s = whole.end_s
    apart.add("latency", mine.end_s, end_s)
    apart.add("spans", spans(mine), spans(whole), end_s)
    one, other = states(mine), states(whole)
    for name in ("computing", "communicating", "waiting", "idle", "transferring"):
        each = getattr(one, name)[mine.tracks.of_rank], getattr(other, name)[whole.tracks.of_rank]
        apart.add("states", *each, end_s)
    if whole.node_bytes is not None:
        assert mine.node_bytes is not None
        apart.add("bytes between nodes", mine.node_bytes, whole.node_bytes)
    _wires(apart, mine, whole)
    _link_rows(apart, mine, whole)
    _wire_rows(apart, mine, whole)
    for index, operation in enumerate(whole.operations):
        twin = mine.operations[index]
        apart.same("operations", (twin.name, twin.kind, twin.algorithm, twin.layer, twin.bound),
                   (operation.name, operation.kind, operation.algorithm, operation.layer, operation.bound))  # fmt: skip
        for fact in ("flops", "bytes", "bytes_nvlink", "bytes_infiniband", "live_bytes", "alone_s"):
            apart.add("operations", getattr(twin, fact), getattr(operation, fact))


def spans(timeline: Timeline) -> Floats:
    """When every rank arrived at, started and ended each run of its operations, rank after rank: shape (3, all runs).

    Runs of an operation in a step, one for each microbatch, are in order of time.
    """
    order = np.lexsort((timeline.start_s, timeline.arrive_s, timeline.operation, timeline.step, timeline.track))
    times = np.stack([timeline.arrive_s[order], timeline.start_s[order], timeline.finish_s[order]])
    ends = np.cumsum(np.bincount(timeline.track, minlength=len(timeline.tracks)))
    rows = np.split(np.arange(len(order)), ends[:-1])
    each: Floats = times[:, np.concatenate([rows[track] for track in timeline.tracks.of_rank.tolist()])]
    return each


def _wires(apart: Apart, mine: Timeline, whole: Timeline) -> None:
    """Columns are listed wire by wire; rates are compared wherever both runs hold theirs for a while."""
    one, other, column = mine.links, whole.links, mine.wiring.column
    apart.same("wires", mine.wiring.cable.tolist(), whole.wiring.cable.tolist())
    apart.same("kinds of wires", [(one.kind[i], one.direction[i]) for i in column.tolist()],
               list(zip(other.kind, other.direction, strict=True)))  # fmt: skip
    apart.same("wires of a column", np.bincount(column, minlength=len(one.count)).tolist(), one.count.tolist())
    apart.add("capacity", one.capacity[column], other.capacity)
    carried = other.bytes_on_wires(whole.end_s)
    floor = float(carried.max(initial=0.0)) * 1e-12
    apart.add("bytes", one.bytes_on_wires(mine.end_s)[column], carried, np.maximum(carried, max(floor, 1e-300)))
    assert (len(one.time_s) == 0) == (len(other.time_s) == 0)
    if len(other.time_s) == 0:
        return
    cuts = np.unique(np.concatenate([one.time_s, other.time_s, [whole.end_s]]))
    lasting = np.flatnonzero(np.diff(cuts) > 1e-9 * whole.end_s)
    middle = (cuts[lasting] + cuts[lasting + 1]) / 2
    states_of = [np.searchsorted(each.time_s, middle, side="right") - 1 for each in (one, other)]
    known = np.unique(np.stack([np.where(at >= 0, each.state[at], -1) for at, each in
                                zip(states_of, (one, other), strict=True)]), axis=1)  # fmt: skip
    idle = np.zeros(len(other.capacity))
    for ours, theirs in known.T.tolist():
        rates = one.rates[ours][column] if ours >= 0 else idle
        apart.add("rates", rates, other.rates[theirs] if theirs >= 0 else idle, other.capacity)


def _link_rows(apart: Apart, mine: Timeline, whole: Timeline) -> None:
    one, other = ({(row["kind"], row["direction"]): row for row in link_rows(each)} for each in (mine, whole))
    apart.same("link_rows", set(one), set(other))
    for key, row in other.items():
        for name in ("count", "utilization_mean", "utilization_peak", "bytes"):
            value = row[name]
            assert isinstance(value, int | float)
            apart.add("link_rows", one[key][name], value, 1.0 if name.startswith("utilization") else None)


def _wire_rows(apart: Apart, mine: Timeline, whole: Timeline) -> None:
    """The same groups of wires, named by the same first wire, with the same numbers."""
    one, other = (
        {(row["from"], row["to"]): row for row in wire_rows(each, bins=10, most=10**9)} for each in (mine, whole)
    )
    apart.same("groups of wires", {key: row["count"] for key, row in one.items()},
               {key: row["count"] for key, row in other.items()})  # fmt: skip
    most = max([float(str(row["bytes"])) for row in other.values()], default=0.0)
    for key, row in other.items():
        apart.same("a wire's class", (one[key]["kind"], one[key]["direction"]), (row["kind"], row["direction"]))
        for name in ("capacity_bytes_per_s", "utilization_mean", "utilization_peak"):
            apart.add("wire_rows", one[key][name], row[name], 1.0 if name.startswith("utilization") else None)
        apart.add("wire_rows", one[key]["bytes"], row["bytes"], max(float(str(row["bytes"])), most * 1e-12, 1e-300))
        bins = np.array(one[key]["utilization"]), np.array(row["utilization"])
        assert np.abs(bins[0] - bins[1]).max() < 1.5e-6, "use over time, which is rounded to six decimals"
