from __future__ import annotations

from pathlib import Path

import pytest

from image_factory.errors import PluginError
from image_factory.model.settings import Settings
from image_factory.state.images_yaml import PluginNames
from image_factory.usecases.validate import validate

GOOD = "- name: redis\n  repository: library/redis\n  tag: 7-alpine\n"


def test_a_good_folder_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "images.yaml").write_text(GOOD)

    found = validate(tmp_path, {}, {}, lambda settings: None)

    assert (found.images, found.problems, found.warnings) == (1, (), ())
    assert found.exit_code() == found.exit_code(strict=True) == 0


def test_every_problem_of_both_files_is_told_in_one_go(tmp_path: Path) -> None:
    (tmp_path / "images.yaml").write_text(GOOD + "- repository: a/b\n  tag: x\n  criticality: most\n")
    (tmp_path / "config.yaml").write_text("kargo:\n  version: 1.10\n")

    found = validate(tmp_path, {"IMAGE_FACTORY_COMMIT_PUSH": "x"}, {}, lambda settings: None)

    assert [str(problem).removeprefix(f"{tmp_path}/") for problem in found.problems] == [
        "images.yaml:4: entry 2: name: missing",
        "images.yaml:6: entry 2: criticality: 'most' is none of low, normal, high, critical",
        "config.yaml:2: kargo.version: YAML takes 1.10 for a number, and text is meant",
        "$IMAGE_FACTORY_COMMIT_PUSH: commit.push: 'x' stands where true or false is meant",
    ]
    assert found.images == 1
    assert found.exit_code() == 2


def test_the_name_of_a_base_image_is_a_problem_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "images.yaml").write_text(f"# ours\n{GOOD}{GOOD.replace('redis', 'nats')}")
    (tmp_path / "config.yaml").write_text("stateDir: known\n")
    (tmp_path / "known/base-images").mkdir(parents=True)
    (tmp_path / "known/base-images/redis.yaml").write_text("name: redis\n")

    found = validate(tmp_path, {}, {}, lambda settings: None)

    (problem,) = found.problems
    assert str(problem).startswith(f"{tmp_path}/images.yaml:2: redis: name: a base image has this name: ")
    assert (found.images, found.exit_code()) == (1, 2)


def test_a_warning_counts_where_strict(tmp_path: Path) -> None:
    (tmp_path / "images.yaml").write_text(f"{GOOD}  onwer: me\n")

    found = validate(tmp_path, {}, {}, lambda settings: None)

    assert (found.exit_code(), found.exit_code(strict=True)) == (0, 2)


def test_plugins_are_asked_with_the_settings_that_hold(tmp_path: Path) -> None:
    (tmp_path / "images.yaml").write_text(GOOD.replace("tag: 7-alpine", "registry: ghcr.io\n  source: {repo: a/b}"))
    (tmp_path / "config.yaml").write_text("disabledPlugins: [github]\n")
    asked: list[Settings] = []

    def plugins(settings: Settings) -> PluginNames:
        asked.append(settings)
        return PluginNames({"source": frozenset({"git"})}, {"source": frozenset({"github"})})

    found = validate(tmp_path, {}, {}, plugins)

    assert asked[0].disabled_plugins == ("github",)
    assert [problem.hint for problem in found.problems] == ["pip install 'image-factory[github]'"]


def test_plugins_that_cannot_be_loaded_are_one_problem_among_the_others(tmp_path: Path) -> None:
    (tmp_path / "images.yaml").write_text("- name: a\n")

    def plugins(settings: Settings) -> PluginNames:
        raise PluginError("plugin 'x' cannot be imported")

    found = validate(tmp_path, {}, {}, plugins)

    assert [problem.message for problem in found.problems] == [
        "a: repository: missing",
        "a: allowTags: missing, as are tag, constraint and source",
        "plugin 'x' cannot be imported",
    ]


@pytest.mark.parametrize("content", [b"- name: \xff\n", None])
def test_a_file_that_cannot_be_read_is_a_problem(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "images.yaml").write_bytes(content)

    found = validate(tmp_path, {}, {}, lambda settings: None)

    (problem,) = found.problems
    assert ("not UTF-8" in str(problem)) if content else ("there is no" in str(problem))
    assert found.exit_code() == 2
