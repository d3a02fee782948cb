"""The bar that long commands show."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from threading import Event, Thread

import click

PATIENCE_S = 1.0
"""What is shorter than this shows nothing."""


def silent() -> bool:
    """Whether nothing but errors goes to stderr: `--quiet` was given."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get("simcluster.quiet"))


def note(text: str) -> None:
    """A line on stderr beside the answer."""
    if not silent():
        click.echo(text, err=True)


def _shown() -> bool:
    return sys.stderr.isatty() and not silent()


@contextlib.contextmanager
def progress(what: str, *, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr where that is a terminal, silence elsewhere; it takes how many are done, of how many."""
    if quiet or not _shown():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextlib.contextmanager
def waiting(what: str) -> Iterator[None]:
    """A moving bar and a clock on stderr, for work that cannot say how far it is, once it has taken a second."""
    if not _shown():
        yield
        return
    done = Event()
    thread = Thread(target=_wait, args=(what, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _wait(what: str, done: Event) -> None:
    if done.wait(PATIENCE_S):
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn(what), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        bar.add_task(what, total=None)
        done.wait()
