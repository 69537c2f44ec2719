"""The page on Kargo: its folder is synthesized with its own commands, and it names every resource that comes of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from image_factory.decide.backoff import NOT_STARTED
from image_factory.shell.settings import check_settings

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/how-to/deploy-on-kargo.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
(ENTRY,) = (block for block in BLOCKS if block.startswith("- name"))
(CONFIG,) = (block for block in BLOCKS if "engine:" in block)
EXAMPLES = ROOT / "examples/kargo"
COMMANDS = re.findall(r"^\$ (.*(?:\n> .*)*)", TEXT, re.MULTILINE)


def resources(path: Path) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's folder, after its own commands about it."""
    pytest.importorskip("image_factory_github", reason="the plugin github is not installed")
    node = pytest.importorskip("image_factory_synth.node", reason="image-factory-synth is not installed")
    try:
        node.find_node()
    except node.NoNode as none:
        pytest.skip(f"{none.message}: {none.hint}")
    here: Path = tmp_path_factory.mktemp("page")
    home = here / "image-factory"
    home.mkdir()
    (home / "images.yaml").write_text(ENTRY)
    (home / "config.yaml").write_text(CONFIG)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("GIT", "IMAGE"))},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    run = [command for command in COMMANDS if re.match(r"image-factory (validate|workflow|synth)", command)]
    assert len(run) == 4
    for command in run:
        done = subprocess.run(["bash", "-c", command], cwd=here, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return home


def test_the_page_s_settings_are_taken_as_they_stand(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)

    settings, problems, warnings = check_settings(tmp_path, {}, {})

    assert (problems, warnings) == ((), ())
    assert not settings.starts_builds


def test_the_page_says_what_each_resource_is_for(folder: Path) -> None:
    rows = re.findall(
        r"^\| ((?:\w+, )*\w+)(?: (`.*?`))? \|", TEXT.partition("## What each")[2].partition("## Upg")[0], re.M
    )
    told = [(kinds.split(", "), re.findall(r"`([^`]+)`", names)) for kinds, names in rows]
    written = [
        *resources(folder / "dist/image-factory.k8s.yaml"),
        *resources(ROOT / "image-factory/dist/image-factory.k8s.yaml"),
    ]

    def is_told(resource: dict[str, Any]) -> bool:
        kind, name = resource["kind"], resource["metadata"]["name"]
        return any(
            kind in kinds
            and (not names or any(re.fullmatch(re.sub("IMAGE|BASE|…", "[a-z0-9-]+", one), name) for one in names))
            for kinds, names in told
        )

    assert [f"{one['kind']}/{one['metadata']['name']}" for one in written if not is_told(one)] == []


def test_the_examples_name_what_the_resources_name(folder: Path) -> None:
    (application,) = resources(EXAMPLES / "argocd-application.yaml")
    namespace, *secrets = resources(EXAMPLES / "secrets.yaml")
    written = resources(folder / "dist/image-factory.k8s.yaml")
    config = yaml.safe_load(CONFIG)["kargo"]

    assert namespace == next(one for one in written if one["kind"] == "Namespace")
    assert application["spec"]["source"]["repoURL"] == config["stateRepository"]
    assert application["spec"]["source"]["targetRevision"] == config["stateBranch"]
    assert application["spec"]["source"]["path"] == f"{config['statePath']}/dist"
    assert application["spec"]["destination"]["namespace"] == config["namespace"]
    assert {one["metadata"]["namespace"] for one in secrets} == {config["namespace"]}
    assert {one["metadata"]["labels"]["kargo.akuity.io/cred-type"] for one in secrets} == {"git", "image", "generic"}
    found = {one["metadata"]["name"]: one["stringData"] for one in secrets}
    assert {"username", "password"} <= found[config["gitCredentials"]].keys()
    assert re.match(found[config["gitCredentials"]]["repoURL"], config["stateRepository"])


def test_no_example_holds_a_secret() -> None:
    for secret in resources(EXAMPLES / "secrets.yaml")[1:]:
        values = [text for key, text in secret["stringData"].items() if key in ("password", "token", "secret")]
        assert values
        assert all(text.startswith("REPLACE_WITH_") for text in values)


def test_the_command_that_fills_in_the_token_leaves_none_out() -> None:
    (command,) = (command for command in COMMANDS if command.startswith("sed "))
    filled = subprocess.run(
        ["bash", "-c", command.partition("|")[0]],
        cwd=ROOT,
        env={**os.environ, "TOKEN": "t0ken"},
        capture_output=True,
        text=True,
    ).stdout

    given = [one["stringData"] for one in yaml.safe_load_all(filled) if one["kind"] == "Secret"]
    assert "REPLACE_WITH_A_TOKEN" not in filled
    assert sum("t0ken" in one.values() for one in given) == 3


def test_the_versions_are_those_that_the_workflow_tries() -> None:
    workflow = (ROOT / ".github/workflows/kind.yml").read_text(encoding="utf-8")
    named = re.findall(r"--version (\S+)", "\n".join(COMMANDS))

    assert len(named) == 3
    assert [version for version in named if version not in workflow] == []


def test_the_workflow_of_the_page_is_a_good_one() -> None:
    path = EXAMPLES / "synth.yml"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))

    # YAML 1.1 reads the key `on` as true. What it pushes must not start it again.
    assert not any("dist" in each for each in document[True]["push"]["paths"])
    if shutil.which("actionlint") is None:
        pytest.skip("actionlint is not installed")
    done = subprocess.run(["actionlint", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_error_messages_of_the_page_are_those_of_the_program() -> None:
    standing = (ROOT / "packages/core/src/image_factory/decide/standing.py").read_text(encoding="utf-8")

    assert f"`{NOT_STARTED} within 30 min`" in TEXT
    assert "`is to be started by Kargo`" in TEXT
    assert "is to be started by Kargo" in standing
