"""What the catalogue holds, as tables of key numbers with their sources."""

from __future__ import annotations

from collections.abc import Mapping

from simcluster.gpu import profile_file
from simcluster.model import parameters
from simcluster.scenario import build, catalogue, library, network
from simcluster.scenario.document import Value
from simcluster.scenario.hardware import ClusterForm, GpuForm
from simcluster.scenario.schema import ModelForm
from simcluster.timeline.table import Cell, Column, Table

KINDS: dict[str, str] = {
    "gpu": "GPUs (dense peaks)",
    "cluster": "Clusters (per GPU, per NIC and direction)",
    "model": "Models",
    "library": "Communication libraries",
    "profile": "Profiles of measured kernels",
}
"""Kinds of entries, and what a table of each is called."""

Row = Mapping[str, Cell]


def names(kind: str) -> tuple[str, ...]:
    """The entries of a kind."""
    match kind:
        case "gpu" | "cluster" | "model":
            return catalogue.names(kind)
        case "library":
            return library.names()
        case _:
            return profile_file.names()


def shelf(kind: str) -> Table:
    """Every entry of a kind with its key numbers, in SI units, and its source."""
    columns, row = {
        "gpu": (_GPU, _gpu),
        "cluster": (_CLUSTER, _cluster),
        "model": (_MODEL, _model),
        "library": (_LIBRARY, _library),
        "profile": (_PROFILE, _profile),
    }[kind]
    return Table(title=KINDS[kind], columns=columns, rows=tuple(row(name) for name in names(kind)), swept=())


_NAME, _SOURCE = Column(name="name"), Column(name="source")

_GPU = (
    _NAME,
    Column(name="memory", measure="bytes"),
    Column(name="memory_bandwidth", measure="bytes/s"),
    Column(name="peak_bf16", measure="FLOP/s"),
    Column(name="peak_fp8", measure="FLOP/s"),
    Column(name="power", measure="watts"),
    Column(name="profile"),
    _SOURCE,
)


def _gpu(name: str) -> Row:
    form = GpuForm.model_validate(catalogue.look_up("gpu", name))
    return {
        "name": name,
        "memory": form.memory,
        "memory_bandwidth": form.memory_bandwidth,
        "peak_bf16": form.peak.get("bf16"),
        "peak_fp8": form.peak.get("fp8"),
        "power": None if form.power is None else form.power.busy,
        "profile": form.profile,
        "source": form.source,
    }


_CLUSTER = (
    _NAME,
    Column(name="gpus_per_node", measure="count"),
    Column(name="gpu"),
    Column(name="nvlink", measure="bytes/s"),
    Column(name="nvlink_domain", measure="count"),
    Column(name="infiniband", measure="bytes/s"),
    Column(name="nics_per_node", measure="count"),
    Column(name="fabric"),
    Column(name="library"),
    _SOURCE,
)


def _cluster(name: str) -> Row:
    form = ClusterForm.model_validate(catalogue.look_up("cluster", name))
    whole = network.cluster(form, form.nodes or 1)
    nvlink, infiniband = whole.nvlink, whole.infiniband
    links = [link.source for link in (nvlink, infiniband) if link is not None]
    return {
        "name": name,
        "gpus_per_node": whole.gpus_per_node,
        "gpu": whole.gpu.name,
        "nvlink": None if nvlink is None else nvlink.bytes_per_s,
        "nvlink_domain": None if nvlink is None else nvlink.domain_gpus or whole.gpus_per_node,
        "infiniband": None if infiniband is None else infiniband.bytes_per_s,
        "nics_per_node": None if infiniband is None else infiniband.nics_per_node,
        "fabric": None if infiniband is None else infiniband.fabric,
        "library": form.library,
        "source": " | ".join(dict.fromkeys(links)),
    }


_MODEL = (
    _NAME,
    Column(name="parameters", measure="number"),
    Column(name="active", measure="number"),
    Column(name="layers", measure="count"),
    Column(name="hidden", measure="count"),
    Column(name="heads", measure="count"),
    Column(name="kv_heads"),
    Column(name="experts"),
    Column(name="weights"),
    _SOURCE,
)


def _model(name: str) -> Row:
    tree = catalogue.look_up("model", name)
    form = ModelForm.model_validate(tree)
    model = build.model(form)
    moe = form.moe
    return {
        "name": name,
        "parameters": parameters.total(model),
        "active": parameters.active(model),
        "layers": form.layers,
        "hidden": form.hidden,
        "heads": form.heads,
        "kv_heads": "latent" if form.latent is not None else str(form.kv_heads or form.heads),
        "experts": "" if moe is None else f"{moe.top_k} of {moe.experts}",
        "weights": form.precision.expert_weights or form.precision.weights,
        "source": _first_comment("model", name),
    }


def _first_comment(section: catalogue.Section, name: str) -> str:
    """The comment that opens a file: where its numbers are from."""
    lines = []
    for line in catalogue.text(section, name).splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# "))
    return " ".join(lines)


_LIBRARY = (_NAME, Column(name="network"), Column(name="kinds_of_collectives", measure="count"), _SOURCE)


def _library(name: str) -> Row:
    found = library.library(name)
    kinds = {kind for kind, _ in (*found.protocols, *found.exchanges)}
    return {"name": name, "network": found.network, "kinds_of_collectives": len(kinds), "source": found.source}


_PROFILE = (_NAME, Column(name="gpu"), Column(name="tables", measure="count"), Column(name="kernels"), _SOURCE)


def _profile(name: str) -> Row:
    found = profile_file.load(name)
    kernels = sorted({table.partition("/")[0].partition("-")[0] for table in found.tables})
    return {
        "name": name,
        "gpu": found.gpu,
        "tables": len(found.tables),
        "kernels": ", ".join(kernels),
        "source": found.source,
    }


def written(kind: str, name: str) -> str:
    """One entry as YAML that may be pasted: a GPU under `cluster:`, a cluster or a model at the top of a scenario."""
    match kind:
        case "gpu" | "cluster" | "model":
            lines = catalogue.text(kind, name).rstrip().splitlines()
            opening = next(index for index, line in enumerate(lines) if not line.startswith("#"))
            body = [f"  {line}".rstrip() for line in lines[opening:]]
            return "\n".join([*lines[:opening], f"{kind}:", *body])
        case "library":
            return catalogue.text("library", name.removesuffix(library.EFA)).rstrip()
        case _:
            return "\n".join(_profile_lines(name))


def _profile_lines(name: str) -> list[str]:
    found = profile_file.load(name)
    head = [f"# {found.source}", "# cluster.gpu.profile names it; its tables and their mean errors on rows kept back:"]
    return [
        *head,
        f"profile: {name}",
        "tables:",
        *(f"  {key}: {_error(one.error)}" for key, one in found.tables.items()),
    ]


def _error(error: float | None) -> str:
    return "null" if error is None else f"{error:.4f}"


def plain(kind: str, name: str) -> Value:
    """One entry as plain values with units in the text, for scripts."""
    match kind:
        case "gpu" | "cluster" | "model":
            return catalogue.look_up(kind, name)
        case "library":
            return catalogue.look_up("library", name.removesuffix(library.EFA))
        case _:
            found = profile_file.load(name)
            tables: dict[str, Value] = {key: one.error for key, one in found.tables.items()}
            return {"name": name, "gpu": found.gpu, "source": found.source, "tables": tables}
