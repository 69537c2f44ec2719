"""Generated Dockerfiles and the oracles that judge what the reader makes of them.

`IMAGE_FACTORY_ORACLE_COUNT` says how many Dockerfiles each oracle judges, `IMAGE_FACTORY_ORACLE_SEED`
which ones.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator

import pytest

NAMES = ("build", "deps", "base", "nginx", "alpine", "a", "x1", "B", "scratch", "stage-0", "base-amd64", "base-arm64")
IMAGES = (
    "alpine",
    "nginx:1.27",
    "node:22-bookworm-slim",
    "docker.io/library/alpine:latest",
    "index.docker.io/alpine",
    "ghcr.io/acme/web:1.2",
    "localhost:5000/a/b:1",
    "localhost/x",
    "scratch",
    "acme/app",
    "gcr.io/x/y@sha256:" + "0123456789abcdef" * 4,
    "x:1@sha256:" + "a" * 64,
    "0",
    "1",
    "base-$TARGETARCH",
    "UPPER",
    "a//b",
    "x:",
    "nginx@sha256:1",
    "Registry.example.com/team/app",
    "a" * 64,
    "[::1]:5000/x",
    "é",
    "builder",
)
ARGS = ("V", "TAG", "BASE", "_x", "V2", "TARGETARCH", "EMPTY")
VALUES = (
    "22",
    "alpine",
    "node:22",
    '"3.19"',
    "'q'",
    "",
    '""',
    "$V",
    "${TAG}",
    "${BASE:-alpine}",
    "a\\ b",
    "x$TARGETARCH",
    "1.2.3-rc1",
    "a/b/c",
    "${TARGETPLATFORM}",
    "a$EMPTY",
    "${V",
    "$",
    "'a b'",
)
FORMS = (
    "${X}",
    "$X",
    "${X:-alpine}",
    "${X-nginx}",
    "${X:+busybox}",
    "${X+debian}",
    "${X:?wrong}",
    "${X?}",
    "${X#*.}",
    "${X##*/}",
    "${X%.*}",
    "${X%%-*}",
    "${X%%[0-9]}",
    "${X/2/3}",
    "${X//a/b}",
    "${X/*/z}",
    "${X//?/q}",
    "${X:-${Y}}",
    "${X:-${Y:-node}}",
    "${X:+$Y}",
    '"${X}"',
    "'$X'",
    "\\$X",
    "${X:=a}",
    "${}",
    "${X",
    "$$",
    "$1",
    "${X:}",
    '${X:-"q"}',
    "${X#\\*}",
)
FROM_FLAGS = (
    "--platform=$BUILDPLATFORM",
    "--platform=linux/arm64",
    "--platform=${TARGETPLATFORM}",
    "--platform=$TARGETOS/arm/v7",
    "--platform=$EMPTY",
    "--platform=bogus",
    "--platform=amd64",
    "--platform",
    "--platform=",
    '--platform="linux/amd64"',
    "--plat=x",
    "--",
    "--platform=linux/amd64 --platform=linux/arm64",
)
COPY_FLAGS = (
    "--chown=1:1",
    "--chmod=755",
    "--link",
    "--link=false",
    "--parents",
    "--exclude=*.md --exclude=b",
    "--link=maybe",
    "--chown",
    "--unknown=1",
    "--chown='a b'",
    "--chown=à:x",
)
PLAIN = (
    "WORKDIR /app",
    "ENV A=b C=d",
    "ENV A b c",
    "ENV A",
    "ENV",
    "env =x",
    "LABEL a=b c",
    "LABEL a=\"b c\" d='e'",
    "EXPOSE 80",
    "EXPOSE",
    "USER nobody",
    "USER",
    'CMD ["a", "b"]',
    "CMD [1, 2]",
    "CMD [\"a\", 'b']",
    "CMD echo hi",
    "CMD",
    'ENTRYPOINT ["a\\n"]',
    'SHELL ["/bin/sh"]',
    "SHELL sh",
    "VOLUME /a",
    'VOLUME [""]',
    "STOPSIGNAL 9",
    "STOPSIGNAL",
    "HEALTHCHECK NONE",
    "HEALTHCHECK NONE x",
    "HEALTHCHECK --interval=5s CMD true",
    "HEALTHCHECK --foo=1 CMD true",
    "HEALTHCHECK --foo=1 NONE",
    "HEALTHCHECK CMD",
    "HEALTHCHECK\tCMD\ttrue",
    "MAINTAINER me",
    "MAINTAINER",
    "UNKNOWN x",
    "RUN",
    "RUN echo hi",
    'RUN ["a", "b"]',
    "RUN [1]",
    "RUN --network=none true",
    "RUN --network=x true",
    "RUN --security=insecure true",
    "ARG",
    "ARG X=1 Y",
    "ARG =1",
    "ADD https://x/y /",
    "ADD --from=a b c",
    "ADD a",
    "COPY a",
    'COPY ["a b", "c"]',
    'COPY ["a"]',
    "COPY a <<EOF",
    "ONBUILD",
    "ONBUILD RUN x",
    "ONBUILD FROM x",
    "ONBUILD ONBUILD RUN x",
    "ONBUILD MAINTAINER x",
    "RUN echo $(( 1 << 2 ))",
    "RUN echo $((1<<2))",
    "RUN cat <<< word",
    'RUN echo "<<EOF"',
    "RUN echo '<<EOF'",
    "RUN echo it's <<EOF",
    "FROM",
    "# comment",
    "#",
    "",
    "   ",
    "\t",
)
HEREDOCS = (
    ("<<EOF", "EOF"),
    ("<<-EOF", "\t\tEOF"),
    ("<<-EOF", "EOF"),
    ("<<'EOF'", "EOF"),
    ('<<"E F"', "E F"),
    ("3<<EOF", "EOF"),
    ("<< EOF", "EOF"),
    ("<<E$X", "E$X"),
    ("<<E${X}F", "E${X}F"),
    ("<<E\\F", "EF"),
    ("<<E'O'F", "EOF"),
    ("<<EOF", " EOF"),
    ("<<EOF", "EOF "),
)
MOUNTS = (
    "type=bind,from={},target=/m",
    "from={},target=/m",
    "target=/m,FROM={}",
    "type=cache,target=/c,from={}",
    "type=cache,target=/c",
    "type=tmpfs,target=/t",
    "type=secret,id=x",
    "type=secret,id=x,from={}",
    "type=bind,from={},target=/m,rw",
    "type=bind,from={},target=/m,foo=1",
    "type=wrong,from={},target=/m",
    "type=bind,from={},target=/m,uid=1",
    "type=cache,from={},target=/m,sharing=locked",
    "type=cache,from={},target=/m,sharing=no",
    "type=bind,from={},target=/m,readonly=maybe",
    '\\"from={}\\",target=/m',
    "'type=bind,from={},target=/m'",
    "",
)


class Generator:
    """Makes Dockerfiles, each from its own seed, most of them valid and all of them odd."""

    def __init__(self, seed: int, oddity: float) -> None:
        self._random = random.Random(seed)
        self._oddity = oddity

    def _odd(self, scale: float = 1.0) -> bool:
        return self._random.random() < self._oddity * scale

    def _pick(self, items: tuple[str, ...], sane: int) -> str:
        return self._random.choice(items if self._odd() else items[:sane])

    def file(self) -> str:
        lines: list[str] = []
        if self._random.random() < 0.2:
            lines.append(self._pick(("# syntax=docker/dockerfile:1", "#syntax = a/b:2  x ", "# syntax=$X", "#!/x"), 2))
        escape = "\\"
        if self._random.random() < 0.15:
            escape = "`"
            lines.append(self._pick(("# escape=`", "#ESCAPE =`", " # escape=`", "# escape=x"), 2))
            if self._odd():
                lines.append(self._pick(("# escape=`", "# check=skip=all", "# syntax=x/y", "# foo=bar"), 4))
            escape = "`" if lines[-1].lower().replace(" ", "").startswith("#escape=`") else escape
        for _ in range(self._random.randrange(4)):
            lines.append(self._arg())
        for _ in range(self._random.randrange(1, 5)):
            lines.append(self._continued(self._from(), escape))
            for _ in range(self._random.randrange(5)):
                lines += self._instruction(escape)
        newline = "\r\n" if self._odd(0.3) else "\n"
        text = newline.join(lines) + (newline if self._random.random() < 0.8 else "")
        return ("\ufeff" if self._odd(0.2) else "") + text

    def _arg(self) -> str:
        parts = [
            self._random.choice(ARGS) + (f"={self._pick(VALUES, 4)}" if self._random.random() < 0.8 else "")
            for _ in range(self._random.choice((1, 1, 1, 2, 3)))
        ]
        return self._cased("ARG") + " " + " ".join(parts)

    def _image(self) -> str:
        chance = self._random.random()
        if chance < 0.45:
            return self._pick(IMAGES, 12)
        if chance < 0.65:
            return self._random.choice(NAMES)
        form = self._pick(FORMS, 6).replace("X", self._random.choice(ARGS)).replace("Y", self._random.choice(ARGS))
        return self._random.choice(("", "", "node:", "ghcr.io/a/")) + form + self._random.choice(("", "", "-slim"))

    def _from(self) -> str:
        words = [self._cased("FROM")]
        if self._random.random() < 0.25:
            words.append(self._pick(FROM_FLAGS, 4))
        words.append(self._image())
        if self._random.random() < 0.6:
            words += [self._cased("AS"), self._random.choice(NAMES)]
        if self._odd(0.1):
            words.append("extra")
        return self._blank().join(words)

    def _source(self) -> str:
        chance = self._random.random()
        if chance < 0.45:
            return self._random.choice(NAMES)
        if chance < 0.6:
            return self._random.choice(("0", "1", "+0", "00", "2", "-1", "7"))
        return self._pick((*IMAGES[:12], "$V", "${V}", "a$", "'alpine'", "a\\b", *IMAGES[12:]), 12)

    def _instruction(self, escape: str) -> list[str]:
        chance = self._random.random()
        trigger = "ONBUILD " if self._odd(0.3) else ""
        if chance < 0.3:
            flags = [f"--from={self._source()}"]
            for _ in range(self._random.randrange(3)):
                flags.append(self._pick(COPY_FLAGS, 6))
            self._random.shuffle(flags)
            return [self._continued(f"{trigger}{self._cased('COPY')} {self._blank().join(flags)} a b", escape)]
        if chance < 0.5:
            mounts = [
                "--mount=" + self._pick(MOUNTS, 6).format(self._source()) for _ in range(self._random.randrange(1, 4))
            ]
            return [self._continued(f"{trigger}{self._cased('RUN')} {self._blank().join(mounts)} make all", escape)]
        if chance < 0.65:
            marks = [self._random.choice(HEREDOCS if self._odd() else HEREDOCS[:6]) for _ in range(1 + self._odd())]
            body = ["FROM nope", "COPY --from=nope a b", "\tx", "# no comment", "y \\"]
            lines = [f"{trigger}{self._random.choice(('RUN', 'COPY', 'ADD'))} {' '.join(m for m, _ in marks)} /x"]
            for _, end in marks:
                lines += [*self._random.sample(body, self._random.randrange(3)), end]
            return lines
        if self._odd():
            return [self._continued(self._random.choice(PLAIN), escape)]
        return [self._random.choice(("WORKDIR /app", "ENV A=b", "RUN make", 'CMD ["x"]', "USER me", "# c", ""))]

    def _cased(self, word: str) -> str:
        return self._random.choice((word, word, word.lower(), word.capitalize()))

    def _blank(self) -> str:
        return self._random.choice((" ", " ", " ", "  ", "\t", " \t")) if self._odd() else " "

    def _continued(self, line: str, escape: str) -> str:
        if not self._odd(0.8) or len(line) < 3:
            return line
        at = self._random.randrange(1, len(line))
        between = self._random.choice(("", "", "# comment\n", "\n", "  # c\n", f"{escape}\n"))
        return f"{line[:at]}{escape}{self._random.choice(('', ' ', chr(9)))}\n{between}{line[at:]}"


@pytest.fixture(scope="session")
def dockerfiles() -> Callable[[int], Iterator[str]]:
    """Makes as many Dockerfiles as the environment asks for, or as the caller does."""
    seed = int(os.environ.get("IMAGE_FACTORY_ORACLE_SEED", "1"))

    def generate(default: int) -> Iterator[str]:
        for number in range(int(os.environ.get("IMAGE_FACTORY_ORACLE_COUNT", str(default)))):
            oddity = (0.0, 0.05, 0.15, 0.4)[number % 4]
            yield Generator(seed * 1_000_003 + number, oddity).file()

    return generate
