"""Every error that the code raises says what to do next: in a hint of its own, or in its class's."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from image_factory import errors
from image_factory.errors import ImageFactoryError

ROOT = Path(__file__).resolve().parents[2]


def hintless(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and class of each error that is made without a hint."""
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            continue
        made = getattr(errors, node.func.id, None)
        if not (isinstance(made, type) and issubclass(made, ImageFactoryError)) or made is errors.DependencyCycle:
            continue
        # `**fields` may hold one.
        if not made.usual_hint and not any(word.arg in ("hint", None) for word in node.keywords):
            yield node.lineno, node.func.id


def test_every_error_says_what_to_do_next() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {name} without a hint"
        for path in sorted(ROOT.glob("p*/*/src/**/*.py"))
        if "testing" not in path.parts
        for line, name in hintless(path.read_text(encoding="utf-8"))
    ]

    assert found == []


def test_an_error_without_a_hint_is_found() -> None:
    assert list(hintless('raise UserError("no")\n')) == [(1, "UserError")]
    assert list(hintless('raise UserError("no", hint="yes")\nraise ProtocolError("no")\n')) == []
    assert errors.ProtocolError("no").hint == errors.ProtocolError.usual_hint
