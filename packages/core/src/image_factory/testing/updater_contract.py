"""What every `FileUpdater` must do, as a pytest suite that an updater's own test class inherits.

The class gives files of its kind that name `ghcr.io/acme/web` at 1.0.0, and where they say 1.0.0 nothing else
is meant. Specification: `image_factory.ports.FileUpdater`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from image_factory.errors import UserError
from image_factory.model.mention import ImageField, ImageVersion, Target
from image_factory.oci.reference import Digest, Repository
from image_factory.ports import FileUpdater
from image_factory.testing.promotion_steps import perform

WEB = Repository("ghcr.io", "acme/web")
OTHER = Repository("ghcr.io", "acme/never-named")
OLD, NEW = "1.0.0", "2.0.0"
DIGEST = Digest("sha256", "d" * 64)
UNREADABLE = ("a: [b", "\ta: b", "a: \x01", "a: *b", "[" * 5_000, "a: &a [*a]", '{"a"', "- b\nc", "a: 'b")


@dataclass(frozen=True, slots=True)
class Sample:
    """One file that names `ghcr.io/acme/web` at 1.0.0, wherever it says 1.0.0."""

    path: str
    text: str
    keys: tuple[str, ...] = ()
    """The keys under which all of these stand, for the promotion step; empty where none is to be compared."""
    is_yaml: bool = True


class FileUpdaterContract:
    """Inherit it, name the class `Test…`, and give it `updater`, `samples` and a `stranger`."""

    updater: FileUpdater
    samples: tuple[Sample, ...]
    stranger = "src/main.go"
    """A path that is not of the updater's kind."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run what takes a `sample` once for each."""
        if "sample" in metafunc.fixturenames:
            metafunc.parametrize("sample", self.samples, ids=lambda sample: sample.path)

    def replaced(self, sample: Sample, text: str, version: ImageVersion | None = None, **given: Any) -> str:
        target = Target(given.get("repository", WEB), sample.path, given.get("keys", ()))
        return self.updater.replace(text, target, version or ImageVersion(NEW))

    def test_it_has_every_member_of_the_port_and_a_name(self) -> None:
        assert isinstance(self.updater, FileUpdater)
        assert self.updater.name == self.updater.name.lower().strip()

    def test_it_knows_its_files_and_no_others(self, sample: Sample) -> None:
        assert self.updater.matches(sample.path)
        assert not self.updater.matches(self.stranger)

    def test_a_file_s_mentions_name_the_image_in_order(self, sample: Sample) -> None:
        found = self.updater.mentions(sample.path, sample.text)

        assert OLD in [mention.reference.tag for mention in found if mention.reference.repository == WEB]
        assert [mention.line for mention in found] == sorted(mention.line for mention in found)
        assert all(1 <= mention.line <= sample.text.count("\n") + 1 for mention in found)

    def test_the_reference_changes_and_no_other_byte(self, sample: Sample) -> None:
        assert self.replaced(sample, sample.text) == sample.text.replace(OLD, NEW)

    def test_line_ends_marks_and_a_missing_last_newline_stay(self, sample: Sample) -> None:
        for text in (sample.text.replace("\n", "\r\n"), f"\ufeff{sample.text}", sample.text.rstrip("\n")):
            assert self.replaced(sample, text) == text.replace(OLD, NEW)

    def test_what_was_replaced_is_what_is_mentioned(self, sample: Sample) -> None:
        found = self.updater.mentions(sample.path, self.replaced(sample, sample.text))

        tags = {mention.reference.tag for mention in found if mention.reference.repository == WEB}
        assert NEW in tags
        assert OLD not in tags

    def test_a_file_that_names_the_version_stays_as_it_is(self, sample: Sample) -> None:
        assert self.replaced(sample, sample.text, ImageVersion(OLD)) == sample.text

    @pytest.mark.parametrize("tag", ["3.10", "1e3", "0x1F", "2024-01-01", "true", "null", "12", "0o17", "1_000", "on"])
    def test_a_tag_that_looks_like_something_else_is_read_back_as_text(self, sample: Sample, tag: str) -> None:
        new = self.replaced(sample, sample.text, ImageVersion(tag))

        found = self.updater.mentions(sample.path, new)
        assert tag in [mention.reference.tag for mention in found if mention.reference.repository == WEB]
        assert not sample.is_yaml or _texts(new) >= {tag} or f":{tag}" in new

    @pytest.mark.parametrize("text", UNREADABLE, ids=range(len(UNREADABLE)))
    def test_what_cannot_be_read_has_no_mentions_and_is_refused(self, text: str) -> None:
        sample = next((each for each in self.samples if each.is_yaml), self.samples[0])

        assert not sample.is_yaml or list(self.updater.mentions(sample.path, text)) == []
        with pytest.raises(UserError) as refused:
            self.replaced(sample, text)
        assert refused.value.hint

    @pytest.mark.parametrize(
        "version", [ImageVersion(), ImageVersion("a b"), ImageVersion(""), ImageVersion("a\nb: c"), ImageVersion("-a")]
    )
    def test_a_version_that_is_none_is_refused(self, sample: Sample, version: ImageVersion) -> None:
        with pytest.raises(UserError):
            self.replaced(sample, sample.text, version)

    def test_a_promotion_step_does_what_replace_does(self, sample: Sample) -> None:
        target = Target(WEB, sample.path, sample.keys)
        if not sample.is_yaml:
            assert self.refuses_a_step(target)
            return
        try:
            steps = self.updater.promotion_steps(target)
        except UserError:
            assert not sample.keys, "what has keys has a step"
            return
        version = ImageVersion(NEW, DIGEST) if "digest" in str(sample.keys) else ImageVersion(NEW)
        (step,) = steps

        new = self.updater.replace(sample.text, target, version)

        assert list(yaml.safe_load_all(new)) == perform(step, sample.text, WEB, version)

    def refuses_a_step(self, target: Target) -> bool:
        """Whether the updater says, with what to do, that no step does what it does."""
        try:
            self.updater.promotion_steps(target)
        except UserError as error:
            return bool(error.hint)
        return False

    def test_the_keys_that_mentions_give_change_the_same(self, sample: Sample) -> None:
        found = [m for m in self.updater.mentions(sample.path, sample.text) if m.reference.repository == WEB]
        if not all(mention.keys for mention in found):
            assert self.replaced(sample, sample.text) != sample.text, "what has no key is found by its reference"
            return
        keys = tuple(dict.fromkeys(key for mention in found for key in mention.keys))

        assert self.replaced(sample, sample.text, keys=keys) == self.replaced(sample, sample.text)

    def test_a_step_holds_plain_data_and_fields_of_the_version(self, sample: Sample) -> None:
        target = Target(WEB, sample.path, sample.keys or ("image.tag",))
        if not sample.is_yaml and self.refuses_a_step(target):
            return
        steps = self.updater.promotion_steps(target)

        assert steps
        assert all(_is_plain(step.config) for step in steps)
        assert any("path" in step.config for step in steps)


def _texts(text: str) -> set[str]:
    """Return every text that a YAML 1.1 reader finds."""
    found: set[str] = set()
    waiting: list[Any] = list(yaml.safe_load_all(text))
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str):
            found.add(value)
    return found


def _is_plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return isinstance(value, (str, ImageField))
