"""Which managed image is built on which, in which order that can be done, and where it cannot. Pure.

Linear in images and edges, and without recursion: a chain of ten thousand images is no deeper than one.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from image_factory.decide.absorption import built_in
from image_factory.decide.causes import input_named
from image_factory.decide.graph import Edge, Graph, find_cycle
from image_factory.model.enrollment import Kind
from image_factory.model.image_state import BaseState, ImageState

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Lineage:
    """The managed images that are built on each other."""

    parents: Mapping[str, tuple[str, ...]]
    """What each is built on directly, sorted; without the edges of a cycle."""
    depth: Mapping[str, int]
    """How many managed images each is built on, the longest way up: parents have less than their children."""
    cycles: Mapping[str, tuple[str, ...]]
    """The path of the cycle that an image is in, its first name repeated at the end."""


def find_lineage(names: Iterable[str], images: Mapping[str, ImageState], bases: Mapping[str, BaseState]) -> Lineage:
    """Return how those of the named images that are known and managed are built on each other."""
    nodes = sorted(name for name in set(names) if name in images and images[name].kind is Kind.MANAGED)
    known = set(nodes)
    parents: dict[str, tuple[str, ...]] = {}
    for name in nodes:
        sources = (input_named(base, bases, images) for base in built_in(images[name]))
        parents[name] = tuple(
            sorted({source.name for source in sources if isinstance(source, ImageState) and source.name in known})
        )
    cycles: dict[str, tuple[str, ...]] = {}
    ordered: list[str] = []
    for component in components(parents):
        members = set(component)
        inner = {(parent, name) for name in component for parent in parents[name] if parent in members}
        if not inner:
            ordered += component
            continue
        path = find_cycle(Graph((), tuple(sorted(Edge(parent, name) for parent, name in inner)))) or ()
        cycles.update(dict.fromkeys(component, path))
    free = {name: tuple(parent for parent in parents[name] if parent not in cycles) for name in ordered}
    depth: dict[str, int] = {}
    for name in ordered:
        depth[name] = max((depth[parent] + 1 for parent in free[name]), default=0)
    return Lineage(free, depth, cycles)


def components(parents: Mapping[Name, Iterable[Name]]) -> list[tuple[Name, ...]]:
    """Return the strongly connected parts of a graph, parents first (Tarjan 1972); most are of one node.

    Args:
        parents: for every node those that come before it, each a node itself.
    """
    index: dict[Name, int] = {}
    low: dict[Name, int] = {}
    on_stack: set[Name] = set()
    stack: list[Name] = []
    found: list[tuple[Name, ...]] = []
    for root in parents:
        if root in index:
            continue
        work = [(root, iter(parents[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, pending = work[-1]
            following = next((other for other in pending if other not in index or other in on_stack), None)
            if following is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    place = _last_place(stack, node)
                    part = tuple(stack[place:])
                    del stack[place:]
                    on_stack.difference_update(part)
                    found.append(part)
            elif following in index:
                low[node] = min(low[node], index[following])
            else:
                index[following] = low[following] = len(index)
                stack.append(following)
                on_stack.add(following)
                work.append((following, iter(parents[following])))
    return found


def _last_place(stack: list[Name], node: Name) -> int:
    place = len(stack) - 1
    while stack[place] != node:
        place -= 1
    return place
