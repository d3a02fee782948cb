"""`workload.expert_load`: how popular each expert is, written, set, shown and swept."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simcluster.errors import InputError
from simcluster.scenario.compile import compile_text
from simcluster.scenario.render import as_tree, render
from simcluster.scenario.scenario import Scenario
from tests.edge_helpers import SMALL, changed

WORKLOAD = "workload: {phase: prefill, batch: 8, sequence: 128}"


def compiled(*overrides: str) -> Scenario:
    return compile_text(SMALL, "small.yaml", overrides)


def test_popularity_is_the_same_set_or_written() -> None:
    written = compile_text(changed((WORKLOAD, f"{WORKLOAD[:-1]}, expert_load: {{5: 4, 2: 0.5}}}}")), "small.yaml")
    assert written.workload.expert_load == {2: 0.5, 5: 4.0}
    assert compiled("workload.expert_load={5: 4, 2: 0.5}") == written
    assert compiled("workload.expert_load.5=4", "workload.expert_load.2=0.5") == written


@pytest.mark.parametrize("load", ["{}", "{0: 1}", "{0: 1.0, 7: 1}"])
def test_the_default_is_one_for_every_expert(load: str) -> None:
    scenario = compiled(f"workload.expert_load={load}")
    assert scenario == compiled()
    assert "expert_load" not in render(scenario)


def test_it_works_with_decode_and_a_cluster_by_name() -> None:
    decode = "workload={phase: decode, batch: 8, context: 64, expert_load: {3: 2}}"
    assert compiled(decode).workload.expert_load == {3: 2.0}


@pytest.mark.parametrize(("top_k", "weight"), [(2, 7), (3, 3.5), (4, 2.33333333), (8, 1)])
def test_the_largest_weight_that_fits_is_told_and_taken(top_k: int, weight: float) -> None:
    more = f"model.moe.top_k={top_k}"
    with pytest.raises(InputError, match=f"beside the others its weight can be {weight:.9g}$"):
        compiled(more, "workload.expert_load={5: 50}")
    compiled(more, f"workload.expert_load={{5: {weight}}}")


def test_with_one_expert_a_token_any_weight_fits() -> None:
    assert compiled("model.moe.top_k=1", "workload.expert_load={5: 1e21}").workload.expert_load == {5: 1e21}
    nobody_else = ", ".join(f"{expert}: 0" for expert in range(7))
    assert len(compiled("model.moe.top_k=1", f"workload.expert_load={{{nobody_else}}}").workload.expert_load) == 7


def test_an_index_is_told_even_where_the_plan_is_wrong() -> None:
    with pytest.raises(InputError) as raised:
        compiled("workload.expert_load={9: 2}", "plan=EP5_DP3")
    assert {mistake.path for mistake in raised.value.mistakes} == {"workload.expert_load.9", "plan"}


@settings(derandomize=True, deadline=None, max_examples=60)
@given(weights=st.dictionaries(st.integers(0, 7), st.floats(0.25, 1.5), max_size=8))
def test_any_popularity_survives_show(weights: dict[int, float]) -> None:
    written = ", ".join(f"{expert}: {weight!r}" for expert, weight in weights.items())
    scenario = compiled(f"workload.expert_load={{{written}}}")
    assert scenario.workload.expert_load == {expert: weight for expert, weight in weights.items() if weight != 1}
    assert compile_text(render(scenario), "shown.yaml") == scenario


def test_show_writes_indices_as_numbers() -> None:
    assert "    5: 4.0\n" in render(compiled("workload.expert_load={5: 4}"))
    workload = as_tree(compiled("workload.expert_load={5: 4, 2: 2}"))["workload"]
    assert isinstance(workload, dict)
    assert list(workload["expert_load"].items()) == [(2, 2.0), (5, 4.0)]
