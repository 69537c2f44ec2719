from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_factory.model.enrollment import SelectionStrategy
from image_factory_synth.fields import Expression, document
from image_factory_synth.read_back import path_of, read_back
from image_factory_synth.records import FreightCreationPolicy, ImageSubscription, Subscription, WarehouseSpec
from image_factory_synth.steps import Step
from image_factory_synth.versions import KNOWN, KargoVersion

NEWEST = KNOWN[-1]
TOLD = tuple[str, str]


def read(record: type[Any], value: object, version: KargoVersion = NEWEST) -> tuple[Any, list[TOLD]]:
    told: list[TOLD] = []
    made = read_back(record, value, version, lambda at, message, hint: told.append((path_of(at), message)))
    return made, told


def test_what_is_written_is_read_back_as_it_was() -> None:
    image = ImageSubscription(
        repo_url="docker.io/library/node",
        image_selection_strategy=SelectionStrategy.LEXICAL,
        allow_tags_regexes=("^22$", "^23$"),
        discovery_limit=5,
    )
    spec = WarehouseSpec(
        interval=timedelta(hours=24, minutes=17, seconds=3),
        freight_creation_policy=FreightCreationPolicy.AUTOMATIC,
        subscriptions=(Subscription(image=image),),
    )

    assert read(WarehouseSpec, document(spec, NEWEST)) == (spec, [])


@given(
    st.integers(min_value=1, max_value=10**6),
    st.lists(st.from_regex(r"[a-z]{1,5}", fullmatch=True), max_size=3),
    st.sampled_from(list(SelectionStrategy)),
)
def test_every_record_is_read_back_as_it_was(seconds: int, patterns: list[str], strategy: SelectionStrategy) -> None:
    image = ImageSubscription(
        repo_url="a/b", image_selection_strategy=strategy, allow_tags_regexes=tuple(patterns) or None
    )
    spec = WarehouseSpec(
        interval=timedelta(seconds=seconds),
        freight_creation_policy=FreightCreationPolicy.MANUAL,
        subscriptions=(Subscription(image=image),),
    )

    assert read(WarehouseSpec, document(spec, NEWEST)) == (spec, [])


def test_an_expression_is_one_where_one_may_stand() -> None:
    made, told = read(Step, {"uses": "http", "if": "${{ success() }}", "config": {"url": "${{ vars.x }}"}})

    assert told == []
    assert made == Step(uses="http", condition=Expression("${{ success() }}"), config={"url": "${{ vars.x }}"})


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ([], ("", "not a map: []")),
        ({"uses": "a", "extra": 1}, ("extra", "no field that is written here")),
        ({"uses": 1}, ("uses", "not a text: 1")),
        ({"uses": "${{ x }}"}, ("uses", "uses holds an expression or a control character: '${{ x }}'")),
        ({"uses": "a", "config": []}, ("config", "not a map: []")),
        (
            {"uses": "a", "retry": {"errorThreshold": "x", "timeout": "1h"}},
            ("retry.errorThreshold", "not a number: 'x'"),
        ),
        ({"uses": "a", "retry": {"errorThreshold": 1, "timeout": "1d"}}, ("retry.timeout", "not a duration: '1d'")),
        (
            {"uses": "a", "retry": {"errorThreshold": 0, "timeout": "1h"}},
            ("retry.errorThreshold", "errorThreshold is not"),
        ),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(value: object, told: TOLD) -> None:
    made, found = read(Step, value)

    assert made is None
    assert [(at, message[: len(told[1])]) for at, message in found] == [told]


def test_every_problem_is_told_and_not_the_first_alone() -> None:
    _, found = read(ImageSubscription, {"imageSelectionStrategy": "x", "discoveryLimit": 0, "platform": "linux"})

    assert [at for at, _ in found] == ["repoURL", "imageSelectionStrategy", "platform", "discoveryLimit"]


def test_a_field_that_came_later_is_told_for_an_older_kargo() -> None:
    value = {"repoURL": "a", "imageSelectionStrategy": "Lexical", "allowTagsRegexes": ["^1$"]}

    assert read(ImageSubscription, value, KargoVersion(1, 8))[1] == [
        ("allowTagsRegexes", "allowTagsRegexes is not in Kargo 1.8: it came with 1.9")
    ]
