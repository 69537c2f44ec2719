"""What a Renovate configuration says that is not carried over, one sentence each. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from image_factory.errors import Location
from image_factory.imports.answers import FileKind, Remark, flag_of, host_of, maps_of, shown, text_of, texts_of
from image_factory.imports.renovate_rules import (
    DECIDED,
    LEGACY,
    UNKNOWN_PRESET,
    is_about_images,
    matchers_of,
    parse_age,
)
from image_factory.state.yaml_tree import ListNode, MapNode, Node, Scalar

_LIMIT = "the nearest thing is maxConcurrentRebuilds in config.yaml, which is of all images together"
_SENTENCES: dict[str, str] = {
    "schedule": "rebuilds have no hours of their own: start `image-factory run` when they may begin, "
    "or write freezes in config.yaml, which have a beginning and an end",
    "automergeSchedule": "rebuilds have no hours of their own: start `image-factory run` when they may begin",
    "timezone": "there is no schedule that it could be of; all times here are UTC",
    "prHourlyLimit": _LIMIT,
    "commitHourlyLimit": _LIMIT,
    "prConcurrentLimit": _LIMIT,
    "branchConcurrentLimit": _LIMIT,
    "prPriority": "which image is rebuilt first is said by criticality in images.yaml",
    "versioning": "tags are compared as SemVer; for others write allowTags and imageSelectionStrategy",
    "allowedVersions": "it is about new tags; an external image's are limited by its constraint or allowTags",
    "followTag": "it is about new tags; an external image follows one by its tag",
    "registryUrls": "images are asked for where their names say; for a mirror write registries in config.yaml",
    "customManagers": "places that expressions find are not read here; `image-factory scan` finds images in any text",
    "regexManagers": "places that expressions find are not read here; `image-factory scan` finds images in any text",
    "vulnerabilityAlerts": "a vulnerability is answered by `image-factory emergency --cve`",
    "replacementName": "an image is not replaced by another; change the Dockerfile",
    "replacementVersion": "an image is not replaced by another; change the Dockerfile",
    "internalChecksFilter": "a digest that is too young is always passed by, as with strict",
    "force": "there is nothing that overrides all else; say it in the entries",
    "baseBranches": "an image is built from one branch; enroll it again under another name for each further one",
    "baseBranchPatterns": "an image is built from one branch; enroll it again under another name for each further one",
    "postUpgradeTasks": "nothing is run after an update; the build workflow is the place for it",
    "major": "it is about new tags; rebuilds follow the digest behind the tag that the Dockerfile names",
    "minor": "it is about new tags; rebuilds follow the digest behind the tag that the Dockerfile names",
    "patch": "it is about new tags; rebuilds follow the digest behind the tag that the Dockerfile names",
    "pinDigests": "the Dockerfile stays as it is: the digests that a rebuild takes are handed to its build instead",
    "separateMajorMinor": "it is about new tags; rebuilds follow the digest behind the tag that the Dockerfile names",
}
"""Settings that would be missed, and what there is in their place."""

_UNREAD = frozenset(
    {
        "ansible", "argocd", "azure-pipelines", "batect", "bitbucket-pipelines", "buildkite", "circleci", "cloudbuild",
        "crossplane", "devcontainer", "droneci", "fleet", "flux", "github-actions", "gitlabci", "helmfile", "helmv3",
        "nomad", "quadlet", "sveltos", "tekton", "terraform", "velaci", "vendir", "woodpecker",
    }
)  # fmt: skip
"""Managers whose files may name images, and that no kind of file here is."""

_OWN = frozenset(
    {
        "$schema", "extends", "description", "enabled", "enabledManagers", "ignorePaths", "includePaths", "ignoreDeps",
        "ignorePresets", "packageRules", "groupName", "groupSlug", "automerge", "automergeType", "minimumReleaseAge",
        "stabilityDays", "dependencyDashboardApproval", "hostRules", "registryAliases", "digest", "docker", "fileMatch",
        "managerFilePatterns", *(kind.value for kind in FileKind),
    }
)  # fmt: skip
"""Settings that are read, or say nothing."""

_REQUESTS = frozenset(
    {
        "additionalReviewers", "assignAutomerge", "assignees", "assigneesFromCodeOwners", "branchPrefix", "branchTopic",
        "commitBody", "commitBodyTable", "commitMessage", "commitMessageAction", "commitMessageExtra",
        "commitMessagePrefix", "commitMessageSuffix", "commitMessageTopic", "configMigration", "dependencyDashboard",
        "dependencyDashboardTitle", "draftPR", "fetchChangeLogs", "gitAuthor", "gitIgnoredAuthors", "labels",
        "addLabels", "milestone", "platformAutomerge", "prBodyColumns", "prBodyNotes", "prBodyTemplate", "prCreation",
        "prFooter", "prHeader", "prTitle", "rebaseLabel", "rebaseWhen", "recreateWhen", "requiredStatusChecks",
        "reviewers", "semanticCommits", "semanticCommitScope", "semanticCommitType", "separateMinorPatch",
        "separateMultipleMajor", "suppressNotifications", "updateNotScheduled", "automergeStrategy", "ignoreTests",
    }
)  # fmt: skip
"""Settings of the requests that Renovate opens."""


def remarks_of(layers: Sequence[MapNode], file: str) -> Iterator[Remark]:
    """Yield a remark for each setting of a configuration, and of its presets, that is not carried over."""
    beside: list[tuple[int, str]] = []
    for layer in layers:
        yield from _section(layer, file, "", beside)
        for rule in maps_of(layer.entries.get("packageRules")):
            yield from _rule(rule, file, beside)
        for key in ("docker", "digest", *(kind.value for kind in FileKind)):
            inner = layer.entries.get(key)
            if isinstance(inner, MapNode):
                yield from _section(inner, file, f"{key}.", beside)
    if beside:
        words = ", ".join(dict.fromkeys(word for _, word in sorted(beside)))
        yield Remark(Location(file, min(beside)[0]), f"not about images, and left alone: {words}")


def _section(node: MapNode, file: str, prefix: str, beside: list[tuple[int, str]]) -> Iterator[Remark]:
    for key, value in node.entries.items():
        where = Location(file, node.key_lines.get(key, value.line))
        name = f"{prefix}{key}"
        if key == "hostRules":
            yield from _host_rules(value, file)
        elif key == "registryAliases" and isinstance(value, MapNode):
            yield from _aliases(value, file)
        elif key in ("minimumReleaseAge", "stabilityDays"):
            yield from _age(key, name, value, where)
        elif key == "automerge" and flag_of(value) is True:
            text = "a rebuild changes no Dockerfile, so that nothing is to be merged; updates of consumers are pushed"
            yield Remark(where, f"{name} is carried over as mode: push alone: {text}")
        elif key == "dependencyDashboardApproval" and flag_of(value) is True:
            text = "images that it is of get autoRebuild: false, and `image-factory rebuild` starts them"
            yield Remark(where, f"{name} is carried over in part: {text}")
        elif key in _SENTENCES:
            if not _says_nothing(key, value):
                yield Remark(where, f"{name} is not carried over: {_SENTENCES[key]}")
        elif key in _REQUESTS:
            yield Remark(where, f"{name} is not carried over: it is about the requests that Renovate opens")
        elif isinstance(value, MapNode) and key in _UNREAD:
            yield Remark(where, f"{name} is not carried over: images in files of this kind are not looked for")
        elif isinstance(value, MapNode) and key not in _OWN:
            beside.append((where.line or 1, name))
        elif key not in _OWN and not key.startswith(("match", "exclude")) and key not in LEGACY:
            yield Remark(where, f"{shown(name)} is not known here, and not carried over")


def _says_nothing(key: str, value: Node) -> bool:
    if key in ("baseBranches", "baseBranchPatterns"):
        names = texts_of(value)
        return len(names) == 1 and not names[0].startswith("/") and "*" not in names[0]
    if isinstance(value, Scalar):
        return value.value in (None, 0, False, "strict") or (key == "schedule" and value.value == "at any time")
    return isinstance(value, ListNode) and (not value.items or texts_of(value) == ("at any time",))


def _age(key: str, name: str, value: Node, where: Location) -> Iterator[Remark]:
    if not isinstance(value, Scalar) or value.value is None:
        return
    is_days = key == "stabilityDays" and isinstance(value.value, int) and value.value >= 0
    if not is_days and parse_age(value.text) is None:
        yield Remark(where, f"{name} is not carried over: {shown(value.text)} is no time in whole seconds")


def _host_rules(value: Node, file: str) -> Iterator[Remark]:
    """Say for which hosts there are credentials, and never which."""
    for rule in maps_of(value):
        kind = text_of(rule.entries.get("hostType"))
        written = text_of(rule.entries.get("matchHost")) or text_of(rule.entries.get("hostName")) or ""
        host = host_of(written)
        if kind not in (None, "docker"):
            continue
        of = f"the host {host}" if host else "a host"
        text = f"hostRules for {of} are not carried over: `docker login {host or 'HOST'}` where image-factory runs"
        yield Remark(Location(file, rule.line), f"{text}; for a mirror or http write registries in config.yaml")


def _aliases(value: MapNode, file: str) -> Iterator[Remark]:
    for alias, target in value.entries.items():
        text = f"registryAliases: {shown(alias)} in a Dockerfile is not read as {shown(text_of(target) or '')}"
        hint = "write the host itself there, or registries.HOST.endpoint in config.yaml"
        yield Remark(Location(file, value.key_lines[alias]), f"{text}: {hint}")


def _rule(rule: MapNode, file: str, beside: list[tuple[int, str]]) -> Iterator[Remark]:
    """Yield what is to be said of one of packageRules."""
    matchers = matchers_of(rule)
    where = Location(file, rule.line)
    if not is_about_images(matchers):
        beside.append((rule.line, f"packageRules in line {rule.line}"))
        return
    undecided = sorted(set(matchers) - DECIDED)
    if undecided:
        presets = ", ".join(shown(each) for each in matchers.get(UNKNOWN_PRESET, ()))
        words = ", ".join(f"the preset {presets}" if key == UNKNOWN_PRESET else key for key in undecided)
        yield Remark(where, f"a rule is not carried over: {words} cannot be told from the files alone")
        return
    types = matchers.get("matchUpdateTypes")
    if types is not None and "digest" not in types:
        words = ", ".join(shown(each) for each in types[:6])
        text = f"a rule for {words} alone is not carried over to rebuilds, which follow the digest behind a tag"
        yield Remark(where, text)
        return
    yield from _section(rule, file, "", beside)
