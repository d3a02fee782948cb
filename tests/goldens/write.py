"""Rewrite the golden files from the shipped scenarios: `make goldens`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import simcluster

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.test_scenarios import SCENARIOS, recorded

for path in SCENARIOS:
    golden = recorded(simcluster.simulate(simcluster.load(path)))
    (Path(__file__).parent / f"{path.stem}.json").write_text(json.dumps(golden, indent=1) + "\n")
