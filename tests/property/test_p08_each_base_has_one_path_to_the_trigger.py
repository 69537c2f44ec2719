"""P8: the manifests hold exactly one path from the Warehouse of a base image to the one trigger of each image on it.

The path: the base's Warehouse -> its observation, or where it is one of ours its analysis -> state in git, where the
coordination writes the request of what is built on it -> the Warehouse of that one file -> that image's one trigger.
"""

from __future__ import annotations

from collections.abc import Iterator
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
from image_factory_synth.names import prefixed
from image_factory_synth.versions import KNOWN, KargoVersion

PLUGINS = workbench(Path(), Settings()).plugins
SETTINGS = KargoSettings(state_repository="https://git.example.com/state.git", job_image="ghcr.io/acme/tool:1")
ROLE = "image-factory.io/role"
LONG = "a-name-that-is-as-long-as-a-label-may-be-and-then-is-cut"
"""Names that only differ beyond what a stage's name has room for."""
CUT = st.from_regex(r"[a-z0-9]{1,7}", fullmatch=True).map(lambda end: f"{LONG}{end}")
NAMES = st.one_of(
    st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True),
    CUT,
    # Those that another's resources are called.
    st.sampled_from(["web", "rebuild-requests-web", "rebuild-requests-rebuild-requests-web", "observe-web"]),
)
ROLES = st.sampled_from(["observe", "analyze-dockerfile", "rebuild-trigger", "rebuild-requests"])
Documents = list[dict[str, Any]]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Inventory, dict[str, frozenset[str]]]:
    """Images, and for each managed one what it is built on: base images, and managed ones before it."""
    drawn = draw(st.lists(NAMES, unique=True, min_size=2, max_size=8))
    # Some are called as what the name of another's resource is cut to.
    cut_as = [prefixed(role, name).removeprefix(f"{role}-") for name in drawn for role in draw(st.sets(ROLES))]
    names = draw(st.permutations(list(dict.fromkeys((*drawn, *cut_as)))))
    cut = draw(st.integers(1, len(names) - 1))
    bases = tuple(
        WatchedImage(name=name, role=Role.BASE, repo_url=f"docker.io/library/a{index}", allow_tags="^1$", tag="1")
        for index, name in enumerate(names[:cut])
    )
    images = tuple(
        ManagedImage(
            name=name,
            repo_url=f"ghcr.io/acme/a{index}",
            source=Source(repo="acme/a"),
            auto_rebuild=draw(st.booleans()),
        )
        for index, name in enumerate(names[cut:])
    )
    on = {
        name: frozenset(draw(st.lists(st.sampled_from(names[: cut + index]), max_size=4)))
        for index, name in enumerate(names[cut:])
    }
    return Inventory(images, bases), on


def rendered(inventory: Inventory, version: KargoVersion = KNOWN[-1]) -> Documents:
    plan = plan_charts(inventory, SETTINGS, version, providers=PLUGINS)
    assert plan.planned.outcomes == ()
    return [document for chart in plan.charts for document in chart.documents]


def of_role(documents: Documents, kind: str, *roles: str) -> Documents:
    return [
        one for one in documents if one["kind"] == kind and one["metadata"].get("labels", {}).get(ROLE, "") in roles
    ]


def origins(stage: dict[str, Any]) -> list[str]:
    return [request["origin"]["name"] for request in stage["spec"]["requestedFreight"]]


def argument(stage: dict[str, Any], *names: str) -> str:
    (found,) = [one["value"] for one in stage["spec"]["verification"]["args"] if one["name"] in names]
    return str(found)


def paths(documents: Documents, base: str, image: str) -> Iterator[tuple[str, ...]]:
    """Yield every way from what watches `base` to what starts a build of `image`, by the resources' names alone."""
    for warehouse in of_role(documents, "Warehouse", "base", "managed"):
        for observation in of_role(documents, "Stage", "observe", "analyze-dockerfile"):
            watched = warehouse["metadata"]["name"]
            # Its job writes this image's state, which the coordination reads.
            if watched not in origins(observation) or argument(observation, "name", "imageName") != base:
                continue
            for requests in of_role(documents, "Warehouse", "rebuild-requests"):
                (subscription,) = requests["spec"]["subscriptions"]
                if subscription["git"]["includePaths"] != [f"image-factory/state/rebuild-requests/{image}.yaml"]:
                    continue
                for trigger in of_role(documents, "Stage", "rebuild-trigger"):
                    if requests["metadata"]["name"] in origins(trigger):
                        yield tuple(one["metadata"]["name"] for one in (warehouse, observation, requests, trigger))


@settings(deadline=None, max_examples=40)
@given(graph=graphs(), version=st.sampled_from(KNOWN))
def test_p08_every_edge_has_one_path_and_every_image_one_trigger(
    graph: tuple[Inventory, dict[str, frozenset[str]]], version: KargoVersion
) -> None:
    inventory, on = graph

    documents = rendered(inventory, version)

    assert all(len(document["metadata"]["name"]) <= 63 for document in documents)
    for image, bases in on.items():
        ends = {way[-1] for base in bases for way in paths(documents, base, image)}
        assert len(ends) == (1 if bases else 0)
        assert all(len(list(paths(documents, base, image))) == 1 for base in bases)
    triggers = of_role(documents, "Stage", "rebuild-trigger")
    built = [
        step["vars"][0]["value"] for one in triggers for step in one["spec"]["promotionTemplate"]["spec"]["steps"][:1]
    ]
    assert sorted(built) == sorted(f"image-factory/state/rebuild-requests/{image}.yaml" for image in on)


@settings(deadline=None, max_examples=25)
@given(graph=graphs(), data=st.data())
def test_what_is_written_for_an_image_stays_when_others_come_and_go(
    graph: tuple[Inventory, dict[str, frozenset[str]]], data: st.DataObject
) -> None:
    inventory, _ = graph
    left = Inventory(
        tuple(image for image in inventory.managed if data.draw(st.booleans())),
        tuple(image for image in inventory.watched if data.draw(st.booleans())),
    )

    def named(found: Inventory) -> dict[str, list[tuple[str, str]]]:
        return {
            chart.name: [(one["kind"], one["metadata"]["name"]) for one in chart.documents]
            for chart in plan_charts(found, SETTINGS, KNOWN[-1], providers=PLUGINS).charts
        }

    assert named(left).items() <= named(inventory).items()
