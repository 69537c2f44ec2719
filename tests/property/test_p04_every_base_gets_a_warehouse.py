"""P4: for every Dockerfile with a FROM naming an outside image, analysis writes a base image's state to watch it by.

Fails where `decide.discovery.base_configuration` leaves out `allow_tags`, or where `decide_discovery`
keeps only the reachable stages.
"""

from __future__ import annotations

import re

from hypothesis import find, given
from hypothesis import strategies as st

from image_factory.decide.discovery import FileReading, decide_discovery, watched_references
from image_factory.decide.naming import assign_names
from image_factory.dockerfile.read import read_dockerfile
from image_factory.errors import InvalidReference
from image_factory.oci.reference import Reference
from image_factory.state.codec import dump, read_base
from image_factory.state.merge import merge_base


def is_reference(image: str) -> bool:
    """Whether `image` is one: the first part of a path with a dot is a host, and not every part can be one."""
    try:
        Reference.parse(image)
    except InvalidReference:
        return False
    return True


words = st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True).filter(lambda word: word != "scratch")
tags = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,12}", fullmatch=True).map(lambda tag: f":{tag}")
hosts = st.sampled_from(["", "ghcr.io/", "localhost:5000/", "quay.io/team/"])
# OCI distribution-spec, "Pulling manifests": parts of a path may hold single dots, one or two underscores, and hyphens.
parts = st.from_regex(r"[a-z0-9]{1,4}(?:(?:\.|_|__|-{1,3})[a-z0-9]{1,4}){0,3}", fullmatch=True)
paths = words | parts.filter(lambda part: part != "scratch") | st.lists(parts, min_size=2, max_size=4).map("/".join)
outside = st.builds(lambda host, path, tag: f"{host}{path}{tag}", hosts, paths, st.just("") | tags).filter(is_reference)


def test_the_images_have_dotted_paths_among_them() -> None:
    assert find(outside, lambda image: "." in Reference.parse(image).repository.path).count(".")


@given(st.lists(outside, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_p4_every_from_line_s_image_has_a_state_with_warehouse_fields(images: list[str], random: object) -> None:
    text = "".join(f"FROM {image} AS stage-{number}\n" for number, image in enumerate(images))
    readings = [FileReading("Dockerfile", read_dockerfile(text))]
    discovery = decide_discovery(readings, names=assign_names(watched_references(readings), {}), managed={})

    states = {base.full_image: merge_base(None, base) for base in discovery.bases}

    assert set(states) == {Reference.parse(image).canonical for image in images}
    assert sorted(state.name for state in states.values()) == list(discovery.base_images)
    for canonical, state in states.items():
        written = read_base(dump(state), "state.yaml").configuration
        assert f"{written.repo_url}:{written.tag}" == canonical
        assert written.allow_tags is not None
        assert re.search(written.allow_tags, written.tag or "")
        assert written.image_selection_strategy == "Digest"
