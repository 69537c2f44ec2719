from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_factory.errors import UnsafeValue
from image_factory.model.enrollment import SelectionStrategy
from image_factory_synth.fields import RefusedByKargo
from image_factory_synth.project_records import ProjectConfig, ProjectConfigSpec
from image_factory_synth.records import (
    FreightCreationPolicy,
    ImageSubscription,
    ObjectMeta,
    Subscription,
    Warehouse,
    WarehouseSpec,
    short_name,
)
from image_factory_synth.versions import KNOWN, KargoVersion

V11 = KargoVersion(1, 11)


def warehouse(*images: dict[str, Any], name: str = "web") -> Warehouse:
    given = images or ({},)
    return Warehouse(
        metadata=ObjectMeta(name=name, namespace="factory"),
        spec=WarehouseSpec(
            interval=timedelta(hours=24),
            freight_creation_policy=FreightCreationPolicy.AUTOMATIC,
            subscriptions=tuple(
                Subscription(
                    image=ImageSubscription(
                        **{
                            "repo_url": "ghcr.io/acme/web",
                            "image_selection_strategy": SelectionStrategy.DIGEST,
                            "constraint": "3.10",
                            **values,
                        }
                    )
                )
                for values in given
            ),
        ),
    )


def test_a_warehouse_is_written_as_kargo_reads_it() -> None:
    assert warehouse({"discovery_limit": 1}).document(V11) == {
        "apiVersion": "kargo.akuity.io/v1alpha1",
        "kind": "Warehouse",
        "metadata": {"name": "web", "namespace": "factory"},
        "spec": {
            "interval": "24h0m0s",
            "freightCreationPolicy": "Automatic",
            "subscriptions": [
                {
                    "image": {
                        "repoURL": "ghcr.io/acme/web",
                        "imageSelectionStrategy": "Digest",
                        "constraint": "3.10",
                        "discoveryLimit": 1,
                    }
                }
            ],
        },
    }


@pytest.mark.parametrize("field", ["allow_tags", "ignore_tags", "semver_constraint"])
def test_a_field_that_kargo_removed_cannot_be_written(field: str) -> None:
    record = warehouse({field: ("x",) if field == "ignore_tags" else "x"})

    with pytest.raises(RefusedByKargo, match=r"is not in Kargo 1\.11"):
        record.document(V11)


def test_the_constraint_of_semver_is_never_written_under_its_old_name() -> None:
    for version in KNOWN:
        with pytest.raises(RefusedByKargo, match="semverConstraint"):
            warehouse({"semver_constraint": ">=1"}).document(version)


@pytest.mark.parametrize(
    "repository",
    [
        "python",
        "docker.io/library/python",
        "ghcr.io/acme/web",
        "localhost:5000/a/b_c/d.e-f",
        "registry.example.com:443/a",
        "ghcr.io/acme/foo__bar",
    ],
)
def test_repositories_of_kargos_pattern_are_taken(repository: str) -> None:
    document = warehouse({"repo_url": repository}).document(V11)

    assert document["spec"]["subscriptions"][0]["image"]["repoURL"] == repository


@pytest.mark.parametrize(
    "repository",
    [
        "ghcr.io/acme/foo--bar",
        "https://ghcr.io/acme/web",
        "ghcr.io/acme/web:1",
        "ghcr.io/acme/web@sha256:0",
        "",
        "a b",
        "[::1]:5000/a",
    ],
)
def test_repositories_that_kargo_refuses_are_named_with_their_field(repository: str) -> None:
    with pytest.raises(RefusedByKargo) as caught:
        warehouse({"repo_url": repository}).document(V11)

    assert caught.value.field == "repoURL"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        pytest.param({"constraint": None}, "constraint", id="Digest without a tag"),
        pytest.param({"discovery_limit": 0}, "discoveryLimit", id="a limit of none"),
        pytest.param({"discovery_limit": 101}, "discoveryLimit", id="a limit past Kargo's"),
        pytest.param({"platform": "linux/arm64/v8"}, "platform", id="a platform with a variant"),
        pytest.param(
            {"image_selection_strategy": SelectionStrategy.SEMVER, "constraint": "not a range"},
            "constraint",
            id="no range",
        ),
        *(
            pytest.param(
                {
                    "image_selection_strategy": SelectionStrategy.LEXICAL,
                    "constraint": None,
                    "allow_tags_regexes": (pattern,),
                },
                "allowTags",
                id=f"pattern {pattern}",
            )
            for pattern in (r"^(?!rc)", r"(?<=a)b", r"(a)\1", r"(?P<a>b)(?P=a)", "(", r"a*+", r"a\Z")
        ),
    ],
)
def test_what_kargo_would_take_and_then_fail_at_is_refused(values: dict[str, Any], field: str) -> None:
    with pytest.raises(RefusedByKargo) as caught:
        warehouse(values).document(V11)

    assert caught.value.field == field


@pytest.mark.parametrize(
    "pattern", [r"^16-alpine$", r"^v?\d+\.\d+$", r"(?i)^rel", r"[*+]+", r"\\1", r"(?P<a>b)", r"^(?:a|b)$"]
)
def test_patterns_that_go_reads_too_are_taken(pattern: str) -> None:
    values = {
        "image_selection_strategy": SelectionStrategy.LEXICAL,
        "constraint": None,
        "allow_tags_regexes": (pattern,),
    }

    image = warehouse(values).document(V11)["spec"]["subscriptions"][0]["image"]

    assert image["allowTagsRegexes"] == [pattern]


def test_two_subscriptions_of_one_repository_are_refused() -> None:
    with pytest.raises(RefusedByKargo, match="two subscriptions of one repository"):
        warehouse({"constraint": "20"}, {"constraint": "22"}).document(V11)


def test_a_warehouse_without_a_subscription_is_refused() -> None:
    record = warehouse()
    empty = Warehouse(
        metadata=record.metadata,
        spec=WarehouseSpec(
            interval=timedelta(hours=24), freight_creation_policy=FreightCreationPolicy.AUTOMATIC, subscriptions=()
        ),
    )

    with pytest.raises(RefusedByKargo, match="without a subscription"):
        empty.document(V11)


@pytest.mark.parametrize("name", ["Web", "-a", "a/b", "a" * 64, "", "a_b"])
def test_a_name_that_kubernetes_refuses_is_refused(name: str) -> None:
    with pytest.raises(RefusedByKargo) as caught:
        warehouse(name=name).document(V11)

    assert caught.value.field == "name"


def test_an_expression_in_a_tag_is_refused() -> None:
    with pytest.raises(UnsafeValue):
        warehouse({"constraint": "${{ secret('token') }}"}).document(V11)


def test_a_project_config_carries_its_namespaces_name() -> None:
    record = ProjectConfig(metadata=ObjectMeta(name="a", namespace="b"), spec=ProjectConfigSpec())

    with pytest.raises(RefusedByKargo):
        record.document(V11)


@given(st.text("abcdefghij-.", min_size=1, max_size=120), st.text("abcdefghij-.", min_size=1, max_size=120))
def test_short_names_stay_within_a_label_and_apart(one: str, other: str) -> None:
    assert len(short_name(one)) <= 63
    assert (short_name(one) == short_name(other)) == (one == other)


def test_a_name_that_fits_is_left_alone() -> None:
    assert short_name("a" * 63) == "a" * 63
