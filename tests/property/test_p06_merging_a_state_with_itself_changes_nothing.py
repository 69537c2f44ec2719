"""P6: for every state S: merge(S, S) = S, byte-identical once written; unknown keys and odd scalars too."""

from __future__ import annotations

from hypothesis import given, settings

from image_factory.model.image_state import BaseState, ImageState
from image_factory.state.codec import dump_base, dump_image, read_base, read_image, update_text
from image_factory.state.merge import merge_base, merge_image
from image_factory.testing.records import base_states, image_states


@settings(max_examples=60, deadline=None)
@given(image_states())
def test_an_image_merged_with_itself_is_the_same_and_so_is_its_file(state: ImageState) -> None:
    """Broken by: a merge that sets lastDiscovery; leaving out unknown keys; a reader that looks into quotes."""
    text = dump_image(state)
    read = read_image(text, "web.yaml")

    merged = merge_image(read, read.configuration)

    assert read == state
    assert merged == state
    assert update_text(text, merged) == text
    assert dump_image(merged) == text


@settings(max_examples=60, deadline=None)
@given(base_states())
def test_a_base_merged_with_itself_is_the_same_and_so_is_its_file(state: BaseState) -> None:
    """Broken by: a merge that sets lastChecked; a codec that takes an empty map for none."""
    text = dump_base(state)
    read = read_base(text, "node.yaml")

    merged = merge_base(read, read.configuration)

    assert read == state
    assert merged == state
    assert update_text(text, merged) == text
    assert dump_base(merged) == text
