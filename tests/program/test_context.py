"""Context parallelism: how much travels, how much is computed, and what each rank keeps."""

from __future__ import annotations

from typing import Any

import pytest

from simcluster.kernels import Attention, LatentAttention
from simcluster.pipeline import program_of, simulate
from simcluster.plan.memory import resident
from simcluster.program.program import Compute
from simcluster.scenario.scenario import Scenario
from tests.execution_helpers import (
    DENSE,
    LATENT,
    Tree,
    cluster,
    collective_names,
    collectives,
    computes,
    scenario,
    seconds,
)
from tests.physics_helpers import row

LAYERS, HIDDEN, HEADS, KV_HEADS, HEAD_DIM, S, B = 4, 1024, 16, 8, 64, 4096, 8
MODEL: Tree = {**DENSE, "layers": LAYERS}
PREFILL: Tree = {"phase": "prefill", "batch": B, "sequence": S}
DECODE: Tree = {"phase": "decode", "batch": B, "context": S}
RING = ("attention.ring_send",)
GATHER = ("attention.kv_all_gather",)


def planned(cp: int, tp: int = 1, workload: Tree = PREFILL, model: Tree = MODEL, **execution: Any) -> Scenario:
    how = {"context_attention": "ring"} | execution
    return scenario(f"TP{tp}_CP{cp}", cluster(cp, tp), model=model, workload=workload, **how)


def core_flops(case: Scenario) -> float:
    """Of the attention cores of a step, on one rank."""
    return sum(one.kernel.flops for one in computes(case, "attention.core"))


@pytest.mark.parametrize("cp", [2, 4, 8])
@pytest.mark.parametrize("tp", [1, 2, 4])
def test_a_ring_sends_every_block_of_keys_and_values_cp_minus_one_times(cp: int, tp: int) -> None:
    """(cp - 1) x tokens_on_rank x 2 x kv_heads x head_dim x bytes a layer."""
    result = simulate(planned(cp, tp))
    sends = row(result, "attention.ring_send")
    block = B * S / cp * 2 * (KV_HEADS / tp) * HEAD_DIM * 2
    assert sends.kind == "send_recv"
    assert sends.count == LAYERS * (cp - 1)
    assert sends.bytes == pytest.approx(LAYERS * (cp - 1) * block, rel=1e-9)
    assert sends.bytes_infiniband == pytest.approx(LAYERS * (cp - 1) * block, rel=1e-9)
    assert not any(one.name in GATHER for one in result.by_operation)


@pytest.mark.parametrize("cp", [2, 4, 8])
@pytest.mark.parametrize("tp", [1, 2])
def test_an_all_gather_shows_every_rank_all_keys_and_values(cp: int, tp: int) -> None:
    """Its output is the whole sequences' keys and values; a rank sends (cp-1)/cp of it, as much as in a ring."""
    case = planned(cp, tp, context_attention="all-gather")
    whole = B * S * 2 * (KV_HEADS / tp) * HEAD_DIM * 2
    assert [one.payload_bytes for one in collectives(case, *GATHER)] == pytest.approx([whole] * LAYERS, rel=1e-9)
    gathers, sends = (
        row(simulate(case), "attention.kv_all_gather"),
        row(simulate(planned(cp, tp)), "attention.ring_send"),
    )
    assert gathers.bytes == pytest.approx(LAYERS * whole * (cp - 1) / cp, rel=1e-9)
    assert gathers.bytes == pytest.approx(sends.bytes, rel=1e-9)


@pytest.mark.parametrize("cp", [2, 4, 8])
@pytest.mark.parametrize("how", ["ring", "all-gather"])
def test_the_core_s_work_is_cut_by_cp_exactly(cp: int, how: str) -> None:
    """Half the square of every sequence over cp ranks: 4 x batch x S^2/2 x heads x head_dim / cp a layer."""
    whole = LAYERS * 4 * B * S**2 / 2 * HEADS * HEAD_DIM
    assert core_flops(planned(cp, context_attention=how)) == pytest.approx(whole / cp, rel=1e-9)
    assert core_flops(planned(1)) == pytest.approx(whole, rel=1e-9)


@pytest.mark.parametrize("window", [1, 100, 512, 4096, 5000])
@pytest.mark.parametrize("cp", [2, 8])
def test_a_window_s_work_is_cut_by_cp_and_its_keys_are_gathered(window: int, cp: int) -> None:
    model = {**MODEL, "window": window}
    case, alone = planned(cp, model=model), planned(1, model=model)
    assert core_flops(case) == pytest.approx(core_flops(alone) / cp, rel=1e-9)
    assert collective_names(case) == set(GATHER)


@pytest.mark.parametrize("cp", [2, 4, 8])
@pytest.mark.parametrize("tp", [1, 2])
def test_decode_gathers_queries_and_merges_partial_sums(cp: int, tp: int) -> None:
    """Queries of all the replica's tokens, 4 bytes a head, token and rank of logarithms, then partial sums."""
    case = planned(cp, tp, workload=DECODE)
    queries = B * HEADS / tp * HEAD_DIM * 2
    assert collective_names(case) - {"attention.all_reduce", "mlp.all_reduce"} == {
        "attention.query_all_gather",
        "attention.lse_all_gather",
        "attention.partial_reduce_scatter",
    }
    for name, payload, kind in (
        ("attention.query_all_gather", queries, "all_gather"),
        ("attention.lse_all_gather", B * HEADS / tp * 4 * cp, "all_gather"),
        ("attention.partial_reduce_scatter", queries, "reduce_scatter"),
    ):
        found = collectives(case, name)
        assert {(one.kind, one.axis) for one in found} == {(kind, "cp")}
        assert [one.payload_bytes for one in found] == pytest.approx([payload] * LAYERS, rel=1e-9)
        sent = row(simulate(case), name).bytes
        assert sent == pytest.approx(LAYERS * payload * (cp - 1) / cp, rel=1e-9)


@pytest.mark.parametrize("cp", [2, 4, 8])
@pytest.mark.parametrize("window", [None, 1024])
def test_in_decode_each_rank_reads_its_part_of_every_sequence_s_cache(cp: int, window: int | None) -> None:
    model = MODEL if window is None else {**MODEL, "window": window}
    case, alone = planned(cp, workload=DECODE, model=model), planned(1, workload=DECODE, model=model)
    assert core_flops(case) == pytest.approx(core_flops(alone) / cp, rel=1e-9)
    (kernel,) = {one.kernel for one in computes(case, "attention.core")}
    assert isinstance(kernel, Attention)
    read = 2 * KV_HEADS * HEAD_DIM * 2 * B * (window or S) / cp
    assert kernel.bytes == pytest.approx(read + B * HEADS * HEAD_DIM * (2 + 2), rel=1e-9)
    cache = resident(case.share)["kv_cache"].bytes
    assert cache == pytest.approx(LAYERS * read, rel=1e-9)


def test_decode_with_fewer_sequences_than_context_ranks_fills_up_whole_tokens() -> None:
    """Two sequences on four ranks: each of them works on one token."""
    case = planned(4, workload={**DECODE, "batch": 2})
    (output,) = {one.kernel.flops for one in computes(case, "attention.output")}
    assert output == 2 * 1 * HEADS * HEAD_DIM * HIDDEN


@pytest.mark.parametrize("workload", [PREFILL, DECODE])
@pytest.mark.parametrize("how", ["ring", "all-gather"])
def test_without_context_ranks_nothing_travels_between_them(workload: Tree, how: str) -> None:
    assert collective_names(planned(1, workload=workload, context_attention=how)) == set()


@pytest.mark.parametrize("cp", [2, 4])
@pytest.mark.parametrize("how", ["ring", "all-gather"])
def test_latent_attention_gathers_latents_in_prefill(cp: int, how: str) -> None:
    """kv_rank + rope_dim elements of every token, whole on each rank, which all of them raise to keys and values."""
    case, alone = (planned(each, model=LATENT, context_attention=how) for each in (cp, 1))
    assert collective_names(case) == set(GATHER)
    assert {one.payload_bytes for one in collectives(case, *GATHER)} == {B * S * (128 + 32) * 2}
    assert core_flops(case) == pytest.approx(core_flops(alone) / cp, rel=1e-9)


@pytest.mark.parametrize("cp", [2, 4])
def test_latent_attention_shares_absorbed_queries_in_decode(cp: int) -> None:
    """Queries of kv_rank + rope_dim a head travel out, sums of kv_rank a head come back."""
    case, alone = (planned(each, model=LATENT, workload=DECODE) for each in (cp, 1))
    (gather,) = {one.payload_bytes for one in collectives(case, "attention.query_all_gather")}
    (merge,) = {one.payload_bytes for one in collectives(case, "attention.partial_reduce_scatter")}
    assert gather == B * HEADS * (128 + 32) * 2
    assert merge == B * HEADS * 128 * 2
    assert core_flops(case) == pytest.approx(core_flops(alone) / cp, rel=1e-9)
    (kernel,) = {one.kernel for one in computes(case, "attention.core")}
    assert isinstance(kernel, LatentAttention)
    assert resident(case.share)["kv_cache"].bytes == 4 * B * S / cp * (128 + 32) * 2


@pytest.mark.parametrize("cp", [2, 4, 8])
@pytest.mark.parametrize("slower", [0.25, 0.99, 1.01, 3.0])
def test_a_ring_overlaps_each_block_s_way_with_work_on_the_one_before(cp: int, slower: float) -> None:
    """cp - 1 times the longer of sending and computing, then the last block: T_attention = (cp-1) max(c, x) + c."""
    model = {**MODEL, "layers": 1}
    block = B * S / cp * 2 * KV_HEADS * HEAD_DIM * 2
    case = planned(cp, model=model)
    step_s = max(one.kernel.flops for one in computes(case, "attention.core")) / 100e12
    machine = cluster(cp, nic=f"{block / (slower * step_s):.17g} B/s")
    found = simulate(scenario(f"CP{cp}", machine, model=model, workload=PREFILL, context_attention="ring"))
    rest = [one for one in found.by_operation if one.kind == "compute" and one.name != "attention.core"]
    expected = sum(one.seconds for one in rest) + (cp - 1) * max(1, slower) * step_s + step_s
    assert seconds(found) == pytest.approx(expected, rel=1e-9)
    exposed = row(found, "attention.ring_send").exposed_seconds
    assert exposed == pytest.approx((cp - 1) * max(0, slower - 1) * step_s, rel=1e-6, abs=1e-15)


def test_only_kernels_of_the_ring_run_beside_its_sends() -> None:
    case = planned(4)
    beside = {one.name for one in _computes(case) if one.beside}
    assert beside == {"attention.core"}
    assert not any(one.beside for one in _computes(planned(4, context_attention="all-gather")))


def _computes(case: Scenario) -> list[Compute]:
    return [one for one in program_of(case).operations if isinstance(one, Compute)]
