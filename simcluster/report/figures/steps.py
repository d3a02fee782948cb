"""Throughput and latency over the steps of a run."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from simcluster.report.figures import style
from simcluster.timeline import metric
from simcluster.timeline.result import Result


def draw_latency(result: Result, look: style.Look = style.LIGHT) -> Figure:
    """Each step's latency, from the end of the step before it to its own on the slowest rank.

    Of a generation each token's, the first one's apart: it is the prefill's, and many times as long.
    """
    timeline = result.timeline
    assert timeline is not None
    parts, first = timeline.parts, 1 if len(timeline.segments) > 1 else 0
    latencies = np.repeat(parts.latency_s[first:], parts.steps[first:])
    scale, unit = style.time_unit(float(latencies.max()))
    with style.canvas(look, 8, 4) as figure:
        mean = metric.show("latency_s", float(latencies.mean()))
        facts = f"mean {mean} over {_steps(len(latencies))}"
        if first:
            facts = f"first token {metric.show('ttft_s', result.metrics['ttft_s'])}, {mean} for each of the others"
        style.heading(figure, result.identity.scenario, f"{result.identity.plan}: {facts}")
        axes = figure.subplots()
        numbers = np.arange(1, len(latencies) + 1) + first
        if len(latencies) <= 60:
            axes.bar(numbers, latencies * scale, color=style.COMPUTING, width=0.7)
        else:
            axes.plot(numbers, latencies * scale, color=style.COMPUTING, linewidth=1.4)
        axes.set_ylim(0, float(latencies.max()) * scale * 1.1 if first else None)
        axes.set_xlim(0.4, max(len(latencies) + first, 4) + 0.6)
        style.whole_numbers(axes.xaxis)
        axes.set_xlabel("token of a sequence, from the second on" if first else "step")
        axes.set_ylabel(f"latency ({unit})")
        style.quiet(axes, look)
    return figure


def draw_throughput(result: Result, look: style.Look = style.LIGHT) -> Figure:
    """Throughput over time above, tokens done below."""
    timeline, series = result.timeline, result.series
    assert timeline is not None
    assert series is not None
    scale, unit = style.time_unit(timeline.end_s)
    with style.canvas(look, 8, 5) as figure:
        made = f"{result.tokens:,} tokens" if timeline.segments else _steps(timeline.steps)
        shown = metric.show("throughput_tokens_per_s", result.metrics["throughput_tokens_per_s"])
        style.heading(figure, result.identity.scenario, f"{result.identity.plan}: {shown}, {made}")
        above, below = figure.subplots(2, 1, sharex=True)
        rate, rate_name = style.token_unit(float(series.throughput_tokens_per_s.max()))
        above.plot(series.t_s * scale, series.throughput_tokens_per_s * rate, color=style.COMPUTING, linewidth=1.8)
        above.set_ylim(0, float(series.throughput_tokens_per_s.max()) * rate * 1.15)
        above.set_ylabel(f"throughput\n({rate_name}tokens/s)")
        style.quiet(above, look)
        done, done_name = style.token_unit(float(series.tokens_done.max()))
        parts = timeline.parts
        ends = np.append(0.0, np.cumsum(np.repeat(parts.period_s, parts.steps))) * scale
        tokens = np.arange(len(ends)) * result.tokens * timeline.steps / parts.steps.sum() * done
        below.step(ends, tokens, where="post", color=style.THIRD, linewidth=1.8)
        if len(ends) <= 60:
            below.plot(ends[1:], tokens[1:], "o", color=style.THIRD, markersize=4)
        below.set_ylim(bottom=0)
        below.set_xlim(0, timeline.end_s * scale * 1.01)
        below.set_ylabel(f"tokens done\n({done_name}tokens)")
        below.set_xlabel(f"time ({unit})")
        style.quiet(below, look)
    return figure


def _steps(count: int) -> str:
    return "1 step" if count == 1 else f"{count} steps"
