from __future__ import annotations

import pytest

from image_factory.errors import InvalidSettings
from image_factory_synth.versions import KNOWN, KargoVersion


@pytest.mark.parametrize(
    ("text", "expected"), [("1.9", "1.9"), ("v1.11", "1.11"), ("1.10.10", "1.10"), (" v1.11.2 ", "1.11")]
)
def test_a_known_version_is_read_with_or_without_its_patch(text: str, expected: str) -> None:
    assert str(KargoVersion.parse(text)) == expected


@pytest.mark.parametrize("text", ["1.12", "1.8", "2.0", "1.1", "latest", "", "1", "1.11.x", "1.11; rm"])
def test_any_other_version_is_one_error_that_names_it_and_the_known_ones(text: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        KargoVersion.parse(text)

    assert repr(text) in caught.value.message
    assert "1.9, 1.10, 1.11" in caught.value.hint


def test_versions_are_ordered_as_numbers() -> None:
    assert list(KNOWN) == sorted(KNOWN)
    assert KargoVersion(1, 9) < KargoVersion(1, 10)
