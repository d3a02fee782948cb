"""Shares: what a plan cuts must divide, and the message names what would."""

from __future__ import annotations

import pytest

from simcluster.errors import InputError
from simcluster.scenario.compile import compile_text
from tests.physics_helpers import EXAMPLE


@pytest.mark.parametrize(
    ("overrides", "path", "fits"),
    [
        (["model.heads=12", "model.head_dim=64", "plan=EP16_TP8"], "plan.tp", "6 or 12"),
        (["model.moe.experts=60"], "plan.ep", "ep: 60"),
        (["plan=EP128", "workload.batch=128"], "plan.ep", "ep: 64"),
        (["model.moe.hidden=2047"], "plan.etp", "etp: 1"),
        (["workload.batch=100"], "workload.batch", "64 or 128"),
        (["workload.batch=3"], "workload.batch", "use 64"),
        (["model.heads=12", "model.head_dim=64", "model.kv_heads=3"], "plan.tp", "1 or 3"),
    ],
)
def test_what_does_not_divide_is_refused_with_the_nearest_that_does(overrides: list[str], path: str, fits: str) -> None:
    with pytest.raises(InputError) as error:
        compile_text(EXAMPLE, "x.yaml", overrides)
    about = [mistake.what for mistake in error.value.mistakes if mistake.path == path]
    assert about, str(error.value)
    assert fits in about[0]


def test_experts_are_no_plan_for_a_dense_model() -> None:
    dense = "model={layers: 16, hidden: 1024, heads: 16, mlp: {hidden: 4096}, precision: fp8}"
    with pytest.raises(InputError, match="no experts"):
        compile_text(EXAMPLE, "x.yaml", [dense])


@pytest.mark.parametrize(("rule", "batch"), [("{per_gpu: 3}", 384), ("{per_replica: 3}", 192), ("192", 192)])
def test_a_batch_can_follow_the_cluster(rule: str, batch: int) -> None:
    """The example has 128 GPUs and 64 replicas."""
    assert compile_text(EXAMPLE, "x.yaml", [f"workload.batch={rule}"]).workload.batch == batch
