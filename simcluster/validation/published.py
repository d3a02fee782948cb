"""Published whole runs: the ledger of what was measured, and the same runs predicted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from simcluster.errors import InputError, Mistake
from simcluster.pipeline import simulate
from simcluster.scenario.compile import compile_text
from simcluster.study.pool import run_all
from simcluster.units import format_exact, show_bytes
from simcluster.validation.lines import Line, lines

PUBLISHED = "published.csv"

HOST_OVERHEAD_S = 3.6e-3
"""Seconds the host of an engine adds to every step; one number for all engines, fixed on the fitted rows."""

GPUS_PER_NODE = 8
"""GPUs of a node of every machine with published runs."""

FEW = 5
"""So few runs are over before other processes would have started."""

METRICS = {
    "ttft_s": "latency_s",
    "output_tokens_per_s_per_gpu": "throughput_tokens_per_s_per_gpu",
    "input_tokens_per_s_per_gpu": "throughput_tokens_per_s_per_gpu",
    "step_time_s": "latency_s",
    "span_s": "latency_s",
}
"""What was measured, and which metric of a result answers it."""

_PRECISIONS = {
    "fp8": "{weights: fp8, compute: fp8, attention: bf16, kv_cache: fp8, dispatch: fp8}",
    "fp8_block": "{weights: fp8_block, compute: fp8_block, attention: bf16, kv_cache: bf16, dispatch: fp8, "
    "vocabulary: bf16}",
    "fp16": "bf16",
    "bf16": "bf16",
}
"""As the engines run them: fp8 GEMMs and cache, attention in 16 bits; DeepSeek-V3's block-scaled fp8 GEMMs beside a
16-bit cache; fp16 has bf16's rates."""

_MEMORY = "1 TB"
"""More than any GPU has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One published run, ready to be predicted or waiting; `batch` is 0 where the engine took what fitted.

    `sequence` is the context of a decode step.  `execution` is what a scenario's section of that name holds,
    `all_to_all` the algorithm of its token exchange; both empty for the defaults.  `timed` an engine has its host's
    overhead in every step, a `trace` of GPU kernels has not.
    """

    id: str
    regime: str
    machine: str
    gpus: int
    model: str
    precision: str
    plan: str
    phase: str
    batch: int
    sequence: int
    output: int
    kv_reads: str
    execution: str
    all_to_all: str
    timed: str
    metric: str
    measured: float
    ready: bool
    waits_for: str
    clean: bool
    fitted: bool
    source: str
    place: str

    def run_seconds(self, value: float) -> float:
        """The time of the whole run in which the metric has that value."""
        if self.metric.endswith("_s"):
            return value
        tokens = self.output if self.metric.startswith("output") else self.sequence
        return self.batch * tokens / (value * self.gpus)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """A case and its metric as predicted; None for a case that waits or cannot run, and `reason` says why."""

    case: Case
    predicted: float | None = None
    reason: str = ""

    @property
    def error(self) -> float | None:
        """(predicted - measured) / measured."""
        return None if self.predicted is None else self.predicted / self.case.measured - 1


def cases(folder: Path | None = None) -> tuple[Case, ...]:
    """The rows of published.csv, shipped or in `folder`; InputError names the line that cannot be read."""
    return tuple(_case(row) for row in lines(PUBLISHED, folder))


def is_ledger(folder: Path) -> bool:
    """Whether the folder's published.csv has the ledger's columns."""
    rows = lines(PUBLISHED, folder)
    return bool(rows) and "waits_for" in rows[0]


def _case(row: Line) -> Case:
    ready = row.one_of("status", "ready", "waiting") == "ready"
    phase = row.one_of("phase", "prefill", "decode", "generate", *(() if ready else ("train",)))
    if ready == bool(row["waits_for"]):
        what = "a waiting case says in waits_for what it waits for, a ready one leaves it empty"
        raise InputError(Mistake(what=what, origin=row.place))
    return Case(
        id=row["id"],
        regime=row["regime"],
        machine=row["machine"],
        gpus=row.count("gpus"),
        model=row["model"],
        precision=row.one_of("precision", *_PRECISIONS),
        plan=row["plan"],
        phase=phase,
        batch=row.count("batch", least=int(ready)),
        sequence=row.count("sequence"),
        output=row.count("output", least=int(phase in ("decode", "generate"))),
        kv_reads=row.one_of("kv_reads", "per_kv_head", "per_query_head"),
        execution=row.get("execution"),
        all_to_all=row.get("all_to_all"),
        timed=row.one_of("timed", "engine", "trace") if "timed" in row else "engine",
        metric=row.one_of("metric", *METRICS),
        measured=row.number("measured"),
        ready=ready,
        waits_for=row["waits_for"],
        clean=row.one_of("clean", "yes", "no") == "yes",
        fitted=row.one_of("fitted", "yes", "no") == "yes",
        source=row["source"],
        place=row.place,
    )


def scenario(case: Case, host_overhead_s: float = HOST_OVERHEAD_S) -> tuple[str, tuple[str, ...]]:
    """A ready case as the text of a scenario, and what is set in its catalogue sections.

    GPUs that do not fill a node are alone in theirs. A run that was measured did fit, so memory is not asked.
    """
    length = "context" if case.phase == "decode" else "sequence"
    workload: dict[str, str | int] = {"phase": case.phase, "batch": case.batch, length: case.sequence}
    if case.phase == "generate":
        workload["output"] = case.output
    if case.phase in ("decode", "generate"):
        workload["kv_reads"] = case.kv_reads
    if host_overhead_s and case.timed == "engine":
        workload["host_overhead"] = format_exact(host_overhead_s, "seconds")
    sections = {"cluster": case.machine, "model": case.model, "plan": case.plan}
    told = [f"{key}: {value}" for key, value in sections.items()]
    told += ["workload:", *(f"  {key}: {value}" for key, value in workload.items())]
    changes = [f"model.precision={_PRECISIONS[case.precision]}", f"cluster.gpu.memory={_MEMORY}"]
    if case.execution:
        changes.append(f"execution={{{case.execution}}}")
    if case.all_to_all:
        changes.append(f"cluster.algorithms.all_to_all={case.all_to_all}")
    # The number of GPUs tells how the plan's name is to be read.
    if case.gpus < GPUS_PER_NODE:
        changes += ["cluster.nodes=1", f"cluster.gpus_per_node={case.gpus}", "cluster.infiniband=null"]
    else:
        changes.append(f"cluster.nodes={-(-case.gpus // GPUS_PER_NODE)}")
    return "\n".join([*told, ""]), tuple(changes)


def predictions(found: Sequence[Case]) -> Iterator[Prediction]:
    """Every case with its prediction, in the order given; a waiting case is not run."""
    ready = sorted((case for case in found if case.ready), key=lambda case: case.output, reverse=True)
    answers = dict(run_all(predict, ready, workers=1 if len(ready) < FEW else None))
    for case in found:
        yield answers[case] if case.ready else Prediction(case=case)


def predict(case: Case, host_overhead_s: float = HOST_OVERHEAD_S) -> Prediction:
    """A ready case simulated; one that is no valid scenario, or does not fit, has a reason in place of a value."""
    text, changes = scenario(case, host_overhead_s)
    try:
        result = simulate(compile_text(text, case.place, changes))
    except InputError as error:
        reason = "; ".join(": ".join(part for part in (one.path, one.what) if part) for one in error.mistakes)
        return Prediction(case=case, reason=reason)
    value = result.metrics[METRICS[case.metric]]
    if value is None:
        needed, capacity = result.memory_total_bytes, result.memory_capacity_bytes
        return Prediction(case=case, reason=f"does not fit: {show_bytes(needed)} of {show_bytes(capacity)}")
    return Prediction(case=case, predicted=float(value))
