"""`versions` as people and programs call it."""

from __future__ import annotations

from typing import Any

import pytest

Folder = Any  # of this package's conftest


@pytest.fixture
def web(folder: Folder) -> Folder:
    folder.managed("web")
    # The generic registry answers, as it does where no plugin for a host is installed.
    config = (folder.root / "config.yaml").read_text()
    folder.write("config.yaml", f"{config}disabledPlugins: [ghcr]\n")
    for patch in range(35):
        folder.registry.push_image("acme/web", f"1.0.{patch}", seed=f"{patch % 2}")
    folder.registry.push_image("acme/web", "main", seed="main")
    return folder


def test_a_page_is_a_table_with_what_to_copy_and_how_many_there_are(web: Folder) -> None:
    ran = web.run("versions", "web", "--page-size", "10", "--page", "4")

    assert ran.code == 0
    lines = ran.out.splitlines()
    assert lines[0].split() == ["TAG", "DIGEST", "SIZE", "PUBLISHED", "PLATFORMS", "ALSO", "LINK"]
    assert [line.split()[0] for line in lines[1:6]] == ["1.0.4", "1.0.3", "1.0.2", "1.0.1", "1.0.0"]
    assert "copy: ghcr.io/acme/web:1.0.4" in ran.out
    assert "      ghcr.io/acme/web@sha256:" in ran.out
    assert lines[-1] == (
        "35 versions of ghcr.io/acme/web, page 4 of 4; "
        "1 without a tag such as 1.2.3 left out (--no-semver-filter shows them)"
    )


def test_json_is_the_shape_of_the_api(web: Folder) -> None:
    ran = web.run("versions", "web", "--page-size", "2", "--json", "--no-semver-filter")

    assert list(ran.json) == ["versions", "totalCount", "page", "pageSize", "stale"]
    assert (ran.json["totalCount"], ran.json["page"], ran.json["pageSize"], ran.json["stale"]) == (36, 1, 2, False)
    assert [version["tag"] for version in ran.json["versions"]] == ["1.0.34", "1.0.33"]


def test_all_are_on_one_page(web: Folder) -> None:
    assert len(web.run("versions", "web", "--all", "--page", "3", "--json").json["versions"]) == 35


def test_an_outage_warns_and_shows_what_was_known(web: Folder) -> None:
    web.run("versions", "web")
    web.registry.fail_next(429, 100, {"Retry-After": "120"})

    ran = web.run("versions", "web", "--refresh", "--json")

    assert (ran.code, ran.json["stale"]) == (0, True)
    warning, hint = ran.err.splitlines()
    assert warning.startswith("warning: stale, as of")
    assert warning.endswith("may be asked again in 120 s")
    assert hint.startswith("hint: ")


def test_an_outage_at_the_first_time_is_an_error_with_what_to_do(web: Folder) -> None:
    web.registry.stop()

    ran = web.run("versions", "web")

    assert ran.code == 5
    assert "hint:" in ran.err


def test_nothing_published_is_said(web: Folder) -> None:
    web.registry.push_image("acme/other", "main")
    ran = web.run("versions", "ghcr.io/acme/other")

    assert ran.code == 0
    assert ran.out.splitlines() == [
        "0 versions of ghcr.io/acme/other; 1 without a tag such as 1.2.3 left out (--no-semver-filter shows them)"
    ]


@pytest.mark.parametrize("words", [("nobody",), ("web", "--page", "0"), ("web", "--page-size", "101")])
def test_a_wrong_word_is_refused(web: Folder, words: tuple[str, ...]) -> None:
    assert web.run("versions", *words).code == 2
