"""References to images in Helm charts: the updater `helm-update-image`.

Values files in their usual shapes (`image_factory_helm.values`), and literal references in templates,
which are no YAML. Kargo's own step of this name is gone since 1.3 (docs.kargo.io, "yaml-update"), so the step is
yaml-update on the values file. Pure: functions of text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from image_factory.errors import UserError
from image_factory.model.mention import ImageVersion, Mention, PromotionStep, Target
from image_factory.yaml_text.edits import apply_edits, apply_to_yaml
from image_factory.yaml_text.nodes import Node, parse_documents
from image_factory.yaml_text.references import check_version, yaml_update_steps
from image_factory.yaml_text.sites import (
    key_edits,
    literal_edits,
    literal_mentions,
    not_named,
    value_edits,
    value_mentions,
)
from image_factory_helm.values import image_blocks

_VALUES = re.compile(r"(?:^|[._-])values(?:[._-][^/]*)?\.ya?ml\Z", re.IGNORECASE)


class HelmUpdater:
    """Values files and templates as a `FileUpdater`."""

    @property
    def name(self) -> str:
        return "helm-update-image"

    def matches(self, path: str) -> bool:
        if not path.endswith((".yaml", ".yml", ".tpl")):
            return False
        return is_template(path) or _VALUES.search(path.rpartition("/")[2]) is not None

    def mentions(self, path: str, text: str) -> Sequence[Mention]:
        """Return every image of a values file, or every literal reference of a template."""
        if is_template(path):
            return tuple(literal_mentions(text, comments=False))
        try:
            return tuple(_values_mentions(parse_documents(text)))
        except UserError:
            return ()

    def replace(self, text: str, target: Target, version: ImageVersion) -> str:
        """Return `text` with the target's keys, or every place that names its repository, naming `version`."""
        check_version(version)
        if is_template(target.path) and not target.keys:
            if not literal_mentions(text, target.repository, comments=False):
                raise not_named(target)
            return apply_edits(text, literal_edits(text, target.repository, version, comments=False))
        documents = parse_documents(text)
        if target.keys:
            return apply_to_yaml(text, key_edits(text, documents, target, version))
        if not any(mention.reference.repository == target.repository for mention in _values_mentions(documents)):
            raise not_named(target)
        blocks = [block for root in documents for block in image_blocks(root)]
        edits = [
            edit for block in blocks if block.repository == target.repository for edit in block.edits(text, version)
        ]
        names = frozenset(block.name.start for block in blocks)
        edits += value_edits(text, documents, target.repository, version, beside=names)
        return apply_to_yaml(text, edits)

    def promotion_steps(self, target: Target) -> Sequence[PromotionStep]:
        """Return one `yaml-update` step; it needs keys."""
        return yaml_update_steps(target)


def is_template(path: str) -> bool:
    """Whether a file is a chart's template, or a part of one."""
    return path.endswith(".tpl") or "templates" in path.split("/")[:-1]


def _values_mentions(documents: tuple[Node | None, ...]) -> Iterator[Mention]:
    """Yield the images of a values file in the order of the file."""
    found: list[Mention] = []
    names: set[int] = set()
    for index, root in enumerate(documents):
        blocks = image_blocks(root)
        found += [block.mention(is_reachable=index == 0) for block in blocks]
        names |= {block.name.start for block in blocks}
    found += value_mentions(documents, beside=frozenset(names))
    yield from sorted(found, key=lambda mention: mention.line)
