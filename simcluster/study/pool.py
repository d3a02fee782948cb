"""Many independent calculations on the cores at hand, each answer handed over as it comes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TypeVar

Task = TypeVar("Task")
Answer = TypeVar("Answer")


def run_all(
    work: Callable[[Task], Answer], tasks: Sequence[Task], workers: int | None = None
) -> Iterator[tuple[Task, Answer]]:
    """(task, answer) in the order of finishing, on `workers` processes (default: the cores this process may use).

    One worker, or one task, runs in this process.  If the caller stops early, what has not ended is dropped.
    """
    count = min(workers or len(os.sched_getaffinity(0)), len(tasks))
    if count <= 1:
        for task in tasks:
            yield task, work(task)
        return
    others = set(multiprocessing.active_children())
    executor = ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker)
    try:
        pending = {executor.submit(work, task): task for task in tasks}
        for future in as_completed(pending):
            yield pending[future], future.result()
    except BaseException:
        for worker in set(multiprocessing.active_children()) - others:
            worker.terminate()
        raise
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, and do not outlive it: a killed parent cannot tell its workers to stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def exit_with_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=exit_with_parent, daemon=True).start()
