"""P20b: applying a version changes all references of that image to it, and no other byte of the file."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_factory.model.mention import ImageVersion, Target
from image_factory.oci.reference import Repository

kustomize: Any = pytest.importorskip("image_factory_kustomize.updater", reason="the plugin kustomize is not installed")
yaml: Any = pytest.importorskip("image_factory_yaml.updater", reason="the plugin yaml is not installed")
helm: Any = pytest.importorskip("image_factory_helm.updater", reason="the plugin helm is not installed")

WEB = Repository("ghcr.io", "acme/web")
# Tags that every reader takes for text, so that the text alone tells what is expected; and the others apart.
tags = st.from_regex(r"\Av[0-9][A-Za-z0-9._-]{0,8}\Z")
numbers = st.sampled_from(["3.10", "1e3", "2024-01-01", "0x1F", "12", "on", "null", "1_0"])
comments = st.sampled_from(["", "", "  # ghcr.io/acme/web:OLD", " # keep: 'this'", "   "])
gaps = st.sampled_from(["", "", "\n", "# ghcr.io/acme/web:OLD\n", "\n\n# {}: [\n"])

REFERENCES = [
    "image: ghcr.io/acme/web:TAG",
    'image: "ghcr.io/acme/web:TAG"',
    "image:   'ghcr.io/acme/web:TAG'",
    "image: &a NUMBER ghcr.io/acme/web:TAG",
    "images: [ghcr.io/acme/web:TAG, 'ghcr.io/acme/web-api:OLD']",
    "env: {SELF: ghcr.io/acme/web:TAG, OTHER: quay.io/acme/web:OLD}",
    "containers:\n  - name: a\n    image: ghcr.io/acme/web:TAG\n  - image: ghcr.io/acme/web/x:OLD",
    "image: >-\n  ghcr.io/acme/web:TAG",
    "image: !!str ghcr.io/acme/web:TAG",
]
NOISE = [
    "image: ghcr.io/acme/api:OLD",
    "tag: OLD",
    "note: run ghcr.io/acme/web:OLD by hand",
    "script: |\n  docker run ghcr.io/acme/web:OLD\n  # end",
    "path: https://ghcr.io/acme/web:OLD",
    "empty:",
    "'quoted key': {a: [b, {c: OLD}]}",
    "? complex\n: OLD",
]
BLOCKS = [
    "image: {repository: ghcr.io/acme/web, tag: TAG}",
    "image:\n  registry: ghcr.io\n  repository: acme/web\n  tag: TAG",
    "image:\n  tag: 'TAG'\n  pullPolicy: Always\n  repository: ghcr.io/acme/web",
    'web:\n  - image: {repository: "ghcr.io/acme/web", tag: "TAG", digest: ""}',
    "image: {registry: quay.io, repository: acme/web, tag: OLD}\nimages: [ghcr.io/acme/web:TAG]",
]
ENTRIES = [
    "name: ghcr.io/acme/web\n  newTag: TAG",
    "newTag: 'TAG'\n  name: ghcr.io/acme/web",
    'name: front\n  newName: ghcr.io/acme/web\n  # ours\n  newTag: "TAG"',
]
OTHERS = ["name: ghcr.io/acme/api\n  newTag: OLD", "name: ghcr.io/acme/web\n  newName: quay.io/acme/web\n  newTag: OLD"]


@st.composite
def texts(draw: st.DrawFn, naming: list[str], noise: list[str], join: str) -> str:
    """A file of parts, at least one of which names the image, each under a key of its own."""
    parts = [draw(st.sampled_from(naming)), *draw(st.lists(st.sampled_from([*naming, *noise]), max_size=5))]
    written = []
    for number, part in enumerate(draw(st.permutations(parts))):
        body = part.replace("&a NUMBER", f"&a{number}")
        # A comment may not stand behind a block's last line: it would be a part of it.
        end = "" if "|" in part or ">-" in part else draw(comments)
        written.append(draw(gaps) + join.format(number=number, body=body.replace("\n", "\n  "), end=end, plain=body))
    return "".join(written)


layouts = st.sampled_from([("", "\n"), ("", "\r\n"), ("\ufeff", "\n"), ("---\n", "\n"), ("# top\n---\n", "\r\n")])


def check(updater: Any, path: str, text: str, layout: tuple[str, str], is_cut: bool, old: str, new: str) -> None:
    begin, newline = layout
    text = f"{begin}{text}".replace("OLD", old)
    text = (text.rstrip("\n ") if is_cut else text).replace("\n", newline)

    changed = updater.replace(text.replace("TAG", old), Target(WEB, path), ImageVersion(new))

    assert changed == text.replace("TAG", new)
    assert updater.replace(changed, Target(WEB, path), ImageVersion(new)) == changed


@given(texts(REFERENCES, NOISE, "k{number}:\n  {body}{end}\n"), layouts, st.booleans(), tags, tags)
def test_yaml_changes_the_references_alone(
    text: str, layout: tuple[str, str], is_cut: bool, old: str, new: str
) -> None:
    check(yaml.YamlUpdater(), "a.yaml", text, layout, is_cut, old, new)


@given(texts(BLOCKS + REFERENCES, NOISE, "k{number}:\n  {body}{end}\n"), layouts, st.booleans(), tags, tags)
def test_helm_changes_the_tags_and_references_alone(
    text: str, layout: tuple[str, str], is_cut: bool, old: str, new: str
) -> None:
    check(helm.HelmUpdater(), "values.yaml", text, layout, is_cut, old, new)


@given(texts(ENTRIES, OTHERS, "- {plain}{end}\n"), layouts, st.booleans(), tags, tags)
def test_kustomize_changes_the_entries_alone(
    text: str, layout: tuple[str, str], is_cut: bool, old: str, new: str
) -> None:
    head = f"{layout[0]}resources: [a]\nimages:\n"
    check(kustomize.KustomizeUpdater(), "kustomization.yaml", text, (head, layout[1]), is_cut, old, new)


@given(texts(ENTRIES, OTHERS, "- {plain}{end}\n"), tags, numbers)
def test_a_tag_like_a_number_gets_quotes_and_nothing_else_does(text: str, old: str, new: str) -> None:
    text = f"images:\n{text}".replace("OLD", old)

    changed = kustomize.KustomizeUpdater().replace(
        text.replace("TAG", old), Target(WEB, "kustomization.yaml"), ImageVersion(new)
    )

    assert changed.replace(f'"{new}"', new) == text.replace('"TAG"', "TAG").replace("TAG", new)
