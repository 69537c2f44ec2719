"""The shapes in which Helm values name an image: `image: {registry, repository, tag, digest}` and its kin.

Charts are free in their values; these are the shapes of `helm create` and of the widely used chart
collections, wherever they stand: in lists, below aliases of subcharts. A registry that `global` names
(`imageRegistry`, `registry`) stands before every repository that has no host of its own, as those collections
have it. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from image_factory.errors import UserError
from image_factory.model.mention import ImageVersion, Mention
from image_factory.oci.reference import DEFAULT_TAG, Reference, Repository, is_tag
from image_factory.yaml_text.edits import Edit, replace_scalar
from image_factory.yaml_text.keys import format_key
from image_factory.yaml_text.nodes import AliasNode, ListNode, MapNode, Node, Path, ScalarNode, at_line
from image_factory.yaml_text.references import has_host, is_image_key, parse_digest, parse_repository

_REPOSITORY = ("repository", "repo", "image", "name")
_TAG = ("tag", "imageTag")
_DIGEST = ("digest", "sha256", "sha")


@dataclass(frozen=True, slots=True)
class _Field:
    """A key of an image's mapping, and its value."""

    key: str
    node: ScalarNode
    is_own: bool
    """Whether the value stands here and nowhere else: neither by alias nor by `<<`, nor repeated."""

    @property
    def text(self) -> str:
        return "" if self.node.is_null else self.node.value


@dataclass(frozen=True, slots=True)
class ImageBlock:
    """A mapping that names an image by its parts."""

    path: Path
    line: int
    repository: Repository
    name: ScalarNode
    """The value of `repository`, or of its kin."""
    tag: _Field | None
    digest: _Field | None

    def mention(self, *, is_reachable: bool) -> Mention:
        """Return the place; `is_reachable` says whether Kargo's step reaches its document."""
        tag, _, pinned = self.tag.text.partition("@") if self.tag else ("", "", "")
        digest = parse_digest(self.digest.text if self.digest and self.digest.text else pinned)
        shown = tag if is_tag(tag) else None
        reference = Reference(self.repository, shown if shown or digest else DEFAULT_TAG, digest)
        fields = [field for field in (self.tag, self.digest) if field and (field is self.tag or field.text)]
        reachable = is_reachable and self.tag is not None and all(field.is_own for field in fields)
        keys = tuple(format_key((*self.path, field.key)) for field in fields) if reachable else ()
        return Mention(reference, self.line, format_key(self.path) or None, keys)

    def edits(self, text: str, version: ImageVersion) -> Iterator[Edit]:
        """Yield the edits that make the block name `version`.

        Without a field for the digest, and where the tag holds none (`1.2@sha256:…`), the tag alone is changed:
        charts put the tag into labels, which hold no digest.

        Raises:
            UserError: there is no field for what is to be written, or another image shares it.
        """
        digest = str(version.digest) if version.digest else None
        tag = version.tag
        if digest and self.digest is None:
            if tag is not None and self.tag is not None and "@" in self.tag.text:
                tag = f"{tag}@{digest}"
            digest = None
        if tag is None and digest is None:
            raise self._lacks("digest")
        if tag is not None:
            if self.tag is None:
                raise self._lacks("tag")
            yield from self._set(text, self.tag, tag)
        if self.digest is not None and (digest or (self.digest.text and version.digest is None)):
            # An old digest would hold the old image fast.
            yield from self._set(text, self.digest, digest or "")

    def _set(self, text: str, field: _Field, value: str) -> Iterator[Edit]:
        where = format_key((*self.path, field.key))
        if not field.is_own:
            raise at_line(
                f"{where} is shared with other places by an alias",
                field.node.line,
                "write the value out at each place; or give keys, to change all of them",
            )
        if field.node.value != value or not field.node.is_text:
            yield replace_scalar(text, field.node, value, where)

    def _lacks(self, field: str) -> UserError:
        where = format_key(self.path) or "the file's top level"
        return at_line(
            f"{where} names {self.repository} without a {field}", self.line, f"add a {field} beside the repository"
        )


def image_blocks(root: Node | None) -> list[ImageBlock]:
    """Return the mappings below `root` that name an image by its parts, in the order of the text."""
    found: list[ImageBlock] = []
    waiting: list[tuple[Path, Node, str]] = [] if root is None else [((), root, "")]
    while waiting:
        path, node, prefix = waiting.pop()
        if isinstance(node, ListNode):
            waiting += [((*path, index), item, prefix) for index, item in reversed(list(enumerate(node.items)))]
        elif isinstance(node, MapNode):
            prefix = _global_registry(node) or prefix
            block = _block(path, node, prefix)
            if block is not None:
                found.append(block)
            waiting += [((*path, key.value), value, prefix) for key, value in reversed(node.entries)]
    return found


def _global_registry(node: MapNode) -> str:
    shared = node.get("global")
    if isinstance(shared, AliasNode):
        shared = shared.target
    if not isinstance(shared, MapNode):
        return ""
    for key in ("imageRegistry", "registry"):
        field = _field(shared, key)
        if field is not None and field.text:
            return field.text
    return ""


def _block(path: Path, node: MapNode, prefix: str) -> ImageBlock | None:
    tag = _first(node, _TAG)
    digest = _first(node, _DIGEST)
    registry = _field(node, "registry")
    name = _first(node, _REPOSITORY)
    if name is None or not name.text:
        return None
    is_versioned = tag is not None or digest is not None
    if name.key != "repository" and not is_versioned:
        return None
    if not is_versioned and registry is None and not is_image_key(path):
        return None
    written = name.text
    if parse_repository(written) is None:
        return None  # a whole reference, which is found by value
    before = "" if has_host(written) else prefix or (registry.text if registry else "")
    repository = parse_repository(f"{before.rstrip('/')}/{written}" if before else written)
    return (
        None
        if repository is None
        else ImageBlock(path, name.node.line if name.is_own else node.line, repository, name.node, tag, digest)
    )


def _first(node: MapNode, keys: tuple[str, ...]) -> _Field | None:
    return next((field for key in keys if (field := _field(node, key)) is not None), None)


def _field(node: MapNode, key: str) -> _Field | None:
    own = node.get(key)
    if isinstance(own, ScalarNode):
        return _Field(key, own, not own.is_repeated)
    if isinstance(own, AliasNode):
        return _Field(key, own.target, False) if isinstance(own.target, ScalarNode) else None
    if own is not None:
        return None
    for source in _merged(node):
        brought = _field(source, key)
        if brought is not None:
            return _Field(key, brought.node, False)
    return None


def _merged(node: MapNode) -> Iterator[MapNode]:
    """Yield the mappings that `<<` brings in (yaml.org/type/merge.html)."""
    for name, value in node.entries:
        if name.value != "<<" or name.style:
            continue
        for source in value.items if isinstance(value, ListNode) else [value]:
            target = source.target if isinstance(source, AliasNode) else source
            if isinstance(target, MapNode):
                yield target
