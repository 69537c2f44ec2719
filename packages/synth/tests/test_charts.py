from __future__ import annotations

import json

import pytest

from image_factory.errors import Conflict
from image_factory.model.settings import KargoSettings
from image_factory_synth.charts import Chart, plan_charts, resource_key
from image_factory_synth.data import Inventory, ManagedImage, Role, WatchedImage
from image_factory_synth.versions import KargoVersion

V11 = KargoVersion(1, 11)


def managed(name: str, version: str | None = None) -> ManagedImage:
    return ManagedImage(name=name, repo_url=f"ghcr.io/acme/{name}", current_version=version)


def test_infrastructure_comes_first_then_a_chart_for_each_image() -> None:
    base = WatchedImage(name="a", role=Role.BASE, repo_url="docker.io/library/a", allow_tags="^1$")

    charts = plan_charts(Inventory((managed("b"), managed("c")), (base,)), KargoSettings(), V11).charts

    assert [chart.name for chart in charts] == ["infrastructure", "b", "c", "a"]
    assert [resource_key(document) for chart in charts for document in chart.documents] == [
        "Namespace/image-factory-kargo",
        "Project/image-factory-kargo",
        "ProjectConfig/image-factory-kargo",
        "Warehouse/b",
        "Warehouse/c",
        "Warehouse/a",
    ]


def test_each_chart_is_ready_once_and_in_order() -> None:
    ready: list[Chart] = []

    plan = plan_charts(Inventory((managed("b"), managed("c"))), KargoSettings(), V11, ready.append)

    assert tuple(ready) == plan.charts


def test_an_image_that_kargo_refuses_is_never_ready() -> None:
    ready: list[str] = []
    refused = ManagedImage(name="a", repo_url="ghcr.io/acme/a--b")

    plan_charts(Inventory((refused, managed("c"))), KargoSettings(), V11, lambda chart: ready.append(chart.name))

    assert ready == ["infrastructure", "c"]


def test_a_changed_image_changes_the_digest_of_its_chart_alone() -> None:
    before = plan_charts(Inventory((managed("a"), managed("b"))), KargoSettings(), V11).charts
    after = plan_charts(Inventory((managed("a", "1.0.0"), managed("b"))), KargoSettings(), V11).charts

    changed = [new.name for old, new in zip(before, after, strict=True) if old.digest != new.digest]

    assert changed == ["a"]


def test_a_chart_is_one_line_of_ascii() -> None:
    chart = Chart("a", ({"text": "ä\u2028\n"},))

    assert chart.line.isascii()
    assert "\n" not in chart.line
    assert json.loads(chart.line) == [{"text": "ä\u2028\n"}]


def test_two_images_of_one_name_are_an_error() -> None:
    with pytest.raises(Conflict, match="Warehouse/a"):
        plan_charts(Inventory((managed("a"), managed("a"))), KargoSettings(), V11)
