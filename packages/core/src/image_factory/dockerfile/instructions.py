"""Instructions: the arguments, stages and sources that a Dockerfile names, before anything is expanded.

What each instruction may hold is checked as in frontend/dockerfile/instructions/parse.go; a line that
BuildKit would refuse gives a diagnostic and names no image. Pure.
"""

from __future__ import annotations

import re

from image_factory.dockerfile.directives import Directive, read_syntax
from image_factory.dockerfile.exec_form import exec_form
from image_factory.dockerfile.flags import SWITCH, TEXT, TEXTS, Flag, check_flags, read_flags
from image_factory.dockerfile.heredocs import parse_heredoc
from image_factory.dockerfile.lines import Instruction, Lines
from image_factory.dockerfile.mounts import read_mount
from image_factory.dockerfile.reading import Category, Role, Span
from image_factory.dockerfile.text import SPACES, Refusal, shown
from image_factory.dockerfile.words import Budget, expand

_WORD = re.compile(r"[^\t\v\f\r ]+")
_WORDS = {
    escape: re.compile(
        rf"(?:[^{SPACES}'\"{re.escape(escape)}]|{re.escape(escape)}(?:.|\Z)"
        rf"|'[^']*+(?:'|\Z)|\"(?:[^\"{re.escape(escape)}]|{re.escape(escape)}(?:.|\Z))*+(?:\"|\Z))++",
        re.DOTALL,
    )
    for escape in "\\`"
}
SCRATCH = "scratch"
"""The image that is none."""
_STAGE_NAME = re.compile(r"[a-z][a-z0-9-_.]*\Z")

# Placeholders of template languages and of tools that fill them in before the build.
_TEMPLATE = re.compile(
    r"\{\{|\{%|<%|%%[A-Za-z_][A-Za-z0-9_.-]*%%|@@?[A-Za-z_][A-Za-z0-9_.-]*@|<[A-Za-z_][A-Za-z0-9_-]*>|#\{[^}]*\}|\[\["
)

_FROM_FLAGS = {"platform": TEXT}
_COPY_FLAGS = {"chown": TEXT, "from": TEXT, "chmod": TEXT, "link": SWITCH, "exclude": TEXTS, "parents": SWITCH}
_ADD_FLAGS = {
    "chown": TEXT,
    "chmod": TEXT,
    "link": SWITCH,
    "keep-git-dir": SWITCH,
    "checksum": TEXT,
    "unpack": SWITCH,
    "exclude": TEXTS,
}
_RUN_FLAGS = {"mount": TEXTS, "network": TEXT, "security": TEXT, "device": TEXTS}
_RUN_VALUES = {"network": ("default", "none", "host"), "security": ("insecure", "sandbox")}
_HEALTHCHECK_FLAGS = {"interval": TEXT, "timeout": TEXT, "start-period": TEXT, "start-interval": TEXT, "retries": TEXT}
_NO_FLAGS: dict[str, str] = {}


class Argument:
    """One `ARG` before the first FROM; `start` to `end` is its value in the instruction."""

    __slots__ = ("end", "instruction", "name", "start", "value")

    def __init__(self, name: str, value: str | None, instruction: Instruction, start: int, end: int) -> None:
        self.name = name
        self.value = value
        self.instruction = instruction
        self.start = start
        self.end = end


class Source:
    """One `from` of a COPY, a mount, or one of these in an ONBUILD."""

    __slots__ = ("implicit", "instruction", "refusal", "role", "span", "stage", "triggered", "word")

    def __init__(
        self, role: Role, word: str, instruction: Instruction, span: Span | None, stage: int, refusal: str | None = None
    ) -> None:
        self.role = role
        self.word = word
        self.instruction = instruction
        self.span = span
        self.stage = stage
        self.refusal = refusal
        """Why BuildKit refuses it once it builds the stage."""
        self.triggered = False
        """Whether it stands in an ONBUILD."""
        self.implicit = False
        """Whether it is a mount that has no from, and need not have one."""


class StageHead:
    """One FROM. A bad one has no word: it names no image, but its stage is there."""

    __slots__ = ("end", "instruction", "name", "platform", "start", "word")

    def __init__(self, instruction: Instruction) -> None:
        self.instruction = instruction
        self.word = ""
        self.start = 0
        self.end = 0
        self.name = ""
        self.platform: str | None = None


class Outline:
    """What a Dockerfile says, before anything is expanded."""

    __slots__ = ("arguments", "escape", "findings", "frontend", "sources", "stages")

    def __init__(self, text: str) -> None:
        lines = Lines(text)
        self.escape = lines.escape
        self.findings = lines.findings
        self.frontend: Directive | None = read_syntax(text)
        self.arguments: list[Argument] = []
        self.stages: list[StageHead] = []
        self.sources: list[Source] = []
        for instruction in lines.instructions:
            try:
                self._read(instruction)
            except Refusal as error:
                category = error.category
                if category is not Category.EXPANSION_NOT_ALLOWED and is_template(instruction.text):
                    category = Category.TEMPLATE
                self.findings.add(instruction.line, error.message, category)
        if not self.stages:
            self.findings.add(1, "there is no FROM, so nothing is built")

    def _read(self, instruction: Instruction) -> None:
        keyword = instruction.keyword
        if keyword == "from":
            self._from(instruction)
            return
        if keyword not in _KEYWORDS:
            raise Refusal(f"unknown instruction: {shown(instruction.text[: instruction.rest].rstrip(SPACES))}")
        text = instruction.text
        flags: list[Flag] = []
        start = instruction.rest
        if text.startswith("-", start):
            flags, start = read_flags(text, start, self.escape)
        if keyword == "arg":
            self._arg(instruction, start)
            return
        self._check(keyword, text, start, flags, instruction)
        if not self.stages:
            raise Refusal(f"{keyword.upper()} stands before the first FROM")
        if keyword == "onbuild":
            self._onbuild(instruction, start)
        elif flags and keyword in ("copy", "run"):
            self._sources(flags, _KEYWORDS[keyword], instruction)

    # --- FROM and ARG ----------------------------------------------------------------------------

    def _from(self, instruction: Instruction) -> None:
        text, start = instruction.text, instruction.rest
        flags: list[Flag] = []
        if text.startswith("-", start):
            flags, start = read_flags(text, start, self.escape)
        words = [found.span() for found in _WORD.finditer(text, start)]
        head = StageHead(instruction)
        self.stages.append(head)
        refused = ""
        count = len(words)
        if count > 2 and text[slice(*words[-2])].casefold() == "as":
            name = text[slice(*words[-1])]
            # Taken for a name even if the line is refused, so that no stage is taken for an image later.
            head.name = name.lower()
            if not _STAGE_NAME.match(head.name):
                refused = f"not a name for a stage: {shown(name)}"
        elif count > 1:
            refused = "FROM takes an image, and a name after AS"
        if count not in (1, 3):
            refused = "FROM takes one image, and may name its stage with AS"
        if refused:
            raise Refusal(refused)
        for _, value, _ in check_flags(flags, _FROM_FLAGS):
            # BuildKit takes --platform= for no flag at all.
            head.platform = value or None
        head.start, head.end = words[0]
        head.word = text[head.start : head.end]

    def _arg(self, instruction: Instruction, start: int) -> None:
        words = split_words(instruction.text, start, self.escape)
        if not words:
            raise Refusal("ARG needs a name")
        arguments = []
        for word, begin in words:
            name, equals, value = word.partition("=")
            if equals and not name:
                raise Refusal(f"an ARG without a name: {shown(word)}")
            at = begin + len(name) + len(equals)
            arguments.append(Argument(name, value if equals else None, instruction, at, begin + len(word)))
        if not self.stages:
            self.arguments += arguments

    # --- COPY, RUN and ONBUILD -------------------------------------------------------------------

    def _sources(
        self, flags: list[Flag], known: dict[str, str], instruction: Instruction, *, triggered: bool = False
    ) -> None:
        stage = len(self.stages) - 1
        for name, value, flag in check_flags(flags, known):
            source: Source | None = None
            if name == "from" and value:
                span = instruction.span(*flag.span(len("--from="), len(flag.word)))
                source = Source(Role.COPY, value, instruction, span, stage, self._unreadable_path(instruction))
            elif name == "mount":
                mount = read_mount(value)
                offset = len("--mount=")
                where = None
                if mount.span is not None:
                    where = instruction.span(*flag.span(offset + mount.span[0], offset + mount.span[1]))
                # BuildKit takes a mount without a from as one from scratch, even where a stage has that name.
                source = Source(Role.MOUNT, mount.source or SCRATCH, instruction, where, stage, mount.refusal)
                source.implicit = not mount.source and "type=cache" not in value.lower()
            elif name in _RUN_VALUES and value not in _RUN_VALUES[name]:
                raise Refusal(f"--{name} cannot be {shown(value)}")
            if source is not None:
                source.triggered = triggered
                self.sources.append(source)

    def _unreadable_path(self, instruction: Instruction) -> str | None:
        """Return why BuildKit cannot expand a path of a COPY, whatever its variables are, or None."""
        text = instruction.text
        if not any(char in text for char in ("$", "'", '"', self.escape)):
            return None
        start = instruction.rest
        if instruction.keyword == "onbuild":
            found = _WORD.match(text, read_flags(text, start, self.escape)[1])
            start = start if found is None else found.end()
        start = read_flags(text, start, self.escape)[1]
        for word in exec_form(text[start:]) or _WORD.findall(text, start):
            try:
                expand(word, {}, self.escape, Budget())
            except Refusal as error:
                if error.category is Category.SYNTAX:
                    return error.message
        return None

    def _onbuild(self, instruction: Instruction, start: int) -> None:
        text = instruction.text
        found = _WORD.match(text, start)
        keyword = "" if found is None else found[0].lower()
        if keyword in ("onbuild", "from", "maintainer"):
            raise Refusal(f"ONBUILD does not take {keyword.upper()}")
        if keyword not in _KEYWORDS or found is None:
            raise Refusal(f"unknown instruction in ONBUILD: {shown(keyword)}")
        rest = found.end()
        while rest < len(text) and text[rest] in SPACES:
            rest += 1
        flags, begin = read_flags(text, rest, self.escape)
        if keyword == "arg":
            return
        self._check(keyword, text, begin, flags, instruction)
        if flags and keyword in ("copy", "run"):
            self._sources(flags, _KEYWORDS[keyword], instruction, triggered=True)

    # --- what BuildKit refuses -------------------------------------------------------------------

    def _check(self, keyword: str, text: str, start: int, flags: list[Flag], instruction: Instruction) -> None:
        """Raise a Refusal where BuildKit would refuse the arguments of an instruction."""
        if flags and keyword not in ("copy", "run", "stopsignal", "healthcheck"):
            check_flags(flags, _KEYWORDS[keyword])
        if keyword == "run" or keyword in ("cmd", "entrypoint"):
            if text.startswith("[", start):
                exec_form(text[start:])
        elif keyword in ("copy", "add"):
            self._check_paths(keyword, text, start)
        elif keyword in ("env", "label"):
            self._check_pairs(keyword, text, start)
        elif start >= len(text):
            raise Refusal(f"{keyword.upper()} needs an argument")
        elif keyword == "volume":
            if "" in (exec_form(text[start:]) or ()):
                raise Refusal("VOLUME with an empty path")
        elif keyword == "shell":
            if not exec_form(text[start:]):
                raise Refusal("SHELL takes a JSON array of strings")
        elif keyword == "healthcheck":
            self._check_healthcheck(text, start, flags)

    def _check_paths(self, keyword: str, text: str, start: int) -> None:
        paths = exec_form(text[start:]) if text.startswith("[", start) else None
        if paths is None:
            # Only the first two words and the last one matter; a line may hold a million.
            first = _WORD.match(text, start)
            second = None if first is None else _WORD.search(text, first.end())
            if second is None:
                raise Refusal(f"{keyword.upper()} needs a source and a destination")
            if "<<" not in text:
                return
            blank = max(text.rfind(char) for char in "\t\v\f\r ")
            last = text[blank + 1 :]
        elif len(paths) < 2:
            raise Refusal(f"{keyword.upper()} needs a source and a destination")
        else:
            last = paths[-1]
        if "<<" in last:
            try:
                heredoc = parse_heredoc(last)
            except Refusal:
                return
            if heredoc is not None:
                raise Refusal(f"the destination of {keyword.upper()} cannot be a heredoc")

    def _check_pairs(self, keyword: str, text: str, start: int) -> None:
        words = split_words(text, start, self.escape)
        if not words:
            raise Refusal(f"{keyword.upper()} needs a name and a value")
        if "=" not in words[0][0]:
            if re.search(r"[\t\v\f\r ]", text[start:]) is None:
                raise Refusal(f"{keyword.upper()} needs a name and a value")
            return
        for word, _ in words:
            if "=" not in word:
                raise Refusal(f"{keyword.upper()} without = in {shown(word)}")
            if word[0] == "=":
                raise Refusal(f"{keyword.upper()} without a name in {shown(word)}")

    def _check_healthcheck(self, text: str, start: int, flags: list[Flag]) -> None:
        found = _WORD.match(text, start)
        end = start if found is None else found.end()
        kind = text[start:end].upper()
        command = text[end:].lstrip(SPACES)
        if kind != "NONE":
            check_flags(flags, _HEALTHCHECK_FLAGS)
        if kind not in ("NONE", "CMD"):
            raise Refusal(f"HEALTHCHECK takes CMD or NONE, not {shown(kind)}")
        if (kind == "NONE") == bool(command):
            raise Refusal(f"HEALTHCHECK {kind} {'takes no' if command else 'needs a'} command")
        exec_form(command)


_KEYWORDS: dict[str, dict[str, str]] = {
    "add": _ADD_FLAGS,
    "arg": _NO_FLAGS,
    "cmd": _NO_FLAGS,
    "copy": _COPY_FLAGS,
    "entrypoint": _NO_FLAGS,
    "env": _NO_FLAGS,
    "expose": _NO_FLAGS,
    "from": _FROM_FLAGS,
    "healthcheck": _HEALTHCHECK_FLAGS,
    "label": _NO_FLAGS,
    "maintainer": _NO_FLAGS,
    "onbuild": _NO_FLAGS,
    "run": _RUN_FLAGS,
    "shell": _NO_FLAGS,
    "stopsignal": _NO_FLAGS,
    "user": _NO_FLAGS,
    "volume": _NO_FLAGS,
    "workdir": _NO_FLAGS,
}


def is_template(text: str) -> bool:
    """Whether a text holds a placeholder that a tool fills in before the build."""
    return _TEMPLATE.search(text) is not None


def split_words(text: str, start: int, escape: str) -> list[tuple[str, int]]:
    """Return the words of `text` from `start` on, with where each begins; quotes stay, and hold words together."""
    words = []
    for found in _WORDS[escape].finditer(text, start):
        word = found[0]
        # An escape at the very end escapes nothing, and is dropped.
        if found.end() == len(text) and word[-1] == escape and _dangling(word, escape):
            word = word[:-1]
        if word:
            words.append((word, found.start()))
    return words


def _dangling(word: str, escape: str) -> bool:
    """Whether the escape at the end of the last word has nothing to escape."""
    quote = ""
    escaped = False
    for char in word:
        if escaped:
            escaped = False
        elif quote == "'" or char != escape:
            if quote:
                quote = "" if char == quote else quote
            elif char in "'\"":
                quote = char
        else:
            escaped = True
    return escaped
