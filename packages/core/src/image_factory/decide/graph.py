"""The dependency graph: which image is built on which. Pure.

Nodes are base, external and managed images; an edge goes from a base to what is built on it.
Dependents are computed here from the states, never stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from image_factory.model.enrollment import Kind
from image_factory.model.image_state import BaseState, ImageState


class NodeKind(StrEnum):
    BASE = "base"
    EXTERNAL = "external"
    MANAGED = "managed"


@dataclass(frozen=True, slots=True, order=True)
class Node:
    """One image of the graph."""

    name: str
    kind: NodeKind
    reference: str
    digest: str | None = None


@dataclass(frozen=True, slots=True, order=True)
class Edge:
    """`dependent` is built on `base`, or only takes files from it where `is_secondary`."""

    base: str
    dependent: str
    is_secondary: bool = False


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes and edges, both sorted by name."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def dependents(self, name: str) -> tuple[str, ...]:
        """Return the names of what is built directly on `name`, sorted."""
        return tuple(sorted({edge.dependent for edge in self.edges if edge.base == name}))

    def bases(self, name: str) -> tuple[str, ...]:
        """Return the names of what `name` is built directly on, sorted."""
        return tuple(sorted({edge.base for edge in self.edges if edge.dependent == name}))


def build_graph(images: Mapping[str, ImageState], bases: Mapping[str, BaseState]) -> Graph:
    """Return the graph of all images; a base that no file describes yet is a node too.

    A base that a managed image publishes is that image, and no node of its own.
    """
    nodes: dict[str, Node] = {}
    edges: set[Edge] = set()
    for base in bases.values():
        configured = base.configuration
        if configured.managed_by is None:
            nodes[base.name] = Node(base.name, NodeKind.BASE, configured.full_image, base.runtime.current_digest)
    for image in images.values():
        enrollment = image.configuration.enrollment
        kind = NodeKind.MANAGED if image.kind is Kind.MANAGED else NodeKind.EXTERNAL
        nodes[image.name] = Node(image.name, kind, str(enrollment.image), image.runtime.current_digest)
    references = {site.name: site.reference for image in images.values() for site in image.configuration.references}
    for image in images.values():
        configuration = image.configuration
        for secondary, names in ((False, configuration.base_images), (True, configuration.secondary_images)):
            for name in names:
                nodes.setdefault(name, Node(name, NodeKind.BASE, references.get(name, name)))
                edges.add(Edge(name, image.name, secondary))
    return Graph(tuple(sorted(nodes.values())), tuple(sorted(edges)))


def find_cycle(graph: Graph) -> tuple[str, ...] | None:
    """Return the names along one cycle, the first repeated at the end, or None where there is none.

    The same graph always gives the same cycle: the one met first in the order of names.
    """
    following = _following(graph)
    done: set[str] = set()
    for start in sorted(following):
        if start in done:
            continue
        # Depth first without recursion: a chain of ten thousand images must not exhaust the stack.
        path: list[str] = [start]
        on_path: dict[str, int] = {start: 0}
        pending = [iter(following[start])]
        while pending:
            name = next(pending[-1], None)
            if name is None:
                pending.pop()
                finished = path.pop()
                del on_path[finished]
                done.add(finished)
            elif name in on_path:
                return (*path[on_path[name] :], name)
            elif name not in done:
                on_path[name] = len(path)
                path.append(name)
                pending.append(iter(following.get(name, ())))
    return None


def waves(graph: Graph, roots: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Return what must be rebuilt when `roots` move, in waves: each image after all that it is built on.

    The roots themselves are left out. The graph must hold no cycle (see `find_cycle`).
    """
    following = _following(graph)
    affected: set[str] = set()
    pending = sorted(roots)
    while pending:
        for name in following.get(pending.pop(), ()):
            if name not in affected:
                affected.add(name)
                pending.append(name)
    needs = dict.fromkeys(affected, 0)
    for name in affected:
        for dependent in following.get(name, ()):
            needs[dependent] += 1
    found: list[tuple[str, ...]] = []
    ready = sorted(name for name, count in needs.items() if count == 0)
    while ready:
        found.append(tuple(ready))
        released: list[str] = []
        for name in ready:
            for dependent in following.get(name, ()):
                needs[dependent] -= 1
                if needs[dependent] == 0:
                    released.append(dependent)
        ready = sorted(released)
    return tuple(found)


def _following(graph: Graph) -> dict[str, tuple[str, ...]]:
    """Return the dependents of each name, sorted, in one pass over the edges."""
    sets: dict[str, set[str]] = {}
    for edge in graph.edges:
        sets.setdefault(edge.base, set()).add(edge.dependent)
    return {name: tuple(sorted(dependents)) for name, dependents in sets.items()}
