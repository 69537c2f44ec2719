"""P17: a managed Warehouse watches its image's repository and branch: the app's folder, and the one that enrolls it.

Never state or dist, in whatever repository the folder lies: a commit of the factory's own makes no Freight.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("image_factory_synth", reason="image-factory-synth is not installed")
pytest.importorskip("image_factory_github", reason="image_factory_github is not installed")
pytest.importorskip("image_factory_gitlab", reason="image_factory_gitlab is not installed")

from image_factory.model.enrollment import Source
from image_factory.model.settings import KargoSettings, Settings
from image_factory_cli.folder import workbench
from image_factory_synth.charts import plan_charts
from image_factory_synth.data import Inventory, ManagedImage
from image_factory_synth.versions import KNOWN, KargoVersion

PLUGINS = workbench(Path(), Settings()).plugins
FOLDERS = st.sampled_from(["image-factory", "platform/images", "."])
DOCKERFILES = st.one_of(
    st.from_regex(r"([a-z]{1,5}/){0,3}Dockerfile", fullmatch=True),
    st.sampled_from(["image-factory/Dockerfile", "image-factory/state/Dockerfile", "image-factory-ui/Dockerfile"]),
)
PATHS = st.lists(st.sampled_from(["libs", "libs/a.txt", "image-factory", "image-factory/state", "."]), max_size=2)
REPOSITORIES = {
    "github": {None: "https://github.com", "ghe.example.com": "https://ghe.example.com"},
    "gitlab": {None: "https://gitlab.com", "code.example.com": "https://code.example.com"},
}


@st.composite
def sources(draw: st.DrawFn) -> tuple[Source, str]:
    """A source, and the URL that it is cloned from."""
    provider = draw(st.sampled_from(sorted(REPOSITORIES)))
    host = draw(st.sampled_from(list(REPOSITORIES[provider])))
    repo = draw(st.sampled_from(["acme/web", "acme/mono", ""]))
    source = Source(
        provider=provider,
        host=host,
        repo=repo,
        branch=draw(st.sampled_from(["main", "release/1.2"])),
        dockerfile=draw(DOCKERFILES),
        paths=tuple(draw(PATHS)),
    )
    return source, f"{REPOSITORIES[provider][host]}/{repo}.git"


def takes(subscription: dict[str, Any], path: str) -> bool:
    """Whether a commit that changes one file makes Freight: it is included, and not excluded."""

    def covered(key: str) -> bool:
        return any(each == "." or PurePosixPath(path).is_relative_to(each) for each in subscription.get(key, []))

    return covered("includePaths") and not covered("excludePaths")


@settings(deadline=None, max_examples=100)
@given(
    found=sources(),
    folder=FOLDERS,
    state=st.sampled_from([None, "https://github.com/acme/mono", "https://git.example.com/acme/state.git"]),
    version=st.sampled_from(KNOWN),
)
def test_p17_the_source_and_its_enrollment_are_watched_and_what_we_write_is_not(
    found: tuple[Source, str], folder: str, state: str | None, version: KargoVersion
) -> None:
    source, url = found
    image = ManagedImage(name="web", repo_url="ghcr.io/acme/web", source=source)
    cluster = KargoSettings(
        state_repository=state, state_branch="prod", state_path=folder, job_image=state and "ghcr.io/acme/tool:1"
    )

    plan = plan_charts(Inventory((image,)), cluster, version, providers=PLUGINS)

    assert plan.planned.outcomes == ()
    ((_, warehouse),) = plan.planned.warehouses
    watched = [item["git"] for item in warehouse["spec"]["subscriptions"] if "git" in item]
    elsewhere = bool(source.repo) and state is not None and url.removesuffix(".git") != state.removesuffix(".git")
    wanted = [(url, source.branch)] if source.repo else []
    assert [(git["repoURL"], git["branch"]) for git in watched] == [*wanted, *([(state, "prod")] if elsewhere else [])]
    inside = PurePosixPath(folder)
    for git in watched:
        assert takes(git, str(inside / "images.yaml"))
        for ours in ("state/images/web.yaml", "state/rebuild-requests/web.yaml", "dist/image-factory.k8s.yaml"):
            assert not takes(git, str(inside / ours))
    for git in watched[:1]:
        beside = str(PurePosixPath(source.dockerfile).parent / "main.py")
        is_ours = any(PurePosixPath(beside).is_relative_to(inside / each) for each in ("state", "dist"))
        assert takes(git, beside) != is_ours
        assert all(takes(git, f"{path}/a") for path in source.paths if path.startswith("libs"))
    for git in watched[1:]:
        assert folder == "." or not takes(git, "apps/elsewhere/main.py")
