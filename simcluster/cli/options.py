"""Arguments and options that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from simcluster.scenario.catalogue import Section

MOST_FILES = 200
"""Files that one completion lists."""

_SPECIAL = frozenset(" \t'\"\\$`&|;<>()*?[]{}!#~")
"""What a shell reads otherwise where it is not quoted."""

F = TypeVar("F", bound=Callable[..., Any])


def scenario_files(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """YAML files that complete what is written, also one folder below; where there is none, whatever the shell has."""
    from glob import escape, iglob

    from click.shell_completion import CompletionItem

    start = escape(incomplete)
    found = sorted({path for pattern in ("*", "*/*") for path in iglob(f"{start}{pattern}.yaml")})
    if any(not path.isprintable() or set(path) & _SPECIAL for path in found):
        return [CompletionItem(incomplete, type="file")]  # the shell knows how to quote them
    return [CompletionItem(path) for path in found[:MOST_FILES]] or [CompletionItem(incomplete, type="file")]


def words(of: Callable[[], Iterable[str]]) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Completes one of some words, which are looked up when they are needed."""

    def known(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
        return [word for word in of() if word.startswith(incomplete)]

    return known


def number_types() -> Iterable[str]:
    from simcluster.kernels import BYTES_PER_ELEMENT

    return BYTES_PER_ELEMENT


def catalogue_names(section: Section) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Completes a name of the catalogue."""

    def names() -> Iterable[str]:
        from simcluster.scenario import catalogue

        return catalogue.names(section)

    return words(names)


def cluster_source(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """A catalogue's cluster, or a scenario file."""
    from click.shell_completion import CompletionItem

    known = [CompletionItem(name) for name in catalogue_names("cluster")(ctx, param, incomplete)]
    return known or scenario_files(ctx, param, incomplete)


scenario_argument = click.argument(
    "scenario", metavar="SCENARIO", type=click.Path(dir_okay=False), shell_complete=scenario_files
)
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


def quiet_option(function: F) -> F:
    """Kept in the context for `progress`, so that no command needs to pass it on."""
    return click.option(
        "-q", "--quiet", is_flag=True, expose_value=False, callback=_keep_quiet,
        help="No progress and no notes on stderr, only errors.",
    )(function)  # fmt: skip


def quiet_answer_option(function: F) -> F:
    """For commands whose answer has a short form, which it takes as `quiet`."""
    return click.option(
        "-q", "--quiet", is_flag=True, callback=_keep_quiet, help="The answer in a line; nothing on stderr but errors."
    )(function)


def _keep_quiet(ctx: click.Context, _param: click.Parameter, quiet: bool) -> bool:
    ctx.meta["simcluster.quiet"] = quiet
    return quiet
