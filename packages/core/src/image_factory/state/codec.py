"""Records as the text of state files, and back. Pure.

A file is flat: the fields of configuration, runtime and history stand together in the order of
`state.order`, each group under its comment. A field at its default is left out; `name`,
`discoveryStatus`, `enrollment` and a managed image's `baseImages` always stand there. Of the
enrollment's defaults those are written that people look for. An unchanged record keeps its text
byte for byte; a changed one changes only the fields that differ (`state.edit`). Keys that are no
field of ours are kept. YAML's library is imported only where one is written, or read that is not as we write it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from image_factory.errors import InvalidState, Location
from image_factory.model.enrollment import Enrollment, Kind
from image_factory.model.field_types import BY_HAND
from image_factory.model.image_state import (
    BaseConfiguration,
    BaseHistory,
    BaseRuntime,
    BaseState,
    DigestUpdate,
    ImageConfiguration,
    ImageHistory,
    ImageRuntime,
    ImageState,
)
from image_factory.state.migrate import VERSION_KEY, migrate
from image_factory.state.order import BASE_SECTIONS, IMAGE_SECTIONS, UNKNOWN_SECTION, Section
from image_factory.state.own_yaml import parse_mapping

State = TypeVar("State", ImageState, BaseState)
M = TypeVar("M", bound=BaseModel)

IMAGE_PARTS: Mapping[str, type[BaseModel]] = {
    "configuration": ImageConfiguration,
    "runtime": ImageRuntime,
    "history": ImageHistory,
}
BASE_PARTS: Mapping[str, type[BaseModel]] = {
    "configuration": BaseConfiguration,
    "runtime": BaseRuntime,
    "history": BaseHistory,
}


def _keys(model: type[BaseModel]) -> tuple[str, ...]:
    return tuple(field.alias or name for name, field in model.model_fields.items())


_IMAGE_KEYS = {part: _keys(model) for part, model in IMAGE_PARTS.items()}
_BASE_KEYS = {part: _keys(model) for part, model in BASE_PARTS.items()}
_ENROLLMENT_KEYS = _keys(Enrollment)
# A flat file's `metadata` and `verification` are what was observed, not what was asked for.
_OBSERVED = frozenset(_IMAGE_KEYS["runtime"])
_SHOWN_ENROLLMENT = frozenset({"name", "registry", "repository"})
_SHOWN_MANAGED = frozenset({*_SHOWN_ENROLLMENT, "source", "rebuildDelay", "autoRebuild"})
_SHOWN_SOURCE = frozenset({"provider", "repo", "branch", "dockerfile"})
_HINT = "correct the field, or delete the file and run `image-factory analyze --all` to rebuild it"
_SHOWN_ERRORS = 3


# --- record to text ----------------------------------------------------------------------------------


def dump_image(record: ImageState) -> str:
    """Return the text of a fresh file for `record`."""
    return _fresh(image_values(record), IMAGE_SECTIONS)


def dump_base(record: BaseState) -> str:
    """Return the text of a fresh file for `record`."""
    return _fresh(base_values(record), BASE_SECTIONS)


def dump(record: ImageState | BaseState) -> str:
    """Return the text of a fresh file for `record`."""
    return dump_image(record) if isinstance(record, ImageState) else dump_base(record)


def update_text(old_text: str, record: ImageState | BaseState, source: str = "") -> str:
    """Return the text of a file that held something and shall hold `record`.

    The very same text where it holds it already. Otherwise the fields that differ are rewritten in
    place, and comments, unknown keys and everything else stay as they are.

    Raises:
        InvalidState: `old_text` is no record.
        UnsupportedVersion: a newer program wrote `old_text`.
    """
    if isinstance(record, ImageState):
        return update_values(
            old_text, image_values(record), IMAGE_SECTIONS, lambda text: image_values(read_image(text, source))
        )
    return update_values(
        old_text, base_values(record), BASE_SECTIONS, lambda text: base_values(read_base(text, source))
    )


def update_values(
    old_text: str | None, new: dict[str, Any], sections: tuple[Section, ...], read: Callable[[str], dict[str, Any]]
) -> str:
    """Return `old_text` changed to say `new`, or a fresh text where there is none; the same text where it says so.

    Args:
        read: what a text says, as plain values.
    """
    if old_text is None:
        return _fresh(new, sections)
    old = read(old_text)
    if is_same(old, new):
        return old_text
    fresh = _fresh(new, sections)
    if old_text == _fresh(old, sections):
        return fresh
    from image_factory.state.edit import edit_text

    # Aliases may make an edit say something else, and some comments have no place any more: what is
    # said comes before how.
    for keep in (True, False):
        edited = edit_text(old_text, old, new, sections, is_same, keep_inner_comments=keep)
        if edited is not None and _says(edited, new, read):
            return edited
    return fresh


def _says(text: str, values: dict[str, Any], read: Callable[[str], dict[str, Any]]) -> bool:
    try:
        return is_same(read(text), values)
    except InvalidState:
        return False


def _fresh(values: Mapping[str, Any], sections: tuple[Section, ...]) -> str:
    from image_factory.state.edit import comment_text
    from image_factory.state.yaml_writer import write_mapping

    blocks = []
    left = dict(values)
    for section in sections:
        found = {key: left.pop(key) for key in section.keys if key in left}
        if found:
            blocks.append(comment_text(section) + write_mapping(found))
    if left:
        blocks.append(comment_text(UNKNOWN_SECTION) + write_mapping(left))
    return "\n".join(blocks)


def image_values(record: ImageState) -> dict[str, Any]:
    """Return what a file of `record` says, as plain values in the file's order."""
    configuration = record.configuration
    values = _dumped(configuration, record.runtime, record.history)
    values["enrollment"] = _enrollment_values(configuration.enrollment)
    values["discoveryStatus"] = record.runtime.discovery_status.value
    if record.kind is Kind.MANAGED:
        values["baseImages"] = list(configuration.base_images)
    return _ordered(values, IMAGE_SECTIONS, record.unknown)


def base_values(record: BaseState) -> dict[str, Any]:
    """Return what a file of `record` says, as plain values in the file's order."""
    values = _dumped(record.configuration, record.runtime, record.history)
    return _ordered(values, BASE_SECTIONS, record.unknown)


def _dumped(*parts: BaseModel) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for part in parts:
        values.update(part.model_dump(mode="json", by_alias=True, exclude_defaults=True))
        if "updateHistory" in values and isinstance(part, (ImageHistory, BaseHistory)):
            values["updateHistory"] = [_entry(update) for update in part.update_history]
    return values


def _entry(update: DigestUpdate) -> dict[str, Any]:
    """Return an entry whole, since other programs read who saw the move; platforms only where they are known."""
    values = update.model_dump(mode="json", by_alias=True)
    return values if update.platforms is not None else {key: item for key, item in values.items() if key != "platforms"}


def _ordered(values: Mapping[str, Any], sections: tuple[Section, ...], unknown: Mapping[str, Any]) -> dict[str, Any]:
    ordered = {key: values[key] for section in sections for key in section.keys if key in values}
    ordered.update((key, value) for key, value in unknown.items() if key not in ordered)
    return ordered


def _enrollment_values(enrollment: Enrollment) -> dict[str, Any]:
    full = enrollment.model_dump(mode="json", by_alias=True)
    slim = enrollment.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    shown = _SHOWN_MANAGED if enrollment.kind is Kind.MANAGED else _SHOWN_ENROLLMENT
    values = _pick(full, slim, shown)
    if enrollment.source is not None:
        values["source"] = _pick(full["source"], slim["source"], _SHOWN_SOURCE)
    return values


def _pick(full: Mapping[str, Any], slim: Mapping[str, Any], shown: frozenset[str]) -> dict[str, Any]:
    return {key: slim.get(key, value) for key, value in full.items() if key in slim or key in shown}


def is_same(left: object, right: object) -> bool:
    """Whether two plain values are written alike: `1`, `1.0` and `true` are not."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(is_same(value, right[key]) for key, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(is_same, left, right))
    return left == right


# --- text to record ------------------------------------------------------------------------------------


def read_image(text: str, source: str) -> ImageState:
    """Return the record that a file of state/images holds.

    Args:
        text: the file, decoded.
        source: the file's name, for errors.

    Raises:
        InvalidState: not YAML or not such a record; with the line, the field and what would be right.
        UnsupportedVersion: a newer program wrote it.
    """
    return _located(load_image, text, source)


def read_base(text: str, source: str) -> BaseState:
    """Return the record that a file of state/base-images holds; raises what `read_image` raises."""
    return _located(load_base, text, source)


def _located(load: Callable[[Mapping[str, Any], str], State], text: str, source: str) -> State:
    data = parse_mapping(text, source)
    try:
        return load(data, source)
    except InvalidState as error:
        from image_factory.state.yaml_reader import line_of

        if isinstance(error, InvalidField):
            raise error.at(line_of(text, error.path, source)) from error
        if error.location is None or error.location.line is None:
            error.location = Location(source, line_of(text, (VERSION_KEY,), source))
        raise


class InvalidField(InvalidState):
    """A field of a state file is wrong.

    Args:
        path: the keys and indexes that lead to it.
    """

    def __init__(self, message: str, path: tuple[str | int, ...], source: str, line: int | None = None) -> None:
        super().__init__(message, hint=_HINT, location=Location(source, line))
        self.path = path
        self.source = source

    def at(self, line: int) -> InvalidField:
        """Return the same error with its line."""
        return InvalidField(self.message, self.path, self.source, line)


def load_image(data: Mapping[str, Any], source: str) -> ImageState:
    """Return the record that a file's values hold, in both shapes: flat, and with `enrollment`.

    Raises:
        InvalidState: a field is wrong (an `InvalidField`, with its path).
        UnsupportedVersion: a newer program wrote them.
    """
    values = migrate(data, source)
    is_flat = "enrollment" not in values
    if is_flat:
        enrollment = {key: values[key] for key in _ENROLLMENT_KEYS if key in values and key not in _OBSERVED}
        known = {key for keys in _IMAGE_KEYS.values() for key in keys}
        values = {key: value for key, value in values.items() if key in known or key not in enrollment}
        values["enrollment"] = enrollment
    elif isinstance(values["enrollment"], dict) and "name" not in values["enrollment"] and "name" in values:
        values["enrollment"] = {"name": values["name"], **values["enrollment"]}
    record = _loaded(ImageState, values, _IMAGE_KEYS, source, is_flat=is_flat)
    if record.configuration.enrollment.name != record.name:
        raise InvalidField(
            f"enrollment.name is {record.configuration.enrollment.name!r}, and the file's name is {record.name[:80]!r}",
            ("enrollment", "name"),
            source,
        )
    return record


def load_base(data: Mapping[str, Any], source: str) -> BaseState:
    """Return the record that a file's values hold; raises what `load_image` raises."""
    return _loaded(BaseState, migrate(data, source), _BASE_KEYS, source)


def _loaded(
    model: type[M],
    values: Mapping[str, Any],
    keys: Mapping[str, tuple[str, ...]],
    source: str,
    *,
    is_flat: bool = False,
) -> M:
    nested: dict[str, Any] = {
        part: {key: values[key] for key in names if key in values} for part, names in keys.items()
    }
    known = {key for names in keys.values() for key in names}
    nested["unknown"] = {key: value for key, value in values.items() if key not in known}
    # A key left empty means what a key left out means.
    for part in keys:
        nested[part] = {key: value for key, value in nested[part].items() if value is not None}
    for _ in range(_SHOWN_ERRORS):
        try:
            return model.model_validate(nested, context=BY_HAND)
        except ValidationError as error:
            if not _written_as_text(nested, error):
                raise _invalid_field(error, source, is_flat=is_flat) from error
    return model.model_validate(nested, context=BY_HAND)


def _written_as_text(nested: dict[str, Any], error: ValidationError) -> bool:
    """Make texts of numbers where texts belong, such as `tag: 22`; whether there were any.

    The reader takes for a number only what has one spelling, so nothing is lost.
    """
    found = False
    for problem in error.errors(include_url=False, include_context=False):
        value = problem["input"]
        if problem["type"] != "string_type" or isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        holder: Any = nested
        for step in problem["loc"][:-1]:
            holder = holder[step]
        holder[problem["loc"][-1]] = str(value)
        found = True
    return found


def _invalid_field(error: ValidationError, source: str, *, is_flat: bool) -> InvalidField:
    # Not needed, and not imported, where nothing is wrong.
    from image_factory.state.field_problems import describe_value, format_path

    problems = error.errors(include_url=False)
    paths = [_path_in_file(problem["loc"], is_flat=is_flat) for problem in problems]
    told = []
    for problem, path in zip(problems[:_SHOWN_ERRORS], paths, strict=False):
        message, right = describe_value(problem, path)
        told.append(f"{format_path(path)}: {message}; {right}")
    if len(problems) > _SHOWN_ERRORS:
        told.append(f"{len(problems) - _SHOWN_ERRORS} more")
    return InvalidField("; also ".join(told), paths[0], source)


def _path_in_file(path: tuple[str | int, ...], *, is_flat: bool) -> tuple[str | int, ...]:
    """Return where a person finds the field that stands at `path` in the record's parts."""
    steps = tuple(step for step in path[1:] if step != "[key]")
    return steps[1:] if is_flat and steps[:1] == ("enrollment",) and len(steps) > 1 else steps
