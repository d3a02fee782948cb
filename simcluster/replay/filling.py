"""Progressive filling compiled by numba: what sharing.py does in rounds of numpy, wire by wire.

Imported only where it pays: numba takes a third of a second to import.  A wire's level, the common rate of its rising
flows at which it is full, only rises while other wires fill, so a level computed earlier is a lower bound: wires wait
in a heap by such bounds, and only those that come up are computed afresh.  Sums run over the same entries in the same
order as in sharing.py; the answers are the same bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from simcluster.traffic.crossings import Crossings, Floats, Ints

Numbers = NDArray[np.uint32]
"""Flows of entries.  Unsigned, so that compiled code need not ask whether an index counts from the end."""

_F = TypeVar("_F", bound=Callable[..., Any])

_real, _whole = types.float64, types.int64
_reals = types.Array(_real, 1, "C")
_wholes = types.Array(_whole, 1, "C")
_numbers = types.Array(types.uint32, 1, "C")
_given_reals = types.Array(_real, 1, "C", readonly=True)
_given_wholes = types.Array(_whole, 1, "C", readonly=True)
"""What a caller gives is declared read-only: one compilation then serves frozen arrays and writable ones."""

_lists = (_wholes, _wholes, _numbers, _reals)
_limits = (_given_reals, _given_reals, _wholes, _real)


def _compiled(*signature: Any) -> Callable[[_F], _F]:
    """Compile for arguments of these types; keep the code beside this file or in the user's cache, where one is open.

    Nothing may depend on another file's constants: numba compiles again only when this file changes.
    """

    def compile_it(function: _F) -> _F:
        try:
            done: Any = njit(signature, cache=True, error_model="numpy")(function)
        except (RuntimeError, OSError):  # nowhere to write: every process compiles for itself
            done = njit(signature, error_model="numpy")(function)
        compiled: _F = done
        return compiled

    return compile_it


class Columns:
    """Flows and the wires they cross, wire by wire; what has less than 1 - `nearly` of itself to go counts as full."""

    def __init__(self, crossings: Crossings, capacity: Floats, limit: Floats, nearly: float) -> None:
        flow, wire = (np.ascontiguousarray(index, dtype=np.int64) for index in (crossings.flow, crossings.wire))
        use, capacity, limit = (
            np.ascontiguousarray(value, dtype=np.float64) for value in (crossings.use, capacity, limit)
        )
        self._lists = _columns(flow, wire, use, len(capacity))
        self._limits = (capacity, limit, np.flatnonzero(limit < np.inf), nearly)

    def drop(self, wires: Ints, rate: Floats) -> None:
        """Forget the entries of flows of infinite rate on some wires."""
        _drop(*self._lists, wires, rate)

    def fill(self, least: float, rate: Floats) -> bool:
        """Find those rates that are not below `least`, and finite, anew; False if nothing holds one of the flows."""
        return _fill(*self._lists, *self._limits, least, rate)


@_compiled(_given_wholes, _given_wholes, _given_reals, _whole)
def _columns(flow: Ints, wire: Ints, use: Floats, wires: int) -> tuple[Ints, Ints, Numbers, Floats]:
    """The entries sorted by wire, in their order: those of wire w are number start[w] to stop[w]."""
    stop = np.zeros(wires, dtype=np.int64)
    for j in range(len(wire)):
        stop[wire[j]] += 1
    start = np.zeros(wires, dtype=np.int64)
    for w in range(1, wires):
        start[w] = start[w - 1] + stop[w - 1]
    stop[:] = start
    column_flow = np.empty(len(wire), dtype=np.uint32)
    column_use = np.empty(len(wire), dtype=np.float64)
    for j in range(len(wire)):
        k = stop[wire[j]]
        stop[wire[j]] = k + 1
        column_flow[k] = flow[j]
        column_use[k] = use[j]
    return start, stop, column_flow, column_use


@_compiled(*_lists, _given_wholes, _reals)
def _drop(start: Ints, stop: Ints, flow: Numbers, use: Floats, wires: Ints, rate: Floats) -> None:
    """Close up the columns of some wires, so that their stop[w] comes down."""
    for w in wires:
        k = start[w]
        for j in range(start[w], stop[w]):
            flow[k] = flow[j]
            use[k] = use[j]
            k += rate[flow[j]] < np.inf
        stop[w] = k


@_compiled(_reals, _wholes, _whole, _whole)
def _sift(bound: Floats, name: Ints, size: int, at: int) -> None:
    """Let the element at `at` of a heap sink to its place."""
    own_bound, own_name = bound[at], name[at]
    child = 2 * at + 1
    while child < size:
        if child + 1 < size and bound[child + 1] < bound[child]:
            child += 1
        if bound[child] >= own_bound:
            break
        bound[at], name[at] = bound[child], name[child]
        at = child
        child = 2 * at + 1
    bound[at], name[at] = own_bound, own_name


@_compiled(_numbers, _reals, _reals)
def _load(flow: Numbers, use: Floats, rate: Floats) -> tuple[float, float]:
    """Bytes/s of the stopped flows of one wire, and bytes per unit of the rising ones."""
    taken, lifting = 0.0, 0.0
    for j in range(len(flow)):
        own = rate[flow[j]]
        taken += use[j] * own
        lifting += use[j] if own == 0.0 else 0.0
    return taken, lifting


@_compiled(*_lists, *_limits, _reals, _reals, _wholes)
def _ready(
    start: Ints, stop: Ints, flow: Numbers, use: Floats,
    capacity: Floats, limit: Floats, limited: Ints, nearly: float,
    rate: Floats, bound: Floats, name: Ints,
) -> int:  # fmt: skip
    """Fill the heap with all that may hold a rising flow; returns its size."""
    size = 0
    for w in range(len(capacity)):
        if stop[w] > start[w]:
            taken, lifting = _load(flow[start[w] : stop[w]], use[start[w] : stop[w]], rate)
            if lifting > 0.0:
                bound[size], name[size] = (capacity[w] * nearly - taken) / lifting, w
                size += 1
    for i in range(len(limited)):
        if rate[limited[i]] == 0.0:
            bound[size], name[size] = limit[limited[i]] * nearly, len(capacity) + i
            size += 1
    for at in range(size // 2 - 1, -1, -1):
        _sift(bound, name, size, at)
    return size


@_compiled(_numbers, _reals, _real)
def _stop(flow: Numbers, rate: Floats, level: float) -> int:
    """Stop the rising flows of a full wire at `level`; returns how many there were."""
    stopped = 0
    for j in range(len(flow)):
        own = rate[flow[j]]
        stopped += own == 0.0
        rate[flow[j]] = level if own == 0.0 else own
    return stopped


@_compiled(*_lists, *_limits, _real, _reals)
def _fill(
    start: Ints, stop: Ints, flow: Numbers, use: Floats,
    capacity: Floats, limit: Floats, limited: Ints, nearly: float,
    least: float, rate: Floats,
) -> bool:  # fmt: skip
    """`Columns.fill`.

    The heap holds wires, number 0 up, and behind them flows with a limit.  In every round all come off it that are full
    at the lowest level of any; an element counts the second time it comes up in a round, its bound then fresh.
    """
    rising = 0
    for i in range(len(rate)):
        again = least <= rate[i] < np.inf
        rate[i] = 0.0 if again else rate[i]
        rising += again
    wires, most = len(capacity), len(capacity) + len(limited)
    bound, level_of = np.empty(most, dtype=np.float64), np.empty(most, dtype=np.float64)
    name, filled, fresh_in = np.empty(most, dtype=np.int64), np.empty(most, dtype=np.int64), np.full(most, -1)
    size = _ready(start, stop, flow, use, capacity, limit, limited, nearly, rate, bound, name)
    level, turn = 0.0, 0
    while rising > 0:
        lowest, count = np.inf, 0
        while size > 0 and bound[0] <= max(lowest, level) and bound[0] < np.inf:
            e = name[0]
            gone = fresh_in[e] == turn
            if gone:
                filled[count] = e
                count += 1
                lowest = min(lowest, level_of[e])
            elif e >= wires:
                gone = rate[limited[e - wires]] > 0.0
                level_of[e] = limit[limited[e - wires]]
            else:
                taken, lifting = _load(flow[start[e] : stop[e]], use[start[e] : stop[e]], rate)
                gone = lifting == 0.0
                if not gone:
                    level_of[e] = (capacity[e] - taken) / lifting
                    bound[0] = max(bound[0], (capacity[e] * nearly - taken) / lifting)
            fresh_in[e] = turn
            if gone:
                size -= 1
                bound[0], name[0] = bound[size], name[size]
            _sift(bound, name, size, 0)
        if count == 0:
            return False
        level = max(level, lowest)
        for e in filled[:count]:
            if e < wires:
                rising -= _stop(flow[start[e] : stop[e]], rate, level)
            elif rate[limited[e - wires]] == 0.0:
                rate[limited[e - wires]] = level
                rising -= 1
        turn += 1
    return True
