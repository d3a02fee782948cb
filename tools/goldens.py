"""Rewrite the golden files from the shipped scenarios: `make goldens`."""

from __future__ import annotations

import json
from pathlib import Path

import simcluster
from tests.test_scenarios import SCENARIOS, recorded

GOLDENS = Path("tests/goldens")


def main() -> None:
    """Write one file for each scenario."""
    for path in SCENARIOS:
        golden = recorded(simcluster.simulate(simcluster.load(path)))
        (GOLDENS / f"{path.stem}.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
