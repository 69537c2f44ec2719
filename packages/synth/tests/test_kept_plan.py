from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from image_factory.model.enrollment import Enrollment
from image_factory.model.settings import KargoSettings
from image_factory.state.images_yaml import read_images
from image_factory_synth.charts import plan_charts
from image_factory_synth.data import merge
from image_factory_synth.kept_plan import FIRST_CHART, KeptChart, KeptImage, KeptPlan, kept_images, load_plan, save_plan
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
    {"web": KeptImage('{"name":"web"}', CHECK, timedelta(minutes=5, microseconds=3), ("Warehouse/web",), ("a note",))},
)


def test_a_plan_is_had_back_whole(tmp_path: Path) -> None:
    save_plan(tmp_path, PLAN, 7)

    kept = load_plan(tmp_path)

    assert kept == PLAN
    assert list(kept.charts) == [FIRST_CHART, "web"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 0}', b'{"format": 1}', b"\xff"])
def test_a_damaged_plan_is_none(tmp_path: Path, content: bytes) -> None:
    save_plan(tmp_path, PLAN, 7)
    (tmp_path / ".image-factory-cache" / "synth" / "plan.json").write_bytes(content)

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
