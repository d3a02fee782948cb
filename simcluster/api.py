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
from simcluster.report.trace.file import write as write_trace
from simcluster.scenario.cluster_section import load_cluster, load_gpu
from simcluster.scenario.compile import load
from simcluster.scenario.scenario import Scenario
from simcluster.scenario.sections import read_text
from simcluster.study.candidates import space
from simcluster.study.compare import Source
from simcluster.study.compare import compare as run_compare
from simcluster.study.crossover import TOLERANCE
from simcluster.study.crossover import crossover as run_crossover
from simcluster.study.grid import Axis
from simcluster.study.limits import limits
from simcluster.study.search import search as run_search
from simcluster.study.span import parse_span
from simcluster.study.sweep import sweep as run_sweep
from simcluster.study.uncertainty import intervals
from simcluster.timeline.check import Check
from simcluster.timeline.comparison import Compared
from simcluster.timeline.crossover import Crossover
from simcluster.timeline.interval import Uncertainty
from simcluster.timeline.ranking import Ranking
from simcluster.timeline.result import Result
from simcluster.timeline.table import Table

__all__ = [
    "check",
    "collective_seconds",
    "compare",
    "crossover",
    "kernel_seconds",
    "load",
    "search",
    "simulate",
    "sweep",
    "trace",
    "uncertainty",
]


def check(scenario: Scenario, *, fold: Fold = "auto") -> tuple[Check, ...]:
    """The fixed six checks and one row per expectation of the scenario; `fold` as in `simulate`.

    >>> for one in check(load("scenarios/mixtral_prefill.yaml", ["expect=[mfu >= 0.9]"])):
    ...     print("ok  " if one.passed else "FAIL", one.name)
    ok   gpu_count
    ok   expert_distribution
    ok   memory
    FAIL compute_utilization
    ok   load_balance
    ok   module_division
    FAIL mfu >= 0.9
    """
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

    >>> table = sweep("scenarios/mixtral_prefill.yaml", {"plan": ["EP8", "TP8"]}, workers=1)
    >>> [(row["plan"], f"{row['latency_s']:.3f} s") for row in table.rows]
    [('EP8', '0.156 s'), ('TP8', '0.266 s')]
    """
    axes = [Axis(path=name, values=tuple(str(value) for value in values)) for name, values in over.items()]
    folder = None if out is None else Path(out)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    return run_sweep(read_text(path), str(path), axes, overrides=overrides, folder=folder, workers=workers, fold=fold)


def trace(result: Result, path: str | Path) -> None:
    """Write the timeline of a result as Kineto's Chrome JSON, for Perfetto, chrome://tracing and HolisticTraceAnalysis.

    A file .json or .json.gz has a process for each replayed class of ranks; a folder gets a file for each, named after
    its first rank, as HolisticTraceAnalysis reads them (set HTA_DISABLE_NS_ROUNDING=1).  InputError where the plan did
    not fit in memory or nothing can be written there.
    """
    write_trace(result, path)


def uncertainty(
    scenario: Scenario, draws: int = 50, *, fold: Fold = "auto", workers: int | None = None
) -> Uncertainty | None:
    """`draws` seeded draws of the scenario's uncertain hardware replayed: an interval for each metric, and the inputs
    that move it; None where the plan does not fit in memory.

    >>> latency = uncertainty(load("scenarios/mixtral_prefill.yaml"), draws=10).intervals["latency_s"]
    >>> latency.p5 < latency.nominal < latency.p95
    True
    """
    return intervals(scenario, simulate(scenario, fold=fold), draws, fold=fold, workers=workers)


def compare(
    *paths: str | Path,
    plans: Sequence[str] = (),
    overrides: Sequence[str] = (),
    fold: Fold = "auto",
    sensitivities: bool | None = None,
) -> tuple[Compared, ...]:
    """A column for each scenario file under its own plan and under each of `plans`.

    A plan that cannot be or does not fit has a `reason` and no numbers.  `sensitivities` finds what 10 % more of each
    input buys; None where runs are short.  `timeline.comparison.difference` says why one column is faster than another.

    >>> columns = compare("scenarios/mixtral_prefill.yaml", plans=["EP2"], sensitivities=False)
    >>> [(column.label, f"{column.result.metrics['mfu']:.2f}") for column in columns]
    [('EP8_TP1_PP1', '0.68'), ('EP2', '0.71')]
    """
    sources = [Source(text=read_text(path), origin=str(path)) for path in paths]
    if not sources:
        raise InputError("nothing to compare; name a scenario file")
    return run_compare(sources, plans, overrides=overrides, fold=fold, thorough=sensitivities)


def crossover(
    path: str | Path,
    between: tuple[str, str],
    over: str,
    *,
    overrides: Sequence[str] = (),
    tolerance: float = TOLERANCE,
    fold: Fold = "auto",
) -> Crossover:
    """Where one of two plans overtakes the other as a value grows, `PATH=LO..HI` with units as in a file.

    >>> path, over = "scenarios/mixtral_prefill.yaml", "cluster.gpu.memory_bandwidth=200 GB/s..4 TB/s"
    >>> (one,) = crossover(path, ("EP2", "EP8"), over, tolerance=0.01).crossings
    >>> one.leads_below, one.leads_above
    ('EP8', 'EP2')
    """
    span = parse_span(over)
    return run_crossover(read_text(path), str(path), between, span, overrides=overrides, tolerance=tolerance, fold=fold)


def search(
    scenario: Scenario | str | Path,
    *,
    objective: str = "latency",
    max_latency_s: float | None = None,
    min_throughput_tokens_per_s: float | None = None,
    max_memory: float | None = None,
    fewer_gpus: bool = False,
    placements: bool = False,
    microbatches: Sequence[int | None] = (),
    batches: Sequence[int] = (),
    draws: int = 0,
    workers: int | None = None,
) -> Ranking:
    """Every plan of a scenario (or of the file at that path) on all its GPUs, those that fit replayed and ranked.

    `objective` is latency, throughput or cost (GPU-hours per million tokens), among plans of at most `max_latency_s`
    and `max_memory` (a fraction of a GPU's) and at least `min_throughput_tokens_per_s`.  The space is widened by
    deployments that leave whole nodes out (`fewer_gpus`), every order of placed axes (`placements`), and lists of
    `microbatches` (None: the rule's) and `batches`, which count as the scenario's batch is written.  With `draws` the
    best plans are compared on so many seeded draws of the uncertain hardware, too.  InputError where
    the limits exclude every plan that fits, with what each alone leaves.

    >>> ranking = search("scenarios/mixtral_prefill.yaml", max_memory=0.5, workers=1)
    >>> ranking.considered, ranking.plans[0].plan
    (146, 'EP4_TP1_PP1')
    """
    base = scenario if isinstance(scenario, Scenario) else load(scenario)
    asked = limits(
        max_latency_s=max_latency_s, min_throughput_tokens_per_s=min_throughput_tokens_per_s, max_memory=max_memory
    )
    listed = space(
        base, fewer_gpus=fewer_gpus, placements=placements, microbatches=microbatches, batches=batches
    )  # fmt: skip
    return run_search(base, listed, objective=objective, limits=asked, workers=workers, draws=draws)


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

    >>> seconds = collective_seconds(cluster="dgx-h100", kind="all_reduce", gpus=8, message_bytes=2**26)
    >>> f"{2**26 / seconds * 2 * 7 / 8 / 1e9:.0f} GB/s bus bandwidth"
    '363 GB/s bus bandwidth'
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
