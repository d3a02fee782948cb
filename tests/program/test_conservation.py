"""What a model asks for does not depend on the plan: FLOPs over all GPUs, the cache, and weights as often as held."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simcluster.pipeline import program_of, simulate
from simcluster.plan.memory import resident
from simcluster.program.program import Compute
from simcluster.scenario.scenario import Scenario
from tests.execution_helpers import (
    DECODE,
    DENSE,
    LATENT,
    MIXTURE,
    PREFILL,
    Tree,
    cluster,
    computes,
    scenario,
    total_flops,
)
from tests.physics_helpers import answer, law

BATCH = 64
GPUS = (1, 2, 4, 8, 16)
MODELS: dict[str, Tree] = {
    "dense": {**DENSE, "layers": 16},
    "mixture": {**MIXTURE, "layers": 16},
    "shared": {**MIXTURE, "layers": 16, "moe": {**MIXTURE["moe"], "shared_experts": 1}},
    "some dense": {**MIXTURE, "layers": 16, "mlp": {"hidden": 4096}, "dense_layers": 3},
    "windows": {**DENSE, "layers": 16, "window": 128, "full_every": 2},
}
powers = st.sampled_from([1, 2, 4])


@st.composite
def plans(draw: st.DrawFn, experts: bool) -> dict[str, int]:
    """Degrees that are powers of two, on at most 16 GPUs."""
    found = {axis: draw(powers) for axis in ("tp", "cp", "pp", "dp")}
    while found["tp"] * found["cp"] * found["pp"] * found["dp"] > 16:
        found[max(found, key=lambda axis: found[axis])] //= 2
    if experts:
        stage = found["tp"] * found["cp"] * found["dp"]
        ep = draw(st.sampled_from([one for one in GPUS if stage % one == 0]))
        etp = draw(st.sampled_from([one for one in GPUS if stage // ep % one == 0]))
        found |= {"ep": ep, "etp": etp}
    return found


@st.composite
def executions(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "sequence_parallel": draw(st.booleans()),
        "context_attention": draw(st.sampled_from(["ring", "all-gather"])),
        "overlap": draw(st.sampled_from(["none", "two-batch"])),
        "overlap_shared_experts": draw(st.booleans()),
        "dispatch_chunks": draw(st.sampled_from([1, 2, 3])),
        "placement": draw(st.permutations(["tp", "cp", "dp", "pp"])),
    }


def planned(model: str, plan: dict[str, int], workload: Tree, **execution: Any) -> Scenario:
    gpus = plan["tp"] * plan["cp"] * plan["pp"] * plan["dp"]
    work = {**workload, "batch": BATCH}
    return scenario(plan, cluster(gpus), model=MODELS[model], workload=work, **execution)


def router_flops(case: Scenario) -> float:
    """Over all GPUs of one step; where tokens are not split over lanes, every lane asks the router for all."""
    program = program_of(case)
    runs = zip(program.operations, program.runs, strict=True)
    mine = [one.kernel.flops * count for one, count in runs if isinstance(one, Compute) and one.name == "moe.router"]
    return sum(mine) * program.ranks / program.stages


@law(60)
@given(data=st.data(), model=st.sampled_from(list(MODELS)), workload=st.sampled_from([PREFILL, DECODE]))
def test_flops_over_all_gpus_are_the_same_for_every_plan(data: st.DataObject, model: str, workload: Tree) -> None:
    plan = data.draw(plans(experts="moe" in MODELS[model]))
    case = planned(model, plan, workload, **data.draw(executions()))
    alone = planned(model, {"tp": 1, "cp": 1, "pp": 1, "dp": 1}, workload)
    lanes = 1 if case.plan.degrees.splits_tokens else case.plan.degrees.tp
    assert router_flops(case) == pytest.approx(router_flops(alone) * lanes, rel=1e-9)
    counted = total_flops(case) - router_flops(case)
    assert counted == pytest.approx(total_flops(alone) - router_flops(alone), rel=1e-9)


@law(60)
@given(data=st.data(), model=st.sampled_from(list(MODELS)), workload=st.sampled_from([PREFILL, DECODE]))
def test_cache_and_weights_over_all_gpus_are_the_model_s(data: st.DataObject, model: str, workload: Tree) -> None:
    """The cache once; attention's weights on every replica and context rank, each expert's on edp of them."""
    plan = data.draw(plans(experts="moe" in MODELS[model]))
    case = planned(model, plan, workload)
    alone = resident(planned(model, {"tp": 1, "cp": 1, "pp": 1, "dp": 1}, workload).share)
    degrees = case.plan.degrees
    per_stage = degrees.gpus // degrees.pp
    parts = [resident(case.share.at(stage)) for stage in range(degrees.pp)]

    def everywhere(name: str) -> float:
        return per_stage * sum(part[name].bytes for part in parts)

    assert everywhere("kv_cache") == pytest.approx(alone["kv_cache"].bytes, rel=1e-9)
    copies = degrees.cp * degrees.dp
    assert everywhere("attention_weights") == pytest.approx(copies * alone["attention_weights"].bytes, rel=1e-9)
    if case.model.moe is not None and case.model.moe.shared is None:
        assert everywhere("expert_weights") == pytest.approx(degrees.edp * alone["expert_weights"].bytes, rel=1e-9)


@pytest.mark.parametrize("plan", ["PP4", "TP2_PP2", "CP2_PP2", "PP2_DP2", "CP4"])
@pytest.mark.parametrize("model", ["dense", "mixture", "windows"])
def test_the_report_s_flops_per_gpu_are_a_share_of_the_whole(plan: str, model: str) -> None:
    one = simulate(scenario("TP1", cluster(1), model=MODELS[model], workload={**PREFILL, "batch": BATCH}))
    four = simulate(scenario(plan, cluster(4), model=MODELS[model], workload={**PREFILL, "batch": BATCH}))
    path = "flops_per_gpu.attention" if model == "mixture" else "flops_per_gpu.total"
    assert 4 * answer(four, path) == pytest.approx(answer(one, path), rel=1e-9)


@pytest.mark.parametrize("tp", [1, 2, 4])
@pytest.mark.parametrize("pp", [1, 4])
def test_latents_are_made_on_every_tensor_rank_and_everything_else_once(tp: int, pp: int) -> None:
    """2 x tokens x hidden x (q_rank + kv_rank + rope_dim) FLOPs a layer are done by each of tp lanes."""
    case = scenario(f"TP{tp}_PP{pp}", cluster(tp * pp), model=LATENT)
    alone = scenario("TP1", cluster(1), model=LATENT)
    down = 4 * 2 * 8 * 512 * 1024 * (256 + 128 + 32)
    assert total_flops(case) == pytest.approx(total_flops(alone) + (tp - 1) * down, rel=1e-9)


@pytest.mark.parametrize("plan", ["TP4", "PP4", "TP2_PP2", "DP4"])
@pytest.mark.parametrize("workload", [PREFILL, DECODE])
def test_the_head_is_counted_once(plan: str, workload: Tree) -> None:
    model = {**DENSE, "vocab": 32000}
    alone, case = (
        scenario(one, cluster(gpus), model=model, workload=workload) for one, gpus in (("TP1", 1), (plan, 4))
    )
    assert total_flops(case) == pytest.approx(total_flops(alone), rel=1e-9)
    assert total_flops(alone) - total_flops(scenario("TP1", cluster(1), workload=workload)) == pytest.approx(
        2 * 8 * 1024 * 32000, rel=1e-9
    )


@pytest.mark.parametrize("cp", [2, 4, 8])
def test_in_decode_each_context_rank_has_logits_of_its_own_tokens(cp: int) -> None:
    model = {**DENSE, "vocab": 32000}
    alone, case = (scenario(f"CP{each}", cluster(each), model=model, workload=DECODE) for each in (1, cp))
    assert total_flops(case) == pytest.approx(total_flops(alone), rel=1e-9)
    (head,) = computes(case, "lm_head")
    assert head.kernel.flops == 2 * 8 / cp * 1024 * 32000
    assert head.live["logits"] == 8 / cp * 32000 * 2
