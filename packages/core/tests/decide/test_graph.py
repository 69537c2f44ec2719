"""The dependency graph: edges from state, cycles with their path, waves in order."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from image_factory.decide.graph import Edge, Graph, Node, NodeKind, build_graph, find_cycle, waves
from image_factory.model.enrollment import Enrollment
from image_factory.model.image_state import BaseConfiguration, BaseState, ImageConfiguration, ImageState


def managed(name: str, *bases: str, secondary: tuple[str, ...] = ()) -> ImageState:
    enrollment = Enrollment.model_validate(
        {"name": name, "registry": "ghcr.io", "repository": f"acme/{name}", "source": {"repo": "acme/images"}}
    )
    return ImageState(
        configuration=ImageConfiguration(
            name=name, enrollment=enrollment, base_images=tuple(sorted(bases)), secondary_images=secondary
        )
    )


def base(name: str) -> BaseState:
    return BaseState(
        configuration=BaseConfiguration(
            name=name, full_image=f"docker.io/library/{name}:1", registry="docker.io", repository=f"library/{name}"
        )
    )


def graph_of(*edges: tuple[str, str]) -> Graph:
    names = sorted({name for edge in edges for name in edge})
    return Graph(
        tuple(Node(name, NodeKind.MANAGED, name) for name in names), tuple(sorted(Edge(*edge) for edge in edges))
    )


def test_each_base_image_has_an_edge_to_each_image_that_is_built_on_it() -> None:
    graph = build_graph({"web": managed("web", "node"), "api": managed("api", "node", "web")}, {"node": base("node")})

    assert graph.dependents("node") == ("api", "web")
    assert graph.bases("api") == ("node", "web")
    assert [node.kind for node in graph.nodes] == [NodeKind.MANAGED, NodeKind.BASE, NodeKind.MANAGED]


def test_an_image_that_only_gives_files_has_a_secondary_edge() -> None:
    graph = build_graph({"web": managed("web", "node", secondary=("uv",))}, {"node": base("node"), "uv": base("uv")})

    assert graph.edges == (Edge("node", "web", False), Edge("uv", "web", True))


def test_a_base_without_a_file_yet_is_a_node_too() -> None:
    graph = build_graph({"web": managed("web", "node")}, {})

    assert [(node.name, node.kind) for node in graph.nodes] == [("node", NodeKind.BASE), ("web", NodeKind.MANAGED)]


def test_a_base_that_a_managed_image_publishes_is_no_node_beside_it() -> None:
    taken = base("node-22")
    taken = taken.model_copy(update={"configuration": taken.configuration.model_copy(update={"managed_by": "node"})})

    graph = build_graph({"web": managed("web", "node"), "node": managed("node")}, {"node-22": taken})

    assert [node.name for node in graph.nodes] == ["node", "web"]


def test_a_cycle_is_named_with_its_path() -> None:
    assert find_cycle(graph_of(("base", "a"), ("a", "b"), ("b", "c"), ("c", "a"))) == ("a", "b", "c", "a")


def test_an_image_built_on_itself_is_a_cycle() -> None:
    assert find_cycle(graph_of(("a", "a"))) == ("a", "a")


def test_a_diamond_is_no_cycle() -> None:
    assert find_cycle(graph_of(("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"))) is None


def test_a_chain_of_ten_thousand_images_does_not_exhaust_the_stack() -> None:
    chain = graph_of(*((f"i{number:05}", f"i{number + 1:05}") for number in range(10_000)))

    assert find_cycle(chain) is None
    assert len(waves(chain, ["i00000"])) == 10_000


def test_waves_build_a_child_after_all_of_its_bases() -> None:
    graph = graph_of(("node", "a"), ("a", "b"), ("node", "c"), ("b", "d"), ("c", "d"), ("other", "e"))

    assert waves(graph, ["node"]) == (("a", "c"), ("b",), ("d",))


@st.composite
def acyclic_graphs(draw: st.DrawFn) -> Graph:
    count = draw(st.integers(2, 12))
    pairs = draw(st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=30))
    edges = {(f"n{low:02}", f"n{high:02}") for low, high in (sorted(pair) for pair in pairs) if low != high}
    return graph_of(("n00", "n01"), *edges)


@given(acyclic_graphs())
def test_a_plan_never_builds_a_child_before_its_base(graph: Graph) -> None:
    order = {name: number for number, wave in enumerate(waves(graph, ["n00"])) for name in wave}

    assert find_cycle(graph) is None
    for edge in graph.edges:
        if edge.base in order and edge.dependent in order:
            assert order[edge.base] < order[edge.dependent]
    assert "n01" in order


@given(acyclic_graphs(), st.data())
def test_an_edge_back_along_a_path_makes_a_cycle_that_is_found(graph: Graph, data: st.DataObject) -> None:
    edge = data.draw(st.sampled_from(graph.edges))
    closed = Graph(graph.nodes, tuple(sorted({*graph.edges, Edge(edge.dependent, edge.base)})))

    cycle = find_cycle(closed)

    assert cycle is not None
    assert cycle[0] == cycle[-1]
    steps = {(one.base, one.dependent) for one in closed.edges}
    assert all(step in steps for step in itertools.pairwise(cycle))
