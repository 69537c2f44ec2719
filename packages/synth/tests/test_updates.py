from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from image_factory.model.enrollment import Source, Update
from image_factory.model.settings import Settings
from image_factory_synth.data import ManagedImage
from image_factory_synth.fields import Document, document
from image_factory_synth.updates import promotions
from image_factory_synth.versions import KargoVersion

pytest.importorskip("image_factory_cli", reason="image_factory_cli is not installed")
pytest.importorskip("image_factory_github", reason="image_factory_github is not installed")
pytest.importorskip("image_factory_kustomize", reason="image_factory_kustomize is not installed")
pytest.importorskip("image_factory_yaml", reason="image_factory_yaml is not installed")

from image_factory_cli.folder import workbench

PLUGINS = workbench(Path(), Settings()).plugins
TAG = '${{ quote(imageFrom("ghcr.io/acme/web").Tag) }}'


def written(*updates: dict[str, Any], notes: list[str] | None = None) -> dict[str, list[Document]]:
    image = ManagedImage(
        name="web",
        repo_url="ghcr.io/acme/web",
        source=Source(repo="acme/web"),
        updates=tuple(Update(**{"repo": "acme/deploy", **update}) for update in updates),
    )
    told = [] if notes is None else notes
    made = promotions(image, "ghcr.io/acme/web", PLUGINS, told.append)
    return {one.name: [document(step, KargoVersion(1, 11)) for step in one.steps] for one in made}


def test_a_kustomization_is_cloned_changed_committed_and_pushed() -> None:
    steps = written({"path": "apps/web", "type": "kustomize-set-image"})["acme-deploy-kustomize-set-image"]

    assert [step["uses"] for step in steps] == ["git-clone", "kustomize-set-image", "git-commit", "git-push"]
    assert steps[0]["config"] == {
        "repoURL": "https://github.com/acme/deploy.git",
        "checkout": [{"path": "./consumer", "branch": "main"}],
    }
    assert steps[1]["config"]["path"] == "consumer/apps/web"
    assert steps[1]["config"]["images"] == [{"image": "ghcr.io/acme/web", "tag": TAG}]
    assert steps[2]["config"]["message"] == (
        '${{ quote("Update web to " + imageFrom("ghcr.io/acme/web").Tag + " in acme/deploy") }}'
    )
    assert steps[3]["if"] == "${{ success() && status('commit') == 'Succeeded' }}"
    assert steps[3]["retry"]["errorThreshold"] == 3


def test_a_proposal_is_a_branch_and_a_request() -> None:
    given = {"path": "v.yaml", "type": "yaml-update", "key": "image.tag", "mode": "pr"}
    steps = written(given)["acme-deploy-yaml-update"]

    assert [step["uses"] for step in steps][-2:] == ["git-push", "git-open-pr"]
    assert steps[-1]["config"]["sourceBranch"] == "${{ outputs.push.branch }}"


def test_entries_of_one_repository_and_format_are_one_stage_and_others_their_own() -> None:
    key = {"type": "yaml-update", "key": "image.tag"}
    found = written(
        {"path": "a.yaml", **key}, {"path": "b.yaml", **key}, {"repo": "acme/other", "path": "a.yaml", **key}
    )

    assert list(found) == ["acme-deploy-yaml-update", "acme-other-yaml-update"]
    assert [step["uses"] for step in found["acme-deploy-yaml-update"]].count("yaml-update") == 2


def test_what_no_step_can_carry_is_noted() -> None:
    notes: list[str] = []

    assert written({"path": "a.yaml", "type": "yaml-update"}, notes=notes) == {}
    assert len(notes) == 1
    assert "acme/deploy is not carried" in notes[0]
