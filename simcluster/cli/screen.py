"""What goes to stdout: text as it is into a file, in colour and no wider than the window on a terminal."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from itertools import pairwise

import click

LEAST = 40
"""Characters of the narrowest window that text is fitted to."""

WRAPPED = 90
"""Characters past which a line was ended by wrapping."""

_RULE = re.compile(r"(=+|-{3,})")
_BAR = re.compile(r"█+")
_GAP = re.compile(r"(?<=\S) {2,}(?=\S)")
_STATES = {"computing": "green", "communicating": "red", "waiting": "yellow", "idle": "yellow"}


def put(text: str, *, plain: bool = False) -> None:
    """Print it; `plain` is for other programs and is never coloured or wrapped."""
    if plain:
        click.echo(text)
        return
    if sys.stdout.isatty():
        text = fitted(text, shutil.get_terminal_size().columns)
    colour = coloured()
    click.echo(painted(text) if colour else text, color=colour)


def coloured() -> bool:
    """FORCE_COLOR wants colour everywhere, NO_COLOR nowhere; else a terminal has it, unless it is dumb."""
    if os.environ.get("FORCE_COLOR"):
        return True
    return not os.environ.get("NO_COLOR") and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def fitted(text: str, width: int) -> str:
    """The text in lines of at most `width` characters: paragraphs filled anew, a table's last column wrapped."""
    width = max(width, LEAST)
    return "\n\n".join(_fitted(block, width) for block in text.split("\n\n"))


def _fitted(block: str, width: int) -> str:
    lines = block.split("\n")
    if max(map(len, lines)) <= width:
        return block
    titled = len(lines) > 2 and _RULE.fullmatch(lines[1]) is not None
    head, rows = (lines[:2], lines[2:]) if titled else ([], _joined(lines))
    if not any(row.startswith(" ") or _GAP.search(row) for row in rows):
        return "\n".join([*head, *(textwrap.fill(line, width) for line in _paragraphs(rows))])
    starts = _starts(rows)
    if len(starts) > 3 and starts[-1] > width - LEAST // 2:
        rows = _parted(rows, starts, width)
    indent = max((start for start in starts if start <= width - LEAST // 2), default=0)
    return "\n".join([*head, *(_folded(row, indent, width) for row in rows)])


def _paragraphs(lines: list[str]) -> list[str]:
    """Lines of prose, those that were ended by wrapping put together again."""
    found = lines[:1]
    for before, line in pairwise(lines):
        found = [*found[:-1], f"{found[-1]} {line}"] if len(before) > WRAPPED else [*found, line]
    return found


def _joined(lines: list[str]) -> list[str]:
    """Hanging lines of a wrapped text put back onto the line they hang from."""
    found = lines[:1]
    for line in lines[1:]:
        hangs = line.startswith("    ") and _GAP.search(line) is None and len(found[-1]) > WRAPPED
        found = [*found[:-1], f"{found[-1]} {line.strip()}"] if hangs else [*found, line]
    return found


def _starts(rows: list[str]) -> list[int]:
    """Where columns begin: after two characters that are blank in every row."""
    longest = max(map(len, rows))
    used = [any(row[at : at + 1].strip() for row in rows) for at in range(longest)]
    return [0, *(at for at in range(2, longest) if used[at] and not used[at - 1] and not used[at - 2])]


def _parted(rows: list[str], starts: list[int], width: int) -> list[str]:
    """A table too wide for the window as several below each other, each with the first column."""
    columns = [[row[start:end] for row in rows] for start, end in zip(starts, [*starts[1:], None], strict=True)]
    wide = [max(map(len, column)) for column in columns]
    parts, room = [[0]], 0
    for at in range(1, len(columns)):
        if at > 1 and room + wide[at] > width:
            parts.append([0])
        room = wide[at] + (room if len(parts[-1]) > 1 else wide[0])
        parts[-1].append(at)
    tables = [["".join(columns[at][row] for at in part).rstrip() for row in range(len(rows))] for part in parts]
    return [line for table in tables for line in (*table, "")][:-1]


def _folded(line: str, indent: int, width: int) -> str:
    """A line whose last column goes on below itself."""
    if len(line) <= width:
        return line
    if line[:indent].strip() and not line[max(indent - 2, 0) : indent].isspace():
        indent = 0
    body = textwrap.wrap(line[indent:], width - indent, break_on_hyphens=False)
    return line[:indent] + ("\n" + " " * indent).join(body)


def painted(text: str) -> str:
    """The text with headings, verdicts, marks and bars in colour."""
    lines = text.split("\n")
    below = [*lines[1:], ""]
    return "\n".join(_painted(line, after) for line, after in zip(lines, below, strict=True))


def _painted(line: str, after: str) -> str:
    if line and _RULE.fullmatch(after) and len(after) >= 3:
        return click.style(line, bold=True)
    if _RULE.fullmatch(line):
        return click.style(line, dim=True)
    word = line.strip().partition(" ")[0]
    if word in ("ok", "FAIL") and line.startswith(word):
        return click.style(word, fg="green" if word == "ok" else "red", bold=True) + line[len(word) :]
    for mark, colour in (("confirmed:", "green"), ("refuted", "red")):
        if word == mark:
            return line.replace(mark, click.style(mark, fg=colour), 1)
    verdict = re.match(r"Bound by [^:]+:|.* does not fit:|Checks: \d+ of \d+ fail:", line)
    if verdict is not None:
        return click.style(verdict[0], bold=True) + line[verdict.end() :]
    bar = _BAR.search(line)
    if bar is not None:
        shade = click.style(bar[0], fg=_STATES.get(word, "cyan"))
        return line[: bar.start()] + shade + line[bar.end() :]
    return line
