"""References to images in any YAML file, by key path and by reference: the updater `yaml-update`.

Kargo's step of that name (docs.kargo.io, "yaml-update") sets single values of the first document by
their keys. Pure: functions of text.
"""

from __future__ import annotations

from collections.abc import Sequence

from image_factory.errors import UserError
from image_factory.model.mention import ImageVersion, Mention, PromotionStep, Target
from image_factory.yaml_text.edits import apply_to_yaml
from image_factory.yaml_text.nodes import parse_documents
from image_factory.yaml_text.references import check_version, yaml_update_steps
from image_factory.yaml_text.sites import key_edits, not_named, value_edits, value_mentions


class YamlUpdater:
    """YAML files as a `FileUpdater`."""

    @property
    def name(self) -> str:
        return "yaml-update"

    def matches(self, path: str) -> bool:
        return path.endswith((".yaml", ".yml"))

    def mentions(self, path: str, text: str) -> Sequence[Mention]:
        """Return every single value that is a reference, of pods, init containers, lists and custom resources."""
        try:
            return tuple(value_mentions(parse_documents(text)))
        except UserError:
            return ()

    def replace(self, text: str, target: Target, version: ImageVersion) -> str:
        """Return `text` with the target's keys, or every reference to its repository, naming `version`."""
        check_version(version)
        documents = parse_documents(text)
        if target.keys:
            return apply_to_yaml(text, key_edits(text, documents, target, version))
        if not any(mention.reference.repository == target.repository for mention in value_mentions(documents)):
            raise not_named(target)
        return apply_to_yaml(text, value_edits(text, documents, target.repository, version))

    def promotion_steps(self, target: Target) -> Sequence[PromotionStep]:
        """Return one `yaml-update` step; it needs keys."""
        return yaml_update_steps(target)
