"""Trace files on disk: written piece by piece beside their place, then moved there."""

from __future__ import annotations

import os
import tempfile
import zlib
from collections.abc import Callable, Iterable
from errno import EISDIR
from pathlib import Path

from simcluster.errors import InputError, Mistake
from simcluster.report.trace.lanes import lanes
from simcluster.report.trace.slices import Slices
from simcluster.report.trace.trace import pieces
from simcluster.timeline.result import Result

ENDINGS = (".json", ".json.gz")

_LEVEL = 1
"""Of gzip: the text repeats itself, and more effort takes three times as long for a third less."""

_GZIP = 31
"""zlib's word for a gzip file; it writes no name and no time, so the same run gives the same bytes."""


def write(result: Result, path: str | Path) -> None:
    """Write the trace of a run: one file, .json or .json.gz, with a process for each replayed class of ranks; or, where
    `path` has no ending, a folder with a file rank-N.json.gz for each, as HolisticTraceAnalysis reads it.

    What stands there is replaced by all of it or not at all.  InputError where the plan did not fit in memory, the
    ending is another one, the folder holds other files, or it cannot be written.
    """
    path = Path(path)
    refuse(path)
    timeline = result.timeline
    if timeline is None:
        raise InputError(
            Mistake(what="no trace: the plan does not fit in memory, nothing was replayed", origin=str(path))
        )
    identity, every = result.identity, range(len(timeline.tracks))
    slices = Slices(lanes(timeline), identity.degrees, identity.gpus_per_node)
    if not is_folder(path):
        _whole(path, lambda part: _stream(part, pieces(result, slices, every)))
        return

    def fill(part: Path) -> None:
        part.mkdir()
        for track in every:
            name = f"rank-{int(timeline.tracks.first[track])}.json.gz"
            _stream(part / name, pieces(result, slices, range(track, track + 1)))

    _whole(path, fill)


def is_folder(path: Path) -> bool:
    """Whether a trace at that path is a folder of files for one rank each."""
    return not path.name.endswith(ENDINGS)


def refuse(path: Path) -> None:
    """InputError where `write` would not write there, whatever the run."""
    if str(path) == "-":
        raise InputError(Mistake(what="a trace is not written to standard output; name a file", origin="--trace"))
    if not is_folder(path):
        return
    if path.suffix and not path.is_dir():
        what = "the ending must be .json or .json.gz, or none for a folder with a file for each class of ranks"
        raise InputError(Mistake(what=what, origin=str(path)))
    if not path.exists():
        return
    if not path.is_dir():
        raise InputError(Mistake(what="is a file; a trace without an ending is a folder", origin=str(path)))
    try:
        foreign = sorted(one.name for one in path.iterdir() if not _is_ours(one.name))
    except OSError as error:
        raise _cannot(path, error) from None
    if foreign:
        what = f"holds {foreign[0]}, which no trace wrote; name a new folder, or a file .json or .json.gz"
        raise InputError(Mistake(what=what, origin=str(path)))


def _is_ours(name: str) -> bool:
    return name.startswith("rank-") and name.endswith(".json.gz") and name[5:-8].isdecimal()


def _stream(path: Path, texts: Iterable[bytes]) -> None:
    """Write a file, compressed where its name says so."""
    with path.open("wb") as file:
        if not path.name.endswith(".gz"):
            file.writelines(texts)
            return
        squeeze = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        for one in texts:
            file.write(squeeze.compress(one))
        file.write(squeeze.flush())


def _whole(path: Path, fill: Callable[[Path], None]) -> None:
    """Let `fill` write a file or folder beside `path`, then put it there; a failure leaves what was there."""
    path = path.resolve()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name[:100]}.", dir=path.parent) as beside:
            part = Path(beside) / path.name
            fill(part)
            if path.is_dir() and not part.is_dir():
                raise IsADirectoryError(EISDIR, "is a folder", str(path))
            old = Path(beside) / f"{path.name}.old"
            if path.is_dir():
                os.rename(path, old)
            try:
                os.replace(part, path)
            except BaseException:
                if old.exists():
                    os.rename(old, path)
                raise
    except OSError as error:
        raise _cannot(path, error) from None


def _cannot(path: Path, error: OSError) -> InputError:
    return InputError(Mistake(what=f"cannot be written: {error.strerror or error}", origin=str(path)))
