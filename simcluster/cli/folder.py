"""The folder of `run --out`: all of it or none of it."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import tempfile
from pathlib import Path

from simcluster.cli import place
from simcluster.errors import InputError, Mistake
from simcluster.report.machine import result_json
from simcluster.scenario.render import render
from simcluster.scenario.scenario import Scenario
from simcluster.timeline.capacity import Capacity
from simcluster.timeline.interval import Uncertainty
from simcluster.timeline.result import SCHEMA_VERSION, Result
from simcluster.timeline.slowdown import WithoutFaults
from simcluster.timeline.store import pack

MANIFEST = "manifest.json"
TIMELINE = "timeline.npz"
FILES = ("resolved.yaml", "result.json", TIMELINE, MANIFEST)


def refuse_foreign(folder: Path) -> None:
    """InputError if the folder cannot be written, or holds what no `run --out` wrote: nothing of a user's is lost."""
    place.refuse_unwritable(folder.resolve() / MANIFEST)
    if not folder.exists() or not any(folder.iterdir()):
        return
    foreign = sorted(entry.name for entry in folder.iterdir() if entry.name not in FILES)
    if foreign or not _is_ours(folder / MANIFEST):
        named = foreign[0] if foreign else "files of another kind"
        raise InputError(Mistake(what=f"holds {named}, which no run wrote; name a new folder", origin=str(folder)))


def _is_ours(manifest: Path) -> bool:
    try:
        found = json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and {"simcluster", "schema_version", "sha256"} <= found.keys()


def write(
    folder: Path,
    scenario: Scenario,
    result: Result,
    capacity: Capacity,
    uncertainty: Uncertainty | None = None,
    healthy: WithoutFaults | None = None,
) -> None:
    """Write the run's files beside the folder, then put them in its place; a failure leaves what was there."""
    contents = {
        "resolved.yaml": render(scenario).encode(),
        "result.json": (result_json(result, capacity, uncertainty, healthy) + "\n").encode(),
        TIMELINE: pack(result),
    }
    contents[MANIFEST] = (json.dumps(_manifest(contents), indent=2) + "\n").encode()
    folder = folder.resolve()
    place.make_folder(folder.parent)
    part = old = None
    try:
        part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        for name, data in contents.items():
            (part / name).write_bytes(data)
        part.chmod(0o755)
        if folder.exists():
            old = part.with_name(f"{part.name}.old")
            folder.rename(old)
        os.rename(part, folder)
    except BaseException as error:
        if old is not None and old.exists() and not folder.exists():
            old.rename(folder)
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)
        if isinstance(error, OSError):
            what = f"cannot be written: {error.strerror or error}"
            raise InputError(Mistake(what=what, origin=str(folder))) from None
        raise
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)


def _manifest(contents: dict[str, bytes]) -> dict[str, object]:
    from importlib import metadata  # takes a while, and few runs are kept

    packages = ("numpy", "simpy", "networkx", "pydantic", "PyYAML")
    return {
        "simcluster": metadata.version("simcluster"),
        "schema_version": SCHEMA_VERSION,
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in packages},
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()},
    }
