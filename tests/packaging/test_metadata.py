"""The requirements of the meta-package: paths in a clone, versions in a release, one version for all."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
MEMBERS = sorted(path.parent for path in ROOT.glob("p*/*/pyproject.toml"))


def project(folder: Path) -> dict[str, Any]:
    declared: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    return declared["project"]  # type: ignore[no-any-return]


def metadata(folder: Path, tmp_path: Path, **environment: str) -> Message:
    """Build a wheel of `folder` and return what it says of itself."""
    pytest.importorskip("hatchling", reason="hatchling is not installed: hatch run test has it")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=folder,
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (file,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return Parser().parsestr(archive.read(file).decode())


def requirements(message: Message, extra: str | None = None) -> set[str]:
    """Return what is required without an extra, or by one."""
    split = [line.split(";") for line in message.get_all("Requires-Dist", [])]
    wanted = "" if extra is None else f"extra=='{extra}'"
    return {line[0].strip() for line in split if (line[1].replace(" ", "") if len(line) > 1 else "") == wanted}


def test_in_a_clone_members_are_required_where_they_lie(tmp_path: Path) -> None:
    message = metadata(ROOT, tmp_path, IMAGE_FACTORY_RELEASE="")

    assert requirements(message) == {
        f"image-factory-{name} @ {(ROOT / 'packages' / name).as_uri()}" for name in ("core", "cli")
    }
    assert requirements(message, "github") == {f"image-factory-github @ {(ROOT / 'plugins/github').as_uri()}"}


def test_in_a_release_members_are_required_at_the_same_version(tmp_path: Path) -> None:
    version = project(ROOT)["version"]

    message = metadata(ROOT, tmp_path, IMAGE_FACTORY_RELEASE="1")

    assert requirements(message) == {f"image-factory-core=={version}", f"image-factory-cli=={version}"}
    assert "file:" not in message.as_string()


def test_a_source_distribution_asks_for_versions_without_being_told(tmp_path: Path) -> None:
    alone = tmp_path / "sdist"
    alone.mkdir()
    for file in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE"):
        (alone / file).write_bytes((ROOT / file).read_bytes())
    out = tmp_path / "out"

    message = metadata(alone, out, IMAGE_FACTORY_RELEASE="")

    assert requirements(message, "ghcr") == {f"image-factory-ghcr=={project(ROOT)['version']}"}


def test_all_is_every_plugin_synth_the_server_and_oidc_but_not_the_kit_for_authors(tmp_path: Path) -> None:
    message = metadata(ROOT, tmp_path, IMAGE_FACTORY_RELEASE="1")
    version = project(ROOT)["version"]
    plugins = {f"image-factory-{member.name}=={version}" for member in MEMBERS if member.parent.name == "plugins"}
    words = ("synth[node,validate]", "server", "core[oidc]")
    ours = {f"image-factory-{word}=={version}" for word in words}

    assert requirements(message, "all") == plugins | ours


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_a_member_has_the_version_of_them_all_and_its_folder_s_name(member: Path) -> None:
    declared = project(member)

    assert declared["version"] == project(ROOT)["version"]
    assert declared["name"] == f"image-factory-{member.name}"
    assert declared["requires-python"] == project(ROOT)["requires-python"]


@pytest.mark.parametrize(
    "member", [member for member in MEMBERS if member.parent.name == "plugins"], ids=lambda member: member.name
)
def test_a_plugin_has_one_word_for_folder_entry_point_and_extra(member: Path) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["metadata"]["hooks"]
    word = member.name

    assert project(member)["entry-points"]["image_factory"] == {word: f"image_factory_{word}"}
    assert extras["custom"]["extras"][word] == [f"image-factory-{word}"]


def test_the_code_has_the_version_of_its_package() -> None:
    import image_factory

    assert project(ROOT)["version"] == image_factory.__version__
