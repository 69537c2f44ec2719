"""Edits: another reference in the place of one, with nothing else of the file changed.

A reference without variables is replaced where it stands. One that comes from an ARG is changed at the
ARG's default, if exactly one default can give the new reference; every reference that uses this ARG then
changes with it. The edited text is read again before it is returned, so a wrong edit is an error, never a
result. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from image_factory.dockerfile.arguments import automatic_arguments
from image_factory.dockerfile.instructions import Argument, Outline
from image_factory.dockerfile.lines import Instruction
from image_factory.dockerfile.read import read_dockerfile
from image_factory.dockerfile.reading import BuildOptions, ImageReference, Reading, Role
from image_factory.dockerfile.text import Refusal, shown
from image_factory.dockerfile.words import Budget, expand
from image_factory.errors import UserError
from image_factory.oci.platform import DEFAULT_PLATFORM
from image_factory.oci.reference import Reference

_NO_OPTIONS = BuildOptions({})
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)(?::?-([^'\"$\\`{}]*))?\}|([A-Za-z_][A-Za-z0-9_]*))")
_MAX_DEPTH = 20
"""ARGs that may lie between a reference and the default to edit."""


def replace_reference(text: str, reference: ImageReference, new: str, options: BuildOptions = _NO_OPTIONS) -> str:
    """Return `text` with `new` in the place of one reference that `read_dockerfile(text, options)` gave.

    The text changes in one span. References that share the ARG whose default is edited change too.

    Raises:
        InvalidReference: `new` is not an image reference.
        UserError: the reference is not in the text, or it cannot be told what to edit.
    """
    wanted = Reference.parse(new)
    before = read_dockerfile(text, options)
    if reference.span is None or reference not in before.references:
        message = f"{shown(reference.written)} on line {reference.line} is not in the text by itself"
        raise UserError(message, hint="read the text again, and change build args and contexts where they are given")
    if "$" in reference.written and reference.role in (Role.FINAL, Role.STAGE):
        change = _through_arguments(text, reference, wanted.written, options)
    else:
        change = _Change(reference.span.start, reference.span.end, new)
    edited = text[: change.start] + _over_lines(text[change.start : change.end], change.new) + text[change.end :]
    _check(before, read_dockerfile(edited, options), reference, wanted, shared=change.shared)
    return edited


@dataclass(frozen=True, slots=True)
class _Change:
    start: int
    end: int
    new: str
    shared: bool = False
    """Whether other references may change with this one."""


def _over_lines(old: str, new: str) -> str:
    """Return `new` as it stands for `old`; where that goes over several lines, with as many lines.

    The escapes and line ends stay, and so do comments between; `new` goes on the last of the lines.
    """
    *lines, _ = old.split("\n")
    kept = []
    for number, line in enumerate(lines):
        if number and (not line.strip() or line.lstrip().startswith("#")):
            kept.append(line)
        else:
            kept.append(line[len(line.rstrip("\r \t")) - 1 :])
    return "".join(f"{line}\n" for line in kept) + new


# --- through ARGs ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of a word: literal text, or a variable with the span of a default that stands inside."""

    start: int
    end: int
    text: str
    name: str = ""
    default: tuple[int, int] | None = None


def _through_arguments(text: str, reference: ImageReference, new: str, options: BuildOptions) -> _Change:
    outline = Outline(text)
    head = next(
        (
            head
            for head in outline.stages
            if head.word and head.instruction.span(head.start, head.end) == reference.span
        ),
        None,
    )
    if head is None:
        raise _unclear(reference, "it does not stand in a FROM")
    platform = (options.platforms or (DEFAULT_PLATFORM,))[0]
    search = _Search(outline, options, automatic_arguments(platform, options.target or ""), reference)
    changes = search.changes(head.instruction, head.start, head.end, new, len(outline.arguments), 0)
    found = list(dict.fromkeys(changes))
    if not found:
        raise _unclear(reference, "no default of a single ARG gives the new reference")
    if len(found) > 1:
        raise _unclear(reference, "more than one default could be changed")
    return found[0]


def _unclear(reference: ImageReference, why: str) -> UserError:
    return UserError(
        f"cannot change {shown(reference.written)} on line {reference.line}: {why}",
        hint="change the ARG by hand, or write the reference out in FROM",
    )


class _Search:
    """Looks for the one default that, changed, makes a word mean something else."""

    def __init__(
        self, outline: Outline, options: BuildOptions, automatic: dict[str, str], reference: ImageReference
    ) -> None:
        self._outline = outline
        self._options = options
        self._automatic = automatic
        self._reference = reference

    def changes(self, where: Instruction, start: int, end: int, new: str, before: int, depth: int) -> list[_Change]:
        """Return the changes that make the word at `start` to `end` of an instruction mean `new`.

        Args:
            before: how many of the ARGs come before the word.
            depth: how many ARGs the search has come through.
        """
        if depth > _MAX_DEPTH:
            raise _unclear(self._reference, f"more than {_MAX_DEPTH} ARGs lie between")
        pieces = self._pieces(where.text, start, end)
        if pieces is None:
            raise _unclear(self._reference, f"{shown(where.text[start:end])} is more than text and variables")
        values = [piece.text if not piece.name else self._value(piece, before) for piece in pieces]
        found: list[_Change] = []
        variables = [number for number, piece in enumerate(pieces) if piece.name]
        if not variables:
            spans = where.span(start, end)
            low, high = self._inside_quotes(where.text, start, end)
            spans = where.span(low, high) if low < high else spans
            return [_Change(spans.start, spans.end, new, shared=True)]
        for number in variables:
            head, tail = "".join(values[:number]), "".join(values[number + 1 :])
            if len(head) + len(tail) > len(new) or not (new.startswith(head) and new.endswith(tail)):
                continue
            value = new[len(head) : len(new) - len(tail)]
            piece = pieces[number]
            if sum(other.name == piece.name for other in pieces) > 1 or value == values[number]:
                continue
            found += self._variable(where, piece, value, before, depth)
        return found

    def _variable(self, where: Instruction, piece: _Piece, value: str, before: int, depth: int) -> list[_Change]:
        argument = self._argument(piece.name, before)
        if piece.name in self._options.build_args:
            if argument is not None or piece.name in self._automatic:
                return []
        elif argument is not None and argument[0].value is not None:
            given, number = argument
            if self._value(piece, before) == self._resolved(given, number):
                return self.changes(given.instruction, given.start, given.end, value, number, depth + 1)
        elif argument is None and piece.name in self._automatic:
            return []
        if piece.default is None:
            return []
        span = where.span(*piece.default)
        return [_Change(span.start, span.end, value, shared=True)]

    def _argument(self, name: str, before: int) -> tuple[Argument, int] | None:
        """Return the ARG that gives a variable its value, with how many come before it."""
        for number in range(before - 1, -1, -1):
            argument = self._outline.arguments[number]
            if argument.name == name and argument.value is not None:
                return argument, number
        return None

    def _resolved(self, argument: Argument, number: int) -> str | None:
        return self._expanded(argument.value or "", number)

    def _value(self, piece: _Piece, before: int) -> str:
        return self._expanded(piece.text, before) or ""

    def _expanded(self, word: str, before: int) -> str | None:
        budget = Budget()
        values = {name: self._options.build_args.get(name, value) for name, value in self._automatic.items()}
        try:
            for argument in self._outline.arguments[:before]:
                if argument.name in self._options.build_args:
                    values[argument.name] = self._options.build_args[argument.name]
                elif argument.value is not None:
                    values[argument.name] = expand(argument.value, values, self._outline.escape, budget).text
            return expand(word, values, self._outline.escape, budget).text
        except Refusal:
            return None

    def _pieces(self, text: str, start: int, end: int) -> list[_Piece] | None:
        """Part a word into literals and variables; None where it is more than that."""
        start, end = self._inside_quotes(text, start, end)
        pieces: list[_Piece] = []
        at = start
        for found in _VARIABLE.finditer(text, start, end):
            if found.start() > at:
                pieces.append(_Piece(at, found.start(), text[at : found.start()]))
            name = found[1] or found[3]
            default = found.span(2) if found[2] is not None else None
            pieces.append(_Piece(found.start(), found.end(), found[0], name, default))
            at = found.end()
        if at < end:
            pieces.append(_Piece(at, end, text[at:end]))
        literal = "".join(piece.text for piece in pieces if not piece.name)
        if any(char in literal for char in "$'\"") or self._outline.escape in literal:
            return None
        return pieces

    @staticmethod
    def _inside_quotes(text: str, start: int, end: int) -> tuple[int, int]:
        quote = text[start : start + 1]
        if end - start >= 2 and quote in ('"', "'") and text[end - 1] == quote:
            inner = text[start + 1 : end - 1]
            if quote not in inner and not (quote == "'" and "$" in inner):
                return start + 1, end - 1
        return start, end


# --- the law -----------------------------------------------------------------------------------------


def _check(before: Reading, after: Reading, reference: ImageReference, wanted: Reference, *, shared: bool) -> None:
    """Raise a UserError unless the edit changed this reference, and, unless shared, nothing else."""
    why = ""
    if len(before.references) != len(after.references) or before.stages != after.stages:
        why = "the file would then mean something else"
    else:
        for old, new in zip(before.references, after.references, strict=True):
            if old == reference:
                if new.reference != wanted:
                    why = f"it would become {new.reference}"
            elif not shared and not _same(old, new):
                why = f"{shown(old.written)} on line {old.line} would change too"
    if len(before.diagnostics) != len(after.diagnostics):
        why = why or "the file would then have other diagnostics"
    if why:
        raise _unclear(reference, why)


def _same(old: ImageReference, new: ImageReference) -> bool:
    return replace(old, span=None) == replace(new, span=None)
