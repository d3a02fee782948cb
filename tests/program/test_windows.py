"""Windows of attention: pairs against a count one by one, and which layers read and keep how much."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simcluster.kernels.attention import attended_pairs
from simcluster.model.transformer import Model
from simcluster.model.workload import Phase, Workload
from simcluster.plan.degrees import Degrees
from simcluster.plan.layout import Layout
from simcluster.plan.memory import resident
from simcluster.plan.share import Share
from simcluster.program.lower import lower
from simcluster.program.program import Compute
from simcluster.scenario import build, catalogue
from simcluster.scenario.schema import ModelForm

ONE_GPU = Degrees(tp=1, pp=1, dp=1, cp=1, ep=1, etp=1, edp=1)


def counted(queries: int, keys: int, window: int) -> int:
    """Pairs one by one: the query at position p sees the keys p - window + 1 … p."""
    positions = range(keys - queries, keys)
    return sum(1 for at in positions for key in range(keys) if at - window < key <= at)


@given(queries=st.integers(1, 40), before=st.integers(0, 40), window=st.integers(1, 90))
def test_causal_pairs_are_those_counted(queries: int, before: int, window: int) -> None:
    """The square over two takes half of each query's own key away while its view still grows, and nothing after."""
    keys = before + queries
    growing = min(queries, max(0, window - before))
    pairs = attended_pairs(queries, keys, causal=True, window=window)
    assert pairs == counted(queries, keys, window) - growing / 2


@given(before=st.integers(0, 200), window=st.integers(1, 300))
def test_a_query_of_decode_sees_its_window(before: int, window: int) -> None:
    keys = before + 1
    assert attended_pairs(1, keys, causal=False, window=window) == counted(1, keys, window)


@given(queries=st.integers(1, 50), before=st.integers(0, 50))
def test_a_window_as_long_as_all_keys_is_none(queries: int, before: int) -> None:
    keys = queries + before
    for causal in (True, False):
        none = attended_pairs(queries, keys, causal=causal, window=None)
        assert attended_pairs(queries, keys, causal=causal, window=keys) == none
        assert attended_pairs(queries, keys, causal=causal, window=keys + 1) == none


def model_of(name: str) -> Model:
    return build.model(ModelForm.model_validate(catalogue.look_up("model", name)))


def share_of(model: Model, phase: Phase, batch: int, length: int, kv_block: int = 1) -> Share:
    workload = Workload(phase=phase, batch=batch, length=length, steps=1, kv_block=kv_block)
    return Share(model=model, degrees=ONE_GPU, workload=workload)


def cores(share: Share) -> list[tuple[float, float]]:
    """FLOPs and bytes of each layer's attention core."""
    operations = lower(share, Layout(degrees=share.degrees, gpus_per_node=8)).operations
    found = [op.kernel for op in operations if isinstance(op, Compute) and op.name == "attention.core"]
    return [(kernel.flops, kernel.bytes) for kernel in found]


def test_gpt_oss_decodes_through_windows_in_even_layers() -> None:
    """64 heads and 8 KV heads of 64: 3 sequences see 128 or all 5000 positions."""
    query = 3 * 64 * 64 * (2 + 2)
    windowed = (4 * 3 * 128 * 64 * 64, query + 3 * 128 * 2 * 8 * 64 * 2)
    full = (4 * 3 * 5000 * 64 * 64, query + 3 * 5000 * 2 * 8 * 64 * 2)
    assert cores(share_of(model_of("gpt-oss-20b"), "decode", 3, 5000)) == [windowed, full] * 12


def test_gpt_oss_prefills_through_windows_in_even_layers() -> None:
    """Of 1000 tokens the first 128 see a growing part, the others 128; all keys are read by someone."""
    moved = 1000 * (64 * 64 * (2 + 2) + 2 * 8 * 64 * 2)
    windowed = (4 * (128**2 / 2 + 872 * 128) * 64 * 64, moved)
    full = (4 * (1000**2 / 2) * 64 * 64, moved)
    assert cores(share_of(model_of("gpt-oss-20b"), "prefill", 1, 1000)) == [windowed, full] * 12


@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_a_window_that_is_not_reached_changes_nothing(phase: Phase) -> None:
    mistral = catalogue.look_up("model", "mistral-7b")
    full = build.model(ModelForm.model_validate({**mistral, "window": None}))
    for length in (4095, 4096):
        assert cores(share_of(model_of("mistral-7b"), phase, 2, length)) == cores(share_of(full, phase, 2, length))
    assert cores(share_of(model_of("mistral-7b"), phase, 2, 4097)) != cores(share_of(full, phase, 2, 4097))


@pytest.mark.parametrize(
    ("kv_block", "windowed", "full"), [(1, 128, 5000), (16, 128, 5008), (100, 200, 5000), (4096, 4096, 8192)]
)
def test_a_windowed_layer_keeps_its_window_in_whole_blocks(kv_block: int, windowed: int, full: int) -> None:
    """12 layers of each kind, 2 x 8 KV heads x 64 elements of 2 B a position."""
    part = resident(share_of(model_of("gpt-oss-20b"), "decode", 3, 5000, kv_block))["kv_cache"]
    assert part.bytes == 3 * 12 * (windowed + full) * 2 * 8 * 64 * 2


@pytest.mark.parametrize("full_every", [0, 1, 2, 3, 6])
def test_every_kth_layer_sees_everything(full_every: int) -> None:
    tree = {**catalogue.look_up("model", "mistral-7b"), "full_every": full_every}
    model = build.model(ModelForm.model_validate(tree))
    expected = [None if full_every and layer % full_every == full_every - 1 else 4096 for layer in range(32)]
    assert [model.window_of(layer) for layer in range(32)] == expected
