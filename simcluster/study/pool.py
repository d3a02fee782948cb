"""Many independent calculations on the cores at hand, each answer handed over as it comes."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TypeVar

Task = TypeVar("Task")
Answer = TypeVar("Answer")


def run_all(
    work: Callable[[Task], Answer], tasks: Sequence[Task], workers: int | None = None
) -> Iterator[tuple[Task, Answer]]:
    """(task, answer) in the order of finishing, on `workers` processes (default: the cores this process may use).

    One worker, or one task, runs in this process.  If the caller stops early, what has not started is dropped.
    """
    count = min(workers or len(os.sched_getaffinity(0)), len(tasks))
    if count <= 1:
        for task in tasks:
            yield task, work(task)
        return
    executor = ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn"))
    try:
        pending = {executor.submit(work, task): task for task in tasks}
        for future in as_completed(pending):
            yield pending[future], future.result()
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
