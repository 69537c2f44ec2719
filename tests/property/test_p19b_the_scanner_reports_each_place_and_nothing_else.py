"""P19b: for every file that names a managed image, the scanner reports that place, and nothing else."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from image_factory.oci.reference import Repository
from image_factory.usecases.scan import scan

kustomize: Any = pytest.importorskip("image_factory_kustomize.updater", reason="the plugin kustomize is not installed")
yaml: Any = pytest.importorskip("image_factory_yaml.updater", reason="the plugin yaml is not installed")
helm: Any = pytest.importorskip("image_factory_helm.updater", reason="the plugin helm is not installed")

UPDATERS = (kustomize.KustomizeUpdater(), yaml.YamlUpdater(), helm.HelmUpdater())
IMAGES = {
    "web": Repository("ghcr.io", "acme/web"),
    "api": Repository("registry.example:5000", "team/sub/api"),
    "hub": Repository("docker.io", "acme/hub"),
}
NAMES = {"web": "ghcr.io/acme/web", "api": "registry.example:5000/team/sub/api", "hub": "acme/hub"}
STRANGERS = ["ghcr.io/acme/web-api", "quay.io/acme/web", "ghcr.io/acme/web/more", "acme/hubs", "team/sub/api", "redis"]

# A part of a file, its lines; on the one that ends with a space the image stands.
RAW = ["k{n}:\n  image: {name}:1 ", "k{n}:\n  - x: y\n    image: '{name}:1' ", "k{n}: {{image: {name}:1}} "]
VALUES = [
    "k{n}:\n  image:\n    tag: '1'\n    repository: {name} ",
    "k{n}: {{image: {{repository: {name}, tag: v1}}}} ",
    "k{n}:\n  image: {name}:v1 ",
]
ENTRY = ["- name: {name} \n  newTag: '1'", "- newTag: v1 \n  name: k{n}\n  newName: {name}"]
CODE = ['const image{n} = "{name}:1"; ']
TEMPLATE = ["{{{{- if .x }}}}\nimage: {name}:1 \n{{{{- end }}}}"]
COMMENT = ["# image: {name}:1", ""]
KINDS: dict[str, tuple[str, list[str], list[str], str | None]] = {
    # folder and file, parts, parts without a place, updater
    "raw": ("{n}/pod.yaml", RAW, COMMENT, "yaml-update"),
    "values": ("{n}/values-x.yaml", VALUES, COMMENT, "helm-update-image"),
    "kustomization": ("{n}/kustomization.yaml", ENTRY, COMMENT, "kustomize-set-image"),
    "template": ("{n}/templates/x.yaml", TEMPLATE, COMMENT, "helm-update-image"),
    "code": ("{n}/main.ts", CODE, ["// {name} alone", "x: {name}-more:1"], None),
}


@st.composite
def files(draw: st.DrawFn, number: int) -> tuple[str, str, list[tuple[str, int, str | None]]]:
    """A file: its path, its text, and the places in it: image, line, updater."""
    kind = draw(st.sampled_from(sorted(KINDS)))
    path, naming, silent, updater = KINDS[kind]
    lines = ["images:"] if kind == "kustomization" else []
    places = []
    for part in range(draw(st.integers(0, 5))):
        image = draw(st.sampled_from([*NAMES, None]))
        is_silent = draw(st.booleans())
        name = draw(st.sampled_from(STRANGERS)) if image is None else NAMES[image]
        added = draw(st.sampled_from(silent if is_silent else naming)).format(n=part, name=name).split("\n")
        for offset, line in enumerate(added):
            if image is not None and not is_silent and line.endswith(" "):
                places.append((image, len(lines) + offset + 1, updater))
        lines += added
    return path.format(n=number), "\n".join(lines) + "\n", places


trees = st.integers(0, 5).flatmap(lambda count: st.tuples(*(files(number) for number in range(count))))


@settings(max_examples=60)
@given(trees)
def test_every_place_is_reported_and_nothing_else(
    tree: tuple[tuple[str, str, list[tuple[str, int, str | None]]], ...],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for path, text, _ in tree:
            file = Path(folder) / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

        found = scan(Path(folder), IMAGES, UPDATERS)

    expected = [(path, line, image, updater) for path, _, places in tree for image, line, updater in places]
    assert sorted((place.file, place.mention.line, place.image, place.type) for place in found.places) == sorted(
        expected
    )
    assert {proposal.image for proposal in found.proposals} == {image for _, _, image, type_ in expected if type_}
    assert found.problems == ()
