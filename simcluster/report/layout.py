"""Plain text in columns."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence


def section(title: str, body: str) -> str:
    """A title, a rule under it, and a body."""
    return f"{title}\n{'-' * len(title)}\n{body}"


def aligned(rows: Sequence[tuple[str, str]]) -> str:
    """Names padded to the longest, each followed by its value."""
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def grid(rows: Sequence[tuple[str, ...]], right: tuple[int, ...] = ()) -> str:
    """Columns padded to their widest cell, the `right` ones right-aligned."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def fill(text: str) -> str:
    """A paragraph."""
    return textwrap.fill(text, width=110)


def paragraph(text: str) -> str:
    """A paragraph that never parts a number from its unit."""
    held = re.sub(r"(?<=\d) (?=\D)", "\N{NO-BREAK SPACE}", text)
    return fill(held).replace("\N{NO-BREAK SPACE}", " ")
