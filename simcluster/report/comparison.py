"""Columns side by side as text: numbers with their differences to the first, and why each is faster or slower."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence

from simcluster.report.layout import fill, grid, paragraph, section
from simcluster.report.states import STATES
from simcluster.timeline import metric
from simcluster.timeline.comparison import Compared, difference, signed
from simcluster.timeline.critical_path import PARTS
from simcluster.units import show_percent, show_seconds

_HEADLINE = (
    ("latency_s", "latency"),
    ("ttft_s", "first token"),
    ("tpot_s", "per token"),
    ("throughput_tokens_per_s", "throughput"),
    ("throughput_tokens_per_s_per_gpu", "per GPU"),
    ("mfu", "MFU"),
    ("gpus", "GPUs"),
    ("memory.total", "memory of the fullest GPU"),
    ("memory.fraction", "of its capacity"),
)

_LEAST = 1e-12
"""Share of the latency below which a difference is rounding."""

_LONGEST_LABEL = 28


def comparison(columns: Sequence[Compared]) -> str:
    """What `simcluster compare` prints; columns without numbers stand in the first table only."""
    parts = [_headline(columns)]
    ran = [one for one in columns if one.ran]
    if ran:
        states, paths = dict(STATES), {str(part): name for part, name in PARTS.items()}
        parts += [
            _seconds("Where a GPU's time goes (mean over GPUs)", ran, lambda one: one.states, states),
            _seconds(
                "Critical path (what the latency is made of)",
                ran,
                lambda one: {str(part): value for part, value in one.path.items()},
                paths,
            ),
            _seconds("Operations (time per GPU and step, costliest first)", ran, lambda one: one.operations, None),
        ]
    if any(one.sensitivities for one in columns):
        parts += [_bought(ran), _without_effect(ran)]
    if len(columns) > 1:
        parts.append(section("Why", "\n".join(paragraph(difference(columns[0], one)) for one in columns[1:])))
    return "\n\n".join(parts)


def _short(label: str) -> str:
    return label if len(label) <= _LONGEST_LABEL else label[: _LONGEST_LABEL - 1] + "…"


def _header(columns: Sequence[Compared], *, differences: bool) -> tuple[str, ...]:
    """The first cell is the names' column; every later column may have one for its difference."""
    names = [_short(columns[0].label)]
    for one in columns[1:]:
        names += [_short(one.label), "difference"] if differences else [_short(one.label)]
    return ("", *names)


def _table(title: str, rows: Sequence[tuple[str, ...]]) -> str:
    return section(title, grid(rows, right=tuple(range(1, len(rows[0])))))


def _headline(columns: Sequence[Compared]) -> str:
    rows = [_header(columns, differences=True)]
    for path, name in _HEADLINE:
        values = [one.metric(path) for one in columns]
        if all(value is None for value in values):
            continue
        cells = [_shown(path, values[0])]
        for value in values[1:]:
            cells += [_shown(path, value), _ratio(values[0], value)]
        rows.append((name, *cells))
    unfit = [fill(f"{one.label}: {one.reason}.") for one in columns if one.reason]
    return "\n".join((_table("Side by side", rows), *([""] if unfit else []), *unfit))


def _shown(path: str, value: float | None) -> str:
    return "–" if value is None else metric.show(path, value)


def _ratio(first: float | None, value: float | None) -> str:
    """`-56.3 %`, or `3.2 x` where it is more than twice or less than half."""
    if first is None or value is None or first == 0:
        return ""
    change = value / first - 1
    if abs(change) <= _LEAST:
        return "same"
    if not 0.5 <= value / first <= 2:
        return f"{value / first:.3g} x"
    return f"{'+' if change > 0 else ''}{show_percent(change)}"


def _seconds(
    title: str,
    columns: Sequence[Compared],
    of: Callable[[Compared], Mapping[str, float]],
    names: Mapping[str, str] | None,
) -> str:
    """Rows of seconds in the order of `names`, or the longest first; all-zero rows are left out."""
    found = [of(one) for one in columns]
    keys = _keys(found) if names is None else list(names)
    rows = [_header(columns, differences=True)]
    for key in keys:
        if not any(one.get(key) for one in found):
            continue
        first = found[0].get(key, 0.0)
        cells = [_cell(first)]
        for values in found[1:]:
            value = values.get(key, 0.0)
            same = abs(value - first) <= _LEAST * columns[0].latency_s
            cells += [_cell(value), "same" if same else signed(value - first)]
        rows.append((key if names is None else names[key], *cells))
    return _table(title, rows)


def _keys(found: Iterable[Mapping[str, float]]) -> list[str]:
    longest: dict[str, float] = {}
    for values in found:
        for key, value in values.items():
            longest[key] = max(longest.get(key, 0.0), value)
    return sorted(longest, key=lambda key: -longest[key])


def _cell(value: float) -> str:
    return show_seconds(value) if value else ""


def _bought(columns: Sequence[Compared]) -> str:
    """The change of latency with each input 10 % better."""
    found = [{row.path: row for row in one.sensitivities} for one in columns]
    paths = [path for rows in found for path, row in rows.items() if row.matters]
    rows: list[tuple[str, ...]] = [("", "from", "to", *_header(columns, differences=False)[1:])]
    for path in dict.fromkeys(paths):
        shown = next(row[path] for row in found if path in row)
        cells = []
        for known in found:
            row = known.get(path)
            cells.append("" if row is None else _change(row.change, row.elasticity))
        same = all(row[path].value == shown.value for row in found if path in row)
        rows.append((path, *((shown.value, shown.better) if same else ("", "+10 %")), *cells))
    said = "In brackets the elasticity: percent of latency saved per percent of the input."
    body = grid(rows, right=tuple(range(1, len(rows[0])))) if len(rows) > 1 else "none of them changes the latency"
    return section("What 10 % more of each buys (replayed; change of latency)", f"{body}\n\n{said}")


def _change(change: float, elasticity: float) -> str:
    return f"{'+' if change > 0 else ''}{show_percent(change)} ({elasticity:.2f})" if change else "none"


def _without_effect(columns: Sequence[Compared]) -> str:
    """Inputs whose change changes nothing, with the reason, for the columns it holds for."""
    holds: dict[tuple[str, str], list[str]] = {}
    for one in columns:
        for row in one.sensitivities:
            if not row.matters:
                sure = "cannot matter" if row.never else "no effect"
                holds.setdefault((row.path, f"{sure}: {row.why}"), []).append(_short(one.label))
    asked = [_short(one.label) for one in columns if one.sensitivities]
    lines = []
    for (path, why), labels in holds.items():
        scope = "" if labels == asked else f" ({', '.join(labels)})"
        lines.append(textwrap.fill(f"{path}{scope}: {why}", width=110, subsequent_indent="  "))
    return section("Inputs without effect (replayed)", "\n".join(lines) if lines else "none")
