"""A first plan for a model on a cluster: small degrees that fit into memory; no search."""

from __future__ import annotations

from collections.abc import Iterator

from simcluster.errors import InputError, Mistake
from simcluster.pipeline import memory_fraction
from simcluster.scenario import catalogue
from simcluster.scenario.compile import compile_text
from simcluster.scenario.starter import Phase, nodes_of, starter

MOST_NODES = 64
"""Nodes of the largest deployment that is tried."""


def first_plan(*, model: str, cluster: str, phase: Phase, gpus: int | None) -> tuple[int, str]:
    """GPUs and the name of a plan that fits into their memory: on `gpus`, or on as few whole nodes as do.

    InputError where none fits, and where the cluster cannot compute what the model asks for.
    """
    per_node = catalogue.look_up("cluster", cluster)["gpus_per_node"]
    assert isinstance(per_node, int)
    sizes = [gpus] if gpus is not None else [per_node << power for power in range(MOST_NODES.bit_length())]
    for size in sizes:
        nodes_of(cluster, size)
        text = starter(model=model, cluster=cluster, gpus=size, phase=phase, plan="TP1")
        for plan in _plans(model, size):
            try:
                if memory_fraction(compile_text(text, "starter", [f"plan={plan}"])) <= 1:
                    return size, plan
            except InputError as error:
                if any(not mistake.path.startswith(("plan", "workload")) for mistake in error.mistakes):
                    raise _told(model, cluster, error) from None
    most = sizes[-1]
    what = f"no plan for {most} GPUs of {cluster} holds {model}; {'use more' if gpus else 'write a plan with --plan'}"
    raise InputError(Mistake(what=what, origin="--gpus" if gpus else "--cluster"))


def _told(model: str, cluster: str, error: InputError) -> InputError:
    """The same mistakes; they are of the options, not of a file that nobody sees."""
    origin = f"--model {model} --cluster {cluster}"
    return InputError(Mistake(what=one.what, path=one.path, origin=origin) for one in error.mistakes)


def _plans(model: str, gpus: int) -> Iterator[str]:
    """Names of plans of all GPUs: experts spread as far as they go, few stages, little tensor parallelism."""
    moe = catalogue.look_up("model", model).get("moe")
    experts = moe["experts"] if isinstance(moe, dict) else 1
    assert isinstance(experts, int)
    powers = [1 << power for power in range(gpus.bit_length()) if gpus % (1 << power) == 0]
    for pp in powers:
        for tp in powers[:5]:
            rest = gpus // pp // tp
            for ep in reversed([one for one in powers if rest % one == 0 and experts % one == 0]):
                parts = (("EP", ep), ("TP", tp), ("PP", pp))
                named = "_".join(f"{axis}{degree}" for axis, degree in parts if degree > 1)
                if rest > 0 and tp * pp * ep <= gpus:
                    yield named or "TP1"
