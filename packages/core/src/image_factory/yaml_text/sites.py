"""Whole references in a text: found and replaced by the keys of YAML, by value, or as they stand in any text. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from operator import itemgetter

from image_factory.errors import InvalidReference, UserError
from image_factory.model.mention import ImageField, ImageVersion, Mention, Target
from image_factory.oci.reference import DOCKER_HUB, Digest, Reference, Repository
from image_factory.yaml_text.edits import Edit, replace_scalar
from image_factory.yaml_text.keys import find_scalar, format_key, parse_key
from image_factory.yaml_text.nodes import Node, ScalarNode, at_line, scalars
from image_factory.yaml_text.references import field_of, read_reference, rewrite, value_at

_COMMENT = re.compile(r"(?:^|(?<=[\s]))#", re.MULTILINE)
_BEFORE = r"(?:(?<![A-Za-z0-9._/:@{}$-])|(?<=docker://))"
_TAG = r"(?::(?P<tag>(?>[A-Za-z0-9_][A-Za-z0-9._-]{0,127})))?"
_DIGEST = r"(?P<digest>@sha(?:256|384|512):[0-9a-f]{64,128})?"
# What goes on after it makes it a part of something else: `web:1.2{{ .Values.suffix }}`, `web:1.2/x`.
_AFTER = r"(?![A-Za-z0-9_/:@{$%])"
_HOSTED = r"(?>(?:[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?::[0-9]+)?|localhost:[0-9]+)(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)+)"
_ANY = re.compile(f"{_BEFORE}(?P<name>{_HOSTED}){_TAG}{_DIGEST}{_AFTER}")
_TAG_AT_END = re.compile(r"(?:tag|Tag|TAG)\Z")
_DIGEST_LIKE = {"tag": "digest", "Tag": "Digest", "TAG": "DIGEST"}
_IMAGE_LINE = re.compile(
    rf"""(?m)^[ \t-]*["']?[A-Za-z]*[iI]mage["']?[ \t]*:[ \t]*["']?(?P<name>[a-z0-9][a-z0-9._/-]*){_TAG}{_DIGEST}"""
    r"""(?=["']?[ \t]*(?:\#.*)?\r?$)"""
)


def value_mentions(documents: tuple[Node | None, ...], *, beside: frozenset[int] = frozenset()) -> Iterator[Mention]:
    """Yield every single value that is a reference, in the order of the text; those that start at `beside` left out."""
    for index, root in enumerate(documents):
        for path, node in scalars(root):
            reference = read_reference(path, node)
            if reference is None or node.start in beside:
                continue
            key = format_key(path) if path else None
            # Kargo's step reaches the first document, and writes what the key's name says.
            reachable = key is not None and index == 0 and "" not in path and field_of(key) is ImageField.REFERENCE
            yield Mention(reference, node.line, key, (key,) if key is not None and reachable else ())


def value_edits(
    text: str,
    documents: tuple[Node | None, ...],
    repository: Repository,
    version: ImageVersion,
    *,
    beside: frozenset[int] = frozenset(),
) -> Iterator[Edit]:
    """Yield the edit of every single value that is a reference to `repository`.

    A value that has an anchor is changed with all that repeats it: these name the same image.
    """
    for root in documents:
        for path, node in scalars(root):
            reference = read_reference(path, node)
            if reference is not None and reference.repository == repository and node.start not in beside:
                new = rewrite(reference.written, version)
                if new != reference.written:
                    yield replace_scalar(text, node, new, format_key(path))


def key_edits(text: str, documents: tuple[Node | None, ...], target: Target, version: ImageVersion) -> Iterator[Edit]:
    """Yield the edits of the target's keys, and of the digest that stands beside a tag of them.

    Raises:
        UserError: a key leads to no single value, or to one of another kind or image; a digest beside a tag
            would hold the old image fast, and there is none to put in its place.
    """
    changed_nodes: list[ScalarNode] = []
    for key in dict.fromkeys([*target.keys, *_pins(documents, target.keys, version)]):
        node = find_scalar(documents, key)
        if any(node is other for other in changed_nodes):
            continue
        changed_nodes.append(node)
        value = value_at(key, node, target.repository, version)
        if value != node.value.strip() or not node.is_text:
            yield replace_scalar(text, node, value, key)


def _pins(documents: tuple[Node | None, ...], keys: Sequence[str], version: ImageVersion) -> Iterator[str]:
    """Yield the keys of digests beside the tags that `keys` lead to, such as `image.digest` beside `image.tag`."""
    for key in keys:
        *before, last = parse_key(key)
        beside = _TAG_AT_END.sub(lambda found: _DIGEST_LIKE[found[0]], last)
        if version.tag is None or beside == last:
            continue
        pin = format_key((*before, beside))
        try:
            node = find_scalar(documents, pin)
        except UserError:
            continue
        try:
            Digest.parse(node.value.strip())
        except InvalidReference:
            continue
        if version.digest is None:
            hint = "give the digest too, or remove it from the file"
            raise at_line(f"{pin} would hold the old image fast beside the new {key}", node.line, hint)
        yield pin


def not_named(target: Target) -> UserError:
    """Return the error of a file that does not name the image."""
    return UserError(
        f"{target.path} does not name {target.repository}",
        hint="image-factory scan PATH lists where it is named; give the key where the file holds its tag alone",
    )


# --- any text ---------------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def spellings(repository: Repository) -> tuple[str, ...]:
    """Return how people write a repository in full; Docker Hub's one-word names only with their host."""
    if repository.registry != DOCKER_HUB:
        return (str(repository),)
    path = repository.path
    hosts = [f"{host}/{path}" for host in ("docker.io", "index.docker.io", "registry-1.docker.io")]
    if path.startswith("library/"):
        return (*hosts, path, f"docker.io/{path.removeprefix('library/')}")
    return (*hosts, path)


@lru_cache(maxsize=1024)
def _pattern(repository: Repository) -> re.Pattern[str]:
    names = "|".join(re.escape(name) for name in sorted(spellings(repository), key=len, reverse=True))
    return re.compile(f"{_BEFORE}(?P<name>{names}){_TAG}{_DIGEST}{_AFTER}")


def literal_mentions(text: str, repository: Repository | None = None, *, comments: bool = True) -> list[Mention]:
    """Return the references, to `repository` or any, that stand whole in any text, each with a tag or digest.

    Args:
        comments: whether those behind a `#` count too, as they must where `#` begins no comment.
    """
    lines = _Lines(text)
    return [
        Mention(reference, lines.at(start))
        for start, _, reference in sorted(_literals(text, repository, comments), key=itemgetter(0))
    ]


def literal_edits(text: str, repository: Repository, version: ImageVersion, *, comments: bool = True) -> Iterator[Edit]:
    """Yield the edit of every reference to `repository` that stands whole in a text."""
    for start, end, reference in _literals(text, repository, comments):
        new = rewrite(reference.written, version)
        if new != reference.written:
            yield Edit(start, end, new)


class _Lines:
    def __init__(self, text: str) -> None:
        self._text = text
        self._offset = 0
        self._line = 1

    def at(self, offset: int) -> int:
        """Return the line of an offset; offsets come in rising order."""
        self._line += self._text.count("\n", self._offset, offset)
        self._offset = offset
        return self._line


def _literals(text: str, repository: Repository | None, comments: bool) -> Iterator[tuple[int, int, Reference]]:
    seen: set[int] = set()
    # Only Docker Hub's images are written without a host, and its one-word names told by their key alone.
    is_short = repository is None or repository.registry == DOCKER_HUB
    patterns = [_ANY if repository is None else _pattern(repository), *([_IMAGE_LINE] if is_short else [])]
    for pattern in patterns:
        for match in pattern.finditer(text):
            start, end = match.start("name"), match.end("digest") if match["digest"] else match.end("tag")
            if start in seen or not (match["tag"] or match["digest"]):
                continue
            if not comments and _COMMENT.search(text, text.rfind("\n", 0, start) + 1, start):
                continue
            if not match["digest"]:
                # A dot at the end ends the sentence.
                end -= len(match["tag"]) - len(match["tag"].rstrip("."))
            try:
                reference = Reference.parse(text[start:end])
            except InvalidReference:
                continue
            if repository is None or reference.repository == repository:
                seen.add(start)
                yield start, end, reference
