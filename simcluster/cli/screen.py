"""What goes to stdout: text as it is into a file, in colour and no wider than the window on a terminal."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap

import click

LEAST = 40
"""Characters of the narrowest window that text is fitted to."""

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
    prose = not any(line.startswith(" ") or _GAP.search(line) or _RULE.fullmatch(line) for line in lines)
    if prose and not block.startswith(("ok  ", "FAIL")):
        return textwrap.fill(" ".join(lines), width)
    return "\n".join(_folded(line, width) for line in lines)


def _folded(line: str, width: int) -> str:
    """A line whose last column goes on below itself; where that would be too narrow, a little from the left."""
    if len(line) <= width:
        return line
    gaps = [gap.end() for gap in _GAP.finditer(line) if gap.end() <= width - LEAST // 2]
    indent = gaps[-1] if gaps else len(line) - len(line.lstrip())
    body = textwrap.wrap(line[indent:], width - indent, drop_whitespace=True, break_on_hyphens=False) or [""]
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
