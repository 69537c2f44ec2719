"""The workflows are YAML that does what it says: least rights, pinned actions, nothing injected, the same commands."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
TRUSTED = re.compile(r"\$\{\{\s*(matrix\.[a-z-]+|github\.token|secrets\.[A-Z_]+)\s*\}\}")
"""Expressions whose value no contributor writes; anything else stays out of shell text."""


def load(file: Path) -> dict[Any, Any]:
    document = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return document


def steps(document: dict[Any, Any]) -> Iterator[dict[str, Any]]:
    for job in document["jobs"].values():
        yield from job["steps"]


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_a_workflow_may_only_read_unless_a_job_says_otherwise(file: Path) -> None:
    document = load(file)

    assert document["permissions"] == {"contents": "read"}
    assert all("timeout-minutes" in job for job in document["jobs"].values())


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_no_shell_text_holds_an_expression_that_a_contributor_can_write(file: Path) -> None:
    texts = [step["run"] for step in steps(load(file)) if "run" in step]

    assert [text for text in texts if "${{" in TRUSTED.sub("", text)] == []


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_an_action_is_pinned(file: Path) -> None:
    used = [step["uses"] for step in steps(load(file)) if "uses" in step]

    assert [action for action in used if not re.search(r"@(v\d+(\.\d+)*|[0-9a-f]{40}|release/v\d+)\Z", action)] == []


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_a_checkout_leaves_no_token_behind(file: Path) -> None:
    checkouts = [step for step in steps(load(file)) if step.get("uses", "").startswith("actions/checkout@")]

    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_a_workflow_calls_commands_that_exist(file: Path) -> None:
    environments = tomllib.loads((ROOT / "hatch.toml").read_text(encoding="utf-8"))["envs"]
    called = [word for step in steps(load(file)) for word in re.findall(r"hatch run (\S+)", step.get("run", ""))]
    known = {
        (name if environment == "default" else f"{environment}:{name}")
        for environment, settings in environments.items()
        for name in settings.get("scripts", {})
    }

    assert set(called) <= known


def test_every_pull_request_checks_core_alone_and_everything_on_every_python() -> None:
    checks = load(ROOT / ".github/workflows/checks.yml")
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["classifiers"]
    supported = [match[1] for line in classifiers if (match := re.search(r":: (3\.\d+)\Z", line))]

    # YAML 1.1 reads the key `on` as true.
    assert "pull_request" in checks[True]
    assert set(checks["jobs"]) == {"core", "package", "everything"}
    pythons = {name: job["strategy"]["matrix"].get("python") for name, job in checks["jobs"].items()}
    assert pythons == {"core": supported, "everything": supported, "package": None}


def test_every_pull_request_checks_each_package_with_core_alone() -> None:
    job = load(ROOT / ".github/workflows/checks.yml")["jobs"]["package"]
    members = {file.parent.name for file in ROOT.glob("p*/*/pyproject.toml")}

    assert set(job["strategy"]["matrix"]["package"]) == members - {"core", "cli"}
    assert all(list(ROOT.glob(f"p*/{name}/tests")) for name in job["strategy"]["matrix"]["package"])


def test_only_publishing_may_prove_who_it_is() -> None:
    release = load(ROOT / ".github/workflows/release.yml")
    rights = {name: job.get("permissions", {}).get("id-token") for name, job in release["jobs"].items()}

    assert rights == {"build": None, "try-out": None, "publish": "write"}
    assert release["jobs"]["publish"]["needs"] == "try-out"
    assert release[True]["workflow_dispatch"]["inputs"]["dry-run"]["default"] is True


def test_the_cluster_tries_each_release_of_kargo_that_we_support_and_skips_none() -> None:
    versions = pytest.importorskip("image_factory_synth.versions", reason="image-factory-synth is not installed")
    (job,) = load(ROOT / ".github/workflows/kind.yml")["jobs"].values()
    tried = [versions.KargoVersion.parse(".".join(each.split(".")[:2])) for each in job["strategy"]["matrix"]["kargo"]]

    assert tried == list(versions.KNOWN)
    assert job["env"]["IMAGE_FACTORY_CLUSTER_REQUIRED"]


def test_what_needs_a_cluster_is_not_among_the_tests_that_run_by_themselves() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

    assert "tests/kind" in settings["tool"]["pytest"]["ini_options"]["norecursedirs"]
