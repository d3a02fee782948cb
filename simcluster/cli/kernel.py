"""`simcluster kernel`."""

from __future__ import annotations

from collections.abc import Iterable

import click

from simcluster.cli.options import catalogue_names, json_option, number_types, quiet_option, words
from simcluster.cli.screen import put
from simcluster.errors import Together

_SIZES = {
    "m": "Rows of a gemm: (m, k) x (k, n); of each group of a grouped one.",
    "n": "Columns of a gemm.",
    "k": "Inner size of a gemm.",
    "groups": "Experts whose products one grouped gemm has.",
    "batch": "Sequences.",
    "sequence": "New tokens of each sequence (prefill).",
    "context": "Cached positions of each sequence (decode), or of a prefix before a prefill.",
    "heads": "Query heads on this GPU.",
    "kv-heads": "Key and value heads on this GPU.",
    "head-dim": "Channels of a head.",
    "window": "Positions that a query sees.",
    "tokens": "Tokens of the whole expert-parallel group (moe).",
    "hidden": "Values of a token (moe).",
    "inner": "Inner width of an expert (moe).",
    "experts": "Experts of the layer (moe).",
    "top-k": "Experts that a token goes to (moe).",
    "ep": "Expert-parallel degree (moe).",
    "tp": "Tensor-parallel degree of an expert (moe).",
}


def _size_options(command: click.decorators.FC) -> click.decorators.FC:
    for name, text in reversed(_SIZES.items()):
        command = click.option(f"--{name}", type=click.IntRange(0), help=text)(command)
    return command


def _kernels() -> Iterable[str]:
    from simcluster.gpu.question import KERNELS

    return KERNELS


@click.command("kernel")
@click.argument("kernel", shell_complete=words(_kernels))
@json_option
@quiet_option
@click.option(
    "--gpu",
    "name",
    required=True,
    metavar="NAME",
    shell_complete=catalogue_names("gpu"),
    help="A GPU of the catalogue.",
)
@click.option("--profile", metavar="NAME|FILE.npz", help="Measured kernels, shipped or from `simcluster calibrate`.")
@click.option("--dtype", default="bf16", show_default=True, shell_complete=words(number_types),
              help="bf16, fp8, fp8_block, nvfp4, int8, …")  # fmt: skip
@click.option("--kv-dtype", shell_complete=words(number_types), help="Number type of the KV cache.")
@_size_options
@click.option("--gated/--no-gated", default=None, help="Whether an expert has a gate (moe) [default: it has].")
@click.option("--skew", type=click.FloatRange(0), help="Power-law exponent of expert popularity (moe).")
def command(
    kernel: str, as_json: bool, name: str, profile: str | None, dtype: str, **sizes: float | bool | str | None
) -> int:
    """Time KERNEL on one GPU: its achieved rate, what bounds it, and where the number comes from.

    KERNEL: gemm, grouped_gemm (several experts' products), attention_prefill, attention_decode, mla_prefill, mla_decode
    (DeepSeek-V3's sizes) or moe, a layer of experts on the slowest GPU of its group.
    """
    from simcluster.gpu.question import question
    from simcluster.kernel import measure
    from simcluster.report import kernel_text, machine
    from simcluster.scenario.cluster_section import load_gpu

    together = Together()
    asked = together.of(lambda: question(kernel, dtype, sizes))
    gpu = together.of(lambda: load_gpu(name, profile))
    together.tell()
    assert asked is not None
    assert gpu is not None
    given = ", ".join(f"{key} {value}" for key, value in sizes.items() if value is not None)
    table = measure(gpu, asked, f"{kernel} {dtype} on {name}: {given}")
    put(machine.row_json(table) if as_json else kernel_text.kernel(table), plain=as_json)
    return 0
