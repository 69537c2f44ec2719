"""The output as text: what stands around its charts, what it says by resource, and how it changes. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from image_factory_synth.differences import Difference

HEADER = "# Written by image-factory synth from images.yaml and state/. The next run undoes what is changed here.\n"
BREAK = "---\n"
"""What stands between two charts of the output."""


@dataclass(frozen=True, slots=True)
class Texts:
    """The output before and after a run."""

    output: Path
    before: str | bytes | None = field(repr=False)
    """None where there was none. Of ten thousand images, to make text of bytes takes a while."""
    after: str | bytes = field(repr=False)
    changed: tuple[str, ...]
    """Resources that stand in both and differ."""

    @property
    def old(self) -> str | None:
        """The text before; None where there was none."""
        return None if self.before is None else _text(self.before)

    @property
    def new(self) -> str:
        """The text after."""
        return _text(self.after)

    def diff(self) -> str:
        """Return what changes in the file as a unified diff; empty where nothing does."""
        import difflib

        name = self.output.name
        old = (self.old or "").splitlines(keepends=True)
        before = name if self.before is not None else "/dev/null"
        return "".join(difflib.unified_diff(old, self.new.splitlines(keepends=True), before, name))

    def differences(self) -> dict[str, tuple[Difference, ...]]:
        """Return the fields that change, by resource."""
        from image_factory_synth.differences import differences

        before, after = resources_of(self.old or ""), resources_of(self.new)
        return {key: differences(before[key], after[key]) for key in self.changed}


def _text(content: str | bytes) -> str:
    return content if isinstance(content, str) else content.decode()


def resources_of(text: str) -> dict[str, str]:
    """Return the documents of an output by kind and name; a document of neither stands by itself."""
    found: dict[str, str] = {}
    for number, part in enumerate(text.split(f"\n{BREAK}") if text else ()):
        kind = name = ""
        for line in part.splitlines():
            if line.startswith("kind: "):
                kind = line.removeprefix("kind: ")
            elif line.startswith("  name: ") and not name:
                name = line.removeprefix("  name: ").strip("\"'")
        found[f"{kind}/{name}" if kind and name else f"document {number + 1}"] = part.rstrip("\n")
    return found
