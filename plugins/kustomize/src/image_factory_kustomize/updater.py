"""References to images in kustomizations and components: the updater `kustomize-set-image`.

Source: kubectl.docs.kubernetes.io, "images" (name, newName, newTag, digest). What is changed or added is
what `kustomize edit set image` and Kargo's step would; nothing is sorted or formatted. Pure: functions of text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from image_factory.errors import UserError
from image_factory.model.mention import ImageField, ImageVersion, Mention, PromotionStep, Target
from image_factory.oci.reference import DEFAULT_TAG, Digest, Reference, Repository, is_tag
from image_factory.yaml_text.edits import (
    Edit,
    add_field,
    apply_to_yaml,
    insert_line,
    newline_of,
    remove_field,
    replace_scalar,
    write_plain,
)
from image_factory.yaml_text.nodes import AliasNode, ListNode, MapNode, Node, ScalarNode, at_line, parse_documents
from image_factory.yaml_text.references import check_version, parse_digest, parse_repository

FILES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
"""The names that kustomize knows, in its order."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of `images`."""

    index: int
    node: MapNode
    name: str
    new_name: str

    @property
    def repository(self) -> Repository | None:
        return parse_repository(self.new_name or self.name)


class KustomizeUpdater:
    """Kustomizations as a `FileUpdater`; a target's keys are the names of entries whose newName is the image."""

    @property
    def name(self) -> str:
        return "kustomize-set-image"

    def matches(self, path: str) -> bool:
        return path.rpartition("/")[2] in FILES

    def mentions(self, path: str, text: str) -> Sequence[Mention]:
        """Return the entries of `images`."""
        try:
            return tuple(_mention(entry) for entry in _entries(_root(text)) if entry.repository is not None)
        except UserError:
            return ()

    def replace(self, text: str, target: Target, version: ImageVersion) -> str:
        """Return `text` with the image's entries naming `version`; an entry that is missing is added."""
        check_version(version)
        root = _root(text)
        wanted = [
            entry
            for entry in _entries(root)
            if (entry.name in target.keys if target.keys else entry.repository == target.repository)
        ]
        edits: list[Edit] = []
        for entry in wanted:
            if entry.repository != target.repository:
                raise at_line(
                    f"the entry {entry.name} names {entry.repository}, not {target.repository}",
                    entry.node.line,
                    "give the name of the entry whose newName, or name, is the image",
                )
            edits += _set(text, entry, version)
        found = {entry.name for entry in wanted}
        missing = [key for key in dict.fromkeys(target.keys) if key not in found]
        if not target.keys and not wanted:
            missing = [target.repository.familiar]
        if missing:
            edits.append(_add(text, root, [_fields(name, target.repository, version) for name in missing]))
        return apply_to_yaml(text, edits)

    def promotion_steps(self, target: Target) -> Sequence[PromotionStep]:
        """Return one `kustomize-set-image` step on the folder, by tag."""
        familiar = target.repository.familiar
        images: list[dict[str, object]] = []
        for name in target.keys or (familiar,):
            renamed = {} if name == familiar else {"name": name, "newName": familiar}
            images.append({"image": familiar, **renamed, "tag": ImageField.TAG})
        folder, _, last = target.path.rpartition("/")
        path = target.path if last not in FILES else folder or "."
        return (PromotionStep(self.name, {"path": path, "images": images}),)


def _root(text: str) -> MapNode | None:
    """Return the kustomization, None where there is nothing yet."""
    documents = [root for root in parse_documents(text) if root is not None]
    if not documents:
        return None
    root = documents[0]
    if isinstance(root, ScalarNode) and root.is_null:
        return None
    if len(documents) > 1:
        raise UserError("a kustomization has one document, and this has several", hint="part it into folders")
    if not isinstance(root, MapNode):
        raise at_line("not a kustomization: no mapping", root.line, "write images: and its entries")
    return root


def _entries(root: MapNode | None) -> Iterator[_Entry]:
    images = None if root is None else root.get("images")
    if images is None or (isinstance(images, ScalarNode) and images.is_null):
        return
    if not isinstance(images, ListNode):
        raise at_line("images is no list", images.line, "write an entry as - name: ghcr.io/acme/web")
    for index, node in enumerate(images.items):
        if isinstance(node, MapNode):
            yield _Entry(index, node, _text(node.get("name")), _text(node.get("newName")))


def _text(node: Node | None) -> str:
    if isinstance(node, AliasNode):
        node = node.target
    return "" if not isinstance(node, ScalarNode) or node.is_null else node.value


def _mention(entry: _Entry) -> Mention:
    repository = entry.repository
    assert repository is not None
    tag, digest = _text(entry.node.get("newTag")), parse_digest(_text(entry.node.get("digest")))
    shown = tag if is_tag(tag) else None
    reference = Reference(repository, shown if shown or digest else DEFAULT_TAG, digest)
    keys = () if entry.name == repository.familiar else (entry.name,)
    return Mention(reference, entry.node.line, f"images.{entry.index}", keys)


def _set(text: str, entry: _Entry, version: ImageVersion) -> Iterator[Edit]:
    """Yield the edits of one entry: newTag, digest or both, and neither of what is not asked for."""
    wanted = {"newTag": version.tag, "digest": str(version.digest) if version.digest else None}
    there = {key: entry.node.get(key) for key in wanted}
    for key, node in there.items():
        _check_own(entry, key, node)
    stale = [key for key in wanted if wanted[key] is None and there[key] is not None]
    missing = [key for key, value in wanted.items() if value is not None and there[key] is None]
    if stale and missing:
        # A digest becomes a tag, or a tag a digest, on its own line.
        (old,), (new,) = stale, missing
        name = next(name for name, _ in entry.node.entries if name.value == old)
        yield replace_scalar(text, name, new, old)
        stale, missing = [], []
        there = {old: None, new: there[old]}
    for key, value in wanted.items():
        node = there.get(key)
        if value is not None and isinstance(node, ScalarNode) and (node.value != value or not node.is_text):
            yield replace_scalar(text, node, value, f"images.{entry.index}.{key}")
    for key in stale:
        yield remove_field(text, entry.node, key)
    for key in missing:
        value = wanted[key]
        assert value is not None
        yield add_field(text, entry.node, key, value, ("name", "newName", "newTag", "digest"))


def _check_own(entry: _Entry, key: str, node: Node | None) -> None:
    if node is None:
        return
    if sum(name.value == key for name, _ in entry.node.entries) > 1:
        raise at_line(f"{key} stands twice in the entry {entry.name}", entry.node.line, "remove one")
    if not isinstance(node, ScalarNode) or node.is_repeated:
        raise at_line(
            f"{key} of the entry {entry.name} is shared by an alias, or no single value",
            node.line,
            "write the value out at each place, so that one image can change alone",
        )


def _fields(name: str, repository: Repository, version: ImageVersion) -> tuple[tuple[str, str], ...]:
    digest: Digest | None = version.digest
    fields = [("digest", str(digest) if digest else None), ("name", name)]
    fields.append(("newName", None if name == repository.familiar else repository.familiar))
    fields.append(("newTag", version.tag))
    return tuple((key, value) for key, value in fields if value is not None)


def _add(text: str, root: MapNode | None, added: Sequence[tuple[tuple[str, str], ...]]) -> Edit:
    """Return the edit that adds entries behind those that are there, in the list's own layout."""
    flow = [", ".join(f"{key}: {write_plain(value)}" for key, value in fields) for fields in added]
    if root is None:
        newline = newline_of(text)
        begin = "" if not text or text.endswith("\n") else newline
        return Edit(
            len(text), len(text), begin + _block(["images:", *_lines(added, "")]).replace("\n", newline) + newline
        )
    images = root.get("images")
    if isinstance(images, ListNode) and images.is_flow:
        written = ", ".join(f"{{{fields}}}" for fields in flow)
        if images.items:
            return Edit(images.items[-1].end, images.items[-1].end, f", {written}")
        return Edit(images.end - 1, images.end - 1, written)
    if isinstance(images, ListNode) and images.items:
        start = images.items[0].start
        hyphen = text.rfind("-", 0, start)
        indent = " " * (hyphen - text.rfind("\n", 0, hyphen) - 1)
        return insert_line(text, images.end, _block(_lines(added, indent)))
    if root.is_flow:
        if images is not None:
            raise at_line("images holds nothing", images.line, "write images: [] there")
        behind = ", " if root.entries else ""
        written = ", ".join(f"{{{fields}}}" for fields in flow)
        return Edit(root.end - 1, root.end - 1, f"{behind}images: [{written}]")
    if isinstance(images, ScalarNode):
        return insert_line(text, images.end, _block(_lines(added, "")))
    return insert_line(text, root.end, _block(["images:", *_lines(added, "")]))


def _lines(added: Sequence[tuple[tuple[str, str], ...]], indent: str) -> list[str]:
    return [
        f"{indent}{'  ' if number else '- '}{key}: {write_plain(value)}"
        for fields in added
        for number, (key, value) in enumerate(fields)
    ]


def _block(lines: Sequence[str]) -> str:
    return "\n".join(lines)
