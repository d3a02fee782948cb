"""The folder of `run --out`: all of it or none of it."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path

from simcluster.errors import InputError, Mistake
from simcluster.report.machine import result_json
from simcluster.scenario.render import render
from simcluster.scenario.scenario import Scenario
from simcluster.timeline.result import SCHEMA_VERSION, Result
from simcluster.timeline.store import pack

MANIFEST = "manifest.json"
TIMELINE = "timeline.npz"
FILES = ("resolved.yaml", "result.json", TIMELINE, MANIFEST)


def refuse_foreign(folder: Path) -> None:
    """InputError if the folder holds anything that `run --out` did not write, so that nothing of a user's is lost."""
    if not folder.exists():
        return
    foreign = sorted(entry.name for entry in folder.iterdir() if entry.name not in FILES)
    if foreign or (any(folder.iterdir()) and not (folder / MANIFEST).exists()):
        named = foreign[0] if foreign else "files of another kind"
        raise InputError(Mistake(what=f"holds {named}, which no run wrote; name a new folder", origin=str(folder)))


def write(folder: Path, scenario: Scenario, result: Result) -> None:
    """Write the run's files beside the folder, then put them in its place in one move."""
    contents = {
        "resolved.yaml": render(scenario).encode(),
        "result.json": (result_json(result) + "\n").encode(),
        TIMELINE: pack(result),
    }
    contents[MANIFEST] = (json.dumps(_manifest(contents), indent=2) + "\n").encode()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            for name, data in contents.items():
                (part / name).write_bytes(data)
            part.chmod(0o755)
            if folder.exists():
                old = part.with_name(f"{part.name}.old")
                folder.rename(old)
                os.rename(part, folder)
                shutil.rmtree(old)
            else:
                os.rename(part, folder)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
    except OSError as error:
        raise InputError(Mistake(what=f"cannot be written: {error.strerror}", origin=str(folder))) from None


def _manifest(contents: dict[str, bytes]) -> dict[str, object]:
    packages = ("numpy", "simpy", "networkx", "pydantic", "PyYAML")
    return {
        "simcluster": version("simcluster"),
        "schema_version": SCHEMA_VERSION,
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()},
    }
