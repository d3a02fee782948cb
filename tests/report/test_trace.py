"""Traces against the timelines they were written from."""

from __future__ import annotations

import gzip
import math
import tracemalloc
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import simcluster
from simcluster.errors import InputError
from simcluster.pipeline import simulate
from simcluster.plan.memory import resident
from simcluster.report.trace.file import write
from simcluster.scenario.compile import compile_text, load
from simcluster.timeline.links import classes, mean_use
from simcluster.timeline.result import Result
from simcluster.timeline.store import pack, unpack
from simcluster.timeline.timeline import Timeline
from tests.edge_helpers import DOES_NOT_FIT, SMALL, changed, named
from tests.replay.staged_helpers import drawn_staged
from tests.report.trace_helpers import Trace, ns, perfetto, read, rows_by_lane

PIPELINE = (
    "plan: EP4_TP2_PP1",
    "plan: {tp: 2, pp: 2, ep: 2}\nexecution: {microbatches: 4}\nfaults: [{gpu: node0.gpu1, factor: 0.7}]",
)
"""Two stages, four microbatches, and a slow GPU that others wait for."""

DRAWN = range(8)
"""Seeds of random scenarios with stages, context ranks, overlap and faults."""


def result_of(*edits: tuple[str, str], fold: str = "auto") -> Result:
    return simulate(compile_text(changed(*edits), "small.yaml"), fold="off" if fold == "off" else "auto")


def traced(result: Result, folder: Path) -> Trace:
    write(result, folder / "trace.json")
    return read(folder / "trace.json")


def timeline_of(result: Result) -> Timeline:
    assert result.timeline is not None
    return result.timeline


@pytest.fixture(scope="module", params=["small", "pipeline", "every rank", "two batches", *DRAWN], ids=str)
def result(request: pytest.FixtureRequest) -> Result:
    match request.param:
        case "small":
            return result_of()
        case "pipeline":
            return result_of(PIPELINE)
        case "every rank":
            return result_of(PIPELINE, fold="off")
        case "two batches":
            return result_of(("plan: EP4_TP2_PP1", "plan: EP4_TP2_PP1\nexecution: {overlap: two-batch}"))
        case seed:
            return simulate(drawn_staged(int(seed)).scenario)


def test_every_row_is_a_slice_within_a_nanosecond_and_sums_do_not_drift(result: Result, tmp_path: Path) -> None:
    timeline, trace = timeline_of(result), traced(result, tmp_path)
    expected = rows_by_lane(timeline)
    found: dict[tuple[int, int], list[dict[str, object]]] = {}
    for event in sorted(trace.slices(), key=lambda event: (event["ts"], event["ts"] + event["dur"])):
        found.setdefault((event["pid"], event["tid"]), []).append(event)
    assert {lane: len(events) for lane, events in found.items()} == {lane: len(rows) for lane, rows in expected.items()}
    for lane, rows in expected.items():
        starts = [ns(float(str(event["ts"]))) for event in found[lane]]
        lasting = [ns(float(str(event["dur"]))) for event in found[lane]]
        assert starts == pytest.approx((timeline.start_s[rows] * 1e9).tolist(), abs=1.001, rel=0)
        exact = (timeline.finish_s[rows] - timeline.start_s[rows]) * 1e9
        assert lasting == pytest.approx(exact.tolist(), abs=1.001, rel=0)
        assert sum(lasting) == pytest.approx(math.fsum(exact.tolist()), abs=1, rel=0)
        ends = np.add(starts, lasting)
        assert (ends[:-1] <= starts[1:]).all()
        touching = timeline.finish_s[rows[:-1]] == timeline.start_s[rows[1:]]
        assert (ends[:-1] == starts[1:])[touching].all()


def test_waits_reach_from_arrival_to_start(result: Result, tmp_path: Path) -> None:
    timeline, waits = timeline_of(result), traced(result, tmp_path).slices("wait")
    long = timeline.start_s - timeline.arrive_s
    assert np.count_nonzero(long > 2e-9) <= len(waits) <= np.count_nonzero(long)
    total = sum(ns(event["dur"]) for event in waits)
    assert total == pytest.approx(float(long.sum()) * 1e9, abs=2 * len(waits) + 2)
    assert {event["args"]["for"] for event in waits} <= {operation.name for operation in timeline.operations}


def test_slices_on_a_thread_never_overlap_with_waits_counted(result: Result, tmp_path: Path) -> None:
    lanes: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for event in traced(result, tmp_path).phase("X"):
        since = ns(event["ts"])
        assert event["tid"] >= 1
        lanes.setdefault((event["pid"], event["tid"]), []).append((since, since + ns(event["dur"])))
    for spans in lanes.values():
        ordered = sorted(spans)
        assert all(one[1] <= after[0] for one, after in pairwise(ordered))


def test_arrows_are_pairs_from_a_send_to_the_kernel_that_needs_it(result: Result, tmp_path: Path) -> None:
    timeline, trace = timeline_of(result), traced(result, tmp_path)
    at = {(event["pid"], event["tid"], ns(event["ts"])): event for event in trace.slices() if event["dur"] > 0}
    begins, ends = ({event["id"]: event for event in trace.phase(letter)} for letter in "sf")
    assert begins.keys() == ends.keys()
    assert len(begins) == len(trace.phase("s")) == len(trace.phase("f"))
    for number, begin in begins.items():
        send, kernel = (at[one["pid"], one["tid"], ns(one["ts"])] for one in (begin, ends[number]))
        assert "pipeline.send" in send["name"]
        assert kernel["tid"] == 1
        assert ns(send["ts"]) + ns(send["dur"]) <= ns(kernel["ts"]) + 3  # both are within 1 ns, and so is the length
        assert kernel["args"]["step"] == send["args"]["step"]
        assert ends[number]["bp"] == "e"
    if timeline.gets_from is None:
        assert not begins
        return
    sends = {index for index, one in enumerate(timeline.operations) if one.name == "pipeline.send"}
    each = np.bincount(timeline.track[np.isin(timeline.operation, list(sends))], minlength=len(timeline.tracks))
    assert len(begins) == sum(int(each[sender]) for sender in timeline.gets_from.tolist() if sender >= 0) > 0


def test_counters_say_what_the_wires_carry_at_every_change(result: Result, tmp_path: Path) -> None:
    timeline, trace = timeline_of(result), traced(result, tmp_path)
    links, end_ns = timeline.links, round(timeline.end_s * 1e9)
    names = {event["name"] for event in trace.phase("C") if event["pid"] == timeline.ranks}
    if len(links.time_s) == 0:
        assert not names
        return
    assert len(names) == len(classes(links))
    carried = links.bytes_on_wires(timeline.end_s)
    found = []
    for name in names:
        points = trace.counter(name, timeline.ranks)
        instants = [at for at, _ in points]
        assert instants == sorted(set(instants))
        assert points[-1][1] == 0
        lasting = np.diff([*instants, end_ns])
        found.append(sum(value * seconds for (_, value), seconds in zip(points, lasting, strict=True)))
    used = mean_use(timeline)
    fullest = [max(np.flatnonzero(mask).tolist(), key=lambda one: used[one]) for mask in classes(links).values()]
    slack = len(links.time_s) * float(links.capacity.max()) / 1e9 + 1  # a nanosecond of each change, in bytes
    assert sorted(found) == pytest.approx(sorted(carried[fullest].tolist()), rel=1e-6, abs=slack)


def test_a_wire_shows_its_rate_between_two_changes(tmp_path: Path) -> None:
    result = result_of()
    timeline, trace = timeline_of(result), traced(result, tmp_path)
    links = timeline.links
    column = next(i for i, one in enumerate(zip(links.kind, links.direction, strict=True)) if one == ("nic", "out"))
    points = trace.counter("NICs, sending", timeline.ranks)
    assert max(value for _, value in points) == pytest.approx(float(links.rates[:, column].max()) / 1e9)
    for place in np.flatnonzero(np.diff(links.time_s) > 4e-9).tolist():
        middle = (links.time_s[place] + links.time_s[place + 1]) / 2 * 1e9
        shown = [value for at, value in points if at <= middle][-1]
        assert shown == pytest.approx(float(links.rates[links.state[place], column]) / 1e9, rel=1e-8)


def test_memory_is_that_of_the_operations_under_way(result: Result, tmp_path: Path) -> None:
    timeline, trace = timeline_of(result), traced(result, tmp_path)
    live = np.array([operation.live_bytes for operation in timeline.operations])[timeline.operation]
    for track in range(len(timeline.tracks)):
        points = trace.counter("memory", int(timeline.tracks.first[track]))
        mine = timeline.track == track
        held = result.resident_bytes[timeline.stage_of_track[track]]
        assert points[0][0] == 0
        assert max(value for _, value in points) == pytest.approx((held + float(live[mine].max())) / 1e9, rel=1e-8)
        instants = np.array([at for at, _ in points])
        assert (np.diff(instants) > 0).all()
        for moment in np.linspace(0.03, 0.97, 23) * timeline.end_s:
            near = np.abs(np.stack([timeline.arrive_s, timeline.finish_s])[:, mine] - moment).min()
            if near < 3e-9:
                continue
            running = mine & (timeline.arrive_s <= moment) & (moment < timeline.finish_s)
            expected = (held + float(live[running].max(initial=0.0))) / 1e9
            shown = points[int(np.searchsorted(instants, moment * 1e9, side="right")) - 1][1]
            assert shown == pytest.approx(expected, rel=1e-8)


def test_each_stage_s_memory_is_that_of_its_own_layers(tmp_path: Path) -> None:
    """Thirteen layers and one each: weights and cache of a stage, and the metric of the fullest GPU."""
    scenario = load("scenarios/ep64_tp2_pp1.yaml", ["plan=TP2_PP4_DP16", "execution.stage_layers=[13,1,1,1]"])
    result = simulate(scenario)
    timeline, trace = timeline_of(result), traced(result, tmp_path)
    assert timeline.stage_of_track.tolist() == [0, 1, 2, 3]
    most = []
    for stage in range(4):
        held = sum(part.bytes for part in resident(scenario.share.at(stage)).values())
        assert result.resident_bytes[stage] == pytest.approx(held, rel=1e-12)
        values = [value for _, value in trace.counter("memory", int(timeline.tracks.first[stage]))]
        mine = timeline.operation[timeline.track == stage]
        live = max(timeline.operations[one].live_bytes for one in mine.tolist())
        assert max(values) == pytest.approx((held + live) / 1e9, rel=1e-8)
        most.append(max(values))
    assert most[0] > 10 * max(most[1:])
    assert result.metrics["memory.total"] == pytest.approx(most[0] * 1e9, rel=1e-8)
    assert result.series is not None
    assert result.series.memory_bytes.max() == pytest.approx(most[0] * 1e9, rel=1e-8)


def test_a_slice_says_what_ran_and_what_bound_it(tmp_path: Path) -> None:
    result = result_of(PIPELINE)
    timeline, trace = timeline_of(result), traced(result, tmp_path)
    said = {
        (
            args["operation"],
            args.get("layer"),
            args["bound"],
            args["bytes"],
            args.get("flops", 0),
            args.get("algorithm"),
        )
        for args in (event["args"] for event in trace.slices())
    }
    assert said == {
        (one.name, one.layer, one.bound, one.bytes, one.flops, one.algorithm) for one in timeline.operations
    }
    axes = {args["operation"]: args.get("group_axis") for args in (event["args"] for event in trace.slices())}
    assert axes == {one.name: one.axis for one in timeline.operations}
    sizes = {
        said["operation"]: said["group_size"] for said in (e["args"] for e in trace.slices()) if "group_size" in said
    }
    assert sizes["attention.all_reduce"] == sizes["pipeline.send"] == sizes["moe.dispatch"] == 2
    names = {event["name"] for event in trace.slices()}
    assert {"ncclKernel_AllToAll(moe.dispatch)", "ncclKernel_SendRecv(pipeline.send)", "attention.core"} <= names


def test_the_file_says_whose_it_is_and_numbers_its_kernels(tmp_path: Path) -> None:
    result = result_of(PIPELINE, fold="off")
    trace = traced(result, tmp_path)
    assert trace.about["schemaVersion"] == 1
    assert trace.about["distributedInfo"] == {"backend": "nccl", "rank": 0, "world_size": 8}
    assert trace.about["simcluster"]["plan"] == result.identity.plan
    names = {event["pid"]: event["args"]["name"] for event in trace.phase("M") if event["name"] == "process_name"}
    assert names == {**{rank: f"rank {rank}" for rank in range(8)}, 8: "the fullest wire of each kind"}
    numbers = [event["args"]["correlation"] for event in trace.slices()]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    assert {(event["pid"], event["args"]["device"]) for event in trace.slices()} == {
        (rank, rank % 4) for rank in range(8)
    }
    assert all(event["args"]["stream"] == event["tid"] for event in trace.slices())


def test_a_class_is_named_after_its_ranks(tmp_path: Path) -> None:
    (name,) = (
        event["args"]["name"]
        for event in traced(result_of(), tmp_path).phase("M")
        if event["name"] == "process_name" and event["pid"] == 0
    )
    assert name == "8 ranks: 0 … 7"


def test_a_folder_has_a_file_for_each_class_and_nothing_of_other_classes(tmp_path: Path) -> None:
    result = result_of(PIPELINE)
    timeline, whole = timeline_of(result), traced(result, tmp_path)
    write(result, tmp_path / "each")
    write(result, tmp_path / "each")  # replaced
    firsts = timeline.tracks.first.tolist()
    assert len(firsts) > 1
    assert sorted(one.name for one in (tmp_path / "each").iterdir()) == sorted(f"rank-{one}.json.gz" for one in firsts)
    for first in firsts:
        part = read(tmp_path / "each" / f"rank-{first}.json.gz")
        assert part.about["distributedInfo"]["rank"] == first
        beside = timeline.ranks if first == firsts[0] else first  # the wires are everyone's
        same = [event for event in whole.phase("X", "C", "M") if event["pid"] in (first, beside)]
        key = str
        assert sorted(part.events, key=key) == sorted(same, key=key)


def test_the_same_run_gives_the_same_bytes_and_gzip_the_same_text(tmp_path: Path) -> None:
    for name in ("a.json", "b.json.gz", "c.json.gz"):
        simcluster.trace(result_of(PIPELINE), tmp_path / name)
    assert (tmp_path / "b.json.gz").read_bytes() == (tmp_path / "c.json.gz").read_bytes()
    assert read(tmp_path / "a.json") == read(tmp_path / "b.json.gz")


def test_who_sends_to_whom_is_known_and_kept(tmp_path: Path) -> None:
    result = result_of(PIPELINE, fold="off")
    timeline = timeline_of(result)
    assert timeline.gets_from is not None
    assert timeline.gets_from.tolist() == [-1] * 4 + list(range(4))  # stages are the outermost axis
    needs = {one.name: timeline.operations[one.sender].name for one in timeline.operations if one.sender is not None}
    assert needs == {"norm": "pipeline.send"}
    (tmp_path / "timeline.npz").write_bytes(pack(result))
    kept = unpack(tmp_path / "timeline.npz")
    for name, one in (("a.json", result), ("b.json", kept)):
        write(one, tmp_path / name)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


@pytest.mark.parametrize("name", ['a "b" \\ \n\t\0</script><script>', "日本語 🎉 …", "\u2028\x7f\x1b[31m", "{%b}%d"])
def test_a_hostile_name_stays_text(name: str, tmp_path: Path) -> None:
    source = simulate(compile_text(SMALL, "small.yaml"))
    result = replace(source, identity=replace(source.identity, scenario=name, plan=name))
    assert traced(result, tmp_path).about["simcluster"]["scenario"] == name


def test_a_scenario_file_may_have_a_hostile_name(tmp_path: Path) -> None:
    result = simulate(compile_text(named('</script> "$x_2$" %s'), "small.yaml"))
    assert traced(result, tmp_path).about["simcluster"]["scenario"] == result.identity.scenario


def test_a_run_of_centuries_is_refused(tmp_path: Path) -> None:
    result = result_of()
    timeline = timeline_of(result)
    slow = replace(timeline, **{name: getattr(timeline, name) * 1e15 for name in ("arrive_s", "start_s", "finish_s")})
    with pytest.raises(InputError, match=r"the run takes .* s, a trace of 1 classes at most 9e\+09 s"):
        write(replace(result, timeline=slow), tmp_path / "a.json")
    assert not list(tmp_path.iterdir())


def test_a_plan_that_does_not_fit_has_no_trace(tmp_path: Path) -> None:
    result = simulate(
        compile_text(changed(("memory: 64 GB", DOES_NOT_FIT.split(".")[-1].replace("=", ": "))), "a.yaml")
    )
    with pytest.raises(InputError, match="does not fit in memory"):
        write(result, tmp_path / "a.json")
    assert not list(tmp_path.iterdir())


def test_a_generation_is_as_long_as_all_its_steps(tmp_path: Path) -> None:
    prompt = "workload: {phase: generate, batch: 8, sequence: 128, output: 64}"
    result = result_of(("workload: {phase: prefill, batch: 8, sequence: 128}", prompt))
    kernels = traced(result, tmp_path).slices()
    assert max(ns(event["ts"]) + ns(event["dur"]) for event in kernels) == pytest.approx(
        timeline_of(result).end_s * 1e9, abs=1.001
    )
    assert max(event["args"].get("stands_for_steps", 1) for event in kernels) > 1


@pytest.mark.perfetto
@pytest.mark.parametrize("ending", ["json", "json.gz"])
def test_perfetto_counts_and_sums_what_the_timeline_holds(ending: str, tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "scenarios" / "ep64_tp2_pp1.yaml"
    results = [
        simcluster.simulate(simcluster.load(example)),
        result_of(PIPELINE, fold="off"),
        *(simulate(drawn_staged(seed).scenario) for seed in DRAWN[:2]),
    ]
    for result in results[:1] if ending == "json" else results[1:]:
        timeline, path = timeline_of(result), tmp_path / f"trace.{ending}"
        write(result, path)
        lanes, errors, arrows, counters = perfetto(
            path,
            "select p.pid, t.tid, count(*), sum(s.dur), min(s.ts), max(s.depth) from slice s join thread_track k"
            " on s.track_id = k.id join thread t using (utid) join process p using (upid)"
            " where s.category = 'kernel' group by 1, 2",
            "select name, value from stats where severity = 'error' and value > 0",
            "select count(*), min(a.name like '%pipeline.send%'), min(b.ts - a.ts - a.dur) from flow"
            " join slice a on slice_out = a.id join slice b on slice_in = b.id",
            "select count(*), sum(value) from counter",
        )
        assert errors == []
        expected = rows_by_lane(timeline)
        assert {(int(row[0]), int(row[1])): int(row[2]) for row in lanes} == {
            lane: len(rows) for lane, rows in expected.items()
        }
        for pid, tid, _, total, first, depth in lanes:
            rows = expected[int(pid), int(tid)]
            exact = math.fsum(((timeline.finish_s - timeline.start_s)[rows] * 1e9).tolist())
            assert int(total) == pytest.approx(exact, abs=1, rel=0)
            assert int(first) == pytest.approx(float(timeline.start_s[rows].min()) * 1e9, abs=1.001, rel=0)
            assert int(depth) == 0
        written = read(path)
        assert int(arrows[0][0]) == len(written.phase("s"))
        if written.phase("s"):
            assert arrows[0][1] == "1"
            assert int(arrows[0][2]) >= -3
        values = [next(iter(event["args"].values())) for event in written.phase("C")]
        assert int(counters[0][0]) == len(values)
        assert counters[0][1] == pytest.approx(math.fsum(values))


@pytest.mark.perfetto
def test_perfetto_shows_names_as_they_are(tmp_path: Path) -> None:
    result = result_of(PIPELINE)
    write(result, tmp_path / "trace.json.gz")
    processes, threads, facts = perfetto(
        tmp_path / "trace.json.gz",
        "select name from process where name is not null order by pid",
        "select distinct name from thread where name is not null order by tid",
        "select distinct display_value from args join slice using (arg_set_id) where key = 'args.group_axis'",
    )
    assert ["the fullest wire of each kind"] in processes
    assert any("…" in name or name.startswith("rank ") for (name,) in processes)
    assert [name for (name,) in threads] == ["compute", "communication", "exchange", "send"]
    assert ["pp"] in facts


@pytest.mark.slow
def test_a_million_slices_are_written_piece_by_piece(tmp_path: Path) -> None:
    """Beside 24 bytes a row the text and its columns take a fixed amount of memory; numpy tells tracemalloc its own."""
    rows, lasting = 1_000_000, 2e-6
    result = result_of()
    timeline, ends = timeline_of(result), np.linspace(lasting, rows * lasting, rows)
    kernel = next(index for index, one in enumerate(timeline.operations) if one.kind == "compute")
    nothing = np.zeros(rows, dtype=np.int64)
    long = replace(
        timeline, track=nothing, step=nothing, operation=np.full(rows, kernel), arrive_s=ends - lasting,
        start_s=np.append(0.0, ends[:-1]), finish_s=ends,
    )  # fmt: skip
    tracemalloc.start()
    write(replace(result, timeline=long), tmp_path / "long.json.gz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6
    with gzip.open(tmp_path / "long.json.gz") as file:
        kernels = [line for line in file if b'"cat":"kernel"' in line]
    assert len(kernels) == rows
    assert b'"ts":1999998.000,"dur":2.000' in kernels[-1]
