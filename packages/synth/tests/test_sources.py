from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from image_factory.errors import UnknownPlugin
from image_factory.model.enrollment import Source
from image_factory.model.settings import Settings
from image_factory_synth.data import ManagedImage
from image_factory_synth.records import GitSubscription
from image_factory_synth.sources import SourceWatch

pytest.importorskip("image_factory_cli", reason="image_factory_cli is not installed")
pytest.importorskip("image_factory_github", reason="image_factory_github is not installed")
pytest.importorskip("image_factory_gitlab", reason="image_factory_gitlab is not installed")

from image_factory_cli.folder import workbench

PLUGINS = workbench(Path(), Settings()).plugins
OURS = ("state", "dist")
WATCH = SourceWatch(PLUGINS, "image-factory", OURS)
PLATFORM = "https://github.com/acme/platform.git"


def subscriptions(watch: SourceWatch = WATCH, **values: Any) -> tuple[GitSubscription, ...]:
    source = Source(**{"repo": "acme/web", **values})
    return watch.of(ManagedImage(name="web", repo_url="ghcr.io/acme/web", source=source))


@pytest.mark.parametrize(
    ("given", "url"),
    [
        pytest.param({}, "https://github.com/acme/web.git", id="GitHub"),
        pytest.param({"provider": "gitlab", "repo": "a/b/c"}, "https://gitlab.com/a/b/c.git", id="GitLab"),
        pytest.param(
            {"provider": "gitlab", "host": "gitlab.example.com"},
            "https://gitlab.example.com/acme/web.git",
            id="a GitLab of one's own",
        ),
        pytest.param(
            {"provider": "git", "repo": "https://git.example.com/x.git"}, "https://git.example.com/x.git", id="any git"
        ),
    ],
)
def test_the_provider_says_where_to_clone_from(given: dict[str, Any], url: str) -> None:
    (found,) = subscriptions(branch="develop", **given)

    assert (found.repo_url, found.branch) == (url, "develop")


STATE, DIST = "image-factory/state/", "image-factory/dist/"


@pytest.mark.parametrize(
    ("dockerfile", "paths", "included"),
    [
        ("apps/uv/Dockerfile", (), ("apps/uv/", "image-factory/")),
        ("apps/uv/Dockerfile", ("libs/b", "libs/a"), ("apps/uv/", "image-factory/", "libs/a", "libs/b")),
        ("Dockerfile", ("libs",), (".", "image-factory/", "libs")),
        ("image-factory/Dockerfile", (), ("image-factory/",)),
        ("image-factory-ui/Dockerfile", (), ("image-factory-ui/", "image-factory/")),
        ("image-factory/state/Dockerfile", (), ("image-factory/", "image-factory/state/")),
    ],
    ids=[
        "the Dockerfile's folder",
        "and the paths that it needs",
        "a Dockerfile at the root is made of everything",
        "the folder itself",
        "a folder of a longer name",
        "a Dockerfile where only we write",
    ],
)
def test_what_makes_the_image_and_what_enrolls_it_is_watched_and_what_we_write_never(
    dockerfile: str, paths: tuple[str, ...], included: tuple[str, ...]
) -> None:
    (found,) = subscriptions(dockerfile=dockerfile, paths=paths)

    assert (found.include_paths, found.exclude_paths) == (included, (STATE, DIST))


def test_a_folder_in_another_repository_has_a_subscription_of_its_own() -> None:
    source, folder = subscriptions(replace(WATCH, repository=PLATFORM, branch="prod"), dockerfile="a/Dockerfile")

    assert source.repo_url == "https://github.com/acme/web.git"
    assert folder == GitSubscription(
        repo_url=PLATFORM,
        branch="prod",
        include_paths=("image-factory/",),
        exclude_paths=(STATE, DIST),
        discovery_limit=1,
    )


@pytest.mark.parametrize(
    "url", ["https://github.com/acme/web.git", "https://GitHub.com/Acme/web", "ssh://git@github.com/acme/web.git/"]
)
def test_a_folder_in_the_source_s_repository_is_watched_there(url: str) -> None:
    assert len(subscriptions(replace(WATCH, repository=url))) == 1


def test_a_folder_that_is_its_whole_repository_is_watched_but_for_what_we_write() -> None:
    _, folder = subscriptions(SourceWatch(PLUGINS, ".", OURS, PLATFORM))

    assert (folder.include_paths, folder.exclude_paths) == ((".",), ("state/", "dist/"))


@pytest.mark.parametrize(
    "given",
    [{"repo": ""}, {"provider": "git", "repo": "/srv/git/web"}],
    ids=["no repository", "a folder of this machine"],
)
def test_without_a_repository_that_a_cluster_reaches_nothing_is_watched(given: dict[str, Any]) -> None:
    assert subscriptions(replace(WATCH, repository=PLATFORM), **given) == ()


def test_an_unknown_provider_is_an_error() -> None:
    with pytest.raises(UnknownPlugin):
        subscriptions(provider="forge")
