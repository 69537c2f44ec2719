from __future__ import annotations

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

WATCH = SourceWatch(workbench(Path(), Settings()).plugins, "image-factory", ("state", "dist"))


def subscription(**values: Any) -> GitSubscription | None:
    source = Source(**{"repo": "acme/web", **values})
    return WATCH.of(ManagedImage(name="web", repo_url="ghcr.io/acme/web", source=source))


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
    found = subscription(branch="develop", **given)

    assert found is not None
    assert (found.repo_url, found.branch) == (url, "develop")


@pytest.mark.parametrize(
    ("dockerfile", "paths", "included", "excluded"),
    [
        ("apps/uv/Dockerfile", (), ("apps/uv",), ()),
        ("apps/uv/Dockerfile", ("libs/b", "libs/a"), ("apps/uv", "libs/a", "libs/b"), ()),
        ("Dockerfile", ("libs",), (), ("image-factory/state", "image-factory/dist")),
        ("image-factory/Dockerfile", (), ("image-factory",), ("image-factory/state", "image-factory/dist")),
        ("image-factory-ui/Dockerfile", (), ("image-factory-ui",), ()),
    ],
    ids=[
        "the Dockerfile's folder",
        "and the paths that it needs",
        "a Dockerfile at the root is made of everything but ours",
        "a folder that holds ours",
        "a folder of a longer name",
    ],
)
def test_what_makes_the_image_is_watched_and_what_we_write_never(
    dockerfile: str, paths: tuple[str, ...], included: tuple[str, ...], excluded: tuple[str, ...]
) -> None:
    found = subscription(dockerfile=dockerfile, paths=paths)

    assert found is not None
    assert (found.include_paths, found.exclude_paths) == (included, excluded)


@pytest.mark.parametrize(
    "given",
    [{"repo": ""}, {"provider": "git", "repo": "/srv/git/web"}],
    ids=["no repository", "a folder of this machine"],
)
def test_without_a_repository_that_a_cluster_reaches_nothing_is_watched(given: dict[str, Any]) -> None:
    assert subscription(**given) is None


def test_an_unknown_provider_is_an_error() -> None:
    with pytest.raises(UnknownPlugin):
        subscription(provider="forge")
