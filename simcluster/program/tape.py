"""A tape that records operations in order and keeps track of which activations are alive."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from simcluster.kernels import Kernel
from simcluster.plan.layout import Axis
from simcluster.program.program import Collective, CollectiveKind, Compute, Copies, Operation


class Tape:
    """Records operations one after another; each needs the result of the one before it.

    Tensors are named: an operation `makes` tensors (bytes by name), which live until an operation that `frees` them has
    run.  Making a name that is alive is a mistake of the lowering.  Tensors made as `received` hold token copies that
    ranks received, or what was made of them, in the size they have on the most loaded ranks.  `adds` is the type that
    reductions add, `stage` the pipeline stage that runs all this.  `sequence` has the ranges of operations, cut at
    marks, in the order they run.
    """

    def __init__(self, adds: str = "bf16", stage: int = 0) -> None:
        self._adds, self._stage = adds, stage
        self._waits: tuple[int, ...] | None = None
        self.beside = False
        self.operations: list[Operation] = []
        self.sequence: list[range] = []
        self._marked = 0
        self.layer: int | None = None
        self._alive: dict[str, float] = {}
        self._received: set[str] = set()

    def compute(self, name: str, kernel: Kernel, *, makes: dict[str, float], frees: Iterable[str] = ()) -> None:
        self._compute(name, kernel, (), self._live(makes))
        self._free(frees)

    def compute_received(
        self, name: str, kernels: Sequence[Kernel], *, makes: dict[str, float], frees: Iterable[str] = ()
    ) -> None:
        """A kernel on received copies: one for all ranks, or one per ep coordinate; it makes received tensors."""
        fullest = max(kernels, key=lambda kernel: kernel.bytes)
        self._compute(name, fullest, tuple(kernels) if len(kernels) > 1 else (), self._live(makes, received=True))
        self._free(frees)

    def _compute(self, name: str, kernel: Kernel, kernels: tuple[Kernel, ...], live: dict[str, float]) -> None:
        self.operations.append(
            Compute(
                name=name,
                layer=self.layer,
                kernel=kernel,
                kernels=kernels,
                after=self._previous(),
                live=live,
                received=self._received_bytes(),
                stage=self._stage,
                beside=self.beside,
            )
        )

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
        shares: tuple[float, ...] = (),
        received: bool = False,
    ) -> None:
        """One collective; `received` says whether what it makes is received copies."""
        live = self._live(makes, received=received)
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
                shares=shares,
                received=self._received_bytes(),
                stage=self._stage,
            )
        )
        self._free(frees)

    def append(self, operation: Operation) -> None:
        """An operation of a tape of its own, beside whose tensors all that is alive here is alive."""
        both = operation.received + self._received_bytes()
        self.operations.append(operation._replace(live={**self._alive, **operation.live}, received=both))

    def mark(self) -> None:
        """End a range of operations here."""
        if self._marked < len(self.operations):
            self.sequence.append(range(self._marked, len(self.operations)))
            self._marked = len(self.operations)

    def repeat(self, places: range, *, copied: bool) -> None:
        """The operations at `places`, a marked range, once more: copied into the current layer, or put in sequence.

        They leave alive what they found alive.
        """
        if not copied:
            self.mark()
            self.sequence.append(places)
            return
        by = len(self.operations) - places.start
        for operation in self.operations[places.start : places.stop]:
            after = tuple(index + by for index in operation.after) or self._previous()
            self.operations.append(operation._replace(layer=self.layer, after=after))

    @property
    def last(self) -> int:
        """The index of the last operation."""
        return len(self.operations) - 1

    def wait_for(self, *indices: int) -> None:
        """Let the next operation need these instead of the one before it."""
        self._waits = indices

    def begin(self, tensors: dict[str, float]) -> None:
        """Tensors that are alive before the first operation."""
        self._alive.update(tensors)

    def free(self, name: str) -> None:
        """Let a tensor go that the last operation read."""
        del self._alive[name]
        self._received.discard(name)

    def rename(self, old: str, new: str) -> None:
        """Call the tensor `old` by the name the next operation knows it by."""
        self._alive[new] = self._alive.pop(old)
        if old in self._received:
            self._received.remove(old)
            self._received.add(new)

    def _previous(self) -> tuple[int, ...]:
        """What the next operation needs."""
        waits, self._waits = self._waits, None
        if waits is not None:
            return waits
        return (self.last,) if self.operations else ()

    def _received_bytes(self) -> float:
        return sum(self._alive[name] for name in sorted(self._received))

    def _live(self, makes: dict[str, float], *, received: bool = False) -> dict[str, float]:
        assert self._alive.keys().isdisjoint(makes), f"already alive: {makes}"
        self._alive.update(makes)
        if received:
            self._received.update(makes)
        return dict(self._alive)

    def _free(self, names: Iterable[str]) -> None:
        for name in names:
            self.free(name)
