"""Writes docs/reference/ from the code: `python -m tools.reference`."""

from __future__ import annotations

from pathlib import Path

from tools.reference import commands, metrics, scenario

FOLDER = Path("docs/reference")

PAGES = {"scenario.md": scenario.page, "commands.md": commands.page, "metrics.md": metrics.page}
"""Each page and what writes it."""


def main() -> None:
    """Write every page."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
