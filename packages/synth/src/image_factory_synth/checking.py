"""A rendered file checked as a whole: each resource by itself, and whether what they refer to is there. Pure.

What Kargo's admission refuses, and what it takes and then fails at without a word: a Stage of a Warehouse
that does not exist promotes nothing, a promotion policy that matches no Stage is no policy. Each finding
names the resource, the field and the line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from image_factory.errors import UserError
from image_factory_synth.analysis import MAX_METRIC
from image_factory_synth.fields import RefusedByKargo
from image_factory_synth.read_back import Place, path_of, read_back
from image_factory_synth.records import KARGO, PROJECT_LABEL, Resource
from image_factory_synth.steps import has_step, no_step
from image_factory_synth.versions import KargoVersion

_CLUSTER_SCOPED = frozenset({"Namespace", "Project", "ClusterRole", "ClusterRoleBinding", "ClusterPromotionTask"})
_RESERVED = re.compile(r"(step|task)-\d+")
_NAMED_OUTPUT = re.compile(r"(?<![.\w])(?:outputs(?:\.(\w+)|\[['\"]([^'\"]+)['\"]\])|status\(['\"]([^'\"]+)['\"]\))")
_ARGUMENT = re.compile(r"\{\{\s*args\.([\w-]+)\s*\}\}")
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with one resource."""

    resource: str
    """Such as `Warehouse/web`."""
    field: str
    """Such as `spec.interval`; empty where it is about the whole resource."""
    message: str
    hint: str = ""
    line: int | None = None
    """Of the file, from 1."""

    def __str__(self) -> str:
        return ": ".join(part for part in (self.resource, self.field, self.message) if part)


@dataclass(frozen=True, slots=True, eq=False)
class Rendered:
    """One resource of a file."""

    document: Mapping[str, Any]
    node: Any
    """The YAML that it was made of, which knows the lines."""

    @property
    def kind(self) -> str:
        return str(self.document.get("kind"))

    @property
    def name(self) -> str:
        return str(_at(self.document, "metadata", "name"))

    @property
    def namespace(self) -> str | None:
        found = _at(self.document, "metadata", "namespace")
        return None if found is None else str(found)

    def finding(self, at: Place, message: str, hint: str = "") -> Finding:
        """Return a finding about the field at that place."""
        return Finding(f"{self.kind}/{self.name}", path_of(at), message, hint, _line(self.node, at))


def load_stream(text: str) -> list[Rendered]:
    """Return the resources of a YAML stream; empty documents are none.

    Raises:
        UserError: it is no YAML, or holds something that is no map.
    """
    found: list[Rendered] = []
    loader = _Loader(text)
    try:
        while loader.check_node():
            node: Any = loader.get_node()
            document = loader.construct_document(node)
            if document is None:
                continue
            if not isinstance(document, dict):
                raise UserError(
                    f"line {node.start_mark.line + 1}: not a resource: {str(document)[:80]!r}",
                    hint="run image-factory synth again",
                )
            found.append(Rendered(document, node))
    except yaml.YAMLError as error:
        raise UserError(f"not YAML: {' '.join(str(error).split())}", hint="run image-factory synth again") from error
    finally:
        loader.dispose()
    return found


def check(resources: Sequence[Rendered], version: KargoVersion) -> Iterator[Finding]:
    """Yield what is wrong with the resources of one file, in their order, then what is wrong between them."""
    for each in resources:
        yield from _check_alone(each, version)
    file = _File(resources)
    yield from file.check_names()
    for each in resources:
        yield from file.check_references(each)


def _check_alone(resource: Rendered, version: KargoVersion) -> Iterator[Finding]:
    for at in (("apiVersion",), ("kind",), ("metadata", "name")):
        if not isinstance(_at(resource.document, *at), str):
            yield resource.finding(at, "is missing")
    record = _records().get((str(resource.document.get("apiVersion")), resource.kind))
    if record is not None:
        yield from _check_record(resource, record, version)
    if resource.kind in ("Stage", "PromotionTask", "ClusterPromotionTask"):
        yield from _check_steps(resource, version)
    if resource.kind == "AnalysisTemplate":
        yield from _check_template(resource)


def _check_record(resource: Rendered, record: type[Resource], version: KargoVersion) -> Iterator[Finding]:
    found: list[Finding] = []

    def problem(at: Place, message: str, hint: str) -> None:
        found.append(resource.finding(at, message, hint))

    document = {key: value for key, value in resource.document.items() if key not in ("apiVersion", "kind")}
    read = read_back(record, document, version, problem)
    if read is not None:
        try:
            read.check(version)
        except RefusedByKargo as error:
            at = _find(document, error.field)
            if error.field != "uses":  # of each step it is said where that stands
                told = error.message if at[-1:] == (error.field,) else f"{error.field}: {error.message}"
                problem(at, told, error.hint)
        except UserError as error:
            problem(("spec",), error.message, error.hint)
    yield from found


def _records() -> dict[tuple[str, str], type[Resource]]:
    """Return the records of all resources that are written here, by apiVersion and kind."""
    # Whoever writes resources imports their records.
    import image_factory_synth.infrastructure
    import image_factory_synth.jobs
    import image_factory_synth.stages  # noqa: F401

    found: dict[tuple[str, str], type[Resource]] = {}
    waiting: list[type[Resource]] = [Resource]
    while waiting:
        for record in waiting.pop().__subclasses__():
            waiting.append(record)
            if record.__module__.startswith("image_factory_synth.") and hasattr(record, "kind"):
                found[record.api_version, record.kind] = record
    return found


def steps_of(document: Mapping[str, Any]) -> tuple[Place, Sequence[Any]]:
    """Return a Stage's or a PromotionTask's steps, and where they lie; none where there are none."""
    at: Place = ("spec", "promotionTemplate", "spec", "steps") if document.get("kind") == "Stage" else ("spec", "steps")
    steps = _at(document, *at)
    return at, steps if isinstance(steps, list) else ()


def _check_steps(resource: Rendered, version: KargoVersion) -> Iterator[Finding]:
    at, steps = steps_of(resource.document)
    seen: set[str] = set()
    for number, step in enumerate(steps):
        if not isinstance(step, Mapping):
            continue  # said already
        here = (*at, number)
        if ("uses" in step) == ("task" in step):
            yield resource.finding(here, "a step has either uses or task")
        uses = step.get("uses")
        if isinstance(uses, str) and not has_step(uses, version):
            yield resource.finding((*here, "uses"), *no_step(uses, version))
        if "task" in step:
            if resource.kind != "Stage":
                yield resource.finding((*here, "task"), "a task within a task", "write its steps out")
            for key in ("if", "config", "retry", "continueOnError"):
                if key in step:
                    yield resource.finding((*here, key), "Kargo refuses it beside task", "put it on the task's steps")
        for name in _outputs_named(step):
            if name.split("::")[0] not in seen and not _RESERVED.fullmatch(name):
                yield resource.finding(here, f"no step before it is called {name!r}", "give that step the name by as")
        alias = step.get("as")
        if isinstance(alias, str):
            if alias in seen:
                yield resource.finding((*here, "as"), f"another step is called {alias!r}, too")
            if _RESERVED.fullmatch(alias):
                yield resource.finding((*here, "as"), f"Kargo keeps names such as {alias!r} for itself")
            seen.add(alias)


def _outputs_named(value: object) -> Iterator[str]:
    if isinstance(value, str):
        if "${" in value:
            yield from (next(filter(None, found.groups())) for found in _NAMED_OUTPUT.finditer(value))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _outputs_named(item)
    elif isinstance(value, list):
        for item in value:
            yield from _outputs_named(item)


def _check_template(resource: Rendered) -> Iterator[Finding]:
    declared = _declared(resource.document)
    metrics = _at(resource.document, "spec", "metrics")
    for number, metric in enumerate(metrics if isinstance(metrics, list) else ()):
        if not isinstance(metric, Mapping):
            continue
        name = str(metric.get("name"))
        if len(name) > MAX_METRIC:
            at: Place = ("spec", "metrics", number, "name")
            yield resource.finding(at, f"longer than {MAX_METRIC} characters: {name!r}", "no Job would start")
        for argument in sorted(set(_ARGUMENT.findall(str(metric))) - declared):
            yield resource.finding(("spec", "metrics", number), f"no argument is called {argument!r}", "declare it")


def _declared(document: Mapping[str, Any]) -> set[str]:
    arguments = _at(document, "spec", "args")
    return {str(_at(each, "name")) for each in arguments} if isinstance(arguments, list) else set()


class _File:
    """What stands in one file, by kind and name."""

    def __init__(self, resources: Sequence[Rendered]) -> None:
        self._resources = resources
        self._found: dict[tuple[str, str], Rendered] = {}
        for each in resources:
            self._found.setdefault((each.kind, each.name), each)
        self._projects = {each.name for each in resources if each.kind == "Project"}

    def check_names(self) -> Iterator[Finding]:
        seen: dict[tuple[str, str | None, str], Rendered] = {}
        for each in self._resources:
            key = (each.kind, each.namespace, each.name)
            if key in seen:
                line = seen[key].node.start_mark.line + 1
                yield each.finding(("metadata", "name"), f"stands here twice; the first is on line {line}")
            seen.setdefault(key, each)
            if each.kind == "Namespace" and each.name in self._projects:
                labels = _at(each.document, "metadata", "labels")
                if not isinstance(labels, Mapping) or labels.get(PROJECT_LABEL) != "true":
                    hint = f'give it the label {PROJECT_LABEL}: "true"'
                    yield each.finding(("metadata", "labels"), "Kargo refuses to make it a Project's", hint)
            if each.document.get("apiVersion") == KARGO and each.kind not in _CLUSTER_SCOPED:
                yield from self._check_namespace(each)

    def _check_namespace(self, resource: Rendered) -> Iterator[Finding]:
        if resource.namespace is None:
            yield resource.finding(("metadata", "namespace"), "is missing")
        elif self._projects and resource.namespace not in self._projects:
            yield resource.finding(("metadata", "namespace"), f"{resource.namespace!r} is no Project's namespace here")

    def check_references(self, resource: Rendered) -> Iterator[Finding]:
        match resource.kind:
            case "Stage":
                yield from self._check_stage(resource)
            case "ProjectConfig":
                yield from self._check_policies(resource)
            case "RoleBinding" | "ClusterRoleBinding":
                kind, name = (str(_at(resource.document, "roleRef", key)) for key in ("kind", "name"))
                yield from self._check_there(resource, ("roleRef", "name"), kind, name)
            case _:
                pass
        if resource.kind in ("AnalysisTemplate", "CronJob"):
            for at, name in _accounts(resource.document):
                yield from self._check_there(resource, at, "ServiceAccount", name)

    def _check_there(self, resource: Rendered, at: Place, kind: str, name: object) -> Iterator[Finding]:
        if (kind, str(name)) not in self._found:
            yield resource.finding(at, f"there is no {kind} {str(name)!r}", "run image-factory synth again")

    def _check_stage(self, resource: Rendered) -> Iterator[Finding]:
        requested = _at(resource.document, "spec", "requestedFreight")
        for number, each in enumerate(requested if isinstance(requested, list) else ()):
            here: Place = ("spec", "requestedFreight", number)
            yield from self._check_there(resource, (*here, "origin", "name"), "Warehouse", _at(each, "origin", "name"))
            direct, stages = _at(each, "sources", "direct"), _at(each, "sources", "stages") or []
            if not direct and not stages:
                yield resource.finding((*here, "sources"), "neither direct nor a stage: no Freight would come")
            for position, stage in enumerate(stages if isinstance(stages, list) else ()):
                yield from self._check_there(resource, (*here, "sources", "stages", position), "Stage", stage)
            if _at(each, "sources", "autoPromotionOptions", "selectionPolicy") == "MatchUpstream" and (
                direct or len(stages) != 1
            ):
                yield resource.finding((*here, "sources"), "MatchUpstream needs exactly one stage, and no direct")
        at, steps = steps_of(resource.document)
        for number, step in enumerate(steps):
            if isinstance(step, Mapping) and "task" in step:
                kind = str(_at(step, "task", "kind") or "PromotionTask")
                yield from self._check_there(resource, (*at, number, "task", "name"), kind, _at(step, "task", "name"))
        yield from self._check_verification(resource)

    def _check_verification(self, resource: Rendered) -> Iterator[Finding]:
        at: Place = ("spec", "verification")
        templates, arguments = (_at(resource.document, *at, key) for key in ("analysisTemplates", "args"))
        declared: set[str] = set()
        for number, each in enumerate(templates if isinstance(templates, list) else ()):
            kind, name = str(_at(each, "kind") or "AnalysisTemplate"), str(_at(each, "name"))
            yield from self._check_there(resource, (*at, "analysisTemplates", number, "name"), kind, name)
            template = self._found.get((kind, name))
            declared |= set() if template is None else _declared(template.document)
        for number, each in enumerate(arguments if isinstance(arguments, list) else ()):
            if declared and _at(each, "name") not in declared:
                told = f"no template declares {_at(each, 'name')!r}"
                yield resource.finding((*at, "args", number, "name"), told, "Kargo would drop it without a word")

    def _check_policies(self, resource: Rendered) -> Iterator[Finding]:
        policies = _at(resource.document, "spec", "promotionPolicies")
        for number, each in enumerate(policies if isinstance(policies, list) else ()):
            wanted = _at(each, "stageSelector", "matchLabels")
            if isinstance(wanted, Mapping) and not any(self._stages_with(wanted)):
                at: Place = ("spec", "promotionPolicies", number, "stageSelector", "matchLabels")
                yield resource.finding(at, f"no Stage has {dict(wanted)}", "nothing would be promoted by itself")

    def _stages_with(self, wanted: Mapping[str, Any]) -> Iterable[bool]:
        for each in self._resources:
            labels = _at(each.document, "metadata", "labels") or {}
            yield each.kind == "Stage" and all(labels.get(key) == value for key, value in wanted.items())


def _accounts(value: object, at: Place = ()) -> Iterator[tuple[Place, str]]:
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        if key == "serviceAccountName":
            yield (*at, str(key)), str(item)
        else:
            yield from _accounts(item, (*at, key))


def _at(value: object, *path: str | int) -> Any:
    """Return what lies there; None where nothing does."""
    for part in path:
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            return None
    return value


def _find(value: object, key: str, at: Place = ()) -> Place:
    """Return where the first field of that name lies; `spec` where none does."""
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        if name == key:
            return (*at, key)
        inner = _find(item, key, (*at, name))
        if inner[-1:] == (key,):
            return inner
    return ("spec",)


def _line(node: Any, at: Place) -> int:
    """Return the line of a field, or of what it is missing in."""
    line = int(node.start_mark.line) + 1
    for part in at:
        if isinstance(node, yaml.MappingNode):
            pair = next((pair for pair in node.value if pair[0].value == str(part)), None)
            if pair is None:
                break
            line, node = int(pair[0].start_mark.line) + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = int(node.start_mark.line) + 1
        else:
            break
    return line
