"""A tape that records operations in order and keeps track of which activations are alive."""

from __future__ import annotations

from collections.abc import Iterable

from simcluster.kernels import Kernel
from simcluster.plan.layout import Axis
from simcluster.program.program import Collective, CollectiveKind, Compute, Copies, Operation


class Tape:
    """Records operations one after another; each needs the result of the one before it.

    Tensors are named: an operation `makes` tensors (bytes by name), which live until an operation that `frees` them has
    run.  Making a name that is alive is a mistake of the lowering.  `adds` is the type that reductions add.
    """

    def __init__(self, adds: str = "bf16") -> None:
        self._adds = adds
        self.operations: list[Operation] = []
        self.layer: int | None = None
        self._alive: dict[str, float] = {}

    def compute(self, name: str, kernel: Kernel, *, makes: dict[str, float], frees: Iterable[str] = ()) -> None:
        live = self._live(makes)
        self.operations.append(Compute(name=name, layer=self.layer, kernel=kernel, after=self._previous(), live=live))
        self._free(frees)

    def collective(
        self,
        name: str,
        kind: CollectiveKind,
        axis: Axis,
        payload_bytes: float,
        *,
        makes: dict[str, float],
        frees: Iterable[str] = (),
        copies: Copies | None = None,
        back: bool = False,
    ) -> None:
        live = self._live(makes)
        self.operations.append(
            Collective(
                name=name,
                layer=self.layer,
                kind=kind,
                axis=axis,
                payload_bytes=payload_bytes,
                after=self._previous(),
                live=live,
                dtype=self._adds,
                copies=copies,
                back=back,
            )
        )
        self._free(frees)

    def begin(self, tensors: dict[str, float]) -> None:
        """Tensors that are alive before the first operation."""
        self._alive.update(tensors)

    def free(self, name: str) -> None:
        """Let a tensor go that the last operation read."""
        del self._alive[name]

    def rename(self, old: str, new: str) -> None:
        """Call the tensor `old` by the name the next operation knows it by."""
        self._alive[new] = self._alive.pop(old)

    def _previous(self) -> tuple[int, ...]:
        return (len(self.operations) - 1,) if self.operations else ()

    def _live(self, makes: dict[str, float]) -> dict[str, float]:
        assert self._alive.keys().isdisjoint(makes), f"already alive: {makes}"
        self._alive.update(makes)
        return dict(self._alive)

    def _free(self, names: Iterable[str]) -> None:
        for name in names:
            self.free(name)
