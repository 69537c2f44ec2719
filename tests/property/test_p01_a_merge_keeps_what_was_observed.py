"""P1: a merge takes configuration from the new entry, and every observed value and all history from the old file.

After the merge, and after writing it over the old file and reading it again.
"""

from __future__ import annotations

from datetime import datetime

from hypothesis import assume, given, settings

from image_factory.model.image_state import BaseConfiguration, BaseState, ImageConfiguration, ImageState
from image_factory.state.codec import dump_base, dump_image, read_base, read_image, update_text
from image_factory.state.merge import merge_base, merge_image
from image_factory.testing.records import (
    base_configurations,
    base_states,
    image_configurations,
    image_states,
    instants,
)

RUNTIME = ("current_version", "current_digest", "previous_digest", "last_built", "last_updated", "metadata")
HISTORY = ("enrolled_at", "update_history", "rebuild_history")
BASE_RUNTIME = ("current_digest", "previous_digest", "last_updated", "rebuild_eligible_at", "metadata")
BASE_HISTORY = ("first_discovered", "update_history")


@settings(max_examples=50, deadline=None)
@given(image_states(), image_configurations(), instants)
def test_an_image_keeps_what_was_observed_whatever_its_entry_says(
    old: ImageState, configuration: ImageConfiguration, at: datetime
) -> None:
    """Broken by: a merge that builds a new ImageRuntime; one that sets enrolledAt where it is empty;
    a writer that leaves out an empty metadata map."""
    assume(old.history.update_history or old.history.rebuild_history or old.runtime.metadata is not None)
    renamed = configuration.enrollment.model_copy(update={"name": old.name})
    configuration = configuration.model_copy(update={"name": old.name, "enrollment": renamed})

    merged = merge_image(old, configuration, at=at)
    read = read_image(update_text(dump_image(old), merged), "web.yaml")

    for state in (merged, read):
        assert {name: getattr(state.runtime, name) for name in RUNTIME} == {
            name: getattr(old.runtime, name) for name in RUNTIME
        }
        assert {name: getattr(state.history, name) for name in HISTORY} == {
            name: getattr(old.history, name) for name in HISTORY
        }
        assert state.runtime == old.runtime
        assert state.unknown == old.unknown
        assert state.configuration.enrollment == configuration.enrollment
        assert state.configuration.base_images == configuration.base_images


@settings(max_examples=50, deadline=None)
@given(base_states(), base_configurations(), instants)
def test_a_base_keeps_what_was_observed_whatever_dockerfiles_say(
    old: BaseState, configuration: BaseConfiguration, at: datetime
) -> None:
    """Broken by: a merge that sets firstDiscovered; a merge that drops rebuildEligibleAt with a new tag."""
    configuration = configuration.model_copy(update={"name": old.name})

    merged = merge_base(old, configuration, at=at)
    read = read_base(update_text(dump_base(old), merged), "node.yaml")

    for state in (merged, read):
        assert {name: getattr(state.runtime, name) for name in BASE_RUNTIME} == {
            name: getattr(old.runtime, name) for name in BASE_RUNTIME
        }
        assert {name: getattr(state.history, name) for name in BASE_HISTORY} == {
            name: getattr(old.history, name) for name in BASE_HISTORY
        }
        assert state.runtime == old.runtime
        assert state.unknown == old.unknown
        assert state.configuration == configuration
