from __future__ import annotations

from collections import Counter

import pytest
from pydantic import BaseModel

from image_factory.model.image_state import (
    BaseConfiguration,
    BaseHistory,
    BaseRuntime,
    ImageConfiguration,
    ImageHistory,
    ImageRuntime,
)
from image_factory.state.order import BASE_SECTIONS, IMAGE_SECTIONS, Section


@pytest.mark.parametrize(
    ("sections", "parts"),
    [
        (IMAGE_SECTIONS, (ImageConfiguration, ImageRuntime, ImageHistory)),
        (BASE_SECTIONS, (BaseConfiguration, BaseRuntime, BaseHistory)),
    ],
    ids=["images", "bases"],
)
def test_each_field_of_the_records_has_one_place_and_one_class(
    sections: tuple[Section, ...], parts: tuple[type[BaseModel], ...]
) -> None:
    placed = Counter(key for section in sections for key in section.keys)
    fields = Counter(field.alias or name for part in parts for name, field in part.model_fields.items())

    assert placed == fields
    assert set(placed.values()) == {1}


def test_every_group_says_what_it_is_and_who_writes_it() -> None:
    for section in (*IMAGE_SECTIONS, *BASE_SECTIONS):
        assert any("ritten by" in line for line in section.comment)
