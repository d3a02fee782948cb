"""A result on disk: `timeline.npz` holds the spans, the link loads and everything else of a Result."""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from simcluster.errors import InputError, Mistake
from simcluster.gpu.power import Power
from simcluster.timeline.check import Check
from simcluster.timeline.parts import Segment
from simcluster.timeline.result import Identity, MemoryPart, Result, Source, Work
from simcluster.timeline.routing import Routing
from simcluster.timeline.states import states
from simcluster.timeline.timeline import Folding, LinkLoads, Operation, Timeline, Tracks, Wiring

_SPANS = ("track", "step", "operation", "arrive_s", "start_s", "finish_s")
_TRACKS = ("of_rank", "count", "first")
_WIRING = ("names", "kinds", "owner", "stands_for")
_CABLES = ("cable", "column", "plain")
_OPTIONAL = ("node_bytes", "gets_from")
_LOADS = ("time_s", "state", "rates", "capacity", "count")


def pack(result: Result) -> bytes:
    """The result as the bytes of a compressed .npz file; the same result gives the same bytes."""
    header: dict[str, object] = {
        "identity": asdict(result.identity),
        "tokens": result.tokens,
        "peak_flops_per_s": result.peak_flops_per_s,
        "memory": {name: asdict(part) for name, part in result.memory.items()},
        "memory_capacity_bytes": result.memory_capacity_bytes,
        "resident_bytes": list(result.resident_bytes),
        "balance": dict(result.balance),
        "modules": [dict(module) for module in result.modules],
        "divisions": list(result.divisions),
        "scales": dict(result.scales),
        "work": {name: asdict(work) for name, work in result.work.items()},
        "provenance": {name: asdict(source) for name, source in result.provenance.items()},
        "generates": result.generates,
        "price_usd_per_h": result.price_usd_per_h,
        "power": None if result.power is None else asdict(result.power),
        "routing": None if result.routing is None else asdict(result.routing),
        "checks": [asdict(check) for check in result.checks],
    }
    arrays = {}
    timeline = result.timeline
    if timeline is not None:
        header["timeline"] = {
            "operations": [asdict(operation) for operation in timeline.operations],
            "steps": timeline.steps,
            "kind": timeline.links.kind,
            "direction": timeline.links.direction,
            "folding": asdict(timeline.folding),
            "segments": [asdict(segment) for segment in timeline.segments],
            "wiring": {name: getattr(timeline.wiring, name) for name in _WIRING},
        }
        arrays = {name: getattr(timeline, name) for name in _SPANS}
        arrays |= {f"links_{name}": getattr(timeline.links, name) for name in _LOADS}
        arrays |= {f"party_{axis}": party for axis, party in timeline.parties.items()}
        arrays |= {f"tracks_{name}": getattr(timeline.tracks, name) for name in _TRACKS}
        arrays |= {name: getattr(timeline.wiring, name) for name in _CABLES}
        for name in _OPTIONAL:
            arrays |= {name: value} if (value := getattr(timeline, name)) is not None else {}
    buffer = BytesIO()
    np.savez_compressed(buffer, header=np.array(json.dumps(header)), **arrays)
    return buffer.getvalue()


def unpack(path: Path) -> Result:
    """The result in a `timeline.npz`; InputError if the file is missing or not one of ours."""
    try:
        with np.load(BytesIO(path.read_bytes()), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        header = json.loads(str(arrays.pop("header")))
        return _result(header, arrays)
    except OSError as error:
        raise InputError(Mistake(what=f"cannot be read: {error.strerror or error}", origin=str(path))) from None
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error, AttributeError) as error:
        what = f"is not a timeline of this version ({error}); run the scenario again with --out"
        raise InputError(Mistake(what=what, origin=str(path))) from None


def _result(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> Result:
    kept = dict(header)
    timeline, power, routing = kept.pop("timeline", None), kept.pop("power", None), kept.pop("routing")
    spans = None if timeline is None else _timeline(timeline, arrays)
    return Result(
        identity=Identity(**kept.pop("identity")),
        memory={name: MemoryPart(**part) for name, part in kept.pop("memory").items()},
        work={name: Work(**work) for name, work in kept.pop("work").items()},
        resident_bytes=tuple(kept.pop("resident_bytes")),
        modules=tuple(kept.pop("modules")),
        divisions=tuple(kept.pop("divisions")),
        provenance={name: Source(**source) for name, source in kept.pop("provenance").items()},
        checks=tuple(Check(**check) for check in kept.pop("checks")),
        power=None if power is None else Power(**power),
        routing=None if routing is None else Routing.from_dict(routing),
        timeline=spans,
        states=None if spans is None else states(spans),
        **kept,
    )


def _timeline(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> Timeline:
    links = LinkLoads(
        kind=tuple(header["kind"]),
        direction=tuple(header["direction"]),
        **{name: arrays[f"links_{name}"] for name in _LOADS},
    )
    graph: dict[str, Any] = {name: tuple(header["wiring"][name]) for name in _WIRING}
    wiring = Wiring(**graph | {name: arrays[name] for name in _CABLES})
    columns: dict[str, Any] = {name: arrays[name] for name in _SPANS}
    return Timeline(
        operations=tuple(Operation(**operation) for operation in header["operations"]),
        tracks=Tracks(**{name: arrays[f"tracks_{name}"] for name in _TRACKS}),
        steps=header["steps"],
        parties={name.removeprefix("party_"): part for name, part in arrays.items() if name.startswith("party_")},
        links=links,
        folding=Folding(**{**header["folding"], "split_by": tuple(header["folding"]["split_by"])}),
        wired=lambda: wiring,
        segments=tuple(Segment(**segment) for segment in header["segments"]),
        **columns | {name: arrays.get(name) for name in _OPTIONAL},
    )
