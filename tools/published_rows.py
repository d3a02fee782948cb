"""Writes simcluster/validation/measurements/published.csv from the raw table of published measurements.

    python -m tools.published_rows ../shared/data

One row per published inference or training run. Ready are the runs that the simulator can repeat: first tokens and
static batches of Llama-2 (TensorRT-LLM 0.5 and 0.6.1), and steps of DeepSeek-V3 with experts spread over several nodes.
The others wait for what they need. Fitted are a quarter of the rows of each ready regime on one node, rounded, halves
down: those whose ids have the smallest SHA-256. The rule looks at nothing that was measured.
"""

from __future__ import annotations

import csv
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

TARGET = Path("simcluster/validation/measurements/published.csv")
COLUMNS = ("id", "regime", "machine", "gpus", "model", "precision", "plan", "phase", "batch", "sequence", "output",
           "kv_reads", "execution", "all_to_all", "timed", "metric", "measured", "status", "waits_for", "clean",
           "fitted", "source", "notes")  # fmt: skip

SCHEDULER = "in-flight batching: a scheduler of requests"
TRAINING = "training: backward pass and pipeline schedules"

WIDE = "published wide-EP deployments"
TURNS = "overlap: two-batch"
COMMUNICATION_SMS = "communication_sms: 0.15"
"""20 of 132: DeepEP's default, and the published training trace of the same system computes on 112 (profile-data)."""

DECODE = {
    "id": "dsv3-profile-decode-ep128",
    "category": "inference",
    "hardware": "H800-SXM-80GB",
    "gpus": "128",
    "gpus_per_node": "8",
    "model": "DeepSeek-V3-671B",
    "precision": "fp8 (MLA bf16, combine bf16)",
    "tp": "1",
    "pp": "1",
    "dp": "128",
    "cp": "",
    "ep": "128",
    "batch_or_tokens": "128 requests/GPU",
    "isl": "4096",
    "osl": "1",
    "metric": "decode output throughput",
    "value": "18598",
    "unit": "tok/s/node",
    "source": "deepseek-ai/profile-data README.md @ae7fc07 + lm-sys/lm-sys.github.io "
    "blog/2025-05-05-large-scale-ep.md @2db4e40",
    "notes": "perfectly balanced; value computed by SGLang from the trace (alibaba/InferSim README.md @0d2b567: 2324 "
    "tok/s/GPU); whether a second token was predicted is not stated",
}
"""A run that the raw table lacks, in its columns."""

_MACHINES = {"A100": "dgx-a100", "H100": "dgx-h100", "H200": "dgx-h200", "H800": "dgx-h800"}
_MODELS = {"DeepSeek-V3-671B": "deepseek-v3", "GPT-175B (MegaScale cfg)": "gpt-175b-megascale"}
_METRICS = {
    "first-token latency": "ttft_s",
    "output tokens/s per GPU (static batch)": "output_tokens_per_s_per_gpu",
    "total output throughput": "output_tokens_per_s_per_gpu",
    "prefill input throughput": "input_tokens_per_s_per_gpu",
    "training throughput per GPU": "input_tokens_per_s_per_gpu",
    "iteration time": "step_time_s",
    "training step time": "step_time_s",
    "decode output throughput": "output_tokens_per_s_per_gpu",
    "span of overlapped F+B pair, 4 MoE layers": "span_s",
    "F+B period per MoE layer": "span_s",
}
_TRAINERS = {"korth": "Megatron (2022)", "megascale": "MegaScale", "vtrain1": "vTrain", "dgxc": "NeMo 25.02",
             "dgxc2505": "NeMo 25.05", "mbridge25.11": "Megatron Bridge 25.11", "mbridge25.09": "Megatron Bridge 25.09",
             "mpt": "MPT", "dsv3": "DeepSeek-V3 trace"}  # fmt: skip
_SETTINGS = re.compile(r"(?:MBS|GA|VP|FSDP|interleave|act-ckpt)=[\w/]+")
_REMARKS = {
    "full-recompute": "full recomputation",
    "seqpar+selective": "sequence parallel, selective recomputation",
    "FULL_SHARD": "FSDP full shard",
    "AMBIGUOUS VP": "VP ambiguous",
    "parallel transformer block": "parallel block, sliding window, LAMB",
    "EP not stated": "EP not stated",
    "PyTorch backend": "PyTorch backend",
    "Llama-3.3-70B": "model is Llama-3.3-70B, same shape",
    "KV fp8 when": "KV cache fp8 where the weights are",
    "perfectly balanced": "balanced routing, two microbatches",
    "perfect EPLB": "balanced routing",
    "batch 1, single": "one token generated, TensorRT-LLM 0.5",
    "header says per GPU": "read as per GPU, as the page's header says",
    "FP8 weights+KV": "weights and KV cache fp8",
    "DualPipe": "forward and backward overlapped, 4 MoE layers",
    "tokendrop;": "tokens dropped",
    "computed by SGLang": "computed by SGLang from the trace",
    "second token": "whether a second token was predicted is not stated",
}


BEFORE_XQA = ("trtllm05-", "trtllm061-")
"""Engines whose decode attention read the cache once per query head.  TensorRT-LLM shares it between the query heads of
a group since 0.8 (NVIDIA, "XQA kernel provides 2.4x more Llama-70B throughput", TensorRT-LLM blog, 2024)."""


def rows(raw: Path) -> list[dict[str, str]]:
    """Every inference and training run of the raw table, and the one it lacks; ready ones first."""
    with raw.open(newline="", encoding="utf-8") as file:
        kept = [line for line in csv.DictReader(file) if line["category"] in ("inference", "training")]
    found = [_row(line) for line in [*kept, DECODE]]
    found.sort(key=lambda row: (row["status"] != "ready", row["waits_for"]))
    chosen = set(_fitted(found))
    return [{**row, "fitted": "yes" if row["id"] in chosen else "no"} for row in found]


def _row(line: dict[str, str]) -> dict[str, str]:
    metric = _METRICS[line["metric"]]
    training, wide = line["category"] == "training", _is_wide(line)
    ready = wide or "[CLEAN-14]" in line["notes"] or "[CLEAN-15]" in line["notes"]
    waits_for = "" if ready else TRAINING if training else SCHEDULER
    phase = "train" if training else _inference_phase(line, metric)
    return {
        "id": line["id"],
        "regime": _regime(line, phase),
        "machine": _MACHINES[line["hardware"][:4]],
        "gpus": line["gpus"],
        "model": _model(line),
        "precision": "fp8_block" if wide else _first(r"fp8|bf16|fp16", line["precision"].lower()),
        "plan": _plan(line),
        "phase": phase,
        "batch": _batch(line),
        "sequence": line["isl"],
        "output": line["osl"] if phase in ("decode", "generate") else "0",
        "kv_reads": "per_query_head" if line["id"].startswith(BEFORE_XQA) else "per_kv_head",
        "execution": "" if not wide else TURNS if phase == "decode" else f"{TURNS}, {COMMUNICATION_SMS}",
        "all_to_all": "" if not wide else "low-latency" if phase == "decode" else "node-dedup",
        "timed": "trace" if "from the trace" in line["notes"] else "engine",
        "metric": metric,
        "measured": f"{_measured(line):.8g}",
        "status": "ready" if ready else "waiting",
        "waits_for": waits_for,
        "clean": "yes" if "[CLEAN-" in line["notes"] else "no",
        "source": re.split(r" \(transcription| and transcription", line["source"])[0].replace(", ", "; "),
        "notes": _notes(line),
    }


def _is_wide(line: dict[str, str]) -> bool:
    """Inference with experts over several nodes and batches as stated: DeepSeek-V3 as it is deployed, in turns of two
    microbatches; decode exchanges tokens by DeepEP's low-latency kernels, which take no SMs, prefill by its others."""
    spread = int(line["ep"] or 1) > int(line["gpus_per_node"] or 1)
    return line["category"] == "inference" and spread and not line["batch_or_tokens"].startswith("max")


def _inference_phase(line: dict[str, str], metric: str) -> str:
    if line["metric"].startswith("decode"):
        return "decode"
    return "generate" if metric.startswith("output") else "prefill"


def _regime(line: dict[str, str], phase: str) -> str:
    gpu = line["hardware"][:4]
    if phase == "train":
        return f"training, {_TRAINERS[line['id'].split('-')[0]]}"
    if line["id"].startswith("trtllm05"):
        return f"Llama-2 first token, {gpu}"
    if line["id"].startswith("trtllm061"):
        return f"Llama-2 static batch, {gpu}"
    if _is_wide(line):
        return WIDE
    return f"{line['model']} in-flight batching, {gpu}"


def _model(line: dict[str, str]) -> str:
    """The catalogue's name, or a name like it; vTrain's models are named by their sizes."""
    if line["model"].startswith("GPT (vTrain"):
        return f"gpt-h{line['hidden']}-l{line['layers']}"
    return _MODELS.get(line["model"], re.sub(r"[^a-z0-9.]+", "-", line["model"].lower()).strip("-"))


def _plan(line: dict[str, str]) -> str:
    """The plan's name in the folded reading: tp·cp·pp·DP GPUs, experts inside."""
    parts = [f"TP{line['tp']}"]
    parts += [f"{axis.upper()}{line[axis]}" for axis in ("pp", "dp", "cp", "ep") if line[axis] not in ("", "1")]
    expert_tp = re.search(r"ETP=(\d+)", line["notes"])
    return "_".join([*parts, f"ETP{expert_tp[1]}"] if expert_tp else parts)


def _batch(line: dict[str, str]) -> str:
    """Sequences of the whole deployment; 0 where the engine took what fitted."""
    text = line["batch_or_tokens"]
    if text.startswith("max"):
        return "0"
    if "requests/GPU" in text:
        return str(int(text.split()[0]) * int(line["gpus"]))
    if "tokens/GPU" in text:
        return str(int(text.split()[0]) // int(line["isl"]) * int(line["gpus"]))
    return text


def _measured(line: dict[str, str]) -> float:
    """Seconds, or tokens per second and GPU."""
    value = float(line["value"])
    match line["unit"]:
        case "ms":
            return value / 1e3
        case "tok/s":
            return value / int(line["gpus"])
        case "tok/s/node":
            return value / int(line["gpus_per_node"])
        case "s" | "tok/s/GPU":
            return value
        case unit:
            raise ValueError(f"{line['id']}: {unit} is no unit of this table")


def _notes(line: dict[str, str]) -> str:
    told = [remark for words, remark in _REMARKS.items() if words in line["notes"]]
    if "not stated" in line["hardware"]:
        told.append("40 or 80 GB not stated")
    return "; ".join([*_SETTINGS.findall(line["notes"]), *told])


def _fitted(found: list[dict[str, str]]) -> Iterator[str]:
    """The ids that may fix the host overhead, which is that of engines on one node."""
    regimes: dict[str, list[str]] = defaultdict(list)
    for row in found:
        if row["status"] == "ready" and row["regime"] != WIDE:
            regimes[row["regime"]].append(row["id"])
    for ids in regimes.values():
        yield from sorted(ids, key=lambda name: sha256(name.encode()).digest())[: (len(ids) + 1) // 4]


def _first(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise ValueError(f"{text!r} has none of {pattern}")
    return match[0]


def main() -> None:
    """Write the ledger from the folder named on the command line."""
    with TARGET.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows(Path(sys.argv[1]) / "published.csv"))


if __name__ == "__main__":
    main()
