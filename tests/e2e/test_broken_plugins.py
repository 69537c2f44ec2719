"""A stranger's plugin that is broken, seen by command: it is named, listed, and costs the images that need it alone."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from image_factory.testing.git_server import GitServer
from image_factory.testing.registry_server import RegistryServer
from image_factory_cli.group import run

WITHOUT_LIBRARY = "import a_library_that_is_gone\n"
REGISTERING = """
from image_factory.hookspecs import hookimpl


@hookimpl
def register_sources(register):
    raise RuntimeError("boom")


register_build_triggers = register_registries = register_file_updaters = register_notifiers = register_sources
register_tag_strategies = register_sources


@hookimpl
def credentials_for(repository):
    raise RuntimeError("boom")
"""
WORKING = """
from image_factory.hookspecs import hookimpl


class Raising:
    name = "acme"

    def boom(self, *arguments, **named):
        raise RuntimeError("boom")

    claims = clone_url = credentials = revision = references = read = files = web_url = boom
    open_change_request = change_request = call = start = declared_inputs = find_run = run = runs = rerun = boom
    resolve = tags = manifest = metadata = versions = rate_profile = webhook_receiver = boom
    matches = mentions = replace = promotion_steps = select = deliver = boom


@hookimpl
def register_sources(register):
    register(Raising())


register_build_triggers = register_registries = register_file_updaters = register_notifiers = register_sources
register_tag_strategies = register_sources


@hookimpl
def credentials_for(repository):
    raise RuntimeError("boom")
"""
OLD = "image_factory_api = 0\n"

BREAKAGES = [
    pytest.param(WITHOUT_LIBRARY, "cannot be imported: ModuleNotFoundError", id="it cannot be imported"),
    pytest.param(OLD, "was written for plugin API 0; this is 1", id="it is of another API version"),
    pytest.param(REGISTERING, "failed in register_", id="it raises when it registers"),
    pytest.param(WORKING, "failed in ", id="it raises when it works"),
]


class Ran:
    """What a command ended with and wrote."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def __repr__(self) -> str:
        return f"exit code {self.code}\n{self.out}\n{self.err}"


@pytest.fixture
def image_factory(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Ran]:
    for variable in ("IMAGE_FACTORY_DIR", "IMAGE_FACTORY_STATE_DIR", "IMAGES_YAML", "GITHUB_TOKEN", "GH_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)

    def command(*words: str) -> Ran:
        capsys.readouterr()
        code = run(words)
        return Ran(code, *capsys.readouterr())

    return command


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    def installed(code: str) -> None:
        site = tmp_path / "site"
        metadata = site / "acme_plugin-1.2.dist-info"
        metadata.mkdir(parents=True)
        (site / "acme_plugin_of_tests.py").write_text(code, encoding="utf-8")
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-plugin\nVersion: 1.2\n")
        (metadata / "entry_points.txt").write_text("[image_factory]\nacme = acme_plugin_of_tests\n")
        monkeypatch.syspath_prepend(site)

    yield installed
    sys.modules.pop("acme_plugin_of_tests", None)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An image that is built on one in a registry, and one that needs the stranger for its source."""
    with GitServer(tmp_path / "served") as git, RegistryServer() as registry:
        base = f"{registry.host}/library/base"
        registry.push_image("library/base", ["1"])
        git.create("web.git", {"Dockerfile": f"FROM {base}:1\n"})
        entries: list[dict[str, Any]] = [
            {"name": name, "registry": registry.host, "repository": f"acme/{name}", "rebuildDelay": "0m"}
            for name in ("web", "theirs")
        ]
        entries[0]["source"] = {"provider": "git", "repo": git.url("web.git")}
        entries[1]["source"] = {"provider": "acme", "repo": "acme/theirs"}
        entries[1]["updates"] = [{"repo": "acme/deploy", "path": "k.yaml", "type": "acme", "provider": "acme"}]
        made = tmp_path / "image-factory"
        made.mkdir()
        (made / "images.yaml").write_text(yaml.safe_dump(entries))
        (made / "config.yaml").write_text("stateDir: state\n")
        yield made


@pytest.mark.parametrize(("code", "problem"), BREAKAGES)
def test_it_is_named_in_one_warning_and_listed_as_broken(
    code: str, problem: str, install: Callable[[str], None], image_factory: Callable[..., Ran], folder: Path
) -> None:
    install(code)

    observed = image_factory("observe")
    listed = image_factory("plugins", "--json")
    shown = image_factory("plugins")

    (row,) = [each for each in json.loads(listed.out) if each["name"] == "acme"]
    assert (listed.code, row["distribution"], row["version"], row["enabled"]) == (0, "acme-plugin", "1.2", True)
    (line,) = [line for line in shown.out.splitlines() if line.startswith("acme ")]
    if code is WORKING:
        assert row["problem"] is None  # nothing is asked of it here
    else:
        assert f"plugin 'acme' (from acme-plugin 1.2) {problem}" in row["problem"]
        assert "broken" in line.split()
        assert listed.err.count("warning: plugin 'acme'") == shown.err.count("warning: plugin 'acme'") == 1
        assert "hint: upgrade or reinstall acme-plugin, or list 'acme' under disabledPlugins" in shown.err
    assert observed.err.count("warning: plugin 'acme'") <= 1, observed


@pytest.mark.parametrize(("code", "problem"), BREAKAGES)
def test_what_needs_nothing_of_it_is_done_and_what_needs_it_fails_alone(
    code: str, problem: str, install: Callable[[str], None], image_factory: Callable[..., Ran], folder: Path
) -> None:
    install(code)

    analyzed = image_factory("analyze", "--all")

    assert analyzed.code == 3, analyzed
    assert yaml.safe_load((folder / "state/images/web.yaml").read_text())["discoveryStatus"] == "success"
    theirs = yaml.safe_load((folder / "state/images/theirs.yaml").read_text())
    assert theirs["discoveryStatus"] == "failed"
    assert "plugin 'acme'" in theirs["discoveryError"]
    assert "plugin 'acme'" in analyzed.err + analyzed.out
    assert "Traceback" not in analyzed.err + analyzed.out
    for words in (["observe"], ["status"], ["coordinate", "--no-commit"], ["explain", "web"], ["history", "web"]):
        ran = image_factory(*words)
        assert ran.code == 0, (words, ran)
        assert "Traceback" not in ran.err + ran.out
    for words in (["scan", str(folder.parent)], ["graph"], ["versions", "web"]):
        ran = image_factory(*words)
        assert ran.code in (0, 2), (words, ran)  # nothing is published of web
        assert "Traceback" not in ran.err + ran.out
    (base,) = (folder / "state" / "base-images").glob("*.yaml")
    assert yaml.safe_load(base.read_text())["currentDigest"].startswith("sha256:")


@pytest.mark.parametrize(("code", "problem"), BREAKAGES)
def test_its_own_image_is_not_rebuilt_and_the_error_names_it(
    code: str, problem: str, install: Callable[[str], None], image_factory: Callable[..., Ran], folder: Path
) -> None:
    install(code)
    image_factory("analyze", "--all")

    ran = image_factory("run", "--no-commit")
    ordered = image_factory("rebuild", "theirs", "--force", "--no-commit")

    assert ran.code == 3, ran
    assert ordered.code in (1, 3), ordered
    for each in (ran, ordered):
        assert "plugin 'acme'" in each.err + each.out
        assert "Traceback" not in each.err + each.out


@pytest.mark.parametrize(("code", "problem"), BREAKAGES[:3])
def test_an_entry_that_names_it_is_said_to_need_it(
    code: str, problem: str, install: Callable[[str], None], image_factory: Callable[..., Ran], folder: Path
) -> None:
    install(code)

    ran = image_factory("validate")

    assert ran.code == 2, ran
    assert "no source plugin is called 'acme'" in ran.err + ran.out
    assert "upgrade or reinstall what is broken: plugin 'acme' (from acme-plugin 1.2)" in ran.err + ran.out


@pytest.mark.parametrize(("code", "problem"), BREAKAGES)
def test_disabled_it_says_nothing(
    code: str, problem: str, install: Callable[[str], None], image_factory: Callable[..., Ran], folder: Path
) -> None:
    install(code)
    config = folder / "config.yaml"
    config.write_text(config.read_text() + "disabledPlugins: [acme]\n")

    ran = image_factory("plugins")

    assert "warning" not in ran.err
    assert any(line.split()[0] == "acme" and "disabled" in line for line in ran.out.splitlines())
