from __future__ import annotations

from hypothesis import Phase, find, settings

from image_factory.model.enrollment import Kind
from image_factory.testing.records import base_states, enrollments, image_configurations, image_states

QUICK = settings(max_examples=300, deadline=None, database=None, phases=[Phase.generate])


def test_the_records_reach_every_kind() -> None:
    assert find(image_states(), lambda state: state.kind is Kind.MANAGED, settings=QUICK)
    assert find(image_states(), lambda state: state.kind is Kind.EXTERNAL, settings=QUICK)
    assert find(base_states(), lambda state: state.configuration.pinned, settings=QUICK)
    assert find(base_states(), lambda state: len(state.history.update_history) > 1, settings=QUICK)


def test_a_kind_can_be_asked_for() -> None:
    assert find(enrollments(managed=True), lambda _: True, settings=QUICK).kind is Kind.MANAGED
    assert find(enrollments(managed=False), lambda _: True, settings=QUICK).kind is Kind.EXTERNAL
    assert find(image_configurations(managed=True, name="web"), lambda _: True, settings=QUICK).name == "web"
