"""Places a command writes to: refused before the work, written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from itertools import combinations
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


def refuse_clash(source: Path, folders: Mapping[str, Path | None], files: Mapping[str, Path | None]) -> None:
    """InputError where two options name one place or one that of the scenario, or a file's place is in a folder that is
    replaced as a whole."""
    whole = {option: path.resolve() for option, path in folders.items() if path is not None}
    named = [(option, path.resolve()) for option, path in {**folders, **files}.items() if path is not None]
    for (option, place), (other, at) in combinations([("the scenario", source.resolve()), *named], 2):
        if at == place:
            raise InputError(Mistake(what=f"is the place of {option}, too; name another one", origin=f"{other} {at}"))
    for option, place in named:
        for other, folder in whole.items():
            if folder in place.parents:
                what = f"lies in the folder of {other}, which is replaced as a whole; name a place outside"
                raise InputError(Mistake(what=what, origin=f"{option} {place}"))


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
    place, part = path.resolve(), None  # a link stays, what it leads to is written
    try:
        with tempfile.NamedTemporaryFile(dir=place.parent, prefix=".simcluster.", delete=False) as file:
            part = Path(file.name)
            file.write(text.encode(errors="replace"))  # a file's name may be no text
        part.chmod(0o666 & ~_umask())
        part.replace(place)
    except BaseException as error:
        if part is not None:
            part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _cannot(path, error) from None
        raise


def _umask() -> int:
    """What new files may not be; it can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


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
