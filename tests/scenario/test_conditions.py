"""Faults, background traffic, routing and sharing: what they do to a collective's time, by closed forms.

Two nodes of four GPUs, NVLink of 450 GB/s and a NIC of 50 GB/s a GPU, nothing lost and no latency.  In an all-to-all of
S bytes a rank, half of it leaves the node: S/2 through its NIC.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.edge_helpers import SMALL, Outcome, changed, no_longer_than, scenario_file, simcluster
from tests.physics_helpers import IDEAL

S = 64e6
NVLINK, NIC = 450e9, 50e9
WIRES = [part for setting in IDEAL if "gpu" not in setting for part in ("--set", setting)]
BUSY = "cluster.background=[{{from: node0, to: node1, bandwidth: {0}}}, {{from: node1, to: node0, bandwidth: {0}}}]"
KINDS = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "broadcast", "send_recv")
CUT_OFF = "faults=[{link: [node0.gpu1, node0.nvswitch], factor: 0}]"
ALONE = "faults=[" + ", ".join(f"{{nic: node1.nic{nic}, factor: 0}}" for nic in range(4)) + "]"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return scenario_file(tmp_path)


def _collective(path: Path | str, kind: str, *settings: str, gpus: int = 8, ideal: bool = True) -> Outcome:
    chosen = [part for setting in settings for part in ("--set", setting)]
    wires = WIRES if ideal else []
    with no_longer_than(20):
        return simcluster("collective", kind, "--cluster", path, "--gpus", gpus, "--bytes", "64 MB", "--json", *wires,
                          *chosen)  # fmt: skip


def _seconds(path: Path | str, kind: str, *settings: str, gpus: int = 8, ideal: bool = True) -> float:
    outcome = _collective(path, kind, *settings, gpus=gpus, ideal=ideal)
    assert outcome.code == 0, outcome.err
    (row,) = outcome.json()["rows"]
    return float(row["time_s"])


def test_the_whole_cluster_keeps_its_closed_forms(path: Path) -> None:
    assert _seconds(path, "all_to_all") == pytest.approx(S / 2 / NIC, rel=1e-9)
    assert _seconds(path, "all_reduce") == pytest.approx(2 * 7 / 8 * S / (4 * NIC), rel=1e-9)


def test_the_gpu_of_a_dead_nic_uses_its_neighbours(path: Path) -> None:
    """So one NIC carries twice as much, and of the four rails of a ring two carry all."""
    dead = "faults=[{nic: node0.nic1, factor: 0}]"
    assert _seconds(path, "all_to_all", dead) == pytest.approx(2 * S / 2 / NIC, rel=1e-9)
    assert _seconds(path, "all_reduce", dead) == pytest.approx(2 * 7 / 8 * S / (2 * NIC), rel=1e-9)


@pytest.mark.parametrize("factor", [0.5, 0.25, 0.9])
@pytest.mark.parametrize("place", ["nic: node0.nic1", "link: [node0.nic1, leaf0.1]", "link: [leaf0.1, node0.nic1]"])
def test_a_slow_nic_stretches_the_whole_by_what_it_lost(place: str, factor: float, path: Path) -> None:
    slow = f"faults=[{{{place}, factor: {factor}}}]"
    assert _seconds(path, "all_to_all", slow) == pytest.approx(S / 2 / NIC / factor, rel=1e-9)


def test_a_slow_nvlink_stretches_what_stays_inside(path: Path) -> None:
    slow = "faults=[{link: [node0.gpu1, node0.nvswitch], factor: 0.5}]"
    assert _seconds(path, "all_reduce", slow, gpus=4) == pytest.approx(2 * 3 / 4 * S / (NVLINK / 2), rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_faults_where_nobody_sends_change_nothing(kind: str, path: Path) -> None:
    elsewhere = "faults=[{nic: node0.nic1, factor: 0}, {nic: node1.nic2, factor: 0.1}]"
    assert _seconds(path, kind, elsewhere, gpus=4) == _seconds(path, kind, gpus=4)


@pytest.mark.parametrize("gigabytes", [10, 40, 100])
def test_background_takes_its_rate_off_every_nic(gigabytes: int, path: Path) -> None:
    """Spread over the node's four NICs."""
    left = NIC - gigabytes * 1e9 / 4
    busy = BUSY.format(f"{gigabytes} GB/s")
    assert _seconds(path, "all_to_all", busy) == pytest.approx(S / 2 / left, rel=1e-9)
    assert _seconds(path, "all_reduce", busy) == pytest.approx(2 * 7 / 8 * S / (4 * left), rel=1e-9)


def test_background_without_end_leaves_a_fair_half(path: Path) -> None:
    assert _seconds(path, "all_to_all", BUSY.format("4000 GB/s")) == pytest.approx(2 * S / 2 / NIC, rel=1e-9)


def test_background_one_way_slows_the_one_way(path: Path) -> None:
    busy = "cluster.background=[{from: node1, to: node0, bandwidth: 80 GB/s}]"
    assert _seconds(path, "all_to_all", busy) == pytest.approx(S / 2 / (NIC - 20e9), rel=1e-9)


def test_background_inside_a_node_leaves_the_nics_alone(path: Path) -> None:
    busy = "cluster.background=[{from: node0, to: node0, bandwidth: 100 GB/s}]"
    assert _seconds(path, "all_to_all", busy) == _seconds(path, "all_to_all")


@pytest.mark.parametrize("kind", KINDS)
def test_a_lone_uniform_collective_takes_as_long_with_either_sharing(kind: str, path: Path) -> None:
    assert _seconds(path, kind, "cluster.sharing=flow") == pytest.approx(_seconds(path, kind), rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("gpus", [8, 16])
def test_sharing_leaves_measured_times_alone(kind: str, gpus: int) -> None:
    one, each = (_seconds("dgx-h100", kind, f"cluster.sharing={sharing}", gpus=gpus, ideal=False)
                 for sharing in ("activity", "flow"))  # fmt: skip
    assert each == pytest.approx(one, rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_hashed_routing_through_one_switch_changes_nothing(kind: str, path: Path) -> None:
    switch = "cluster.infiniband.fabric=single-switch"
    for seed in (1, 99):
        assert _seconds(path, kind, switch, f"cluster.routing.seed={seed}") == _seconds(path, kind, switch)


def test_rail_forwarding_keeps_an_all_to_all_off_the_spines(path: Path) -> None:
    """With a quarter of the bandwidth upwards, three quarters of what leaves a node cross the spines, unless NVLink
    takes it to its rail first."""
    narrow = ("cluster.infiniband.oversubscription=4",)
    assert _seconds(path, "all_to_all", *narrow) == pytest.approx(3 / 4 * S / 2 / (NIC / 4), rel=1e-9)
    forwarded = _seconds(path, "all_to_all", *narrow, "cluster.routing.rail_forwarding=true")
    assert forwarded == pytest.approx(S / 2 / NIC, rel=1e-9)


def test_pcie_without_nvlink_shares_its_nic(tmp_path: Path) -> None:
    """Four GPUs, one NIC: four times S/2; two GPUs of a node talk at PCIe's pace."""
    text = changed(
        ("  nvlink: {bandwidth: 450 GB/s, latency: 1 us}", "  pcie: {bandwidth: 64 GB/s, efficiency: 1}"),
        ("{bandwidth: 400 Gbit/s, latency: 3 us}", "{bandwidth: 400 Gbit/s, nics_per_node: 1, efficiency: 1}"),
    )
    path = scenario_file(tmp_path, text)
    assert _seconds(path, "all_to_all", ideal=False) == pytest.approx(4 * S / 2 / NIC, rel=1e-9)
    assert _seconds(path, "all_reduce", ideal=False) == pytest.approx(2 * 7 / 8 * S / NIC, rel=1e-9)
    assert _seconds(path, "send_recv", gpus=2, ideal=False) == pytest.approx(S / 64e9, rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_a_rack_of_72_needs_no_nic(kind: str) -> None:
    slow = "faults=[" + ", ".join(f"{{nic: node{node}.nic0, factor: 0.01}}" for node in range(18)) + "]"
    whole = _seconds("gb200-nvl72", kind, gpus=72, ideal=False)
    assert _seconds("gb200-nvl72", kind, slow, gpus=72, ideal=False) == whole
    beyond = _seconds("gb200-nvl72", kind, gpus=76, ideal=False)
    assert _seconds("gb200-nvl72", kind, slow, gpus=76, ideal=False) > beyond


def test_a_rack_of_72_sends_nothing_over_infiniband(tmp_path: Path) -> None:
    start, end = SMALL.index("cluster:"), SMALL.index("model:")
    text = SMALL[:start] + "cluster: gb200-nvl72\n" + SMALL[end:]
    edits = ("plan: EP4_TP2_PP1", "plan: EP36_TP2_PP1"), ("experts: 8", "experts: 36"), ("batch: 8", "batch: 36")
    text = changed(*edits, text=text)
    document = simcluster("run", scenario_file(tmp_path, text), "--json").json()
    assert document["gpus"] == 72
    assert document["traffic"]["infiniband"] == 0
    assert document["traffic"]["nvlink"] > 0
    assert all(link["bytes"] == 0 for link in document["links"] if link["kind"] != "nvlink")


def test_measured_times_follow_a_nic_that_lost_half_its_bandwidth() -> None:
    whole = _seconds("dgx-h100", "all_to_all", gpus=16, ideal=False)
    slow = _seconds("dgx-h100", "all_to_all", "faults=[{nic: node0.nic1, factor: 0.5}]", gpus=16, ideal=False)
    assert slow > 64e6 / 2 / (0.98 * NIC / 2)
    assert 1.3 < slow / whole < 2.1


# ------------------------------------------------------------------------------------------- what can never complete


@pytest.mark.parametrize("source", ["the scenario", "dgx-h100"])
def test_a_dead_nvlink_is_told_with_the_ranks_that_wait(source: str, path: Path) -> None:
    outcome = _collective(path if source == "the scenario" else source, "all_reduce", CUT_OFF, gpus=4)
    assert (outcome.code, outcome.out) == (2, "")
    for word in ("all_reduce can never complete", "its NVLink is gone", "dead: node0.gpu1–node0.nvswitch", "wait"):
        assert word in outcome.err


def test_a_node_without_nics_is_told_with_what_is_gone(path: Path) -> None:
    outcome = _collective(path, "all_to_all", ALONE)
    assert (outcome.code, outcome.out) == (2, "")
    for word in ("can never complete", "no NIC of its node is left", "node1.nic3", "8 in all", "wait"):
        assert word in outcome.err


def test_a_dead_trunk_is_told_with_the_switches_it_parts(path: Path) -> None:
    fabric = ("cluster.infiniband.fabric=leaf-spine", "cluster.infiniband.leaf_ports=8")
    outcome = _collective(path, "all_to_all", *fabric, "faults=[{link: [leaf0, spine0], factor: 0}]")
    assert outcome.code == 2
    assert "no cables lead from leaf" in outcome.err
    assert "leaf0–spine0" in outcome.err


def test_background_that_is_cut_off_is_told_as_background(path: Path) -> None:
    """Even where the collective itself needs no dead wire."""
    outcome = _collective(path, "all_reduce", ALONE, BUSY.format("1 GB/s"), gpus=4)
    assert (outcome.code, outcome.out) == (2, ""), outcome.err
    assert "background" in outcome.err


@pytest.mark.parametrize("fault", [CUT_OFF, ALONE])
def test_a_run_that_can_never_complete_is_told_with_its_operation(fault: str, path: Path) -> None:
    with no_longer_than(20):
        outcome = simcluster("run", path, "--set", fault)
    assert (outcome.code, outcome.out) == (2, "")
    for word in ("faults", "can never complete", "dead:", "wait"):
        assert word in outcome.err


def test_a_group_that_needs_no_dead_wire_runs_on(path: Path) -> None:
    assert _seconds(path, "all_reduce", ALONE, gpus=4) == _seconds(path, "all_reduce", gpus=4)


# ------------------------------------------------------------------------------------------------------- bad input

INFINIBAND = "  infiniband: {bandwidth: 400 Gbit/s, latency: 3 us}"
PLAN = "plan: EP4_TP2_PP1"
NONSENSE = {
    "faults as a mapping": ((PLAN, f"faults: {{nic: node0.nic0, factor: 0}}\n{PLAN}"), "faults", "list"),
    "faults as a number": ((PLAN, f"faults: 3\n{PLAN}"), "faults", "list"),
    "a fault as a number": ((PLAN, f"faults: [3]\n{PLAN}"), "faults.0", "link, nic, gpu, node, jitter, factor, seed"),
    "an empty fault": ((PLAN, f"faults: [{{}}]\n{PLAN}"), "faults.0.factor", "missing"),
    "one end": ((PLAN, f"faults: [{{link: [node0.nic0], factor: 0}}]\n{PLAN}"), "faults.0.link", ""),
    "three ends": ((PLAN, f"faults: [{{link: [a, b, c], factor: 0}}]\n{PLAN}"), "faults.0.link", ""),
    "no ends": ((PLAN, f"faults: [{{link: [], factor: 0}}]\n{PLAN}"), "faults.0.link", ""),
    "a link as text": ((PLAN, f"faults: [{{link: node0.nic0, factor: 0}}]\n{PLAN}"), "faults.0.link", "list"),
    "NaN left": ((PLAN, f"faults: [{{nic: node0.nic0, factor: .nan}}]\n{PLAN}"), "faults.0.factor", "finite"),
    "background as a mapping": (
        (INFINIBAND, f"{INFINIBAND}\n  background: {{from: node0, to: node1, bandwidth: 1 GB/s}}"),
        "cluster.background",
        "list",
    ),
    "background from nobody": (
        (INFINIBAND, f"{INFINIBAND}\n  background: [{{from: [], to: node1, bandwidth: 1 GB/s}}]"),
        "cluster.background.0.from",
        "nobody",
    ),
    "background to nobody": (
        (INFINIBAND, f"{INFINIBAND}\n  background: [{{from: all, to: [], bandwidth: 1 GB/s}}]"),
        "cluster.background.0.to",
        "nobody",
    ),
    "background from a number": (
        (INFINIBAND, f"{INFINIBAND}\n  background: [{{from: 3, to: node1, bandwidth: 1 GB/s}}]"),
        "cluster.background.0.from",
        "text",
    ),
    "background of a superscript": (
        (INFINIBAND, f"{INFINIBAND}\n  background: [{{from: node², to: node1, bandwidth: 1 GB/s}}]"),
        "cluster.background.0.from",
        "node0 … node1",
    ),
    "routing as a list": ((INFINIBAND, f"{INFINIBAND}\n  routing: []"), "cluster.routing", "seed, rail_forwarding"),
    "a seed past 63 bits": ((INFINIBAND, f"{INFINIBAND}\n  routing: {{seed: {2**63}}}"), "cluster.routing.seed", ""),
    "algorithms as a list": ((INFINIBAND, f"{INFINIBAND}\n  algorithms: []"), "cluster.algorithms", "mapping"),
}


@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense_is_refused_with_its_key(what: str, tmp_path: Path) -> None:
    edit, key, fits = NONSENSE[what]
    with no_longer_than(20):
        outcome = simcluster("run", scenario_file(tmp_path, changed(edit)))
    assert (outcome.code, outcome.out) == (2, ""), outcome.err
    assert "Traceback" not in outcome.err
    assert f": {key}: " in outcome.err
    assert fits in outcome.err


def test_every_wrong_fault_and_stream_is_told_at_once(tmp_path: Path) -> None:
    faults = "faults: [{nic: node0.nic9, factor: 0}, {link: [node0.nic0, leaf0.1], factor: 0}, {nic: q, factor: 0}]"
    text = changed(
        (PLAN, f"{faults}\n{PLAN}"),
        (INFINIBAND, f"{INFINIBAND}\n  background: [{{from: node7, to: node8, bandwidth: 1 GB/s}}]"),
    )
    outcome = simcluster("run", scenario_file(tmp_path, text))
    assert outcome.code == 2
    told = outcome.err.splitlines()
    assert len(told) == 5
    for word in ("faults.0", "faults.1", "faults.2", "background.0.from", "background.0.to"):
        assert sum(f"{word}: " in line for line in told) == 1


def test_a_nic_of_a_lone_node_is_refused(path: Path) -> None:
    outcome = simcluster("run", path, "--set", "cluster.nodes=1", "--set", "plan=EP2_TP2_PP1", "--set",
                         "faults=[{nic: node0.nic0, factor: 0}]")  # fmt: skip
    assert outcome.code == 2
    assert "node0.nic0" in outcome.err


@pytest.mark.parametrize("line", ["faults: []", "faults:"])
def test_an_empty_list_of_faults_is_none(line: str, tmp_path: Path) -> None:
    mine = simcluster("run", scenario_file(tmp_path, changed((PLAN, f"{line}\n{PLAN}"))), "--json")
    assert mine.code == 0
    assert mine.out == simcluster("run", scenario_file(tmp_path, name="plain.yaml"), "--json").out
