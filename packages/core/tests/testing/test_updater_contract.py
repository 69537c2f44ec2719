"""The contract of updaters passes for one that is right, and fails for one that is not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from image_factory.errors import UserError
from image_factory.model.mention import ImageVersion, Mention, PromotionStep, Target
from image_factory.testing.updater_contract import FileUpdaterContract, Sample
from image_factory.yaml_text.edits import apply_edits
from image_factory.yaml_text.references import check_version
from image_factory.yaml_text.sites import literal_edits, literal_mentions, not_named


class TextUpdater:
    """Whole references in any text."""

    @property
    def name(self) -> str:
        return "text"

    def matches(self, path: str) -> bool:
        return path.endswith(".txt")

    def mentions(self, path: str, text: str) -> Sequence[Mention]:
        return literal_mentions(text)

    def replace(self, text: str, target: Target, version: ImageVersion) -> str:
        check_version(version)
        if not literal_mentions(text, target.repository):
            raise not_named(target)
        return apply_edits(text, literal_edits(text, target.repository, version))

    def promotion_steps(self, target: Target) -> Sequence[PromotionStep]:
        raise UserError("no step", hint="change it by hand")


SAMPLE = Sample("images.txt", "a ghcr.io/acme/web:1.0.0\nghcr.io/acme/web:1.0.0 # b\n", is_yaml=False)


class TestText(FileUpdaterContract):
    updater = TextUpdater()
    samples = (SAMPLE,)


class Careless(TextUpdater):
    """Changes line ends on the way, and every tag like it."""

    def replace(self, text: str, target: Target, version: ImageVersion) -> str:
        return "\n".join(super().replace(text, target, version).splitlines()) + "\n"


def test_an_updater_that_changes_line_ends_is_caught() -> None:
    contract = FileUpdaterContract()
    contract.updater = Careless()

    contract.test_the_reference_changes_and_no_other_byte(SAMPLE)
    with pytest.raises(AssertionError):
        contract.test_line_ends_marks_and_a_missing_last_newline_stay(SAMPLE)
