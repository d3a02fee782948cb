"""`simcluster collective`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from simcluster.cli.options import (
    cluster_source,
    json_option,
    number_types,
    quiet_option,
    set_option,
    style_option,
    words,
)
from simcluster.cli.progress import note, waiting
from simcluster.cli.screen import put
from simcluster.errors import InputError, Mistake, Together

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def _kinds() -> Iterable[str]:
    from simcluster.program.program import ALGORITHMS

    return [*ALGORITHMS, "moe_dispatch", "moe_combine"]


def _algorithms() -> Iterable[str]:
    from simcluster.program.program import ALGORITHMS

    return dict.fromkeys(["auto", *(name for known in ALGORITHMS.values() for name in known)])


@click.command("collective")
@click.argument("kind", shell_complete=words(_kinds))
@set_option
@json_option
@quiet_option
@style_option
@click.option(
    "--cluster",
    "source",
    required=True,
    metavar="NAME|FILE",
    shell_complete=cluster_source,
    help="A catalogue cluster or a scenario file.",
)
@click.option("--gpus", required=True, type=click.IntRange(1), help="GPUs that take part, node by node.")
@click.option("--per-node", type=click.IntRange(1), help="GPUs of every node that take part [default: all].")
@click.option("--bytes", "sizes", metavar="1MiB,64MiB|8B..1GiB",
              help="Message sizes as nccl-tests counts them; LO..HI doubles. [default: 1KiB..1GiB]")  # fmt: skip
@click.option("--matrix", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.csv",
              help="Bytes from each GPU (row) to each other (column), for an uneven all_to_all.")  # fmt: skip
@click.option("--dtype", default="bf16", show_default=True, shell_complete=words(number_types),
              help="Element type; switches add some types only.")  # fmt: skip
@click.option("--algorithm", default="auto", show_default=True, shell_complete=words(_algorithms),
              help="One of the kind's algorithms.")  # fmt: skip
@click.option(
    "--tokens", type=click.FloatRange(0, min_open=True), help="Tokens per rank of moe_dispatch or moe_combine."
)
@click.option("--hidden", type=click.IntRange(1), help="Values of a token.")
@click.option("--top-k", type=click.IntRange(1), help="Experts that a token goes to.")
@click.option("--experts", type=click.IntRange(1), help="Experts of a layer.")
@click.option("--mode", type=click.Choice(["normal", "low_latency"]), default="normal", show_default=True,
              help="DeepEP's kernels: for throughput, or for few tokens.")  # fmt: skip
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.png|svg|pdf",
              help="Draw bus bandwidth against size.")  # fmt: skip
def command(
    kind: str,
    overrides: tuple[str, ...],
    as_json: bool,
    style_name: str,
    source: str,
    gpus: int,
    per_node: int | None,
    sizes: str | None,
    matrix: Path | None,
    dtype: str,
    algorithm: str,
    tokens: float | None,
    hidden: int | None,
    top_k: int | None,
    experts: int | None,
    mode: str,
    plot: Path | None,
) -> int:
    """Time the collective KIND on a cluster, in nccl-tests' words.

    KIND: all_reduce, all_gather, reduce_scatter, all_to_all, broadcast or send_recv; moe_dispatch or moe_combine, which
    take --tokens, --hidden, --top-k and --experts in place of --bytes.
    """
    from simcluster.api import collective_seconds
    from simcluster.cli.plot import refuse_unwritable
    from simcluster.collective import Question, known_kind, measure, measure_uneven
    from simcluster.report import listing, machine
    from simcluster.scenario.cluster_section import load_cluster

    if plot is not None:
        refuse_unwritable(plot)
    if kind in ("moe_dispatch", "moe_combine"):
        if sizes is not None or matrix is not None or plot is not None or algorithm != "auto":
            raise InputError(f"{kind} takes --tokens, --hidden, --top-k and --experts; leave the other options out")
        time_s = collective_seconds(
            cluster=load_cluster(source, gpus, overrides, per_node), kind=kind, gpus=gpus, per_node=per_node,
            tokens_per_rank=tokens, hidden=hidden, top_k=top_k, experts=experts, mode=mode,
        )  # fmt: skip
        put(
            machine.value_json("time_s", time_s) if as_json else listing.seconds(f"{kind}, {mode}", time_s),
            plain=as_json,
        )
        return 0
    together = Together()
    cluster = together.of(lambda: load_cluster(source, gpus, overrides, per_node))
    known = together.of(lambda: known_kind(kind, algorithm, dtype))
    counted = together.of(lambda: message_sizes("1KiB..1GiB" if sizes is None else sizes))
    together.tell()
    assert cluster is not None
    assert known is not None
    assert counted is not None
    question = Question(cluster=cluster, kind=known, gpus=gpus, per_node=per_node, dtype=dtype, algorithm=algorithm)
    if matrix is not None:
        if kind != "all_to_all" or sizes is not None or plot is not None or algorithm != "auto":
            raise InputError("--matrix describes one direct all_to_all; leave --bytes, --algorithm and --plot out")
        bytes_between = _matrix(matrix)
        with waiting("timing"):
            seconds = measure_uneven(question, bytes_between)
        put(
            machine.value_json("time_s", seconds) if as_json else listing.seconds("uneven all_to_all", seconds),
            plain=as_json,
        )
        return 0
    with waiting("timing"):
        table = measure(question, counted)
    if plot is not None:
        from simcluster.cli import place
        from simcluster.report.figures import busbw, style

        place.make_folder(plot.parent)
        style.save(busbw.draw(table, style.LOOKS[style_name]), plot)
        note(f"figure: {plot}")
    put(machine.table_json(table) if as_json else listing.collective(table), plain=as_json)
    return 0


def message_sizes(text: str) -> list[float]:
    """`1MiB,64MiB` as bytes; `8B..1GiB` doubles from the first to the second."""
    from simcluster import units

    sizes: list[float] = []
    for part in text.split(","):
        low, dots, high = part.strip().partition("..")
        try:
            first = units.parse(low, "bytes")
            last = units.parse(high, "bytes") if dots else first
        except ValueError as error:
            raise InputError(Mistake(what=str(error), origin="--bytes")) from None
        if dots and not 0 < first <= last:
            raise InputError(
                Mistake(what=f"{part} doubles from nothing to nowhere; write 1KiB..1GiB", origin="--bytes")
            )
        sizes.append(first)
        while dots and sizes[-1] * 2 <= last:
            sizes.append(sizes[-1] * 2)
    return sizes


def _matrix(path: Path) -> NDArray[np.float64]:
    """The numbers of a CSV file without a header."""
    import numpy as np

    try:
        rows = [line.split(",") for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(Mistake(what=f"cannot be read: {error}", origin=str(path))) from None
    if len({len(row) for row in rows}) > 1:
        odd = next(number for number, row in enumerate(rows, start=1) if len(row) != len(rows[0]))
        what = f"row {odd} has {len(rows[odd - 1])} columns, row 1 has {len(rows[0])}; a matrix is square"
        raise InputError(Mistake(what=what, origin=str(path)))
    if not rows:
        raise InputError(Mistake(what="is empty; a matrix has a row per GPU", origin=str(path)))
    try:
        return np.array([[float(cell) for cell in row] for row in rows], dtype=np.float64).reshape(len(rows), -1)
    except ValueError as error:
        raise InputError(Mistake(what=f"{error}; write bytes as plain numbers", origin=str(path))) from None
