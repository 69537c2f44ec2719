"""A Renovate configuration: what it says of images (docs.renovatebot.com, "Configuration Options").

Presets of Renovate's own are followed, those of other repositories are not: nothing is fetched. What
comes later wins, as there: presets, the file, its section for a kind of file, for a kind of update, and
`packageRules` in their order. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from image_factory.errors import Location, UserError
from image_factory.imports.answers import (
    Answer,
    Bot,
    Change,
    FileKind,
    Remark,
    Site,
    flag_of,
    maps_of,
    node_of,
    shown,
    text_of,
    texts_of,
)
from image_factory.imports.json5 import parse_json5
from image_factory.imports.patterns import expression, glob, match_any
from image_factory.imports.presets import preset
from image_factory.imports.renovate_remarks import remarks_of
from image_factory.imports.renovate_rules import DECIDED, LEGACY, UNKNOWN_PRESET, matchers_of, parse_age
from image_factory.state.yaml_tree import ListNode, MapNode, Node, Scalar

FILES = (
    "renovate.json",
    "renovate.json5",
    ".github/renovate.json",
    ".github/renovate.json5",
    ".gitlab/renovate.json",
    ".gitlab/renovate.json5",
    ".renovaterc",
    ".renovaterc.json",
    ".renovaterc.json5",
    "package.json",
)
"""Where Renovate looks, in its order; in package.json for the key `renovate`."""
MAX_PRESETS = 200
"""Presets that one configuration extends, one through another."""

_DEFAULT_FILES: dict[FileKind, tuple[str, ...]] = {
    FileKind.DOCKERFILE: (r"(^|/|\.)([Dd]ocker|[Cc]ontainer)file$", r"(^|/)([Dd]ocker|[Cc]ontainer)file[^/]*$"),
    FileKind.COMPOSE: (r"(^|/)(docker-)?compose[^/]*\.ya?ml$",),
    FileKind.HELM_VALUES: (r"(^|/)values\.ya?ml$",),
    FileKind.KUSTOMIZE: (r"(^|/)kustomization\.ya?ml$",),
    FileKind.KUBERNETES: (),
}
"""The managers' own file patterns; that of kubernetes has none, so that it reads nothing unless told to."""
_CATEGORIES: dict[FileKind, tuple[str, ...]] = {
    FileKind.DOCKERFILE: ("docker",),
    FileKind.COMPOSE: ("docker",),
    FileKind.HELM_VALUES: ("helm", "kubernetes"),
    FileKind.KUSTOMIZE: ("kubernetes",),
    FileKind.KUBERNETES: ("kubernetes",),
}


@dataclass(frozen=True, slots=True)
class Renovate:
    """One configuration, with its presets written out."""

    file: str
    layers: tuple[MapNode, ...]
    """Presets first, the file last."""
    remarks: tuple[Remark, ...] = ()
    bot: Bot = field(default=Bot.RENOVATE, init=False)

    @property
    def branch(self) -> str | None:
        names = texts_of(self._last("baseBranches")) or texts_of(self._last("baseBranchPatterns"))
        return names[0] if len(names) == 1 and not names[0].startswith("/") and "*" not in names[0] else None

    def unwatched(self, path: str, kind: FileKind) -> str | None:
        switches = {"": self._last("enabled")}
        for section in ("docker", kind.value):
            listed = [layer.entries.get(section) for layer in self.layers]
            flags = [
                node.entries["enabled"] for node in listed if isinstance(node, MapNode) and "enabled" in node.entries
            ]
            switches[f"{section}."] = flags[-1] if flags else None
        for section, switch in switches.items():
            if flag_of(switch) is False:
                return f"{section}enabled is false"
        enabled = self._last("enabledManagers")
        if enabled is not None and texts_of(enabled) and not match_any(kind.value, texts_of(enabled)):
            return f"enabledManagers does not name {kind.value}"
        if not any(found(path) for found in self._file_patterns(kind)):
            return f"Renovate's {kind.value} does not read a file of this name"
        included = texts_of(self._last("includePaths"))
        if included and not any(path == each or glob(each)(path) for each in included):
            return "includePaths leaves it out"
        ignored = next((each for each in texts_of(self._last("ignorePaths")) if each in path or glob(each)(path)), None)
        return None if ignored is None else f"ignorePaths has {shown(ignored)}"

    def answer(self, site: Site, change: Change = Change.DIGEST) -> Answer:
        settings: dict[str, Scalar] = {}
        ignored = self._last("ignoreDeps")
        for layer in self.layers:
            _take(settings, layer)
        for section in (site.kind.value, "docker"):
            for layer in self.layers:
                inner = layer.entries.get(section)
                if isinstance(inner, MapNode):
                    _take(settings, inner, change)
        for layer in self.layers:
            _take_change(settings, layer, change)
        for layer in self.layers:
            for rule in maps_of(layer.entries.get("packageRules")):
                if self._matches(rule, site, change):
                    _take(settings, rule, change)
        return self._answer(settings, is_ignored=site.name in texts_of(ignored), ignored=ignored)

    # --- inner -----------------------------------------------------------------------------------------

    def _answer(self, settings: Mapping[str, Scalar], *, is_ignored: bool, ignored: Node | None) -> Answer:
        enabled = settings.get("enabled")
        age = settings.get("minimumReleaseAge")
        group = text_of(settings.get("groupName"))
        is_off = enabled is not None and enabled.value is False
        where = ignored if is_ignored else enabled if is_off else age
        return Answer(
            is_updated=not is_off and not is_ignored,
            reason="ignoreDeps names it" if is_ignored else "enabled is false" if is_off else "",
            is_asked=flag_of(settings.get("dependencyDashboardApproval")) is True,
            delay=_age_of(age),
            group=group or None,
            merges=flag_of(settings.get("automerge")) is True,
            location=None if where is None else Location(self.file, where.line),
        )

    def _last(self, key: str) -> Node | None:
        return next((layer.entries[key] for layer in reversed(self.layers) if key in layer.entries), None)

    def _file_patterns(self, kind: FileKind) -> Iterator[Callable[[str], bool]]:
        yield from map(expression, _DEFAULT_FILES[kind])
        for layer in self.layers:
            section = layer.entries.get(kind.value)
            if isinstance(section, MapNode):
                yield from (expression(each) for each in texts_of(section.entries.get("fileMatch")))
                for each in texts_of(section.entries.get("managerFilePatterns")):
                    yield partial(_is_of, pattern=each)

    def _matches(self, rule: MapNode, site: Site, change: Change) -> bool:
        matchers = matchers_of(rule)
        if set(matchers) - DECIDED:
            return False  # it is said among the remarks
        return _matches_name(matchers, site.name) and all(
            match_any(value, patterns) if isinstance(value, str) else any(match_any(each, patterns) for each in value)
            for key, value in (
                ("matchDatasources", "docker"),
                ("matchManagers", site.kind.value),
                ("matchCategories", _CATEGORIES[site.kind]),
                ("matchFileNames", site.path),
                ("matchDepTypes", _dep_types(site)),
                ("matchUpdateTypes", change.value),
            )
            if (patterns := matchers.get(key)) is not None
        )


def read_renovate(text: str, file: str) -> Renovate | None:
    """Return what a configuration says; None for a package.json that holds none.

    Raises:
        UserError: it is not JSON5 or no configuration, or one of its patterns is none or could take too long.
    """
    root: Node | None = parse_json5(text, file)
    if file.rpartition("/")[2] == "package.json":
        root = root.entries.get("renovate") if isinstance(root, MapNode) else None
        if root is None:
            return None
    if not isinstance(root, MapNode):
        raise UserError(
            "not a configuration of Renovate: no mapping",
            hint="write settings between { and }",
            location=Location(file, 1 if root is None else root.line),
        )
    unknown: list[Remark] = []
    layers = tuple(_written_out(root, file, unknown))
    made = Renovate(file, layers, tuple(sorted([*unknown, *remarks_of(layers, file)], key=_line)))
    _try_patterns(made)
    return made


def _try_patterns(made: Renovate) -> None:
    """Try every pattern once, so that one that is none is told of before anything is asked."""
    sections = [inner for layer in made.layers for inner in layer.entries.values() if isinstance(inner, MapNode)]
    rules = [rule for layer in made.layers for rule in maps_of(layer.entries.get("packageRules"))]
    for node in [*made.layers, *sections, *rules]:
        for key, value in node.entries.items():
            try:
                if key in _GLOBS:
                    for each in texts_of(value):
                        glob(each)
                elif key in _EXPRESSIONS:
                    for each in texts_of(value):
                        expression("" if each in ("*", "^*$") else each)
                elif key in _EITHER:
                    match_any("-", texts_of(value))
                    match_any("-", [each.removeprefix("!") for each in texts_of(value)])
            except UserError as error:
                where = Location(made.file, value.line)
                raise UserError(f"{key}: {error.message}", hint=error.hint, location=where) from error


_GLOBS = frozenset({"ignorePaths", "includePaths"})
_EXPRESSIONS = frozenset({"fileMatch", "matchPackagePatterns", "excludePackagePatterns", "packagePatterns"})
_EITHER = frozenset(
    {key for key in DECIDED | LEGACY.keys() if not key.endswith(("Patterns", "Prefixes"))} | {"managerFilePatterns"}
)


def _is_of(path: str, pattern: str) -> bool:
    return match_any(path, [pattern])


def _line(remark: Remark) -> int:
    return remark.location.line or 0


# --- presets ----------------------------------------------------------------------------------------------


def _written_out(root: MapNode, file: str, unknown: list[Remark]) -> Iterator[MapNode]:
    """Yield what a configuration is made of, each preset before what extends it.

    A preset's values stand at the line that names it.
    """
    left_out = set(texts_of(root.entries.get("ignorePresets")))
    made: list[MapNode] = [root]
    waiting = [root]
    while waiting:
        layer = waiting.pop()
        extends = layer.entries.get("extends")
        names = extends.items if isinstance(extends, ListNode) else [] if extends is None else [extends]
        place = next(index for index, other in enumerate(made) if other is layer)
        for item in names:
            name = text_of(item)
            if name is None or name in left_out:
                continue
            found = preset(name)
            if found is None:
                text = f"the preset {shown(name)} is not followed: what it sets is not carried over"
                unknown.append(Remark(Location(file, item.line), text))
                continue
            inner = node_of(found, item.line)
            assert isinstance(inner, MapNode)
            made.insert(place, inner)
            place += 1
            waiting.append(inner)
            if len(made) > MAX_PRESETS:
                raise UserError(f"more than {MAX_PRESETS} presets", hint="extend fewer", location=Location(file))
    yield from (_with_rules(layer) for layer in made)


def _with_rules(layer: MapNode) -> MapNode:
    """Return a layer whose rules hold what the presets say that they extend."""
    rules = layer.entries.get("packageRules")
    if not any("extends" in rule.entries for rule in maps_of(rules)):
        return layer
    assert rules is not None
    written = ListNode(rules.line, [_rule_written_out(rule) for rule in maps_of(rules)])
    return MapNode(layer.line, {**layer.entries, "packageRules": written}, layer.key_lines)


def _rule_written_out(rule: MapNode) -> MapNode:
    """Return a rule with its presets' settings below its own, or limited by a preset that is not known."""
    entries: dict[str, Node] = {}
    lines: dict[str, int] = {}
    extends = rule.entries.get("extends")
    for item in extends.items if isinstance(extends, ListNode) else [] if extends is None else [extends]:
        name = text_of(item) or ""
        found = preset(name)
        # A preset that names packages would limit the rule: without them it would take every image.
        is_plain = bool(found) and not {"extends", "packageRules"} & (found or {}).keys()
        made = node_of(found if is_plain else {UNKNOWN_PRESET: [name]}, item.line)
        assert isinstance(made, MapNode)
        entries |= made.entries
        lines |= made.key_lines
    return MapNode(rule.line, {**entries, **rule.entries}, {**lines, **rule.key_lines})


# --- settings ---------------------------------------------------------------------------------------------

_TAKEN = ("enabled", "groupName", "automerge", "dependencyDashboardApproval", "minimumReleaseAge")


def _take(settings: dict[str, Scalar], node: MapNode, change: Change | None = None) -> None:
    """Let what stands in a section win over what was taken before; then what its own kinds of update say."""
    for key in _TAKEN:
        value = node.entries.get(key)
        if isinstance(value, Scalar):
            settings[key] = value
    days = node.entries.get("stabilityDays")
    if isinstance(days, Scalar) and isinstance(days.value, int) and "minimumReleaseAge" not in node.entries:
        settings["minimumReleaseAge"] = Scalar(days.line, f"{days.value} days", f"{days.value} days")
    if change is not None:
        _take_change(settings, node, change)


def _take_change(settings: dict[str, Scalar], node: MapNode, change: Change) -> None:
    inner = node.entries.get(change.value)
    if isinstance(inner, MapNode):
        _take(settings, inner)


def _age_of(age: Scalar | None) -> timedelta | None:
    if age is None:
        return None
    # Without an age Renovate does not wait; that is written to undo what a rule before it says.
    return timedelta() if age.value is None else parse_age(age.text)


# --- rules ------------------------------------------------------------------------------------------------


def _matches_name(matchers: Mapping[str, Sequence[str]], name: str) -> bool:
    """Whether the names of a rule take an image; its three ways to name packages are alternatives."""
    ways = [key for key in matchers if key in ("matchPackageNames", "matchPackagePatterns", "matchPackagePrefixes")]
    if ways and not any(_is_named(key.removeprefix("matchPackage"), matchers[key], name) for key in ways):
        return False
    if "matchDepNames" in matchers and not match_any(name, matchers["matchDepNames"]):
        return False
    refused = [key for key in matchers if key.startswith("excludePackage")]
    return not any(_is_named(key.removeprefix("excludePackage"), matchers[key], name) for key in refused)


def _is_named(way: str, words: Sequence[str], name: str) -> bool:
    if way == "Prefixes":
        return name.startswith(tuple(words))
    if way == "Patterns":
        return any(word in ("*", "^*$") or expression(word)(name) for word in words)
    return match_any(name, words)


def _dep_types(site: Site) -> tuple[str, ...]:
    return ("final" if site.is_final else "stage",) if site.kind is FileKind.DOCKERFILE else ()
