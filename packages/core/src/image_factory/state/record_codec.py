"""Requests and holds as the text of their files, and back. Pure.

These files are flat and small: one record, its fields in the order of `state.order`. Unknown keys and
comments that people add are kept; an unchanged record keeps its text byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from image_factory.errors import InvalidState, Location
from image_factory.model.enrollment import Record
from image_factory.model.hold import Hold
from image_factory.model.image_state import BaseState, ImageState
from image_factory.model.request import RebuildRequest
from image_factory.state.codec import dump, update_text, update_values
from image_factory.state.field_problems import Subject, check_record
from image_factory.state.order import HOLD_SECTIONS, REQUEST_SECTIONS, Section
from image_factory.state.yaml_parser import parse_tree
from image_factory.state.yaml_tree import MapNode

FlatRecord = TypeVar("FlatRecord", bound=Record)

SECTIONS: Mapping[type[Record], tuple[Section, ...]] = {RebuildRequest: REQUEST_SECTIONS, Hold: HOLD_SECTIONS}


def read_record(text: str, source: str, model: type[FlatRecord]) -> FlatRecord:
    """Return the record that a file holds.

    Args:
        source: the file's name, for errors.

    Raises:
        InvalidState: not YAML or not such a record; with the line, the field and what would be right.
    """
    root = parse_tree(text, source, InvalidState)
    if not isinstance(root, MapNode):
        raise InvalidState(
            "this file holds no record", hint="remove it: it is written anew", location=Location(source, 1)
        )
    record, problems = check_record(model, root, Subject("", source, InvalidState))
    if record is None:
        raise problems[0]
    return record


def dump_record(record: Record) -> str:
    """Return the text of a fresh file for `record`."""
    return update_values(None, record_values(record), SECTIONS[type(record)], _nothing)


def _nothing(_: str) -> dict[str, Any]:
    return {}


def update_record(old_text: str, record: Record, source: str = "") -> str:
    """Return the text of a file that held something and shall hold `record`; the same where it does.

    Raises:
        InvalidState: `old_text` is no such record.
    """
    sections = SECTIONS[type(record)]
    return update_values(
        old_text,
        record_values(record),
        sections,
        lambda text: record_values(read_record(text, source, type(record))),
    )


def record_values(record: Record) -> dict[str, Any]:
    """Return what a file of `record` says, as plain values in the file's order, without what is empty."""
    values = record.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    order = [key for section in SECTIONS[type(record)] for key in section.keys]
    if "status" in order:
        values["status"] = getattr(record, "status").value  # noqa: B009 - of a request, whatever it is
    known = {key: values[key] for key in order if key in values}
    return {**known, **{key: value for key, value in values.items() if key not in known}}


def dump_any(record: ImageState | BaseState | RebuildRequest | Hold) -> str:
    """Return the text of a fresh file for a record of any kind."""
    return dump(record) if isinstance(record, (ImageState, BaseState)) else dump_record(record)


def update_any(old_text: str, record: ImageState | BaseState | RebuildRequest | Hold, source: str = "") -> str:
    """Return the text of a file that held something and shall hold `record`, of any kind; raises InvalidState."""
    if isinstance(record, (ImageState, BaseState)):
        return update_text(old_text, record, source)
    return update_record(old_text, record, source)
