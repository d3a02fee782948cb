"""Run by Debian's own Python: a whole collective of real messages on a SimGrid platform, as JSON on stdin and stdout.

Input: {"hosts": count, "links": [bytes/s, ...], "routes": [{"pair": [from, to], "latency_s", "links": [index, ...]}],
and either "bytes": of every pair of a direct all-to-all, or "rings": [[host, ...], ...], "steps" and "chunk_bytes" of
rings in which a host passes on, step after step, what it has received.  Output: when the last message has arrived (s).
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))


def main() -> None:
    simgrid: Any = importlib.import_module("simgrid")
    settings = importlib.import_module("simgrid_flows").FLUID
    case = json.load(sys.stdin)
    engine = simgrid.Engine([sys.argv[0], "--log=root.thresh:error", *(f"--cfg={setting}" for setting in settings)])
    hosts = build(simgrid, case)
    if "rings" in case:
        pass_round(simgrid, hosts, case)
    else:
        exchange(simgrid, hosts, case["bytes"])
    engine.run()
    json.dump(simgrid.Engine.clock, sys.stdout)


def build(simgrid: Any, case: dict[str, Any]) -> list[Any]:
    """The platform: hosts, shared links, and every route with a link of its own for its latency."""
    zone = simgrid.NetZone.create_full_zone("zone")
    links = [zone.create_link(f"link{index}", float(rate)).seal() for index, rate in enumerate(case["links"])]
    hosts = [zone.create_host(f"host{index}", 1e9).seal() for index in range(case["hosts"])]
    for index, route in enumerate(case["routes"]):
        own = zone.create_link(f"own{index}", 1e18).set_latency(route["latency_s"]).seal()
        sender, receiver = (hosts[end].netpoint for end in route["pair"])
        way = [simgrid.LinkInRoute(link) for link in (own, *(links[number] for number in route["links"]))]
        zone.add_route(sender, receiver, None, None, way, False)
    zone.seal()
    return hosts


def exchange(simgrid: Any, hosts: list[Any], size: int) -> None:
    """Every host sends `size` bytes to every other, all at once."""

    def send(me: int) -> None:
        others = [other for other in range(len(hosts)) if other != me]
        going = [simgrid.Mailbox.by_name(f"{me}-{other}").put_async("x", size) for other in others]
        for one in going:
            one.wait()

    def receive(me: int) -> None:
        others = [other for other in range(len(hosts)) if other != me]
        coming = [simgrid.Mailbox.by_name(f"{other}-{me}").get_async() for other in others]
        for one in coming:
            (one[0] if isinstance(one, tuple) else one).wait()

    for index, host in enumerate(hosts):
        simgrid.Actor.create(f"send{index}", host, send, index)
        simgrid.Actor.create(f"receive{index}", host, receive, index)


def pass_round(simgrid: Any, hosts: list[Any], case: dict[str, Any]) -> None:
    """In every ring a host sends a chunk to the next, and again as soon as it has sent one and received one."""

    def work(ring: int, place: int) -> None:
        count = len(case["rings"][ring])
        mine = simgrid.Mailbox.by_name(f"{ring}.{place}")
        following = simgrid.Mailbox.by_name(f"{ring}.{(place + 1) % count}")
        for _ in range(case["steps"]):
            going = following.put_async("x", case["chunk_bytes"])
            mine.get()
            going.wait()

    for ring, order in enumerate(case["rings"]):
        for place, host in enumerate(order):
            simgrid.Actor.create(f"ring{ring}.{place}", hosts[host], work, ring, place)


if __name__ == "__main__":
    main()
