"""The four states of a GPU in words, and the phases of a generation by them."""

from __future__ import annotations

from simcluster.report.layout import fill, grid, section
from simcluster.timeline.result import Result
from simcluster.units import show_percent, show_seconds

STATES = (
    ("compute_busy", "computing"),
    ("exposed_communication", "communicating, exposed"),
    ("waiting", "waiting for other ranks"),
    ("idle", "idle"),
)


def phases(result: Result) -> str:
    """Prefill and decode with their shares of time in each state."""
    rows: list[tuple[str, ...]] = [("phase", "steps", "time", "a step", *(name for _, name in STATES))]
    for phase in result.phases:
        shares = [show_percent(getattr(phase, path)) for path, _ in STATES]
        each = show_seconds(phase.seconds / phase.steps)
        rows.append((phase.phase, f"{phase.steps:,}", show_seconds(phase.seconds), each, *shares))
    assert result.timeline is not None
    points = len(result.timeline.segments) - 1
    doubt = show_percent(result.metrics["integration_error"] or 0.0)
    said = fill(
        f"Decode steps were simulated at {points} contexts; the latency is within {doubt} of simulating them all, if "
        "no step is shorter than one with a smaller cache."
    )
    return section("Phases", grid(rows, right=tuple(range(1, 8))) + ("\n\n" + said if points else ""))
