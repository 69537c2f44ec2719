"""images.yaml as text: read into enrollments with their lines, and edited with its comments kept.

Every problem is found in one reading, and one bad entry costs no other. What an entry may hold is
said by `image_factory.model.enrollment`. Pure: text in, values or text out.
"""

from __future__ import annotations

from dataclasses import dataclass

from image_factory.errors import ImageFactoryError, InvalidEnrollment, Location
from image_factory.model.enrollment import Enrollment, find_broken_rules, find_idle_keys
from image_factory.state.field_problems import Subject, check_record, find_unknown_keys, shorten
from image_factory.state.yaml_tree import ListNode, MapNode, Node, Scalar, parse_tree, to_value


@dataclass(frozen=True, slots=True)
class EnrolledEntry:
    """One good entry: the enrollment, and where it stands."""

    enrollment: Enrollment
    location: Location

    @property
    def line(self) -> int:
        return self.location.line or 1


@dataclass(frozen=True, slots=True)
class ImagesFile:
    """What one images.yaml says."""

    enrollments: tuple[EnrolledEntry, ...] = ()
    """The good entries, in the order of the file. Of a name that stands twice, none."""
    problems: tuple[ImageFactoryError, ...] = ()
    """Everything that is wrong, each with its line."""
    warnings: tuple[ImageFactoryError, ...] = ()
    """What is probably not meant, such as a misspelt key; the entries are good all the same."""
    names: frozenset[str] = frozenset()
    """Every name that is written, bad entries' included: a name here is not gone from the file."""


def read_images(text: str, file: str) -> ImagesFile:
    """Return all that `text` says. It raises nothing: what is wrong is in `problems`.

    Args:
        file: how messages name the file.
    """
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
    return _read_entries(root, file)


def _read_entries(root: ListNode, file: str) -> ImagesFile:
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
        label = written if isinstance(written, str) and written.isprintable() else f"entry {number}"
        subject = Subject(label if len(label) <= 80 else f"{label[:80]}…", file, InvalidEnrollment)
        if isinstance(written, str):
            lines.setdefault(written, []).append(entry.line)
        enrollment, wrong = check_record(Enrollment, entry, subject)
        value = to_value(entry)
        broken = [
            subject.wrong(rule.path, rule.problem, rule.hint, _line_of(entry, rule.path))
            for rule in find_broken_rules(value)
        ]
        problems += wrong + broken
        warnings += find_unknown_keys(Enrollment, entry, subject)
        warnings += [
            subject.wrong(idle.path, idle.problem, idle.hint, _line_of(entry, idle.path))
            for idle in find_idle_keys(value)
        ]
        if enrollment is not None and not broken:
            good.append(EnrolledEntry(enrollment, Location(file, entry.line)))
    repeated = {name: where for name, where in lines.items() if len(where) > 1}
    problems += [_duplicate(name, where, file) for name, where in repeated.items()]
    return ImagesFile(
        enrollments=tuple(entry for entry in good if entry.enrollment.name not in repeated),
        problems=tuple(sorted(problems, key=_by_line)),
        warnings=tuple(sorted(warnings, key=_by_line)),
        names=frozenset(lines),
    )


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


def _line_of(entry: MapNode, path: tuple[str, ...]) -> int:
    line = entry.line
    node: Node = entry
    for step in path:
        if not isinstance(node, MapNode) or step not in node.entries:
            break
        line = node.key_lines[step]
        node = node.entries[step]
    return line


def _not_an_entry(item: Node, number: int, file: str) -> InvalidEnrollment:
    shown = shorten(item.text) if isinstance(item, Scalar) else "a list"
    return InvalidEnrollment(
        f"entry {number}: {shown} stands where an image is meant",
        hint="write '- name: web', and its other fields below, indented like name",
        location=Location(file, item.line),
    )


def _duplicate(name: str, lines: list[int], file: str) -> InvalidEnrollment:
    listed = ", ".join(map(str, lines[:-1]))
    return InvalidEnrollment(
        f"{name}: enrolled {'twice' if len(lines) == 2 else f'{len(lines)} times'}, in lines {listed} and {lines[-1]}",
        hint="give each image a name of its own, or remove all but one",
        location=Location(file, lines[-1]),
    )


def _by_line(problem: ImageFactoryError) -> int:
    return (problem.location.line or 0) if problem.location is not None else 0
