"""P13: for every Dockerfile that names one image again and again, in whatever spelling, it is one image."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from image_factory.dockerfile.read import read_dockerfile

PATHS = st.sampled_from(["node", "acme/web", "acme/deep/web"])
TAGS = st.sampled_from(["", "latest", "1.2"])


def spellings(path: str, tag: str) -> list[str]:
    """Every way to write one image of Docker Hub."""
    names = [f"{host}{path}" for host in ("docker.io/", "index.docker.io/", "registry-1.docker.io/", "Docker.io/")]
    if "/" not in path:
        names += [path, f"library/{path}", f"docker.io/library/{path}"]
    else:
        names.append(path)
    tags = ["", ":latest"] if tag in ("", "latest") else [f":{tag}"]
    return [name + suffix for name in names for suffix in tags]


@st.composite
def repeated(draw: st.DrawFn) -> tuple[str, str]:
    path, tag = draw(PATHS), draw(TAGS)
    written = draw(st.lists(st.sampled_from(spellings(path, tag)), min_size=2, max_size=5))
    lines = []
    for word in written:
        lines.append(draw(st.sampled_from([f"FROM {word}", f'FROM "{word}"', f"FROM --platform=linux/amd64 {word}"])))
        lines.append(draw(st.sampled_from([f"COPY --from={word} / /", f"RUN --mount=from={word},target=/m true", ""])))
    full = path if "/" in path else f"library/{path}"
    return "\n".join(lines), f"docker.io/{full}:{tag or 'latest'}"


@given(repeated())
def test_p13_an_image_is_one_however_it_is_spelled(made: tuple[str, str]) -> None:
    """Broken by: comparing references as they are written, or not folding the names of Docker Hub's host."""
    text, canonical = made
    references = read_dockerfile(text).references

    assert len(references) >= 2
    assert len({image.reference for image in references}) == 1
    assert {image.reference.canonical for image in references} == {canonical}
