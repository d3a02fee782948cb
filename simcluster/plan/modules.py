"""A model as the modules a plan hands out: experts, tensor shards, layers, and what must divide for it."""

from __future__ import annotations

from simcluster.model.transformer import Mlp, Model
from simcluster.plan.degrees import Degrees

Module = dict[str, str | int]


def modules(model: Model, degrees: Degrees) -> tuple[Module, ...]:
    """Expert, tensor and layer modules: how many, GPUs each, and distinct GPUs that hold any.

    An expert module is one expert index across all layers (etp·edp GPUs); a tensor module one tensor shard of an expert
    (edp GPUs), or of a dense model (cp·dp GPUs); a layer module one layer (gpus / pp).
    """
    gpus = degrees.gpus
    layer = _module("layer", model.layers, gpus // degrees.pp, gpus)
    if model.moe is None:
        return _module("tensor", degrees.tp, degrees.cp * degrees.dp, gpus), layer
    experts = model.moe.experts
    return (
        _module("expert", experts, degrees.etp * degrees.edp, gpus),
        _module("tensor", experts * degrees.etp, degrees.edp, gpus),
        layer,
    )


def _module(kind: str, count: int, gpus_per_module: int, total_gpus: int) -> Module:
    return {"type": kind, "count": count, "gpus_per_module": gpus_per_module, "total_gpus": total_gpus}


def divisions(model: Model, degrees: Degrees, redundant: int = 0) -> tuple[str, ...]:
    """Each cut of layers, heads and widths as arithmetic, for instance `16 heads / tp 2 = 8`; `redundant` experts are
    cut with the others."""
    cuts = [(model.layers, "layers", "pp"), (model.heads, "heads", "tp")]
    if isinstance(model.ffn, Mlp):
        cuts.append((model.ffn.hidden, "MLP channels", "tp"))
    else:
        what = "experts, redundant ones included," if redundant else "experts"
        cuts += [(model.ffn.experts + redundant, what, "ep"), (model.ffn.expert.hidden, "expert channels", "etp")]
        cuts += [(model.dense.hidden, "MLP channels", "tp")] if model.dense is not None else []
    return tuple(
        f"{total:,} {what} / {axis} {getattr(degrees, axis)} = {total / getattr(degrees, axis):,.6g}"
        for total, what, axis in cuts
    )
