"""A scenario written back: every default filled in, and read again as the same value."""

from __future__ import annotations

from dataclasses import asdict

import yaml

from simcluster.cluster import wiring
from simcluster.cluster.cluster import Cluster, Stream
from simcluster.cluster.link import InfiniBand, NvLink, Pcie
from simcluster.gpu.gpu import Gpu
from simcluster.gpu.power import Power
from simcluster.model.transformer import Mlp, Model, Moe
from simcluster.plan.degrees import Plan
from simcluster.plan.execution import Execution
from simcluster.program.program import ALGORITHMS
from simcluster.scenario import expert_load, faults
from simcluster.scenario.document import scalar
from simcluster.scenario.scenario import Scenario
from simcluster.units import format_exact

Tree = dict[str, object]


def render(scenario: Scenario) -> str:
    """The scenario as YAML text that compiles to an equal scenario."""
    return yaml.dump(as_tree(scenario), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def as_tree(scenario: Scenario) -> Tree:
    """The scenario as plain mappings, with units in the text of every dimensional value."""
    workload = scenario.workload
    batch: object = scenario.batch.count
    if scenario.batch.per != "total":
        batch = {scenario.batch.per: scenario.batch.count}
    length = "context" if workload.phase == "decode" else "sequence"
    tree: Tree = {
        "name": scenario.name,
        "cluster": _cluster(scenario.cluster),
        "model": _model(scenario.model),
        "plan": _plan(scenario.plan),
        "execution": _execution(scenario.execution),
        "workload": {
            "phase": workload.phase,
            "batch": batch,
            length: int(workload.length),
            **({"output": workload.output} if workload.phase == "generate" else {"steps": workload.steps}),
            "host_overhead": format_exact(workload.host_overhead_s, "seconds"),
            "kv_block": workload.kv_block,
            "kv_reads": workload.kv_reads,
            **expert_load.as_tree(workload),
        },
    }
    tree["seed"] = scenario.seed
    if damage := faults.as_tree(scenario.cluster):
        tree["faults"] = damage
    if scenario.uncertainty:
        tree["uncertainty"] = dict(scenario.uncertainty)
    if scenario.expect:
        tree["expect"] = [claim.line for claim in scenario.expect]
    return tree


class _Dumper(yaml.SafeDumper):
    """Quotes what would not be read back as the same text; never writes anchors."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    try:
        plain = scalar(text) == text and text.isprintable()
    except ValueError:
        plain = False
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else '"')


_Dumper.add_representer(str, _text)


def _cluster(cluster: Cluster) -> Tree:
    tree: Tree = {
        "nodes": cluster.nodes,
        "gpus_per_node": cluster.gpus_per_node,
        "gpu": _gpu(cluster.gpu),
    }
    if cluster.nvlink is not None:
        tree["nvlink"] = _nvlink(cluster.nvlink)
    if cluster.pcie is not None:
        tree["pcie"] = _pcie(cluster.pcie)
    if cluster.infiniband is not None:
        tree["infiniband"] = _infiniband(cluster.infiniband)
    tree["routing"] = {"seed": cluster.routing.seed, "rail_forwarding": cluster.routing.rail_forwarding}
    tree["sharing"] = cluster.sharing
    tree["algorithms"] = {kind: cluster.algorithms.get(kind, "auto") for kind in ALGORITHMS}
    if cluster.background:
        tree["background"] = [_stream(stream, cluster) for stream in cluster.background]
    if cluster.library is not None:
        tree["library"] = cluster.library.name
    return tree


def _stream(stream: Stream, cluster: Cluster) -> Tree:
    """Every GPU by name."""
    ends = {"from": stream.senders, "to": stream.receivers}
    names = {key: [wiring.gpu(*divmod(rank, cluster.gpus_per_node)) for rank in ranks] for key, ranks in ends.items()}
    return {**names, "bandwidth": format_exact(stream.bytes_per_s, "bytes/s")}


def _pcie(link: Pcie) -> Tree:
    return {
        "bandwidth": format_exact(link.bytes_per_s, "bytes/s"),
        "latency": format_exact(link.latency_s, "seconds"),
        "efficiency": link.efficiency,
        "provenance": link.provenance,
        "source": link.source,
    }


def _graph(link: InfiniBand) -> Tree:
    """A custom fabric, direction by direction."""
    cables = []
    for cable in link.cables:
        tree: Tree = {"source": cable.tail, "target": cable.head}
        tree["capacity"] = format_exact(cable.bytes_per_s, "bytes/s")
        if cable.latency_s is not None:
            tree["latency"] = format_exact(cable.latency_s, "seconds")
        cables.append(tree)
    nodes = [{"id": name, "kind": kind} for name, kind in link.switches.items()]
    return {"directed": True, "nodes": nodes, "edges": cables}


def _gpu(gpu: Gpu) -> Tree:
    return {
        "name": gpu.name,
        "memory": format_exact(gpu.memory_bytes, "bytes"),
        "memory_bandwidth": format_exact(gpu.memory_bytes_per_s, "bytes/s"),
        "peak": {name: format_exact(peak, "FLOP/s") for name, peak in gpu.peak_flops_per_s.items()},
        "efficiency": {"compute": dict(gpu.compute_efficiency), "memory": gpu.memory_efficiency},
        "launch_overhead": format_exact(gpu.launch_overhead_s, "seconds"),
        "collective_overhead": format_exact(gpu.collective_overhead_s, "seconds"),
        "reserved_memory": format_exact(gpu.reserved_memory_bytes, "bytes"),
        "communication_buffers": format_exact(gpu.communication_buffer_bytes, "bytes"),
        **({"profile": gpu.profile.name} if gpu.profile is not None else {}),
        **({"price": format_exact(gpu.price_usd_per_h, "USD/h")} if gpu.price_usd_per_h is not None else {}),
        **({"power": _power(gpu.power)} if gpu.power is not None else {}),
        "provenance": gpu.provenance,
        "source": gpu.source,
    }


def _power(power: Power) -> Tree:
    watts = {
        "idle": power.idle_w,
        "busy": power.busy_w,
        "memory": power.memory_w,
        "network": power.network_w,
    }
    return {**{name: format_exact(value, "watts") for name, value in watts.items()}, "source": power.source}


def _nvlink(link: NvLink) -> Tree:
    return {
        "bandwidth": format_exact(link.bytes_per_s, "bytes/s"),
        "latency": format_exact(link.latency_s, "seconds"),
        "efficiency": link.efficiency,
        "topology": link.topology,
        "domain": link.domain_gpus,
        "in_switch_reduction": link.in_switch_reduction,
        "provenance": link.provenance,
        "source": link.source,
    }


def _infiniband(link: InfiniBand) -> Tree:
    return {
        "bandwidth": format_exact(link.bytes_per_s, "bytes/s"),
        "latency": format_exact(link.latency_s, "seconds"),
        "efficiency": link.efficiency,
        "nics_per_node": link.nics_per_node,
        "fabric": link.fabric,
        "leaf_ports": link.leaf_ports,
        "oversubscription": link.oversubscription,
        "in_network_reduction": link.in_network_reduction,
        **({"graph": _graph(link)} if link.fabric == "custom" else {}),
        "provenance": link.provenance,
        "source": link.source,
    }


def _model(model: Model) -> Tree:
    tree: Tree = {
        "name": model.name,
        "layers": model.layers,
        "hidden": model.hidden,
        "heads": model.heads,
    }
    if model.latent is None:
        tree |= {"kv_heads": model.kv_heads, "head_dim": model.head_dim}
    else:
        tree["latent"] = {key: value for key, value in asdict(model.latent).items() if value is not None}
    match model.ffn:
        case Mlp() as dense:
            tree["mlp"] = _mlp(dense)
        case Moe() as moe:
            tree["moe"] = _moe(moe)
    if model.dense is not None:
        leading = model.dense_layers == tuple(range(len(model.dense_layers)))
        tree["mlp"] = _mlp(model.dense)
        tree["dense_layers"] = len(model.dense_layers) if leading else list(model.dense_layers)
    if model.window is not None:
        tree |= {"window": model.window, "full_every": model.full_every}
    if model.qk_norm:
        tree["qk_norm"] = True
    if model.vocab is not None:
        tree |= {"vocab": model.vocab, "tied_embeddings": model.tied_embeddings}
    return {**tree, "precision": asdict(model.precision)}


def _mlp(part: Mlp) -> Tree:
    return {"hidden": part.hidden, "gated": part.gated}


def _moe(moe: Moe) -> Tree:
    """Shared experts are written as one of their summed width, which is the same work."""
    tree: Tree = {
        "experts": moe.experts,
        "top_k": moe.top_k,
        "hidden": moe.expert.hidden,
        "gated": moe.expert.gated,
        "shared_experts": 1 if moe.shared else 0,
    }
    return tree | ({"shared_hidden": moe.shared.hidden} if moe.shared else {})


def _execution(execution: Execution) -> Tree:
    """Left out: the number of microbatches where it follows from the plan, and the layers of equal stages."""
    tree = asdict(execution) | {"placement": list(execution.placement), "stage_layers": list(execution.stage_layers)}
    return {key: value for key, value in tree.items() if value not in (None, [])}


def _plan(plan: Plan) -> Tree:
    label: Tree = {"name": plan.name} if plan.named else {}
    return {**label, **plan.degrees.as_dict(), "convention": plan.convention}
