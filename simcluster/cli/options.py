"""Arguments and options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

scenario_argument = click.argument("scenario", metavar="SCENARIO", type=click.Path(dir_okay=False))
"""A scenario file; a missing file is reported by the reader, like any other mistake."""


def set_option(function: F) -> F:
    return click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="PATH=VALUE",
        help="Set one value of the scenario, such as plan=EP8_TP1_PP1; may be repeated.",
    )(function)


def style_option(function: F) -> F:
    return click.option(
        "--style", "style_name", type=click.Choice(["light", "dark"]), default="light", show_default=True,
        help="Paper of the figure.",
    )(function)  # fmt: skip


def json_option(function: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")(function)


def fold_option(function: F) -> F:
    return click.option(
        "--fold", type=click.Choice(["auto", "off"]), default="auto", show_default=True,
        help="auto replays GPUs with equal work once, off every GPU for itself: slower, the same numbers.",
    )(function)  # fmt: skip


html_option = click.option("--html", "page", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.html",
                           help="Write a page that opens without a network.")  # fmt: skip
