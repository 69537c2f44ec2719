"""Which images a simulation must look at together, and what is built on each. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from image_factory.decide.absorption import built_in
from image_factory.decide.causes import input_named
from image_factory.decide.groups import find_groups
from image_factory.model.enrollment import Enrollment, Kind
from image_factory.model.image_state import BaseState, ImageState


def find_children(
    images: Mapping[str, ImageState], bases: Mapping[str, BaseState], enrollments: Mapping[str, Enrollment]
) -> dict[str, list[str]]:
    """Return the images that are built on each managed image."""
    found: dict[str, list[str]] = {}
    for name in sorted(enrollments):
        for source_name in built_in(images[name]) if name in images else ():
            source = input_named(source_name, bases, images)
            if isinstance(source, ImageState):
                found.setdefault(source.name, []).append(name)
    return found


def find_parts(
    images: Mapping[str, ImageState], bases: Mapping[str, BaseState], enrollments: Mapping[str, Enrollment]
) -> tuple[dict[int, tuple[str, ...]], dict[str, int], dict[str, set[int]]]:
    """Return the parts of the graph that share nothing but places: members by part, part by image, parts by base."""
    names = sorted({*enrollments, *(name for name, image in images.items() if image.kind is Kind.MANAGED)})
    lead = {name: name for name in names}

    def find(name: str) -> str:
        while lead[name] != name:
            lead[name] = lead[lead[name]]
            name = lead[name]
        return name

    named: dict[str, set[str]] = {}
    for name in names:
        for source_name in built_in(images[name]) if name in images else ():
            source = input_named(source_name, bases, images)
            if isinstance(source, ImageState) and source.name in lead:
                lead[find(name)] = find(source.name)
            elif isinstance(source, BaseState):
                named.setdefault(source.name, set()).add(name)
    for members in find_groups(enrollments).values():
        for name in members:
            lead[find(name)] = find(members[0])
    numbers: dict[str, int] = {}
    part_of = {name: numbers.setdefault(find(name), len(numbers)) for name in names}
    parts: dict[int, list[str]] = {}
    for name, part in part_of.items():
        parts.setdefault(part, []).append(name)
    on = {base: {part_of[name] for name in users} for base, users in named.items()}
    return {part: tuple(members) for part, members in parts.items()}, part_of, on
