"""The public functions: what a notebook or a script calls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from simcluster.cluster.cluster import Cluster
from simcluster.collective import Exchange, Question, exchange_seconds, known_kind, measure
from simcluster.errors import InputError
from simcluster.gpu.gpu import Gpu
from simcluster.gpu.question import Size, question
from simcluster.kernel import kernel_time
from simcluster.pipeline import Fold, simulate
from simcluster.scenario.cluster_section import load_cluster, load_gpu
from simcluster.scenario.compile import load
from simcluster.scenario.scenario import Scenario
from simcluster.scenario.sections import read_text
from simcluster.study.grid import Axis
from simcluster.study.sweep import sweep as run_sweep
from simcluster.study.uncertainty import intervals
from simcluster.timeline.check import Check
from simcluster.timeline.interval import Uncertainty
from simcluster.timeline.table import Table

__all__ = ["check", "collective_seconds", "kernel_seconds", "load", "simulate", "sweep", "uncertainty"]


def check(scenario: Scenario, *, fold: Fold = "auto") -> tuple[Check, ...]:
    """The fixed six checks and one row per expectation of the scenario; `fold` as in `simulate`."""
    return simulate(scenario, fold=fold).checks


def sweep(
    path: str | Path,
    over: Mapping[str, Iterable[object]],
    *,
    overrides: Sequence[str] = (),
    out: str | Path | None = None,
    workers: int | None = None,
    fold: Fold = "auto",
) -> Table:
    """The scenario file at `path` simulated at every point of the grid `over` (values by scenario path).

    With `out`, finished points are kept in that folder and a second call resumes.  `fold` as in `simulate`.
    """
    axes = [Axis(path=name, values=tuple(str(value) for value in values)) for name, values in over.items()]
    folder = None if out is None else Path(out)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    return run_sweep(read_text(path), str(path), axes, overrides=overrides, folder=folder, workers=workers, fold=fold)


def uncertainty(
    scenario: Scenario, draws: int = 50, *, fold: Fold = "auto", workers: int | None = None
) -> Uncertainty | None:
    """`draws` seeded draws of the scenario's uncertain hardware replayed: an interval for each metric, and the inputs
    that move it; None where the plan does not fit in memory."""
    return intervals(scenario, simulate(scenario, fold=fold), draws, fold=fold, workers=workers)


def collective_seconds(
    *,
    cluster: str | Path | Cluster,
    kind: str,
    gpus: int,
    message_bytes: float | None = None,
    dtype: str = "bf16",
    algorithm: str = "auto",
    per_node: int | None = None,
    tokens_per_rank: float | None = None,
    hidden: int | None = None,
    top_k: int | None = None,
    experts: int | None = None,
    mode: str = "normal",
    sms: int | None = None,
) -> float:
    """Seconds of one collective among `gpus` GPUs of a catalogue cluster or of a scenario file's.

    `message_bytes` is nccl-tests' size: the buffer (all_reduce), the total output (all_gather), each rank's whole input
    (reduce_scatter), one rank's send buffer (all_to_all).  `per_node` GPUs of every node take part; all unless given.
    The kinds moe_dispatch and moe_combine ask for `tokens_per_rank`, `hidden`, `top_k` and `experts` instead, in `mode`
    normal or low_latency, with `sms` SMs for the kernel.  InputError names what is wrong and what would fit.
    """
    machine = cluster if isinstance(cluster, Cluster) else load_cluster(str(cluster), gpus, per_node=per_node)
    if kind in ("moe_dispatch", "moe_combine"):
        if tokens_per_rank is None or hidden is None or top_k is None or experts is None:
            raise InputError(f"{kind} needs tokens_per_rank, hidden, top_k and experts")
        question = Question(cluster=machine, kind="all_to_all", gpus=gpus, per_node=per_node, dtype=dtype)
        if algorithm != "auto":
            raise InputError(f"{kind} has no algorithms to choose from; it has modes")
        back = kind == "moe_combine"
        asked = Exchange(
            question=question, back=back, mode=mode, tokens=tokens_per_rank, hidden=hidden, top_k=top_k,
            experts=experts, sms=sms,
        )  # fmt: skip
        return exchange_seconds([asked])[0]
    found = known_kind(kind)
    if message_bytes is None:
        raise InputError(f"message_bytes is missing; {kind} needs 0 bytes or more")
    question = Question(cluster=machine, kind=found, gpus=gpus, per_node=per_node, dtype=dtype, algorithm=algorithm)
    (time_s,) = measure(question, [message_bytes]).column("time_s")
    return float(str(time_s))


def kernel_seconds(*, gpu: str | Gpu, kernel: str, dtype: str = "bf16", **sizes: Size) -> float:
    """Seconds of one kernel on a catalogue GPU.

    `kernel` and its sizes: gemm (m, n, k); attention_prefill (kv_dtype, batch, sequence, context, heads, kv_heads,
    head_dim, window); attention_decode (the same with sequence=1, context = cache length); mla_prefill and mla_decode
    (kv_dtype, batch, sequence, context, heads; DeepSeek-V3's other sizes); moe (tokens of the whole expert-parallel
    group, hidden, inner, experts, top_k, ep, tp, gated, skew), the slowest GPU's time.  InputError lists every size
    that is missing, has no effect or cannot be.

    >>> round(kernel_seconds(gpu="l40s", kernel="gemm", m=4096, n=8192, k=8192) * 1e3, 3)
    2.028
    """
    machine = gpu if isinstance(gpu, Gpu) else load_gpu(gpu)
    return kernel_time(machine, question(kernel, dtype, sizes)).seconds
