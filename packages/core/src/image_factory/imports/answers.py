"""What a bot's configuration answers of one image in one file, and what it says that nothing of ours means. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Protocol

from image_factory.errors import Location
from image_factory.state.yaml_tree import ListNode, MapNode, Node, Scalar


class Bot(StrEnum):
    """A program that opens change requests for new versions."""

    RENOVATE = "renovate"
    DEPENDABOT = "dependabot"

    @property
    def called(self) -> str:
        """Its name in a sentence."""
        return self.value.capitalize()


class FileKind(StrEnum):
    """A kind of file that names images, by Renovate's word for what reads it."""

    DOCKERFILE = "dockerfile"
    COMPOSE = "docker-compose"
    KUBERNETES = "kubernetes"
    HELM_VALUES = "helm-values"
    KUSTOMIZE = "kustomize"


class Change(StrEnum):
    """How an image changes: the digest behind its tag, or the tag."""

    DIGEST = "digest"
    MAJOR = "major"


@dataclass(frozen=True, slots=True)
class Remark:
    """A setting that is not carried over, or not whole: one sentence, and where it stands."""

    location: Location
    text: str

    def __str__(self) -> str:
        return f"{self.location}: {self.text}"


@dataclass(frozen=True, slots=True)
class Site:
    """One image that a file names."""

    path: str
    """Of the file, below the repository's top."""
    kind: FileKind
    name: str
    """The image's name as it is written, without tag and digest."""
    is_final: bool = True
    """Of a Dockerfile: whether the image ends up in what is built, and is not only a stage's."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a bot does with one image at one site."""

    is_updated: bool = True
    reason: str = ""
    """Why it is not updated."""
    is_asked: bool = False
    """Whether a person is asked before anything is done."""
    delay: timedelta | None = None
    """How old a new version must be; None where nothing says so."""
    group: str | None = None
    merges: bool = False
    """Whether its change requests are merged by themselves."""
    location: Location | None = None
    """Where what decided it stands."""


class BotConfig(Protocol):
    """One configuration, read."""

    @property
    def bot(self) -> Bot: ...

    @property
    def file(self) -> str:
        """As messages name it."""
        ...

    @property
    def branch(self) -> str | None:
        """The one branch that it is about; None for the repository's own."""
        ...

    @property
    def remarks(self) -> Sequence[Remark]:
        """What it says that is not carried over, in the order of the file."""
        ...

    def unwatched(self, path: str, kind: FileKind) -> str | None:
        """Return why the bot does not look into a file; None where it does."""
        ...

    def answer(self, site: Site, change: Change = Change.DIGEST) -> Answer:
        """Return what the bot does with an image at a site in a file that it looks into."""
        ...


# --- nodes ------------------------------------------------------------------------------------------------


def node_of(value: object, line: int) -> Node:
    """Return the tree of plain values that stand for a word at `line`."""
    if isinstance(value, dict):
        return MapNode(line, {key: node_of(item, line) for key, item in value.items()}, dict.fromkeys(value, line))
    if isinstance(value, (list, tuple)):
        return ListNode(line, [node_of(item, line) for item in value])
    assert value is None or isinstance(value, (str, int, float, bool))
    return Scalar(line, str(value), value)


def text_of(node: Node | None) -> str | None:
    """Return a text, or None for anything else."""
    return node.value if isinstance(node, Scalar) and isinstance(node.value, str) else None


def flag_of(node: Node | None) -> bool | None:
    """Return true or false, or None for anything else."""
    return node.value if isinstance(node, Scalar) and isinstance(node.value, bool) else None


def texts_of(node: Node | None) -> tuple[str, ...]:
    """Return the texts of a list, or the one that stands in its place."""
    items: Sequence[Node] = node.items if isinstance(node, ListNode) else () if node is None else (node,)
    return tuple(text for item in items if (text := text_of(item)) is not None)


def maps_of(node: Node | None) -> tuple[MapNode, ...]:
    """Return the mappings of a list, or the one that stands in its place."""
    items: Sequence[Node] = node.items if isinstance(node, ListNode) else () if node is None else (node,)
    return tuple(item for item in items if isinstance(item, MapNode))


def host_of(text: str) -> str | None:
    """Return the host of an address or name, without anything that could be a secret; None where there is none."""
    bare = re.sub(r"\A[a-z][a-z0-9+.-]*://", "", text.strip().lower()).partition("/")[0].rpartition("@")[2]
    return bare if re.fullmatch(r"[a-z0-9.-]+(?::[0-9]{1,5})?", bare) else None


def shown(text: str) -> str:
    """Return a text as it may stand in a sentence: short, in quotes, with nothing that steers a terminal."""
    return repr(text if len(text) <= 60 else f"{text[:60]}…")
