"""P3: an entry with a source repository is managed, and its file has no field that watches something upstream."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from image_factory.model.enrollment import Enrollment, Kind
from image_factory.model.image_state import ImageConfiguration, ImageState
from image_factory.state.codec import dump_image, load_image, read_image, update_text
from image_factory.state.merge import merge_image
from image_factory.testing.records import enrollments, image_states, odd_texts

WATCHING = {"repoURL", "allowTags", "imageSelectionStrategy"}

watching = st.fixed_dictionaries(
    {},
    optional={
        "repoURL": odd_texts,
        "allowTags": st.sampled_from(["^16$", "."]),
        "imageSelectionStrategy": st.sampled_from(["Digest", "SemVer"]),
    },
)


def _flat(entry: dict[str, Any], watched: dict[str, Any]) -> dict[str, Any]:
    return {**entry, **watched}


def _nested(entry: dict[str, Any], watched: dict[str, Any]) -> dict[str, Any]:
    return {"name": entry["name"], "enrollment": entry, **watched}


@settings(max_examples=60, deadline=None)
@given(enrollments(managed=True), watching, st.sampled_from([_flat, _nested]))
def test_an_old_file_of_either_shape_loses_its_watching_fields(
    enrollment: Enrollment, watched: dict[str, Any], shape: Any
) -> None:
    """Broken by: a merge that lets the configuration keep repoURL; a reader of one shape only."""
    entry = enrollment.model_dump(mode="json", by_alias=True, include={"name", "registry", "repository", "source"})
    data = shape(entry, watched)
    old_text = yaml.safe_dump(data, allow_unicode=True)
    old = load_image(data, "web.yaml")

    merged = merge_image(old, ImageConfiguration(name=enrollment.name, enrollment=enrollment, **watched))
    text = update_text(old_text, merged)
    written = yaml.safe_load(text)

    assert old.kind is Kind.MANAGED
    assert read_image(text, "web.yaml").kind is Kind.MANAGED
    assert WATCHING & written.keys() == set()
    assert written["enrollment"]["source"]["repo"] == enrollment.source.repo  # type: ignore[union-attr]


@settings(max_examples=40, deadline=None)
@given(image_states(managed=False), enrollments(managed=True))
def test_an_external_image_that_becomes_managed_loses_them_and_keeps_its_history(
    old: ImageState, enrollment: Enrollment
) -> None:
    """Broken by: a merge that copies the fields which the new configuration leaves empty."""
    enrollment = enrollment.model_copy(update={"name": old.name})

    merged = merge_image(old, ImageConfiguration(name=old.name, enrollment=enrollment))
    written = yaml.safe_load(update_text(dump_image(old), merged))

    assert merged.kind is Kind.MANAGED
    assert WATCHING & written.keys() == set()
    assert merged.history == old.history
