"""The workbench: images.yaml is read where the settings say, and plugins load when they are needed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from image_factory.errors import NotFound
from image_factory.usecases.progress import NoProgress

if TYPE_CHECKING:
    from .conftest import World
else:
    World = Any


def test_an_absent_images_yaml_is_an_error_that_names_it_and_the_command_that_makes_one(world: World) -> None:
    with pytest.raises(NotFound, match=r"images\.yaml") as caught:
        world.bench().images()

    assert "image-factory init" in caught.value.hint
    assert not world.root.exists()


def test_images_yaml_is_read_again_where_its_text_has_changed(world: World) -> None:
    world.root.mkdir(parents=True)
    file = world.root / "images.yaml"
    text = "- {name: web, registry: ghcr.io, repository: acme/web, source: {repo: acme/web}}\n"
    bench = world.bench()
    file.write_text(text)
    first = bench.images()
    assert bench.images() is first

    file.write_text(text.replace("web", "api"))

    assert [entry.enrollment.name for entry in bench.images().enrollments] == ["api"]
    file.write_text(text)
    assert bench.images() == first
    file.unlink()
    with pytest.raises(NotFound):
        bench.images()


def test_plugins_are_loaded_once_and_not_before(world: World) -> None:
    calls: list[int] = []
    bench = world.bench()
    load = bench.load

    def counted() -> Any:
        calls.append(1)
        return load()

    lazy = replace(bench, load=counted)

    assert calls == []
    assert lazy.plugins is lazy.plugins
    assert calls == [1]


def test_progress_that_nobody_watches_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    progress = NoProgress()
    progress.start("work", 3)
    progress.advance("one")
    progress.finish()

    assert capsys.readouterr() == ("", "")
