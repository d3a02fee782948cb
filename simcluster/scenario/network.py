"""The cluster of a scenario: from checked forms to links, fabric and background, and what is wrong there."""

from __future__ import annotations

from simcluster.cluster.cluster import Cluster, Routing, Stream
from simcluster.cluster.link import InfiniBand, NvLink, Pcie
from simcluster.errors import InputError, nearest
from simcluster.gpu import profile_file
from simcluster.program.program import ALGORITHMS
from simcluster.scenario import build, graph, library
from simcluster.scenario.build import Wrong
from simcluster.scenario.hardware import ClusterForm, InfiniBandForm, NvLinkForm, PcieForm

MOST_GPUS = 4_194_304
"""GPUs of a cluster; its graph, where it is built whole, takes about 5 GB a million."""


def cluster_mistakes(form: ClusterForm, nodes: int) -> Wrong:
    if form.gpus_per_node > 1 and form.nvlink is None and form.pcie is None:
        yield "cluster", f"nvlink is missing; {form.gpus_per_node} GPUs of a node need it, or pcie"
    if nodes > 1 and form.infiniband is None and not _one_domain(form, nodes):
        yield "cluster", f"infiniband is missing; {nodes} nodes need it"
    if nodes * form.gpus_per_node > MOST_GPUS:
        yield "cluster", f"{nodes * form.gpus_per_node:,} GPUs; at most {MOST_GPUS:,} fit into memory; use fewer nodes"
    for precision in form.gpu.peak:
        if precision not in form.gpu.efficiency.compute:
            what = f"{precision} has a peak but no efficiency; add {precision}"
            yield "cluster.gpu.efficiency.compute", what
    if form.gpu.profile is not None:
        try:
            profile_file.load(form.gpu.profile)
        except InputError as error:
            yield "cluster.gpu.profile", str(error)
    for kind, algorithm in form.algorithms.items():
        if algorithm not in ("auto", *ALGORITHMS[kind]):
            yield f"cluster.algorithms.{kind}", f"no algorithm {algorithm!r:.40}{nearest(algorithm, ALGORITHMS[kind])}"
    if form.library is not None and form.library not in library.names():
        yield "cluster.library", f"no library is called {form.library!r:.60}{nearest(form.library, library.names())}"
    if form.nvlink is not None:
        yield from _nvlink_mistakes(form.nvlink, form.gpus_per_node, nodes)
    if form.infiniband is not None:
        yield from _infiniband_mistakes(form.infiniband, form.gpus_per_node, nodes)


def _one_domain(form: ClusterForm, nodes: int) -> bool:
    return form.nvlink is not None and (form.nvlink.domain or 0) >= nodes * form.gpus_per_node


def _nvlink_mistakes(form: NvLinkForm, gpus_per_node: int, nodes: int) -> Wrong:
    if form.domain is not None and form.domain % gpus_per_node:
        what = f"a domain of {form.domain} GPUs is no whole number of nodes of {gpus_per_node}"
        below = form.domain // gpus_per_node * gpus_per_node
        fits = f"{below} or {below + gpus_per_node}" if below else gpus_per_node
        yield "cluster.nvlink.domain", f"{what}; use {fits}"
    if form.topology == "mesh" and (form.domain or gpus_per_node) != gpus_per_node:
        yield "cluster.nvlink.topology", "a mesh joins the GPUs of one node; leave domain out or use nvswitch"
    if form.topology == "mesh" and form.in_switch_reduction:
        yield "cluster.nvlink.in_switch_reduction", "a mesh has no switch that could add; use topology: nvswitch"


def _infiniband_mistakes(form: InfiniBandForm, gpus_per_node: int, nodes: int) -> Wrong:
    nics = form.nics_per_node
    if nics is not None and gpus_per_node % nics:
        fits = [d for d in range(1, gpus_per_node + 1) if gpus_per_node % d == 0]
        what = f"{nics} NICs do not divide {gpus_per_node} GPUs a node; use one of {fits}"
        yield "cluster.infiniband.nics_per_node", what
        return
    if (form.fabric == "custom") != (form.graph is not None):
        what = "fabric: custom and a graph go together; write both or neither"
        yield "cluster.infiniband", what
        return
    network = infiniband(form, gpus_per_node)
    if form.graph is not None:
        yield from graph.graph_mistakes(form.graph, network.nics_per_node, nodes)
    largest = network.largest_nodes
    if largest is not None and nodes > largest:
        yield (
            "cluster.infiniband",
            f"a {network.fabric} fabric of switches with {network.leaf_ports} ports joins at most {largest:,} nodes, "
            f"not {nodes:,}; use a larger leaf_ports or fabric: single-switch",
        )


def cluster(form: ClusterForm, nodes: int) -> Cluster:
    """The cluster without its faults and background, which are checked against its wiring."""
    return Cluster(
        nodes=nodes,
        gpus_per_node=form.gpus_per_node,
        gpu=build.gpu(form.gpu),
        nvlink=None if form.nvlink is None else nvlink(form.nvlink),
        pcie=None if form.pcie is None else pcie(form.pcie),
        infiniband=None if form.infiniband is None else infiniband(form.infiniband, form.gpus_per_node),
        routing=Routing(seed=form.routing.seed, rail_forwarding=form.routing.rail_forwarding),
        sharing=form.sharing,
        algorithms={kind: name for kind, name in form.algorithms.items() if name != "auto"},
        library=None if form.library is None else library.library(form.library),
    )


def nvlink(form: NvLinkForm) -> NvLink:
    return NvLink(
        bytes_per_s=form.bandwidth,
        latency_s=form.latency,
        efficiency=form.efficiency,
        topology=form.topology,
        domain_gpus=form.domain,
        in_switch_reduction=form.in_switch_reduction,
        provenance=form.provenance,
        source=form.source,
    )


def pcie(form: PcieForm) -> Pcie:
    return Pcie(
        bytes_per_s=form.bandwidth,
        latency_s=form.latency,
        efficiency=form.efficiency,
        provenance=form.provenance,
        source=form.source,
    )


def infiniband(form: InfiniBandForm, gpus_per_node: int) -> InfiniBand:
    """One NIC per GPU unless the form says how many."""
    return InfiniBand(
        bytes_per_s=form.bandwidth,
        latency_s=form.latency,
        efficiency=form.efficiency,
        nics_per_node=form.nics_per_node or gpus_per_node,
        fabric=form.fabric,
        leaf_ports=form.leaf_ports,
        oversubscription=form.oversubscription,
        in_network_reduction=form.in_network_reduction,
        cables=() if form.graph is None else tuple(graph.cables(form.graph)),
        switches={} if form.graph is None else {node.id: node.kind for node in form.graph.nodes if node.kind != "nic"},
        provenance=form.provenance,
        source=form.source,
    )


def background(form: ClusterForm, cluster: Cluster) -> tuple[tuple[Stream, ...], list[tuple[str, str]]]:
    """The background streams, and what is wrong with them."""
    streams: list[Stream] = []
    wrong: list[tuple[str, str]] = []
    for index, one in enumerate(form.background):
        ends = []
        for key, names in (("from", one.senders), ("to", one.receivers)):
            ranks: list[int] = []
            for name in [names] if isinstance(names, str) else names:
                found = _ranks(name, cluster)
                if found is None:
                    what = f"{name!r:.60} is none of all, node0 … node{cluster.nodes - 1}, node0.gpu0 …"
                    wrong.append((f"cluster.background.{index}.{key}", what))
                else:
                    ranks += found
            ends.append(tuple(dict.fromkeys(ranks)))
        senders, receivers = ends
        for key, names, found_ranks in (("from", one.senders, senders), ("to", one.receivers, receivers)):
            if not found_ranks and not names:
                wrong.append((f"cluster.background.{index}.{key}", "names nobody; write node0, node0.gpu1 or all"))
        if senders and receivers and not any(a != b for a in senders for b in receivers):
            wrong.append((f"cluster.background.{index}", "sends to itself only"))
        streams.append(Stream(senders=senders, receivers=receivers, bytes_per_s=one.bandwidth))
    return tuple(streams), wrong


def _ranks(name: str, cluster: Cluster) -> list[int] | None:
    """The ranks that all, node3 or node3.gpu1 means."""
    if name == "all":
        return list(range(cluster.gpus))
    node, _, gpu = name.partition(".")
    number, index = node.removeprefix("node"), gpu.removeprefix("gpu")
    if not node.startswith("node") or not number.isdecimal() or int(number) >= cluster.nodes:
        return None
    first = int(number) * cluster.gpus_per_node
    if not gpu:
        return list(range(first, first + cluster.gpus_per_node))
    if not gpu.startswith("gpu") or not index.isdecimal() or int(index) >= cluster.gpus_per_node:
        return None
    return [first + int(index)]
