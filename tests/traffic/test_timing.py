"""A library's measured times, worked out again from the numbers of its file in the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from itertools import pairwise
from math import hypot, log2
from typing import Any

import pytest
import yaml

from simcluster import units
from simcluster.cluster.cluster import Cluster
from simcluster.program.program import CollectiveKind, Copies
from simcluster.scenario.cluster_section import load_cluster
from simcluster.traffic.timing import Timing, exchange_timing, timing

Terms = Mapping[str, Any]
NVLINK, NIC = {"h100": 450e9, "a100": 300e9}, {"h100": 50e9, "a100": 25e9}
LIBRARIES = ("a100", "h100", "h200", "b200", "gb200")


def _file(name: str) -> dict[str, Any]:
    text = resources.files("simcluster.cluster").joinpath("catalogue", "libraries", f"{name}.yaml").read_text("utf-8")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def _s(text: str) -> float:
    return units.parse(text, "seconds")


def _total(terms: Terms, rounds: float, nvlink_s: float, nic_rounds: float = 0, nic_s: float = 0) -> float:
    """floor + hypot(latency, transfer) of one protocol, its transfers already in seconds."""
    steps = [_s(terms.get(tier, {}).get("step", "0 s")) for tier in ("nvlink", "infiniband")]
    return _s(terms["floor"]) + hypot(steps[0] * rounds + steps[1] * nic_rounds, max(nvlink_s, nic_s))


def _best(members: Mapping[str, Terms], totals: Mapping[str, float]) -> str:
    return min(members, key=lambda name: members[name].get("preference", 1.0) * totals[name])


def _timing(machine: str, gpus: int, kind: CollectiveKind, algorithm: str, size: float, dtype: str = "bf16") -> Timing:
    cluster = load_cluster(f"dgx-{machine}", gpus)
    found = timing(kind, algorithm, tuple(range(gpus)), size, cluster, dtype)
    assert found is not None
    return found


def _check(found: Timing, members: Mapping[str, Terms], totals: Mapping[str, float]) -> None:
    best = _best(members, totals)
    assert found.protocol == best
    assert found.latency_s + found.transfer_s == pytest.approx(totals[best], rel=1e-12)
    assert found.preferred_s == pytest.approx(members[best].get("preference", 1.0) * totals[best], rel=1e-12)


SIZES = [1.0, 2.0**10, 2.0**20, 2.0**26, 2.0**34]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("machine", ["h100", "a100"])
def test_a_ring_of_a_node_takes_14_rounds_and_7_quarters_of_the_buffer(machine: str, size: float) -> None:
    members = _file(machine)["all_reduce"]["ring"]
    totals = {}
    for name, terms in members.items():
        near = terms["nvlink"]
        port = 2 * 7 / 8 * size + near.get("own", 0) * size / 8
        totals[name] = _total(terms, 14, port / (near.get("efficiency", 1) * NVLINK[machine]))
    _check(_timing(machine, 8, "all_reduce", "ring", size), members, totals)


@pytest.mark.parametrize("size", SIZES)
def test_a_ring_of_two_nodes_crosses_each_tier_in_its_own_rounds(size: float) -> None:
    """14 of 15 rounds inside, 1 between; 15/16 of the output through NVLink, an eighth of that through a NIC."""
    members = _file("h100")["all_gather"]["rail_ring"]
    totals = {}
    for name, terms in members.items():
        nvlink_s = 15 / 16 * size / (terms["nvlink"].get("efficiency", 1) * NVLINK["h100"])
        nic_s = 15 / 16 * size / 8 / (terms["infiniband"].get("efficiency", 1) * NIC["h100"])
        totals[name] = _total(terms, 14, nvlink_s, 1, nic_s)
    _check(_timing("h100", 16, "all_gather", "ring", size), members, totals)


@pytest.mark.parametrize("size", SIZES)
def test_an_all_to_all_of_a_node_is_paced_by_its_port_or_by_one_peer(size: float) -> None:
    members = _file("h100")["all_to_all"]["direct"]
    totals = {}
    for name, terms in members.items():
        near = terms["nvlink"]
        if "peer_efficiency" in near:
            nvlink_s = size / 8 / (near["peer_efficiency"] * NVLINK["h100"])
        else:
            nvlink_s = (7 / 8 * size + near.get("own", 0) * size / 8) / (near["efficiency"] * NVLINK["h100"])
        totals[name] = _total(terms, 7, nvlink_s)
    _check(_timing("h100", 8, "all_to_all", "direct", size), members, totals)


@pytest.mark.parametrize("size", SIZES)
def test_in_the_switch_a_buffer_and_a_share_cross_the_port(size: float) -> None:
    members = _file("h100")["all_reduce"]["nvls"]
    totals = {name: _total(terms, 2, (size + size / 8) / (terms["nvlink"]["efficiency"] * NVLINK["h100"]))
              for name, terms in members.items()}  # fmt: skip
    _check(_timing("h100", 8, "all_reduce", "in-switch", size), members, totals)


@pytest.mark.parametrize("size", SIZES)
def test_a_send_to_the_next_node_pays_the_nic(size: float) -> None:
    members = _file("h100")["send_recv"]["rail_pair"]
    totals = {}
    for name, terms in members.items():
        nic_s = size / (terms["infiniband"]["efficiency"] * NIC["h100"])
        totals[name] = _total(terms, 0, 0.0, 1, nic_s)
    _check(_timing("h100", 16, "send_recv", "direct", size), members, totals)


def _exchange(kind: str, mode: str, gpus: int, tokens: float, copies: Copies, sms: int | None = None) -> Timing:
    found = exchange_timing(kind, mode, tuple(range(gpus)), tokens, copies, load_cluster("dgx-h100", gpus), sms)
    assert found is not None
    return found


def test_dispatch_between_nodes_is_its_floor_and_the_slowest_of_wires_and_copying() -> None:
    """Two nodes: of 8 experts a token needs, expected distinct GPUs D of 16 and nodes R of 2, each a GPU's or a node's
    share of all choices of 8 of 256 that miss it."""
    copies = Copies(top_k=8, experts=256, token_bytes=7168 * (1 + 4 / 128))

    def distinct(places: int) -> float:
        missing = 1.0
        for turn in range(8):
            missing *= (256 - 256 / places - turn) / (256 - turn)
        return places * (1 - missing)

    tokens, size = 4096.0, copies.token_bytes
    gpu_copies, node_copies = distinct(16), distinct(2)
    members = _file("h100")["moe_dispatch"]["rail_normal"]
    totals = {}
    for name, terms in members.items():
        sm = terms["sm"]
        each = _s(sm["per_token"]) + gpu_copies * size / units.parse(sm["rate"], "bytes/s")
        each += node_copies * size / units.parse(sm["rail_rate"], "bytes/s")
        nvlink_s = tokens * size * gpu_copies * 7 / 8 / (terms["nvlink"]["efficiency"] * NVLINK["h100"])
        nic_s = tokens * size * node_copies / 2 / (terms["infiniband"]["efficiency"] * NIC["h100"])
        token_s = size / units.parse(terms["token_rate"], "bytes/s") if "token_rate" in terms else 0.0
        fixed = _s(terms["floor"]) + _s(terms["infiniband"]["step"]) + token_s
        totals[name] = fixed + max(nvlink_s, nic_s, tokens * each / 24)
    found = _exchange("moe_dispatch", "normal", 16, tokens, copies)
    assert found.protocol == _best(members, totals)
    assert found.latency_s + found.transfer_s == pytest.approx(totals[found.protocol], rel=1e-9)


def test_low_latency_dispatch_pays_a_step_for_every_doubling_of_nodes() -> None:
    copies = Copies(top_k=8, experts=256, token_bytes=7392)
    step_s = _s(_file("h100")["moe_dispatch"]["low_latency"]["simple"]["infiniband"]["step"])
    fixed = [_exchange("moe_dispatch", "low_latency", 8 * nodes, 1, copies).latency_s for nodes in (1, 2, 4)]
    assert [late - fixed[0] for late in fixed] == pytest.approx([0, step_s, step_s * log2(4)], abs=1e-12)


@pytest.mark.parametrize("kind", ["moe_dispatch", "moe_combine"])
def test_more_tokens_take_longer_and_more_sms_never_do(kind: str) -> None:
    copies = Copies(top_k=8, experts=256, token_bytes=7392)
    times = [_exchange(kind, "normal", 16, 2.0**power, copies).transfer_s for power in range(15)]
    assert all(less < more for less, more in pairwise(times))
    by_sms = [_exchange(kind, "normal", 16, 4096, copies, sms).transfer_s for sms in (8, 16, 24, 48, 96)]
    assert all(less >= more for less, more in pairwise(by_sms))
    assert by_sms[0] > by_sms[-1]


def test_an_algorithm_without_constants_has_no_measured_time() -> None:
    cluster = load_cluster("dgx-h100", 8)
    assert timing("all_gather", "direct", tuple(range(8)), 1e6, cluster, "bf16") is None
    assert timing("all_to_all", "pairwise", tuple(range(8)), 1e6, cluster, "bf16") is None


@pytest.mark.parametrize("gpus", range(2, 9))
@pytest.mark.parametrize("dtype", ["bf16", "fp16", "fp32", "fp8", "int8"])
def test_switches_add_three_types_from_five_gpus(gpus: int, dtype: str) -> None:
    cluster = load_cluster("dgx-h100", 8)
    found = timing("all_reduce", "in-switch", tuple(range(gpus)), 2.0**26, cluster, dtype)
    assert (found is not None) == (gpus >= 5 and dtype in ("bf16", "fp16", "fp32"))


def _cluster_of(library: str) -> Cluster:
    return load_cluster("gb200-nvl72" if library == "gb200" else f"dgx-{library}", 8)


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_library_says_where_it_comes_from_and_knows_the_kinds(library: str) -> None:
    constants = _cluster_of(library).library
    assert constants is not None
    assert len(constants.source) > 40
    kinds = {kind for kind, _ in constants.protocols}
    assert {"all_reduce", "all_gather", "reduce_scatter", "all_to_all", "broadcast", "send_recv"} <= kinds
    for protocols in constants.protocols.values():
        assert all(0 <= one.floor_s < 1e-3 and 0 < one.preference <= 1 for one in protocols)
