from pathlib import Path

import pytest

from image_factory.errors import InvalidReference, NotFound
from image_factory.oci.reference import Reference
from image_factory_cli.demo import session
from image_factory_cli.demo.world import World


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    with World(tmp_path) as world:
        world.publish([Reference.parse("alpine:3.19")])
        world.create("acme/platform.git", {"README.md": "text\n"}, world.platform)
        world.remember(is_told=True)
    return tmp_path


@pytest.mark.parametrize("is_served", [True, False], ids=["while it is served", "while nothing runs"])
def test_a_base_moves(demo: Path, is_served: bool, capsys: pytest.CaptureFixture[str]) -> None:
    if is_served:
        with World(demo) as world:
            before = world.registry.count("PUT")
            session.move(demo, "alpine:3.19")
            assert world.registry.count("PUT") > before
    else:
        session.move(demo, "alpine:3.19")

    assert "docker.io/library/alpine:3.19 points at sha256:" in capsys.readouterr().out


def test_only_a_reference_of_the_demo_moves(demo: Path) -> None:
    with pytest.raises(NotFound):
        session.move(demo, "alpine:edge")
    with pytest.raises(InvalidReference):
        session.move(demo, "Not An Image")


def test_a_folder_without_a_demo_is_neither_served_nor_moved(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="holds no demo"):
        session.serve(tmp_path)
    with pytest.raises(NotFound, match="holds no demo"):
        session.move(tmp_path, "alpine:3.19")


def test_a_path_is_shown_as_short_as_it_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert session.shown(tmp_path / "demo") == "demo"
    assert session.shown(Path("/elsewhere/demo")) == "/elsewhere/demo"
