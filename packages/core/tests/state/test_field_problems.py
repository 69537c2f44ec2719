from __future__ import annotations

import pytest

from image_factory.model.enrollment import Enrollment
from image_factory.model.settings import Settings
from image_factory.state.field_problems import fields_of, format_path, nearest, shorten


def test_a_path_is_written_as_people_write_it() -> None:
    assert format_path(("updates", 0, "keys", 2)) == "updates[0].keys[2]"
    assert format_path(()) == ""


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        pytest.param("rebuildDely", "rebuildDelay", id="a letter left out"),
        pytest.param("REBUILD-DELAY", "rebuildDelay", id="another case and hyphens"),
        pytest.param("tga", "tag", id="two letters that changed places"),
        pytest.param("xyz", None, id="nothing like it"),
        pytest.param("", None, id="nothing"),
        pytest.param("tag" * 100_000, None, id="far too long"),
    ],
)
def test_the_nearest_word_is_the_one_that_was_meant(word: str, meant: str | None) -> None:
    assert meant == nearest(word, ["rebuildDelay", "tag", "source"])


def test_records_are_described_by_the_keys_that_yaml_has() -> None:
    fields = fields_of(Enrollment)

    assert list(fields)[:4] == ["name", "registry", "repository", "source"]
    assert (fields["source"].many, fields["updates"].many, fields["policy"].inner) == ("no", "list", None)
    assert fields_of(Settings)["registries"].many == "map"


def test_a_long_value_is_shown_by_its_beginning() -> None:
    assert shorten("x" * 100) == repr("x" * 80 + "…")
    assert shorten("a\x1b") == r"'a\x1b'"
