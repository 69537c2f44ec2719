"""P19: for every enrollment with valid `updates` there is one stage for each image, repository and format."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("image_factory_synth", reason="image-factory-synth is not installed")
pytest.importorskip("image_factory_github", reason="image_factory_github is not installed")
pytest.importorskip("image_factory_helm", reason="image_factory_helm is not installed")
pytest.importorskip("image_factory_kustomize", reason="image_factory_kustomize is not installed")
pytest.importorskip("image_factory_yaml", reason="image_factory_yaml is not installed")

from image_factory.model.enrollment import UPDATE_TYPES, Source, Update
from image_factory.model.settings import KargoSettings, Settings
from image_factory_cli.folder import workbench
from image_factory_synth.charts import plan_charts
from image_factory_synth.data import Inventory, ManagedImage
from image_factory_synth.versions import KNOWN, KargoVersion

PLUGINS = workbench(Path(), Settings()).plugins
SETTINGS = KargoSettings(state_repository="https://git.example.com/state.git", job_image="ghcr.io/acme/tool:1")
NAMES = st.one_of(
    st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True),
    # One image's name and another's repository make the words that another image's and this one's make.
    st.sampled_from(["a", "a-b", "a-b-c", "web", "web-acme"]),
    st.from_regex(r"[a-z]{50,63}", fullmatch=True),
)
REPOSITORIES = st.sampled_from(["acme/deploy", "Acme/Deploy", "acme-deploy/x", "b/c", "c/d", f"acme/{'long-' * 15}x"])
UPDATES = st.builds(
    Update,
    repo=REPOSITORIES,
    path=st.sampled_from(["apps/web", "web/values.yaml", "web/templates/deployment.yaml"]),
    type=st.sampled_from(UPDATE_TYPES),
    branch=st.sampled_from(["main", "release/1.2", "2"]),
    key=st.sampled_from([None, "image.tag", "images.0.tag"]),
    mode=st.sampled_from(["push", "pr"]),
)
IMAGES = st.lists(
    st.tuples(NAMES, st.lists(UPDATES, max_size=6)), min_size=1, max_size=5, unique_by=lambda item: item[0]
)


def inventory(images: list[tuple[str, list[Update]]]) -> Inventory:
    return Inventory(
        tuple(
            ManagedImage(
                name=name, repo_url=f"ghcr.io/acme/i{index}", source=Source(repo="acme/web"), updates=tuple(updates)
            )
            for index, (name, updates) in enumerate(images)
        )
    )


def stages(found: Inventory, version: KargoVersion) -> dict[str, list[dict[str, Any]]]:
    """The stages that carry each image."""
    plan = plan_charts(found, SETTINGS, version, providers=PLUGINS)
    assert plan.planned.outcomes == ()
    assert plan.planned.notes == ()
    return {
        chart.name: [
            one
            for one in chart.documents
            if one["kind"] == "Stage" and one["metadata"]["labels"]["image-factory.io/role"] == "update"
        ]
        for chart in plan.charts[1:]
    }


@settings(deadline=None, max_examples=60)
@given(images=IMAGES, version=st.sampled_from(KNOWN))
def test_p19_one_stage_for_each_image_repository_and_format(
    images: list[tuple[str, list[Update]]], version: KargoVersion
) -> None:
    found = stages(inventory(images), version)

    for name, updates in images:
        assert len(found[name]) == len({(update.repo, update.type) for update in updates})
        for stage in found[name]:
            (request,) = stage["spec"]["requestedFreight"]
            assert request["origin"] == {"kind": "Warehouse", "name": name}
            assert request["sources"].keys() == {"stages"}
            assert stage["metadata"]["labels"]["image-factory.io/promotion"] == "automatic"
            assert re.fullmatch(r"update-[a-z0-9]([a-z0-9-]{0,54}[a-z0-9])?", stage["metadata"]["name"])
    names = [stage["metadata"]["name"] for each in found.values() for stage in each]
    assert len(set(names)) == len(names)


@settings(deadline=None, max_examples=30)
@given(images=IMAGES, data=st.data())
def test_a_stage_keeps_its_name_when_other_entries_come_and_go(
    images: list[tuple[str, list[Update]]], data: st.DataObject
) -> None:
    kept = [(name, [update for update in updates if data.draw(st.booleans())]) for name, updates in images]

    def names(given: list[tuple[str, list[Update]]]) -> set[str]:
        return {stage["metadata"]["name"] for each in stages(inventory(given), KNOWN[-1]).values() for stage in each}

    assert names(kept) <= names(images)
