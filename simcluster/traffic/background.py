"""Other jobs' traffic, as activities that never end."""

from __future__ import annotations

import numpy as np

from simcluster.cluster.messages import Messages
from simcluster.cluster.routes import CutOffError, Routes
from simcluster.errors import InputError, Mistake
from simcluster.traffic.crossings import Crossings, Floats


def background(routes: Routes) -> tuple[Crossings, Floats]:
    """The cluster's background streams as activities, each with the rate it asks for.

    As with a collective, a stream's progress is counted in bytes through its busiest port.
    """
    parts, demand = [], []
    for stream in routes.cluster.background:
        pairs = [(one, other) for one in stream.senders for other in stream.receivers if one != other]
        messages = Messages(
            sender=np.array([one for one, _ in pairs], dtype=np.int64),
            receiver=np.array([other for _, other in pairs], dtype=np.int64),
            bytes=np.full(len(pairs), 1 / len(pairs)),
        )
        try:
            load = routes.load(messages)
        except CutOffError as error:
            what = f"rank {error.sender} cannot reach rank {error.receiver}, {error.where}"
            raise InputError(Mistake(path="cluster.background", what=what)) from None
        port_share = float(load.bytes[routes.is_port[load.wire]].max())
        flow = np.zeros(len(load.wire), dtype=np.int64)
        parts.append(Crossings(flow=flow, wire=load.wire, use=load.bytes / port_share, count=1))
        demand.append(stream.bytes_per_s * port_share)
    return Crossings.joined(parts), np.array(demand, dtype=np.float64)
