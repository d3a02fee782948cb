"""Compiling: a document becomes a Scenario, or one error that lists every mistake in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path as FilePath

from simcluster.audit.expectation import Expectation, parse_expectation
from simcluster.cluster.cluster import Cluster
from simcluster.errors import InputError, nearest
from simcluster.model.transformer import Model
from simcluster.model.workload import Workload
from simcluster.plan import divide, mapping
from simcluster.plan import name as plan_name
from simcluster.plan.degrees import Convention, Plan
from simcluster.plan.execution import Execution
from simcluster.plan.share import Share
from simcluster.scenario import build, expert_load, override, uncertainty
from simcluster.scenario.cluster_section import gpus_as_written, read_cluster
from simcluster.scenario.document import Document, Value, read
from simcluster.scenario.scenario import BatchRule, Scenario
from simcluster.scenario.schema import ExecutionForm, ModelForm, PlanForm, WorkloadForm
from simcluster.scenario.sections import Sections, read_text

SECTIONS = (
    "name", "cluster", "model", "plan", "execution", "workload", "expect", "faults", "seed", "uncertainty"
)  # fmt: skip
REQUIRED = ("cluster", "model", "plan", "workload")


def load(path: str | FilePath, overrides: Sequence[str] = (), prefer: Convention | None = None) -> Scenario:
    """The scenario in the file at `path`, with `PATH=VALUE` overrides applied in order.

    `prefer` is the reading of an ambiguous plan name to take where it is possible.  InputError lists every mistake as
    `file:line:col: path: what is wrong; what would fit`.

    >>> scenario = load("scenarios/mixtral_prefill.yaml", ["plan=EP4", "workload.batch=32"])
    >>> scenario.plan.name, scenario.cluster.gpus, scenario.workload.batch
    ('EP4', 8, 32)
    """
    return compile_text(read_text(path), str(path), overrides, prefer)


def compile_text(text: str, origin: str, overrides: Sequence[str] = (), prefer: Convention | None = None) -> Scenario:
    """The scenario in `text`; see `load`."""
    document = read(text, origin)
    for assignment in overrides:
        try:
            override.apply(document, assignment)
        except InputError as error:
            document.mistakes += error.mistakes
    return _Compiler(document, prefer).scenario()


class _Compiler(Sections):
    """One compilation: every section gives a value or mistakes, and what depends on a missing value waits."""

    def __init__(self, document: Document, prefer: Convention | None) -> None:
        super().__init__(document)
        self.prefer = prefer

    def scenario(self) -> Scenario:
        root = self._root()
        name = self._name(root)
        expect = self._expectations(root.get("expect"))
        self.check_seed(root)
        model = self._model(root)
        cluster = read_cluster(self, root)
        gpus = cluster.gpus if cluster is not None else gpus_as_written(root)
        plan = self._plan(root, gpus)
        rule, workload = self._workload(root, gpus, plan, model)
        execution = self._execution(root)
        ranges = self._uncertainty(root, cluster)
        if model is not None and plan is not None and workload is not None and execution is not None:
            self.report(divide.mistakes(model, plan.degrees, workload, execution))
        if model is not None and cluster is not None:
            self.report(build.missing_peaks(model, cluster.gpu))
        if self.mistakes:
            raise InputError(self.told_once())
        assert model is not None
        assert cluster is not None
        assert plan is not None
        assert workload is not None
        assert rule is not None
        assert execution is not None
        return Scenario(
            name=name,
            cluster=cluster,
            model=model,
            plan=plan,
            workload=workload,
            batch=rule,
            expect=expect,
            execution=execution,
            seed=self.seed(root),
            uncertainty=ranges,
        )

    def _root(self) -> dict[str, Value]:
        root = self.document.root
        if not isinstance(root, dict):
            raise InputError(self.document.mistake((), f"a scenario is a mapping with {', '.join(SECTIONS)}"))
        for key in root:
            if key not in SECTIONS:
                self.mistakes.append(self.document.mistake((key,), f"unknown key{nearest(key, SECTIONS)}"))
        for key in REQUIRED:
            if key not in root:
                self.wrong(key, "missing; a scenario needs it")
        return root

    def _name(self, root: dict[str, Value]) -> str:
        name = root.get("name", "scenario")
        if isinstance(name, str) and 0 < len(name) <= 200 and name.isprintable():
            return name
        self.wrong("name", "expected one line of text, at most 200 characters; quote what looks like a number")
        return ""

    def _uncertainty(self, root: dict[str, Value], cluster: Cluster | None) -> dict[str, float]:
        form = self.section(root, "uncertainty", uncertainty.UncertaintyForm)
        if cluster is None:
            return {}
        if form is not None:
            self.report(uncertainty.mistakes(form, cluster))
        return uncertainty.ranges(form, cluster)

    def _model(self, root: dict[str, Value]) -> Model | None:
        form = self.section(root, "model", ModelForm)
        if form is None:
            return None
        wrong = list(build.model_mistakes(form))
        self.report(wrong)
        return None if wrong else build.model(form)

    def _plan(self, root: dict[str, Value], gpus: int | None) -> Plan | None:
        """The plan on `gpus` GPUs; where their number is unknown, only what is wrong with the plan in itself."""
        tree = root.get("plan")
        if "plan" not in root:
            return None
        if not isinstance(tree, str | dict):
            self.wrong("plan", "expected a name such as EP64_TP2_PP1, or degrees such as {tp: 2, ep: 64}")
            return None
        try:
            if isinstance(tree, str):
                plan_name.parse(tree)
                if gpus is None:
                    return None
                plan = plan_name.resolve(tree, gpus, self.prefer)
            else:
                form = self.section(root, "plan", PlanForm)
                if form is None or gpus is None:
                    return None
                written = form.model_dump(exclude={"name", "convention"}, exclude_none=True)
                plan = mapping.from_mapping(written, gpus, form.convention, form.name)
        except ValueError as error:
            self.wrong("plan", str(error))
            return None
        return plan

    def _execution(self, root: dict[str, Value]) -> Execution | None:
        if "execution" not in root:
            return Execution()
        form = self.section(root, "execution", ExecutionForm)
        return None if form is None else build.execution(form)

    def _workload(
        self, root: dict[str, Value], gpus: int | None, plan: Plan | None, model: Model | None
    ) -> tuple[BatchRule | None, Workload | None]:
        form = self.section(root, "workload", WorkloadForm)
        if form is None:
            return None, None
        wrong = list(build.workload_mistakes(form))
        if model is not None:
            try:
                form = expert_load.measured(form, model, self.document.origin)
            except ValueError as error:
                wrong.append((f"{expert_load.PATH}.file", str(error)))
            wrong += [*expert_load.mistakes(form, model), *build.kv_reads_mistakes(form, model)]
        self.report(wrong)
        if wrong or gpus is None or plan is None:
            return None, None
        rule = build.batch_rule(form)
        workload = build.workload(form, rule.sequences(gpus, plan.degrees.dp))
        if model is not None and model.moe is not None:
            workload = expert_load.loaded(workload, form.expert_load, model.moe, self.seed(root))
            weights = Share(model=model, degrees=plan.degrees, workload=workload).expert_popularity
            uneven = {expert: weight for expert, weight in enumerate(weights) if weight != 1}
            self.report(expert_load.weight_mistakes(uneven, model.moe))
        return rule, workload

    def _expectations(self, lines: Value) -> tuple[Expectation, ...]:
        if lines is None:
            return ()
        if not isinstance(lines, list):
            self.wrong("expect", "expected a list of lines such as - mfu >= 0.5")
            return ()
        expect = []
        for index, line in enumerate(lines):
            try:
                expect.append(parse_expectation(line))
            except ValueError as error:
                self.mistakes.append(self.document.mistake(("expect", index), str(error)))
        return tuple(expect)
