"""Counters: added up as values, written as Prometheus reads them, and read back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from image_factory.errors import UserError
from image_factory.model.metric import (
    COUNTERS,
    LIFECYCLE_TRANSITIONS,
    Sample,
    add_samples,
    count,
    format_samples,
    parse_samples,
)


def moved(before: str, after: str) -> Sample:
    return count(LIFECYCLE_TRANSITIONS, {"from": before, "to": after})


def test_samples_of_the_same_labels_add_up() -> None:
    added = add_samples([moved("base", "managed"), moved("managed", "base")], [moved("base", "managed")])

    assert [sample.value for sample in added] == [2, 1]


def test_the_text_says_what_is_counted_and_how_often() -> None:
    text = format_samples([moved("managed", "archived"), moved("external", "managed"), moved("managed", "archived")])

    assert text.splitlines() == [
        f"# HELP {LIFECYCLE_TRANSITIONS.name} {LIFECYCLE_TRANSITIONS.help}",
        "# TYPE image_factory_lifecycle_transitions_total counter",
        'image_factory_lifecycle_transitions_total{from="external",to="managed"} 1',
        'image_factory_lifecycle_transitions_total{from="managed",to="archived"} 2',
    ]


def test_a_counter_takes_its_own_labels_alone() -> None:
    with pytest.raises(ValueError, match="has the labels"):
        count(LIFECYCLE_TRANSITIONS, {"from": "base"})


def test_every_counter_is_named_as_prometheus_names_one() -> None:
    assert all(name.startswith("image_factory_") and name.endswith("_total") for name in COUNTERS)


@settings(max_examples=60)
@given(
    st.dictionaries(
        st.tuples(
            st.sampled_from(["a_total", "b_total"]), st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
        ),
        st.integers(min_value=0, max_value=10**9),
        max_size=6,
    )
)
def test_what_is_written_is_read_back(counts: dict[tuple[str, str], int]) -> None:
    samples = [Sample(name, (("label", value),), number) for (name, value), number in counts.items()]

    assert set(parse_samples(format_samples(samples))) == set(samples)


def test_the_format_is_what_prometheus_own_parser_reads() -> None:
    parser = pytest.importorskip("prometheus_client.parser", reason="needs prometheus-client, which is not installed")
    text = format_samples([Sample("image_factory_lifecycle_transitions_total", (("from", 'a"\\\nb'), ("to", "c")), 3)])

    (family,) = parser.text_string_to_metric_families(text)

    assert family.type == "counter"
    assert [(sample.labels, sample.value) for sample in family.samples] == [({"from": 'a"\\\nb', "to": "c"}, 3)]


@pytest.mark.parametrize("line", ["hello", "a_total{x=1} 2", "a_total 1 2 3", 'a_total{x="1" 2', "a_total 1.2.3"])
def test_a_line_of_something_else_is_an_error_with_its_place(line: str) -> None:
    with pytest.raises(UserError, match=r"x\.prom:2: not a count"):
        parse_samples(f"# ours\n{line}\n", "x.prom")
