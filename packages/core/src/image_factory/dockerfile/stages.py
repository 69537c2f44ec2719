"""Stages: what each FROM, COPY and mount means for one target platform, and what the target reaches.

As frontend/dockerfile/dockerfile2llb/convert.go resolves them. Pure; time is linear in the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from image_factory.dockerfile.arguments import Variables, automatic_arguments, read_platform
from image_factory.dockerfile.instructions import SCRATCH, Outline, Source, StageHead, is_template
from image_factory.dockerfile.lines import Instruction
from image_factory.dockerfile.reading import BuildOptions, Category, Role, Span
from image_factory.dockerfile.text import Refusal, shown
from image_factory.dockerfile.words import Budget, expand
from image_factory.errors import InvalidReference
from image_factory.oci.platform import Platform
from image_factory.oci.reference import DEFAULT_TAG, Reference

_INDEX = re.compile(r"[+-]?[0-9]{1,18}\Z", re.ASCII)
_IMAGE_CONTEXT = "docker-image:"


class Pull:
    """One image that a build for one platform would pull, at its site."""

    __slots__ = ("instruction", "platform", "reachable", "reference", "role", "span", "stage", "written")

    def __init__(
        self,
        written: str,
        reference: Reference,
        role: Role,
        instruction: Instruction,
        stage: int,
        platform: Platform,
        span: Span | None,
    ) -> None:
        self.written = written
        self.reference = reference
        self.role = role
        self.instruction = instruction
        self.stage = stage
        self.platform = platform
        self.span = span
        self.reachable = False


class Contexts:
    """The named contexts of a build, by the names that BuildKit looks them up with."""

    __slots__ = ("_named",)

    def __init__(self, given: Mapping[str, str] | None) -> None:
        self._named: dict[str, str] = {}
        for name, value in (given or {}).items():
            key = _context_name(name)
            if key is not None:
                self._named[key] = value

    def __bool__(self) -> bool:
        return bool(self._named)

    def get(self, name: str) -> str | None:
        """Return the context that stands in for a stage or an image of that name, or None."""
        key = _context_name(name)
        return None if key is None else self._named.get(key)


def _context_name(name: str) -> str | None:
    if name.lower() in (SCRATCH, "context"):
        return None
    try:
        reference = Reference.parse(name)
    except InvalidReference:
        return None
    text = reference.repository.familiar
    if reference.tag is not None and (reference.tag != DEFAULT_TAG or reference.digest is not None):
        text += f":{reference.tag}"
    return text if reference.digest is None else f"{text}@{reference.digest}"


class Resolution:
    """What the file means for one platform: the images, each stage's parent, and what is reached."""

    __slots__ = (
        "_contexts",
        "_names",
        "_outline",
        "_platform",
        "_variables",
        "findings",
        "parents",
        "pulls",
        "reached",
    )

    def __init__(self, outline: Outline, options: BuildOptions, platform: Platform, contexts: Contexts) -> None:
        self._outline = outline
        self._platform = platform
        self._contexts = contexts
        heads = outline.stages
        target = options.target or (heads[-1].name if heads else "")
        self._variables = Variables(
            outline.arguments, options.build_args, automatic_arguments(platform, target), outline.escape
        )
        self.findings = self._variables.findings
        self.pulls: list[Pull] = []
        self.parents: list[int | None] = []
        self._names: dict[str, int] = {}
        roots: list[Pull | None] = []
        for index, head in enumerate(heads):
            parent, pull = self._stage(index, head) if head.word else (None, None)
            self.parents.append(parent)
            roots.append(pull)
            if pull is not None:
                self.pulls.append(pull)
            if head.name:
                self._names[head.name] = index
        built = self._target(options.target)
        self.reached = self._sources(built)
        if built is not None:
            root = built
            while (parent := self.parents[root]) is not None:
                root = parent
            if (pull := roots[root]) is not None:
                pull.role = Role.FINAL
        for pull in roots:
            if pull is not None:
                pull.reachable = self.reached[pull.stage]

    def _target(self, target: str | None) -> int | None:
        if not target:
            return len(self.parents) - 1 if self.parents else None
        built = self._names.get(target.lower())
        if built is None and self.parents:
            self.findings.add(1, f"no stage is named {shown(target)}, so nothing is built")
        return built

    # --- FROM ------------------------------------------------------------------------------------

    def _stage(self, index: int, head: StageHead) -> tuple[int | None, Pull | None]:
        """Return the stage that a FROM continues, or the image that it starts from."""
        instruction = head.instruction
        line = instruction.line
        expanded = self._variables.expand(head.word, line)
        if expanded is None:
            return None, None
        name, missing, empty = expanded
        platform = self._platform
        if head.platform is not None:
            asked = self._stage_platform(head.platform, line)
            if asked is None:
                return None, None
            platform = asked
        span: Span | None = instruction.span(head.start, head.end)
        context = self._contexts.get(head.name) if head.name and self._contexts else None
        if context is None:
            if name in self._names:
                return self._names[name], None
            if name == SCRATCH:
                return None, None
        reference = self._reference(name, head.word, line, missing=missing, empty=empty)
        if reference is None:
            return None, None
        if self._contexts:
            if context is None:
                context = self._contexts.get(name)
            if context is not None:
                reference = self._from_context(context, line)
                span = None
                if reference is None:
                    return None, None
        return None, Pull(head.word, reference, Role.STAGE, instruction, index, platform, span)

    def _stage_platform(self, word: str, line: int) -> Platform | None:
        expanded = self._variables.expand(word, line)
        if expanded is None:
            return None
        text, missing, empty = expanded
        platform = read_platform(text)
        if platform is None and not missing:
            category = Category.UNRESOLVED_ARG if empty else Category.SYNTAX
            if is_template(word):
                category = Category.TEMPLATE
            self.findings.add(line, f"not a platform: {shown(text or word)}", category)
        return platform

    def _reference(
        self, text: str, word: str, line: int, *, missing: bool = False, empty: bool = False
    ) -> Reference | None:
        """Return the reference that a text is; where it is none, a diagnostic says why, once."""
        try:
            return Reference.parse(text)
        except InvalidReference as error:
            if is_template(word) or is_template(text):
                self.findings.add(line, f"a template stands for the image: {shown(word)}", Category.TEMPLATE)
            elif empty and not missing:
                message = f"an empty variable leaves {shown(text)} of {shown(word)}"
                self.findings.add(line, message, Category.UNRESOLVED_ARG)
            elif not missing:
                self.findings.add(line, error.message, Category.INVALID_REFERENCE)
            return None

    def _from_context(self, context: str, line: int) -> Reference | None:
        """Return the image that a named context is, or None where it is another thing."""
        if not context.startswith(_IMAGE_CONTEXT):
            return None
        text = context.removeprefix(_IMAGE_CONTEXT).removeprefix("//")
        return None if text == SCRATCH else self._reference(text, text, line)

    # --- COPY, mounts and what is reached ----------------------------------------------------------

    def _sources(self, built: int | None) -> list[bool]:
        """Resolve all sources, and return for each stage whether the built one needs it."""
        count = len(self.parents)
        needs: dict[int, list[int]] = {}
        pulls: list[tuple[Source, Pull]] = []
        images: list[Pull | None] = []
        again: list[tuple[int, Pull]] = []
        late: list[tuple[int, int, Source]] = []
        children = self._children()
        for source in self._outline.sources:
            users = children.get(source.stage, ()) if source.triggered else (source.stage,)
            stage = self._source_stage(source, len(images))
            if stage is None:
                pull = None if source.word == SCRATCH else self._source_image(source)
                if pull is not None:
                    pulls.append((source, pull))
                if not source.triggered:
                    images.append(pull)
                continue
            if stage >= count:
                # BuildKit numbers the images of COPY and mounts after the stages, so an index can mean one.
                pull = images[stage - count]
                if pull is not None:
                    again += [(user, pull) for user in users]
                continue
            for user in users:
                if 0 <= stage < user or source.implicit:
                    needs.setdefault(user, []).append(stage)
                if stage >= user:
                    late.append((user, stage, source))
        reached = [False] * count
        waiting = [] if built is None else [built]
        while waiting:
            index = waiting.pop()
            if reached[index]:
                continue
            reached[index] = True
            parent = self.parents[index]
            if parent is not None:
                waiting.append(parent)
            waiting += needs.get(index, ())
        for source, pull in pulls:
            users = children.get(source.stage, ()) if source.triggered else (source.stage,)
            pull.reachable = any(reached[user] for user in users)
            # What BuildKit checks while it builds a stage, it does not check in one that it does not build.
            if source.refusal is None or not pull.reachable:
                self.pulls.append(pull)
        for user, pull in again:
            pull.reachable = pull.reachable or reached[user]
        for source in self._outline.sources:
            if source.refusal is not None:
                users = children.get(source.stage, ()) if source.triggered else (source.stage,)
                if any(reached[user] for user in users):
                    self.findings.add(source.instruction.line, source.refusal)
        if late:
            self._refuse_late(late, needs, reached)
        return reached

    def _children(self) -> dict[int, list[int]]:
        children: dict[int, list[int]] = {}
        if any(source.triggered for source in self._outline.sources):
            for index, parent in enumerate(self.parents):
                if parent is not None:
                    children.setdefault(parent, []).append(index)
        return children

    def _source_stage(self, source: Source, images: int) -> int | None:
        """Return the index of the stage or earlier image that a source is, None for a new image, -1 for a bad one."""
        word = source.word
        if source.role is Role.COPY:
            if is_template(word):
                self.findings.add(
                    source.instruction.line, f"a template stands for the image: {shown(word)}", Category.TEMPLATE
                )
                return -1
            if self._varies(word):
                if "$" in word:
                    message = f"no variables are expanded in COPY --from={word}; name a stage, FROM {word} AS …"
                    self.findings.add(source.instruction.line, message, Category.EXPANSION_NOT_ALLOWED)
                else:
                    message = f"not an image reference: {shown(word)}"
                    self.findings.add(source.instruction.line, message, Category.INVALID_REFERENCE)
                return -1
            if _INDEX.match(word):
                index = int(word)
                if 0 <= index < len(self.parents) + images:
                    return index
                self.findings.add(source.instruction.line, f"no stage has the index {word}")
                return -1
        return self._names.get(word.lower())

    def _varies(self, word: str) -> bool:
        try:
            return expand(word, {}, self._outline.escape, Budget()).text != word
        except Refusal:
            return True

    def _source_image(self, source: Source) -> Pull | None:
        line = source.instruction.line
        reference = self._reference(source.word, source.word, line)
        span = source.span
        if reference is not None and self._contexts:
            context = self._contexts.get(source.word)
            if context is not None:
                reference = self._from_context(context, line)
                span = None
        if reference is None:
            return None
        role = Role.ONBUILD if source.triggered else source.role
        return Pull(source.word, reference, role, source.instruction, source.stage, self._platform, span)

    def _refuse_late(
        self, late: list[tuple[int, int, Source]], needs: dict[int, list[int]], reached: list[bool]
    ) -> None:
        """Refuse what copies from its own or a later stage: always in a circle, else where it is built."""
        edges = {user: list(stages) for user, stages in needs.items()}
        for user, stage, _ in late:
            edges.setdefault(user, []).append(stage)
        # FROM is no part of BuildKit's circles: only what is taken by COPY and mounts.
        circle = _circles(len(self.parents), edges)
        for user, stage, source in late:
            if circle[user] == circle[stage] or (reached[user] and not source.implicit):
                message = f"{shown(source.word)} is not built before the stage that takes from it"
                self.findings.add(source.instruction.line, message)


def _circles(count: int, edges: Mapping[int, list[int]]) -> list[int]:
    """Return for each stage the number of its strongly connected component (Tarjan, without recursion)."""
    order: dict[int, int] = {}
    low = [0] * count
    component = [-1] * count
    stack: list[int] = []
    for root in range(count):
        if root in order:
            continue
        work = [(root, 0)]
        while work:
            node, step = work.pop()
            if step == 0:
                order[node] = low[node] = len(order)
                stack.append(node)
            following = edges.get(node, [])
            if step:
                low[node] = min(low[node], low[following[step - 1]])
            while step < len(following):
                other = following[step]
                step += 1
                if other not in order:
                    work += [(node, step), (other, 0)]
                    break
                if component[other] < 0:
                    low[node] = min(low[node], order[other])
            else:
                if low[node] == order[node]:
                    while True:
                        member = stack.pop()
                        component[member] = node
                        if member == node:
                            break
    return component
