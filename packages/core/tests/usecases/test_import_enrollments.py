"""Clones with the configurations that organisations have, and the entries that are proposed for them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from image_factory.builtins import builtin_plugins
from image_factory.errors import InvalidSettings, NotFound
from image_factory.imports.answers import Bot
from image_factory.model.settings import Settings
from image_factory.plugins import load_plugins
from image_factory.shell.clock import SystemClock
from image_factory.shell.http import HttpClient
from image_factory.shell.store import Store
from image_factory.state.images_yaml import read_images
from image_factory.usecases.import_enrollments import Imported, import_enrollments, write_import
from image_factory.usecases.workbench import Workbench

for plugin in ("github", "gitlab", "kustomize", "yaml", "helm"):
    pytest.importorskip(f"image_factory_{plugin}", reason=f"the plugin {plugin} is not installed")

WORKFLOW = """\
on: workflow_dispatch
jobs:
  build:
    steps:
    - uses: docker/build-push-action@v6
      with: {tags: 'ghcr.io/${{ github.repository }}:1'}
"""


def plant(folder: Path, files: Mapping[str, str], url: str | None) -> Path:
    """Make a clone without running git: what is read of one is its head and its configuration."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    if url is not None:
        for name in (".git/objects", ".git/refs"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / ".git/HEAD").write_text("ref: refs/heads/main\n")
        remote = f'[core]\n\trepositoryformatversion = 0\n\tbare = false\n[remote "origin"]\n\turl = {url}\n'
        (folder / ".git/config").write_text(remote)
    return folder


def bench(tmp_path: Path, images: str = "[]\n") -> Workbench:
    root = tmp_path / "image-factory"
    root.mkdir(exist_ok=True)
    (root / "images.yaml").write_text(images)
    options, clock = Settings(), SystemClock()

    def load() -> Any:
        return load_plugins(options, HttpClient(options, clock), clock, builtins=builtin_plugins())

    return Workbench(root, options, Store(root, options), clock, load)


def imported(
    tmp_path: Path, files: Mapping[str, str], url: str | None = "https://github.com/Acme/Web.git", **options: Any
) -> Imported:
    return import_enrollments(bench(tmp_path), [plant(tmp_path / "web", files, url)], **options)


def entries(found: Imported) -> list[dict[str, Any]]:
    return [dict(each.entry) for each in found.entries]


def test_a_repository_with_its_workflow_is_one_managed_image(tmp_path: Path) -> None:
    found = imported(
        tmp_path,
        {
            "renovate.json": '{"extends": ["config:recommended"], "minimumReleaseAge": "4 days"}',
            "Dockerfile": "FROM node:22 AS build\nFROM nginx:1.27\n",
            "test/Dockerfile": "FROM alpine\n",
            ".github/workflows/build.yml": WORKFLOW,
        },
    )

    assert entries(found) == [
        {
            "name": "web",
            "registry": "ghcr.io",
            "repository": "acme/web",
            "source": {"repo": "Acme/Web", "workflow": "build.yml"},
            "rebuildDelay": "4d",
        }
    ]
    assert [(row.file, row.outcome) for row in found.rows] == [
        ("Dockerfile", "proposed"),
        ("test/Dockerfile", "left out: ignorePaths has '**/test/**'"),
    ]
    assert found.remarks == ()
    assert found.problems == ()


def test_the_policy_of_an_image_is_that_of_its_bases(tmp_path: Path) -> None:
    rules = """{minimumReleaseAge: "2 days", packageRules: [
      {matchPackageNames: ["node"], minimumReleaseAge: "9 days", groupName: "Node & friends"},
      {matchPackageNames: ["php"], enabled: false},
    ]}"""
    files = {
        "renovate.json5": rules,
        "a/Dockerfile": "FROM node:22 AS b\nFROM nginx\nCOPY --from=b /x /x\n",
        "b/Dockerfile": "FROM php:8\n",
        "c/Dockerfile": "FROM php:8 AS b\nFROM nginx\nCOPY --from=b /x /x\n",
        "d/Dockerfile": "FROM scratch\n",
    }

    found = imported(tmp_path, files, registry="ghcr.io")

    policy = {
        each["repository"]: {key: each[key] for key in ("rebuildDelay", "autoRebuild", "group") if key in each}
        for each in entries(found)
    }
    assert policy == {
        "acme/web/a": {"rebuildDelay": "9d", "group": "web-node-friends"},
        "acme/web/b": {"rebuildDelay": "2d", "autoRebuild": False},
        "acme/web/c": {"rebuildDelay": "2d"},
        "acme/web/d": {},
    }
    said = "\n".join(remark.text for remark in found.remarks)
    assert "a/Dockerfile has bases of different ages: rebuildDelay is the longest of them, 9d" in said
    assert "php in c/Dockerfile is rebuilt on with the others, although enabled is false" in said


def test_without_a_pipeline_or_a_registry_there_is_a_question(tmp_path: Path) -> None:
    files = {"renovate.json": "{}", "Dockerfile": "FROM nginx\n"}

    found = imported(tmp_path, files)

    assert entries(found) == []
    assert [row.outcome for row in found.rows] == ["a question: which image is it?"]
    (remark,) = found.remarks
    assert str(remark.location) == str(tmp_path / "web/Dockerfile:1")
    assert remark.text.endswith("is built as: give --registry HOST, or enroll it by hand")
    assert [each["repository"] for each in entries(imported(tmp_path, files, registry="quay.io"))] == ["acme/web"]


def test_a_tree_without_a_remote_is_not_enrolled(tmp_path: Path) -> None:
    found = imported(tmp_path, {"renovate.json": "{}", "Dockerfile": "FROM nginx\n"}, url=None, registry="ghcr.io")

    assert entries(found) == []
    assert [row.outcome for row in found.rows] == ["left out: no clone with a remote"]


@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("git@github.com:acme/web.git", {"repo": "acme/web"}),
        ("https://bob:hidden@gitlab.com/acme/team/web.git", {"provider": "gitlab", "repo": "acme/team/web"}),
        ("https://git.example.com/acme/web.git", {"provider": "git", "repo": "https://git.example.com/acme/web.git"}),
    ],
)
def test_the_source_is_where_the_remote_says(tmp_path: Path, url: str, source: dict[str, str]) -> None:
    files = {".github/dependabot.yml": "updates: [{package-ecosystem: docker, directory: /}]", "Dockerfile": "FROM a\n"}

    found = imported(tmp_path, files, url, registry="ghcr.io")

    assert [each["source"] for each in entries(found)] == [source]
    assert "hidden" not in found.new


def test_a_branch_that_the_bot_is_told_is_the_one_that_is_built(tmp_path: Path) -> None:
    dependabot = "updates: [{package-ecosystem: docker, directory: /, target-branch: next}]"

    found = imported(tmp_path, {".github/dependabot.yaml": dependabot, "Dockerfile": "FROM a\n"}, registry="ghcr.io")

    assert entries(found)[0]["source"] == {"repo": "Acme/Web", "branch": "next"}


DEPLOYMENT = {
    "renovate.json": """{"automerge": true, "kubernetes": {"fileMatch": ["^raw/"]}, "packageRules": [
        {"matchPackageNames": ["mongo"], "enabled": false},
        {"matchPackageNames": ["grafana/grafana"], "matchUpdateTypes": ["major"], "enabled": false}]}""",
    "compose.yaml": """\
services:
  web: {image: ghcr.io/acme/web:1, build: .}
  db: {image: 'postgres:16-alpine'}
  mongo: {image: mongo:7}
  job: {image: 'local/job:1', build: ./job}
  pinned: {image: 'acme/pinned@sha256:%s'}
  told: {image: '${IMAGE}'}
"""
    % ("a" * 64),
    "raw/pod.yaml": "spec: {containers: [{image: 'grafana/grafana:11.2.0'}, {image: 'ghcr.io/acme/web:1'}]}\n",
    "chart/values.yaml": "image: {repository: ghcr.io/acme/web, tag: '1'}\nsidecar: {image: 'busybox:1.36.1'}\n",
    "other/pod.yaml": "spec: {containers: [{image: 'unwatched:1'}, {image: 'ghcr.io/acme/web:1'}]}\n",
    "kustomize/kustomization.yaml": "images: [{name: x, newName: ghcr.io/acme/web, newTag: '1'}]\n",
}


def test_what_is_deployed_and_not_built_is_watched(tmp_path: Path) -> None:
    plant(tmp_path / "clones/web", {"renovate.json": "{}", "Dockerfile": "FROM nginx\n"}, "https://github.com/acme/web")
    plant(tmp_path / "clones/deploy", DEPLOYMENT, "https://github.com/acme/deploy")

    found = import_enrollments(bench(tmp_path), [tmp_path / "clones"], registry="ghcr.io")

    web, *external = entries(found)
    assert external == [
        {"name": "postgres-16-alpine", "repository": "library/postgres", "tag": "16-alpine"},
        {"name": "busybox", "repository": "library/busybox", "constraint": ">=1.36.1"},
        {"name": "grafana", "repository": "grafana/grafana", "constraint": "^11.2.0"},
    ]
    updates = {update["path"]: (update["type"], update.get("mode")) for update in web["updates"]}
    assert updates == {
        "chart/values.yaml": ("helm-update-image", None),
        "kustomize": ("kustomize-set-image", None),
        "raw/pod.yaml": ("yaml-update", None),
    }
    assert {update["repo"] for update in web["updates"]} == {"acme/deploy"}
    outcomes = {row.image: row.outcome for row in found.rows}
    assert outcomes["docker.io/library/mongo:7"] == "left out: enabled is false"
    assert outcomes[f"docker.io/acme/pinned@sha256:{'a' * 64}"] == "left out: no tag to watch"
    said = "\n".join(map(str, found.remarks))
    assert "other/pod.yaml:1: names ghcr.io/acme/web, and gets no updates entry: Renovate's kubernetes does not" in said
    assert read_images(found.new, "f").problems == ()


def test_a_bad_repository_costs_no_other(tmp_path: Path) -> None:
    good = {"renovate.json": "{}", "Dockerfile": "FROM nginx\n", ".github/workflows/build.yml": WORKFLOW}
    plant(tmp_path / "clones/a", {"renovate.json": "{\n"}, "https://github.com/acme/a")
    plant(tmp_path / "clones/b", {"Dockerfile": "FROM nginx\n"}, "https://github.com/acme/b")
    plant(tmp_path / "clones/c", {**good, ".github/workflows/x.yml": "a: [\n"}, "https://github.com/acme/c")
    (tmp_path / "clones/d").mkdir()
    plant(tmp_path / "clones/d", {}, "https://github.com/acme/d")
    (tmp_path / "clones/d/renovate.json").symlink_to("/etc/passwd")
    (tmp_path / "clones/e").mkdir()
    plant(tmp_path / "clones/e", {}, "https://github.com/acme/e")
    (tmp_path / "clones/e/renovate.json").write_bytes(b"{\n\xff}")

    found = import_enrollments(bench(tmp_path), [tmp_path / "clones"])

    assert [each["name"] for each in entries(found)] == ["c"]
    clones, no_node = tmp_path / "clones", "did not find expected node content while parsing a flow node"
    assert [str(problem) for problem in found.problems] == [
        f"{clones}/a/renovate.json:2: not JSON5 at column 1: a key is missing",
        f"{clones}/c/.github/workflows/x.yml:2: not YAML at column 1: {no_node}",
        f"{clones}/d/renovate.json: a link that leads out of the tree",
        f"{clones}/e/renovate.json:2: not UTF-8",
    ]
    assert [row.outcome for row in found.rows if row.tree.endswith("/b")] == [
        "left out: no configuration of Renovate or Dependabot"
    ]


@pytest.mark.parametrize("registry", ["https://ghcr.io", "ghcr.io/acme", "a b", "-x", "", "ghcr"])
def test_a_registry_is_a_host(tmp_path: Path, registry: str) -> None:
    with pytest.raises(InvalidSettings, match="not a registry host"):
        imported(tmp_path, {}, registry=registry)


def test_a_path_that_is_no_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no such folder"):
        import_enrollments(bench(tmp_path), [tmp_path / "nowhere"])


def test_names_that_are_taken_get_more_words(tmp_path: Path) -> None:
    images = "- name: web\n  repository: library/redis\n  tag: '7'\n"
    for owner in ("a", "b"):
        files = {"renovate.json": "{}", "Dockerfile": "FROM nginx\n"}
        plant(tmp_path / f"clones/{owner}", files, f"https://github.com/{owner}/web")
    used = bench(tmp_path, images)

    found = import_enrollments(used, [tmp_path / "clones"], registry="ghcr.io")

    assert [each["name"] for each in entries(found)] == ["a-web", "b-web"]


def test_what_a_hostile_tree_says_becomes_no_entry(tmp_path: Path) -> None:
    workflow = WORKFLOW.replace("{tags:", "{target: '${{ evil }}', build-args: 'A=$(id)', context: '--help', tags:")
    files = {
        "renovate.json": '{"baseBranches": ["--upload-pack=x"], "groupName": "$(id)"}',
        "--help/Dockerfile": "FROM nginx\n",
        ".github/workflows/build.yml": workflow,
    }

    found = imported(tmp_path, files)

    assert entries(found) == []
    assert len(found.problems) == 1
    assert str(found.problems[0]).startswith(f"{tmp_path}/web/--help/Dockerfile: no entry can be proposed: ")


CONFIGURATIONS = st.fixed_dictionaries(
    {
        "minimumReleaseAge": st.integers(0, 400).map("{} days".format),
        "automerge": st.booleans(),
        "groupName": st.sampled_from(["x", "Base Images!", "ä", "..", "$(id)", "x" * 80]),
        "packageRules": st.lists(
            st.fixed_dictionaries(
                {
                    "matchPackageNames": st.lists(st.sampled_from(["node", "*", "!node", "/n/", "redis"]), min_size=1),
                    "enabled": st.booleans(),
                }
            ),
            max_size=3,
        ),
        "prHourlyLimit": st.integers(0, 3),
    }
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CONFIGURATIONS, st.lists(st.sampled_from(["node:22", "redis", "ghcr.io/acme/x:1.2.3"]), min_size=1, max_size=3))
def test_a_second_import_changes_nothing_and_every_entry_is_valid(
    tmp_path: Path, configuration: dict[str, Any], used: list[str]
) -> None:
    files = {
        "renovate.json": json.dumps(configuration),
        "Dockerfile": "".join(f"FROM {image} AS s{number}\n" for number, image in enumerate(used)),
        "compose.yaml": yaml.safe_dump({"services": {f"s{n}": {"image": image} for n, image in enumerate(used)}}),
    }
    home = bench(tmp_path)
    tree = plant(tmp_path / "web", files, "https://github.com/acme/web")

    first = import_enrollments(home, [tree], registry="ghcr.io")
    write_import(home, first)
    second = import_enrollments(home, [tree], registry="ghcr.io")

    assert first.problems == ()
    assert second.entries == ()
    assert second.new == second.old == first.new
    read = read_images(first.new, "images.yaml")
    assert (read.problems, read.warnings) == ((), ())
    assert len(read.enrollments) == len(first.entries)
    managed = [each for each in first.entries if each.is_managed]
    assert [each.entry["rebuildDelay"] for each in managed] == [
        configuration["minimumReleaseAge"].removesuffix(" days").replace(" ", "") + "d"
        if configuration["minimumReleaseAge"] != "0 days"
        else "0"
    ]


def test_the_other_bot_can_be_asked_for(tmp_path: Path) -> None:
    files = {
        "renovate.json": '{"minimumReleaseAge": "1 day"}',
        ".github/dependabot.yml": "updates: [{package-ecosystem: docker, directory: /, cooldown: {default-days: 2}}]",
        "Dockerfile": "FROM nginx\n",
    }

    delays = {
        bot: entries(imported(tmp_path, files, registry="ghcr.io", bot=bot))[0]["rebuildDelay"]
        for bot in (None, Bot.RENOVATE, Bot.DEPENDABOT)
    }

    assert delays == {None: "1d", Bot.RENOVATE: "1d", Bot.DEPENDABOT: "2d"}


def test_a_real_clone_has_its_default_branch(tmp_path: Path) -> None:
    bare = tmp_path / "bare.git"
    work = plant(tmp_path / "work", {"renovate.json": "{}", "Dockerfile": "FROM nginx\n"}, None)
    quiet = {"capture_output": True, "check": True}
    subprocess.run(["git", "init", "-q", "-b", "trunk", str(work)], **quiet)  # type: ignore[call-overload]
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    subprocess.run(["git", "-C", str(work), "add", "."], **quiet)  # type: ignore[call-overload]
    subprocess.run(["git", "-C", str(work), *identity, "commit", "-qm", "x"], **quiet)  # type: ignore[call-overload]
    subprocess.run(["git", "clone", "-q", "--bare", str(work), str(bare)], **quiet)  # type: ignore[call-overload]
    subprocess.run(["git", "clone", "-q", str(bare), str(tmp_path / "web")], **quiet)  # type: ignore[call-overload]
    subprocess.run(["git", "-C", str(tmp_path / "web"), "checkout", "-qb", "mine"], **quiet)  # type: ignore[call-overload]

    found = import_enrollments(bench(tmp_path), [tmp_path / "web"], registry="ghcr.io")

    source = entries(found)[0]["source"]
    assert (source["provider"], source["branch"]) == ("git", "trunk")
