"""What `image-factory synth` writes, as somebody reads it who has the file alone (requirements, areas D and E)."""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("image_factory_synth", reason="image-factory-synth is not installed")
pytest.importorskip("image_factory_cli", reason="image-factory-cli is not installed")
pytest.importorskip("image_factory_github", reason="image-factory-github is not installed")
pytest.importorskip("image_factory_gitlab", reason="image-factory-gitlab is not installed")
pytest.importorskip("image_factory_dockerhub", reason="image-factory-dockerhub is not installed")
pytest.importorskip("image_factory_kustomize", reason="image-factory-kustomize is not installed")

from image_factory.decide.discovery import base_configuration
from image_factory.model.image_state import BaseState
from image_factory.oci.reference import Reference
from image_factory.shell.settings import load_settings
from image_factory.state.codec import dump
from image_factory_cli.folder import workbench
from image_factory_synth.node import NoNode, find_node
from image_factory_synth.receivers import SECRET_KEYS

try:
    find_node()
except NoNode as none:
    pytest.skip(f"{none.message}: {none.hint}", allow_module_level=True)

Document = dict[str, Any]

ENTRY = (sys.executable, "-c", "from image_factory_cli.main import main; main()", "synth")

TOKEN = "ghp_0123456789abcdefghijklmnopqrstuvwxyz"
IMAGES = """
- name: web
  registry: ghcr.io
  repository: acme/web
  source: {repo: acme/web, branch: develop, dockerfile: apps/web/Dockerfile}
  updates: [{repo: acme/deploy, path: web, type: kustomize-set-image}]
- {name: byhand, registry: ghcr.io, repository: acme/byhand, autoRebuild: false, source: {repo: acme/byhand}}
- {name: hub, registry: docker.io, repository: acme/hub, source: {repo: acme/hub}}
- {name: lab, registry: quay.io, repository: acme/lab, source: {provider: gitlab, repo: acme/lab}}
- {name: postgres, repository: library/postgres, allowTags: ^16-alpine$}
- {name: redis, repository: library/redis, tag: "7.2"}
"""
CONFIG = """
kargo:
  stateRepository: https://git.example.com/acme/state.git
  jobImage: ghcr.io/acme/tool:1.2
  gitCredentials: robot
  registryCredentials: {ghcr.io: ghcr-pull}
  credentials: {gitlab: {secret: gitlab-trigger, key: token}}
  webhooks: {github: hooks}
  externalSecrets: {store: vault}
catalog: {enabled: true}
"""
BASES = {
    "node-22": "node:22",
    "python-3-12": "python:3.12",
    "alpine-3": "alpine:3",
    "static": "gcr.io/distroless/static",
}


def fill(folder: Path) -> Path:
    (folder / "state" / "images").mkdir(parents=True)
    (folder / "state" / "base-images").mkdir()
    (folder / "images.yaml").write_text(IMAGES)
    (folder / "config.yaml").write_text(CONFIG)
    for name, reference in BASES.items():
        keep(folder, BaseState(configuration=base_configuration(name, Reference.parse(reference))))
    return folder


def keep(folder: Path, base: BaseState) -> None:
    (folder / "state" / "base-images" / f"{base.name}.yaml").write_text(dump(base))


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("IMAGE")}
    return subprocess.run(
        [*ENTRY, *arguments],
        cwd=folder,
        env={**kept, "GITHUB_TOKEN": TOKEN, "IMAGE_FACTORY_GIT_PASSWORD": TOKEN, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def text_of(folder: Path, dist: str = "dist") -> str:
    return (folder / dist / "image-factory.k8s.yaml").read_text()


def read(text: str) -> list[Document]:
    return list(yaml.safe_load_all(text))


def of_kind(documents: list[Document], kind: str) -> dict[str, Document]:
    return {one["metadata"]["name"]: one for one in documents if one["kind"] == kind}


def seconds(duration: str) -> timedelta:
    """A Go duration, as Kargo reads a Warehouse's interval."""
    units = {"h": 3600.0, "m": 60.0, "s": 1.0}
    found = re.findall(r"([0-9.]+)([hms])", duration)
    assert "".join(number + unit for number, unit in found) == duration
    return timedelta(seconds=sum(float(number) * units[unit] for number, unit in found))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = fill(tmp_path_factory.mktemp("factory"))
    done = run(made)
    assert done.returncode == 0, done.stderr
    return made


@pytest.fixture(scope="module")
def documents(folder: Path) -> list[Document]:
    return read(text_of(folder))


def test_each_module_of_the_library_can_be_imported_alone() -> None:
    package = importlib.import_module("image_factory_synth")
    names = [f"image_factory_synth.{module.name}" for module in pkgutil.iter_modules(package.__path__)]
    program = (
        "import importlib, sys\n"
        f"for name in {names!r}:\n"
        "    for loaded in [each for each in sys.modules if each.startswith('image_factory_synth')]:\n"
        "        del sys.modules[loaded]\n"
        "    importlib.import_module(name)\n"
        "    print(name)\n"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert done.stderr == ""
    assert done.stdout.split() == names
    assert {"data", "warehouses", "stages", "jobs", "infrastructure"} <= {name.rpartition(".")[2] for name in names}


# --- loading and merging ---------------------------------------------------------------------------------


def test_a_broken_state_file_stops_no_other_and_is_told(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "state" / "base-images" / "broken.yaml").write_text("name: [")
    (tmp_path / "state" / "base-images" / "template.example.yaml").write_text("name: [")

    done, strict = run(tmp_path), run(tmp_path, "--strict")

    assert (done.returncode, strict.returncode) == (0, 3)
    assert "broken.yaml" in done.stderr
    assert "example" not in done.stderr
    assert set(BASES) <= of_kind(read(text_of(tmp_path)), "Warehouse").keys()


def test_a_branch_that_is_changed_in_images_yaml_alone_is_in_the_manifest(tmp_path: Path) -> None:
    fill(tmp_path)
    run(tmp_path)
    (tmp_path / "images.yaml").write_text(IMAGES.replace("develop", "release"))
    run(tmp_path)

    watched = of_kind(read(text_of(tmp_path)), "Warehouse")["web"]["spec"]["subscriptions"]
    assert [item["git"]["branch"] for item in watched if "acme/web" in item.get("git", {}).get("repoURL", "")] == [
        "release"
    ]


def test_an_entry_and_a_base_of_one_name_are_an_error_that_names_both(tmp_path: Path) -> None:
    fill(tmp_path)
    keep(tmp_path, BaseState(configuration=base_configuration("web", Reference.parse("docker.io/library/alpine:3"))))

    done = run(tmp_path)

    assert done.returncode == 2
    assert "'web' is managed ghcr.io/acme/web and base docker.io/library/alpine:3" in done.stderr
    assert not (tmp_path / "dist").exists()


def test_paths_namespace_and_intervals_are_set_by_file_variable_and_flag(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "state").rename(tmp_path / "known")
    (tmp_path / "images.yaml").rename(tmp_path / "enrolled.yaml")

    done = run(
        tmp_path,
        "--namespace=flag",
        "--managed-interval=10m",
        IMAGES_YAML="enrolled.yaml",
        IMAGE_FACTORY_STATE_DIR="known",
        IMAGE_FACTORY_DIST_DIR="out",
        IMAGE_FACTORY_KARGO_NAMESPACE="variable",
        IMAGE_FACTORY_KARGO_SERVICE_ACCOUNT="robot",
    )

    assert done.returncode == 0, done.stderr
    found = read(text_of(tmp_path, "out"))
    warehouses = of_kind(found, "Warehouse")
    assert list(of_kind(found, "Namespace")) == ["flag"]
    assert list(of_kind(found, "ServiceAccount")) == ["robot"]
    assert set(BASES) <= warehouses.keys()
    assert seconds(warehouses["web"]["spec"]["interval"]) >= timedelta(minutes=10)


# --- infrastructure --------------------------------------------------------------------------------------


def test_namespace_project_and_its_configuration_come_first(documents: list[Document]) -> None:
    namespace, project, config = documents[:3]

    assert (namespace["kind"], namespace["metadata"]["name"]) == ("Namespace", "image-factory-kargo")
    assert namespace["metadata"]["labels"]["kargo.akuity.io/project"] == "true"
    assert (project["kind"], project["metadata"]["name"]) == ("Project", "image-factory-kargo")
    assert "spec" not in project
    assert (config["kind"], config["metadata"]["namespace"]) == ("ProjectConfig", "image-factory-kargo")


def test_every_namespaced_resource_names_its_namespace(documents: list[Document]) -> None:
    outside = {one["kind"] for one in documents if "namespace" not in one["metadata"]}
    inside = {(one["kind"], one["metadata"]["namespace"]) for one in documents if "namespace" in one["metadata"]}

    assert outside == {"Namespace", "Project"}
    assert {namespace for kind, namespace in inside if kind != "ConfigMap"} == {"image-factory-kargo"}
    assert ("ConfigMap", "backstage") in inside


def test_jobs_run_as_an_account_that_may_do_nothing_in_the_cluster(documents: list[Document]) -> None:
    (account,) = of_kind(documents, "ServiceAccount").values()
    (role,) = of_kind(documents, "Role").values()
    (binding,) = of_kind(documents, "RoleBinding").values()

    assert account["metadata"]["name"] == binding["subjects"][0]["name"] == "image-factory"
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert role["rules"] == [], "a job asks nothing of the cluster"
    assert not of_kind(documents, "ClusterRole")


def test_secrets_are_named_as_configured_and_no_value_is_there(folder: Path, documents: list[Document]) -> None:
    text = text_of(folder)

    assert TOKEN not in text
    assert "kind: Secret\n" not in text
    assert not re.search(r"(?i)\b(ghp|gho|glpat|github_pat|dckr_pat)[_-]|-----BEGIN|password: (?!['\"]?\{\{)\S", text)
    # References: of a container's environment, of an expression, of a receiver.
    referred = set(re.findall(r"secretKeyRef:\s+name: (\S+)|secret\('([^']+)'\)|secretRef:\s+name: (\S+)", text))
    assert {name for found in referred for name in found if name} == {"robot", "gitlab-trigger", "hooks"}
    assert set(of_kind(documents, "ExternalSecret")) == {"robot", "gitlab-trigger", "hooks", "ghcr-pull"}


def automatic(policies: list[Document], stage: Document) -> bool:
    """Whether a stage promotes by itself, as Kargo decides it: the first policy that matches it says so."""
    for policy in policies:
        wanted = policy["stageSelector"]["matchLabels"]
        if wanted.items() <= stage["metadata"]["labels"].items():
            return bool(policy["autoPromotionEnabled"])
    return False


def test_each_stage_has_its_policy_and_one_that_waits_for_a_person_has_none(documents: list[Document]) -> None:
    policies = of_kind(documents, "ProjectConfig")["image-factory-kargo"]["spec"]["promotionPolicies"]
    stages = of_kind(documents, "Stage")

    by_hand = {name for name, stage in stages.items() if not automatic(policies, stage)}

    assert by_hand == {"rebuild-trigger-byhand"}
    assert {name.partition("-")[0] for name in stages} == {"analyze", "observe", "rebuild", "update"}
    for policy in policies:
        wanted = policy["stageSelector"]["matchLabels"]
        assert any(wanted.items() <= stage["metadata"]["labels"].items() for stage in stages.values())


def test_a_receiver_stands_for_each_sender_that_is_named(documents: list[Document]) -> None:
    spec = of_kind(documents, "ProjectConfig")["image-factory-kargo"]["spec"]

    assert spec["webhookReceivers"] == [{"name": "github", "github": {"secretRef": {"name": "hooks"}}}]


def test_two_runs_are_byte_for_byte_the_same(folder: Path, tmp_path: Path) -> None:
    fill(tmp_path)
    run(tmp_path)

    assert text_of(tmp_path) == text_of(folder)
    assert [path.name for path in (tmp_path / "dist").iterdir()] == ["image-factory.k8s.yaml"]


# --- Warehouses ------------------------------------------------------------------------------------------


def test_what_is_not_ours_is_looked_at_once_a_day_and_no_more(documents: list[Document]) -> None:
    warehouses = of_kind(documents, "Warehouse")

    for name in (*BASES, "postgres", "redis"):
        assert timedelta(hours=24) <= seconds(warehouses[name]["spec"]["interval"]) <= timedelta(hours=25)
    assert seconds(warehouses["web"]["spec"]["interval"]) < timedelta(minutes=6)
    assert seconds(warehouses["hub"]["spec"]["interval"]) >= timedelta(hours=1), "a public registry has a floor"


def test_no_two_of_one_registry_look_at_one_time(documents: list[Document]) -> None:
    images = [
        (item["image"]["repoURL"].partition("/")[0], warehouse["spec"]["interval"])
        for warehouse in of_kind(documents, "Warehouse").values()
        for item in warehouse["spec"]["subscriptions"]
        if "image" in item
    ]

    assert [at for at, times in Counter(images).items() if times > 1] == []
    assert len(images) == 10


def test_a_new_member_moves_no_other(folder: Path, tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "images.yaml").write_text(f"{IMAGES}- {{name: new, repository: library/new, tag: '1'}}\n")
    run(tmp_path)

    before, after = (
        {name: one["spec"]["interval"] for name, one in of_kind(read(text_of(of)), "Warehouse").items()}
        for of in (folder, tmp_path)
    )
    assert before.items() <= after.items()
    assert after.keys() - before.keys() == {"new"}


def test_a_digest_is_found_without_a_list_of_tags(documents: list[Document]) -> None:
    for name in (*BASES, "postgres", "redis"):
        (item,) = of_kind(documents, "Warehouse")[name]["spec"]["subscriptions"]
        assert item["image"]["imageSelectionStrategy"] == "Digest"
        assert not item["image"].keys() & {"allowTags", "allowTagsRegexes", "ignoreTags", "ignoreTagsRegexes"}


def test_an_entry_without_its_fields_gets_no_warehouse_and_is_named(tmp_path: Path) -> None:
    fill(tmp_path)
    file = tmp_path / "state" / "base-images" / "node-22.yaml"
    file.write_text(re.sub(r"(?m)^allowTags:.*\n", "", file.read_text()))

    done = run(tmp_path)

    assert done.returncode == 0
    assert "node-22: no allowTags" in done.stderr
    assert "node-22" not in of_kind(read(text_of(tmp_path)), "Warehouse")


def test_the_report_says_what_registries_get_and_who_states_their_budget(folder: Path) -> None:
    done = run(folder, "--report", "--json")

    found = yaml.safe_load(done.stdout)
    (hub,) = (each for each in found["registries"] if each["registry"] == "docker.io")
    assert 20 < hub["requestsPerDay"] <= 5 + 24, "five images once a day, and one at most every hour"
    assert (hub["budget"], hub["budgetFrom"]) == (400, "plugin dockerhub")


def test_a_private_registry_s_warehouse_names_the_pull_secret_that_is_brought(documents: list[Document]) -> None:
    warehouse = of_kind(documents, "Warehouse")["web"]
    secret = of_kind(documents, "ExternalSecret")[warehouse["metadata"]["annotations"]["image-factory.io/pull-secret"]]
    template = secret["spec"]["target"]["template"]

    assert template["metadata"]["labels"]["kargo.akuity.io/cred-type"] == "image"
    assert template["data"]["repoURLIsRegex"] == "true"
    (image,) = (item["image"] for item in warehouse["spec"]["subscriptions"] if "image" in item)
    assert re.search(template["data"]["repoURL"], image["repoURL"])
    assert not re.search(template["data"]["repoURL"], "docker.io/library/node")


def test_what_registries_say_of_their_webhooks_is_what_receivers_are_made_of(folder: Path) -> None:
    plugins = workbench(folder, load_settings(folder, {}, {})).plugins
    said = {name: registry.webhook_receiver() for name, registry in plugins.registries.items()}

    told = {name: (receiver.kind, receiver.secret_key) for name, receiver in said.items() if receiver is not None}
    assert told["dockerhub"] == ("dockerhub", "secret")
    assert dict(told.values()).items() <= SECRET_KEYS.items()
