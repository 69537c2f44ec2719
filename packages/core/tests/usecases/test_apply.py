"""A new version carried into files: which files are meant, all of them or none."""

from __future__ import annotations

from pathlib import Path

import pytest

from image_factory.errors import NotFound, UserError
from image_factory.model.mention import ImageVersion
from image_factory.oci.reference import Repository
from image_factory.usecases.apply import apply_version

updaters = pytest.importorskip("image_factory_yaml.updater", reason="the plugin yaml is not installed")
WEB = Repository("ghcr.io", "acme/web")


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def test_a_file_is_changed_by_one_line(tmp_path: Path) -> None:
    write(tmp_path, {"a.yaml": "# c\nimage: ghcr.io/acme/web:1 # d\n"})

    (applied,) = apply_version(updaters.YamlUpdater(), tmp_path / "a.yaml", WEB, ImageVersion("2"))

    assert applied.is_changed
    assert (tmp_path / "a.yaml").read_text() == "# c\nimage: ghcr.io/acme/web:2 # d\n" == applied.new


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    write(tmp_path, {"a.yaml": "tag: v1\n"})

    applied = apply_version(
        updaters.YamlUpdater(), tmp_path / "a.yaml", WEB, ImageVersion("v2"), keys=["tag"], dry_run=True
    )

    assert [change.new for change in applied] == ["tag: v2\n"]
    assert (tmp_path / "a.yaml").read_text() == "tag: v1\n"


def test_a_folder_means_every_file_of_the_kind_that_names_the_image(tmp_path: Path) -> None:
    named, other = "image: ghcr.io/acme/web:1\n", "image: ghcr.io/acme/api:1\n"
    write(tmp_path, {"a/x.yaml": named, "b/y.yml": named, "c/z.yaml": other, "d.txt": named, ".git/e.yaml": named})

    applied = apply_version(updaters.YamlUpdater(), tmp_path, WEB, ImageVersion("2"))

    assert [change.path.name for change in applied] == ["x.yaml", "y.yml"]


def test_where_one_file_cannot_be_changed_none_is(tmp_path: Path) -> None:
    write(tmp_path, {"a.yaml": "image: ghcr.io/acme/web:1\n", "b.yaml": "image: &i\n  - ghcr.io/acme/web:1\n"})

    with pytest.raises(UserError, match=r"b\.yaml: line 1: image is a list"):
        apply_version(updaters.YamlUpdater(), tmp_path, WEB, ImageVersion("2"), keys=["image"])

    assert (tmp_path / "a.yaml").read_text() == "image: ghcr.io/acme/web:1\n"


def test_nothing_to_change_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"names ghcr\.io/acme/web"):
        apply_version(updaters.YamlUpdater(), tmp_path, WEB, ImageVersion("2"))
    with pytest.raises(NotFound, match="no such file"):
        apply_version(updaters.YamlUpdater(), tmp_path / "none.yaml", WEB, ImageVersion("2"))


def test_a_folder_with_one_file_of_the_kind_means_those_below_too(tmp_path: Path) -> None:
    write(tmp_path, {"a.yaml": "x: y\n", "b/c.yaml": "image: ghcr.io/acme/web:1\n"})

    applied = apply_version(updaters.YamlUpdater(), tmp_path, WEB, ImageVersion("2"))

    assert [change.path.name for change in applied] == ["c.yaml"]


def test_a_folder_with_a_kustomization_means_that_one(tmp_path: Path) -> None:
    kustomize = pytest.importorskip("image_factory_kustomize.updater", reason="the plugin kustomize is not installed")
    write(tmp_path, {"kustomization.yaml": "images: []\n", "base/kustomization.yaml": "images: []\n"})

    (applied,) = apply_version(kustomize.KustomizeUpdater(), tmp_path, WEB, ImageVersion("v2"))

    assert applied.new == "images: [{name: ghcr.io/acme/web, newTag: v2}]\n"
    assert (tmp_path / "base/kustomization.yaml").read_text() == "images: []\n"
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(NotFound, match="no file of kustomize-set-image"):
        apply_version(kustomize.KustomizeUpdater(), empty, WEB, ImageVersion("v2"))
