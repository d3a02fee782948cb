"""One visual language: the Okabe-Ito colours, readable without colour vision, and quiet axes."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from simcluster.errors import InputError, Mistake

COMPUTING = "#0072B2"
COMMUNICATING = "#E69F00"
WAITING = "#999999"
IDLE = "#F4F4F4"
INK = "#222222"
CYCLE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")

FORMATS = ("png", "svg", "pdf")

_STYLE: dict[str, object] = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "svg.hashsalt": "simcluster",
    "svg.fonttype": "none",
    "text.parse_math": False,
}


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that size in inches."""
    with rc_context(_STYLE):  # type: ignore[arg-type]
        return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def styled() -> AbstractContextManager[None]:
    """The style as a context: draw inside it."""
    return rc_context(_STYLE)  # type: ignore[arg-type]


def heading(figure: Figure, title: str, subtitle: str) -> None:
    """Title and a line of facts below it, flush left."""
    inch = 1 / figure.get_figheight()
    figure.suptitle(f"{_short(title, 90)}\n", x=0.01, ha="left", fontsize=13, fontweight="bold")
    figure.text(0.01, 1 - 0.34 * inch, _short(subtitle, 150), ha="left", va="top", fontsize=10, color=INK)


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def text_on(colour: str) -> str:
    """Black or white, whichever reads better on `colour` (relative luminance, WCAG 2.1)."""
    red, green, blue = (((channel + 0.055) / 1.055) ** 2.4 for channel in to_rgb(colour))
    return "white" if 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.2 else "black"


def time_unit(end_s: float) -> tuple[float, str]:
    """The factor from seconds and the name of the unit that suits times up to `end_s`."""
    for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if end_s >= 2 * scale:
            return 1 / scale, unit
    return 1e9, "ns"


def quiet(axes: Axes) -> None:
    axes.grid(axis="y", color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)


def save(figure: Figure, path: Path) -> None:
    """Write the figure; the file's ending picks PNG, SVG or PDF.  The same figure gives the same bytes."""
    kind = path.suffix.lower().lstrip(".")
    if kind not in FORMATS:
        what = f"cannot write a figure as {path.suffix or 'a file without an ending'}; use .png, .svg or .pdf"
        raise InputError(Mistake(what=what, origin=str(path)))
    metadata = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[kind]
    part = path.with_name(f".{path.name}.part")
    with rc_context(_STYLE):  # type: ignore[arg-type]
        figure.savefig(part, format=kind, dpi=150, metadata=metadata)
    part.replace(path)
