"""One visual language: the Okabe-Ito colours, readable without colour vision, on quiet axes, light or dark."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from simcluster.errors import InputError, Mistake

FORMATS = ("png", "svg", "pdf")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")

COMPUTING = "#0072B2"
ATTENTION = "#56B4E9"
QUIET = "#8CA5B5"
COMMUNICATING = "#E69F00"
ALL_TO_ALL = "#D55E00"
GATHER = "#F0C75E"
SCATTER = "#CC79A7"
WAITING = "#999999"
THIRD = "#009E73"
SEND = "#7B5EA7"

KINDS = {
    "compute": ("kernel", COMPUTING),
    "all_reduce": ("all-reduce", COMMUNICATING),
    "all_to_all": ("all-to-all", ALL_TO_ALL),
    "all_gather": ("all-gather", GATHER),
    "reduce_scatter": ("reduce-scatter", SCATTER),
    "send_recv": ("send", SEND),
}
"""Legend label and colour of each kind of operation, the same in every figure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Paper, ink and grid of a figure, and the line colours that stand out on that paper."""

    paper: str
    ink: str
    grid: str
    idle: str
    cycle: tuple[str, ...]


LIGHT = Look(
    paper="#FFFFFF",
    ink="#222222",
    grid="#DDDDDD",
    idle="#EEEEEE",
    cycle=(COMPUTING, COMMUNICATING, THIRD, ALL_TO_ALL, SCATTER, ATTENTION, "#B8A900", "#000000"),
)
DARK = Look(
    paper="#16191D",
    ink="#E6E6E6",
    grid="#3A3F45",
    idle="#2A2E33",
    cycle=("#4DA3D9", COMMUNICATING, "#22B98D", "#F0834D", "#DD9BC0", ATTENTION, "#F0E442", "#FFFFFF"),
)
LOOKS = {"light": LIGHT, "dark": DARK}


@contextmanager
def canvas(look: Look, width: float, height: float) -> Iterator[Figure]:
    """An empty figure of that size in inches, and the look as matplotlib's settings while it is drawn."""
    with rc_context(_settings(look)):
        yield Figure(figsize=(width, height), layout="constrained", facecolor=look.paper)


def _settings(look: Look) -> dict[Any, Any]:
    inked = ("axes.edgecolor", "axes.labelcolor", "text.color", "xtick.color", "ytick.color", "axes.titlecolor")
    return {
        "font.size": 10,
        "axes.titlesize": 10.5,
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.facecolor": look.paper,
        "legend.frameon": False,
        "legend.labelcolor": look.ink,
        "svg.hashsalt": "simcluster",
        "svg.fonttype": "none",
        "text.parse_math": False,
        **dict.fromkeys(inked, look.ink),
    }


def heading(figure: Figure, title: str, subtitle: str) -> None:
    """Title and a line of facts below it, flush left."""
    inch = 1 / figure.get_figheight()
    figure.suptitle(f"{_short(title, 90)}\n", x=0.01, ha="left", fontsize=13, fontweight="bold")
    figure.text(0.01, 1 - 0.34 * inch, _short(subtitle, 150), ha="left", va="top", fontsize=10)


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def heat(look: Look, colour: str = COMPUTING) -> LinearSegmentedColormap:
    """From paper to colour."""
    return LinearSegmentedColormap.from_list("heat", [look.paper, colour])


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


def byte_unit(most: float) -> tuple[float, str]:
    """The factor from bytes and the name of the unit that suits sizes up to `most`."""
    for scale, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if most >= 2 * scale:
            return 1 / scale, unit
    return 1.0, "B"


def plain_numbers(axis: Axis) -> None:
    """Tick labels as plain numbers on a logarithmic axis too: a scenario's `$` must stay text, so math is off."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.set_minor_formatter(NullFormatter())


def whole_numbers(axis: Axis) -> None:
    """Ticks at whole numbers only: ranks, nodes, steps."""
    axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def token_unit(most: float) -> tuple[float, str]:
    """The factor from tokens and the word before `tokens` that suits counts up to `most`."""
    return next(((1 / s, name) for s, name in ((1e6, "million "), (1e3, "thousand ")) if most >= 2 * s), (1.0, ""))


def quiet(axes: Axes, look: Look, axis: str = "y") -> None:
    """A pale grid behind the marks, across one axis."""
    axes.grid(axis="x" if axis == "x" else "y", color=look.grid, linewidth=0.6)
    axes.set_axisbelow(True)


def save(figure: Figure, path: Path) -> None:
    """Write the figure; the file's ending picks PNG, SVG or PDF.  The same figure gives the same bytes."""
    kind = path.suffix.lower().lstrip(".")
    if kind not in FORMATS:
        what = f"cannot write a figure as {path.suffix or 'a file without an ending'}; use .png, .svg or .pdf"
        raise InputError(Mistake(what=what, origin=str(path)))
    metadata = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[kind]
    part = path.with_name(f".{path.name}.part")
    try:
        with rc_context(_settings(LIGHT)), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
            figure.savefig(part, format=kind, dpi=150, metadata=metadata)
        part.replace(path)
    except OSError as error:
        raise InputError(Mistake(what=f"cannot be written: {error.strerror or error}", origin=str(path))) from None
    finally:
        part.unlink(missing_ok=True)
