from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from image_factory.model.enrollment import Enrollment
from image_factory.model.settings import KargoSettings
from image_factory.state.images_yaml import read_images
from image_factory_synth.charts import plan_charts
from image_factory_synth.data import merge
from image_factory_synth.kept_plan import (
    FIRST_CHART,
    MAX_CHANGED,
    KeptChart,
    KeptImage,
    KeptPlan,
    kept_images,
    load_plan,
    save_plan,
)
from image_factory_synth.rendered import CACHE
from image_factory_synth.schedule import Check
from image_factory_synth.versions import KNOWN

CHECK = Check(
    name="web",
    registry="ghcr.io",
    interval=timedelta(minutes=5),
    requests=6,
    known_since=datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
)
PLAN = KeptPlan(
    "plain",
    7,
    {FIRST_CHART: KeptChart("d1", 10), "web": KeptChart("d2", 20)},
    {
        "web": KeptImage(
            '{"name":"web"}', CHECK, timedelta(minutes=5, microseconds=3), ("Warehouse/web",), ("a note",), "d3", True
        )
    },
    whole=7,
)


def named(plan: KeptPlan) -> dict[str, KeptImage]:
    """Return the images as they are had back: each knows its name."""
    return {name: replace(image, check=replace(image.check, name=name)) for name, image in plan.images.items()}


def changed_since(plan: KeptPlan, name: str) -> KeptPlan:
    image = replace(plan.images[name], planned=f"{plan.images[name].planned} anew")
    return replace(plan, charts={**plan.charts, name: KeptChart("new", 21)}, images={**plan.images, name: image})


def test_a_plan_is_had_back_whole(tmp_path: Path) -> None:
    save_plan(tmp_path, PLAN, 7)

    kept = load_plan(tmp_path)

    assert kept == PLAN
    assert list(kept.charts) == [FIRST_CHART, "web"]


def test_what_changed_since_is_kept_beside_it_and_had_back_with_it(tmp_path: Path) -> None:
    two = replace(
        PLAN, charts={**PLAN.charts, "db": PLAN.charts["web"]}, images={**PLAN.images, "db": PLAN.images["web"]}
    )
    save_plan(tmp_path, two, 7)
    kept_whole = (tmp_path / CACHE / "plan.json").read_bytes()

    first = changed_since(two, "web")
    save_plan(tmp_path, first, 8, ["web"])
    after_first = load_plan(tmp_path)
    assert after_first is not None
    second = changed_since(after_first, "db")
    save_plan(tmp_path, second, 9, ["db"])

    assert after_first == replace(first, taken_at=8, since=("web",), images=named(first))
    assert load_plan(tmp_path) == replace(second, taken_at=9, since=("db", "web"))
    assert (tmp_path / CACHE / "plan.json").read_bytes() == kept_whole


def test_what_changed_since_another_plan_is_not_taken_for_this_one_s(tmp_path: Path) -> None:
    save_plan(tmp_path, PLAN, 7)
    save_plan(tmp_path, changed_since(PLAN, "web"), 8, ["web"])
    changed = (tmp_path / CACHE / "plan-changed.json").read_bytes()
    save_plan(tmp_path, PLAN, 10)
    assert not (tmp_path / CACHE / "plan-changed.json").exists()
    # As another run leaves it that was slower.
    (tmp_path / CACHE / "plan-changed.json").write_bytes(changed)

    assert load_plan(tmp_path) == replace(PLAN, taken_at=10, whole=10)


def test_after_many_changes_the_plan_is_kept_whole_again(tmp_path: Path) -> None:
    names = [f"image-{number:03}" for number in range(MAX_CHANGED + 1)]
    plan = replace(
        PLAN, charts=dict.fromkeys(names, KeptChart("d", 1)), images=dict.fromkeys(names, PLAN.images["web"])
    )
    save_plan(tmp_path, plan, 7)

    for at, name in enumerate(names):
        kept = load_plan(tmp_path)
        assert kept is not None
        save_plan(tmp_path, changed_since(kept, name), 8 + at, [name])

    last = load_plan(tmp_path)
    assert last is not None
    assert (last.whole, last.since, last.taken_at) == (8 + MAX_CHANGED, (), 8 + MAX_CHANGED)
    assert {chart.digest for chart in last.charts.values()} == {"new"}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff"])
def test_a_damaged_change_makes_no_plan_until_one_is_kept_whole(tmp_path: Path, content: bytes) -> None:
    save_plan(tmp_path, PLAN, 7)
    (tmp_path / CACHE / "plan-changed.json").write_bytes(content)
    assert load_plan(tmp_path) is None

    save_plan(tmp_path, PLAN, 8)

    assert load_plan(tmp_path) is not None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 0}', b'{"format": 2}', b"\xff"])
def test_a_damaged_plan_is_none(tmp_path: Path, content: bytes) -> None:
    save_plan(tmp_path, PLAN, 7)
    (tmp_path / CACHE / "plan.json").write_bytes(content)

    assert load_plan(tmp_path) is None


def test_where_nothing_was_kept_there_is_no_plan(tmp_path: Path) -> None:
    assert load_plan(tmp_path) is None


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / ".image-factory-cache").write_text("in the way")

    save_plan(tmp_path, PLAN, 7)

    assert load_plan(tmp_path) is None


def test_each_image_with_a_warehouse_is_kept_with_what_it_was_enrolled_as() -> None:
    said = read_images("- {name: redis, repository: library/redis, tag: 7-alpine}\n", "images.yaml")
    inventory = merge((entry.enrollment for entry in said.enrollments), (), ())

    kept = kept_images(plan_charts(inventory, KargoSettings(), KNOWN[-1]), said)

    assert list(kept) == ["redis"]
    assert kept["redis"].resources == ("Warehouse/redis",)
    assert Enrollment.model_validate_json(kept["redis"].enrollment or "") == said.enrollments[0].enrollment
