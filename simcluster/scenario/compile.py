"""Compiling: a document becomes a Scenario, or one error that lists every mistake in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path as FilePath
from typing import TypeVar

from simcluster.audit.expectation import Expectation, parse_expectation
from simcluster.cluster.cluster import Cluster
from simcluster.errors import InputError, Mistake, nearest
from simcluster.model.transformer import Model
from simcluster.model.workload import Workload
from simcluster.plan import mapping, share
from simcluster.plan import name as plan_name
from simcluster.plan.degrees import Convention, Plan
from simcluster.scenario import build, network, override
from simcluster.scenario.document import Document, Value, read
from simcluster.scenario.forms import Form
from simcluster.scenario.graph import read_graph
from simcluster.scenario.hardware import ClusterForm, FaultForm, FaultsForm
from simcluster.scenario.scenario import BatchRule, Scenario
from simcluster.scenario.schema import ModelForm, PlanForm, WorkloadForm
from simcluster.scenario.validation import validate

F = TypeVar("F", bound=Form)

SECTIONS = ("name", "cluster", "model", "plan", "workload", "expect", "faults")
REQUIRED = ("cluster", "model", "plan", "workload")


def load(path: str | FilePath, overrides: Sequence[str] = (), prefer: Convention | None = None) -> Scenario:
    """The scenario in the file at `path`, with `PATH=VALUE` overrides applied in order.

    `prefer` is the reading of an ambiguous plan name to take where it is possible.  InputError lists every mistake as
    `file:line:col: path: what is wrong; what would fit`.
    """
    return compile_text(read_text(path), str(path), overrides, prefer)


def read_text(path: str | FilePath) -> str:
    """The text of a scenario file; InputError if it cannot be read."""
    try:
        return FilePath(path).read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(Mistake(what=f"cannot be read: {error.strerror}", origin=str(path))) from None
    except UnicodeDecodeError:
        raise InputError(Mistake(what="is not UTF-8 text", origin=str(path))) from None


def compile_text(text: str, origin: str, overrides: Sequence[str] = (), prefer: Convention | None = None) -> Scenario:
    """The scenario in `text`; see `load`."""
    document = read(text, origin)
    for assignment in overrides:
        try:
            override.apply(document, assignment)
        except InputError as error:
            document.mistakes += error.mistakes
    return _Compiler(document, prefer).scenario()


class _Compiler:
    """One compilation: every section gives a value or mistakes, and what depends on a missing value waits."""

    def __init__(self, document: Document, prefer: Convention | None) -> None:
        self.document = document
        self.prefer = prefer
        self.mistakes = list(document.mistakes)

    def scenario(self) -> Scenario:
        root = self._root()
        name = self._name(root)
        expect = self._expectations(root.get("expect"))
        model = self._model(root)
        cluster, reserved_bytes = self._cluster(root)
        gpus = cluster.gpus if cluster is not None else self._gpus_as_written(root)
        plan = self._plan(root, gpus)
        rule, workload = self._workload(root, gpus, plan)
        if model is not None and plan is not None and workload is not None:
            self._report(share.mistakes(model, plan.degrees, workload))
        if model is not None and cluster is not None:
            self._report(build.missing_peaks(model, cluster.gpu))
        if self.mistakes:
            raise InputError(self._told_once())
        assert model is not None
        assert cluster is not None
        assert plan is not None
        assert workload is not None
        assert rule is not None
        return Scenario(
            name=name,
            cluster=cluster,
            model=model,
            plan=plan,
            workload=workload,
            batch=rule,
            reserved_memory_bytes=reserved_bytes,
            expect=expect,
        )

    def _told_once(self) -> Iterable[Mistake]:
        """The mistakes without repetitions; what could not be read is not complained of a second time."""
        unread = {mistake.path for mistake in self.document.mistakes if mistake.path}
        kept = self.mistakes[len(self.document.mistakes) :]
        return dict.fromkeys([*self.document.mistakes, *(m for m in kept if m.path not in unread)])

    def _wrong(self, path: str, what: str) -> None:
        self.mistakes.append(self.document.mistake(tuple(path.split(".")) if path else (), what))

    def _report(self, wrong: Iterable[tuple[str, str]]) -> None:
        for path, what in wrong:
            self._wrong(path, what)

    def _root(self) -> dict[str, Value]:
        root = self.document.root
        if not isinstance(root, dict):
            raise InputError(self.document.mistake((), f"a scenario is a mapping with {', '.join(SECTIONS)}"))
        for key in root:
            if key not in SECTIONS:
                self.mistakes.append(self.document.mistake((key,), f"unknown key{nearest(key, SECTIONS)}"))
        for key in REQUIRED:
            if key not in root:
                self._wrong(key, "missing; a scenario needs it")
        return root

    def _name(self, root: dict[str, Value]) -> str:
        name = root.get("name", "scenario")
        if isinstance(name, str) and 0 < len(name) <= 200 and name.isprintable():
            return name
        self._wrong("name", "expected one line of text, at most 200 characters; quote what looks like a number")
        return ""

    def _section(self, root: dict[str, Value], key: str, form: type[F]) -> F | None:
        """A section as its form; a catalogue name is written out first."""
        if key not in root:
            return None
        try:
            tree = override.written_out((key,), root[key])
        except InputError as error:
            self._wrong(key, error.mistakes[0].what)
            return None
        value, mistakes = validate(self.document, (key,), tree, form)
        self.mistakes += mistakes
        return value

    def _model(self, root: dict[str, Value]) -> Model | None:
        form = self._section(root, "model", ModelForm)
        if form is None:
            return None
        wrong = list(build.model_mistakes(form))
        self._report(wrong)
        return None if wrong else build.model(form)

    def _cluster(self, root: dict[str, Value]) -> tuple[Cluster | None, float]:
        """The cluster and the memory its GPUs keep back; a GPU named from the catalogue is written out first."""
        tree = root.get("cluster")
        if isinstance(tree, dict) and isinstance(tree.get("gpu"), str):
            try:
                tree = {**tree, "gpu": override.written_out(("cluster", "gpu"), tree["gpu"])}
            except InputError as error:
                self._wrong("cluster.gpu", error.mistakes[0].what)
                return None, 0.0
        tree = self._with_graph(tree)
        form = self._section({**root, "cluster": tree} if "cluster" in root else root, "cluster", ClusterForm)
        if form is None:
            return None, 0.0
        nodes = form.nodes or self._nodes_needed(root, form.gpus_per_node)
        faults = self._faults(root)
        wrong = list(network.cluster_mistakes(form, nodes))
        self._report(wrong)
        if wrong:
            return None, form.gpu.reserved_memory
        cluster = network.cluster(form, nodes)
        streams, wrong = network.background(form, cluster)
        wrong += network.fault_mistakes(faults, cluster)
        self._report(wrong)
        cluster = replace(cluster, background=streams, faults=network.faults(faults))
        return (None if wrong else cluster), form.gpu.reserved_memory

    def _with_graph(self, tree: Value) -> Value:
        """The cluster with a custom fabric's graph read from its file."""
        infiniband = tree.get("infiniband") if isinstance(tree, dict) else None
        name = infiniband.get("graph") if isinstance(infiniband, dict) else None
        if not isinstance(tree, dict) or not isinstance(infiniband, dict) or not isinstance(name, str):
            return tree
        try:
            graph = read_graph(name, self.document.origin)
        except ValueError as error:
            self._wrong("cluster.infiniband.graph", str(error))
            graph = None
        return {**tree, "infiniband": {**infiniband, "graph": graph}}

    def _faults(self, root: dict[str, Value]) -> list[FaultForm]:
        form, mistakes = validate(self.document, (), {"faults": root.get("faults") or []}, FaultsForm)
        self.mistakes += mistakes
        return [] if form is None else form.faults

    def _nodes_needed(self, root: dict[str, Value], gpus_per_node: int) -> int:
        """Nodes for the GPUs the plan asks for, where the cluster does not say."""
        try:
            plan = override.written_out(("plan",), root.get("plan"))
        except InputError:
            return 1
        degrees = (
            {key: value for key, value in plan.items() if isinstance(value, int)} if isinstance(plan, dict) else {}
        )
        return -(-build.gpus_asked_for(root.get("plan"), degrees) // gpus_per_node)

    def _gpus_as_written(self, root: dict[str, Value]) -> int | None:
        """The GPU count of a cluster section that has mistakes elsewhere, so that the plan can still be checked."""
        tree = root.get("cluster")
        if not isinstance(tree, dict):
            return None
        nodes, per_node = tree.get("nodes"), tree.get("gpus_per_node")
        if type(nodes) is int and type(per_node) is int and 0 < nodes <= 10**7 and 0 < per_node <= 1024:
            return nodes * per_node
        return None

    def _plan(self, root: dict[str, Value], gpus: int | None) -> Plan | None:
        """The plan on `gpus` GPUs; where their number is unknown, only what is wrong with the plan in itself."""
        tree = root.get("plan")
        if "plan" not in root:
            return None
        if not isinstance(tree, str | dict):
            self._wrong("plan", "expected a name such as EP64_TP2_PP1, or degrees such as {tp: 2, ep: 64}")
            return None
        try:
            if isinstance(tree, str):
                plan_name.parse(tree)
                if gpus is None:
                    return None
                plan = plan_name.resolve(tree, gpus, self.prefer)
            else:
                form = self._section(root, "plan", PlanForm)
                if form is None or gpus is None:
                    return None
                written = form.model_dump(exclude={"name", "convention"}, exclude_none=True)
                plan = mapping.from_mapping(written, gpus, form.convention, form.name)
        except ValueError as error:
            self._wrong("plan", str(error))
            return None
        for axis in ("pp", "cp"):
            degree = getattr(plan.degrees, axis)
            if degree > 1:
                self._wrong("plan", f"{axis} is {degree}, and {axis} > 1 is not supported yet; use {axis.upper()}1")
        return plan if plan.degrees.pp == plan.degrees.cp == 1 else None

    def _workload(
        self, root: dict[str, Value], gpus: int | None, plan: Plan | None
    ) -> tuple[BatchRule | None, Workload | None]:
        form = self._section(root, "workload", WorkloadForm)
        if form is None:
            return None, None
        wrong = list(build.workload_mistakes(form))
        self._report(wrong)
        if wrong or gpus is None or plan is None:
            return None, None
        rule = build.batch_rule(form)
        return rule, build.workload(form, rule.sequences(gpus, plan.degrees.dp))

    def _expectations(self, lines: Value) -> tuple[Expectation, ...]:
        if lines is None:
            return ()
        if not isinstance(lines, list):
            self._wrong("expect", "expected a list of lines such as - mfu >= 0.5")
            return ()
        expect = []
        for index, line in enumerate(lines):
            try:
                expect.append(parse_expectation(line))
            except ValueError as error:
                self.mistakes.append(self.document.mistake(("expect", index), str(error)))
        return tuple(expect)
