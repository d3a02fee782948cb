"""Lowering: random models and plans against the plain arithmetic of `reference`, and what single keys change."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simcluster.pipeline import simulate
from simcluster.plan.layout import Layout
from simcluster.plan.share import Share
from simcluster.program.lower import lower
from simcluster.program.program import Collective, Program
from simcluster.scenario.compile import compile_text
from tests.physics_helpers import EXAMPLE, answer, as_text, law, row, run_text
from tests.program import reference
from tests.program.reference import Case, Hardware

SIZES = {"fp32": 4.0, "bf16": 2.0, "fp8": 1.0, "fp4": 0.5}
TIERS = ("nvlink", "infiniband")
PEAKS = {"bf16": 200e12, "fp8": 400e12}

exponent = st.integers(0, 3)
fraction = st.sampled_from([1.0, 0.75, 0.5])
latency_us = st.sampled_from([0, 1, 2.5])


@st.composite
def hardwares(draw: st.DrawFn, gpus: int) -> Hardware:
    gpus_per_node = draw(st.sampled_from([size for size in (1, 2, 4, 8) if size <= gpus]))
    return Hardware(
        gpus_per_node=gpus_per_node,
        gpus_per_nic=draw(st.sampled_from([size for size in (1, 2, 4, 8) if size <= gpus_per_node])),
        peak=PEAKS,
        compute_efficiency=draw(fraction),
        memory_bandwidth=draw(st.sampled_from([1e11, 2e12])),
        memory_efficiency=draw(fraction),
        launch_overhead_s=draw(latency_us) * 1e-6,
        nvlink=draw(st.sampled_from([20e9, 450e9])),
        nvlink_latency_s=draw(latency_us) * 1e-6,
        infiniband=50e9,
        infiniband_latency_s=draw(latency_us) * 1e-6,
    )


@st.composite
def types(draw: st.DrawFn) -> dict[str, str]:
    compute = draw(st.sampled_from(["bf16", "fp8"]))
    return {
        "weights": draw(st.sampled_from(sorted(SIZES))),
        "compute": compute,
        "attention": draw(st.sampled_from(["bf16", "fp8"])),
        "kv_cache": draw(st.sampled_from(["bf16", "fp8", "fp4"])),
        "dispatch": compute,
    }


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Up to 64 GPUs; experts cut by ep and etp in every way that fills them, dense models, prefill and decode."""
    moe = draw(st.booleans())
    tp_exponent, dp_exponent = draw(exponent), draw(exponent)
    ep_exponent = draw(st.integers(0, tp_exponent + dp_exponent)) if moe else 0
    etp_exponent = draw(st.integers(0, tp_exponent + dp_exponent - ep_exponent)) if moe else tp_exponent
    tp, dp, ep, etp = (2**power for power in (tp_exponent, dp_exponent, ep_exponent, etp_exponent))
    kv_heads = draw(st.sampled_from([1, 2, 4, 8]))
    names = draw(types())
    return Case(
        layers=draw(st.integers(1, 3)),
        hidden=draw(st.integers(1, 600)),
        heads=8 * draw(st.integers(1, 3)),
        kv_heads=kv_heads,
        head_dim=draw(st.integers(1, 128)),
        inner=64 * draw(st.integers(1, 20)),
        gated=draw(st.booleans()),
        experts=ep * draw(st.integers(1, 8)) if moe else 0,
        top_k=1,
        shared=draw(st.sampled_from([0, 64, 192])) if moe else 0,
        type_names=names,
        types={part: SIZES[name] for part, name in names.items()},
        prefill=draw(st.booleans()),
        batch=dp * draw(st.integers(1, 5)),
        length=draw(st.integers(1, 3000)),
        tp=tp,
        dp=dp,
        ep=ep,
        etp=etp,
        hardware=draw(hardwares(tp * dp)),
    )


@st.composite
def routed_cases(draw: st.DrawFn) -> Case:
    """A case whose tokens go to one or several experts."""
    case = draw(cases())
    values = {name: getattr(case, name) for name in case.__dataclass_fields__}
    return Case(**{**values, "top_k": draw(st.integers(1, max(1, min(case.experts, 6))))})


def scenario_text(case: Case) -> str:
    """The case as a scenario: degrees written out, units in every value."""
    hardware = case.hardware
    ffn: dict[str, object] = {"hidden": case.inner, "gated": case.gated}
    if case.experts:
        ffn |= {"experts": case.experts, "top_k": case.top_k}
        ffn |= {"shared_experts": 1, "shared_hidden": case.shared} if case.shared else {}
    return as_text(
        {
            "cluster": {
                "nodes": case.gpus // hardware.gpus_per_node,
                "gpus_per_node": hardware.gpus_per_node,
                "gpu": {
                    "memory": "100 TB",
                    "memory_bandwidth": f"{hardware.memory_bandwidth} B/s",
                    "peak": {name: f"{peak} FLOPS" for name, peak in hardware.peak.items()},
                    "efficiency": {"compute": hardware.compute_efficiency, "memory": hardware.memory_efficiency},
                    "launch_overhead": f"{hardware.launch_overhead_s} s",
                },
                "nvlink": {
                    "bandwidth": f"{hardware.nvlink} B/s",
                    "latency": f"{hardware.nvlink_latency_s} s",
                    "efficiency": 1,
                },
                "infiniband": {
                    "bandwidth": f"{hardware.infiniband} B/s",
                    "latency": f"{hardware.infiniband_latency_s} s",
                    "efficiency": 1,
                    "nics_per_node": hardware.gpus_per_node // hardware.gpus_per_nic,
                },
            },
            "model": {
                "layers": case.layers,
                "hidden": case.hidden,
                "heads": case.heads,
                "kv_heads": case.kv_heads,
                "head_dim": case.head_dim,
                "moe" if case.experts else "mlp": ffn,
                "precision": case.type_names,
            },
            "plan": {"tp": case.tp, "dp": case.dp, "ep": case.ep, "etp": case.etp},
            "workload": {
                "phase": "prefill" if case.prefill else "decode",
                "batch": case.batch,
                "sequence" if case.prefill else "context": case.length,
            },
        }
    )


@law(150)
@given(case=routed_cases())
def test_every_figure_of_a_random_plan_is_the_reference_s(case: Case) -> None:
    result = simulate(compile_text(scenario_text(case), "x.yaml"))
    expected = reference.rows(case)

    found = {total.name: total.as_dict() for total in result.by_operation}
    assert found.keys() == expected.keys()
    for name, total in expected.items():
        wanted = {
            "count": total.count,
            "seconds": total.seconds,
            "flops": total.flops,
            "bytes": total.bytes,
            "bytes_nvlink": total.nvlink,
            "bytes_infiniband": total.infiniband,
        }
        assert {key: found[name][key] for key in wanted} == pytest.approx(wanted, rel=1e-9, abs=0), name

    assert {part: result.memory[part].bytes for part in reference.memory(case)} == pytest.approx(
        reference.memory(case), rel=1e-9, abs=0
    )
    wanted_traffic = {tier: case.gpus * sum(getattr(total, tier) for total in expected.values()) for tier in TIERS}
    assert answer(result, "flops_per_gpu") == pytest.approx(reference.flops_per_gpu(expected), rel=1e-9, abs=0)
    assert answer(result, "traffic") == pytest.approx(wanted_traffic, rel=1e-9, abs=0)
    assert answer(result, "latency_s") == pytest.approx(sum(total.seconds for total in expected.values()), rel=1e-9)
    assert answer(result, "tokens") == case.batch * (case.length if case.prefill else 1)


def example_program(*overrides: str) -> Program:
    """The example's program under overrides."""
    scenario = compile_text(EXAMPLE, "x.yaml", overrides)
    degrees = scenario.plan.degrees
    share = Share(model=scenario.model, degrees=degrees, workload=scenario.workload)
    return lower(share, Layout(degrees=degrees, gpus_per_node=scenario.cluster.gpus_per_node))


def names(program: Program, layer: int | None = 0) -> list[str]:
    return [operation.name for operation in program.operations if operation.layer == layer]


GENERAL_LAYER = [
    "norm",
    "attention.qkv",
    "attention.rotary",
    "attention.core",
    "attention.output",
    "attention.all_reduce",
    "residual",
    "norm",
    "moe.router",
    "moe.permute",
    "moe.dispatch",
    "moe.lane_all_gather",
    "moe.experts",
    "moe.activation",
    "moe.experts",
    "moe.lane_reduce_scatter",
    "moe.combine",
    "moe.permute",
    "moe.all_gather",
    "residual",
]


def test_every_layer_of_the_example_runs_the_general_path_in_order() -> None:
    program = example_program()
    for layer in range(16):
        assert names(program, layer) == GENERAL_LAYER
    assert names(program, None) == []


def test_a_collective_over_a_group_of_one_does_not_exist() -> None:
    over_tp = ("attention.all_reduce", "moe.lane_all_gather", "moe.lane_reduce_scatter", "moe.all_gather")
    found = names(example_program("plan=EP64_TP1_PP1"))
    assert found == [name for name in GENERAL_LAYER if name not in over_tp]


def test_with_experts_cut_like_a_dense_mlp_one_all_reduce_replaces_the_exchange() -> None:
    exchanged = {"moe.dispatch", "moe.combine", "moe.lane_all_gather", "moe.lane_reduce_scatter", "moe.all_gather"}
    found = names(example_program("plan=TP8_DP16"))
    assert exchanged.isdisjoint(found)
    assert found[-3:] == ["moe.permute", "moe.all_reduce", "residual"]


def test_ep_of_one_with_another_etp_takes_the_general_path() -> None:
    found = names(example_program("plan={tp: 4, ep: 1, etp: 2}"))
    assert {"moe.dispatch", "moe.combine", "moe.all_reduce"}.isdisjoint(found)
    assert {"moe.lane_all_gather", "moe.lane_reduce_scatter", "moe.all_gather"} <= set(found)


def test_groups_of_a_program_partition_its_ranks() -> None:
    program = example_program()
    used = {operation.axis for operation in program.operations if isinstance(operation, Collective)}
    assert program.groups.keys() == used == {"tp", "etp", "ep"}
    for groups in program.groups.values():
        assert sorted(rank for group in groups for rank in group) == list(range(128))


def test_operations_need_only_earlier_ones() -> None:
    for index, operation in enumerate(example_program().operations):
        assert all(0 <= need < index for need in operation.after)


def test_a_vocabulary_adds_the_embedding_and_logits_of_each_last_token() -> None:
    plain, result = run_text(EXAMPLE), run_text(EXAMPLE, "model.vocab=32000")
    assert {"embedding", "lm_head"}.isdisjoint(total.name for total in plain.by_operation)
    assert row(result, "lm_head").flops == pytest.approx(2 * (128 / 64) * 1024 * (32000 / 2), rel=1e-9)
    assert row(result, "lm_head").count == row(result, "embedding").count == 1
    added = {part: result.memory[part].bytes - plain.memory[part].bytes for part in ("other_weights", "kv_cache")}
    assert added == {"other_weights": 2 * 1024 * 32000 / 2 + 1024, "kv_cache": 0}


def test_tied_embeddings_are_stored_once() -> None:
    plain = run_text(EXAMPLE)
    tied = run_text(EXAMPLE, "model.vocab=32000", "model.tied_embeddings=true")
    assert tied.memory["other_weights"].bytes - plain.memory["other_weights"].bytes == 1024 * 32000 / 2 + 1024


TYPES = "{weights: fp8, compute: fp8, attention: fp8, kv_cache: fp8, dispatch: %s, communication: %s}"
COPIES = 1024 * 4
"""Token copies a rank of the example sends to experts in one layer."""


@pytest.mark.parametrize(("precision", "size"), [("fp8", 1), ("bf16", 2), ("fp32", 4)])
def test_dispatch_and_lane_gather_travel_in_the_dispatch_type(precision: str, size: int) -> None:
    result = run_text(EXAMPLE, f"model.precision={TYPES % (precision, 'bf16')}")
    assert row(result, "moe.dispatch").bytes == pytest.approx(16 * COPIES * 1024 * size * 63 / 64, rel=1e-9)
    assert row(result, "moe.lane_all_gather").bytes == pytest.approx(16 * COPIES * 1024 * size, rel=1e-9)
    assert row(result, "moe.combine").bytes == row(run_text(EXAMPLE), "moe.combine").bytes


@pytest.mark.parametrize(("precision", "size"), [("fp8", 1), ("fp32", 4)])
def test_reductions_combine_and_token_gathers_travel_in_the_communication_type(precision: str, size: int) -> None:
    result = run_text(EXAMPLE, f"model.precision={TYPES % ('fp8', precision)}")
    for name in ("attention.all_reduce", "moe.lane_reduce_scatter", "moe.combine", "moe.all_gather"):
        assert row(result, name).bytes == pytest.approx(row(run_text(EXAMPLE), name).bytes * size / 2, rel=1e-9)
    assert row(result, "moe.dispatch").bytes == row(run_text(EXAMPLE), "moe.dispatch").bytes


def test_the_activations_of_the_example_peak_at_the_experts_second_product() -> None:
    """The residual stream in bf16, each lane's gathered copies at half the inner width in fp8, and their outputs."""
    residual, activated, outputs = 2048 * 1024 * 2, 2 * COPIES * 1024 * 1, 2 * COPIES * 1024 * 2
    assert run_text(EXAMPLE).memory["activations"].bytes == residual + activated + outputs
