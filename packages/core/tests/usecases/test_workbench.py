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
