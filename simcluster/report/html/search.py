"""The page of a search."""

from __future__ import annotations

from collections.abc import Sequence

from simcluster import units
from simcluster.report.html.blocks import Block, Cell, Chart, Grid, Page, Prose, ends
from simcluster.timeline import metric
from simcluster.timeline.ranking import Ranked, Ranking
from simcluster.units import show_percent, show_seconds


def searched(found: Ranking, told: Sequence[str]) -> Page:
    """Every plan that was considered; `told` is the answer in words."""
    feasible = found.plans[: found.feasible]
    blocks: list[Block] = []
    if feasible:
        blocks = [_front(found, feasible), Prose(title="Why", paragraphs=found.why), _plans(found, feasible)]
    pruned = tuple(
        (Cell(text=f"{len(members):,}", order=len(members)), Cell(text=cause),
         Cell(text=f"{members[0].label}: {members[0].reason}"))
        for cause, members in found.pruned().items()
    )  # fmt: skip
    if pruned:
        header = ("plans", "by", "such as")
        blocks.append(
            Grid(title="Pruned, each by its first reason", header=header, rows=pruned, numbers=frozenset({0}))
        )
    blocks.append(Prose(title="What was listed", paragraphs=tuple(found.listed)))
    subtitle = f"{units.plural(found.considered, 'plan')} considered, {found.feasible:,} feasible, by {found.objective}"
    return Page(title=f"Plans of {found.scenario}", subtitle=subtitle, verdict=tuple(told), cards=(), claims=(),
                blocks=tuple(blocks))  # fmt: skip


ROLES = {"front": ("Pareto front", "communicating"), "asked": ("asked for (ringed)", "bad")}
"""What a point may be beside a plan, in words and its colour; it may be both."""


def _front(found: Ranking, feasible: Sequence[Ranked]) -> Chart:
    points, front = [], {id(row) for row in found.front}
    for row in feasible:
        x, y = row.latency_s, row.throughput_tokens_per_s_per_gpu
        assert x is not None
        assert y is not None
        roles = [role for role, has in (("front", id(row) in front), ("asked", row is found.asked)) if has]
        told = "".join(f"\n{ROLES[role][0]}" for role in roles)
        text = f"{row.label}\n{show_seconds(x)}, {y:,.0f} tokens/s/GPU\nMFU {metric.show('mfu', row.mfu)}{told}"
        points.append({"x": x, "y": y, "text": text, "role": " ".join(roles)})
    points.sort(key=lambda one: bool(one["role"]))
    shown = {role for one in points for role in str(one["role"]).split()}
    legend = [["a plan", "accent"], *([name, hue] for role, (name, hue) in ROLES.items() if role in shown)]
    across = {"name": "latency", "measure": "seconds", "log": True, **ends([float(str(one["x"])) for one in points])}
    up = {"name": "tokens/s/GPU", "measure": "number", "log": True, **ends([float(str(one["y"])) for one in points])}
    label = f"Latency against throughput per GPU of {len(points):,} plans"
    note = "Left and up is better. Both axes are logarithmic."
    return Chart(title="Latency against throughput", chart="points", label=label, note=note,
                 data={"points": points, "x": across, "y": up, "legend": legend})  # fmt: skip


def _plans(found: Ranking, feasible: Sequence[Ranked]) -> Grid:
    header = (
        "place",
        "plan",
        "read as",
        "GPUs",
        "latency",
        "tokens/s",
        "tokens/s/GPU",
        "MFU",
        "memory",
        "GPU-h/M tokens",
    )
    rows = []
    for place, row in enumerate(feasible, start=1):
        rates = [row.throughput_tokens_per_s or 0.0, row.throughput_tokens_per_s_per_gpu or 0.0]
        hours = row.gpu_hours_per_million_tokens or 0.0
        rows.append(
            (
                Cell(text=f"{place:,}", order=place),
                Cell(text=row.label + (" (asked for)" if row is found.asked else "")),
                Cell(text=row.convention),
                Cell(text=f"{row.gpus:,}", order=row.gpus),
                Cell(text=show_seconds(row.latency_s or 0.0), order=row.latency_s),
                *(Cell(text=f"{rate:,.0f}", order=rate) for rate in rates),
                Cell(text=metric.show("mfu", row.mfu), order=row.mfu),
                Cell(text=show_percent(row.memory_fraction or 0.0), order=row.memory_fraction),
                Cell(text=f"{hours:.4g}", order=hours),
            )
        )
    marked = frozenset(number for number, row in enumerate(feasible) if row is found.asked)
    return Grid(title=f"All {found.feasible:,} feasible plans", header=header, rows=tuple(rows),
                numbers=frozenset({0, *range(3, 10)}), marked=marked)  # fmt: skip
