from pathlib import Path

import pytest

from image_factory.errors import InvalidEnrollment
from image_factory.state.images_yaml import read_images
from image_factory_cli.commands.enroll import command
from image_factory_cli.demo.enrollments import MOVING, SERVICES, enrollment, find_clone, localized
from image_factory_cli.demo.world import pulled_by, shipped_services

IMAGES = """\
# kept: a comment
- name: image-factory
  registry: ghcr.io
  repository: acme/image-factory
  source:
    provider: github
    host: git.example.com
    repo: acme/image-factory
    branch: release
    dockerfile: docker/Dockerfile
    workflow: build.yml
    buildArgs: {PYTHON: "3.10"}
- name: unknown
  registry: ghcr.io
  repository: acme/unknown
  source: {repo: acme/unknown}
- name: redis
  repository: library/redis
  tag: "7"
"""


def test_sources_point_at_the_demo_s_git_server_and_nothing_else_changes() -> None:
    text, names = localized(IMAGES, sources={"image-factory": ("http://127.0.0.1:1/p.git", "Dockerfile")})

    read = {entry.enrollment.name: entry.enrollment for entry in read_images(text, "images.yaml").enrollments}
    assert names == ["image-factory", "redis"] == list(read)
    source = read["image-factory"].source
    assert source is not None
    assert (source.provider, source.repo, source.dockerfile) == ("git", "http://127.0.0.1:1/p.git", "Dockerfile")
    assert (source.host, source.branch, source.workflow) == (None, "main", None)
    assert source.build_args == {"PYTHON": "3.10"}
    assert read["redis"].tag == "7"
    assert text.startswith("# kept: a comment\n")


def test_an_images_yaml_that_is_no_list_is_refused() -> None:
    with pytest.raises(InvalidEnrollment, match="no list"):
        localized("images: []\n", sources={})


def test_a_clone_is_found_from_inside_and_nothing_else_is_taken_for_one(tmp_path: Path) -> None:
    (tmp_path / "image-factory").mkdir()
    (tmp_path / "image-factory/images.yaml").write_text("[]\n")
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "image-factory"\n')
    (tmp_path / "docs").mkdir()

    assert find_clone(tmp_path / "docs") == tmp_path
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "other"\n')
    assert find_clone(tmp_path / "docs") is None


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_a_service_is_enrolled_by_words_that_the_command_knows(service: object) -> None:
    words = enrollment(service, "http://127.0.0.1:1/acme/services.git")  # type: ignore[arg-type]

    parsed = command.make_context("enroll", list(words[1:]))

    assert parsed.params["source_provider"] == "git"
    assert shipped_services()[parsed.params["dockerfile"]]


def test_the_base_that_moves_is_one_that_a_service_is_built_on() -> None:
    texts = [text for path, text in shipped_services().items() if path == "python-base/Dockerfile"]

    assert MOVING in pulled_by(texts)
