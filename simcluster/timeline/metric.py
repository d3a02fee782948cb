"""Every scalar a result answers with: its dotted path in `run --json` and what it measures."""

from __future__ import annotations

import re
from typing import Literal

from simcluster import units
from simcluster.errors import nearest

Measure = Literal["count", "seconds", "bytes", "fraction", "FLOP", "tokens/s", "number", "USD", "joules", "watts"]

_COUNTS = ("gpus", "tokens", *(f"degrees.{axis}" for axis in ("tp", "pp", "dp", "cp", "ep", "etp", "edp")))
_MODULES = ("expert", "tensor", "layer")

METRICS: dict[str, Measure] = {
    **dict.fromkeys(_COUNTS, "count"),
    "counts.orthogonal": "count",
    "counts.folded": "count",
    "latency_s": "seconds",
    "ttft_s": "seconds",
    "tpot_s": "seconds",
    "integration_error": "fraction",
    "throughput_tokens_per_s": "tokens/s",
    "throughput_tokens_per_s_per_gpu": "tokens/s",
    "mfu": "fraction",
    "cost_per_million_tokens": "USD",
    "energy_per_token_j": "joules",
    "power_mean_w": "watts",
    "compute_busy": "fraction",
    "exposed_communication": "fraction",
    "waiting": "fraction",
    "idle": "fraction",
    "communication_busy": "fraction",
    "synchronisation_points_per_layer": "number",
    "memory.attention_weights": "bytes",
    "memory.expert_weights": "bytes",
    "memory.other_weights": "bytes",
    "memory.kv_cache": "bytes",
    "memory.activations": "bytes",
    "memory.workspace": "bytes",
    "memory.total": "bytes",
    "memory.capacity": "bytes",
    "memory.fraction": "fraction",
    "flops_per_gpu.attention": "FLOP",
    "flops_per_gpu.experts": "FLOP",
    "flops_per_gpu.other": "FLOP",
    "flops_per_gpu.total": "FLOP",
    "traffic.nvlink": "bytes",
    "traffic.infiniband": "bytes",
    "balance.experts_per_gpu_group": "count",
    "balance.expert_load_variance": "number",
    "balance.expert_load_max_over_mean": "number",
    "balance.straggler_factor": "number",
    "balance.compute_variance": "number",
    "balance.memory_variance": "number",
    **{
        f"modules.{kind}.{column}": "count"
        for kind in _MODULES
        for column in ("count", "gpus_per_module", "total_gpus")
    },
}
"""Paths in the order of the JSON.  A number is dimensionless and not a share of a whole.

The rows of `modules[]` are addressed by their type: `modules.layer.gpus_per_module`.
"""


OF_GENERATION = ("ttft_s", "tpot_s", "integration_error")
"""Metrics that only a generation has."""

OF_PRICE = ("cost_per_million_tokens",)
"""Metrics that only GPUs with a price have."""

OF_POWER = ("energy_per_token_j", "power_mean_w")
"""Metrics that only GPUs with stated power have."""

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,4})?", re.ASCII)

_DIMENSIONS: dict[Measure, units.Dimension] = {
    "bytes": "bytes",
    "seconds": "seconds",
    "FLOP": "FLOP",
    "USD": "USD",
    "joules": "joules",
    "watts": "watts",
}


def full_path(name: str) -> str:
    """The metric's path; a name without its prefix means its unique leaf.  ValueError if none or several fit."""
    if name in METRICS:
        return name
    fitting = [path for path in METRICS if path.endswith(f".{name}")]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise ValueError(f"{name} could be {' or '.join(fitting)}; write which")
    raise ValueError(f"no metric is called {name!r:.60}{nearest(name, METRICS)}")


def show(path: str, value: float | None) -> str:
    """The value with its unit, as a reader wants it."""
    if value is None:
        return "none"
    match METRICS[path]:
        case "count" | "number":
            return units.show_count(value)
        case "seconds":
            return units.show_seconds(value)
        case "bytes":
            return units.show_bytes(value)
        case "fraction":
            return units.show_percent(value)
        case "FLOP":
            return units.show_flop(value)
        case "tokens/s":
            return f"{value:,.0f} tokens/s"
        case "USD":
            return units.show_usd(value)
        case "joules":
            return units.show_joules(value)
        case "watts":
            return units.show_watts(value)


def parse_value(path: str, text: str) -> float:
    """The SI value written in an expectation: bare (or in %) for counts, fractions and rates, else with a unit.

    A bare 0 needs no unit here: nothing is nothing in every unit.  Raises ValueError with how to write it.
    """
    measure = METRICS[path]
    dimension = _DIMENSIONS.get(measure)
    if dimension is not None and text != "0":
        return units.parse(text, dimension)
    number, scale = text.removesuffix("tokens/s") if measure == "tokens/s" else text, 1.0
    if measure == "fraction" and text.endswith("%"):
        number, scale = text.removesuffix("%"), 0.01
    if _NUMBER.fullmatch(number.strip()) is None:
        raise ValueError(f"{text!r:.40} is not a number; {path} is a {measure}")
    value = float(number) * scale
    if not abs(value) <= units.LARGEST:
        raise ValueError(f"{text!r:.40} is out of range; {path} is a {measure}")
    return value
