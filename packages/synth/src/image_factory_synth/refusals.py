"""Where what Kargo would refuse was written: the field of images.yaml, with its line. Pure.

A refusal names a field of Kargo's and shows the value. The value comes from one field of an enrollment,
whole or as a part, and that is the field which its owner can put right.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping

from image_factory.errors import ImageFactoryError, InvalidEnrollment, Location, UserError
from image_factory.state.field_problems import format_path, locate
from image_factory.state.yaml_parser import parse_tree
from image_factory.state.yaml_tree import ListNode, MapNode, Scalar, scalars
from image_factory.usecases.outcome import Failed
from image_factory_synth.fields import RefusedByKargo

_WRITTEN_AS: Mapping[str, tuple[str, ...]] = {
    "repoURL": ("repository",),
    "allowTags": ("allowTags",),
    "allowTagsRegexes": ("allowTags",),
    "constraint": ("constraint", "tag"),
    "imageSelectionStrategy": ("imageSelectionStrategy",),
}
"""What most often makes one of Kargo's fields; asked where no field holds the value that is shown."""
_CUT = 80
"""Characters from which on a value is shown without its end."""
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")


class Entries:
    """The entries of one images.yaml, by name."""

    def __init__(self, text: str, file: str) -> None:
        self._file = file
        self._entries: dict[str, MapNode] = {}
        root = parse_tree(text, file, InvalidEnrollment)
        for item in root.items if isinstance(root, ListNode) else ():
            name = item.entries.get("name") if isinstance(item, MapNode) else None
            if isinstance(item, MapNode) and isinstance(name, Scalar) and isinstance(name.value, str):
                self._entries.setdefault(name.value, item)

    def place(self, failed: Failed) -> Failed:
        """Return the failure with the field and the line that it comes from; as it is where no entry is to blame."""
        entry = self._entries.get(failed.item)
        error = failed.error
        if entry is None or error.location is not None:
            return failed
        field = error.field if isinstance(error, RefusedByKargo) else ""
        message = error.message.removeprefix(f"{failed.item}: ").removeprefix(f"{field}: ")
        path = _written_at(entry, field, message)
        line = locate(entry, path)[1]
        told = f"{failed.item}: {format_path(path)}: {message}" if path else f"{failed.item}: {message}"
        location = Location(self._file, line)
        if isinstance(error, RefusedByKargo):
            placed: ImageFactoryError = RefusedByKargo(told, field=field, hint=error.hint)
            placed.location = location
        elif isinstance(error, UserError):
            placed = type(error)(told, hint=error.hint, location=location)
        else:
            return failed
        return Failed(failed.item, placed)


def _written_at(entry: MapNode, field: str, message: str) -> tuple[str | int, ...]:
    """Return the field that holds most of a value that the message shows; the usual one where none does."""
    shown = [_unquoted(text) for text in _QUOTED.findall(message)]
    # A URL with a scheme is never an image's.
    usual = [] if any("://" in part for part in shown) else [(key,) for key in _WRITTEN_AS.get(field, ())]
    paths = [(path, scalar) for path, scalar in scalars(entry) if path != ("name",) and scalar.value is not None]
    holding = [path for path, scalar in paths if any(_holds(part, str(scalar.value)) for part in shown)]
    longest = sorted(holding, key=lambda path: -len(str(dict(paths)[path].value)))
    return next((path for path in usual if path in holding), None) or next(
        iter(longest), next((path for path in usual if path[0] in entry.entries), ())
    )


def _holds(shown: str, text: str) -> bool:
    """Whether a value that is shown, perhaps without its end, was made with this text."""
    return bool(text) and (text in shown or (len(shown) >= _CUT and text.startswith(shown)))


def _unquoted(text: str) -> str:
    try:
        return str(ast.literal_eval(text))
    except (ValueError, SyntaxError):
        return text[1:-1]
