"""The stages that carry an image's new version into the files that name it: one for each repository and format. Pure.

What a step does to a file is what the updater's plugin says (`FileUpdater.promotion_steps`), which the
embedded engine does itself; around it stand the steps that clone, commit and push.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Protocol

from image_factory.errors import ImageFactoryError, UserError
from image_factory.model.enrollment import Update
from image_factory.model.mention import ImageField, PromotionStep, Target
from image_factory.oci.reference import Repository
from image_factory.ports import FileUpdater, Source, SourceRepository
from image_factory_synth.data import ManagedImage
from image_factory_synth.fields import Expression, literal
from image_factory_synth.stage_records import Retry, Step

_RETRY = Retry(error_threshold=3, timeout=timedelta(minutes=10))
_CLONE = "./consumer"
_COMMIT, _PUSH = "commit", "push"


class Updaters(Protocol):
    """What plugins say of consumers' repositories and files (`image_factory.plugins.PluginTable`)."""

    def source_named(self, provider: str) -> Source:
        """Return the source of that name."""
        ...

    def updater_named(self, name: str) -> FileUpdater:
        """Return the updater that `updates[].type` names."""
        ...


@dataclass(frozen=True, slots=True)
class Promotion:
    """The steps for one repository and format; `name` tells them from the image's others."""

    name: str
    steps: tuple[Step, ...]


def promotions(
    image: ManagedImage, repo_url: str, plugins: Updaters, note: Callable[[str], None]
) -> tuple[Promotion, ...]:
    """Return what carries `image`, which the Warehouse knows as `repo_url`, to its consumers.

    An entry that no step of Kargo's can carry is noted and left out; `image-factory update` carries it.

    Raises:
        UnsafeValue: a text could become an expression.
    """
    groups: dict[tuple[str, str, str, str, str], list[Update]] = {}
    for update in image.updates:
        provider = update.provider or (image.source.provider if image.source else "")
        groups.setdefault((update.repo, update.type, update.branch, update.mode, provider), []).append(update)
    found: list[Promotion] = []
    for (repo, kind, branch, mode, provider), updates in groups.items():
        host = image.source.host if image.source and image.source.provider == provider else None
        try:
            url = plugins.source_named(provider).clone_url(SourceRepository(provider, host, repo))
            if "://" not in url or url.startswith("file:"):
                raise UserError(f"{repo} lies on this machine", hint="name a repository that a cluster can reach")
            edits = [step for update in updates for step in _edits(update, repo_url, plugins)]
        except ImageFactoryError as error:
            note(f"{repo} is not carried to a new version by Kargo: {error.message}")
            continue
        alike = sum(one[:2] == (repo, kind) for one in groups)
        name = _word(repo if alike == 1 else f"{repo}-{branch}-{mode}-{provider}")
        around = _around(image.name, repo, branch, mode, url, repo_url)
        found.append(Promotion(f"{name}-{kind}", (around[0], *edits, *around[1:])))
    return tuple(found)


def _word(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _edits(update: Update, repo_url: str, plugins: Updaters) -> list[Step]:
    keys = update.keys or ((update.key,) if update.key else ())
    target = Target(Repository.parse(repo_url), update.path, keys)
    return [_edit(step, repo_url) for step in plugins.updater_named(update.type).promotion_steps(target)]


def _edit(step: PromotionStep, repo_url: str) -> Step:
    config = {str(key): _filled(value, repo_url) for key, value in step.config.items()}
    config["path"] = str(PurePosixPath(_CLONE) / str(step.config.get("path", "."))).removeprefix("./")
    return Step(uses=step.uses, config=config)


def _filled(value: object, repo_url: str) -> object:
    if isinstance(value, ImageField):
        found = f"imageFrom({literal(repo_url)})"
        if value is ImageField.DIGEST:
            return Expression(f"${{{{ {found}.Digest }}}}")
        before = "" if value is ImageField.TAG else f"{literal(f'{Repository.parse(repo_url).familiar}:')} + "
        return Expression(f"${{{{ quote({before}{found}.Tag) }}}}")
    if isinstance(value, Mapping):
        return {str(key): _filled(item, repo_url) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return tuple(_filled(item, repo_url) for item in value)
    return value


def _around(image: str, repo: str, branch: str, mode: str, url: str, repo_url: str) -> tuple[Step, ...]:
    """Return the steps that clone, commit and push; what changed nothing is not pushed, and proposes nothing."""
    told = f"{literal(f'Update {image} to ')} + imageFrom({literal(repo_url)}).Tag + {literal(f' in {repo}')}"
    changed = Expression(f"${{{{ success() && status('{_COMMIT}') == 'Succeeded' }}}}")
    checkout = ({"path": _CLONE, "branch": branch},)
    steps = (
        Step(uses="git-clone", retry=_RETRY, config={"repoURL": url, "checkout": checkout}),
        Step(
            uses="git-commit",
            alias=_COMMIT,
            config={"path": _CLONE, "message": Expression(f"${{{{ quote({told}) }}}}")},
        ),
    )
    if mode == "push":
        push = {"path": _CLONE, "targetBranch": branch}
        return (*steps, Step(uses="git-push", alias=_PUSH, condition=changed, retry=_RETRY, config=push))
    push_new: dict[str, object] = {"path": _CLONE, "generateTargetBranch": True}
    request = {
        "repoURL": url,
        "sourceBranch": Expression(f"${{{{ outputs.{_PUSH}.branch }}}}"),
        "targetBranch": branch,
    }
    return (
        *steps,
        Step(uses="git-push", alias=_PUSH, condition=changed, retry=_RETRY, config=push_new),
        Step(uses="git-open-pr", condition=changed, retry=_RETRY, config=request),
    )
