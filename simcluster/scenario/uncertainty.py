"""What is uncertain about a cluster: factors around its efficiencies and latencies, and the cluster of one draw.

A factor f says that the true value lies between value / f and value x f, log-uniform; an efficiency never passes 1.
The mean absolute error of such a value is ln(f) / 2, so a mean error of e is a factor of exp(2 e).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import exp
from statistics import fmean
from typing import Annotated

from pydantic import Field

from simcluster.cluster.cluster import Cluster
from simcluster.cluster.link import paced
from simcluster.gpu.pace import Pace
from simcluster.gpu.profile import Profile, kind
from simcluster.scenario.forms import Form
from simcluster.scenario.scenario import Scenario

WIDEST = 10
"""The largest factor: a hundredfold range says nothing any more."""

Factor = Annotated[float, Field(ge=1, le=WIDEST)]


class UncertaintyForm(Form):
    """How far inputs may be off: a factor f says that the true value lies between value / f and value x f; 1 means
    certain, what is left out has its hardware's default."""

    compute_efficiency: Factor | None = Field(
        None, description="Factor around the speed of kernels bound by computing."
    )
    memory_efficiency: Factor | None = Field(None, description="Factor around the speed of kernels bound by memory.")
    launch_overhead: Factor | None = Field(None, description="Factor around the least time of a kernel.")
    nvlink_efficiency: Factor | None = Field(None, description="Factor around NVLink's efficiency.")
    nvlink_latency: Factor | None = Field(None, description="Factor around NVLink's latency.")
    pcie_efficiency: Factor | None = Field(None, description="Factor around PCIe's efficiency.")
    pcie_latency: Factor | None = Field(None, description="Factor around PCIe's latency.")
    infiniband_efficiency: Factor | None = Field(None, description="Factor around the network's efficiency.")
    infiniband_latency: Factor | None = Field(None, description="Factor around the network's latency.")


NAMES = tuple(UncertaintyForm.model_fields)
"""Every uncertain input, in the order of its column among random numbers."""

Default = tuple[float, str]
"""A factor and the reason for it."""

DISAGREEMENT = 0.04
"""Two frameworks' times of the same bf16 GEMM differ by 3 to 5 % (measured, aiconfigurator-core 0.12.0): a table's
kernels may not be those that a user runs."""

COMPUTE_KINDS, MEMORY_KINDS = ("gemm", "attention_prefill", "mla_prefill", "moe"), ("attention_decode", "mla_decode")

_DATASHEET: Mapping[str, Default] = {
    "compute_efficiency": (1.25, "best GEMMs of measured GPUs reach 0.64 to 0.93 of their peak (nvfp4: 0.51)"),
    "memory_efficiency": (1.1, "decode attention reaches 0.82 to 0.84 of HBM, small transfers less"),
    "launch_overhead": (2.0, "lowest kernel times measured: 2 to 2.7 us, 4.7 us for block-scaled fp8"),
}

_ASSUMED: Mapping[str, Default] = {
    "nvlink_efficiency": (1.15, "measured: all-to-all reaches 0.70 of NVLink, rings and lone links 0.80 to 0.82"),
    "nvlink_latency": (2.0, "rounds of NCCL's protocols on an H100 take 0.8 to 5.9 us"),
    "pcie_efficiency": (1.15, "assumed to be as uncertain as NVLink's"),
    "pcie_latency": (2.0, "assumed to be as uncertain as NVLink's"),
    "infiniband_efficiency": (1.15, "measured: 0.80 (EFA), 0.92 (all-to-all) and 0.976 (rings) of the NICs"),
    "infiniband_latency": (2.0, "rounds of NCCL's protocols over NICs take 4 to 9 us, 20 to 60 us on EFA"),
}

_LIBRARY: Mapping[str, Default] = {
    "nvlink_efficiency": (1.1, "collectives of one node, `simcluster validate`: mean error 3 to 5 %"),
    "nvlink_latency": (1.1, "collectives of one node, `simcluster validate`: mean error 3 to 5 %"),
    "infiniband_efficiency": (1.1, "collectives of several nodes, `simcluster validate`: mean error 2 to 5 %"),
    "infiniband_latency": (1.1, "collectives of several nodes, `simcluster validate`: mean error 2 to 5 %"),
}

_EFA: Default = (1.2, "collectives of several nodes on EFA, `simcluster validate`: mean error 7 to 11 %")


def defaults(cluster: Cluster) -> dict[str, Default]:
    """The factor of every input the cluster has: narrow where it was measured, wide where it is a datasheet's."""
    profile, library, tiers = cluster.gpu.profile, cluster.library, _tiers(cluster)
    found = dict(_DATASHEET)
    if profile is not None:
        found["compute_efficiency"] = _of_tables(profile, COMPUTE_KINDS)
        found["memory_efficiency"] = _of_tables(profile, MEMORY_KINDS)
        found["launch_overhead"] = (1.25, "assumed: floors of measured tables, on another host and framework")
    for name, default in _ASSUMED.items():
        tier = name.partition("_")[0]
        if tier in tiers:
            found[name] = default if library is None else _LIBRARY.get(name, default)
            if library is not None and library.network == "efa" and tier == "infiniband":
                found[name] = _EFA
    return found


def _of_tables(profile: Profile, kinds: tuple[str, ...]) -> Default:
    """From the mean error on rows that were kept back while the tables of these kinds were made."""
    errors = [table.error for name, table in profile.tables.items() if kind(name) in kinds and table.error is not None]
    mean = fmean(errors) if errors else 0.0
    reason = f"mean error of measured tables {100 * mean:.1f} %, and {100 * DISAGREEMENT:.0f} % between frameworks"
    return min(float(WIDEST), round(exp(2 * (mean + DISAGREEMENT)), 3)), reason


def _tiers(cluster: Cluster) -> tuple[str, ...]:
    tiers = {"nvlink": cluster.nvlink, "pcie": cluster.pcie, "infiniband": cluster.infiniband}
    return tuple(name for name, tier in tiers.items() if tier is not None)


def mistakes(form: UncertaintyForm, cluster: Cluster) -> Iterator[tuple[str, str]]:
    """Factors of wires that the cluster lacks."""
    known = defaults(cluster)
    for name in form.model_dump(exclude_none=True):
        if name not in known:
            tier = name.partition("_")[0]
            yield f"uncertainty.{name}", f"has no effect: the cluster has no {tier}; leave it out"


def ranges(form: UncertaintyForm | None, cluster: Cluster) -> dict[str, float]:
    """Every input's factor, as written or by default."""
    written = {} if form is None else form.model_dump(exclude_none=True)
    return {name: written.get(name, default) for name, (default, _) in defaults(cluster).items()}


def source(name: str, factor: float, cluster: Cluster) -> str:
    """Why an input's factor is what it is."""
    default, reason = defaults(cluster)[name]
    return reason if factor == default else "the scenario's"


def drawn(scenario: Scenario, factors: Mapping[str, float]) -> Scenario:
    """The scenario on hardware whose inputs are `factors` times what they were, its expectations left out.

    Datasheet and measured kernels take the same factors, and so do links and the measured constants of a library.
    """
    cluster = scenario.cluster
    pace = Pace(
        compute=factors.get("compute_efficiency", 1.0),
        memory=factors.get("memory_efficiency", 1.0),
        launch=factors.get("launch_overhead", 1.0),
    )
    nvlink, pcie, infiniband, library = cluster.nvlink, cluster.pcie, cluster.infiniband, cluster.library
    near, edge, far = (
        (factors.get(f"{tier}_efficiency", 1.0), factors.get(f"{tier}_latency", 1.0))
        for tier in ("nvlink", "pcie", "infiniband")
    )
    changed = replace(
        cluster,
        gpu=replace(cluster.gpu, pace=pace),
        nvlink=None if nvlink is None else paced(nvlink, *near),
        pcie=None if pcie is None else paced(pcie, *edge),
        infiniband=None if infiniband is None else paced(infiniband, *far),
        library=None if library is None else library.paced(near, far),
    )
    return replace(scenario, cluster=changed, expect=())
