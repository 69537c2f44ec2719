"""A Dependabot configuration: what it says of images (docs.github.com, "Dependabot options reference"). Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from image_factory.errors import Location, UserError
from image_factory.imports.answers import (
    Answer,
    Bot,
    Change,
    FileKind,
    Remark,
    Site,
    host_of,
    maps_of,
    shown,
    text_of,
    texts_of,
)
from image_factory.imports.patterns import glob
from image_factory.state.yaml_parser import parse_tree
from image_factory.state.yaml_tree import MapNode, Node, Scalar

FILES = (".github/dependabot.yml", ".github/dependabot.yaml")
"""Where Dependabot looks, in its order."""

_ECOSYSTEMS: dict[str, tuple[FileKind, ...]] = {
    "docker": (FileKind.DOCKERFILE, FileKind.KUBERNETES, FileKind.HELM_VALUES, FileKind.KUSTOMIZE),
    "docker-compose": (FileKind.COMPOSE,),
    "helm": (FileKind.HELM_VALUES,),
}
_NAMES: dict[FileKind, re.Pattern[str]] = {
    FileKind.DOCKERFILE: re.compile(r"dockerfile|containerfile", re.IGNORECASE),
    FileKind.COMPOSE: re.compile(r"(?:docker-)?compose[^/]*\.ya?ml\Z", re.IGNORECASE),
}
_YAML = re.compile(r"[^.]+\.ya?ml\Z", re.IGNORECASE)
"""The docker ecosystem's YAML files: names with one dot."""

_DIGEST_WORDS = "it is about new tags; rebuilds follow the digest behind the tag that the Dockerfile names"
_REQUESTS = frozenset(
    {
        "assignees", "commit-message", "insecure-external-code-execution", "labels", "milestone",
        "pull-request-branch-name", "rebase-strategy", "reviewers", "vendor", "versioning-strategy",
    }
)  # fmt: skip
_OWN = frozenset(
    {
        "package-ecosystem", "directory", "directories", "exclude-paths", "schedule", "cooldown", "ignore", "allow",
        "groups", "registries", "target-branch", "open-pull-requests-limit", "multi-ecosystem-group", "patterns",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """One of `updates`, of an ecosystem that is about images."""

    node: MapNode
    kinds: tuple[FileKind, ...]
    folders: tuple[str, ...]
    """Globs of folders, relative to the repository's top; empty for the top itself."""

    @property
    def delay(self) -> timedelta | None:
        cooldown = self.node.entries.get("cooldown")
        days = cooldown.entries.get("default-days") if isinstance(cooldown, MapNode) else None
        return timedelta(days=int(days.text)) if isinstance(days, Scalar) and _is_days(days) else None

    @property
    def limit(self) -> int | None:
        node = self.node.entries.get("open-pull-requests-limit")
        value = node.value if isinstance(node, Scalar) else None
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def reads(self, path: str, kind: FileKind) -> bool:
        """Whether its ecosystem and folders hold a file."""
        folder, name = posixpath.split(path)
        pattern = _NAMES.get(kind, _YAML)
        if kind not in self.kinds or pattern.search(name) is None or (pattern is _YAML and not _YAML.match(name)):
            return False
        if not any(folder == each or (each != "" and folder != "" and glob(each)(folder)) for each in self.folders):
            return False
        inside = [
            posixpath.relpath(path, each) if each and not re.search(r"[*?\[]", each) else path for each in self.folders
        ]
        excluded = texts_of(self.node.entries.get("exclude-paths"))
        return not any(glob(each)(one) for each in excluded for one in [path, *inside])


@dataclass(frozen=True, slots=True)
class Dependabot:
    """One configuration."""

    file: str
    entries: tuple[Entry, ...]
    remarks: tuple[Remark, ...] = ()
    bot: Bot = field(default=Bot.DEPENDABOT, init=False)

    @property
    def branch(self) -> str | None:
        found = {text_of(entry.node.entries.get("target-branch")) for entry in self.entries}
        return found.pop() if len(found) == 1 else None

    def unwatched(self, path: str, kind: FileKind) -> str | None:
        if not self.entries:
            return "no updates entry is about images"
        entry = self._entry(path, kind)
        if entry is None:
            return f"no updates entry has the folder {shown('/' + posixpath.dirname(path))} for {kind.value}"
        if entry.limit == 0:
            return "open-pull-requests-limit is 0, which stops updates"
        return None

    def answer(self, site: Site, change: Change = Change.DIGEST) -> Answer:
        entry = self._entry(site.path, site.kind)
        if entry is None:
            return Answer(is_updated=False, reason="no updates entry is about it")
        for rule in maps_of(entry.node.entries.get("ignore")):
            if _is_named(rule, site.name) and _is_of(rule, change):
                where = Location(self.file, rule.line)
                return Answer(is_updated=False, reason="ignore names it", location=where)
        allowed = maps_of(entry.node.entries.get("allow"))
        if any("dependency-name" in rule.entries for rule in allowed) and not any(
            _is_named(rule, site.name) for rule in allowed
        ):
            return Answer(
                is_updated=False, reason="allow does not name it", location=Location(self.file, allowed[0].line)
            )
        delay = entry.delay
        cooldown = entry.node.entries.get("cooldown")
        if delay is not None and isinstance(cooldown, MapNode):
            included, excluded = (texts_of(cooldown.entries.get(key)) for key in ("include", "exclude"))
            is_out = any(_wild(each, site.name) for each in excluded)
            if is_out or (included and not any(_wild(each, site.name) for each in included)):
                delay = timedelta()
        where = Location(self.file, entry.node.line if cooldown is None else cooldown.line)
        return Answer(delay=delay, group=_group(entry, site.name), location=where)

    def _entry(self, path: str, kind: FileKind) -> Entry | None:
        return next((entry for entry in self.entries if entry.reads(path, kind)), None)


def read_dependabot(text: str, file: str) -> Dependabot:
    """Return what a configuration says.

    Raises:
        UserError: it is not YAML or no configuration, or one of its patterns could take too long.
    """
    root = parse_tree(text, file, UserError)
    updates = root.entries.get("updates") if isinstance(root, MapNode) else None
    if not isinstance(root, MapNode) or updates is None:
        raise UserError(
            "not a configuration of Dependabot: it has no updates",
            hint="write version: 2, and updates: with one entry for each package-ecosystem",
            location=Location(file, 1 if root is None else root.line),
        )
    entries = []
    beside: list[tuple[int, str]] = []
    remarks = list(_registries(root, file))
    for node in maps_of(updates):
        ecosystem = text_of(node.entries.get("package-ecosystem")) or ""
        if ecosystem not in _ECOSYSTEMS:
            beside.append((node.line, ecosystem))
            continue
        folders = (*texts_of(node.entries.get("directory")), *texts_of(node.entries.get("directories")))
        entry = Entry(node, _ECOSYSTEMS[ecosystem], tuple(map(_folder, folders or ("/",))))
        _try_patterns(entry, file)
        entries.append(entry)
        remarks += _entry_remarks(entry, file)
    branches = {text_of(entry.node.entries.get("target-branch")) for entry in entries}
    if len(branches) > 1:
        text = "target-branch differs between entries, and is not carried over: write source.branch in each entry"
        remarks.append(Remark(Location(file, entries[0].node.line), text))
    if beside:
        words = ", ".join(dict.fromkeys(shown(word) for _, word in beside))
        remarks.append(Remark(Location(file, beside[0][0]), f"not about images, and left alone: {words}"))
    return Dependabot(file, tuple(entries), tuple(sorted(remarks, key=lambda remark: remark.location.line or 0)))


def _folder(text: str) -> str:
    inner = posixpath.normpath(f"/{text}").strip("/")
    return "" if inner == "." else inner


def _try_patterns(entry: Entry, file: str) -> None:
    """Try every pattern once, so that one that could take too long is told of with its line."""
    listed: list[tuple[Node | None, str]] = [(entry.node.entries.get("exclude-paths"), "exclude-paths")]
    listed += [(entry.node.entries.get(key), key) for key in ("directory", "directories")]
    for node, key in listed:
        try:
            for each in texts_of(node):
                glob(each)
        except UserError as error:
            assert node is not None
            raise UserError(f"{key}: {error.message}", hint=error.hint, location=Location(file, node.line)) from error


def _is_days(node: Node) -> bool:
    return isinstance(node, Scalar) and re.fullmatch(r"[0-9]{1,6}", node.text) is not None


def _wild(pattern: str, name: str) -> bool:
    """Whether a name is of a pattern in which `*` stands for anything."""
    if len(pattern) > 500 or len(name) > 500:
        return False
    chunks = [re.escape(chunk) for chunk in re.split(r"\*+", pattern)]
    first, rest = chunks[0], chunks[1:]
    middle = "".join(f"(?>.*?{chunk})" for chunk in rest[:-1])
    return re.fullmatch(first + middle + (f".*{rest[-1]}" if rest else ""), name, re.DOTALL) is not None


def _is_named(rule: MapNode, name: str) -> bool:
    pattern = text_of(rule.entries.get("dependency-name"))
    return pattern is None or _wild(pattern, name)


def _is_of(rule: MapNode, change: Change) -> bool:
    """Whether an ignore is of a change: without versions and kinds of update it is of every one."""
    types = texts_of(rule.entries.get("update-types"))
    if types:
        return change is Change.MAJOR and "version-update:semver-major" in types
    return "versions" not in rule.entries


def _group(entry: Entry, name: str) -> str | None:
    groups = entry.node.entries.get("groups")
    for group, node in groups.entries.items() if isinstance(groups, MapNode) else ():
        if not isinstance(node, MapNode) or text_of(node.entries.get("applies-to")) == "security-updates":
            continue
        types = texts_of(node.entries.get("update-types"))
        wanted, refused = texts_of(node.entries.get("patterns")), texts_of(node.entries.get("exclude-patterns"))
        is_wanted = not wanted or any(_wild(each, name) for each in wanted)
        if is_wanted and not types and not any(_wild(each, name) for each in refused):
            return group
    return None


# --- what is said ------------------------------------------------------------------------------------------


def _registries(root: MapNode, file: str) -> Iterator[Remark]:
    """Say for which hosts there are credentials, and never which."""
    registries = root.entries.get("registries")
    for name, node in registries.entries.items() if isinstance(registries, MapNode) else ():
        if isinstance(node, MapNode) and text_of(node.entries.get("type")) == "docker-registry":
            host = host_of(text_of(node.entries.get("url")) or "")
            assert isinstance(registries, MapNode)
            line = registries.key_lines[name]
            login = f"`docker login {host or 'HOST'}` where image-factory runs"
            yield Remark(Location(file, line), f"the registry {shown(name)} is not carried over: {login}")


def _entry_remarks(entry: Entry, file: str) -> Iterator[Remark]:
    for key, value in entry.node.entries.items():
        where = Location(file, entry.node.key_lines.get(key, value.line))
        if key == "schedule":
            yield from _schedule(value, file, where)
        elif key == "open-pull-requests-limit" and entry.limit != 0:
            text = "the nearest thing is maxConcurrentRebuilds in config.yaml, which is of all images together"
            yield Remark(where, f"open-pull-requests-limit is not carried over: {text}")
        elif key == "cooldown":
            yield from _cooldown(value, file, where)
        elif key == "ignore":
            yield from _ignores(maps_of(value), file)
        elif key == "groups":
            yield from _groups(value, file)
        elif key == "multi-ecosystem-group":
            yield Remark(where, f"{key} is not carried over: images are grouped with images alone")
        elif key in _REQUESTS:
            yield Remark(where, f"{key} is not carried over: it is about the requests that Dependabot opens")
        elif key not in _OWN:
            yield Remark(where, f"{shown(key)} is not known here, and not carried over")


def _schedule(value: Node, file: str, where: Location) -> Iterator[Remark]:
    interval = text_of(value.entries.get("interval")) if isinstance(value, MapNode) else None
    text = "how often anything is looked at is said by when `image-factory run` is started, and by watch in config.yaml"
    yield Remark(where, f"schedule ({shown(interval or '')}) is not carried over: {text}")


def _cooldown(value: Node, file: str, where: Location) -> Iterator[Remark]:
    if not isinstance(value, MapNode):
        yield Remark(where, "cooldown is not carried over: it holds no default-days")
        return
    for key, node in value.entries.items():
        at = Location(file, value.key_lines.get(key, node.line))
        if key == "default-days":
            if not _is_days(node):
                yield Remark(at, "cooldown.default-days is not carried over: it is no number of days")
        elif key.startswith("semver-"):
            yield Remark(at, f"cooldown.{key} is not carried over: {_DIGEST_WORDS}")


def _ignores(rules: Sequence[MapNode], file: str) -> Iterator[Remark]:
    for rule in rules:
        limited = (
            "versions" if "versions" in rule.entries else "update-types" if "update-types" in rule.entries else None
        )
        if limited is not None:
            name = text_of(rule.entries.get("dependency-name")) or "*"
            text = f"ignore of {shown(name)} with {limited} is not carried over to rebuilds: {_DIGEST_WORDS}"
            yield Remark(Location(file, rule.line), text)


def _groups(value: Node, file: str) -> Iterator[Remark]:
    for name, node in value.entries.items() if isinstance(value, MapNode) else ():
        if isinstance(node, MapNode) and texts_of(node.entries.get("update-types")):
            assert isinstance(value, MapNode)
            text = f"the group {shown(name)} is not carried over: {_DIGEST_WORDS}"
            yield Remark(Location(file, value.key_lines[name]), text)
