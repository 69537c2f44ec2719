from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_factory_synth.names import prefixed, warehouse_name

LABELS = st.one_of(
    st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True),
    st.from_regex(r"(rebuild-requests-){1,2}[a-z0-9]{1,9}", fullmatch=True),
    # As long as is cut, and what such a name is cut to.
    st.from_regex(r"a{40,63}", fullmatch=True),
    st.from_regex(r"a{40,63}", fullmatch=True).map(lambda name: prefixed("observe", name).removeprefix("observe-")),
    st.from_regex(r"a{40,57}", fullmatch=True).map(lambda name: prefixed("rebuild-requests", name)),
)
DNS = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("web", "observe-web"),
        ("a" * 55, "observe-" + "a" * 55),
        ("a" * 56, "observe-" + "a" * 46 + "-4014683d"),
    ],
)
def test_a_name_is_cut_only_where_it_is_too_long(name: str, written: str) -> None:
    assert prefixed("observe", name) == written


def test_what_looks_cut_is_cut_so_that_it_is_not_what_another_is_cut_to() -> None:
    cut = prefixed("observe", "a" * 60)

    assert prefixed("observe", cut.removeprefix("observe-")) != cut


@pytest.mark.parametrize(
    ("image", "written"),
    [("web", "web"), ("rebuild-requests", "rebuild-requests"), ("rebuild-requests-x", "image.rebuild-requests-x")],
)
def test_a_warehouse_is_called_as_its_image_but_where_another_may_be(image: str, written: str) -> None:
    assert warehouse_name(image) == written


@given(st.lists(LABELS, unique=True, min_size=2, max_size=6))
def test_no_two_images_share_a_name_of_anything(images: list[str]) -> None:
    warehouses = [*map(warehouse_name, images), *(prefixed("rebuild-requests", image) for image in images)]
    stages = [
        prefixed(role, image) for role in ("analyze-dockerfile", "observe", "rebuild-trigger") for image in images
    ]

    for names in (warehouses, stages):
        assert len(set(names)) == len(names)
        assert all(len(name) <= 63 and DNS.fullmatch(name) for name in names)
