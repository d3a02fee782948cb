"""Balance: uniform routing over equal shards leaves no spread."""

from __future__ import annotations

import pytest

from tests.physics_helpers import EXAMPLE, answer, run_text

EVEN = {
    "expert_load_variance": 0.0,
    "expert_load_max_over_mean": 1.0,
    "compute_variance": 0.0,
    "memory_variance": 0.0,
}


@pytest.mark.parametrize(
    ("plan", "per_group"), [("EP64_TP2_PP1", 1), ("EP8_DP16", 8), ("DP128", 64), ("{tp: 2, ep: 64, etp: 1}", 1)]
)
def test_every_group_holds_the_same_experts_and_load(plan: str, per_group: int) -> None:
    found = answer(run_text(EXAMPLE, f"plan={plan}"), "balance")
    assert found == pytest.approx({"experts_per_gpu_group": per_group, **EVEN}, rel=1e-9, abs=1e-9)
