"""Places a command writes to: refused before the work, written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from simcluster.cli.progress import note
from simcluster.errors import InputError, Mistake


def refuse_unwritable(path: Path) -> None:
    """InputError if a file could not be written at `path`; missing folders on the way could be made."""
    if path.is_dir():
        raise InputError(Mistake(what="is a folder; name a file", origin=str(path)))
    _refuse_folder(path.parent, path)


def refuse_page(path: Path) -> None:
    """InputError if a page could not be written at `path`."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(Mistake(what=f"{path.name!r:.60} is no page; end it in .html", origin="--html"))
    refuse_unwritable(path)


def write_page(path: Path, html: str) -> None:
    """Write a page, its folder too where there is none."""
    make_folder(path.parent)
    write_text(path, html)
    note(f"page: {path}")


def make_folder(path: Path) -> None:
    """Make the folder and those above it; InputError if that is not possible."""
    _refuse_folder(path, path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot(path, error) from None


def write_text(path: Path, text: str) -> None:
    """Write a file in one move, so that a failure leaves what was there; InputError says why it failed."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise _cannot(path, error) from None


def _refuse_folder(folder: Path, path: Path) -> None:
    """InputError about `path` if the nearest thing that exists at or above `folder` is no folder one can write in."""
    nearest = folder
    while not os.path.lexists(nearest) and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        raise InputError(Mistake(what=f"cannot be written: {nearest} is not a folder", origin=str(path)))
    if not os.access(nearest, os.W_OK | os.X_OK) or str(nearest.resolve()).startswith(("/proc", "/sys")):
        raise InputError(Mistake(what=f"cannot be written: no permission to write in {nearest}", origin=str(path)))


def _cannot(path: Path, error: OSError) -> InputError:
    return InputError(Mistake(what=f"cannot be written: {error.strerror or error}", origin=str(path)))
