"""Platforms against containerd's `Parse` and `Normalize`."""

from __future__ import annotations

import pytest

from image_factory.errors import InvalidReference
from image_factory.oci.platform import DEFAULT_PLATFORM, Platform


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("linux/amd64", "linux/amd64"),
        ("Linux/AMD64", "linux/amd64"),
        ("linux/x86_64", "linux/amd64"),
        ("linux/x86-64", "linux/amd64"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/amd64/v2", "linux/amd64/v2"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/8", "linux/arm64"),
        ("linux/arm64/v9", "linux/arm64/v9"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/7", "linux/arm/v7"),
        ("linux/arm/v7", "linux/arm/v7"),
        ("linux/arm/6", "linux/arm/v6"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6"),
        ("linux/i386", "linux/386"),
        ("linux/ppc64le", "linux/ppc64le"),
        ("macos/arm64", "darwin/arm64"),
        ("windows(10.0.17763)/amd64", "windows/amd64"),
        ("windows/amd64", "windows/amd64"),
        ("arm64", "linux/arm64"),
        ("aarch64", "linux/arm64"),
        ("linux", "linux/amd64"),
        ("darwin", "darwin/amd64"),
        ("unknown/unknown", "unknown/unknown"),
        (" linux/amd64 ", "linux/amd64"),
    ],
)
def test_a_platform_has_one_spelling(text: str, normal: str) -> None:
    assert str(Platform.parse(text)) == normal
    assert Platform.parse(normal) == Platform.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "linux/",
        "linux/*",
        "nonsense",
        "linux/amd64/v1/x",
        "linux//v1",
        "li nux/amd64",
        "linux/amd64\n/v1",
        "linux/ámd64",
        "win(dows/amd64",
        "linux.x/amd64",
        "a" * 5000,
    ],
)
def test_what_is_no_platform_is_refused(text: str) -> None:
    with pytest.raises(InvalidReference, match="not a platform") as caught:
        Platform.parse(text)

    assert len(caught.value.message) < 200


def test_the_default_is_linux_on_amd64() -> None:
    assert str(DEFAULT_PLATFORM) == "linux/amd64"
