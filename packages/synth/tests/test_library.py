from __future__ import annotations

import os
from pathlib import Path

import pytest

from image_factory_synth.library import RenderingFailed, _archive, cdk8s_library


def test_the_library_is_unpacked_once_into_the_users_cache(tmp_path: Path) -> None:
    environ = {"XDG_CACHE_HOME": str(tmp_path)}

    with cdk8s_library(environ) as first:
        entry = first / "lib" / "index.js"
        made_at = entry.stat().st_mtime_ns
        assert (first.parent / "constructs" / "package.json").is_file()
        assert (first / "node_modules" / "yaml" / "package.json").is_file()
    with cdk8s_library(environ) as second:
        assert second == first
        assert (second / "lib" / "index.js").stat().st_mtime_ns == made_at
    assert [folder.name for folder in (tmp_path / "image-factory").iterdir()] == [first.parents[1].name]


def test_where_the_cache_cannot_be_written_it_is_unpacked_for_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with cdk8s_library({"XDG_CACHE_HOME": str(tmp_path / "file")}) as library:
        assert (library / "package.json").is_file()
    assert not library.exists()


def test_a_package_that_is_not_installed_is_named() -> None:
    with pytest.raises(RenderingFailed, match="no_such_package is not installed"):
        _archive("no_such_package")


def test_a_package_packed_otherwise_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "oddly_packed").mkdir()
    (tmp_path / "oddly_packed" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(os.fspath(tmp_path))

    with pytest.raises(RenderingFailed, match="oddly_packed is not packed as known"):
        _archive("oddly_packed")
