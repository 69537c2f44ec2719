from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from image_factory.model.enrollment import Source, Update
from image_factory.model.settings import CommitSettings, Settings
from image_factory.ports import SourceRepository
from image_factory_synth.data import ManagedImage
from image_factory_synth.fields import Document, document
from image_factory_synth.updates import Carrier, stage_name
from image_factory_synth.versions import KargoVersion

pytest.importorskip("image_factory_cli", reason="image_factory_cli is not installed")
pytest.importorskip("image_factory_github", reason="image_factory_github is not installed")
pytest.importorskip("image_factory_kustomize", reason="image_factory_kustomize is not installed")
pytest.importorskip("image_factory_yaml", reason="image_factory_yaml is not installed")
pytest.importorskip("image_factory_helm", reason="image_factory_helm is not installed")

from image_factory_cli.folder import workbench

PLUGINS = workbench(Path(), Settings()).plugins
TAG = '${{ quote(imageFrom("ghcr.io/acme/web").Tag) }}'
KUSTOMIZE = {"path": "apps/web", "type": "kustomize-set-image"}
KEY = {"type": "yaml-update", "key": "image.tag"}


def written(
    *updates: dict[str, Any], notes: list[str] | None = None, minor: int = 11, **source: Any
) -> dict[str, list[Document]]:
    image = ManagedImage(
        name="web",
        repo_url="ghcr.io/acme/web",
        source=Source(**{"repo": "acme/web", **source}),
        updates=tuple(Update(**{"repo": "acme/deploy", **update}) for update in updates),
    )
    told = [] if notes is None else notes
    version = KargoVersion(1, minor)
    made = Carrier(PLUGINS, version, CommitSettings()).promotions(image, "ghcr.io/acme/web", told.append)
    return {one.name: [document(step, version) for step in one.steps] for one in made}


def only(found: dict[str, list[Document]]) -> list[Document]:
    (steps,) = found.values()
    return steps


def shown(steps: list[Document]) -> list[str]:
    return [step["uses"] for step in steps]


def test_a_kustomization_is_cloned_changed_committed_and_pushed() -> None:
    steps = only(written(KUSTOMIZE))

    assert shown(steps) == ["git-clone", "kustomize-set-image", "git-commit", "git-push"]
    assert steps[0]["config"] == {
        "repoURL": "https://github.com/acme/deploy.git",
        "checkout": [{"path": "./consumer", "branch": "main"}],
        "author": {"name": "Image Factory Bot", "email": "image-factory-bot@users.noreply.github.com"},
    }
    assert steps[0]["retry"]["errorThreshold"] == 3
    assert steps[1]["config"] == {
        "path": "./consumer/apps/web",
        "images": [{"image": "ghcr.io/acme/web", "tag": TAG}],
    }
    assert steps[2]["config"] == {
        "path": "./consumer",
        "message": '${{ "Update web to " + imageFrom("ghcr.io/acme/web").Tag + " in apps/web of acme/deploy" }}',
    }
    # With rebase, and never by force.
    assert steps[3]["config"] == {"path": "./consumer", "targetBranch": "main", "maxAttempts": 10}


def test_no_consumer_is_brought_from_its_version_to_the_tag_that_always_moves() -> None:
    # What an image's Warehouse sees until a version of it is known.
    for update in (KUSTOMIZE, {"path": "v.yaml", **KEY}):
        steps = only(written(update))

        assert [step.get("if") for step in steps[:2]] == [
            None,
            '${{ success() && imageFrom("ghcr.io/acme/web").Tag != "latest" }}',
        ]


def test_a_proposal_is_a_branch_of_its_own_and_a_request() -> None:
    ((name, steps),) = written({"path": "v.yaml", **KEY, "mode": "pr", "branch": "release/1"}).items()

    assert shown(steps) == ["git-clone", "yaml-update", "yaml-parse", "git-commit", "git-push", "git-open-pr"]
    *_, push, request = steps
    # A newer version takes the older one's place in the request that is open.
    assert push["config"] == {
        "path": "./consumer",
        "targetBranch": f"image-factory/{name}/release/1",
        "force": True,
    }
    assert request["config"] == {
        "repoURL": "https://github.com/acme/deploy.git",
        "provider": "github",
        "sourceBranch": f"image-factory/{name}/release/1",
        "targetBranch": "release/1",
        "title": "Update web in acme/deploy",
    }


def test_a_request_of_a_host_of_one_s_own_names_its_provider() -> None:
    # Kargo would tell it from the host's name, and find none in this one.
    steps = only(written({**KUSTOMIZE, "mode": "pr"}, provider="gitlab", host="code.example.com"))

    assert steps[-1]["config"]["provider"] == "gitlab"
    assert steps[-1]["config"]["repoURL"] == "https://code.example.com/acme/deploy.git"


def test_what_changed_nothing_is_neither_pushed_nor_proposed() -> None:
    _, _, commit, *others = only(written({**KUSTOMIZE, "mode": "pr"}))

    assert commit["uses"] == "git-commit"
    assert {step["if"] for step in others} == {f"${{{{ success() && status('{commit['as']}') == 'Succeeded' }}}}"}
    assert all(step["retry"]["errorThreshold"] == 3 for step in others)


def test_entries_of_one_repository_and_format_are_one_stage_and_others_their_own() -> None:
    found = written(
        {"path": "a.yaml", **KEY}, {"path": "b.yaml", **KEY}, {"repo": "acme/other", "path": "a.yaml", **KEY}
    )

    assert [name.rsplit("-", 2)[0] for name in found] == ["update-web-acme-deploy", "update-web-acme-other"]
    first, second = found.values()
    assert shown(first) == ["git-clone", *("yaml-update", "yaml-parse") * 2, "git-commit", "git-push", "fail"]
    assert shown(second) == ["git-clone", "yaml-update", "yaml-parse", "git-commit", "git-push"]


def test_branches_and_ways_of_one_repository_are_groups_of_one_stage() -> None:
    steps = only(written({"path": "a.yaml", **KEY}, {"path": "a.yaml", **KEY, "branch": "next", "mode": "pr"}))

    assert shown(steps) == [
        *("git-clone", "yaml-update", "yaml-parse", "git-commit", "git-push"),
        *("git-clone", "yaml-update", "yaml-parse", "git-commit", "git-push", "git-open-pr"),
        "fail",
    ]
    assert steps[5]["config"]["checkout"] == [{"path": "./consumer-2", "branch": "next"}]
    assert steps[6]["config"]["path"] == "./consumer-2/a.yaml"
    commit, push, request = steps[8:11]
    assert commit["config"]["path"] == push["config"]["path"] == "./consumer-2"
    assert commit["as"] in push["if"] == request["if"]
    aliases = [step["as"] for step in steps if "as" in step]
    assert len(aliases) == len(set(aliases)) == 8


def test_what_was_written_at_a_key_is_read_again_before_it_is_pushed() -> None:
    entry = {"path": "v.yaml", "type": "yaml-update", "keys": ["a.0.acme\\.io/tag", "image"]}

    _, before, edit, check, *_ = only(written(entry))

    assert check["if"] == f"${{{{ success() && status('{edit['as']}') == 'Succeeded' }}}}"
    assert before["config"]["path"] == check["config"]["path"] == edit["config"]["path"]
    first, second = (output["fromExpression"] for output in check["config"]["outputs"])
    assert first.startswith('$env["a"][0]["acme.io/tag"] == ${{ toJSON(imageFrom("ghcr.io/acme/web").Tag) }} ? true')
    assert second.startswith('$env["image"] == ${{ toJSON("ghcr.io/acme/web:" + imageFrom("ghcr.io/acme/web").Tag + ')


def test_a_reference_that_pins_a_digest_stays_pinned() -> None:
    _, before, edit, *_ = only(written({"path": "v.yaml", "type": "yaml-update", "key": "image"}))

    assert before["continueOnError"] is True, "a file that cannot be read is the edit's to complain of"
    assert before["config"]["outputs"] == [{"name": "key1", "fromExpression": 'string($env["image"])'}]
    (update,) = edit["config"]["updates"]
    assert f"outputs['{before['as']}']?.key1" in update["value"]
    assert '"@" + imageFrom("ghcr.io/acme/web").Digest' in update["value"]


def test_a_file_that_cannot_be_changed_stops_no_other_and_is_told_of_in_the_end() -> None:
    steps = only(written({"path": "a.yaml", **KEY}, {"path": "b.yaml", **KEY}))

    assert [(step["as"], step["continueOnError"]) for step in steps[1:4:2]] == [("edit-1", True), ("edit-2", True)]
    assert steps[-1]["if"] == (
        "${{ always() && (status('edit-1') in ['Failed', 'Errored'] || status('edit-2') in ['Failed', 'Errored']) }}"
    )


def test_where_kargo_cannot_fail_in_the_end_it_fails_at_once() -> None:
    steps = only(written({"path": "a.yaml", **KEY}, {"path": "b.yaml", **KEY}, minor=9))

    assert shown(steps) == ["git-clone", *("yaml-update", "yaml-parse") * 2, "git-commit", "git-push"]
    assert not any("continueOnError" in step for step in steps)


def test_where_a_file_needs_more_than_steps_a_job_changes_all_of_its_repository_and_format() -> None:
    template = {"repo": "acme/charts", "path": "web/templates/deployment.yaml", "type": "helm-update-image"}
    image = ManagedImage(
        name="web",
        repo_url="ghcr.io/acme/web",
        source=Source(repo="acme/web"),
        updates=(Update(**template), Update(**{**template, "path": "web/values.yaml", "key": "image.tag"})),
    )
    notes: list[str] = []

    (found,) = Carrier(PLUGINS, KargoVersion(1, 11)).promotions(image, "ghcr.io/acme/web", notes.append)

    assert found.job == {"imageName": "web", "repository": "acme/charts", "type": "helm-update-image"}
    assert [step.uses for step in found.steps] == ["compose-output"]
    assert notes == []


def test_a_format_that_no_plugin_knows_is_noted_and_the_rest_is_carried() -> None:
    notes: list[str] = []

    found = written({"path": "a.json", "type": "json-update"}, {"path": "b.yaml", **KEY}, notes=notes)

    assert shown(only(found)) == ["git-clone", "yaml-update", "yaml-parse", "git-commit", "git-push"]
    assert len(notes) == 1
    assert "acme/deploy is not carried" in notes[0]


def test_a_request_where_kargo_can_open_none_is_noted() -> None:
    notes: list[str] = []
    entry = {**KUSTOMIZE, "repo": "https://git.example.com/a.git", "provider": "git"}

    assert written({**entry, "mode": "pr"}, notes=notes) == {}
    assert "propose nothing at git" in notes[0]
    assert shown(only(written(entry)))[-1] == "git-push"


@pytest.mark.parametrize(
    ("image", "path", "name"),
    [
        ("web", "acme/deploy", "update-web-acme-deploy-a49a33f4-kustomize"),
        ("web", "Acme/Deploy", "update-web-acme-deploy-ffea3925-kustomize"),
        ("web", "-/.", "update-web-43195520-kustomize"),
        ("a" * 36, "acme/deploy", f"update-{'a' * 36}-6477bd73-kustomize"),
        ("a" * 40, "acme/deploy", f"update-{'a' * 40}-kustom-c43ec561"),
        ("a" * 63, "acme/deploy", f"update-{'a' * 47}-a500de97"),
    ],
    ids=["a path", "another of the same words", "no words", "no room for words", "nor for the format", "nor the image"],
)
def test_a_stage_is_named_by_image_repository_and_format(image: str, path: str, name: str) -> None:
    found = stage_name(image, SourceRepository("github", None, path), "kustomize-set-image")

    assert found == name
    assert len(found) <= 63
