"""The command lines that build images, as scripts hold them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_factory.imports.build_commands import BuildCommand, read_commands

SCRIPTS: dict[str, tuple[str, list[BuildCommand]]] = {
    "docker": ("docker build -t acme/web:1 .", [BuildCommand(("acme/web:1",))]),
    "buildx, with all options": (
        "docker buildx build --platform linux/amd64 -f api/Dockerfile --target run --build-arg A=1 -t a/api:2 api",
        [
            BuildCommand(
                ("a/api:2",),
                "api/Dockerfile",
                "api",
                ".",
                "run",
                ("linux/amd64",),
                ("A=1",),
            )
        ],
    ),
    "both ways to give a word": (
        "docker build --tag=a/b -t a/c --build-arg=B=2 --cache-from type=gha --platform=linux/amd64,linux/arm64 .",
        [BuildCommand(("a/c", "a/b"), platforms=("linux/amd64", "linux/arm64"), build_args=("B=2",))],
    ),
    "over lines": ("docker build \\\n  -t acme/web \\\n  .\n", [BuildCommand(("acme/web",))]),
    "behind others": ("set -e; docker login x && sudo docker build -t a/b . | tee log", [BuildCommand(("a/b",))]),
    "with variables before it": (
        "DOCKER_BUILDKIT=1 docker build -ta/b -fx/Dockerfile .",
        [BuildCommand(("a/b",), "x/Dockerfile")],
    ),
    "in a folder": ("cd apps/web && docker build -t a/b .", [BuildCommand(("a/b",), folder="apps/web")]),
    "in a folder, line by line": (
        "cd apps\ncd web\ndocker build -t a/b .",
        [BuildCommand(("a/b",), folder="apps/web")],
    ),
    "kaniko": (
        "/kaniko/executor --context $X --dockerfile a/Dockerfile --destination r.io/a:1 --cache=true",
        [BuildCommand(("r.io/a:1",), "a/Dockerfile", "$X")],
    ),
    "buildah": ("buildah bud -t a/b .", [BuildCommand(("a/b",))]),
    "podman": ("podman build --tag a/b ctx", [BuildCommand(("a/b",), context="ctx")]),
    "no name": ("docker build .", [BuildCommand()]),
    "other commands": ("docker push a/b\nnpm run build\necho docker build -t a/b .", []),
    "a line without end": (f"docker build -t a/b {'x' * 9000}\ndocker build -t a/c .", [BuildCommand(("a/c",))]),
    "an open quote": ("echo 'it\ndocker build -t a/b .", [BuildCommand(("a/b",))]),
    "an option without its word": ("docker build -t", [BuildCommand(("",))]),
}


@pytest.mark.parametrize("case", SCRIPTS)
def test_a_build_is_read_from_its_script(case: str) -> None:
    script, expected = SCRIPTS[case]

    assert list(read_commands(script)) == expected


@given(st.text(st.sampled_from(" \n\\'\"$;&|()-tf.=/\0abdocker build"), max_size=60))
def test_any_script_is_read(script: str) -> None:
    assert all(isinstance(each, BuildCommand) for each in read_commands(f"docker build {script}\n{script}"))
