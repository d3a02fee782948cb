"""Which algorithm a collective takes, and that its time is the library's unless the wires are slower."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from simcluster.cluster.routes import Routes
from simcluster.program.program import ALGORITHMS, Collective, CollectiveKind, Copies
from simcluster.scenario.cluster_section import load_cluster
from simcluster.traffic.pricing import Pricing
from simcluster.traffic.timing import timing
from simcluster.traffic.traffic import Traffic, routed
from tests.physics_helpers import NIC, NVLINK, ideal_cluster, traffic

MIB = 2.0**20
COPIES = Copies(top_k=8, experts=256, token_bytes=7392.0)


def _on(routes: Routes) -> Pricing:
    """Pricing on these routes."""
    return Pricing(routes.cluster, lambda shape, group: routed(shape, group, routes))


@cache
def _pricing(name: str, gpus: int) -> Pricing:
    return _on(Routes(load_cluster(name, gpus)))


def _priced(kind: CollectiveKind, gpus: int, size: float, algorithm: str = "auto", *, dtype: str = "bf16",
            cluster: str = "dgx-h100") -> Traffic:  # fmt: skip
    return _pricing(cluster, gpus).traffic(kind, tuple(range(gpus)), size, dtype, algorithm)


@pytest.mark.parametrize("kind", ALGORITHMS)
@pytest.mark.parametrize("gpus", [2, 8, 16])
def test_a_measured_collective_alone_takes_its_measured_time(kind: CollectiveKind, gpus: int) -> None:
    """Unless the wires, at their own efficiency, are slower than the constants say: never faster, at most 3 % off."""
    cluster = load_cluster("dgx-h100", gpus)
    for size in (1.0, MIB, 64 * MIB, 1024 * MIB):
        load = _priced(kind, gpus, size)
        algorithm, _, protocol = load.algorithm.partition("/")
        found = timing(kind, algorithm, tuple(range(gpus)), size, cluster, "bf16")
        assert found is not None
        assert found.protocol == protocol
        measured_s = found.latency_s + found.transfer_s
        assert measured_s * (1 - 1e-9) <= load.alone_s(size) <= 1.03 * measured_s


def test_auto_takes_what_the_tuner_prefers() -> None:
    cluster = load_cluster("dgx-h100", 8)
    for size in (1024.0, 256 * 1024.0, MIB, 16 * MIB, 1024 * MIB):
        options = {}
        for algorithm in ("ring", "in-switch"):
            found = timing("all_reduce", algorithm, tuple(range(8)), size, cluster, "bf16")
            assert found is not None
            options[f"{algorithm}/{found.protocol}"] = found.preferred_s
        assert _priced("all_reduce", 8, size).algorithm == min(options, key=lambda name: options[name])


def test_protocols_follow_one_another_as_messages_grow() -> None:
    names = [_priced("all_gather", 8, 2.0**power).algorithm for power in range(6, 34)]
    order = list(dict.fromkeys(names))
    assert order[0] == "ring/ll"
    assert order[-1] in ("ring/simple", "ring/wide")
    assert len(order) >= 3
    assert [name for name, before in zip(names[1:], names[:-1], strict=True) if name != before] == order[1:]


@pytest.mark.parametrize("gpus", range(2, 9))
def test_switches_reduce_from_five_gpus(gpus: int) -> None:
    load = _priced("all_reduce", gpus, 1024 * MIB)
    assert load.algorithm.startswith("in-switch/") == (gpus >= 5)


@pytest.mark.parametrize(("dtype", "expected"), [("bf16", "in-switch"), ("fp16", "in-switch"), ("fp32", "in-switch"),
                                                 ("int8", "ring"), ("fp8", "ring")])  # fmt: skip
def test_switches_add_some_types_only(dtype: str, expected: str) -> None:
    assert _priced("all_reduce", 8, 1024 * MIB, dtype=dtype).algorithm.partition("/")[0] == expected


def test_a_machine_whose_switches_cannot_add_takes_rings() -> None:
    assert _priced("all_reduce", 8, 1024 * MIB, cluster="dgx-a100").algorithm.startswith("ring/")


@pytest.mark.parametrize("gpus", [8, 16])
@pytest.mark.parametrize("power", range(0, 34, 3))
def test_auto_leaves_the_kernels_of_inference_engines_out(gpus: int, power: int) -> None:
    assert _priced("all_reduce", gpus, 2.0**power).algorithm.partition("/")[0] not in ("one-shot", "two-shot")


def test_engines_kernels_are_there_when_asked_for() -> None:
    load = _priced("all_reduce", 8, 8192.0, "one-shot")
    assert load.algorithm.startswith("one-shot/")
    assert load.alone_s(8192.0) < _priced("all_reduce", 8, 8192.0).alone_s(8192.0)


def test_an_algorithm_without_constants_goes_at_the_wires_pace() -> None:
    load = _priced("all_gather", 8, 64 * MIB, "direct")
    assert load.algorithm == "direct"
    plain = traffic("all_gather", tuple(range(8)), Routes(load_cluster("dgx-h100", 8)), algorithm="direct")
    assert load.alone_s(64 * MIB) == pytest.approx(plain.alone_s(64 * MIB), rel=1e-12)


@pytest.mark.parametrize(("kind", "algorithm", "word"), [
    ("all_reduce", "in-switch", "one NVLink domain, not 2"),
    ("all_reduce", "in-network", "in_network_reduction: true"),
    ("all_to_all", "node-dedup", "top_k and experts"),
    ("all_to_all", "ring", "it has direct"),
    ("broadcast", "rong", "it has ring, tree"),
])  # fmt: skip
def test_what_a_group_cannot_use_is_refused(kind: CollectiveKind, algorithm: str, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        _priced(kind, 16, MIB, algorithm)


def test_the_cluster_chooses_for_the_operations_of_a_program() -> None:
    cluster = replace(load_cluster("dgx-h100", 8), algorithms={"all_reduce": "ring"})
    op = Collective(name="x", layer=0, kind="all_reduce", axis="tp", payload_bytes=1024 * MIB, after=(), live={})
    assert _on(Routes(cluster)).of(op, tuple(range(8)), op.payload_bytes).algorithm.startswith("ring/")
    assert _pricing("dgx-h100", 8).of(op, tuple(range(8)), op.payload_bytes).algorithm.startswith("in-switch/")


def test_more_tokens_of_an_exchange_take_longer() -> None:
    pricing, group = _pricing("dgx-h100", 16), tuple(range(16))
    for mode in ("normal", "low_latency"):
        for back in (False, True):
            payloads = [tokens * 8 * COPIES.token_bytes for tokens in (1, 64, 512, 4096)]
            times = [pricing.exchange(group, p, COPIES, mode, back=back).alone_s(p) for p in payloads]
            assert times == sorted(times)
            assert len(set(times)) == 4


def test_dispatch_crosses_the_network_once_a_node() -> None:
    """So it sends less over InfiniBand than one copy per expert does."""
    pricing, group = _pricing("dgx-h100", 16), tuple(range(16))
    payload = 4096 * 8 * COPIES.token_bytes
    once = pricing.exchange(group, payload, COPIES, "normal", back=False)
    direct = pricing.exchange(group, payload, COPIES, "low_latency", back=False)
    assert once.infiniband_share < 0.3 * direct.infiniband_share


# --------------------------------------------------------------------------------------------- without a library


@pytest.mark.parametrize("nodes", [1, 2, 4])
@pytest.mark.parametrize("size", [1.0, MIB, 2.0**34])
def test_written_out_hardware_rings_and_sends_directly(nodes: int, size: float) -> None:
    """Eight GPUs a node: a ring per rail, so an eighth of 2(n-1)/n of the buffer through each NIC."""
    pricing, n = _on(Routes(ideal_cluster(nodes, 8))), 8 * nodes
    group = tuple(range(n))
    ring = pricing.traffic("all_reduce", group, size)
    assert ring.algorithm == "ring"
    port_s = size / (8 * NIC) if nodes > 1 else size / NVLINK
    assert ring.alone_s(size) == pytest.approx(2 * (n - 1) / n * port_s, rel=1e-9)
    direct = pricing.traffic("all_to_all", group, size)
    assert direct.algorithm == "direct"
    direct_s = (n - 8) / n * size / NIC if nodes > 1 else 7 / 8 * size / NVLINK
    assert direct.alone_s(size) == pytest.approx(direct_s, rel=1e-9)


def test_written_out_hardware_pays_a_latency_a_round() -> None:
    cluster = ideal_cluster(2, 8, nvlink_latency_s=1e-6, infiniband_latency_s=4e-6)
    pricing, group = _on(Routes(cluster)), tuple(range(16))
    assert pricing.traffic("all_reduce", group, MIB).latency_s == pytest.approx(2 * 15 * 4e-6, rel=1e-9)
    assert pricing.traffic("all_to_all", group, MIB).latency_s == pytest.approx(4e-6, rel=1e-9)


def test_the_type_is_all_the_same_to_written_out_rings() -> None:
    pricing, group = _on(Routes(ideal_cluster(1, 8))), tuple(range(8))
    times = {pricing.traffic("all_reduce", group, MIB, dtype).alone_s(MIB) for dtype in ("bf16", "int8", "fp32")}
    assert len(times) == 1
