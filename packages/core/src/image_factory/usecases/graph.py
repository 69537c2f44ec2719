"""The dependency graph as people and programs read it: text, Mermaid, DOT, JSON."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from image_factory.decide.graph import Graph, Node, NodeKind, build_graph, find_cycle
from image_factory.errors import DependencyCycle, ImageFactoryError
from image_factory.usecases.workbench import Workbench


def read_graph(bench: Workbench) -> tuple[Graph, tuple[ImageFactoryError, ...]]:
    """Return the graph of what state says, and why some of it could not be read.

    Raises:
        DependencyCycle: managed images are built on each other in a circle; it names the path.
    """
    images, bases = bench.store.images(), bench.store.bases()
    graph = build_graph(images.records, bases.records)
    cycle = find_cycle(graph)
    if cycle is not None:
        raise DependencyCycle(cycle)
    return graph, (*images.problems, *bases.problems)


def to_text(graph: Graph) -> str:
    """Return a tree from each image that nothing else here is built under, dependents indented."""
    lines: list[str] = []
    roots = [node for node in graph.nodes if not graph.bases(node.name)]
    kinds = {node.name: node.kind for node in graph.nodes}
    secondary = {(edge.base, edge.dependent): edge.is_secondary for edge in graph.edges}
    dependents: dict[str, list[str]] = {}
    for edge in graph.edges:
        dependents.setdefault(edge.base, []).append(edge.dependent)
    shown: set[str] = set()
    for root in roots:
        lines.append(f"{root.name} ({root.kind}: {root.reference})")
        pending = [(name, root.name, 1) for name in sorted(set(dependents.get(root.name, ())), reverse=True)]
        while pending:
            name, base, depth = pending.pop()
            note = ", files only" if secondary[(base, name)] else ""
            lines.append(f"{'   ' * depth}└─ {name} ({kinds[name]}{note})")
            children = sorted(set(dependents.get(name, ())), reverse=True)
            if name in shown and children:
                # In a graph of diamonds, repeating what is below would double with every layer.
                lines.append(f"{'   ' * (depth + 1)}└─ … as above")
                continue
            shown.add(name)
            pending += [(child, name, depth + 1) for child in children]
    return "\n".join(lines)


def to_mermaid(graph: Graph) -> str:
    """Return a Mermaid flowchart; node ids are numbers, so that no name can be taken for syntax."""
    ids = {node.name: f"n{number}" for number, node in enumerate(graph.nodes)}
    shapes = {NodeKind.BASE: ("([", "])"), NodeKind.EXTERNAL: ("[[", "]]"), NodeKind.MANAGED: ("[", "]")}
    lines = ["flowchart LR"]
    for node in graph.nodes:
        left, right = shapes[node.kind]
        lines.append(f'  {ids[node.name]}{left}"{_mermaid_text(node.name)}"{right}')
    for edge in graph.edges:
        arrow = "-.->" if edge.is_secondary else "-->"
        lines.append(f"  {ids[edge.base]} {arrow} {ids[edge.dependent]}")
    return "\n".join(lines)


def to_dot(graph: Graph) -> str:
    """Return the graph in Graphviz's language."""
    shapes = {NodeKind.BASE: "ellipse", NodeKind.EXTERNAL: "component", NodeKind.MANAGED: "box"}
    lines = ["digraph images {", "  rankdir=LR;"]
    lines += [f"  {_dot_text(node.name)} [shape={shapes[node.kind]}];" for node in graph.nodes]
    for edge in graph.edges:
        style = " [style=dashed]" if edge.is_secondary else ""
        lines.append(f"  {_dot_text(edge.base)} -> {_dot_text(edge.dependent)}{style};")
    return "\n".join([*lines, "}"])


def to_json(graph: Graph) -> dict[str, Any]:
    """Return nodes and edges as JSON data, each node with its dependents."""
    dependents: dict[str, set[str]] = {}
    for edge in graph.edges:
        dependents.setdefault(edge.base, set()).add(edge.dependent)
    return {
        "nodes": [_node_to_json(node, sorted(dependents.get(node.name, ()))) for node in graph.nodes],
        "edges": [
            {"from": edge.base, "to": edge.dependent, "type": "copy" if edge.is_secondary else "from"}
            for edge in graph.edges
        ],
    }


def _node_to_json(node: Node, dependents: list[str]) -> dict[str, Any]:
    return {
        "name": node.name,
        "kind": str(node.kind),
        "reference": node.reference,
        "digest": node.digest,
        "dependents": dependents,
    }


def _mermaid_text(name: str) -> str:
    # Mermaid takes HTML's character references in quoted labels, and nothing else as an escape.
    return re.sub(r"[^A-Za-z0-9 ._:/-]", lambda found: f"#{ord(found[0])};", name)


def _dot_text(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


FORMATS: Mapping[str, Callable[[Graph], str]] = {"text": to_text, "mermaid": to_mermaid, "dot": to_dot}
"""The formats that are text; JSON is data, which the command line writes."""
