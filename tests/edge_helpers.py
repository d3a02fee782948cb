"""What the tests of the user-facing edges share: a small scenario, the command line in-process, and a hang guard."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from simcluster.cli.main import main
from simcluster.errors import InputError

SMALL = """\
name: small
cluster:
  nodes: 2
  gpus_per_node: 4
  gpu:
    memory: 64 GB
    memory_bandwidth: 2 TB/s
    peak: {fp8: 400 TFLOPS}
  nvlink: {bandwidth: 450 GB/s, latency: 1 us}
  infiniband: {bandwidth: 400 Gbit/s, latency: 3 us}
model:
  layers: 2
  hidden: 256
  heads: 8
  moe: {experts: 8, top_k: 2, hidden: 512, gated: false}
  precision: fp8
plan: EP4_TP2_PP1
workload: {phase: prefill, batch: 8, sequence: 128}
"""
"""A valid scenario of 8 GPUs that simulates in about ten milliseconds."""

DOES_NOT_FIT = "cluster.gpu.memory=1 MB"
"""An override under which SMALL needs more memory than a GPU has."""

FILES = ("manifest.json", "resolved.yaml", "result.json", "timeline.npz")
"""What `run --out` writes, sorted."""


def changed(*edits: tuple[str, str], text: str = SMALL) -> str:
    """`text` with each (old, new) replaced; every old part must stand there exactly once."""
    for old, new in edits:
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the scenario"
        text = text.replace(old, new)
    return text


def named(name: str) -> str:
    """SMALL under another name, written as a quoted YAML (that is, JSON) string."""
    return changed(("name: small", f"name: {json.dumps(name, ensure_ascii=False)}"))


def refusal(work: Callable[[], object]) -> InputError | None:
    """The error with which `work` refuses its input, or None where it takes it; anything else is raised."""
    try:
        work()
    except InputError as error:
        return error
    return None


def scenario_file(folder: Path, text: str = SMALL, name: str = "small.yaml") -> Path:
    """The path of a new scenario file."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended: its exit status and both streams."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """The one JSON object on stdout; anything before or after it is an error."""
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value


def simcluster(*arguments: object) -> Outcome:
    """The command line in this process: the same `main` that the program runs, with its own argv and streams."""
    out, err = (TextIOWrapper(BytesIO(), encoding="utf-8", errors="strict", write_through=True) for _ in range(2))
    before = sys.argv
    sys.argv = ["simcluster", *map(str, arguments)]
    try:
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as raised:
            main()
    finally:
        sys.argv = before
    code = raised.value.code
    assert isinstance(code, int)
    return Outcome(code=code, out=_text(out), err=_text(err))


def _text(stream: TextIOWrapper) -> str:
    buffer = stream.buffer
    assert isinstance(buffer, BytesIO)
    return buffer.getvalue().decode()


def process(
    *arguments: object, folder: Path | None = None, environment: Mapping[str, str] | None = None, module: bool = False
) -> Outcome:
    """The command as a process of its own; with `module`, as `python -m simcluster`."""
    program = [sys.executable, "-m", "simcluster"] if module else [program_file()]
    done = subprocess.run(
        [*program, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=100,
    )
    return Outcome(code=done.returncode, out=done.stdout, err=done.stderr)


def program_file() -> str:
    """The installed script `simcluster` beside this Python."""
    return str(Path(sys.executable).with_name("simcluster"))


@contextmanager
def no_longer_than(seconds: float) -> Iterator[None]:
    """Stop what hangs: a TimeoutError after so long, far above what the work inside needs."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"still running after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
