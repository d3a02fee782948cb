"""A commented starter scenario: every section explained, alternatives in comments, valid as it stands."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Sequence
from functools import cache
from typing import Any, Literal

from simcluster.errors import InputError, Mistake
from simcluster.plan.execution import PLACEMENT
from simcluster.scenario import build, catalogue, json_schema

Phase = Literal["prefill", "decode", "generate"]

WIDTH = 118
"""Characters of a line."""

COLUMN = 40
"""Where comments beside a value begin."""

_ABOUT = """\
A scenario of simcluster: one cluster, one model, one plan, one workload. Run it, then change a value and run again:
  simcluster run FILE                  latency, throughput, where the time goes, memory, what to change next
  simcluster run FILE --set cluster.nvlink.bandwidth='600 GB/s'   one value changed, any below, without editing
  simcluster check FILE                the claims under `expect`, each confirmed or refuted
  simcluster search FILE               every plan that can run on these GPUs, ranked
Every quantity has its unit: Gbit/s and GB/s differ by 8, GB and GiB by 7 %."""

_WORKLOADS: dict[Phase, str] = {
    "prefill": "{{phase: prefill, batch: {{per_gpu: {batch}}}, sequence: 2048}}",
    "decode": "{{phase: decode, batch: {{per_gpu: {batch}}}, context: 4096}}",
    "generate": "{{phase: generate, batch: {{per_gpu: {batch}}}, sequence: 1024, output: 128}}",
}
BATCH: dict[Phase, int] = {"prefill": 1, "decode": 8, "generate": 2}
"""Sequences for each GPU."""

_KEYS: dict[Phase, tuple[str, ...]] = {
    "prefill": ("sequence: 2048",),
    "decode": ("context: 4096",),
    "generate": ("sequence: 1024", "output: 128"),
}

_EXPECT: dict[Phase, tuple[str, ...]] = {
    "prefill": ("memory.fraction <= 1", "latency_s <= 10 s", "mfu >= 0.05"),
    "decode": ("memory.fraction <= 1", "latency_s <= 1 s"),
    "generate": ("memory.fraction <= 1", "ttft_s <= 10 s", "tpot_s <= 1 s"),
}


def starter(*, model: str, cluster: str, gpus: int, phase: Phase, plan: str) -> str:
    """The text of a scenario: `model` and `cluster` of the catalogue, that many GPUs, and a plan's name.

    InputError where the GPUs are no whole number of nodes; the plan is checked by whoever reads the text.
    """
    parts = (
        _comment(_ABOUT) + f"\nname: {model} {phase} on {gpus} GPUs",
        _cluster(cluster, gpus),
        _model(model),
        _plan(plan, gpus),
        _execution(),
        _workload(phase),
        _expect(phase),
        _more(),
    )
    return "\n\n".join(parts) + "\n"


def nodes_of(cluster: str, gpus: int) -> tuple[int, int]:
    """Nodes and GPUs of each; a part of one node, or whole nodes."""
    per_node = catalogue.look_up("cluster", cluster)["gpus_per_node"]
    assert isinstance(per_node, int)
    if gpus <= per_node:
        return 1, gpus
    if gpus % per_node:
        below = gpus // per_node * per_node
        what = f"{gpus} GPUs are no whole number of nodes of {per_node}; use {below} or {below + per_node}"
        raise InputError(Mistake(what=what, origin="--gpus"))
    return gpus // per_node, per_node


def gpus_for(plan: str, cluster: str) -> int:
    """Whole nodes for the GPUs that a plan's name asks for; InputError if it is none."""
    per_node = catalogue.look_up("cluster", cluster)["gpus_per_node"]
    assert isinstance(per_node, int)
    try:
        return -(-build.gpus_asked_for(plan, {}) // per_node) * per_node
    except ValueError as error:
        raise InputError(Mistake(what=str(error), origin="--plan")) from None


def _comment(text: str) -> str:
    return "\n".join(f"# {line}".rstrip() for line in text.split("\n"))


def _headed(text: str) -> str:
    return "\n".join(f"# {line}" for line in textwrap.wrap(text, WIDTH - 2))


def _said(line: str, form: str, key: str, choices: Sequence[str] = ()) -> str:
    """A line with what the schema says of its key beside it, or above where that is too long."""
    about = _about(form, key) + (f" ({', '.join(choices)})" if choices else "")
    if len(line) < COLUMN - 1 and COLUMN + 2 + len(about) <= WIDTH:
        return f"{line:<{COLUMN}}# {about}"
    hash_at = len(line) - len(line.lstrip())
    above = textwrap.wrap(about, WIDTH - hash_at - 2)
    return "\n".join([*(f"{' ' * hash_at}# {part}" for part in above), line])


@cache
def _schema() -> Any:
    return json_schema()


def _about(form: str, key: str) -> str:
    found: str = _schema()["$defs"][form]["properties"][key]["description"]
    return (found[0].lower() + found[1:] if not re.match(r"[A-Z]{2}|[A-Z]\w*[A-Z]", found) else found).removesuffix(".")


_FORMS = {"nvlink": "NvLink", "infiniband": "InfiniBand", "routing": "Routing"}


def _cluster(name: str, gpus: int) -> str:
    """The catalogue's file with its keys explained; sources are named, not repeated."""
    nodes, per_node = nodes_of(name, gpus)
    lines = ["cluster:", _said(f"  nodes: {nodes}", "Cluster", "nodes")]
    part, full = "", catalogue.look_up("cluster", name)["gpus_per_node"]
    for line in catalogue.text("cluster", name).splitlines():
        key = line.strip().partition(":")[0]
        if line.startswith("#"):
            continue
        if not line.startswith(" "):
            part = key
        if key == "gpus_per_node":
            line = f"gpus_per_node: {per_node}"
        if key == "nics_per_node" and per_node != full:
            line = f"  nics_per_node: {per_node}"
        if key == "source":
            line = f'  source: "as {name} of the catalogue has it"'
        form = "Cluster" if not line.startswith(" ") else _FORMS[part]
        lines.append(f"  {line}" if key == "source" else _said(f"  {line}", form, key))
    head = (
        f"The machine, here {name} of the catalogue written out, so that each value can be changed. In one word it is "
        f"`cluster: {name}`, with as many nodes as the plan needs. `simcluster catalog cluster` lists others, "
        "`simcluster catalog gpu` the GPUs; a GPU can be written out too: {memory: 80 GB, memory_bandwidth: 3 TB/s, "
        "peak: {bf16: 900 TFLOPS}}."
    )
    return f"{_headed(head)}\n" + "\n".join(lines)


def _model(name: str) -> str:
    written = [line for line in catalogue.text("model", name).splitlines() if not line.startswith("#")]
    others = ", ".join(other for other in catalogue.names("model") if other != name)
    head = (
        "The model: a name of the catalogue, {hf: config.json} for a file of Hugging Face, or written out. "
        f"Others: {others}."
    )
    body = "\n".join(f"#   {line}" for line in written)
    return f"{_headed(head)}\nmodel: {name}\n# Written out it is:\n# model:\n{body}"


def _plan(plan: str, gpus: int) -> str:
    head = (
        "How the model is cut over the GPUs: TP cuts each layer's matrices, PP makes stages of layers, CP cuts "
        f"sequences, EP shares out experts, DP copies; what is left of the {gpus} GPUs becomes copies. A "
        "name, or degrees such as {tp: 2, ep: 8}. A name with EP has two readings, and `run` says which one was taken."
    )
    return f"{_headed(head)}\nplan: {plan}"


def _execution() -> str:
    """Every key, at its default, in comments."""
    follows = {"stage_layers": [], "placement": list(PLACEMENT)}
    lines = []
    for key, field in _schema()["$defs"]["Execution"]["properties"].items():
        value = follows.get(key, field.get("default"))
        line = f"  {key}: {json.dumps(value).replace(chr(34), '')}"
        lines.append(_said(line, "Execution", key, field.get("enum", ())))
    head = "How the plan is run; left out, every key has the default shown; null follows from the plan."
    return f"{_headed(head)}\n{_comment('execution:')}\n{_comment(chr(10).join(lines))}"


def _workload(phase: Phase) -> str:
    keys = [_said(f"  phase: {phase}", "Workload", "phase")]
    keys.append(_said(f"  batch: {{per_gpu: {BATCH[phase]}}}", "Workload", "batch"))
    keys.append(f"{'  # batch: 64':<{COLUMN}}# in all; or {{per_replica: 4}}, for each data-parallel copy")
    keys += [_said(f"  {line}", "Workload", line.partition(":")[0]) for line in _KEYS[phase]]
    keys.append(_said("  # host_overhead: 1 ms", "Workload", "host_overhead"))
    keys.append(_said("  # expert_load: {zipf: 0.8}", "Workload", "expert_load"))
    others = [f"# workload: {text.format(batch=BATCH[other])}" for other, text in _WORKLOADS.items() if other != phase]
    return "\n".join(["# What the model is asked to do.", "workload:", *keys, "# Or one of:", *others])


def _expect(phase: Phase) -> str:
    head = (
        "Claims that `simcluster check` confirms or refutes: a metric of `run --json`, one of == <= >= < >, and a "
        "value with its unit."
    )
    return "\n".join([_headed(head), "expect:", *(f"  - {claim}" for claim in _EXPECT[phase])])


def _more() -> str:
    return _comment("""\
More that a scenario may say:
seed: 1                               # of everything drawn at random
faults:                               # what is slower than it should be
  - {gpu: node0.gpu0, factor: 0.5}    # half its speed; or node: 0, nic: node0.nic0, jitter: 0.05
uncertainty: {launch_overhead: 1.5}   # the true value lies between value / 1.5 and value x 1.5""")
