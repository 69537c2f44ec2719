"""Decide what holds for images of one group: one delay, one window, one request time. Pure.

A group's delay is the longest of its images' delays, whatever each waits for just now, so that it can be
read off images.yaml. Together go those that have something to take in; one that is held, frozen, backing
off, quarantined, or only cooling down does not keep the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta

from image_factory.decide.lineage import Lineage, components
from image_factory.model.enrollment import Enrollment, Kind


def find_groups(enrollments: Mapping[str, Enrollment]) -> Mapping[str, tuple[str, ...]]:
    """Return the managed images of each group, sorted."""
    found: dict[str, list[str]] = {}
    for name, enrollment in sorted(enrollments.items()):
        if enrollment.group is not None and enrollment.kind is Kind.MANAGED:
            found.setdefault(enrollment.group, []).append(name)
    return {group: tuple(names) for group, names in found.items()}


def longest_delay(members: Iterable[str], enrollments: Mapping[str, Enrollment]) -> tuple[timedelta, str]:
    """Return the longest delay of a group's images, and the image whose it is; of equal ones the first by name."""
    ordered = sorted(members, key=lambda name: (-enrollments[name].rebuild_delay, name))
    return enrollments[ordered[0]].rebuild_delay, ordered[0]


def units(lineage: Lineage, groups: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Yield the images in an order in which parents come first, those of one group at once.

    Where the images of a group are built on each other, directly or through others, they cannot be rebuilt
    at one time: they come one by one, parents first, and with False.
    """
    unit_of = {name: ("image", name) for name in lineage.parents}
    for group, members in groups.items():
        unit_of.update({name: ("group", group) for name in members if name in unit_of})
    members_of: dict[tuple[str, str], list[str]] = {}
    above: dict[tuple[str, str], dict[tuple[str, str], None]] = {}
    for name in sorted(unit_of):
        unit = unit_of[name]
        members_of.setdefault(unit, []).append(name)
        above.setdefault(unit, {}).update({unit_of[parent]: None for parent in lineage.parents[name]})
    for component in components(above):
        unit = component[0]
        if len(component) == 1 and unit not in above[unit]:
            yield tuple(members_of[unit]), True
            continue
        names = [name for part in component for name in members_of[part]]
        for name in sorted(names, key=lambda each: (lineage.depth[each], each)):
            yield (name,), False
