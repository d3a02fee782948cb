"""Modules: experts, tensor shards and layers, and the GPUs that hold them."""

from __future__ import annotations

import pytest

from tests.physics_helpers import EXAMPLE, answer, run_text

Row = tuple[str, int, int]
"""(type, count, GPUs of each)."""


@pytest.mark.parametrize(
    ("plan", "rows"),
    [
        ("EP64_TP2_PP1", [("expert", 64, 2), ("tensor", 128, 1), ("layer", 16, 128)]),
        ("EP8_DP16", [("expert", 64, 16), ("tensor", 64, 16), ("layer", 16, 128)]),
        ("TP8_EP8_DP16", [("expert", 64, 16), ("tensor", 64, 16), ("layer", 16, 128)]),
        ("{tp: 8, ep: 8, dp: 16}", [("expert", 64, 16), ("tensor", 512, 2), ("layer", 16, 128)]),
    ],
)
def test_modules_of_experts_are_counted_by_expert_shard_and_layer(plan: str, rows: list[Row]) -> None:
    found = answer(run_text(EXAMPLE, f"plan={plan}"), "modules")
    assert found == [
        {"type": kind, "count": count, "gpus_per_module": gpus, "total_gpus": 128} for kind, count, gpus in rows
    ]


def test_a_dense_model_has_no_expert_row() -> None:
    dense = "model={layers: 16, hidden: 1024, heads: 16, mlp: {hidden: 4096}, precision: fp8}"
    found = answer(run_text(EXAMPLE, dense, "plan=TP4_DP32"), "modules")
    assert found == [
        {"type": "tensor", "count": 4, "gpus_per_module": 32, "total_gpus": 128},
        {"type": "layer", "count": 16, "gpus_per_module": 128, "total_gpus": 128},
    ]
