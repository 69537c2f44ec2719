"""The stages that carry an image's new version into the files that name it: one for each repository and format. Pure.

What a step does to a file is what the updater's plugin says (`FileUpdater.promotion_steps`), which the
embedded engine does itself; before it the repository is cloned, after it the change is committed and pushed. Kargo's
steps set single keys of YAML; where a file needs more, such as a template, a job of ours does the same.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from types import MappingProxyType
from typing import Protocol

from image_factory.errors import ImageFactoryError, UserError
from image_factory.model.enrollment import MAX_LABEL, Update
from image_factory.model.mention import ImageField, PromotionStep, Target
from image_factory.model.settings import CommitSettings
from image_factory.oci.reference import DEFAULT_TAG, Repository
from image_factory.ports import FileUpdater, Source, SourceRepository
from image_factory_synth.data import ManagedImage
from image_factory_synth.fields import Expression, literal
from image_factory_synth.steps import Step
from image_factory_synth.tasks import RETRY
from image_factory_synth.versions import KargoVersion

UPDATE = "update"
"""What the names of these stages begin with."""
GIT_HOSTS = frozenset({"azure", "bitbucket", "gitea", "github", "gitlab"})
"""The providers at which Kargo can propose a change, by its own words for them, which are our plugins' too."""
_YAML_UPDATE = "yaml-update"
_FAILS = KargoVersion(1, 10)
"""The first Kargo with the step `fail`."""


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
    """What one stage does: the steps for one repository and format."""

    name: str
    """The stage's: `update-<image>-<repository>-<hash>-<format>`."""
    steps: tuple[Step, ...]
    job: Mapping[str, str] | None = None
    """What a job is told that carries the version where steps cannot; None where they can."""


@dataclass(frozen=True, slots=True)
class _Group:
    """What is done on one branch of a repository in one way."""

    folder: str
    url: str
    branch: str
    mode: str
    message: Expression
    edits: tuple[tuple[Step | None, Step, Step | None], ...]
    """What reads a file, what changes it, and what fails where it is not changed as it was meant."""


@dataclass(frozen=True, slots=True)
class Carrier:
    """Makes the promotions of images."""

    plugins: Updaters
    version: KargoVersion
    author: CommitSettings | None = None
    """Who commits; Kargo's own name where it is None."""

    def promotions(self, image: ManagedImage, repo_url: str, note: Callable[[str], None]) -> tuple[Promotion, ...]:
        """Return what carries `image`, which the Warehouse knows as `repo_url`, to its consumers.

        Args:
            note: is told which entry is not carried, and why.

        Raises:
            UnsafeValue: a text could become an expression.
        """
        groups: dict[tuple[SourceRepository, str], list[Update]] = {}
        for update in image.updates:
            groups.setdefault((_place(image, update), update.type), []).append(update)
        found: list[Promotion] = []
        for (place, kind), updates in groups.items():
            name = stage_name(image.name, place, kind)
            job = {"imageName": image.name, "repository": place.path, "type": kind}
            try:
                steps = self._steps(image, repo_url, place, kind, updates, note)
            except _NoStep:
                found.append(Promotion(name, (Step(uses="compose-output", config={"image": image.name}),), job))
            else:
                if steps:
                    found.append(Promotion(name, steps))
        return tuple(found)

    def _steps(
        self,
        image: ManagedImage,
        repo_url: str,
        place: SourceRepository,
        kind: str,
        updates: Sequence[Update],
        note: Callable[[str], None],
    ) -> tuple[Step, ...]:
        """Return the steps of one stage: a group for each branch and way, each in a folder of its own.

        Raises:
            _NoStep: a file needs more than steps can do.
        """
        ways: dict[tuple[str, str], list[Update]] = {}
        for update in updates:
            ways.setdefault((update.branch, update.mode), []).append(update)
        groups: list[_Group] = []
        next_number = count(1)
        for (branch, mode), entries in ways.items():
            folder = "./consumer" if not groups else f"./consumer-{len(groups) + 1}"
            try:
                url = self._clone_url(place, mode)
            except ImageFactoryError as error:
                note(f"{place.path} is not carried to a new version by Kargo: {error.message}")
                continue
            try:
                updater = self.plugins.updater_named(kind)
            except ImageFactoryError as error:
                note(f"{place.path} is not carried to a new version by Kargo: {error.message}")
                continue
            edits = tuple(edit for entry in entries for edit in _edits(updater, entry, repo_url, folder, next_number))
            message = _message(image.name, [entry.path for entry in entries], place.path, repo_url)
            groups.append(_Group(folder, url, branch, mode, message, edits))
        alone = sum(len(group.edits) for group in groups) < 2 or self.version < _FAILS
        steps: list[Step] = []
        edited: list[str] = []
        for group in groups:
            steps.append(self._clone(group))
            for before, edit, check in group.edits:
                if before is not None:
                    steps.append(before)
                edited.append(f"edit-{len(edited) + 1}")
                # One file that is not as it was, such as without the key, keeps no other back.
                tolerant = None if alone else True
                named = edit if alone and check is None else replace(edit, alias=edited[-1])
                steps.append(replace(named, continue_on_error=tolerant))
                if check is not None:
                    ran = f"success() && status('{edited[-1]}') == 'Succeeded'"
                    steps.append(replace(check, condition=Expression(f"${{{{ {ran} }}}}")))
            steps += _finish(group, image.name, place, stage_name(image.name, place, kind))
        if not alone:
            steps.append(_report(edited))
        return tuple(steps)

    def _clone(self, group: _Group) -> Step:
        config: dict[str, object] = {
            "repoURL": group.url,
            "checkout": ({"path": group.folder, "branch": group.branch},),
        }
        if self.author is not None:
            config["author"] = {"name": self.author.name, "email": self.author.email}
        return Step(uses="git-clone", retry=RETRY, config=config)

    def _clone_url(self, place: SourceRepository, mode: str) -> str:
        if mode == "pr" and place.provider not in GIT_HOSTS:
            raise UserError(f"Kargo can propose nothing at {place.provider}", hint="give mode: push")
        url = self.plugins.source_named(place.provider).clone_url(place)
        if "://" not in url or url.startswith("file:"):
            raise UserError(f"{place.path} lies on this machine", hint="name a repository that a cluster can reach")
        return url


class _NoStep(Exception):
    """A file that steps of Kargo's cannot change."""


def stage_name(image: str, place: SourceRepository, kind: str) -> str:
    """Return the name of the stage that carries an image to a repository in one format: the first word of its type.

    It follows from these alone, so that no other entry changes it; the hash tells apart what words do not, such as
    `a-b` and `a/b`.
    """
    identity = "\0".join((image, place.provider, place.host or "", place.path, kind))
    digits = hashlib.sha256(identity.encode()).hexdigest()[:8]
    word = kind.partition("-")[0]
    before, after = f"{UPDATE}-{image}-", f"{digits}-{word}"
    room = MAX_LABEL - len(before) - len(after)
    if room >= 0:
        words = re.sub(r"[^a-z0-9]+", "-", place.path.lower()).strip("-")[: max(room - 1, 0)].strip("-")
        return f"{before}{words}-{after}" if words else f"{before}{after}"
    return f"{UPDATE}-{f'{image}-{word}'[: MAX_LABEL - len(UPDATE) - 10].strip('-')}-{digits}"


def _place(image: ManagedImage, update: Update) -> SourceRepository:
    """Return the consumer's repository; at the image's own host where it has the image's provider."""
    source = image.source
    provider = update.provider or (source.provider if source else "")
    return SourceRepository(provider, source.host if source and source.provider == provider else None, update.repo)


def _finish(group: _Group, image: str, place: SourceRepository, stage: str) -> Iterator[Step]:
    """Yield the steps that commit what was changed, and bring it to its branch or propose it.

    Kargo lets one promotion at a time push to a branch, and rebases it on what came before, so that several
    images' changes of one branch follow each other. A proposal's branch is always the same, so that a newer version
    takes the place of an older one in the request that is open. Nothing waits for its merge: a stage that waited
    would hold every later version up.
    """
    number = group.folder.removeprefix("./consumer")
    yield Step(uses="git-commit", alias=f"commit{number}", config={"path": group.folder, "message": group.message})
    # What changed nothing is not committed, and then there is nothing to push or to propose.
    changed = Expression(f"${{{{ success() && status('commit{number}') == 'Succeeded' }}}}")
    is_proposed = group.mode == "pr"
    target = f"image-factory/{stage}/{group.branch}" if is_proposed else group.branch
    how: dict[str, object] = {"force": True} if is_proposed else {"maxAttempts": 10}
    push = {"path": group.folder, "targetBranch": target, **how}
    yield Step(uses="git-push", alias=f"push{number}", condition=changed, retry=RETRY, config=push)
    if is_proposed:
        request = {
            "repoURL": group.url,
            "provider": place.provider,
            "sourceBranch": target,
            "targetBranch": group.branch,
            "title": f"Update {image} in {place.path}",
        }
        yield Step(uses="git-open-pr", alias=f"request{number}", condition=changed, retry=RETRY, config=request)


def _report(edited: Sequence[str]) -> Step:
    """Return the step that fails in the end where an edit did, since Kargo would call that a success."""
    failed = " || ".join(f"status('{alias}') in ['Failed', 'Errored']" for alias in edited)
    return Step(
        uses="fail",
        alias="report",
        condition=Expression(f"${{{{ always() && ({failed}) }}}}"),
        config={"message": "not every file could be changed; the steps edit-1, edit-2 and so on say which and why"},
    )


def _edits(
    updater: FileUpdater, update: Update, repo_url: str, folder: str, numbers: Iterator[int]
) -> Iterator[tuple[Step | None, Step, Step | None]]:
    keys = update.keys or ((update.key,) if update.key else ())
    try:
        steps = updater.promotion_steps(Target(Repository.parse(repo_url), update.path, keys))
    except UserError as error:
        raise _NoStep from error
    for step in steps:
        if step.uses != _YAML_UPDATE:
            yield None, _edit(step, repo_url, folder), None
            continue
        before = _look(step, repo_url, folder, f"before-{next(numbers)}")
        pins = {} if before is None or before.alias is None else _pins(step, repo_url, before.alias)
        edit = _edit(step, repo_url, folder, pins)
        yield before, edit, _check(step, repo_url, edit, pins)


def _look(step: PromotionStep, repo_url: str, folder: str, alias: str) -> Step | None:
    """Return the step that reads what stands at the keys of whole references: one that pins a digest stays pinned."""
    keys = [str(update["key"]) for update in _updates(step) if update["value"] is ImageField.REFERENCE]
    if not keys:
        return None
    outputs = tuple(
        {"name": f"key{number}", "fromExpression": f"string({_accessor(key)})"} for number, key in enumerate(keys, 1)
    )
    config = {"path": _file(step, folder), "outputs": outputs}
    return Step(uses="yaml-parse", alias=alias, continue_on_error=True, config=config)


def _pins(step: PromotionStep, repo_url: str, alias: str) -> Mapping[str, str]:
    """Return key → the expression for the digest that is to follow its reference; nothing where none stood there."""
    keys = [str(update["key"]) for update in _updates(step) if update["value"] is ImageField.REFERENCE]
    digest = f'"@" + {_found(ImageField.DIGEST, repo_url)}'
    return {
        key: f'((outputs[\'{alias}\']?.key{number} ?? "") contains "@" ? {digest} : "")'
        for number, key in enumerate(keys, 1)
    }


def _edit(step: PromotionStep, repo_url: str, folder: str, pins: Mapping[str, str] = MappingProxyType({})) -> Step:
    config = {str(key): _filled(value, repo_url) for key, value in step.config.items()}
    if pins:
        config["updates"] = tuple(
            {"key": update["key"], "value": Expression(f"${{{{ quote({_meant(update, repo_url, pins)}) }}}}")}
            if update["key"] in pins
            else {str(key): _filled(value, repo_url) for key, value in update.items()}
            for update in _updates(step)
        )
    config["path"] = _file(step, folder)
    return Step(uses=step.uses, config=config, condition=_is_version(repo_url) if _names_tag(step.config) else None)


def _file(step: PromotionStep, folder: str) -> str:
    path = step.config.get("path", ".")
    return folder if path == "." else f"{folder}/{path}"


def _meant(update: Mapping[str, object], repo_url: str, pins: Mapping[str, str]) -> str:
    """Return the expression for what a key is to hold."""
    key, value = str(update["key"]), update["value"]
    meant = _found(value, repo_url) if isinstance(value, ImageField) else literal(str(value))
    return f"{meant} + {pins[key]}" if key in pins else meant


def _check(step: PromotionStep, repo_url: str, edit: Step, pins: Mapping[str, str]) -> Step:
    """Return the step that reads a file again and fails unless its keys hold what was written.

    `yaml-update` writes over the rest of the line: of a mapping in braces it leaves half, of a block of text the old
    one, and a tag such as 0x10 becomes a number. Nobody's file is to be pushed so.
    """
    assert edit.config is not None
    outputs: list[dict[str, object]] = []
    for number, update in enumerate(_updates(step), 1):
        key = str(update["key"])
        complaint = literal(f"{key} does not hold what was written: give it a line of its own in block style")
        is_meant = f"{_accessor(key)} == ${{{{ toJSON({_meant(update, repo_url, pins)}) }}}}"
        # An expression has no other way to fail with words.
        outputs.append({"name": f"key-{number}", "fromExpression": Expression(f"{is_meant} ? true : int({complaint})")})
    return Step(uses="yaml-parse", config={"path": edit.config["path"], "outputs": tuple(outputs)})


def _updates(step: PromotionStep) -> Sequence[Mapping[str, object]]:
    updates = step.config["updates"]
    assert isinstance(updates, Sequence)
    return updates


def _accessor(key: str) -> str:
    """Return the expression for what stands at a key, its steps as sjson has them."""
    steps = (re.sub(r"\\(.)", r"\1", step) for step in re.split(r"(?<!\\)\.", key))
    return "$env" + "".join(f"[{step}]" if step.isdecimal() else f"[{literal(step)}]" for step in steps)


def _is_version(repo_url: str) -> Expression:
    """Return the condition that Freight is a version.

    Until there is one, an image's Warehouse sees the tag that always moves; no consumer is to be brought from its
    version to that.
    """
    return Expression(f"${{{{ success() && imageFrom({literal(repo_url)}).Tag != {literal(DEFAULT_TAG)} }}}}")


def _names_tag(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(_names_tag(item) for item in value.values())
    if isinstance(value, (list, tuple)):
        return any(_names_tag(item) for item in value)
    return isinstance(value, ImageField) and value is not ImageField.DIGEST


def _filled(value: object, repo_url: str) -> object:
    if isinstance(value, ImageField):
        found = _found(value, repo_url)
        return Expression(f"${{{{ {found if value is ImageField.DIGEST else f'quote({found})'} }}}}")
    if isinstance(value, Mapping):
        return {str(key): _filled(item, repo_url) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return tuple(_filled(item, repo_url) for item in value)
    return value


def _found(field: ImageField, repo_url: str) -> str:
    """Return the expression for what the promoted Freight says of the image."""
    found = f"imageFrom({literal(repo_url)})"
    if field is ImageField.DIGEST:
        return f"{found}.Digest"
    before = "" if field is ImageField.TAG else f"{literal(f'{Repository.parse(repo_url).familiar}:')} + "
    return f"{before}{found}.Tag"


def _message(image: str, carried: Sequence[str], repo: str, repo_url: str) -> Expression:
    """Return a commit's message: the image, its version, and where it goes."""
    paths = list(dict.fromkeys(carried))
    where = f" in {paths[0] if len(paths) == 1 else f'{len(paths)} files'} of {repo}"
    return Expression(
        f"${{{{ {literal(f'Update {image} to ')} + imageFrom({literal(repo_url)}).Tag + {literal(where)} }}}}"
    )
