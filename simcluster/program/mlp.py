"""A dense feed-forward part: up (and gate) column-parallel, down row-parallel, all-reduce over tp."""

from __future__ import annotations

from simcluster.kernels import ElementWise
from simcluster.model.transformer import Mlp
from simcluster.plan.share import Share
from simcluster.program.projection import projection
from simcluster.program.stream import add_lanes, lower_norm, residual, stream_bytes
from simcluster.program.tape import Tape


def lower_mlp(tape: Tape, share: Share, mlp: Mlp) -> None:
    """Norm, up, activation, down, addition over tp, residual."""
    lower_norm(tape, share, "mlp")
    names = ("mlp.up", "mlp.activation", "mlp.down")
    dense_block(tape, share, mlp, cut=share.degrees.tp, tokens=share.tokens, names=names)
    tape.free("normed")
    add_lanes(tape, share, "mlp", "tp")
    tape.compute("residual", residual(share), makes={}, frees=("block",))


def dense_block(tape: Tape, share: Share, mlp: Mlp, *, cut: int, tokens: float, names: tuple[str, str, str]) -> None:
    """Up, activation and down of `tokens` tokens, the inner width cut over `cut` ranks; makes the tensor `block`.

    An activation function reads the inner width (twice if gated) and writes it in the compute type.
    """
    model, types = share.model, share.model.precision
    compute, inner = types.bytes_of("compute"), mlp.hidden // cut
    up = projection(share, m=tokens, n=mlp.up_matrices * inner, k=model.hidden, writes="compute")
    wide, narrow = tokens * mlp.up_matrices * inner * compute, tokens * inner * compute
    tape.compute(names[0], up, makes={"raised": wide})
    activation = ElementWise(read_bytes=wide, write_bytes=narrow)
    tape.compute(names[1], activation, makes={"activated": narrow}, frees=("raised",))
    down = projection(share, m=tokens, n=model.hidden, k=inner, writes="communication")
    tape.compute(names[2], down, makes={"block": stream_bytes(share, tokens)}, frees=("activated",))
