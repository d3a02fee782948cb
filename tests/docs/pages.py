"""A page of the documentation as steps to carry out: its commands, snippets, scenarios, and what they print."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from simcluster.scenario.compile import compile_text

ROOT = Path(__file__).parent.parent.parent

GAP = "…"
"""Stands for lines that are left out, and at the end of a line for the rest of it."""

_BLOCK = re.compile(r"^(?P<indent> *)```(?P<language>[a-z]*)\n(?P<body>.*?)^ *```$", re.DOTALL | re.MULTILINE)
_COMMAND = 'simcluster() { "$PYTHON" -m simcluster "$@"; }\npython() { "$PYTHON" "$@"; }\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block and the line it begins in; `text` is what the commands or the snippet before it printed."""

    language: str
    body: str
    line: int


def blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    for found in _BLOCK.finditer(text):
        body = re.sub(rf"^{found['indent']}", "", found["body"], flags=re.MULTILINE)
        yield Block(language=found["language"], body=body, line=text.count("\n", 0, found.start()) + 1)


def carry_out(page: Path, folder: Path) -> int:
    """Do everything the page says, in `folder`, where the shipped scenarios are; how many steps there were.

    A block of commands or Python runs; a `text` block after it must be part of what it printed; a scenario that begins
    with `# name.yaml` is kept under that name; another YAML block is laid over the scenario before it; JSON is read.
    """
    (folder / "scenarios").symlink_to(ROOT / "scenarios")
    (folder / "out").mkdir()
    whole: dict[str, Any] = yaml.safe_load((ROOT / "scenarios" / "ep64_tp2_pp1.yaml").read_text())
    printed, steps = "", 0
    for block in blocks(page.read_text(encoding="utf-8")):
        place = f"{page.name}:{block.line}"
        steps += 1
        match block.language:
            case "sh":
                printed = _run(["bash", "-euc", _COMMAND + block.body], folder, place)
            case "python":
                printed = _run([sys.executable, "-c", block.body], folder, place)
            case "text":
                missing = first_missing(block.body, printed)
                assert missing is None, f"{place}: not printed: {missing!r}; printed was:\n{printed}"
            case "yaml":
                whole = _scenario(block.body, whole, folder, place)
            case "json":
                json.loads(block.body)
            case "":
                steps -= 1  # a formula or a usage line
            case other:
                raise AssertionError(f"{place}: nothing carries out a block of {other}")
    return steps


def first_missing(excerpt: str, printed: str) -> str | None:
    """The first line of an excerpt that was not printed where it should have been; None if it is all there."""
    lines = [line.rstrip() for line in printed.splitlines()]
    at, anywhere = 0, True
    for wanted in (line.rstrip() for line in excerpt.splitlines()):
        if wanted.strip() == GAP:
            anywhere = True
            continue
        reach = range(at, len(lines)) if anywhere else range(at, min(at + 1, len(lines)))
        found = next((place for place in reach if _same(wanted, lines[place])), None)
        if found is None:
            return wanted
        at, anywhere = found + 1, False
    return None


def _same(wanted: str, line: str) -> bool:
    if wanted.endswith(f" {GAP}"):
        return line.startswith(wanted.removesuffix(f" {GAP}").rstrip())
    return wanted == line


def _run(command: list[str], folder: Path, place: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHON": sys.executable, "MPLBACKEND": "agg"}
    run = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=300, env=environment, check=False
    )  # fmt: skip
    assert run.returncode == 0, f"{place}: exit status {run.returncode}: {run.stderr}"
    return run.stdout


def _scenario(body: str, before: Mapping[str, Any], folder: Path, place: str) -> dict[str, Any]:
    """The scenario that a block is, or makes of the one before it; it must compile."""
    named = re.match(r"# (\S+\.yaml)\n", body)
    tree: dict[str, Any] = yaml.safe_load(body)
    if named:
        (folder / named[1]).write_text(body, encoding="utf-8")
    else:
        tree = {**before, "expect": [], **{key: _over(before.get(key), value) for key, value in tree.items()}}
    compile_text(yaml.safe_dump(tree, sort_keys=False), str(folder / "page.yaml"))
    return tree


def _over(before: Any, value: Any) -> Any:
    return {**before, **value} if isinstance(before, dict) and isinstance(value, dict) else value
