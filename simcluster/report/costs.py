"""Money and energy as text, where a GPU's price and power are stated."""

from __future__ import annotations

from simcluster.report.layout import grid, section
from simcluster.timeline import energy, metric
from simcluster.timeline.result import Result
from simcluster.units import show_joules, show_percent, show_seconds, show_usd, show_watts


def headline(result: Result) -> list[tuple[str, str]]:
    """What a million tokens cost and a token takes, in a row each."""
    values, rows = result.metrics, []
    cost, joules = values["cost_per_million_tokens"], values["energy_per_token_j"]
    if cost is not None and result.price_usd_per_h is not None:
        price = f"{show_usd(result.price_usd_per_h)} per GPU and hour"
        rows.append(("cost", f"{show_usd(cost)} per million tokens, at {price}"))
    if joules is not None:
        power = metric.show("power_mean_w", values["power_mean_w"])
        rows.append(("energy", f"{show_joules(joules)} a token, at {power} a GPU in the mean"))
    return rows


def states(result: Result) -> str:
    """The energy of a GPU by state; empty where its power is not stated."""
    if result.power is None or result.timeline is None or result.states is None:
        return ""
    steps = result.timeline.steps
    parts = energy.by_state(result.timeline, result.states, result.power)
    total = sum(one.joules for one in parts)
    rows: list[tuple[str, ...]] = [("state", "time", "power", "energy", "of energy")]
    rows += [
        (
            one.state,
            show_seconds(one.seconds / steps),
            show_watts(one.watts),
            show_joules(one.joules / steps),
            show_percent(one.joules / total if total else 0.0),
        )
        for one in parts
        if one.seconds
    ]
    unit = "generation" if result.generates else "step"
    return section(f"Where a GPU's energy goes (mean over GPUs, a {unit})", grid(rows, right=(1, 2, 3, 4)))
