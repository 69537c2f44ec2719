"""images.yaml as text: read into enrollments with their lines (`images_edit` writes to it).

Every problem is found in one reading, and one bad entry costs no other. What an entry may hold is
said by `image_factory.model.enrollment`. Pure: text in, values out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from image_factory.decide.semver import InvalidRange, Range
from image_factory.errors import ImageFactoryError, InvalidEnrollment, Location, UnknownPlugin
from image_factory.model.enrollment import (
    DEFAULT_PROVIDER,
    Enrollment,
    SelectionStrategy,
    find_broken_rules,
    find_idle_keys,
)
from image_factory.state.field_problems import (
    Step,
    Subject,
    check_record,
    fields_of,
    find_unknown_keys,
    locate,
    nearest,
    shorten,
)
from image_factory.state.yaml_tree import ListNode, MapNode, Node, Scalar, scalars, to_tree, to_value

_FREE = frozenset({"verification", "policy"})
"""Fields whose insides the core does not know."""


@dataclass(frozen=True, slots=True)
class EnrolledEntry:
    """One good entry: the enrollment, and where it stands."""

    enrollment: Enrollment
    location: Location

    @property
    def line(self) -> int:
        return self.location.line or 1


@dataclass(frozen=True, slots=True)
class PluginNames:
    """The names of plugins that entries may use, by port: `source`, and `file updater` for `updates[].type`."""

    installed: Mapping[str, frozenset[str]]
    published: Mapping[str, frozenset[str]]
    """Those that an extra of `image-factory`, called like the plugin, installs."""
    broken: tuple[str, ...] = ()
    """What is wrong with each plugin that is installed and cannot be used, which may be the one that is meant."""


@dataclass(frozen=True, slots=True)
class ImagesFile:
    """What one images.yaml says."""

    enrollments: tuple[EnrolledEntry, ...] = ()
    """The good entries, in the order of the file. Of a name that stands twice, none; of an image, the first."""
    problems: tuple[ImageFactoryError, ...] = ()
    """Everything that is wrong, each with its line."""
    warnings: tuple[ImageFactoryError, ...] = ()
    """What is probably not meant, such as a misspelt key; the entries are good all the same."""
    names: frozenset[str] = frozenset()
    """Every name that is written, bad entries' included: a name here is not gone from the file."""


def read_images(text: str, file: str, plugins: PluginNames | None = None) -> ImagesFile:
    """Return all that `text` says. It raises nothing: what is wrong is in `problems`.

    Args:
        file: how messages name the file.
        plugins: what is installed, so that an unknown provider is a problem; None leaves that unchecked.
    """
    # Not imported, and YAML's library with it, where what was last read is remembered.
    from image_factory.state.yaml_parser import parse_tree

    try:
        root = parse_tree(text, file, InvalidEnrollment)
    except InvalidEnrollment as broken:
        return ImagesFile(problems=(broken,))
    if root is None:
        return ImagesFile()
    if not isinstance(root, ListNode):
        what = "a mapping" if isinstance(root, MapNode) else "text"
        return ImagesFile(
            problems=(
                InvalidEnrollment(
                    f"{what} stands where a list of images is meant",
                    hint="begin each image with '- name: …', with nothing above the list",
                    location=Location(file, root.line),
                ),
            )
        )
    return _read_entries(root, file, plugins)


def check_entry(
    entry: Mapping[str, Any], plugins: PluginNames | None = None
) -> tuple[tuple[ImageFactoryError, ...], tuple[ImageFactoryError, ...]]:
    """Return the problems and the warnings of one entry that stands in no file yet."""
    found = _read_entries(ListNode(0, [to_tree(entry)]), "", plugins)
    return tuple(map(_unplaced, found.problems)), tuple(map(_unplaced, found.warnings))


def _unplaced(problem: ImageFactoryError) -> ImageFactoryError:
    return type(problem)(problem.message, hint=problem.hint)


def _read_entries(root: ListNode, file: str, plugins: PluginNames | None) -> ImagesFile:
    good: list[EnrolledEntry] = []
    problems: list[ImageFactoryError] = []
    warnings: list[ImageFactoryError] = []
    lines: dict[str, list[int]] = {}
    for number, item in enumerate(root.items, 1):
        if not isinstance(item, MapNode):
            problems.append(_not_an_entry(item, number, file))
            continue
        entry = _flatten(item)
        name = entry.entries.get("name")
        written = name.value if isinstance(name, Scalar) else None
        is_name = isinstance(written, str) and written.isprintable() and 0 < len(written) <= 80
        subject = Subject(str(written) if is_name else f"entry {number}", file, InvalidEnrollment)
        if isinstance(written, str):
            lines.setdefault(written, []).append(entry.line)
        enrollment, wrong = check_record(Enrollment, entry, subject)
        value = to_value(entry)
        broken = [
            subject.wrong(rule.path, rule.problem, rule.hint, _line_of(entry, rule.path))
            for rule in find_broken_rules(value)
        ]
        if enrollment is not None and not _has_range(enrollment):
            hint = "write one such as ^16.0.0 or >=1.2 <2; for one tag write tag"
            message = f"not a range of versions: {shorten(enrollment.constraint or '')}"
            broken.append(subject.wrong(("constraint",), message, hint, _line_of(entry, ("constraint",))))
        problems += wrong + broken
        problems += [
            subject.wrong(
                path, "holds an expression or an invisible character", "write plain text", _line_of(entry, path)
            )
            for path in _unsafe_texts(entry)
        ]
        if plugins is not None:
            problems += _unknown_plugins(entry, value, subject, plugins)
        warnings += find_unknown_keys(Enrollment, entry, subject)
        warnings += [
            subject.wrong(idle.path, idle.problem, idle.hint, _line_of(entry, idle.path))
            for idle in find_idle_keys(value)
        ]
        if enrollment is not None and not broken:
            good.append(EnrolledEntry(enrollment, Location(file, entry.line)))
    repeated = {name: where for name, where in lines.items() if len(where) > 1}
    problems += [_duplicate(name, where, file) for name, where in repeated.items()]
    once, twins = _without_twins([entry for entry in good if entry.enrollment.name not in repeated])
    problems += twins
    return ImagesFile(
        enrollments=once,
        problems=tuple(sorted(problems, key=_by_line)),
        warnings=tuple(sorted(warnings, key=_by_line)),
        names=frozenset(lines),
    )


def _has_range(enrollment: Enrollment) -> bool:
    """Whether the constraint is a range, where versions are picked by it."""
    if enrollment.constraint is None or enrollment.strategy is not SelectionStrategy.SEMVER:
        return True
    try:
        Range.parse(enrollment.constraint)
    except InvalidRange:
        return False
    return True


def _unknown_plugins(
    entry: MapNode, value: Mapping[str, Any], subject: Subject, plugins: PluginNames
) -> Iterator[ImageFactoryError]:
    """Yield an error for each plugin that an entry names, or leaves to the default, and that is not installed."""
    uses: list[tuple[str, tuple[Step, ...], Any]] = []
    source = value.get("source")
    if isinstance(source, Mapping):
        uses.append(("source", ("source", "provider"), source.get("provider", DEFAULT_PROVIDER)))
    updates = value.get("updates")
    for index, update in enumerate(updates if isinstance(updates, list) else ()):
        if isinstance(update, Mapping):
            uses.append(("source", ("updates", index, "provider"), update.get("provider")))
            uses.append(("file updater", ("updates", index, "type"), update.get("type")))
    for port, path, name in uses:
        installed = plugins.installed.get(port)
        if not isinstance(name, str) or installed is None or name in installed:
            continue
        if plugins.broken:
            hint = f"upgrade or reinstall what is broken: {'; '.join(plugins.broken)}"
        elif name in plugins.published.get(port, ()):
            hint = f"pip install 'image-factory[{name}]'"
        else:
            near = nearest(name, sorted(installed))
            meant = f"did you mean {near!r}? " if near else ""
            hint = f"{meant}installed: {', '.join(sorted(installed)) or 'none'} (image-factory plugins lists them)"
        message = f"no {port} plugin is called {shorten(name)}"
        unknown = replace(subject, error=UnknownPlugin)
        yield unknown.wrong(path, message, hint, _line_of(entry, path))


def _flatten(entry: MapNode) -> MapNode:
    """Take the nested shape too: `{name, enrollment: {source: …}}` (requirements, P3)."""
    nested = entry.entries.get("enrollment")
    if not isinstance(nested, MapNode):
        return entry
    own = {key: node for key, node in entry.entries.items() if key != "enrollment"}
    return MapNode(
        entry.line,
        {**nested.entries, **own},
        {**nested.key_lines, **{key: entry.key_lines[key] for key in own}},
        repeated=entry.repeated + nested.repeated,
    )


def _line_of(entry: MapNode, path: tuple[Step, ...]) -> int:
    return locate(entry, path)[1]


_UNSAFE = re.compile(r"\$\{\{|\$\{%|[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def _unsafe_texts(entry: MapNode) -> Iterator[tuple[Step, ...]]:
    """Yield where free fields, which no type checks, hold what could become an expression somewhere."""
    known = fields_of(Enrollment)
    for key, node in entry.entries.items():
        if key in _FREE or key not in known:
            for path, scalar in scalars(node, (key,)):
                if _UNSAFE.search(scalar.text):
                    yield path


def _not_an_entry(item: Node, number: int, file: str) -> InvalidEnrollment:
    shown = shorten(item.text) if isinstance(item, Scalar) else "a list"
    return InvalidEnrollment(
        f"entry {number}: {shown} stands where an image is meant",
        hint="write '- name: web', and its other fields below, indented like name",
        location=Location(file, item.line),
    )


def _duplicate(name: str, lines: list[int], file: str) -> InvalidEnrollment:
    listed = ", ".join(map(str, lines[:-1]))
    times = "twice" if len(lines) == 2 else f"{len(lines)} times"
    shown = name if name.isprintable() else shorten(name)
    return InvalidEnrollment(
        f"{shown}: enrolled {times}, in lines {listed} and {lines[-1]}",
        hint="give each image a name of its own, or remove all but one",
        location=Location(file, lines[-1]),
    )


def _without_twins(
    entries: list[EnrolledEntry],
) -> tuple[tuple[EnrolledEntry, ...], list[InvalidEnrollment]]:
    """Return the first entry of each image and what it is watched by, and an error for each further one."""
    first: dict[tuple[object, ...], EnrolledEntry] = {}
    problems = []
    for entry in entries:
        one = entry.enrollment
        tags = one.only_tag or (one.allow_tags, one.constraint)
        known = first.setdefault((one.image, tags), entry)
        if known is entry:
            continue
        shown = f"{one.image}:{one.only_tag}" if one.only_tag else str(one.image)
        problems.append(
            InvalidEnrollment(
                f"{one.name}: {shown} is enrolled already, as {known.enrollment.name} in line {known.line}",
                hint=f"remove one of the two, or have them differ in repository or tag; {one.name} is left out",
                location=entry.location,
            )
        )
    return tuple(first.values()), problems


def _by_line(problem: ImageFactoryError) -> int:
    return (problem.location.line or 0) if problem.location is not None else 0
