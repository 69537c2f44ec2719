"""cdk8s for real; skipped where there is no Node."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from image_factory.errors import ImageFactoryError
from image_factory_synth.charts import Chart
from image_factory_synth.kargo import Cdk8s
from image_factory_synth.library import RenderingFailed, cdk8s_library
from image_factory_synth.node import NoNode, find_node

try:
    find_node()
except NoNode as none:
    pytest.skip(f"{none.message}: {none.hint}", allow_module_level=True)


def render(*charts: Chart) -> list[str]:
    with Cdk8s() as cdk8s:
        return cdk8s.render(charts)


def resource(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Thing", "metadata": {"name": "a"}, "spec": spec}


def test_a_chart_becomes_yaml_that_a_person_reads() -> None:
    warehouse = {
        "apiVersion": "kargo.akuity.io/v1alpha1",
        "kind": "Warehouse",
        "metadata": {"name": "a", "labels": {"z": "true", "a": "on"}},
        "spec": {"constraint": "3.10", "list": [{"b": 1, "a": False}], "empty": {}, "date": "2026-01-01"},
    }

    (text,) = render(Chart("a", (warehouse,)))

    assert text.splitlines() == [
        "apiVersion: kargo.akuity.io/v1alpha1",
        "kind: Warehouse",
        "metadata:",
        "  name: a",
        "  labels:",
        '    z: "true"',
        '    a: "on"',
        "spec:",
        '  constraint: "3.10"',
        "  list:",
        "    - b: 1",
        "      a: false",
        "  empty: {}",
        '  date: "2026-01-01"',
    ]


def test_each_chart_has_its_own_text_and_its_resources_stand_in_order() -> None:
    one, two, three = (resource(at=number) for number in (1, 2, 3))

    texts = render(Chart("a", (two, one)), Chart("b", (three,)))

    assert [[of["spec"]["at"] for of in yaml.safe_load_all(text)] for text in texts] == [[2, 1], [3]]
    assert texts[0].count("---\n") == 1


def test_each_resource_is_a_construct_so_that_one_without_an_api_version_is_refused() -> None:
    with pytest.raises(RenderingFailed):
        render(Chart("a", ({"kind": "Thing", "metadata": {"name": "a"}},)))


ODD = [
    "3.10",
    "on",
    "No",
    "null",
    "~",
    "1e3",
    "0x1f",
    "0o17",
    "017",
    "12:30",
    "2026-01-01",
    "*a",
    "&a",
    "!x",
    "---",
    "...",
    "- a",
    "a: b",
    "#a",
    " a ",
    "",
    "'",
    '"',
    "ä",
    "😀",
    "%",
    "@",
    "`",
]


@settings(max_examples=5, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20), min_size=40, max_size=60))
def test_every_text_reads_back_as_the_same_text(texts: list[str]) -> None:
    # PyYAML alone takes a bare = for a tag, and then cannot read it; Go's readers take it for text.
    documents: tuple[dict[str, Any], ...] = tuple(resource(b=[text]) for text in (*ODD, *texts) if text != "=")

    (text,) = render(Chart("a", documents))

    assert list(yaml.safe_load_all(text)) == list(documents)


LIBRARY = """
const { ApiObject, App, Chart, JsonPatch, Yaml } = require(process.argv[1]);
const texts = require("fs").readFileSync(0, "utf8").trim().split("\\n").map((line) => {
  const chart = new Chart(new App(), "chart");
  for (const [number, resource] of JSON.parse(line).entries()) {
    const object = new ApiObject(chart, `${number}`, resource);
    object.addJsonPatch(JsonPatch.replace("/metadata", resource.metadata));
  }
  return Yaml.stringify(...chart.toJson());
});
process.stdout.write(JSON.stringify(texts));
"""
"""What cdk8s' own writer makes of charts."""
ORDINARY = (
    *("web-1", "ghcr.io/acme/web", "https://github.com/acme/web.git", "apps/web/", "24h17m0s", "5m0s", "m0s", "1h"),
    *(
        "a-1e3",
        "e-3",
        "a.b_c",
        "on-off",
        "n/y",
        "1-a",
        "a-",
        "a--b",
        "a:b",
        "http://a.b",
        "https://a",
        "0h0m0s",
        "{{x}}",
    ),
    *("<<", "=", "012", "1_000", ".5", "+1", ".inf", "a\nb", "a\n", "\t", "\u2028", "x" * 2000, "Y", "off"),
)
SCALARS = st.one_of(
    st.sampled_from([*ODD, *ORDINARY]),
    st.text(st.characters(codec="utf-8"), max_size=8),
    st.from_regex(r"[a-z0-9./:_-]{1,9}", fullmatch=True),
    st.booleans(),
    st.none(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
)
NESTED = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*ODD, *ORDINARY, "a", "b", "1"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=5, deadline=None, phases=(Phase.generate,))  # each try starts two Nodes: none to spare
@given(st.lists(NESTED, min_size=80, max_size=80))
def test_what_is_written_is_what_the_library_writes(values: list[Any]) -> None:
    charts = [
        Chart(f"{number}", (resource(value=value), resource(again=[value])) if number % 2 else (resource(value=value),))
        for number, value in enumerate(values)
    ]
    with cdk8s_library() as library:
        done = subprocess.run(
            [str(find_node()), "-e", LIBRARY, str(library)],
            input="".join(f"{chart.line}\n" for chart in charts),
            env={**os.environ, "CDK8S_DISABLE_SORT": "1"},
            capture_output=True,
            text=True,
            check=True,
        )

    assert render(*charts) == json.loads(done.stdout)


def test_charts_handed_over_one_after_the_other_come_back_in_their_order() -> None:
    charts = [Chart(str(number), (resource(n=number, text="a" * 500),)) for number in range(300)]

    with Cdk8s() as cdk8s:
        for chart in charts:
            cdk8s.add([chart])
        texts = cdk8s.finish()

    assert texts == render(*charts)
    assert [yaml.safe_load(text)["spec"]["n"] for text in texts] == list(range(300))


def test_nothing_is_left_of_node_that_was_not_needed() -> None:
    with Cdk8s() as unused:
        unused.start()
        process = unused._process
    assert process is not None
    assert process.returncode is not None


@pytest.mark.parametrize("is_asked", [False, True], ids=["while it starts", "while it works"])
def test_an_error_of_ours_ends_node_and_its_words_are_not_heard(
    is_asked: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    begun = Cdk8s()
    begun.start()
    process = begun._process
    assert process is not None

    def fail() -> None:
        with begun:
            if is_asked:
                begun.add([Chart("a", tuple(resource(n=number) for number in range(5000)))])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()

    assert process.returncode is not None
    assert capfd.readouterr() == ("", "")


def test_a_node_that_cannot_be_prepared_is_told_of_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JSII_NODE", "/nonexistent/node")
    with Cdk8s() as cdk8s:
        cdk8s.prepare()
        with pytest.raises(RenderingFailed, match="/nonexistent/node"):
            cdk8s.render([Chart("a", (resource(n=1),))])


def test_the_name_tells_the_versions_of_the_library_and_of_our_script() -> None:
    with Cdk8s() as cdk8s:
        assert cdk8s.name.startswith("cdk8s@")
        assert "constructs@" in cdk8s.name
        assert len(cdk8s.name.split()[1]) == 64


def test_nothing_is_printed_about_versions_of_node(capfd: pytest.CaptureFixture[str]) -> None:
    render(Chart("a", (resource(n=1),)))

    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "script", ["#!/bin/sh\necho 'Error: too old' >&2\nexit 1\n", "#!/bin/sh\ncat >/dev/null\necho '[]'\n"]
)
def test_a_node_that_fails_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    node = tmp_path / "node"
    node.write_text(script)
    node.chmod(0o755)
    monkeypatch.setenv("JSII_NODE", os.fspath(node))

    with pytest.raises(RenderingFailed) as caught:
        render(*(Chart("a", (resource(n=number),)) for number in range(5000)))

    assert "\n" not in caught.value.message


def test_a_node_that_is_not_there_is_an_error_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JSII_NODE", "/nonexistent/node")

    with pytest.raises(ImageFactoryError) as caught:
        render(Chart("a", (resource(n=1),)))

    assert "/nonexistent/node" in caught.value.message
    assert caught.value.hint
