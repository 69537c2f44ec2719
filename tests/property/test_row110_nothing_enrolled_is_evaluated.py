"""Row 110 and architecture, "Security boundaries": what people enroll never becomes an expression of Kargo's or Argo's.

Each field that reaches a resource is given texts that would end a literal or begin an expression, past the checks that
enrollments pass first. Either the image is refused, or what Kargo evaluates is what it evaluates of a harmless one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("image_factory_synth", reason="image-factory-synth is not installed")
pytest.importorskip("image_factory_github", reason="image_factory_github is not installed")
pytest.importorskip("image_factory_gitlab", reason="image_factory_gitlab is not installed")
pytest.importorskip("image_factory_kustomize", reason="image_factory_kustomize is not installed")
pytest.importorskip("image_factory_yaml", reason="image_factory_yaml is not installed")

from image_factory.errors import ImageFactoryError
from image_factory.model.enrollment import Source, Update
from image_factory.model.settings import KargoSettings, Settings
from image_factory_cli.folder import workbench
from image_factory_synth.charts import plan_charts
from image_factory_synth.data import Inventory, ManagedImage, Role, WatchedImage
from image_factory_synth.versions import KNOWN

PLUGINS = workbench(Path(), Settings()).plugins
SETTINGS = KargoSettings(state_repository="https://git.example.com/state.git", job_image="ghcr.io/acme/tool:1")
HOSTILE = st.lists(
    st.sampled_from(
        [
            *("${{", "}}", "${%", "%}", "{{", "$", "{", "}", "%"),
            *('"', "'", "\\", "`", "\n", "\u2028", "\x1b", " ", "/", "..", "-", "a", "web", "1.2", "é"),
            *(' + secret("github-credentials").password + ', "args.imageTag", "glob:**", "--option", "outputs.rebuild"),
        ]
    ),
    min_size=1,
    max_size=6,
).map("".join)
FIELDS = {
    "image": ("name", "repo_url", "tag", "constraint", "current_version", "allow_tags"),
    "source": ("repo", "host", "branch", "dockerfile", "paths", "workflow", "ref", "inputs", "provider"),
    "update": ("repo", "path", "branch", "key", "provider", "type"),
    "base": ("name", "repo_url", "allow_tags", "tag"),
}
PLACES = [(record, name) for record, names in FIELDS.items() for name in names]
_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}|\$\{%(.*?)%\}", re.DOTALL)
_LITERAL = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'')
_STEPS = re.compile(r"(\[(…|\d+)\])+")
"""A path of keys, of any length."""
_BARE = ("fromExpression", "successExpression", "failureExpression", "errorExpression")
"""Fields that Kargo evaluates as they are."""


ATTACKS = (
    "${{ secret('github-credentials').password }}",
    "${% ctx.stage %}",
    '" + secret("github-credentials").password + "',
    "' + secret('github-credentials').password + '",
    '\\" + ctx.stage + "',
    "x }} ${{ ctx.stage }}",
    "x %} ${% ctx.stage %}",
    "x }} y",
    "x %} y",
    "{{args.imageTag}}",
    "x\\",
    "x\ny: z",
)


def planned(provider: str, record: str, field: str, text: str | None, **entry: str) -> list[dict[str, Any]]:
    """What is written where one field is `text`, past the checks of enrollments; raises where that is refused."""

    def made(kind: str, **values: Any) -> dict[str, Any]:
        if kind == record:
            values[field] = {"paths": (text,), "inputs": {"base_images": text}}.get(field, text)
        return values

    given_source = Source(repo="acme/web", provider=provider).model_copy(update=made("source", provider=provider))
    entries = [
        Update(repo="acme/deploy", path="a.yaml", type="yaml-update", key="image.tag", mode="pr"),
        Update(repo="acme/deploy", path="apps/web", type="kustomize-set-image"),
        Update(repo="acme/deploy", path="templates/a.yaml", type="helm-update-image"),
    ]
    image = ManagedImage(
        **made("image", name="web", repo_url="ghcr.io/acme/web"),
        source=given_source,
        updates=tuple(each.model_copy(update={**made("update"), **entry}) for each in entries),
    )
    base = WatchedImage(
        **made("base", name="node", repo_url="docker.io/library/node", allow_tags="^22$"), role=Role.BASE
    )
    plan = plan_charts(Inventory((image,), (base,)), SETTINGS, KNOWN[-1], providers=PLUGINS)
    return [document for chart in plan.charts for document in chart.documents]


def texts(value: object, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text below a value, with the key that it is at."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield "key", name
            yield from texts(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item, key)
    elif isinstance(value, str):
        yield key, value


def evaluated(documents: list[dict[str, Any]]) -> set[str]:
    """Everything that Kargo or Argo evaluates, without what its literals hold."""
    found: set[str] = set()
    for document in documents:
        kind = document["kind"]
        for key, text in texts(document):
            expressions = [text] if key in _BARE else [part[1] or part[2] for part in _EXPRESSION.finditer(text)]
            found |= {f"{kind}: {_STEPS.sub('[…]', _LITERAL.sub('…', each))}" for each in expressions}
            rest = "" if key in _BARE else _EXPRESSION.sub("", text)
            assert "${{" not in rest
            assert "${%" not in rest
        # What a verification is told becomes the text of a job, in which Argo evaluates.
        jobs = document if kind in ("AnalysisTemplate", "CronJob") else document.get("spec", {}).get("verification", {})
        rests = [_EXPRESSION.sub("", text) for _, text in texts(jobs)]
        found |= {f"{kind}: {each}" for rest in rests for each in re.findall(r"\{\{.*?\}\}", rest)}
    return found


HARMLESS = {
    expression
    for provider in ("github", "gitlab")
    # An entry that sets a tag, a digest or both, and one that a job carries.
    for key in ("image.tag", "image.digest", "image", None)
    for kind in ("yaml-update", "helm-update-image", "kustomize-set-image")
    for expression in evaluated(planned(provider, "update", "key", key, type=kind))
}
"""All that is evaluated of an image whose every field is harmless."""


def check(provider: str, place: tuple[str, str], text: str) -> None:
    try:
        documents = planned(provider, *place, text)
    except ImageFactoryError:
        return
    assert evaluated(documents) <= HARMLESS


@pytest.mark.parametrize("place", PLACES, ids=".".join)
def test_no_known_attack_is_evaluated(place: tuple[str, str]) -> None:
    for provider in ("github", "gitlab"):
        for text in ATTACKS:
            check(provider, place, text)


@pytest.mark.parametrize("provider", ["github", "gitlab"])
@settings(deadline=None, max_examples=150)
@given(place=st.sampled_from(PLACES), text=HOSTILE)
def test_nothing_that_is_enrolled_is_evaluated(provider: str, place: tuple[str, str], text: str) -> None:
    check(provider, place, text)
