"""Run by Debian's own Python: flows on a SimGrid platform in, when each ends out, as JSON on stdin and stdout.

Input: {"links": [bytes/s, ...], "flows": [{"start", "latency_s", "bytes", "links": [index, ...]}]}.
Every flow gets two hosts and a link of its own, which holds the latency, so that only the links named are shared.
The settings leave SimGrid's fluid model pure: no TCP window, no cross traffic, no factors.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

FLUID = (
    "network/model:CM02",
    "network/TCP-gamma:0",
    "network/crosstraffic:0",
    "network/weight-S:0",
    "network/latency-factor:1",
    "network/bandwidth-factor:1",
    "maxmin/precision:1e-12",
    "surf/precision:1e-12",
)


def main() -> None:
    simgrid: Any = importlib.import_module("simgrid")
    case = json.load(sys.stdin)
    engine = simgrid.Engine([sys.argv[0], "--log=root.thresh:error", *(f"--cfg={setting}" for setting in FLUID)])
    hosts = build(simgrid, case)
    ends = [0.0] * len(case["flows"])

    def send(index: int, flow: dict[str, Any]) -> None:
        simgrid.this_actor.sleep_until(flow["start"])
        simgrid.Mailbox.by_name(str(index)).put("x", flow["bytes"])
        ends[index] = simgrid.Engine.clock

    def receive(index: int) -> None:
        simgrid.Mailbox.by_name(str(index)).get()

    for index, (flow, (sender, receiver)) in enumerate(zip(case["flows"], hosts)):  # noqa: B905
        simgrid.Actor.create(f"send{index}", sender, send, index, flow)
        simgrid.Actor.create(f"receive{index}", receiver, receive, index)
    engine.run()
    json.dump(ends, sys.stdout)


def build(simgrid: Any, case: dict[str, Any]) -> list[tuple[Any, Any]]:
    """The platform: shared links, and a sender and a receiver for every flow with its route between them."""
    zone = simgrid.NetZone.create_full_zone("zone")
    links = [zone.create_link(f"link{index}", float(rate)).seal() for index, rate in enumerate(case["links"])]
    hosts = []
    for index, flow in enumerate(case["flows"]):
        sender, receiver = (zone.create_host(f"{end}{index}", 1e9).seal() for end in ("from", "to"))
        own = zone.create_link(f"own{index}", 1e18).set_latency(flow["latency_s"]).seal()
        route = [simgrid.LinkInRoute(link) for link in (own, *(links[number] for number in flow["links"]))]
        zone.add_route(sender.netpoint, receiver.netpoint, None, None, route, False)
        hosts.append((sender, receiver))
    zone.seal()
    return hosts


if __name__ == "__main__":
    main()
