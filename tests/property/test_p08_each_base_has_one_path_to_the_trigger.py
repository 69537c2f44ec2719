"""P8: the manifests hold exactly one path from the Warehouse of a base image to the one trigger of each image on it.

The path: the base's Warehouse -> its observation -> state in git, where the coordination writes the image's request ->
the Warehouse of that one file -> the image's one trigger.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("image_factory_synth", reason="image-factory-synth is not installed")
pytest.importorskip("image_factory_github", reason="image_factory_github is not installed")

from image_factory.model.enrollment import Source
from image_factory.model.settings import KargoSettings, Settings
from image_factory_cli.folder import workbench
from image_factory_synth.charts import plan_charts
from image_factory_synth.data import Inventory, ManagedImage, Role, WatchedImage
from image_factory_synth.versions import KargoVersion

PLUGINS = workbench(Path(), Settings()).plugins
SETTINGS = KargoSettings(state_repository="https://git.example.com/state.git", job_image="ghcr.io/acme/tool:1")
LONG = "a-name-that-is-as-long-as-a-label-may-be-and-then-is-cut"
"""Names that only differ beyond what a stage's name has room for."""
NAMES = st.lists(
    st.one_of(
        st.from_regex(r"[a-z][a-z0-9-]{0,20}[a-z0-9]", fullmatch=True),
        st.from_regex(r"[a-z0-9]{1,7}", fullmatch=True).map(lambda end: f"{LONG}{end}"),
    ),
    unique=True,
    min_size=2,
    max_size=12,
)


def named(documents: list[dict[str, Any]], kind: str, role: str) -> dict[str, dict[str, Any]]:
    found = [
        one
        for one in documents
        if one["kind"] == kind and one["metadata"].get("labels", {}).get("image-factory.io/role") == role
    ]
    by_name = {one["metadata"]["name"]: one for one in found}
    assert len(by_name) == len(found)
    return by_name


def origins(stage: dict[str, Any]) -> list[str]:
    return [request["origin"]["name"] for request in stage["spec"]["requestedFreight"]]


@settings(deadline=None, max_examples=40)
@given(names=NAMES, data=st.data())
def test_p08_every_edge_has_one_path_and_every_image_one_trigger(names: list[str], data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(names) - 1))
    bases = tuple(
        WatchedImage(name=name, role=Role.BASE, repo_url="docker.io/library/a", allow_tags="^1$", tag="1")
        for name in names[:cut]
    )
    images = tuple(
        ManagedImage(name=name, repo_url="ghcr.io/acme/a", source=Source(repo="acme/a")) for name in names[cut:]
    )

    plan = plan_charts(Inventory(images, bases), SETTINGS, KargoVersion(1, 11), providers=PLUGINS)
    documents = [document for chart in plan.charts for document in chart.documents]

    assert plan.planned.outcomes == ()
    assert all(len(document["metadata"]["name"]) <= 63 for document in documents)
    warehouses = named(documents, "Warehouse", "base")
    observed = named(documents, "Stage", "observe").values()
    for name in warehouses:
        assert [origins(stage) for stage in observed].count([name]) == 1
    assert len(warehouses) == len(bases) == len(observed)
    requests = named(documents, "Warehouse", "rebuild-requests")
    triggers = named(documents, "Stage", "rebuild-trigger").values()
    assert len(triggers) == len(requests) == len(images)
    files = [
        path
        for stage in triggers
        for name in origins(stage)
        for path in requests[name]["spec"]["subscriptions"][0]["git"]["includePaths"]
    ]
    assert sorted(files) == sorted(f"image-factory/state/rebuild-requests/{image.name}.yaml" for image in images)
