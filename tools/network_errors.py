"""Errors of the finished constants: in sample, and on rows kept back from a refit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tools.moe import NODE, PHASES, MoeRow, fit_moe, predict_moe
from tools.network_families import between_nodes, carried_over, one_node, usable
from tools.network_model import Array, Library, predict
from tools.network_rows import MACHINES, Row

MIB = 2**20


@dataclass(frozen=True)
class Errors:
    """Relative errors of one group of rows."""

    group: str
    error: Array

    def __str__(self) -> str:
        size = np.abs(self.error)
        bias = 100 * float(self.error.mean())
        return f"{self.group:58} {len(size):5d} {100 * size.mean():7.1f} {100 * size.max():7.0f} {bias:+7.1f}"


TITLE = f"{'rows':58} {'n':>5} {'mean %':>7} {'worst %':>7} {'bias %':>7}"


def collective_errors(libraries: dict[str, Library], rows: Sequence[Row]) -> Iterator[Errors]:
    """Per machine, setup, kind, one node or several, and size range."""
    groups: dict[tuple[str, str, str, str], list[Row]] = {}
    for row in rows:
        place = "one node" if row.nodes == 1 else "two nodes" if row.nodes == 2 else "more nodes"
        setup = "" if row.kind == "custom_all_reduce" else row.setup
        groups.setdefault((row.machine, place, setup, row.kind), []).append(row)
    for (machine, place, setup, kind), members in groups.items():
        if kind not in libraries[machine]:
            continue
        predicted, _ = predict(libraries[machine], members)
        error = predicted / np.array([row.us for row in members]) - 1
        size = np.array([row.bytes for row in members])
        name = f"{machine} {kind}, {place}{', ' + setup if setup else ''}"
        edge, label = (1 * MIB, ">= 1 MiB") if place == "one node" else (16 * MIB, ">= 16 MiB")
        yield Errors(f"{name}, all sizes", error)
        if (size >= edge).any():
            yield Errors(f"{name}, {label}", error[size >= edge])


def moe_errors(library: Library, rows: Sequence[MoeRow]) -> Iterator[Errors]:
    """Per phase, mode and number of GPUs."""
    for phase in PHASES:
        groups: dict[tuple[str, str, int], list[MoeRow]] = {}
        for row in rows:
            groups.setdefault((row.machine, _algorithm(row), row.gpus), []).append(row)
        for (machine, algorithm, gpus), members in groups.items():
            timed = [row for row in members if row.us(phase) > 0]
            if not timed:
                continue
            predicted = predict_moe(timed[0].mode, library[f"moe_{phase}"][algorithm], phase, timed)
            error = predicted / np.array([row.us(phase) for row in timed]) - 1
            yield Errors(f"{machine} {phase} {algorithm}, EP{gpus}", error)


def _algorithm(row: MoeRow) -> str:
    return "low_latency" if row.mode == "low_latency" else "normal" if row.gpus <= NODE else "rail_normal"


def held_out(rows: Sequence[Row], moe: Sequence[MoeRow], folds: int, starts: int, steps: int) -> Iterator[Errors]:
    """Errors on each fold of constants fitted to the other folds, pooled over folds."""
    pooled: dict[str, list[Array]] = {}

    def keep(errors: Iterator[Errors]) -> None:
        for each in errors:
            pooled.setdefault(each.group, []).append(each.error)

    plain = [row for row in rows if row.machine in MACHINES and (usable(row) or row.setup == "efa")]
    for fold in range(folds):
        train, test = _split(plain, fold, folds)
        inside = {
            m: one_node(m, [r for r in train if r.machine == m and r.nodes == 1 and usable(r)], starts, steps)
            for m in MACHINES
        }
        several = [row for row in train if row.machine == "h100" and row.nodes > 1]
        outside = between_nodes(several, inside["h100"], starts, steps)
        libraries = {m: carried_over(outside, inside["h100"], m, inside[m]) for m in MACHINES}
        keep(collective_errors(libraries, [row for row in test if row.machine == "h100" or row.nodes == 1]))
        train_moe, test_moe = _split(moe, fold, folds)
        library: Library = {f"moe_{phase}": fit_moe(phase, train_moe, starts, steps) for phase in PHASES}
        keep(moe_errors(library, test_moe))
    for group, errors in pooled.items():
        yield Errors(group, np.concatenate(errors))


def _split(rows: Sequence[Any], fold: int, folds: int) -> tuple[list[Any], list[Any]]:
    """Rows to fit and rows kept back; the assignment is random but fixed."""
    place = np.random.default_rng(7).integers(folds, size=len(rows))
    test = [row for row, at in zip(rows, place, strict=True) if at == fold]
    return [row for row, at in zip(rows, place, strict=True) if at != fold], test
