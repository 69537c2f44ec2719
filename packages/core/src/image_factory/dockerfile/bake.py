"""Bake files, HCL and JSON, with buildx's semantics (github.com/docker/buildx, `bake/`): targets to builds.

Variables take the environment's value over their default, targets merge what they inherit, a matrix
makes a target of each combination, and targets of one name in several files merge in the files' order.
Only what decides which images are pulled is evaluated: tags, outputs and caches are not. Paths are taken
from the folder of the first file, where people call `docker buildx bake`. Pure.
"""

from __future__ import annotations

import itertools
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from image_factory.dockerfile.bake_names import BakeNames
from image_factory.dockerfile.definition import MAX_DEFINITION, Build, Definition, inner_path, is_remote
from image_factory.dockerfile.hcl.evaluation import Scope
from image_factory.dockerfile.hcl.json_syntax import parse_json_body
from image_factory.dockerfile.hcl.nodes import Block, Body, HclError, Unresolved
from image_factory.dockerfile.hcl.syntax import parse_body
from image_factory.dockerfile.hcl.values import UNKNOWN, Value, as_list, as_object, as_text
from image_factory.dockerfile.reading import BuildOptions, Category, Diagnostic
from image_factory.errors import InvalidReference
from image_factory.oci.platform import Platform

MAX_BUILDS = 2_000
"""Targets of one file, its matrices' combinations counted."""
MAX_INHERITED = 50
"""Targets that one inherits, directly or not."""
NOT_KNOWN = "<known only to the build>"
"""Stands for a build arg that only the build can know, such as the time: it can be no part of a reference."""

_BLOCKS = frozenset({"variable", "function", "group", "target"})
_NAME = re.compile(r"[a-zA-Z0-9_-]+\Z")
_SINGLE = ("context", "dockerfile", "dockerfile-inline", "target")


@dataclass(slots=True)
class _Target:
    """One target's own attributes, evaluated; None is not set."""

    name: str
    line: int
    single: dict[str, str] = field(default_factory=dict)
    args: dict[str, str] = field(default_factory=dict)
    contexts: dict[str, str] = field(default_factory=dict)
    inherits: list[str] | None = None
    platforms: list[str] | None = None
    problems: dict[Diagnostic, None] = field(default_factory=dict)
    """Each once, in their order."""
    is_broken: bool = False
    """Whether something without which nothing can be read is not known."""

    def merge(self, other: _Target) -> None:
        """Take over what `other` sets (buildx `Target.Merge`): single values whole, args and contexts by key."""
        self.single |= other.single
        self.args |= other.args
        self.contexts |= other.contexts
        self.platforms = self.platforms if other.platforms is None else other.platforms
        self.inherits = self.inherits if other.inherits is None else other.inherits
        self.problems |= other.problems
        self.is_broken = self.is_broken or other.is_broken


def read_bake(
    files: Sequence[tuple[str, str]], *, targets: Iterable[str] = (), environment: Mapping[str, str]
) -> Definition:
    """Return what bake files build, later files merged over earlier ones.

    Args:
        files: their paths from the tree's root and their texts.
        targets: the targets and groups to build; none means every target.
        environment: values that override variables.
    """
    bodies: list[Body] = []
    problems: list[Diagnostic] = []
    for path, text in files:
        try:
            bodies.append(_parse(path, text))
        except HclError as error:
            problems.append(Diagnostic(Category.SYNTAX, error.line, f"{posixpath.basename(path)}: {error.message}"))
    reader = _BakeReader(bodies, environment, posixpath.dirname(files[0][0]))
    builds = reader.builds(tuple(targets))
    return Definition(tuple(builds), (*problems, *reader.problems))


def _parse(path: str, text: str) -> Body:
    if len(text) > MAX_DEFINITION:
        raise HclError(1, f"the file is larger than {MAX_DEFINITION} characters")
    return parse_json_body(text, _BLOCKS) if path.lower().endswith(".json") else parse_body(text)


class _BakeReader:
    """The blocks of all files, and the targets they make."""

    def __init__(self, bodies: Sequence[Body], environment: Mapping[str, str], folder: str) -> None:
        self.problems: list[Diagnostic] = []
        self._folder = folder
        self._names = BakeNames(bodies, environment)
        self._targets: dict[str, _Target] = {}
        self._groups: dict[str, list[str]] = {}
        blocks = [block for body in bodies for block in body.blocks]
        for block in blocks:
            if block.type in ("group", "target") and (len(block.labels) != 1 or not _NAME.match(block.labels[0])):
                self._report(HclError(block.line, f"a {block.type} has one name of letters, digits, '_' and '-'"))
            elif block.type == "target":
                self._add_targets(block)
            elif block.type == "group":
                self._add_group(block)

    def _report(self, error: HclError, category: Category = Category.SYNTAX) -> None:
        self.problems.append(Diagnostic(category, error.line, error.message))

    # --- what the file defines ------------------------------------------------------------------

    def _add_group(self, block: Block) -> None:
        attribute = block.body.attributes.get("targets")
        try:
            value = [] if attribute is None else self._names.value(attribute.expression, {})
            names = [as_text(item, block.line) for item in as_list(value, block.line)]
        except HclError as error:
            self._report(error)
            return
        known = self._groups.setdefault(block.labels[0], [])
        known += [name for name in names if name not in known]

    def _add_targets(self, block: Block) -> None:
        label = block.labels[0]
        try:
            scopes = list(self._matrix(block))
            named = [(self._target_name(block, scope), scope) for scope in scopes]
        except HclError as error:
            self._report(error)
            return
        if "matrix" in block.body.attributes:
            self._groups.setdefault(label, []).extend(name for name, _ in named)
        here: set[str] = set()
        for name, scope in named:
            target = self._target(block, name, scope)
            if name not in self._targets:
                self._targets[name] = target
            elif name in here:
                self._report(HclError(block.line, f"two combinations of the matrix of {label!r} are named {name!r}"))
            else:
                self._targets[name].merge(target)
            here.add(name)
            if len(self._targets) > MAX_BUILDS:
                self._report(HclError(block.line, f"the file makes more than {MAX_BUILDS} targets"))
                return

    def _matrix(self, block: Block) -> Iterator[Scope]:
        """Yield the names that each combination of a matrix binds; one empty scope without a matrix."""
        attribute = block.body.attributes.get("matrix")
        if attribute is None:
            yield {}
            return
        matrix = as_object(self._names.value(attribute.expression, {}), attribute.line)
        axes = {name: as_list(values, attribute.line) for name, values in matrix.items()}
        size = 1
        for values in axes.values():
            size *= len(values)
        if size > MAX_BUILDS:
            raise HclError(attribute.line, f"a matrix of more than {MAX_BUILDS} combinations")
        for combination in itertools.product(*axes.values()):
            yield dict(zip(axes, combination, strict=True))

    def _target_name(self, block: Block, scope: Scope) -> str:
        attribute = block.body.attributes.get("name")
        if attribute is None:
            if "matrix" in block.body.attributes:
                raise HclError(block.line, "a target with a matrix needs a name")
            return block.labels[0]
        name = as_text(self._names.value(attribute.expression, scope), attribute.line)
        if not _NAME.match(name):
            raise HclError(attribute.line, f"not a target's name: {name[:60]!r}")
        return name

    def _target(self, block: Block, name: str, scope: Scope) -> _Target:
        """Evaluate what a target sets itself; what has no value is a problem of this target alone."""
        target = _Target(name, block.line)
        self._names.enter()
        for key, attribute in block.body.attributes.items():
            if key not in (*_SINGLE, "args", "contexts", "inherits", "platforms"):
                continue
            try:
                self._set(target, key, self._names.value(attribute.expression, scope), attribute.line)
            except HclError as error:
                target.problems[Diagnostic(_category(error), error.line, f"{key}: {error.message}")] = None
                target.is_broken = True
        target.problems |= dict.fromkeys(self._names.leave())
        return target

    def _set(self, target: _Target, key: str, value: Value, line: int) -> None:
        if value is None:
            return
        if key in ("args", "contexts"):
            # An arg that is null is not set: an inherited value stays (buildx `Target.Merge`).
            found = {name: item for name, item in as_object(value, line).items() if item is not None}
            made = {
                name: NOT_KNOWN if item is UNKNOWN and key == "args" else as_text(item, line)
                for name, item in found.items()
            }
            (target.args if key == "args" else target.contexts).update(made)
        elif key == "inherits":
            target.inherits = [as_text(item, line) for item in as_list(value, line)]
        elif key == "platforms":
            target.platforms = [as_text(item, line) for item in as_list(value, line)]
        else:
            target.single[key] = as_text(value, line)

    # --- what is built --------------------------------------------------------------------------

    def _listed(self) -> list[str]:
        """Return the targets that stand for a build: not those that only pass on what others inherit.

        Such a one is inherited, in no group, inherits nothing, and says neither where nor what is built.
        """
        inherited = {parent for target in self._targets.values() for parent in target.inherits or ()}
        grouped = {name for names in self._groups.values() for name in names}
        return [
            name
            for name, target in self._targets.items()
            if name not in inherited or name in grouped or target.inherits or target.single
        ]

    def builds(self, wanted: Sequence[str]) -> list[Build]:
        """Return the builds of the targets and groups that are wanted, and of what their results are taken from."""
        waiting = list(wanted or self._listed())[::-1]
        seen: set[str] = set()
        builds = []
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            if name in self._groups and name not in self._targets:
                waiting += self._groups[name][::-1]
            elif name in self._targets:
                build = self._build(name)
                builds.append(build)
                linked = (build.options.contexts or {}).values()
                waiting += [found.removeprefix("target:") for found in linked if found.startswith("target:")][::-1]
            else:
                self._report(HclError(1, f"the file defines no target or group {name[:60]!r}"))
        return builds

    def _resolved(self, name: str, visited: dict[str, _Target | None]) -> _Target:
        """Return a target with all that it inherits (buildx `Config.target`); what inherits itself adds nothing."""
        own = self._targets[name]
        merged = _Target(name, own.line)
        if len(visited) > MAX_INHERITED:
            raise HclError(own.line, f"more than {MAX_INHERITED} targets are inherited by one")
        visited[name] = None
        for parent in own.inherits or ():
            if parent not in self._targets:
                message = f"inherits: the file defines no target {parent[:60]!r}"
                merged.problems[Diagnostic(Category.SYNTAX, own.line, message)] = None
                merged.is_broken = True
                continue
            found = visited[parent] if parent in visited else self._resolved(parent, visited)
            if found is not None:
                merged.merge(found)
        merged.merge(own)
        visited[name] = merged
        return merged

    def _build(self, name: str) -> Build:
        own = self._targets[name]
        try:
            target = self._resolved(name, {})
        except HclError as error:
            problem = Diagnostic(Category.SYNTAX, error.line, error.message)
            return Build(name, ".", None, None, BuildOptions({}), own.line, (problem,))
        problems = list(target.problems)
        platforms = []
        for written in target.platforms or ():
            if written == "local":
                continue
            try:
                platforms.append(Platform.parse(written))
            except InvalidReference as error:
                problems.append(Diagnostic(Category.INVALID_REFERENCE, own.line, f"platforms: {error.message}"))
        context = target.single.get("context", ".")
        options = BuildOptions(
            target.args, target.single.get("target"), tuple(dict.fromkeys(platforms)), target.contexts or None
        )
        inline = target.single.get("dockerfile-inline")
        dockerfile: str | None = None
        if target.is_broken:
            inline = None
        elif not inline:
            inline = None
            dockerfile, unfound = self._dockerfile(context, target.single.get("dockerfile") or "Dockerfile", own.line)
            problems += [unfound] if unfound else []
        inside = context if is_remote(context) else inner_path(self._folder, context.removeprefix("cwd://") or ".")
        return Build(name, inside or context, dockerfile, inline, options, own.line, tuple(problems))

    def _dockerfile(self, context: str, dockerfile: str, line: int) -> tuple[str | None, Diagnostic | None]:
        """Return where a Dockerfile stands in the tree, or why it does not."""
        if dockerfile.startswith("cwd://"):
            path = inner_path(self._folder, dockerfile.removeprefix("cwd://"))
        elif is_remote(context):
            return None, Diagnostic(Category.UNREADABLE, line, f"a remote context is not fetched: {context[:200]!r}")
        else:
            path = inner_path(self._folder, posixpath.join(context.removeprefix("cwd://"), dockerfile))
        if path is None:
            return None, Diagnostic(
                Category.UNREADABLE,
                line,
                f"the Dockerfile is not in the tree: {posixpath.join(context, dockerfile)[:200]!r}",
            )
        return path, None


def _category(error: HclError) -> Category:
    return Category.UNRESOLVED_ARG if isinstance(error, Unresolved) else Category.SYNTAX
