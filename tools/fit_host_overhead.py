"""Prints the host's time per step that suits the fitted rows of published.csv best: `published.HOST_OVERHEAD_S`.

    python -m tools.fit_host_overhead

The time of a run grows by the overhead once a step, so two simulations of a run give it for every overhead. Best is the
least mean absolute error of the metric, among tenths of a millisecond up to 30.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from simcluster.validation.published import Case, cases, predict

TRIAL_S = 1e-3
CANDIDATES_S = [tenths * 1e-4 for tenths in range(301)]


@dataclass(frozen=True)
class Run:
    """A case, its time without overhead, and how many overheads it takes."""

    case: Case
    time_s: float
    steps: float

    def error(self, overhead_s: float) -> float:
        """Absolute relative error of the metric."""
        measured_s, predicted_s = self.case.run_seconds(self.case.measured), self.time_s + self.steps * overhead_s
        ratio = predicted_s / measured_s
        return abs((ratio if self.case.metric.endswith("_s") else 1 / ratio) - 1)


def run(case: Case) -> Run:
    """The case simulated without and with an overhead."""
    without, within = (_seconds(case, overhead_s) for overhead_s in (0.0, TRIAL_S))
    return Run(case, without, (within - without) / TRIAL_S)


def best(runs: Sequence[Run]) -> float:
    """The overhead with the least mean error."""
    return min(CANDIDATES_S, key=lambda overhead_s: mean_error(runs, overhead_s))


def mean_error(runs: Sequence[Run], overhead_s: float) -> float:
    """Mean absolute relative error of the runs."""
    return sum(one.error(overhead_s) for one in runs) / len(runs)


def _seconds(case: Case, overhead_s: float) -> float:
    found = predict(case, overhead_s)
    assert found.predicted is not None, found.reason
    return case.run_seconds(found.predicted)


def main() -> None:
    """Fit, and say what the other rows make of it."""
    runs = [run(case) for case in cases() if case.ready]
    fitted, others = ([one for one in runs if one.case.fitted is chosen] for chosen in (True, False))
    overhead_s = best(fitted)
    sys.stdout.write(f"host overhead {overhead_s * 1e3:.1f} ms a step\n")
    for name, group in (("fitted", fitted), ("others", others)):
        before, after = mean_error(group, 0.0), mean_error(group, overhead_s)
        sys.stdout.write(f"{name}: {len(group)} rows, mean error {before:.1%} without, {after:.1%} with it\n")


if __name__ == "__main__":
    main()
