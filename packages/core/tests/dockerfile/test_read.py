"""What a build would pull, construct by construct, as parsing-and-registries.md lists them."""

from __future__ import annotations

import pytest

from image_factory.dockerfile.read import read_dockerfile
from image_factory.dockerfile.reading import BuildOptions, Category, Reading, Role
from image_factory.dockerfile.text import MAX_FILE, decode
from image_factory.oci.platform import Platform

AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64")
SHA = "sha256:" + "0123456789abcdef" * 4


def pulled(reading: Reading) -> list[str]:
    """Role, canonical reference without what is the default, `?` where the target does not reach it."""
    return [
        f"{image.role} {_short(image.reference.canonical)}{'' if image.reachable else ' ?'}"
        for image in reading.references
    ]


def _short(canonical: str) -> str:
    return canonical.removeprefix("docker.io/").removeprefix("library/").removesuffix(":latest")


def told(reading: Reading) -> list[str]:
    return [f"{diagnostic.category} {diagnostic.line}" for diagnostic in reading.diagnostics]


CONSTRUCTS: dict[str, tuple[str, list[str], list[str]]] = {
    # --- roles
    "the last stage's image is final": ("FROM a\nFROM b", ["stage a ?", "final b"], []),
    "a final image may lie several stages back": ("FROM a AS x\nFROM x AS y\nFROM y", ["final a"], []),
    "a stage that is copied from is reached": ("FROM a AS x\nFROM b\nCOPY --from=x / /", ["stage a", "final b"], []),
    "a stage that is mounted is reached": (
        "FROM a AS x\nFROM b\nRUN --mount=from=x,target=/m true",
        ["stage a", "final b"],
        [],
    ),
    "COPY --from an image": ("FROM a\nCOPY --from=b / /", ["final a", "copy b"], []),
    "any number of mounts on a line": (
        "FROM a\nRUN --mount=from=b,target=/b --mount=type=cache,target=/c --mount=type=bind,from=d,target=/d x",
        ["final a", "mount b", "mount d"],
        [],
    ),
    "a frontend": ("# syntax=docker/dockerfile:1\nFROM a", ["frontend docker/dockerfile:1", "final a"], []),
    "a frontend after other directives": (
        "# escape=`\n# check=skip=all\n#SYNTAX = x/y:2 more\nFROM a",
        ["frontend x/y:2", "final a"],
        [],
    ),
    "a frontend after a shebang": ("#!/usr/bin/x\n# syntax=x/y\nFROM a", ["frontend x/y", "final a"], []),
    "no frontend after a comment": ("# hello\n# syntax=x/y\nFROM a", ["final a"], []),
    "no frontend after an unknown directive": ("# foo=bar\n# syntax=x/y\nFROM a", ["final a"], []),
    "no frontend after a blank line": ("\n# syntax=x/y\nFROM a", ["final a"], []),
    "no frontend after a space": (" # syntax=x/y\nFROM a", ["final a"], []),
    "a frontend in slashes": ("// syntax=x/y\nFROM a", ["frontend x/y", "final a"], ["syntax 1"]),
    "a frontend in JSON": ('{"syntax": "x/y"}', ["frontend x/y"], ["syntax 1", "syntax 1"]),
    "JSON without a frontend": ('{"syntax": 1}', [], ["syntax 1", "syntax 1"]),
    "JSON that is none": ("{FROM a", [], ["syntax 1", "syntax 1"]),
    "an image that is a trigger's": ("FROM a\nONBUILD COPY --from=b / /", ["final a", "onbuild b ?"], []),
    "a mount that is a trigger's": (
        "FROM a\nonbuild run --mount=type=bind,from=b,target=/m x",
        ["final a", "onbuild b ?"],
        [],
    ),
    "a trigger is set off by the next FROM": (
        "FROM a AS x\nONBUILD COPY --from=b / /\nFROM x",
        ["final a", "onbuild b"],
        [],
    ),
    "a trigger reaches a stage": (
        "FROM s AS y\nFROM a AS x\nONBUILD COPY --from=y / /\nFROM x",
        ["stage s", "final a"],
        [],
    ),
    "a trigger is not carried over": (
        "FROM a AS x\nONBUILD COPY --from=b / /\nFROM x AS y\nFROM c\nFROM y AS z\nFROM c",
        ["stage a ?", "onbuild b ?", "stage c ?", "final c"],
        [],
    ),
    "ONBUILD takes no FROM": ("FROM a\nONBUILD FROM b", ["final a"], ["syntax 2"]),
    "ONBUILD takes no ONBUILD": ("FROM a\nONBUILD ONBUILD RUN x", ["final a"], ["syntax 2"]),
    "ONBUILD of something unknown": ("FROM a\nONBUILD FOO b", ["final a"], ["syntax 2"]),
    "ONBUILD of nothing": ("FROM a\nONBUILD", ["final a"], ["syntax 2"]),
    "ONBUILD of an ARG": ("FROM a\nONBUILD ARG X", ["final a"], []),
    # --- words
    "instructions in any case": (
        "from a As x\ncOpY --from=X / /\nFrom b\ncopy --from=X / /",
        ["stage a", "final b"],
        [
            "syntax 2",
        ],
    ),
    "a stage's name in FROM is in lower case": ("FROM a AS Base\nFROM Base", ["stage a ?"], ["invalid-reference 2"]),
    "a stage's name is folded": ("FROM a AS Base\nFROM base", ["final a"], []),
    "flags in any order": (
        "FROM a\nCOPY --link --chown=1:1 --from=b --chmod=755 --parents --exclude=x --exclude=y / /",
        ["final a", "copy b"],
        [],
    ),
    "a flag with quotes": ("FROM a\nCOPY --chown='x y' --from=\"b\" / /", ["final a", "copy b"], []),
    "a flag with an escape": ("FROM a\nCOPY --chown=x\\ y --from=b / /", ["final a", "copy b"], []),
    "the end of flags": ("FROM a\nCOPY -- --from=b /", ["final a"], []),
    "an unknown flag": ("FROM a\nCOPY --form=b / /", ["final a"], ["syntax 2"]),
    "a flag twice": ("FROM --platform=linux/amd64 --platform=linux/arm64 a\nFROM b", ["final b"], ["syntax 1"]),
    "a flag without a value": ("FROM --platform a\nFROM b", ["final b"], ["syntax 1"]),
    "a switch with a wrong value": ("FROM a\nCOPY --link=x --from=b / /", ["final a"], ["syntax 2"]),
    "an empty from": ("FROM a\nCOPY --from= / /", ["final a"], []),
    "quotes in FROM": ("FROM \"a\"\nFROM 'b':1", ["stage a ?", "final b:1"], []),
    "quotes in FROM that do not end": ('FROM "a\nFROM b', ["final b"], ["syntax 1"]),
    "tabs": ("\tFROM\t\ta\tAS\tb\nFROM\tb", ["final a"], []),
    "CRLF": ("FROM a AS x\r\nCOPY --from=b / /\r\nFROM x\r\n", ["final a", "copy b"], []),
    "a byte-order mark": ("\ufeffFROM a\n", ["final a"], []),
    "a byte-order mark before a directive": ("\ufeff# syntax=x/y\nFROM a", ["frontend x/y", "final a"], []),
    "no newline at the end": ("FROM a\nCOPY --from=b / /", ["final a", "copy b"], []),
    "the escape directive": ("# escape=`\nFROM `\n a\nCOPY --from=b C:\\ /", ["final a", "copy b"], []),
    "the escape directive with a space before it": (" # escape=`\nFROM `\na", ["final a"], []),
    "the escape directive after a comment": ("# x\n# escape=`\nFROM `\na", [], ["invalid-reference 3", "syntax 4"]),
    "a wrong escape": ("# escape=x\nFROM a", ["final a"], ["syntax 1"]),
    "a directive twice": ("# escape=`\n# escape=`\nFROM `\na", ["final a"], ["syntax 2"]),
    "comments in a continuation": ("FROM \\\n# one\n  # two\na", ["final a"], []),
    "blank lines in a continuation": ("FROM \\\n\n  \na", ["final a"], []),
    "spaces after the escape": ("FROM \\ \t\na", ["final a"], []),
    "an escaped escape continues nothing": ("FROM a\nRUN x \\\\\nFROM b", ["stage a ?", "final b"], []),
    "a continuation at the end": ("FROM a\nRUN x \\", ["final a"], []),
    "a comment is not continued": ("# x \\\nFROM a", ["final a"], []),
    "a word over two lines": ("FROM al\\\npine", ["final alpine"], []),
    "a heredoc": ("FROM a\nRUN <<EOF\nFROM b\nEOF\nCOPY --from=c / /", ["final a", "copy c"], []),
    "a heredoc with tabs": ("FROM a\nRUN <<-EOF\nFROM b\n\t\tEOF\nCOPY --from=c / /", ["final a", "copy c"], []),
    "a heredoc without the dash ends without tabs": ("FROM a\nRUN <<E\nFROM b\n\tE\nFROM c\nE\n", ["final a"], []),
    "a quoted heredoc": ("FROM a\nRUN <<'E F'\nFROM b\nE F\nCOPY --from=c / /", ["final a", "copy c"], []),
    "several heredocs": (
        'FROM a\nCOPY <<A <<"B" 3<<-C /\nFROM x\nA\nFROM y\nB\nFROM z\n\tC\nCOPY --from=c / /',
        ["final a", "copy c"],
        [],
    ),
    "a heredoc with a flag": ("FROM a\nCOPY --chmod=1 <<E /x\nFROM b\nE\n", ["final a"], []),
    "a heredoc of an ADD": ("FROM a\nADD <<E /x\nFROM b\nE\n", ["final a"], []),
    "a heredoc of a trigger": ("FROM a\nONBUILD RUN <<E\nFROM b\nE\n", ["final a"], []),
    "a heredoc with CRLF": ("FROM a\r\nRUN <<E\r\nFROM b\r\nE\r\nCOPY --from=c / /\r\n", ["final a", "copy c"], []),
    "ENV has no heredocs": ("FROM a\nENV A=<<E\nFROM b\n", ["stage a ?", "final b"], []),
    "a shift is no heredoc": ("FROM a\nRUN echo $((1<<2))\nFROM b", ["stage a ?", "final b"], []),
    "a quoted << is no heredoc": ("FROM a\nRUN echo '<<E' \"<<E\"\nFROM b", ["stage a ?", "final b"], []),
    "a here-string is no heredoc": ("FROM a\nRUN cat <<<E\nFROM b", ["stage a ?", "final b"], []),
    "JSON has no heredocs": ('FROM a\nRUN ["cat", "<<E"]\nFROM b', ["stage a ?", "final b"], []),
    "a line with an open quote has no heredoc": ("FROM a\nRUN it's <<E\nFROM b", ["stage a ?", "final b"], []),
    "a heredoc without an end": ("FROM a\nRUN <<E\nFROM b", ["stage a ?", "final b"], ["syntax 2"]),
    "a spaced shift is a heredoc without an end": (
        "FROM a\nRUN echo $(( 1 << 2 ))\nFROM b",
        [
            "stage a ?",
            "final b",
        ],
        ["syntax 2"],
    ),
    # --- stages
    "only an earlier AS makes a name": ("FROM builder\nFROM a AS builder", ["stage builder ?", "final a"], []),
    "a stage may bear an image's name": ("FROM node:22 AS node\nFROM node", ["final node:22"], []),
    "a stage that bears its own image's name": ("FROM nginx AS nginx", ["final nginx"], []),
    "an image may look like a stage": ("FROM a AS b\nFROM builder", ["stage a ?", "final builder"], []),
    "COPY by index": ("FROM a\nFROM b\nCOPY --from=0 / /", ["stage a", "final b"], []),
    "COPY by an index as Go reads it": ("FROM a\nFROM b\nCOPY --from=+00 / /", ["stage a", "final b"], []),
    "FROM knows no index": ("FROM a\nFROM 0", ["stage a ?", "final 0"], []),
    "mounts know no index": ("FROM a\nFROM b\nRUN --mount=from=0,target=/m x", ["stage a ?", "final b", "mount 0"], []),
    "an index that is none": ("FROM a\nCOPY --from=7 / /", ["final a"], ["syntax 2"]),
    "an index past the stages is an earlier image": (
        "FROM a\nCOPY --from=b / /\nFROM c\nCOPY --from=2 / /",
        ["stage a ?", "copy b", "final c"],
        [],
    ),
    "a number too big for an index is a name": (
        "FROM a\nCOPY --from=99999999999999999999 / /",
        ["final a", "copy 99999999999999999999"],
        [],
    ),
    "the later of two stages of a name": (
        "FROM a AS x\nFROM b AS x\nFROM c\nCOPY --from=x / /",
        ["stage a ?", "stage b", "final c"],
        [],
    ),
    "a stage that copies from itself": ("FROM nginx AS nginx\nCOPY --from=nginx / /", ["final nginx"], ["syntax 2"]),
    "a stage that copies from a later one": (
        "FROM a AS x\nCOPY --from=y / /\nFROM x AS y",
        ["final a"],
        ["syntax 2"],
    ),
    "an unbuilt stage may copy from a later one": (
        "FROM a\nCOPY --from=y / /\nFROM b AS y",
        ["stage a ?", "final b"],
        [],
    ),
    "unbuilt stages may not copy in a circle": (
        "FROM a AS x\nCOPY --from=y / /\nFROM b AS y\nCOPY --from=x / /\nFROM c",
        ["stage a ?", "stage b ?", "final c"],
        ["syntax 2"],
    ),
    "scratch": ("FROM scratch\nCOPY --from=scratch / /\nRUN --mount=from=scratch,target=/m x", [], []),
    "a stage named scratch": ("FROM a AS scratch\nFROM scratch", ["final a"], []),
    "names from ARGs": ("ARG V=x\nFROM a AS base-x\nFROM base-$V", ["final a"], []),
    "a wrong name": ("FROM a AS 1x\nFROM b\nCOPY --from=1x / /", ["final b"], ["syntax 1"]),
    "no name after AS": ("FROM a AS\nFROM b", ["final b"], ["syntax 1"]),
    "FROM with too much": ("FROM a b\nFROM c d AS e\nFROM e", [], ["syntax 1", "syntax 2"]),
    "FROM with nothing": ("FROM\nFROM b", ["final b"], ["syntax 1"]),
    # --- ARGs
    "an ARG's default": ("ARG V=22\nFROM node:$V", ["final node:22"], []),
    "several on a line": ("ARG A=x B=y\nFROM $A/$B", ["final x/y"], []),
    "defaults from earlier ones": ("ARG A=1\nARG B=$A.2\nFROM a:$B", ["final a:1.2"], []),
    "a later default wins": ("ARG A=1\nARG A=2\nFROM a:$A", ["final a:2"], []),
    "a name alone takes nothing away": ("ARG A=1\nARG A\nFROM a:$A", ["final a:1"], []),
    "an ARG after FROM is not seen": ("FROM a\nARG V=1\nFROM b:$V", ["stage a ?"], ["unresolved-arg 3"]),
    "an ARG that nobody declared": ("FROM b:$V", [], ["unresolved-arg 1"]),
    "quotes in a default": ("ARG V=\"1\" W='2'\nFROM a:$V.$W", ["final a:1.2"], []),
    "an escape in a default": ("ARG V=\\1\nFROM a:$V", ["final a:1"], []),
    "an ARG without a name": ("ARG =1\nFROM a", ["final a"], ["syntax 1"]),
    "ARG alone": ("ARG\nFROM a", ["final a"], ["syntax 1"]),
    "a wrong default": ("ARG V=${\nFROM a:$V", [], ["syntax 1", "unresolved-arg 2"]),
    "${X}": ("ARG X=a\nFROM ${X}", ["final a"], []),
    "${X:-a}": ("FROM ${X:-a}", ["final a"], []),
    "${X:-a} where X is empty": ("ARG X=\nFROM ${X:-a}", ["final a"], []),
    "${X-a}": ("FROM ${X-a}", ["final a"], []),
    "${X-a} where X is empty": ("ARG X=\nFROM ${X-a}", [], ["unresolved-arg 2"]),
    "${X:+a}": ("ARG X=b\nFROM ${X:+a}", ["final a"], []),
    "${X:+a} where X is empty": ("ARG X=\nFROM b${X:+a}", ["final b"], []),
    "${X+a} where X is empty": ("ARG X=\nFROM b${X+a}", ["final ba"], []),
    "${X+a} where X is unset": ("FROM b${X+a}", ["final b"], []),
    "${X:?e}": ("FROM ${X:?give it}", [], ["syntax 1"]),
    "${X:?e} without a space": (
        "FROM ${X:?e}\nFROM ${Y?e}\nFROM a",
        ["final a"],
        ["unresolved-arg 1", "unresolved-arg 2"],
    ),
    "${X:?e} where X is set": ("ARG X=a\nFROM ${X:?e}", ["final a"], []),
    "${X#p}": ("ARG X=v1.2\nFROM a:${X#v}", ["final a:1.2"], []),
    "${X##p}": ("ARG X=a/b/c\nFROM ${X##*/}", ["final c"], []),
    "${X%p}": ("ARG X=1.2.3\nFROM a:${X%.*}", ["final a:1.2"], []),
    "${X%%p}": ("ARG X=1.2.3\nFROM a:${X%%.*}", ["final a:1"], []),
    "${X/a/b}": ("ARG X=a-a\nFROM x:${X/a/b}", ["final x:b-a"], []),
    "${X//a/b}": ("ARG X=a-a\nFROM x:${X//a/b}", ["final x:b-b"], []),
    "a substitution in a substitution": ("ARG Y=b\nFROM ${X:-${Y:-a}}", ["final b"], []),
    "a substitution that BuildKit lacks": ("ARG X=a\nFROM ${X^^}\nFROM b", ["final b"], ["syntax 2"]),
    "a dollar by itself": ("FROM a$", [], ["invalid-reference 1"]),
    "an escaped dollar": ("ARG X=a\nFROM \\$X", [], ["invalid-reference 2"]),
    "a prefix of another name": ("ARG V=1\nARG VERSION=2\nFROM a:$VERSION", ["final a:2"], []),
    # --- what cannot be resolved
    "without a value, and what remains is valid": ("ARG R\nFROM ${R}node", ["final node"], ["unresolved-arg 2"]),
    "without a value, through another": ("ARG R\nARG I=${R}node\nFROM $I", ["final node"], ["unresolved-arg 3"]),
    "without a value, and nothing remains": ("ARG I\nFROM $I AS x\nFROM x", [], ["unresolved-arg 2"]),
    "empty on purpose": ("ARG R=\nFROM ${R}node", ["final node"], []),
    "empty on purpose, and nothing remains": ("ARG I=\nFROM $I", [], ["unresolved-arg 2"]),
    "a template": ("FROM {{ base }} AS x\nFROM x", [], ["template 1"]),
    "a template in one word": ("FROM a:{{v}}", [], ["template 1"]),
    "a template between percents": ("FROM %%BASE%%\nFROM a:@V@", [], ["template 1", "template 2"]),
    "a template of a workflow": ("FROM a:${{ v }}", [], ["template 1"]),
    "a template from an ARG": ("ARG B={{base}}\nFROM $B", [], ["template 2"]),
    "a template's own line": ("{{ if x }}\nFROM a\n{% endif %}", ["final a"], ["template 1", "template 3"]),
    "a template in COPY": ("FROM a\nCOPY --from={{x}} / /", ["final a"], ["template 2"]),
    "a template in a mount": ("FROM a\nRUN --mount=from=@X@,target=/m x", ["final a"], ["template 2"]),
    "a template as frontend": ("# syntax={{x}}\nFROM a", ["final a"], ["template 1"]),
    "a template as platform": ("FROM --platform={{p}} a", [], ["template 1"]),
    "a variable in COPY --from": ("ARG X=b\nFROM a\nCOPY --from=$X / /", ["final a"], ["expansion-not-allowed 3"]),
    "a wrong variable in COPY --from": ("FROM a\nCOPY --from=${X / /", ["final a"], ["expansion-not-allowed 2"]),
    "an escape in COPY --from": ("FROM a\nCOPY --from=x\\\\b / /", ["final a"], ["invalid-reference 2"]),
    "a variable in a mount": (
        "ARG X=b\nFROM a\nRUN --mount=from=$X,target=/m x",
        ["final a"],
        ["expansion-not-allowed 3"],
    ),
    "a variable as frontend": ("# syntax=$X\nFROM a", ["final a"], ["expansion-not-allowed 1"]),
    "an invalid reference": ("FROM UPPER\nFROM a", ["final a"], ["invalid-reference 1"]),
    "an invalid reference in COPY": ("FROM a\nCOPY --from=a//b / /", ["final a"], ["invalid-reference 2"]),
    "an invalid frontend": ("# syntax=A\nFROM a", ["final a"], ["invalid-reference 1"]),
    # --- platforms
    "a platform is skipped": ("FROM --platform=$BUILDPLATFORM a AS b\nFROM b", ["final a"], []),
    "a platform that is none": ("FROM --platform=a/b/c/d x\nFROM a", ["final a"], ["syntax 1"]),
    "a platform without a value": ("ARG P\nFROM --platform=$P x\nFROM a", ["final a"], ["unresolved-arg 2"]),
    "a platform that is empty": ("ARG P=\nFROM --platform=$P x\nFROM a", ["final a"], ["unresolved-arg 2"]),
    "a platform with a wrong variable": ("FROM --platform=${ x\nFROM a", ["final a"], ["syntax 1"]),
    "an architecture that nobody knows": ("FROM --platform=foo x\nFROM a", ["final a"], ["syntax 1"]),
    # --- recovery
    "an unknown instruction": ("FROM a\nFOO b\nCOPY --from=c / /", ["final a", "copy c"], ["syntax 2"]),
    "COPY before FROM": ("COPY --from=b / /\nFROM a", ["final a"], ["syntax 1"]),
    "COPY without a destination": ("FROM a\nCOPY --from=b /", ["final a"], ["syntax 2"]),
    "COPY with JSON": ('FROM a\nCOPY --from=b ["x", "y"]', ["final a", "copy b"], []),
    "COPY with too little JSON": ('FROM a\nCOPY --from=b ["x"]', ["final a"], ["syntax 2"]),
    "COPY to a heredoc": ("FROM a\nCOPY --from=b x <<E\nE", ["final a"], ["syntax 2"]),
    "COPY of a path that cannot be read": ("FROM a\nCOPY --from=b ${ /", ["final a"], ["syntax 2"]),
    "a trigger's path that cannot be read": (
        "FROM a AS x\nONBUILD COPY --from=b '/ /\nFROM x",
        ["final a"],
        ["syntax 2"],
    ),
    "RUN with JSON of numbers": ("FROM a\nRUN --mount=from=b,target=/m [1]", ["final a"], ["syntax 2"]),
    "RUN with JSON of more": ('FROM a\nRUN ["a\\n", "\\u00e9"]\nRUN ["a", NaN]', ["final a"], []),
    "a mount without options": ("FROM a\nRUN --mount= x", ["final a"], ["syntax 2"]),
    "a mount in CSV's quotes": ('FROM a\nRUN --mount=\\"from=b\\",target=/m x', ["final a", "mount b"], []),
    "a mount in CSV's doubled quotes": (
        'FROM a\nRUN --mount=\\"from=b\\"\\"\\",target=/m x',
        ["final a"],
        ["invalid-reference 2"],
    ),
    "a mount in bare quotes": ('FROM a\nRUN --mount=from=b\\",target=/m x', ["final a"], ["syntax 2"]),
    "a mount in open quotes": ('FROM a\nRUN --mount=\\"from=b,target=/m x', ["final a"], ["syntax 2"]),
    "a mount with text after quotes": ('FROM a\nRUN --mount=\\"from=b\\"c,target=/m x', ["final a"], ["syntax 2"]),
    "a mount of an unknown type": ("FROM a\nRUN --mount=type=x,from=b,target=/m x", ["final a"], ["syntax 2"]),
    "a mount of an unknown type is not looked at where nothing is built": (
        "FROM a\nRUN --mount=type=x,from=b,target=/m x\nFROM c",
        ["stage a ?", "mount b ?", "final c"],
        [],
    ),
    "a mount of a variable type": ("FROM a\nRUN --mount=type=$T,from=b,target=/m x", ["final a", "mount b"], []),
    "a mount with an unknown option": ("FROM a\nRUN --mount=from=b,foo=1 x", ["final a"], ["syntax 2"]),
    "a mount with an unknown word": ("FROM a\nRUN --mount=from=b,foo x", ["final a"], ["syntax 2"]),
    "a secret has no from": ("FROM a\nRUN --mount=type=secret,from=b,id=c x", ["final a"], ["syntax 2"]),
    "a bind mount has no size": ("FROM a\nRUN --mount=from=b,size=1m x", ["final a"], ["syntax 2"]),
    "a size that is none": ("FROM a\nRUN --mount=type=tmpfs,target=/m,size=x x", ["final a"], ["syntax 2"]),
    "a bind mount has no mode": ("FROM a\nRUN --mount=from=b,mode=755 x", ["final a"], ["syntax 2"]),
    "a mode that is none": ("FROM a\nRUN --mount=type=cache,from=b,target=/m,mode=9 x", ["final a"], ["syntax 2"]),
    "a bind mount is not shared": ("FROM a\nRUN --mount=from=b,sharing=locked x", ["final a"], ["syntax 2"]),
    "only a secret is required": ("FROM a\nRUN --mount=from=b,required x", ["final a"], ["syntax 2"]),
    "a mount of a secret": ("FROM a\nRUN --mount=type=secret,id=x,required,target=/m x", ["final a"], []),
    "a network that is none": ("FROM a\nRUN --network=x --mount=from=b,target=/m x", ["final a"], ["syntax 2"]),
    "ENV without a value": (
        "FROM a\nENV A\nENV\nENV A=b c\nENV =x\nENV A b\nLABEL a=b",
        ["final a"],
        [f"syntax {line}" for line in (2, 3, 4, 5)],
    ),
    "WORKDIR with nothing": (
        "FROM a\nWORKDIR\nUSER\nEXPOSE\nVOLUME\nSTOPSIGNAL\nMAINTAINER\nSHELL",
        ["final a"],
        [f"syntax {line}" for line in range(2, 9)],
    ),
    "what SHELL, VOLUME and CMD take": (
        'FROM a\nSHELL sh\nSHELL ["sh"]\nVOLUME [""]\nVOLUME /a\nCMD [1]\nCMD x\nENTRYPOINT ["x"]\nCMD --x y',
        ["final a"],
        ["syntax 2", "syntax 4", "syntax 6", "syntax 9"],
    ),
    "what HEALTHCHECK takes": (
        (
            "FROM a\nHEALTHCHECK NONE\nHEALTHCHECK NONE x\nHEALTHCHECK CMD\nHEALTHCHECK\tCMD\tx\n"
            "HEALTHCHECK FOO x\nHEALTHCHECK --foo=1 CMD x\nHEALTHCHECK --foo=1 NONE"
        ),
        ["final a"],
        ["syntax 3", "syntax 4", "syntax 6", "syntax 7"],
    ),
    "an empty file": ("", [], ["syntax 1"]),
    "only comments": ("# x\n", [], ["syntax 1"]),
    "only ARGs": ("ARG A=1\n", [], ["syntax 1"]),
    "a line that is only an escape": ("FROM a\n\\\n", ["final a"], ["syntax 2"]),
    # --- references
    "tag and digest": (f"FROM x:1@{SHA}", [f"final x:1@{SHA}"], []),
    "digest alone": (f"FROM x@{SHA}", [f"final x@{SHA}"], []),
    "a port": ("FROM localhost:5000/a/b:1", ["final localhost:5000/a/b:1"], []),
}


@pytest.mark.parametrize(("text", "images", "diagnostics"), CONSTRUCTS.values(), ids=CONSTRUCTS.keys())
def test_a_construct_pulls_what_buildkit_pulls(text: str, images: list[str], diagnostics: list[str]) -> None:
    reading = read_dockerfile(text)

    assert pulled(reading) == images
    assert told(reading) == diagnostics


SITES = [
    ("FROM a", "a", 1, 1),
    ("\ufeffFROM  a:1  AS x", "a:1", 1, 1),
    ("# c\r\nFROM --platform=linux/amd64 a\r\n", "a", 2, 2),
    ("FROM \\\n  # c\n  ghcr.io/a/b AS \\\n x", "ghcr.io/a/b", 1, 4),
]


@pytest.mark.parametrize(("text", "spanned", "line", "end_line"), SITES)
def test_a_site_has_lines_and_the_span_of_the_word(text: str, spanned: str, line: int, end_line: int) -> None:
    (image,) = read_dockerfile(text).references

    assert image.span is not None
    assert (text[image.span.start : image.span.end], image.line, image.end_line) == (spanned, line, end_line)
    assert image.written == spanned


@pytest.mark.parametrize(
    ("line", "spanned"),
    [
        ("COPY --from=b:1 / /", "b:1"),
        ("COPY --chown='a b' --from='b:1' / /", "b:1"),
        ("RUN --mount=type=bind,from=b:1,target=/m x", "b:1"),
        ("RUN --mount='type=bind,from=b:1,target=/m' x", "b:1"),
        ("RUN --mount=type=bind,\\\n  from=b:1,target=/m x", None),
        ("ONBUILD COPY --from=b:1 / /", "b:1"),
        ('RUN --mount=\\"from=b:1\\",target=/m x', None),
    ],
)
def test_a_source_has_the_span_of_its_value(line: str, spanned: str | None) -> None:
    text = f"FROM a\n{line}\n"
    found = [image for image in read_dockerfile(text).references if image.written == "b:1"]

    spans = [None if image.span is None else text[image.span.start : image.span.end] for image in found]
    assert spans == ([spanned] if spanned or '"' in line else [])


def test_a_heredocs_body_belongs_to_its_instruction() -> None:
    reading = read_dockerfile("FROM a\nRUN --mount=from=b,target=/m <<E\nx\nE\nCOPY --from=c / /\n")

    assert [(image.line, image.end_line) for image in reading.references] == [(1, 1), (2, 4), (5, 5)]


def test_a_reference_says_its_stage() -> None:
    reading = read_dockerfile("# syntax=x/y\nFROM a AS X\nFROM b\nCOPY --from=c / /")

    assert [image.stage for image in reading.references] == [None, "x", "1", "1"]
    assert [(stage.index, stage.name, stage.line, stage.parent, stage.reachable) for stage in reading.stages] == [
        (0, "x", 2, None, False),
        (1, None, 3, None, True),
    ]


def test_bytes_are_decoded_and_bad_ones_replaced() -> None:
    data = b"\xef\xbb\xbfFROM a\nLABEL x=\xff\nFROM \xff\n"
    reading = read_dockerfile(data)

    assert pulled(reading) == ["stage a ?"]
    assert told(reading) == ["invalid-reference 3"]
    assert reading.references[0].span is not None
    assert decode(data)[reading.references[0].span.start] == "a"


def test_a_file_beyond_the_bound_is_not_read() -> None:
    reading = read_dockerfile(b"#" * (MAX_FILE + 1))

    assert told(reading) == ["unreadable 1"]
    assert reading.references == ()


# --- options -----------------------------------------------------------------------------------------


def test_build_args_win_over_defaults() -> None:
    text = "ARG V=1\nARG W=$V\nFROM a:$W"

    assert pulled(read_dockerfile(text, BuildOptions({"V": "2"}))) == ["final a:2"]


def test_a_build_arg_that_is_not_declared_is_not_seen() -> None:
    reading = read_dockerfile("FROM a:$V", BuildOptions({"V": "2"}))

    assert (pulled(reading), told(reading)) == ([], ["unresolved-arg 1"])


def test_a_build_arg_hides_a_wrong_default() -> None:
    reading = read_dockerfile("ARG V=${\nFROM a:$V", BuildOptions({"V": "2"}))

    assert (pulled(reading), told(reading)) == (["final a:2"], [])


def test_a_build_arg_names_the_frontend() -> None:
    reading = read_dockerfile("# syntax=x/y\nFROM a", BuildOptions({"BUILDKIT_SYNTAX": " x/z:1 more"}))

    assert pulled(reading) == ["frontend x/z:1", "final a"]
    assert reading.references[0].span is None


@pytest.mark.parametrize(
    ("target", "images", "diagnostics"),
    [
        (None, ["stage a ?", "stage b ?", "final c"], []),
        ("", ["stage a ?", "stage b ?", "final c"], []),
        ("x", ["final a", "stage b ?", "stage c ?"], []),
        ("Y", ["stage a", "final b", "stage c ?"], []),
        ("0", ["stage a ?", "stage b ?", "stage c ?"], ["syntax 1"]),
        ("nowhere", ["stage a ?", "stage b ?", "stage c ?"], ["syntax 1"]),
    ],
)
def test_a_target_is_a_stages_name(target: str | None, images: list[str], diagnostics: list[str]) -> None:
    text = "FROM a AS x\nFROM b AS y\nCOPY --from=x / /\nFROM c"
    reading = read_dockerfile(text, BuildOptions({}, target))

    assert (pulled(reading), told(reading)) == (images, diagnostics)


def test_an_argument_holds_the_targets_name() -> None:
    text = "FROM a:$TARGETSTAGE AS x\nFROM b AS y"

    assert pulled(read_dockerfile(text, BuildOptions({}, "X")))[0] == "final a:X"
    assert pulled(read_dockerfile(text))[0] == "stage a:y ?"
    assert pulled(read_dockerfile("FROM a:$TARGETSTAGE")) == ["final a:default"]


def on(*names: str) -> BuildOptions:
    return BuildOptions({}, None, tuple(Platform.parse(name) for name in names))


def by_platform(reading: Reading) -> list[tuple[str, tuple[str, ...]]]:
    return [
        (line, tuple(str(platform) for platform in image.platforms))
        for line, image in zip(pulled(reading), reading.references, strict=True)
    ]


def test_without_a_platform_linux_amd64_is_built_on_linux_amd64() -> None:
    text = "FROM a:$TARGETOS-$TARGETARCH-$BUILDOS-$BUILDARCH$TARGETVARIANT$BUILDVARIANT$TARGETOSVERSION$BUILDOSVERSION"

    assert by_platform(read_dockerfile(text)) == [("final a:linux-amd64-linux-amd64", ("linux/amd64",))]


def test_the_automatic_arguments_need_no_declaration() -> None:
    text = "FROM --platform=$TARGETPLATFORM a:$TARGETARCH$TARGETVARIANT"

    assert by_platform(read_dockerfile(text, on("linux/arm"))) == [("final a:armv7", ("linux/arm/v7",))]


def test_an_image_is_pulled_for_the_platform_of_its_from() -> None:
    text = "# syntax=x/y\nFROM --platform=$BUILDPLATFORM a AS x\nCOPY --from=c / /\nFROM b\nCOPY --from=x / /"

    assert by_platform(read_dockerfile(text, on("linux/arm64", "linux/s390x"))) == [
        ("frontend x/y", ("linux/amd64",)),
        ("stage a", ("linux/amd64",)),
        ("copy c", ("linux/arm64", "linux/s390x")),
        ("final b", ("linux/arm64", "linux/s390x")),
    ]


def test_several_platforms_give_the_union_of_their_images() -> None:
    text = "FROM a:${TARGETARCH}\nFROM b\nCOPY --from=0 / /"

    assert by_platform(read_dockerfile(text, on("linux/amd64", "linux/arm64"))) == [
        ("stage a:amd64", ("linux/amd64",)),
        ("stage a:arm64", ("linux/arm64",)),
        ("final b", ("linux/amd64", "linux/arm64")),
    ]


def test_a_stage_that_one_platform_reaches_is_pulled_for_that_platform() -> None:
    text = "FROM a AS base-amd64\nFROM b AS base-arm64\nFROM c AS unused\nFROM base-$TARGETARCH"
    reading = read_dockerfile(text, on("linux/amd64", "linux/arm64"))

    assert by_platform(reading) == [
        ("final a", ("linux/amd64",)),
        ("final b", ("linux/arm64",)),
        ("stage c ?", ("linux/amd64", "linux/arm64")),
    ]
    assert [stage.reachable for stage in reading.stages] == [True, True, False, True]


def test_a_diagnostic_is_told_once_for_all_platforms() -> None:
    assert told(read_dockerfile("FROM a:$V", on("linux/amd64", "linux/arm64"))) == ["unresolved-arg 1"]


@pytest.mark.parametrize(
    ("flag", "platform"),
    [
        ("linux/aarch64", "linux/arm64"),
        ("amd64", "linux/amd64"),
        ("arm", "linux/arm/v7"),
        ("linux", "linux/amd64"),
        ("macos", "darwin/amd64"),
        ("windows(10.0.17763)/amd64", "windows/amd64"),
        ("linux/arm/v6", "linux/arm/v6"),
    ],
)
def test_a_platform_is_read_as_containerd_reads_it(flag: str, platform: str) -> None:
    (image,) = read_dockerfile(f"FROM --platform={flag} a").references

    assert [str(found) for found in image.platforms] == [platform]


CONTEXTS = {
    "an image stands for an image": ("FROM alpine:3", {"alpine:3": "docker-image://b:1"}, ["final b:1"], []),
    "names are compared in their short form": (
        "FROM alpine",
        {"docker.io/library/alpine:latest": "docker-image://b"},
        ["final b"],
        [],
    ),
    "another tag is another image": ("FROM alpine:3", {"alpine": "docker-image://b"}, ["final alpine:3"], []),
    "a folder stands for an image": ("FROM alpine", {"alpine": "../x"}, [], []),
    "an image stands for a stage": (
        "FROM a AS x\nFROM b\nCOPY --from=x / /",
        {"x": "docker-image://c"},
        ["stage c", "final b"],
        [],
    ),
    "a folder stands for a stage": ("FROM a AS x\nFROM x", {"X": "./y", "x": "./y"}, [], []),
    "scratch stands for an image": ("FROM a", {"a": "docker-image://scratch"}, [], []),
    "an image stands for one that is copied from": (
        "FROM a\nCOPY --from=b / /",
        {"b": "docker-image://c"},
        ["final a", "copy c"],
        [],
    ),
    "a folder stands for one that is mounted": ("FROM a\nRUN --mount=from=b,target=/m x", {"b": "."}, ["final a"], []),
    "no image": ("FROM a", {"a": "docker-image://B"}, [], ["invalid-reference 1"]),
    "scratch and context cannot be named": ("FROM scratch\nFROM a", {"scratch": "docker-image://b"}, ["final a"], []),
    "what is no name is passed over": ("FROM a", {"A B": "docker-image://b"}, ["final a"], []),
    "a digest": (f"FROM a@{SHA}", {f"a@{SHA}": "docker-image://b"}, ["final b"], []),
}


@pytest.mark.parametrize(("text", "contexts", "images", "diagnostics"), CONTEXTS.values(), ids=CONTEXTS.keys())
def test_a_named_context(text: str, contexts: dict[str, str], images: list[str], diagnostics: list[str]) -> None:
    reading = read_dockerfile(text, BuildOptions({}, contexts=contexts))

    assert (pulled(reading), told(reading)) == (images, diagnostics)


def test_an_image_from_a_context_has_no_span() -> None:
    (image,) = read_dockerfile("FROM a", BuildOptions({}, contexts={"a": "docker-image://b"})).references

    assert (image.written, image.span) == ("a", None)


def test_roles_and_categories_are_the_words_of_the_command_line() -> None:
    assert [str(role) for role in Role] == ["final", "stage", "copy", "mount", "frontend", "onbuild"]
    assert [str(category) for category in Category] == [
        "unresolved-arg",
        "template",
        "expansion-not-allowed",
        "invalid-reference",
        "syntax",
        "unreadable",
    ]
