"""What a command costs as a whole process: CPU seconds, wall seconds and peak memory, and on which machine."""

from __future__ import annotations

import os
import platform
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SIMCLUSTER = str(Path(sys.executable).with_name("simcluster"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """CPU of a process and its children (user + system), wall time, and the memory of the largest process.

    A child's peak memory starts at that of the process that made it, so whoever measures imports little.
    """

    cpu_s: float
    wall_s: float
    peak_mb: float


def measure(command: tuple[str, ...], runs: int) -> Cost:
    """The command run so often, what it prints thrown away: median seconds, largest memory."""
    costs = [_once(command) for _ in range(runs)]
    return Cost(
        cpu_s=statistics.median(cost.cpu_s for cost in costs),
        wall_s=statistics.median(cost.wall_s for cost in costs),
        peak_mb=max(cost.peak_mb for cost in costs),
    )


def environment() -> dict[str, str]:
    """That of a user whose Python keeps compiled modules, as it does unless told otherwise; here in a folder aside."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    aside = Path(tempfile.gettempdir()) / f"simcluster-benchmarks-{os.getuid()}"
    return {**kept, "COLUMNS": "120", "PYTHONPYCACHEPREFIX": str(aside)}


def _once(command: tuple[str, ...]) -> Cost:
    nowhere = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)
    start = time.perf_counter()
    process = os.posix_spawn(command[0], command, environment(), file_actions=[nowhere])
    _, status, usage = os.wait4(process, 0)
    wall_s = time.perf_counter() - start
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"failed: {' '.join(command):.300}")
    return Cost(cpu_s=usage.ru_utime + usage.ru_stime, wall_s=wall_s, peak_mb=usage.ru_maxrss * 1024 / 1e6)


def machine() -> str:
    """The processor by name, its cores at hand, Python and the system."""
    cores = len(os.sched_getaffinity(0))
    return f"{_processor()}, {cores} cores, Python {platform.python_version()}, {platform.system()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
