"""Slices: a kernel event for every row of a timeline, and an event for every wait, as lines of JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import numpy as np

from simcluster.report.trace.columns import chosen, events, micro, whole
from simcluster.report.trace.lanes import CHUNK, STREAMS, Lanes, stream_of
from simcluster.timeline.timeline import Operation

_KINDS = {
    "all_reduce": "AllReduce",
    "all_gather": "AllGather",
    "reduce_scatter": "ReduceScatter",
    "broadcast": "Broadcast",
    "all_to_all": "AllToAll",
    "send_recv": "SendRecv",
}


def name_of(operation: Operation) -> str:
    """`attention.core`, or `ncclKernel_AllToAll(moe.dispatch)`: readers tell communication by names like NCCL's.

    HolisticTraceAnalysis takes what matches `^nccl.*Kernel` for communication, and for a memory operation what holds
    Memcpy, Memset or Sync; all else is computing.
    """
    if operation.stream == "compute":
        return operation.name
    return f"ncclKernel_{_KINDS[operation.kind]}({operation.name})"


def text(value: object) -> bytes:
    """A value as compact JSON in UTF-8 (Perfetto shows \\u2026 as six letters); whole numbers without a point."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")


def fields(values: Mapping[str, object]) -> bytes:
    """The members of a JSON object without its braces; those that are None are left out."""
    return b",".join(b"%b:%b" % (text(key), text(value)) for key, value in values.items() if value is not None)


def facts(operation: Operation, sizes: Mapping[str, int]) -> dict[str, object]:
    """What a slice says of its operation: bytes, FLOPs and microseconds of a GPU and run.

    `bytes` is HBM traffic of a kernel or what a GPU sends in a collective; `alone_us` is its time with nothing beside.
    """
    known: dict[str, object] = {
        "stream": stream_of(operation) + 1,
        "operation": operation.name,
        "layer": operation.layer,
        "bound": operation.bound,
        "bytes": operation.bytes,
    }
    if operation.stream == "compute":
        known["flops"] = operation.flops
    else:
        known |= {
            "kind": operation.kind,
            "alone_us": round(operation.alone_s * 1e6, 3),
            "algorithm": operation.algorithm,
            "bytes_nvlink": operation.bytes_nvlink,
            "bytes_infiniband": operation.bytes_infiniband,
            "group_axis": operation.axis,
            "group_size": 2 if operation.axis == "pp" else sizes.get(operation.axis or ""),
        }
    return known | ({"stands_for_steps": operation.times} if operation.times > 1 else {})


class Slices:
    """The slices of lanes, chunk by chunk; `sizes` are the degrees of the plan's axes."""

    def __init__(self, lanes: Lanes, sizes: Mapping[str, int], gpus_per_node: int) -> None:
        self.lanes, self.gpus_per_node = lanes, gpus_per_node
        self.tail = [fields(facts(one, sizes)) + b"}," + _named(one) for one in lanes.timeline.operations]
        self.waited = [text(one.name) + b"}}" for one in lanes.timeline.operations]

    def of(self, tracks: range) -> Iterator[bytes]:
        """The events of some tracks, in pieces; a track's process is its first rank."""
        for stream in range(len(STREAMS)):
            whole = self.lanes.place(stream, tracks)
            for first in range(whole.start, whole.stop, CHUNK):
                yield from self._chunk(stream, slice(first, min(first + CHUNK, whole.stop)))

    def _chunk(self, stream: int, place: slice) -> Iterator[bytes]:
        lanes, head = self.lanes, b'{"ph":"X","tid":%d,"pid":' % (stream + 1)
        start, finish, row = lanes.start_ns[place], lanes.finish_ns[place], lanes.row[place]
        step, operation = lanes.timeline.step[row], lanes.timeline.operation[row]
        rank = lanes.timeline.tracks.first[start // lanes.span_ns]
        number = np.arange(place.start + 1, place.stop + 1)
        yield events(
            len(row), head, whole(rank), b',"ts":', micro(start % lanes.span_ns), b',"dur":', micro(finish - start),
            b',"args":{"device":', whole(rank % self.gpus_per_node), b',"correlation":', whole(number),
            b',"step":', whole(step), b",", chosen(self.tail, operation),
        )  # fmt: skip
        arrive = lanes.arrive_ns(place)
        late = np.flatnonzero(start > arrive)
        if len(late):
            waits = (start - arrive)[late]
            yield events(
                len(late), head, whole(rank[late]), b',"ts":', micro(arrive[late] % lanes.span_ns), b',"dur":',
                micro(waits), b',"cat":"wait","name":"waiting","args":{"for":', chosen(self.waited, operation[late]),
            )  # fmt: skip


def _named(operation: Operation) -> bytes:
    return fields({"cat": "kernel", "name": name_of(operation)}) + b"}"
