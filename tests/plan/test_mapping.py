"""Plans written as degrees: what follows from what is left out, what is refused, and names that stand for degrees."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from simcluster.plan.degrees import Convention, Degrees
from simcluster.plan.mapping import canonical_name, from_mapping
from simcluster.plan.name import resolve
from tests.physics_helpers import law

degree = st.sampled_from([1, 2, 3, 4, 8])


@st.composite
def lawful_degrees(draw: st.DrawFn) -> Degrees:
    """Seven degrees with tp·cp·dp == etp·ep·edp."""
    tp, cp, dp, pp, ep, etp = (draw(degree) for _ in range(6))
    assume(tp * cp * dp % (ep * etp) == 0)
    return Degrees(tp=tp, pp=pp, dp=dp, cp=cp, ep=ep, etp=etp, edp=tp * cp * dp // (ep * etp))


@law(150)
@given(degrees=lawful_degrees())
def test_all_seven_degrees_are_taken_as_written(degrees: Degrees) -> None:
    plan = from_mapping(degrees.as_dict(), degrees.gpus)
    assert plan.degrees == degrees
    assert plan.convention == ("orthogonal" if degrees.etp == degrees.tp else "folded")


@law(150)
@given(degrees=lawful_degrees(), left_out=st.sets(st.sampled_from(["dp", "edp"])))
def test_dp_and_edp_follow_from_the_law(degrees: Degrees, left_out: set[str]) -> None:
    written = {axis: size for axis, size in degrees.as_dict().items() if axis not in left_out}
    assert from_mapping(written, degrees.gpus).degrees == degrees


@law(150)
@given(degrees=lawful_degrees(), left_out=st.sets(st.sampled_from(["tp", "pp", "cp", "ep"])))
def test_tp_pp_cp_and_ep_left_out_are_one(degrees: Degrees, left_out: set[str]) -> None:
    written = {axis: size for axis, size in degrees.as_dict().items() if axis not in left_out}
    ones = {**degrees.as_dict(), **dict.fromkeys(left_out, 1)}
    lawful = ones["tp"] * ones["cp"] * ones["dp"] == ones["etp"] * ones["ep"] * ones["edp"]
    if lawful and ones["tp"] * ones["cp"] * ones["dp"] * ones["pp"] == degrees.gpus:
        assert from_mapping(written, degrees.gpus).degrees.as_dict() == ones
    else:
        with pytest.raises(ValueError, match=r"GPUs|equal|divide"):
            from_mapping(written, degrees.gpus)


@law(150)
@given(degrees=lawful_degrees())
def test_etp_left_out_is_tp_where_that_satisfies_the_law_else_one(degrees: Degrees) -> None:
    written = {axis: size for axis, size in degrees.as_dict().items() if axis not in ("etp", "edp")}
    stage = degrees.tp * degrees.cp * degrees.dp
    plan = from_mapping(written, degrees.gpus)
    if stage % (degrees.tp * degrees.ep) == 0:
        assert (plan.convention, plan.degrees.etp) == ("orthogonal", degrees.tp)
    else:
        assert (plan.convention, plan.degrees.etp) == ("folded", 1)
    assert plan.degrees.ep * plan.degrees.etp * plan.degrees.edp == stage


@pytest.mark.parametrize(
    ("written", "gpus", "convention", "expected"),
    [
        ({"tp": 2, "ep": 64}, 128, None, ("orthogonal", 2, 64, 2, 1)),
        ({"tp": 2, "ep": 64}, 128, "folded", ("folded", 2, 64, 1, 2)),
        ({"tp": 2, "ep": 64}, 64, None, ("folded", 2, 32, 1, 1)),
        ({"tp": 8, "ep": 8, "dp": 16}, 128, None, ("orthogonal", 8, 16, 8, 2)),
        ({"tp": 8, "ep": 8, "dp": 16, "etp": 1}, 128, None, ("folded", 8, 16, 1, 16)),
        ({"tp": 4, "ep": 2, "edp": 4}, 16, None, ("folded", 4, 4, 2, 4)),
        ({"tp": 2, "ep": 4, "edp": 2}, 8, None, ("folded", 2, 4, 1, 2)),
        ({"tp": 4, "ep": 4, "etp": 4}, 16, "folded", ("folded", 4, 4, 4, 1)),
        ({}, 8, None, ("orthogonal", 1, 8, 1, 8)),
    ],
)
def test_degrees_of_written_mappings(
    written: Mapping[str, int], gpus: int, convention: Convention | None, expected: tuple[str, int, int, int, int]
) -> None:
    plan = from_mapping(written, gpus, convention)
    found = plan.degrees
    assert (plan.convention, found.tp, found.dp, found.etp, found.edp) == expected


def test_the_same_numbers_as_a_name_can_mean_another_plan() -> None:
    assert from_mapping({"tp": 8, "ep": 8, "dp": 16}, 128).degrees.etp == 8
    assert resolve("TP8_EP8_DP16", 128).degrees.etp == 1


@pytest.mark.parametrize(
    ("written", "gpus", "convention", "says"),
    [
        ({"tp": 3}, 8, None, "does not divide"),
        ({"tp": 2, "dp": 3}, 8, None, "dp: 4"),
        ({"ep": 3}, 8, None, "etp 1 x ep 3"),
        ({"tp": 2, "ep": 4, "etp": 2, "edp": 2}, 8, None, "edp: 1"),
        ({"tp": 2, "ep": 4, "etp": 1}, 8, "orthogonal", "orthogonal"),
        ({"tp": 2, "ep": 8}, 8, "orthogonal", "does not equal"),
    ],
)
def test_degrees_that_break_the_law_are_refused_with_what_would_fit(
    written: Mapping[str, int], gpus: int, convention: Convention | None, says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        from_mapping(written, gpus, convention)


def test_degrees_that_disagree_are_no_plan() -> None:
    with pytest.raises(ValueError, match="attention"):
        Degrees(tp=2, pp=1, dp=4, cp=1, ep=4, etp=2, edp=2)


@law(150)
@given(degrees=lawful_degrees(), convention=st.sampled_from(["orthogonal", "folded"]))
def test_a_name_found_for_degrees_resolves_to_them(degrees: Degrees, convention: Convention) -> None:
    name = canonical_name(degrees, convention)
    if not name.startswith("{"):
        plan = resolve(name, degrees.gpus)
        assert (plan.degrees, plan.convention) == (degrees, convention)


@law(150)
@given(degrees=lawful_degrees())
def test_every_orthogonal_or_folded_plan_has_a_name(degrees: Degrees) -> None:
    """Orthogonal: dp is ep replicas of the whole.  Folded: any etp can be written, unless both readings agree."""
    whole = degrees.etp == degrees.tp and degrees.dp % degrees.ep == 0
    assert canonical_name(degrees, "orthogonal").startswith("{") == (not whole)
    if degrees.ep > 1:
        assert not canonical_name(degrees, "folded").startswith("{")


def test_names_are_as_short_as_people_write_them() -> None:
    assert canonical_name(resolve("EP64_TP2_PP1", 128).degrees, "orthogonal") == "EP64_TP2_PP1"
    assert canonical_name(resolve("EP64_TP2_PP1", 64).degrees, "folded") == "EP64_TP2_PP1"


def test_a_label_must_stand_for_its_degrees() -> None:
    degrees = resolve("EP64_TP2_PP1", 128).degrees.as_dict()
    assert from_mapping(degrees, 128, "orthogonal", "EP64_TP2_PP1").name == "EP64_TP2_PP1"
    with pytest.raises(ValueError, match="EP32_TP4"):
        from_mapping(degrees, 128, "orthogonal", "EP32_TP4")
