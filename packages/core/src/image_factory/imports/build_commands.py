"""The command lines that build an image: docker, buildx, podman, buildah and kaniko, read from a script. Pure."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

MAX_LINE = 8192
"""Characters of one command, its continued lines joined; a longer one is passed by."""

_BREAKS = frozenset({"&&", "||", ";", "|", "&", "(", ")", ";;"})
_ALONE = frozenset(
    {
        "--no-cache", "--pull", "--push", "--load", "--rm", "--quiet", "-q", "--squash", "--force-rm", "--check",
        "--layers", "--cleanup", "--cache", "--no-push", "--reproducible", "--single-snapshot", "-D", "--debug",
    }
)  # fmt: skip
"""Options that take no word after them."""
_TAGS = ("-t", "--tag", "--destination", "-d")
_FILES = ("-f", "--file", "--dockerfile")
_CONTEXTS = ("-c", "--context")


@dataclass(frozen=True, slots=True)
class BuildCommand:
    """What one build is told."""

    tags: tuple[str, ...] = ()
    dockerfile: str | None = None
    context: str = "."
    folder: str = "."
    """Where it is run, from the repository's top."""
    target: str | None = None
    platforms: tuple[str, ...] = ()
    build_args: tuple[str, ...] = ()


def read_commands(script: str, folder: str = ".") -> Iterator[BuildCommand]:
    """Yield the builds of a script; a line that cannot be parted into words is passed by.

    Args:
        folder: where the script begins, from the repository's top; it is followed through plain `cd`s.
    """
    for line in re.sub(r"\\\r?\n", " ", script).splitlines():
        if len(line) > MAX_LINE or not any(word in line for word in ("build", "bud", "executor", "cd ")):
            continue
        lexer = shlex.shlex(line, posix=True, punctuation_chars="();|&")
        lexer.whitespace_split = True
        try:
            words = list(lexer)
        except ValueError:
            continue
        for command in _parted(words):
            if command[0] == "cd":
                folder = posixpath.normpath(posixpath.join(folder, command[1] if len(command) > 1 else "/"))
            given = _arguments(command)
            if given is not None:
                yield replace(_read(given, is_kaniko=command[0].endswith("executor")), folder=folder)


def _parted(words: Sequence[str]) -> Iterator[list[str]]:
    current: list[str] = []
    for word in [*words, ";"]:
        if word in _BREAKS:
            if current:
                yield current
            current = []
        else:
            current.append(word)


def _arguments(command: Sequence[str]) -> list[str] | None:
    """Return what follows the words that start a build; None for any other command."""
    words = list(command)
    while words and (words[0] in ("sudo", "time", "exec") or re.match(r"[A-Za-z_]\w*=", words[0])):
        words.pop(0)
    if words and words[0].endswith("kaniko/executor"):
        return words[1:]
    for start in (["docker", "buildx", "build"], ["docker", "image", "build"], ["docker", "build"], ["podman", "build"],
                  ["buildah", "build"], ["buildah", "bud"], ["nerdctl", "build"]):  # fmt: skip
        if words[: len(start)] == start:
            return words[len(start) :]
    return None


def _read(words: Sequence[str], *, is_kaniko: bool) -> BuildCommand:
    given: dict[str, list[str]] = {}
    places: list[str] = []
    waiting = list(reversed(words))
    while waiting:
        word = waiting.pop()
        if not word.startswith("-") or word == "-":
            places.append(word)
            continue
        name, equals, value = word.partition("=")
        if word in _ALONE:
            continue
        if not equals and re.fullmatch(r"-[tf].+", word):
            name, value, equals = word[:2], word[2:], "="
        given.setdefault(name, []).append(value if equals else waiting.pop() if waiting else "")

    def all_of(names: Sequence[str]) -> tuple[str, ...]:
        return tuple(value for name in names for value in given.get(name, ()))

    context = all_of(_CONTEXTS) if is_kaniko else tuple(places)
    file = all_of(_FILES)
    target = all_of(("--target",))
    return BuildCommand(
        tags=all_of(_TAGS),
        dockerfile=file[-1] if file else None,
        context=context[0].removeprefix("dir://") if context else ".",
        target=target[-1] if target else None,
        platforms=tuple(each for value in all_of(("--platform",)) for each in value.split(",") if each),
        build_args=all_of(("--build-arg",)),
    )
