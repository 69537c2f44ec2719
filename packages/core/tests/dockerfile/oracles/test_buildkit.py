"""The reader against BuildKit itself: its parser, its shell lexer and its conversion of stages to pulls.

A small Go program (`buildkit/main.go`) answers which images BuildKit's resolver is asked for. It is built
once and kept in pytest's cache. Without Go, or without its module proxy on the first run, this is skipped.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from image_factory.dockerfile.read import read_dockerfile
from image_factory.dockerfile.reading import BuildOptions, Category, Reading, Role
from image_factory.dockerfile.text import Refusal
from image_factory.dockerfile.words import Budget, Lexer, Words, expand
from image_factory.oci.platform import Platform
from image_factory.oci.reference import Reference

SOURCES = Path(__file__).parent / "buildkit"
DOCKERFILES = 3000
WORDS = 20_000

# What BuildKit says only while it runs a stage's instructions, about things that name no image. The
# reader leaves these to the build (docs/explanation/dockerfiles.md, "What is not checked").
LEFT_TO_THE_BUILD = ("invalid mount target", "--chown=", 'failed to process "', "failed to expand")

Ask = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


@pytest.fixture(scope="session")
def ask(request: pytest.FixtureRequest) -> Ask:
    go = shutil.which("go")
    if go is None:
        pytest.skip("BuildKit's oracle needs Go, which is not installed")
    assert request.config.cache is not None
    key = hashlib.sha256(b"".join((SOURCES / name).read_bytes() for name in ("main.go", "go.mod", "go.sum")))
    program = request.config.cache.mkdir("dockerfile-oracle") / f"oracle-{key.hexdigest()[:16]}"
    if not program.exists():
        command = [go, "build", "-o", str(program), "."]
        environment = {**os.environ, "CGO_ENABLED": "0"}
        built = subprocess.run(command, cwd=SOURCES, env=environment, capture_output=True, text=True, check=False)
        if built.returncode != 0:
            reason = (built.stderr.strip().splitlines() or ["no message"])[-1]
            pytest.skip(f"BuildKit's oracle could not be built: {reason}")

    def answer(requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        lines = "".join(f"{json.dumps(request)}\n" for request in requests)
        done = subprocess.run([str(program)], input=lines, capture_output=True, text=True, check=True)
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(answers) == len(requests)
        return answers

    return answer


def images(reading: Reading, *, reachable: bool) -> set[str]:
    """What is pulled, as the oracle writes it; a trigger counts where a stage of the file sets it off."""
    return {
        f"{image.reference.canonical} {platform}"
        for image in reading.references
        for platform in image.platforms
        if image.role is not Role.FRONTEND and (image.reachable or not (reachable or image.role is Role.ONBUILD))
    }


def canonical(answers: list[str] | None) -> set[str]:
    """BuildKit keeps the case of a host; our canonical form does not."""
    pairs = (answer.split(" ") for answer in answers or ())
    return {f"{Reference.parse(reference).canonical} {platform}" for reference, platform in pairs}


def disagreement(text: str, reading: Reading, answer: dict[str, Any]) -> str:
    """What the reader and BuildKit do not agree on, or nothing."""
    if answer["parseError"]:
        return "" if reading.diagnostics else "BuildKit refuses the file, the reader does not"
    if answer["frontend"]:
        named = [image.written for image in reading.references if image.role is Role.FRONTEND]
        told = any("frontend" in diagnostic.message for diagnostic in reading.diagnostics)
        if named != [answer["frontend"]] and not told:
            return "the frontend differs"
    if answer["error"]:
        left = any(phrase in answer["error"] for phrase in LEFT_TO_THE_BUILD)
        return "" if reading.diagnostics or left else "BuildKit refuses the build, the reader does not"
    # A trigger that can never work is told by the reader; BuildKit finds out when it is set off.
    triggers = {
        number for number, line in enumerate(text.replace("\\\n", "").splitlines(), 1) if "onbuild" in line.lower()
    }
    hard = [
        diagnostic
        for diagnostic in reading.diagnostics
        if diagnostic.category is not Category.UNRESOLVED_ARG and "frontend" not in diagnostic.message
    ]
    if hard and not triggers and "nbu" not in text.lower().replace("\n", ""):
        return "the reader refuses what BuildKit builds"
    if images(reading, reachable=True) != canonical(answer["images"]):
        return "the images of the built stages differ"
    if not answer["allError"] and images(reading, reachable=False) != canonical(answer["allImages"]):
        return "the images of all stages differ"
    return ""


def test_the_images_are_those_that_buildkit_asks_for(ask: Ask, dockerfiles: Callable[[int], Iterator[str]]) -> None:
    texts = list(dockerfiles(DOCKERFILES))
    requests: list[dict[str, Any]] = []
    for number, text in enumerate(texts):
        chance = random.Random(number)
        names = ("V", "TAG", "BASE", "EMPTY", "TARGETARCH")
        given = {chance.choice(names): chance.choice(("alpine", "1", "", "node:20")) for _ in range(2)}
        target = chance.choice(("", "", "", "build", "A", "nginx", "scratch", "0", "nowhere"))
        requests.append(
            {
                "dockerfile": base64.b64encode(text.encode()).decode(),
                "args": given if chance.random() < 0.4 else {},
                "target": target,
                "platform": chance.choice(("linux/amd64", "linux/arm64", "linux/arm/v7")),
            }
        )

    wrong = []
    built = 0
    for text, request, answer in zip(texts, requests, ask(requests), strict=True):
        options = BuildOptions(request["args"], request["target"] or None, (Platform.parse(request["platform"]),))
        reading = read_dockerfile(text, options)
        built += not answer["error"] and not answer["parseError"]
        if difference := disagreement(text, reading, answer):
            wrong.append((difference, text, request["args"], request["target"], request["platform"], answer))

    assert wrong == []
    assert built > len(texts) // 10, "too few of the generated files can be built to say anything"


def word_parts() -> list[str]:
    parts = (
        "$ { } X Y EMPTY UN : - + ? # % / * \\ ' \" a b . ` $X ${X ${Y:- ${X/ ${UN- ${EMPTY:+ 1 é _ ² << } ${X// "
        "${X%% ${X## ${UN:? a*b ?? \\} \\/ \\* $0 ${0} [ ] ( ^"
    )
    return [*parts.split(" "), " ", "\t", "\ufeff"]


def random_words(count: int) -> list[tuple[str, str]]:
    """Words that are mostly trouble, and an escape character for each."""
    parts = word_parts()
    chance = random.Random(int(os.environ.get("IMAGE_FACTORY_ORACLE_SEED", "1")))
    return [
        ("".join(chance.choice(parts) for _ in range(chance.randrange(1, chance.choice((6, 12, 25))))), escape)
        for escape in "\\`"
        for _ in range(int(os.environ.get("IMAGE_FACTORY_ORACLE_COUNT", count)) // 2)
    ]


def test_lines_are_split_where_buildkit_splits_them(ask: Ask) -> None:
    lines = random_words(WORDS)
    answers = ask([{"word": line, "escape": escape, "split": True} for line, escape in lines])

    wrong = []
    for (line, escape), answer in zip(lines, answers, strict=True):
        words = Words()
        try:
            Lexer(line, {}, escape, Budget(), words=words, unset=True, quotes=True, raw=True).read()
            found: list[str] | None = words.found
        except Refusal:
            found = None
        if found != (None if answer["error"] else answer["words"] or []):
            wrong.append((line, escape, found, answer))

    assert wrong == []


def test_words_mean_what_buildkit_makes_of_them(ask: Ask) -> None:
    values = {"X": "abcabc.b-a/b", "Y": "a*b?c\\d", "EMPTY": "", "a": "zz", "É": "q"}
    words = random_words(WORDS)
    answers = ask([{"word": word, "args": values, "escape": escape} for word, escape in words])

    wrong = []
    for (word, escape), answer in zip(words, answers, strict=True):
        try:
            meant: str | None = expand(word, values, escape, Budget()).text
        except Refusal:
            meant = None
        if meant != (None if answer["error"] else answer["result"]):
            wrong.append((word, escape, meant, answer))

    assert wrong == []
