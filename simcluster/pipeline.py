"""The pipeline: scenario -> share and layout -> program -> replay -> timeline -> Result, audited."""

from __future__ import annotations

from dataclasses import replace

from simcluster.audit.audit import audit
from simcluster.plan.layout import Layout
from simcluster.plan.share import Share
from simcluster.program.lower import lower
from simcluster.replay.run import Fold as Fold
from simcluster.replay.run import run
from simcluster.scenario.scenario import Scenario
from simcluster.summarize import summarize
from simcluster.timeline.result import Result
from simcluster.timeline.states import states


def simulate(scenario: Scenario, *, fold: Fold = "auto") -> Result:
    """What running the scenario gives.  A plan that does not fit in memory is not replayed: its timeline is None.

    `fold` auto replays equal ranks once, off every rank for itself: the same numbers, to rounding.
    """
    share = Share(model=scenario.model, degrees=scenario.plan.degrees, workload=scenario.workload)
    layout = Layout(degrees=scenario.plan.degrees, gpus_per_node=scenario.cluster.gpus_per_node)
    program = lower(share, layout)
    result = summarize(scenario, share, program)
    if result.fits:
        timeline = run(program, scenario.cluster, fold)
        result = replace(result, timeline=timeline, states=states(timeline))
    return replace(result, checks=audit(result, scenario.expect))
