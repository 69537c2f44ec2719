"""The graph's formats: each holds every edge, and no name can be taken for syntax."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from image_factory.decide.graph import Edge, Graph, Node, NodeKind
from image_factory.errors import DependencyCycle
from image_factory.usecases.analyze import analyze
from image_factory.usecases.graph import read_graph, to_dot, to_json, to_mermaid, to_text

if TYPE_CHECKING:
    from .conftest import World
else:
    World = Any

GRAPH = Graph(
    (
        Node("api", NodeKind.MANAGED, "ghcr.io/acme/api", "sha256:aa"),
        Node("node-22", NodeKind.BASE, "docker.io/library/node:22"),
        Node("uv", NodeKind.BASE, "ghcr.io/astral-sh/uv:0.5"),
        Node("web", NodeKind.MANAGED, "ghcr.io/acme/web"),
    ),
    (Edge("api", "web"), Edge("node-22", "api"), Edge("uv", "web", True)),
)


def test_text_is_a_tree_from_what_is_built_on_nothing() -> None:
    assert to_text(GRAPH).splitlines() == [
        "node-22 (base: docker.io/library/node:22)",
        "   └─ api (managed)",
        "      └─ web (managed)",
        "uv (base: ghcr.io/astral-sh/uv:0.5)",
        "   └─ web (managed, files only)",
    ]


def test_a_graph_of_diamonds_is_written_in_lines_that_grow_with_its_edges() -> None:
    layers = 30
    nodes = tuple(Node(f"n{layer:02}{side}", NodeKind.MANAGED, "r") for layer in range(layers) for side in "ab")
    edges = tuple(
        Edge(f"n{layer:02}{one}", f"n{layer + 1:02}{other}")
        for layer in range(layers - 1)
        for one in "ab"
        for other in "ab"
    )

    assert len(to_text(Graph(nodes, edges)).splitlines()) < 5 * len(edges)


def test_mermaid_gives_numbers_as_ids_and_escapes_names() -> None:
    strange = Graph((Node('a"];click', NodeKind.BASE, "r"),), ())

    assert to_mermaid(strange).splitlines() == ["flowchart LR", '  n0(["a#34;#93;#59;click"])']
    assert "  n2 -.-> n3" in to_mermaid(GRAPH).splitlines()


def test_dot_quotes_names() -> None:
    strange = Graph((Node('a"\\b', NodeKind.BASE, "r"),), ())

    assert '  "a\\"\\\\b" [shape=ellipse];' in to_dot(strange).splitlines()
    assert '  "uv" -> "web" [style=dashed];' in to_dot(GRAPH).splitlines()


def test_json_holds_every_edge_and_each_node_s_dependents() -> None:
    data = to_json(GRAPH)

    assert {(edge["from"], edge["to"]) for edge in data["edges"]} == {
        ("api", "web"),
        ("node-22", "api"),
        ("uv", "web"),
    }
    assert {node["name"]: node["dependents"] for node in data["nodes"]}["node-22"] == ["api"]


def test_images_built_on_each_other_are_an_error_with_the_path(world: World) -> None:
    for name, on in (("a", "b"), ("b", "c"), ("c", "a")):
        world.service(name, f"FROM ghcr.io/acme/{on}:1\n")
    world.enroll("a", "b", "c")
    bench = world.bench()
    bench.store.apply(analyze(bench).changes)

    with pytest.raises(DependencyCycle, match="a -> c -> b -> a") as caught:
        read_graph(world.bench())

    assert caught.value.exit_code == 4
