"""Decide which images an emergency concerns: those that hold an affected digest of a base, directly or through others.

What cannot be told counts as affected: in an emergency one rebuild too many is the smaller harm. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from image_factory.decide.absorption import absorbed_digest, built_in
from image_factory.decide.graph import Graph, build_graph, waves
from image_factory.errors import InvalidReference, NotFound, UserError
from image_factory.model.enrollment import Kind
from image_factory.model.image_state import BaseState, ImageState
from image_factory.oci.reference import Reference

MIN_PREFIX = len("sha256:") + 8
"""Characters of a digest that name it, where no other begins so."""
_SEPARATOR = ".."


@dataclass(frozen=True, slots=True)
class DigestRange:
    """A part of a base's history: from one digest to another, both included."""

    digests: frozenset[str]
    known: frozenset[str]
    """All digests of the history."""
    is_from_start: bool
    """Whether everything older is in it too, beyond what the history still holds."""
    end: int
    """The place of the last one in the history (`history_of`)."""

    def holds(self, digest: str | None) -> bool:
        """Whether `digest` is affected; one that is not known is."""
        if digest is None:
            return True
        return digest in self.digests or (self.is_from_start and digest not in self.known)


def history_of(state: BaseState | ImageState) -> tuple[str, ...]:
    """Return the digests that a tag was seen to point at, oldest first; one that came back stands there again."""
    updates = sorted(state.history.update_history, key=lambda update: update.at)
    if not updates:
        return () if state.runtime.current_digest is None else (state.runtime.current_digest,)
    first = updates[0].old_digest
    return (*(() if first is None else (first,)), *(update.new_digest for update in updates))


def find_base(word: str, images: Mapping[str, ImageState], bases: Mapping[str, BaseState]) -> BaseState | ImageState:
    """Return what `--base` names: a base image or an enrolled one, by its name or by a reference.

    Raises:
        NotFound: nothing that is known is called so; the hint names what is near.
    """
    named = images.get(word) or bases.get(word)
    if named is not None:
        return named
    near: list[str] = []
    try:
        reference = Reference.parse(word)
    except InvalidReference:
        reference = None
    known: list[BaseState | ImageState] = [*bases.values(), *images.values()]
    for state in known if reference is not None else ():
        assert reference is not None
        if isinstance(state, BaseState):
            if reference.canonical == state.configuration.full_image or word in state.configuration.aliases:
                return state
            repository = Reference.parse(state.configuration.full_image).repository
        else:
            enrollment = state.configuration.enrollment
            repository = enrollment.image
            # Of a managed image, the newest version is what others are built on, whatever its tag is.
            if repository == reference.repository and enrollment.only_tag in (None, reference.tag):
                return state
        if repository == reference.repository:
            near.append(state.name)
    hint = "image-factory graph lists all bases"
    if near:
        hint = f"known of that repository: {', '.join(sorted(near)[:10])}"
    raise NotFound(f"no base image is called {word[:200]!r}", hint=hint)


def parse_range(text: str, base: BaseState | ImageState) -> DigestRange:
    """Return the part of a base's history that `FROM..TO` names; without FROM from the start, without TO up to now.

    Raises:
        UserError: it is no such range, or names what the history does not hold, or in the wrong order.
    """
    first, separator, last = text.partition(_SEPARATOR)
    if not separator or _SEPARATOR in last or not (first or last):
        raise UserError(
            f"not a range of digests: {text[:200]!r}", hint="write FROM..TO, FROM.. or ..TO with digests of its history"
        )
    history = history_of(base)
    begin = _place(first, history, base.name) if first else 0
    # A digest that came back is meant whenever it was there.
    end = len(history) - 1 - _place(last, history[::-1], base.name) if last else len(history) - 1
    if begin > end:
        raise UserError(f"the range runs backwards: {text[:200]!r}", hint="write the digest that was seen first, first")
    return DigestRange(frozenset(history[begin : end + 1]), frozenset(history), not first, end)


def _place(word: str, history: Sequence[str], name: str) -> int:
    full = word if ":" in word else f"sha256:{word}"
    found = {digest for digest in history if digest == full or (len(full) >= MIN_PREFIX and digest.startswith(full))}
    if len(found) == 1:
        return history.index(found.pop())
    problem = "names several digests" if found else "is no digest"
    listed = ", ".join(digest[:19] for digest in dict.fromkeys(history)) or "none"
    raise UserError(f"{word[:100]!r} {problem} of {name}'s history", hint=f"its history: {listed}"[:1000])


@dataclass(frozen=True, slots=True)
class Affected:
    """The images that an emergency concerns."""

    images: tuple[str, ...]
    """Each after all of them that it is built on."""
    reach: frozenset[str]
    """What is built on the base at all, affected or not, and the base."""
    circular: tuple[str, ...] = ()
    """Those that are, or are built on, images that depend on each other in a circle: they cannot be put in order."""


def affected_by_base(
    base: BaseState | ImageState,
    span: DigestRange | None,
    images: Mapping[str, ImageState],
    bases: Mapping[str, BaseState],
    enrolled: Iterable[str],
) -> Affected:
    """Return the enrolled managed images that hold an affected digest of `base`, directly or through others.

    Args:
        span: the affected digests; None where every one is.
        enrolled: the names of images.yaml.
    """
    graph = build_graph(images, bases)
    ordered = [name for wave in waves(graph, [base.name]) for name in wave]
    reach = _reached(graph, base.name)
    looked = _Taint(base.name, span, images, bases, reach)
    listed = {name for name in enrolled if name in images and images[name].kind is Kind.MANAGED}
    found = [name for name in ordered if name in listed and looked.image(images[name])]
    return Affected(tuple(found), reach, tuple(sorted((reach & listed) - {base.name, *ordered})))


def _reached(graph: Graph, start: str) -> frozenset[str]:
    following: dict[str, list[str]] = {}
    for edge in graph.edges:
        following.setdefault(edge.base, []).append(edge.dependent)
    found, pending = {start}, [start]
    while pending:
        new = set(following.get(pending.pop(), ())) - found
        found |= new
        pending += new
    return frozenset(found)


@dataclass(slots=True)
class _Taint:
    """Which digest of which image holds an affected one of the base; each is looked at once."""

    base: str
    span: DigestRange | None
    images: Mapping[str, ImageState]
    bases: Mapping[str, BaseState]
    reach: frozenset[str]
    known: dict[tuple[str, str | None], bool] = field(default_factory=dict)

    def image(self, image: ImageState) -> bool:
        """Whether what `image` was last built with is affected."""
        key = (image.name, image.runtime.current_digest)
        if key not in self.known:
            self.known[key] = True  # of a circle nothing is known
            parts = [name for name in built_in(image) if name in self.reach]
            self.known[key] = any(self._part(image, name) for name in parts)
        return self.known[key]

    def _part(self, image: ImageState, name: str) -> bool:
        part = self.images.get(name) or self.bases.get(name)
        return True if part is None else self._digest(name, absorbed_digest(image, part))

    def _digest(self, name: str, digest: str | None) -> bool:
        """Whether a digest of `name` is affected."""
        if self.span is None:
            return True
        if name == self.base:
            return self.span.holds(digest)
        image = self.images.get(name)
        if image is None or digest is None:
            return True
        if digest == image.runtime.current_digest:
            return self.image(image)
        key = (name, digest)
        if key not in self.known:
            self.known[key] = True
            self.known[key] = self._build(image, digest)
        return self.known[key]

    def _build(self, image: ImageState, digest: str) -> bool:
        """Whether an earlier build is affected, as far as its record tells."""
        for build in reversed(image.history.rebuild_history):
            if build.digest == digest:
                took = {str(cause.get("base")): cause.get("to") for cause in build.causes}
                parts = [name for name in built_in(image) if name in self.reach]
                return any(self._digest(name, to if isinstance(to := took.get(name), str) else None) for name in parts)
        return True
