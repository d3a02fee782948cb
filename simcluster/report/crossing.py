"""A crossover as text: the answer, then every point that was tried."""

from __future__ import annotations

from simcluster.report.layout import grid, paragraph, section
from simcluster.timeline.crossover import Crossover, Point
from simcluster.units import show_seconds


def crossover(found: Crossover) -> str:
    """What `simcluster crossover` prints."""
    points = [*found.scan, *found.beyond, *(crossing.at for crossing in (*found.crossings, *found.outside))]
    marks = {crossing.at.value for crossing in (*found.crossings, *found.outside)}
    rows: list[tuple[str, ...]] = [(found.path, *found.plans, "ratio", "faster")]
    notes = []
    seen: dict[float, Point] = {point.value: point for point in points}
    for value in sorted(seen):
        point = seen[value]
        ratio = point.ratio
        cells = ["–" if seconds is None else show_seconds(seconds) for seconds in point.latencies_s]
        if ratio is None:
            alone = [plan for plan, seconds in zip(found.plans, point.latencies_s, strict=True) if seconds is not None]
            ahead = f"{alone[0]}, alone" if alone else ""
            notes.append(paragraph(f"{point.text}: {point.reason}"))
        else:
            ahead = "crossing" if value in marks else found.plans[0 if ratio < 1 else 1]
        rows.append((point.text, *cells, "" if ratio is None else f"{ratio:.4g}", ahead))
    title = (
        f"{found.plans[0]} against {found.plans[1]} (latency of a step, replayed; ratio is the first over the second)"
    )
    parts = [paragraph(found.verdict), section(title, grid(rows, right=(0, 1, 2, 3)))]
    return "\n\n".join((*parts, *(["\n".join(notes)] if notes else [])))
