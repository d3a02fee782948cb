"""Metrics: every scalar of a result has one path, and a leaf alone means its unique path."""

from __future__ import annotations

import pytest

from simcluster.timeline.metric import METRICS, OF_GENERATION, OF_POWER, OF_PRICE, full_path, parse_value
from tests.physics_helpers import EXAMPLE, answer, run_text


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("mfu", "mfu"),
        ("fraction", "memory.fraction"),
        ("kv_cache", "memory.kv_cache"),
        ("infiniband", "traffic.infiniband"),
        ("attention", "flops_per_gpu.attention"),
        ("memory.total", "memory.total"),
        ("tp", "degrees.tp"),
    ],
)
def test_a_leaf_means_its_unique_path(name: str, path: str) -> None:
    assert full_path(name) == path


@pytest.mark.parametrize("name", ["total", "nonsense", "memory", ""])
def test_an_ambiguous_or_unknown_metric_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"could be|no metric"):
        full_path(name)


def test_every_metric_of_the_example_is_a_number_of_its_json() -> None:
    for path in METRICS:
        if not path.startswith("modules.") and path not in (*OF_GENERATION, *OF_PRICE, *OF_POWER):
            assert isinstance(answer(run_text(EXAMPLE), path), int | float), path


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("memory.total", "57.17 MB", 57.17e6),
        ("memory.expert_weights", "32 MiB", 2**25),
        ("latency_s", "2 ms", 2e-3),
        ("mfu", "0.839", 0.839),
        ("mfu", "83.9%", 0.839),
        ("cost_per_million_tokens", "0.25 USD", 0.25),
        ("energy_per_token_j", "3.5 mJ", 3.5e-3),
        ("power_mean_w", "0.7 kW", 700),
        ("gpus", "128", 128),
        ("balance.compute_variance", "1e-3", 1e-3),
    ],
)
def test_values_are_read_in_the_metric_s_own_measure(path: str, text: str, value: float) -> None:
    assert parse_value(path, text) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("memory.total", "57"),
        ("latency_s", "3"),
        ("mfu", "much"),
        ("gpus", "1e99"),
        ("cost_per_million_tokens", "3"),
        ("power_mean_w", "3 J"),
    ],
)
def test_a_value_without_the_unit_it_needs_is_refused(path: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"unit|not a number|out of range"):
        parse_value(path, text)
