"""Uneven routing as text: how much the fullest GPUs get, by other seeds too, and what redundant experts would buy."""

from __future__ import annotations

from simcluster.report.layout import aligned, grid, section
from simcluster.timeline.result import Result
from simcluster.timeline.routing import Routing
from simcluster.units import show_bytes


def balance(result: Result, routing: Routing) -> str:
    """Load and time of the fullest GPUs over the mean, and a row for each number of redundant experts."""
    values, seeds = result.balance, routing.over_seeds
    rows = [
        ("token copies", f"{values['expert_load_max_over_mean']:.3f} x the mean on the fullest GPUs"),
        ("time of experts", f"{values['straggler_factor']:.3f} x the mean on the slowest GPUs (straggler factor)"),
    ]
    for name, one in (("copies", seeds.expert_load_max_over_mean), ("time", seeds.straggler_factor)):
        if one.min < one.max:
            told = f"mean {one.mean:.3f}, 90 % from {one.p5:.3f} to {one.p95:.3f}, at most {one.max:.3f} x the mean"
            rows.append((f"{name} by {seeds.seeds} seeds", told))
    now = values.get("redundant_experts", 0)
    table: list[tuple[str, ...]] = [
        ("redundant experts", "experts a GPU", "fullest over mean", "more weights a GPU", "")
    ]
    for row in routing.redundancy:
        table.append(
            (
                f"{row.redundant_experts:,}",
                f"{row.experts_per_gpu:,}",
                f"{row.expert_load_max_over_mean:.3f} x",
                show_bytes(row.extra_bytes) if row.extra_bytes else "none",
                "this run" if row.redundant_experts == now else "",
            )
        )
    body = f"{aligned(rows)}\n\n{grid(table, right=(0, 1, 2, 3))}"
    return section("Balance of experts (with --set workload.redundant_experts=N)", body)
