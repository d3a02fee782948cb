"""What fills a GPU's memory, what else fits, and how evenly experts load GPUs."""

from __future__ import annotations

from collections.abc import Iterator

from simcluster.report.html import cells
from simcluster.report.html.blocks import Block, Cell, Grid, Prose
from simcluster.timeline.capacity import Capacity
from simcluster.timeline.result import Result
from simcluster.units import show_bytes, show_percent


def memory(result: Result) -> Grid:
    """Every component of the fullest GPU with its arithmetic."""
    total, capacity = result.memory_total_bytes, result.memory_capacity_bytes
    rows = tuple(
        (Cell(text=name), cells.size(part.bytes), Cell(text=part.formula))
        for name, part in result.memory.items()
        if part.bytes
    )
    of = f"{show_percent(total / capacity)} of {show_bytes(capacity)}"
    return Grid(
        title="Memory of the fullest GPU",
        header=("part", "bytes", "arithmetic"),
        rows=rows,
        numbers=frozenset({1}),
        foot=(Cell(text="total"), cells.size(total), Cell(text=of)),
    )


def limits(result: Result, capacity: Capacity) -> Block:
    """The largest batch and context, or what would make the plan fit."""
    sizes = f"batch {capacity.largest_batch:,}"
    if capacity.largest_length:
        sizes += f" or {capacity.length_name} {capacity.largest_length:,} tokens"
    if result.fits:
        return Prose(title="Largest that fits", paragraphs=(f"All else as it is: {sizes}.",))
    rows = tuple(
        (
            Cell(text=" ".join(f"--set '{change}'" for change in remedy.changes)),
            cells.share(remedy.memory_fraction),
            cells.seconds(remedy.latency_s),
        )
        for remedy in capacity.remedies
    )
    small = "not even one sequence a replica fits" if capacity.largest_batch == 0 else f"largest that fits: {sizes}"
    note = f"All else as it is, {small}."
    if not rows:
        none = "None of the plans, sizes, number types and GPUs tried fits."
        return Prose(title="What would fit", paragraphs=(none, note))
    header = ("change", "of a GPU's memory", "latency")
    return Grid(
        title="What would fit", header=header, rows=rows, numbers=frozenset({1, 2}), note=f"Each simulated. {note}"
    )


def experts(result: Result) -> Iterator[Block]:
    """Load and time of the fullest GPUs, and what redundant experts would buy; nothing where all are alike."""
    routing, values = result.routing, result.balance
    if routing is None:
        return
    seeds, now = routing.over_seeds, values.get("redundant_experts", 0)
    told = [
        f"The fullest GPUs get {values['expert_load_max_over_mean']:.3f} x the mean of token copies, and their experts "
        f"take {values['straggler_factor']:.3f} x the mean time (straggler factor)."
    ]
    for name, one in (("copies", seeds.expert_load_max_over_mean), ("time", seeds.straggler_factor)):
        if one.min < one.max:
            told.append(
                f"By {seeds.seeds} seeds, {name}: mean {one.mean:.3f} x, 90 % from {one.p5:.3f} to {one.p95:.3f} x, at "
                f"most {one.max:.3f} x."
            )
    yield Prose(title="Balance of experts", paragraphs=tuple(told))
    rows = tuple(
        (
            cells.count(row.redundant_experts),
            cells.count(row.experts_per_gpu),
            Cell(text=f"{row.expert_load_max_over_mean:.3f} x", order=row.expert_load_max_over_mean),
            cells.size(row.extra_bytes, blank=True),
            Cell(text="this run" if row.redundant_experts == now else ""),
        )
        for row in routing.redundancy
    )
    header = ("redundant experts", "experts a GPU", "fullest over mean", "more weights a GPU", "")
    note = "Try one with --set workload.redundant_experts=N."
    yield Grid(
        title="What redundant experts would buy", header=header, rows=rows, numbers=frozenset({0, 1, 2, 3}), note=note
    )
