"""Plan names: both readings against the contract's rules worked out again, the grammar, and what errors say."""

from __future__ import annotations

from math import lcm

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simcluster.plan.degrees import Convention, Counts, Degrees
from simcluster.plan.name import counts, other_reading, parse, resolve
from tests.physics_helpers import law

degree = st.sampled_from([1, 2, 3, 4, 6, 8, 64])
written_parts = st.dictionaries(st.sampled_from(["TP", "PP", "DP", "CP", "EP", "ETP"]), degree, min_size=1)


def spell(parts: dict[str, int]) -> str:
    return "_".join(f"{part}{size}" for part, size in parts.items())


def counts_by_rule(parts: dict[str, int]) -> tuple[int | None, int | None]:
    """The contract's two counts."""
    tp, pp, cp, ep = (parts.get(part, 1) for part in ("TP", "PP", "CP", "EP"))
    orthogonal = ep * tp * cp * pp * parts.get("DP", 1) if parts.get("ETP", tp) == tp else None
    etp = parts.get("ETP", 1)
    if "DP" not in parts:
        return orthogonal, pp * lcm(tp * cp, ep * etp)
    stage = tp * cp * parts["DP"]
    return orthogonal, pp * stage if stage % (ep * etp) == 0 else None


def reading_by_rule(parts: dict[str, int], gpus: int) -> Convention | None:
    """Equal counts first, then counts that divide where no DP is written; orthogonal wins a tie."""
    orthogonal, folded = counts_by_rule(parts)
    if gpus in (orthogonal, folded):
        return "orthogonal" if orthogonal == gpus else "folded"
    if "DP" in parts:
        return None
    if orthogonal is not None and gpus % orthogonal == 0:
        return "orthogonal"
    return "folded" if folded is not None and gpus % folded == 0 else None


def degrees_by_rule(parts: dict[str, int], convention: Convention, gpus: int) -> Degrees:
    """Every degree follows from the reading and the GPUs."""
    tp, pp, cp, ep = (parts.get(part, 1) for part in ("TP", "PP", "CP", "EP"))
    etp = tp if convention == "orthogonal" else parts.get("ETP", 1)
    stage = gpus // pp
    return Degrees(tp=tp, pp=pp, dp=stage // (tp * cp), cp=cp, ep=ep, etp=etp, edp=stage // (ep * etp))


@law(200)
@given(parts=written_parts)
def test_counts_are_the_contract_s(parts: dict[str, int]) -> None:
    orthogonal, folded = counts_by_rule(parts)
    assert counts(parse(spell(parts))) == Counts(orthogonal=orthogonal, folded=folded)


@law(200)
@given(parts=written_parts, which=st.integers(0, 1), replicas=st.sampled_from([1, 1, 2, 3, 5]))
def test_the_reading_taken_is_the_contract_s(parts: dict[str, int], which: int, replicas: int) -> None:
    gpus = (counts_by_rule(parts)[which] or 7) * replicas
    wanted = reading_by_rule(parts, gpus)
    if wanted is None:
        with pytest.raises(ValueError, match=f"{gpus}"):
            resolve(spell(parts), gpus)
        return
    plan = resolve(spell(parts), gpus)
    orthogonal, folded = counts_by_rule(parts)
    assert plan.convention == wanted
    assert plan.degrees == degrees_by_rule(parts, wanted, gpus)
    assert plan.degrees.gpus == gpus
    assert plan.counts == Counts(orthogonal=orthogonal, folded=folded)


@law(200)
@given(parts=written_parts, replicas=st.sampled_from([1, 2]))
def test_the_order_of_parts_does_not_matter(parts: dict[str, int], replicas: int) -> None:
    gpus = (counts_by_rule(parts)[0] or counts_by_rule(parts)[1] or 1) * replicas
    backwards = dict(reversed(parts.items()))
    try:
        plan = resolve(spell(parts), gpus)
    except ValueError:
        with pytest.raises(ValueError):  # noqa: PT011
            resolve(spell(backwards), gpus)
        return
    other = resolve(spell(backwards), gpus)
    assert (plan.degrees, plan.convention, plan.counts) == (other.degrees, other.convention, other.counts)


@pytest.mark.parametrize(
    ("name", "orthogonal", "folded"),
    [
        ("EP64_TP2_PP1", 128, 64),
        ("EP64", 64, 64),
        ("TP8_DP16", 128, 128),
        ("TP8_EP8_DP16", 1024, 128),
        ("EP8_TP2_PP4", 64, 32),
        ("EP6_TP4", 24, 12),
        ("EP4_TP2_ETP2", 8, 8),
        ("EP4_TP2_ETP4", None, 16),
        ("EP4_TP2_ETP1", None, 4),
        ("EP3_TP2_DP2", 12, None),
        ("ETP3_TP2_DP1", None, None),
        ("EP8_CP2_TP2_DP4", 128, 16),
    ],
)
def test_counts_of_named_plans(name: str, orthogonal: int | None, folded: int | None) -> None:
    assert counts(parse(name)) == Counts(orthogonal=orthogonal, folded=folded)


def degrees(tp: int, pp: int, dp: int, cp: int, ep: int, etp: int, edp: int) -> Degrees:
    return Degrees(tp=tp, pp=pp, dp=dp, cp=cp, ep=ep, etp=etp, edp=edp)


@pytest.mark.parametrize(
    ("name", "gpus", "convention", "expected"),
    [
        ("EP64_TP2_PP1", 128, "orthogonal", degrees(2, 1, 64, 1, 64, 2, 1)),
        ("EP64_TP2_PP1", 64, "folded", degrees(2, 1, 32, 1, 64, 1, 1)),
        ("EP64_TP2_PP1", 256, "orthogonal", degrees(2, 1, 128, 1, 64, 2, 2)),
        ("EP64_TP2_PP1", 192, "folded", degrees(2, 1, 96, 1, 64, 1, 3)),
        ("TP8_EP8_DP16", 128, "folded", degrees(8, 1, 16, 1, 8, 1, 16)),
        ("TP8_EP8_DP16", 1024, "orthogonal", degrees(8, 1, 128, 1, 8, 8, 16)),
        ("EP8", 64, "orthogonal", degrees(1, 1, 64, 1, 8, 1, 8)),
        ("TP8_DP16", 128, "orthogonal", degrees(8, 1, 16, 1, 1, 8, 16)),
        ("EP6_TP4", 12, "folded", degrees(4, 1, 3, 1, 6, 1, 2)),
        ("EP4_TP2_ETP4", 16, "folded", degrees(2, 1, 8, 1, 4, 4, 1)),
        ("EP2_CP2_TP2_PP3_DP5", 120, "orthogonal", degrees(2, 3, 10, 2, 2, 2, 10)),
    ],
)
def test_degrees_of_named_plans(name: str, gpus: int, convention: Convention, expected: Degrees) -> None:
    plan = resolve(name, gpus)
    assert (plan.convention, plan.degrees) == (convention, expected)


def test_a_reading_of_the_whole_cluster_beats_one_that_needs_replicas() -> None:
    """EP4_TP2: orthogonal 8 GPUs divides 8, folded 4 would too."""
    assert resolve("EP4_TP2", 4).convention == "folded"
    assert resolve("EP4_TP2", 8).convention == "orthogonal"


def test_equal_counts_are_read_as_orthogonal() -> None:
    for name, gpus in (("EP8", 8), ("EP8", 24), ("TP4_DP2", 8), ("EP4_TP2_ETP2", 8)):
        assert resolve(name, gpus).convention == "orthogonal"


def test_a_preferred_reading_is_kept_where_it_is_possible() -> None:
    plan = resolve("EP64_TP2_PP1", 128, "folded")
    assert (plan.convention, plan.degrees.etp, plan.degrees.edp) == ("folded", 1, 2)
    assert resolve("EP64_TP2_PP1", 64, "orthogonal").convention == "folded"


def test_the_other_reading_is_told_where_there_is_one() -> None:
    other = other_reading(resolve("EP64_TP2_PP1", 128))
    assert other == ("folded", degrees(2, 1, 64, 1, 64, 1, 2))
    assert other_reading(resolve("EP64_TP2_PP1", 64)) is None
    assert other_reading(resolve("EP64", 64)) is None


@pytest.mark.parametrize(
    ("name", "gpus", "fits"),
    [
        ("EP64_TP2_DP1", 256, ["DP2", "DP128"]),
        ("EP8_TP2_DP3", 32, ["DP2", "DP16"]),
        ("TP8_DP8", 128, ["DP16"]),
        ("EP8_TP2_PP2_DP3", 64, ["DP2", "DP16"]),
    ],
)
def test_a_written_dp_that_does_not_fit_is_answered_by_one_that_does(name: str, gpus: int, fits: list[str]) -> None:
    with pytest.raises(ValueError, match=str(gpus)) as error:
        resolve(name, gpus)
    for dp in fits:
        assert f"{dp} " in f"{error.value} "
        assert resolve(name.rsplit("_", 1)[0] + f"_{dp}", gpus).degrees.gpus == gpus


def test_where_no_dp_fits_the_error_offers_none() -> None:
    with pytest.raises(ValueError, match="no DP"):
        resolve("TP8_DP2", 12)


def test_an_impossible_name_tells_both_counts() -> None:
    with pytest.raises(ValueError, match="128") as error:
        resolve("EP64_TP2", 100)
    assert "64 GPUs" in str(error.value)
    assert "100" in str(error.value)


@pytest.mark.parametrize(
    "name",
    ["", "EP", "EP64_", "_EP64", "EP64__TP2", "ep64", "EP64-TP2", "EP64 TP2", "XP2", "EP6.4", "EP-4", "EP+4", "64EP",
     "EP64_TP2_EP64", "EP0", "TP2_DP0", "EP٣", "EP99999999999999999999", "EP1e3"],
)  # fmt: skip
def test_what_is_no_plan_s_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"plan|twice|from 1"):
        parse(name)


def test_parts_may_stand_in_any_order() -> None:
    assert parse("PP2_TP4_EP8_ETP4_DP3_CP5") == {"TP": 4, "PP": 2, "DP": 3, "CP": 5, "EP": 8, "ETP": 4}
