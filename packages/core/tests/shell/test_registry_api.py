"""Where a registry's API is, and its pages: each once, to their end, and no further."""

from __future__ import annotations

from itertools import count

import pytest

from image_factory.errors import ProtocolError
from image_factory.model.settings import Settings
from image_factory.oci.distribution import MAX_PAGES
from image_factory.shell.registry_api import api_address, every_page

PUBLIC = "https://api.example.com"
MIRROR = {"registries": {"example.com": {"endpoint": "http://127.0.0.1:5000"}}}
NAMED = {"plugins": {"mine": {"api": "https://api.example.org/v2/"}}}


@pytest.mark.parametrize(
    ("settings", "address"),
    [
        pytest.param({}, PUBLIC, id="the public one"),
        pytest.param(NAMED, "https://api.example.org/v2", id="the one that is named"),
        pytest.param(MIRROR, "", id="none beside a mirror"),
        pytest.param({**MIRROR, **NAMED}, "https://api.example.org/v2", id="a mirror's own"),
    ],
)
def test_the_api_is_where_the_settings_say(settings: dict[str, object], address: str) -> None:
    assert api_address(Settings.model_validate(settings), "mine", "example.com", PUBLIC) == address


def test_each_page_is_given_once_and_asked_for_when_it_is_wanted() -> None:
    following = {"b": ("second", "c"), "c": ("third", None)}
    asked: list[str] = []

    def ask(url: str) -> tuple[str, str | None]:
        asked.append(url)
        return following[url]

    pages = every_page("a", "first", "b", ask, "the pages")

    assert (next(pages), asked) == ("first", [])
    assert (list(pages), asked) == (["second", "third"], ["b", "c"])


def test_pages_that_run_in_a_circle_end_with_an_error() -> None:
    following = {"b": ("second", "a"), "a": ("first", "b")}

    with pytest.raises(ProtocolError, match="the pages run in a circle"):
        list(every_page("a", "first", "b", lambda url: following[url], "the pages"))


def test_pages_without_an_end_end_with_an_error() -> None:
    numbers = count(2)
    pages = every_page("1", 1, "2", lambda url: (int(url), str(next(numbers) + 1)), "the pages")

    assert [next(pages) for _ in range(MAX_PAGES)] == list(range(1, MAX_PAGES + 1))
    with pytest.raises(ProtocolError, match="or do not end"):
        next(pages)
