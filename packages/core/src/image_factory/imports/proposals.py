"""From what repositories hold and their bots are told to entries of images.yaml, and what is left to people. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from image_factory.decide.naming import familiar_name
from image_factory.errors import InvalidReference, Location
from image_factory.imports.answers import Answer, BotConfig, Change, FileKind, Remark, Site
from image_factory.imports.pipelines import BuildStep
from image_factory.model.duration import format_duration
from image_factory.model.enrollment import DEFAULT_PROVIDER, MAX_LABEL
from image_factory.oci.reference import DOCKER_HUB, Reference, Repository

_VERSION = re.compile(r"v?(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\Z")


@dataclass(frozen=True, slots=True)
class Base:
    """One image that a Dockerfile builds on."""

    name: str
    """As it is written, without tag and digest."""
    line: int
    is_final: bool


@dataclass(frozen=True, slots=True)
class FoundDockerfile:
    """A Dockerfile of a repository."""

    path: str
    """Below the repository's top."""
    file: str
    """As messages name it."""
    bases: tuple[Base, ...]


@dataclass(frozen=True, slots=True)
class FoundMention:
    """A place in a deployment file that names an image."""

    path: str
    file: str
    line: int
    kind: FileKind
    reference: Reference
    name: str
    """As it is written, without tag and digest."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a repository's remote says that it lives."""

    provider: str
    host: str | None
    repo: str
    branch: str

    def source(self) -> dict[str, object]:
        """Return the beginning of an entry's source; what is the default is left out."""
        usual = self.host is None or self.host == f"{self.provider}.com"
        return {
            **({} if self.provider == DEFAULT_PROVIDER else {"provider": self.provider}),
            **({} if usual else {"host": self.host}),
            "repo": self.repo,
            **({} if self.branch == "main" else {"branch": self.branch}),
        }


@dataclass(frozen=True, slots=True)
class Facts:
    """What one repository's tree holds."""

    tree: str
    """As it was given."""
    origin: Origin | None
    config: BotConfig
    dockerfiles: tuple[FoundDockerfile, ...] = ()
    steps: tuple[BuildStep, ...] = ()
    mentions: tuple[FoundMention, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one thing that was found."""

    tree: str
    file: str
    """Below the tree."""
    image: str
    """The image, or what it is built on where it is not known."""
    outcome: str
    """`proposed`, `enrolled already`, or why it is left out."""
    name: str | None = None
    """The entry's name, where one is proposed."""


@dataclass(frozen=True, slots=True)
class Proposed:
    """One entry that images.yaml does not have yet."""

    entry: Mapping[str, object]
    """In images.yaml's own keys and order."""
    image: Repository
    tree: str
    file: str
    is_managed: bool


@dataclass(slots=True)
class Proposals:
    """What is proposed of all repositories together."""

    entries: list[Proposed] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What images.yaml holds already."""

    names: frozenset[str] = frozenset()
    managed: frozenset[Repository] = frozenset()
    tags: frozenset[tuple[Repository, str | None]] = frozenset()
    """External images with the one tag that is watched; None for several."""


def propose(facts: Sequence[Facts], enrolled: Enrolled, registry: str | None = None) -> Proposals:
    """Return the entries for what `facts` hold, in their order: first what is built there, then what is only used.

    Args:
        registry: the host to which images go whose pipelines do not say it, under their repository's path.
    """
    return _Proposing(enrolled, registry).all(facts)


class _Proposing:
    def __init__(self, enrolled: Enrolled, registry: str | None) -> None:
        self._enrolled = enrolled
        self._registry = registry
        self._names = set(enrolled.names)
        self._made = Proposals()
        self._built = set(enrolled.managed)

    def all(self, facts: Sequence[Facts]) -> Proposals:
        for each in facts:
            self._made.remarks += each.config.remarks
            for dockerfile in each.dockerfiles:
                self._dockerfile(each, dockerfile)
        self._externals(facts)
        return self._made

    # --- what is built ---------------------------------------------------------------------------------

    def _dockerfile(self, facts: Facts, dockerfile: FoundDockerfile) -> None:
        shown = ", ".join(dict.fromkeys(base.name for base in dockerfile.bases)) or "scratch"

        def leave(outcome: str, image: str = f"on {shown}") -> None:
            self._made.rows.append(Row(facts.tree, dockerfile.path, image, outcome))

        reason = facts.config.unwatched(dockerfile.path, FileKind.DOCKERFILE)
        if reason is not None:
            leave(f"left out: {reason}")
            return
        if facts.origin is None:
            leave("left out: no clone with a remote")
            text = "no entry is proposed: the tree is no clone with a remote, which would say where its repository is"
            self._remark(Location(dockerfile.file, 1), text)
            return
        for image, step in self._images(facts, facts.origin, dockerfile):
            if image in self._enrolled.managed:
                leave("enrolled already", str(image))
            elif image in self._built:
                leave("left out: another Dockerfile builds this image", str(image))
                text = f"no entry is proposed: {image} is built from another Dockerfile already"
                self._remark(Location(dockerfile.file, 1), text)
            else:
                self._built.add(image)
                self._managed(facts, facts.origin, dockerfile, image, step)
        if not any(row.file == dockerfile.path and row.tree == facts.tree for row in self._made.rows):
            leave("a question: which image is it?")

    def _images(
        self, facts: Facts, origin: Origin, dockerfile: FoundDockerfile
    ) -> Iterator[tuple[Repository, BuildStep | None]]:
        """Yield the images that a Dockerfile is built as, each with its first build."""
        steps = [step for step in facts.steps if step.dockerfile == dockerfile.path]
        known: dict[Repository, BuildStep] = {}
        for step in steps:
            if step.images:
                known.setdefault(step.images[0], step)
                for other in step.images[1:]:
                    text = f"{other} is pushed beside {step.images[0]}, and not enrolled: one build has one image"
                    self._remark(step.location, text)
        if known:
            yield from known.items()
            return
        unread = next((step for step in steps if step.unread), None)
        if self._registry is not None:
            image = _fallback(self._registry, origin, dockerfile.path, len(facts.dockerfiles))
            if image is not None:
                yield image, steps[0] if steps else None
                return
        where = Location(dockerfile.file, 1) if unread is None else unread.location
        named = "no pipeline here says" if unread is None else f"{unread.unread[0]!r} does not say"
        text = f"{named} which image {dockerfile.path} is built as: give --registry HOST, or enroll it by hand"
        self._remark(where, text)

    def _managed(
        self, facts: Facts, origin: Origin, dockerfile: FoundDockerfile, image: Repository, step: BuildStep | None
    ) -> None:
        policy = self._policy(facts, dockerfile, origin)
        folder = posixpath.dirname(dockerfile.path) or "."
        source: dict[str, object] = origin.source()
        if dockerfile.path != "Dockerfile":
            source["dockerfile"] = dockerfile.path
        if step is not None:
            if step.context != folder:
                source["context"] = step.context
            source |= {"target": step.target} if step.target else {}
            source |= {"buildArgs": dict(step.build_args)} if step.build_args else {}
            source |= {"platforms": list(step.platforms)} if step.platforms else {}
            source |= {"workflow": step.workflow} if step.workflow else {}
        name = self._name(image.path.rpartition("/")[2], image.path)
        if origin.provider == "github" and (step is None or step.workflow is None):
            where = Location(dockerfile.file, 1) if step is None else step.location
            text = f"no workflow that others may start builds {image}: image-factory workflow {name} writes one"
            self._remark(where, text)
        entry = {"name": name, "registry": image.registry, "repository": image.path, "source": source, **policy}
        self._made.entries.append(Proposed(entry, image, facts.tree, dockerfile.path, True))
        self._made.rows.append(Row(facts.tree, dockerfile.path, str(image), "proposed", name))

    def _policy(self, facts: Facts, dockerfile: FoundDockerfile, origin: Origin) -> dict[str, object]:
        """Return rebuildDelay, autoRebuild and group, from what the bot does with each base."""
        config = facts.config
        policy: dict[str, object] = {}
        answers = [
            (base, config.answer(Site(dockerfile.path, FileKind.DOCKERFILE, base.name, base.is_final)))
            for base in dockerfile.bases
        ]
        updated = [(base, answer) for base, answer in answers if answer.is_updated]
        delays = {answer.delay for _, answer in updated or answers}
        if delays - {None}:
            longest = max(delay or timedelta() for delay in delays)
            policy["rebuildDelay"] = format_duration(longest)
            if len({delay or timedelta() for delay in delays}) > 1:
                text = f"{dockerfile.path} has bases of different ages: rebuildDelay is the longest of them"
                self._remark(_where(updated or answers, config), f"{text}, {format_duration(longest)}")
        elif answers:
            text = f"{config.bot.called} is told no age for some images, and waits for none: rebuildDelay stays at 7d"
            self._remark(Location(config.file, 1), text)
        if (answers and not updated) or any(answer.is_asked for _, answer in updated):
            policy["autoRebuild"] = False
        elif len(updated) < len(answers):
            for base, answer in answers:
                if not answer.is_updated:
                    text = f"{base.name} in {dockerfile.path} is rebuilt on with the others, although {answer.reason}"
                    self._remark(answer.location or Location(config.file, 1), text)
        groups = list(dict.fromkeys(answer.group for _, answer in updated if answer.group is not None))
        if groups and (label := _label(f"{origin.repo.rpartition('/')[2].removesuffix('.git')}-{groups[0]}")):
            policy["group"] = label
            for other in groups[1:]:
                text = f"the group {other!r} is not carried over for {dockerfile.path}, which is in {groups[0]!r}"
                self._remark(_where(updated, config), text)
        return policy

    # --- what is only used --------------------------------------------------------------------------------

    def _externals(self, facts: Sequence[Facts]) -> None:
        seen: dict[tuple[Repository, str | None], str] = {}
        for each in facts:
            for mention in each.mentions:
                image = mention.reference.repository
                if image in self._built or each.config.unwatched(mention.path, mention.kind) is not None:
                    continue
                self._external(each, mention, seen)

    def _external(self, facts: Facts, mention: FoundMention, seen: dict[tuple[Repository, str | None], str]) -> None:
        reference = mention.reference
        image, shown = reference.repository, reference.canonical

        def leave(outcome: str, name: str | None = None) -> None:
            self._made.rows.append(Row(facts.tree, f"{mention.path}:{mention.line}", shown, outcome, name))

        answer = facts.config.answer(Site(mention.path, mention.kind, mention.name))
        major = facts.config.answer(Site(mention.path, mention.kind, mention.name), Change.MAJOR)
        if not answer.is_updated and not major.is_updated:
            leave(f"left out: {answer.reason}")
            return
        tagged = reference.tagged
        if tagged is None:
            leave("left out: no tag to watch")
            where = Location(mention.file, mention.line)
            self._remark(where, f"{image} is named by a digest alone: there is no tag that could be watched")
            return
        version = _VERSION.match(tagged.name)
        key = (image, None if version else tagged.name)
        if key in self._enrolled.tags:
            leave("enrolled already")
        elif key in seen:
            leave(f"proposed as {seen[key]}")
        else:
            wanted = image.path.rpartition("/")[2] if version else familiar_name(str(tagged))
            name = seen[key] = self._name(wanted, f"{image.path}-{'' if version else tagged.name}")
            number = tagged.name.removeprefix("v")
            entry: dict[str, object] = {"name": name}
            entry |= {} if image.registry == DOCKER_HUB else {"registry": image.registry}
            entry["repository"] = image.path
            entry |= {"constraint": f"{'>=' if major.is_updated else '^'}{number}"} if version else {"tag": tagged.name}
            self._made.entries.append(Proposed(entry, image, facts.tree, mention.path, False))
            leave("proposed", name)
            if answer.delay:
                where = answer.location or Location(facts.config.file, 1)
                text = "an image that is only watched has no delay: its age is not carried over to external images"
                self._remark(where, text)

    # --- both ------------------------------------------------------------------------------------------------

    def _remark(self, where: Location, text: str) -> None:
        self._made.remarks.append(Remark(where, text))

    def _name(self, wanted: str, longer: str) -> str:
        """Return a name that nothing has: the wanted one, the longer one, or that with a number."""
        for name in (_label(wanted), _label(longer)):
            if name and name not in self._names:
                self._names.add(name)
                return name
        stem = (_label(longer) or "image")[: MAX_LABEL - 7].rstrip("-")
        name = next(each for number in range(2, 1_000_000) if (each := f"{stem}-{number}") not in self._names)
        self._names.add(name)
        return name


def _where(answers: Sequence[tuple[Base, Answer]], config: BotConfig) -> Location:
    return next((answer.location for _, answer in answers if answer.location is not None), Location(config.file, 1))


def _fallback(registry: str, origin: Origin, path: str, count: int) -> Repository | None:
    """Return the image of a Dockerfile that no pipeline names: the repository's path, and below it the folder's."""
    repo = re.sub(r"\A[a-z+]+://[^/]+/|\A[^/@]+@[^:/]+:", "", origin.repo).removesuffix(".git").strip("/")
    folder, name = posixpath.split(path)
    word = re.sub(r"(?i)[._-]?(?:docker|container)file[._-]?", "", name)
    # One Dockerfile is the repository's image wherever it lies; of several, the one at the top.
    parts = [repo, *([folder] if folder and count > 1 else []), *([word] if word and count > 1 else [])]
    try:
        return Repository.parse(f"{registry}/{'/'.join(parts).lower()}")
    except InvalidReference:
        return None


def _label(text: str) -> str:
    """Return a text as a DNS-1123 label; empty where nothing is left of it."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:MAX_LABEL].rstrip("-")
