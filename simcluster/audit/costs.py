"""The arithmetic behind money and energy."""

from __future__ import annotations

from simcluster.timeline import energy
from simcluster.timeline.result import Result
from simcluster.units import show_seconds, show_usd, show_watts


def sentence(result: Result, path: str) -> str:
    """Where a metric of cost, energy or power comes from, or what is to be stated for it."""
    identity, values, price = result.identity, result.metrics, result.price_usd_per_h
    latency_s = values["latency_s"] or 0.0
    step = f"{identity.gpus:,} GPUs x {show_seconds(latency_s)} / {result.tokens:,} tokens"
    if path == "cost_per_million_tokens":
        if price is None:
            return "the price of a GPU is not stated; cluster.gpu.price: 2.50 USD/h states one"
        return f"{show_usd(price)} per GPU and hour x {step} x 1,000,000"
    if result.power is None or result.timeline is None or result.states is None:
        return "the power of a GPU is not stated; cluster.gpu.power: {idle, busy, memory, network} states it"
    if path == "energy_per_token_j":
        return f"{show_watts(values['power_mean_w'] or 0.0)} x {step}"
    steps = result.timeline.steps
    parts = energy.by_state(result.timeline, result.states, result.power)
    drawn = [
        f"{show_seconds(one.seconds / steps)} {one.state} at {show_watts(one.watts)}" for one in parts if one.seconds
    ]
    return f"of {show_seconds(latency_s)}: {', '.join(drawn)}"
