"""Lowering and replay of random models and plans, against the plain arithmetic of `reference`."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simcluster.pipeline import simulate
from simcluster.scenario.compile import compile_text
from tests.physics_helpers import answer, as_text
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


@settings(derandomize=True, deadline=None, max_examples=150)
@given(case=routed_cases())
def test_every_figure_of_a_random_plan_is_the_reference_s(case: Case) -> None:
    result = simulate(compile_text(scenario_text(case), "x.yaml"))
    expected = reference.rows(case)

    found = {row.name: row.as_dict() for row in result.by_operation}
    assert found.keys() == expected.keys()
    for name, row in expected.items():
        wanted = {
            "count": row.count,
            "seconds": row.seconds,
            "flops": row.flops,
            "bytes": row.bytes,
            "bytes_nvlink": row.nvlink,
            "bytes_infiniband": row.infiniband,
        }
        assert {key: found[name][key] for key in wanted} == pytest.approx(wanted, rel=1e-9, abs=0), name

    assert {part: result.memory[part].bytes for part in reference.memory(case)} == pytest.approx(
        reference.memory(case), rel=1e-9, abs=0
    )
    wanted_traffic = {tier: case.gpus * sum(getattr(row, tier) for row in expected.values()) for tier in TIERS}
    assert answer(result, "flops_per_gpu") == pytest.approx(reference.flops_per_gpu(expected), rel=1e-9, abs=0)
    assert answer(result, "traffic") == pytest.approx(wanted_traffic, rel=1e-9, abs=0)
    assert answer(result, "latency_s") == pytest.approx(sum(row.seconds for row in expected.values()), rel=1e-9)
    assert answer(result, "tokens") == case.batch * (case.length if case.prefill else 1)
