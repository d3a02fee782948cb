"""What fills the fullest GPU's memory, against its capacity."""

from __future__ import annotations

from matplotlib.figure import Figure

from simcluster.report.figures import style
from simcluster.timeline.result import Result
from simcluster.units import show_bytes, show_percent

_NAMES = {
    "attention_weights": "attention weights",
    "expert_weights": "expert weights",
    "other_weights": "other weights",
    "kv_cache": "KV cache",
    "activations": "activations",
    "workspace": "workspace",
}


def draw(result: Result, look: style.Look = style.LIGHT) -> Figure:
    """All of it against the capacity above, to scale; the components below, each with its size and share."""
    parts = [(name, part.bytes) for name, part in result.memory.items() if part.bytes]
    total, capacity = result.memory_total_bytes, result.memory_capacity_bytes
    whole, whole_unit = style.byte_unit(max(total, capacity))
    zoom, zoom_unit = style.byte_unit(max(size for _, size in parts))
    colours = dict(zip(_NAMES, look.cycle, strict=False))
    with style.canvas(look, 10, 2.6 + 0.4 * len(parts)) as figure:
        facts = f"{show_bytes(total)} of {show_bytes(capacity)} on the fullest GPU, {show_percent(total / capacity)}"
        style.heading(figure, result.identity.scenario, f"{result.identity.plan}: {facts}")
        above, below = figure.subplots(2, 1, height_ratios=(1, 1 + 0.55 * len(parts)))
        left = 0.0
        for name, size in parts:
            above.barh(0, size * whole, left=left, color=colours[name], height=0.7)
            left += size * whole
        above.barh(0, max(0.0, capacity - total) * whole, left=left, color=look.idle, height=0.7)
        above.axvline(capacity * whole, color=look.ink, linewidth=1.6)
        room = "free" if total <= capacity else "too little"
        above.text(0.5, 0, f"{show_bytes(abs(capacity - total))} {room}", transform=above.get_yaxis_transform(),
                   ha="center", va="center", fontsize=9)  # fmt: skip
        above.set_yticks([])
        above.set_xlim(0, max(total, capacity) * whole * 1.005)
        above.set_xlabel(f"memory of one GPU ({whole_unit}); the line is its capacity")
        above.spines["left"].set_visible(False)
        for place, (name, size) in enumerate(reversed(parts)):
            below.barh(place, size * zoom, color=colours[name], height=0.7)
            below.text(
                size * zoom, place, f" {show_bytes(size)}  {show_percent(size / total)}", va="center", fontsize=9
            )
        below.set_yticks(range(len(parts)), [_NAMES[name] for name, _ in reversed(parts)])
        below.set_xlim(0, max(size for _, size in parts) * zoom * 1.2)
        below.set_xlabel(f"component ({zoom_unit})")
        below.tick_params(axis="y", length=0)
        style.quiet(below, look, "x")
    return figure
