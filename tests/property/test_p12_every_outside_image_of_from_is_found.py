"""P12: for every multi-stage Dockerfile, the images found are those that its FROM lines name, no more, no less."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from image_factory.dockerfile.read import read_dockerfile
from image_factory.dockerfile.reading import Role

# Names that are images, stages or both, as it comes.
NAMES = ("nginx", "alpine", "build", "builder", "base", "0", "node", "scratch")
ALIASES = tuple(name for name in NAMES if name != "0")
OUTSIDE = {
    "debian": "docker.io/library/debian:latest",
    "node:22-slim": "docker.io/library/node:22-slim",
    "ghcr.io/acme/web:1.2": "ghcr.io/acme/web:1.2",
    "localhost:5000/a/b": "localhost:5000/a/b:latest",
    "index.docker.io/acme/x": "docker.io/acme/x:latest",
}


@dataclass
class File:
    """A Dockerfile, and what its FROM lines name from outside."""

    lines: list[str] = field(default_factory=list)
    expected: set[str] = field(default_factory=set)


@st.composite
def files(draw: st.DrawFn) -> File:
    made = File()
    tag = draw(st.sampled_from(["1", "2.3-x"]))
    made.lines += [f"ARG TAG={tag}", "ARG NAME=base"]
    stages: set[str] = set()
    for _ in range(draw(st.integers(2, 6))):
        kind = draw(st.sampled_from(["name", "outside", "tagged", "composed"]))
        if kind == "name":
            word = draw(st.sampled_from(NAMES))
            if word not in stages and word != "scratch":
                made.expected.add(f"docker.io/library/{word}:latest")
        elif kind == "outside":
            word = draw(st.sampled_from(sorted(OUTSIDE)))
            made.expected.add(OUTSIDE[word])
        elif kind == "tagged":
            word = draw(st.sampled_from(["redis:$TAG", "redis:${TAG}", "redis:${TAG:-9}", "redis:${NONE:-${TAG}}"]))
            made.expected.add(f"docker.io/library/redis:{tag}")
        else:
            word = "${NAME}"
            if "base" not in stages:
                made.expected.add("docker.io/library/base:latest")
        keyword = draw(st.sampled_from(["FROM", "from", "From"]))
        platform = draw(st.sampled_from(["", "--platform=$BUILDPLATFORM ", "--platform=linux/arm64 "]))
        broken = draw(st.sampled_from([" ", "\t", " \\\n  ", " \\\n# a comment\n "]))
        line = f"{keyword} {platform}".rstrip() + broken + word
        if draw(st.booleans()):
            alias = draw(st.sampled_from(ALIASES))
            line += f" {draw(st.sampled_from(['AS', 'as']))} {draw(st.sampled_from([alias, alias.upper()]))}"
            stages.add(alias)
        made.lines.append(line)
        made.lines.append(draw(st.sampled_from(["RUN <<E\nFROM nowhere\nE", "# FROM nowhere", "ENV FROM=nowhere", ""])))
    return made


@given(files())
def test_p12_every_outside_image_of_from_is_found_and_nothing_else(made: File) -> None:
    """Broken by: taking a name for a stage before its AS, or for an image after it; taking 0 for an index."""
    reading = read_dockerfile("\n".join(made.lines))

    assert {image.reference.canonical for image in reading.references} == made.expected
    assert {image.role for image in reading.references} <= {Role.FINAL, Role.STAGE}
    assert reading.diagnostics == ()
