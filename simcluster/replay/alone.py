"""One collective on an otherwise idle cluster, in the replay's own network."""

from __future__ import annotations

import simpy

from simcluster.errors import BrokenLawError
from simcluster.replay.network import Network
from simcluster.traffic.traffic import Traffic
from simcluster.traffic.wires import Wires


def seconds_alone(load: Traffic, payload_bytes: float, wires: Wires) -> float:
    """How long the collective takes beside the cluster's background; every wire must have carried its bytes."""
    env = simpy.Environment()
    network = Network(env, wires)
    done = env.event()
    network.start(load, payload_bytes, done)
    env.run()
    if not done.processed:
        raise BrokenLawError("the collective never ended")
    network.check_conservation(network.loads(), env.now)
    return float(env.now)
