"""P20: every stage that carries a version does what the `updates` entries say, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("image_factory_synth", reason="image-factory-synth is not installed")
pytest.importorskip("image_factory_github", reason="image_factory_github is not installed")
pytest.importorskip("image_factory_gitlab", reason="image_factory_gitlab is not installed")
pytest.importorskip("image_factory_helm", reason="image_factory_helm is not installed")
pytest.importorskip("image_factory_kustomize", reason="image_factory_kustomize is not installed")
pytest.importorskip("image_factory_yaml", reason="image_factory_yaml is not installed")

from image_factory.model.enrollment import UPDATE_TYPES, Source, Update
from image_factory.model.settings import CommitSettings, KargoSettings, Settings
from image_factory_cli.folder import workbench
from image_factory_synth.charts import plan_charts
from image_factory_synth.data import Inventory, ManagedImage
from image_factory_synth.versions import KNOWN, KargoVersion

PLUGINS = workbench(Path(), Settings()).plugins
SETTINGS = KargoSettings(state_repository="https://git.example.com/state.git", job_image="ghcr.io/acme/tool:1")
IMAGE = "ghcr.io/acme/web"
HOSTS = {"github": "github.com", "gitlab": "code.example.com"}
KEYS = {
    "image.tag": f'${{{{ quote(imageFrom("{IMAGE}").Tag) }}}}',
    "images.0.newTag": f'${{{{ quote(imageFrom("{IMAGE}").Tag) }}}}',
    "web.image.digest": f'${{{{ imageFrom("{IMAGE}").Digest }}}}',
    "spec.image": f'${{{{ quote("{IMAGE}:" + imageFrom("{IMAGE}").Tag) }}}}',
}
"""Keys, and what a key of that name is set to."""
PIN = re.compile(r""" \+ \(\(outputs\['before-\d+']\?\.key\d+ \?\? ""\) contains "@" \? "@" \+ .*?\.Digest : ""\)""")
"""What keeps a reference that has a digest pinned, to the promoted image's."""
STEPS = {"kustomize-set-image": "kustomize-set-image", "yaml-update": "yaml-update", "helm-update-image": "yaml-update"}
Steps = list[dict[str, Any]]


@st.composite
def entries(draw: st.DrawFn) -> Update:
    kind = draw(st.sampled_from(UPDATE_TYPES))
    folder = draw(st.from_regex(r"[a-z]{1,5}(/[a-z0-9]{1,5}){0,2}", fullmatch=True))
    keys = draw(st.lists(st.sampled_from(sorted(KEYS)), unique=True, max_size=2))
    return Update(
        repo=draw(st.sampled_from(["acme/deploy", "acme/other"])),
        path=folder if kind == "kustomize-set-image" else f"{folder}/values.yaml",
        type=kind,
        branch=draw(st.sampled_from(["main", "release/1.2", "2"])),
        # A kustomization is told of its image by name; where keys are missing, a job of ours finds the places.
        keys=() if kind == "kustomize-set-image" else tuple(keys),
        mode=draw(st.sampled_from(["push", "pr"])),
    )


def rendered(updates: list[Update], provider: str, version: KargoVersion) -> Steps:
    source = Source(provider=provider, host=None if provider == "github" else HOSTS[provider], repo="acme/web")
    image = ManagedImage(name="web", repo_url=IMAGE, source=source, updates=tuple(updates))
    plan = plan_charts(Inventory((image,)), SETTINGS, version, providers=PLUGINS, author=CommitSettings())
    assert plan.planned.notes == ()
    documents = [one for chart in plan.charts for one in chart.documents]
    return [
        one
        for one in documents
        if one["kind"] == "Stage" and one["metadata"]["labels"]["image-factory.io/role"] == "update"
    ]


def without_looks(steps: Steps) -> Steps:
    """Return the steps but for those that read a file before and after a step that changes it, and nothing else."""
    left: Steps = []
    looked_at = None
    for step in steps:
        if step["uses"] != "yaml-parse":
            assert looked_at in (None, step["config"].get("path")), "what is looked at is changed next"
            looked_at = None
            left.append(step)
        elif step.get("as", "").startswith("before-"):
            # A file without the key fails where it is to be changed, with what to do.
            assert step["continueOnError"]
            looked_at = step["config"]["path"]
        else:
            changed = left[-1]["config"]
            assert (left[-1]["uses"], changed["path"]) == ("yaml-update", step["config"]["path"])
            assert len(step["config"]["outputs"]) == len(changed["updates"])
    return left


def groups(steps: Steps) -> Iterator[Steps]:
    """Yield the steps between one clone and the next."""
    group: Steps = []
    for step in steps:
        if step["uses"] == "git-clone" and group:
            yield group
            group = []
        if step["uses"] != "fail":
            group.append(step)
    yield group


def edit_of(step: dict[str, Any], folder: str) -> tuple[str, str, Any]:
    """What a step changes: its kind, the path in the repository, and what it sets there."""
    path = step["config"]["path"].removeprefix(f"{folder}/")
    if step["uses"] == "kustomize-set-image":
        return step["uses"], path, step["config"]["images"]
    return step["uses"], path, [(each["key"], PIN.sub("", each["value"])) for each in step["config"]["updates"]]


def wanted_of(update: Update) -> tuple[str, str, Any]:
    if update.type == "kustomize-set-image":
        return STEPS[update.type], update.path, [{"image": IMAGE, "tag": KEYS["image.tag"]}]
    return STEPS[update.type], update.path, [(key, KEYS[key]) for key in update.keys]


@settings(deadline=None, max_examples=60)
@given(
    updates=st.lists(entries(), min_size=1, max_size=5),
    provider=st.sampled_from(sorted(HOSTS)),
    version=st.sampled_from(KNOWN),
)
def test_p20_clone_edit_commit_push_and_propose_are_what_the_entries_say(
    updates: list[Update], provider: str, version: KargoVersion
) -> None:
    stages = rendered(updates, provider, version)

    by_job = {(one.repo, one.type) for one in updates if not one.keys and one.type != "kustomize-set-image"}
    left = [update for update in updates if (update.repo, update.type) not in by_job]
    for stage in stages:
        if "verification" in stage["spec"]:
            told = {each["name"]: each["value"] for each in stage["spec"]["verification"]["args"]}
            assert told["imageName"] == "web"
            by_job.remove((told["repository"], told["type"]))
            continue
        steps = without_looks(stage["spec"]["promotionTemplate"]["spec"]["steps"])
        edited = [step for step in steps if step["uses"] in STEPS.values()]
        can_fail_late = version >= KargoVersion(1, 10) and len(edited) > 1
        assert all(step.get("continueOnError", False) == can_fail_late for step in edited)
        assert (steps[-1]["uses"] == "fail") == can_fail_late
        for clone, *edits, commit, push in (cut_off_request(group, provider) for group in groups(steps)):
            (checkout,) = clone["config"]["checkout"]
            url, branch, folder = clone["config"]["repoURL"], checkout["branch"], checkout["path"]
            assert (clone["uses"], commit["uses"], push["uses"]) == ("git-clone", "git-commit", "git-push")
            assert commit["config"]["path"] == push["config"]["path"] == folder
            assert clone["retry"]["errorThreshold"] > 1 < push["retry"]["errorThreshold"]
            mode = "pr" if push["config"].get("force") else "push"
            assert mode == "pr" or push["config"]["targetBranch"] == branch
            here = [
                update
                for update in left
                if (f"https://{HOSTS[provider]}/{update.repo}.git", update.branch, update.mode) == (url, branch, mode)
                and stage["metadata"]["name"].endswith(f"-{update.type.split('-')[0]}")
            ]
            assert [edit_of(edit, folder) for edit in edits] == [wanted_of(update) for update in here]
            assert re.search(r"Update web to .*imageFrom\(.*\)\.Tag.* of acme/", commit["config"]["message"])
            left = [update for update in left if not any(update is each for each in here)]
    assert left == []
    assert by_job == set()


def cut_off_request(group: Steps, provider: str) -> Steps:
    """The group without the step that proposes, which is checked here: it goes where the push went."""
    if group[-1]["uses"] != "git-open-pr":
        return group
    *others, push, request = group
    config = request["config"]
    assert config["sourceBranch"] == push["config"]["targetBranch"]
    assert config["targetBranch"] == group[0]["config"]["checkout"][0]["branch"] != config["sourceBranch"]
    assert (config["repoURL"], config["provider"]) == (group[0]["config"]["repoURL"], provider)
    return [*others, push]
