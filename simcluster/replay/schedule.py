"""What a replay needs to know of a program before the clock starts: times of kernels, loads of collectives, waits."""

from __future__ import annotations

import numpy as np

from simcluster.cluster.gpu import KernelTime
from simcluster.cluster.routes import CutOffError, Routes
from simcluster.errors import InputError, Mistake, shortened
from simcluster.program.program import Collective, Compute, Program, live_bytes
from simcluster.replay.pattern import Group
from simcluster.replay.pricing import Pricing
from simcluster.replay.traffic import Traffic
from simcluster.timeline.timeline import Floats, Operation

Need = tuple[int, int]
"""An operation of the other stream that must be done first, as (steps back, index)."""


class Schedule:
    """A program priced on the hardware of `routes`.

    `kernels` and `collectives` are the two streams as indices into the program in order; `kernel_times` holds every
    kernel's time by index; `traffics` every collective's load by index, one per group; `group_of` each rank's group
    number by axis.  `needs` are the waits across streams, `awaited` the kernels somebody waits for.
    """

    def __init__(self, program: Program, routes: Routes) -> None:
        self.program, self.routes = program, routes
        gpu = routes.cluster.gpu
        computes = {i: op for i, op in enumerate(program.operations) if isinstance(op, Compute)}
        self._communications = {i: op for i, op in enumerate(program.operations) if isinstance(op, Collective)}
        self.kernels, self.collectives = tuple(computes), tuple(self._communications)
        by_kernel = {kernel: gpu.kernel_time(kernel) for kernel in {op.kernel: None for op in computes.values()}}
        self.kernel_times: dict[int, KernelTime] = {i: by_kernel[op.kernel] for i, op in computes.items()}
        self._pricing = Pricing(routes)
        by_pattern: dict[tuple[object, ...], tuple[Traffic, ...]] = {}
        for op in self._communications.values():
            if _pattern_key(op) not in by_pattern:
                by_pattern[_pattern_key(op)] = tuple(self._traffic(op, group) for group in program.groups[op.axis])
        self.traffics = {i: by_pattern[_pattern_key(op)] for i, op in self._communications.items()}
        self.group_of = {
            axis: {rank: number for number, group in enumerate(groups) for rank in group}
            for axis, groups in program.groups.items()
        }
        self.needs = self._cross_stream_needs()
        self.awaited = frozenset(need for edges in self.needs for _, need in edges if need in self.kernel_times)

    def _traffic(self, op: Collective, group: Group) -> Traffic:
        """One group's collective on the wires, or InputError that says who waits for what."""
        try:
            return self._pricing.of(op, group)
        except ValueError as error:
            raise InputError(Mistake(path=f"cluster.algorithms.{op.kind}", what=f"{op.name}: {error}")) from None
        except CutOffError as error:
            what = (
                f"{op.name} can never complete: rank {error.sender} cannot reach rank {error.receiver}, {error.where}; "
                f"ranks {shortened(group)} wait"
            )
            raise InputError(Mistake(path="faults" if self.routes.cluster.faults else "cluster", what=what)) from None

    def collective(self, index: int) -> Collective:
        return self._communications[index]

    def node_bytes(self) -> Floats:
        """Bytes that the GPUs of each node send to those of each node in one step, shape (nodes, nodes)."""
        nodes = self.routes.cluster.nodes
        total = np.zeros(nodes * nodes)
        for index, collective in self._communications.items():
            for group in self.traffics[index]:
                total[group.node_pair] += group.node_share * collective.payload_bytes
        return total.reshape(nodes, nodes)

    def _cross_stream_needs(self) -> list[list[Need]]:
        """Order on the same stream needs no edge.

        An operation that needs nothing starts a step, and waits for both streams' last operation of the step before.
        """
        last = [stream[-1] for stream in (self.kernels, self.collectives) if stream]
        needs: list[list[Need]] = []
        for index, operation in enumerate(self.program.operations):
            edges = [(0, need) for need in operation.after] or [(1, end) for end in last]
            on_compute = index in self.kernel_times
            needs.append([(back, need) for back, need in edges if (need in self.kernel_times) != on_compute])
        return needs

    def operations(self) -> tuple[Operation, ...]:
        """What the timeline keeps of every operation: work per GPU, time alone, and what bounds it."""
        return tuple(
            self._kernel(index, operation) if isinstance(operation, Compute) else self._transfer(index, operation)
            for index, operation in enumerate(self.program.operations)
        )

    def _kernel(self, index: int, compute: Compute) -> Operation:
        time = self.kernel_times[index]
        return Operation(
            name=compute.name,
            kind="compute",
            algorithm=None,
            layer=compute.layer,
            flops=compute.kernel.flops,
            bytes=compute.kernel.bytes,
            bytes_nvlink=0.0,
            bytes_infiniband=0.0,
            live_bytes=live_bytes(compute),
            alone_s=time.seconds,
            bound=time.bound,
        )

    def _bound(self, traffic: Traffic, payload_bytes: float) -> str:
        """What takes most of a lone transfer: its latency, or the kind of its fullest wire."""
        if traffic.latency_s > traffic.alone_s(payload_bytes) - traffic.latency_s:
            return "latency"
        return self.routes.wire_class[traffic.slowest_leg(payload_bytes).full_wire].kind

    def _transfer(self, index: int, collective: Collective) -> Operation:
        """Bytes are means over groups; time and bound are those of the slowest group."""
        traffics, payload = self.traffics[index], collective.payload_bytes
        slowest = max(traffics, key=lambda traffic: traffic.alone_s(payload))
        mean = payload / len(traffics)
        return Operation(
            name=collective.name,
            kind=collective.kind,
            algorithm=slowest.algorithm,
            layer=collective.layer,
            flops=0.0,
            bytes=mean * sum(traffic.sent_share for traffic in traffics),
            bytes_nvlink=mean * sum(traffic.nvlink_share for traffic in traffics),
            bytes_infiniband=mean * sum(traffic.infiniband_share for traffic in traffics),
            live_bytes=live_bytes(collective),
            alone_s=slowest.alone_s(payload),
            bound=self._bound(slowest, payload),
        )


def _pattern_key(op: Collective) -> tuple[object, ...]:
    return op.kind, op.axis, op.payload_bytes, op.dtype, op.copies, op.back
