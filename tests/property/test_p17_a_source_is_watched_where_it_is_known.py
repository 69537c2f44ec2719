"""P17: a managed Warehouse watches its image's repository and branch, the app's folder, and never state or dist."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("image_factory_synth", reason="image-factory-synth is not installed")
pytest.importorskip("image_factory_gitlab", reason="image_factory_gitlab is not installed")

from image_factory.model.enrollment import Source
from image_factory.model.settings import KargoSettings, Settings
from image_factory_cli.folder import workbench
from image_factory_synth.charts import plan_charts
from image_factory_synth.data import Inventory, ManagedImage
from image_factory_synth.versions import KargoVersion

PLUGINS = workbench(Path(), Settings()).plugins
PATHS = st.from_regex(r"(image-factory/|image-factory/state/)?([a-z]{1,5}/){0,3}Dockerfile", fullmatch=True)


def covers(paths: list[str], path: str) -> bool:
    """Whether Kargo takes a path for one of these: itself, or a folder that it is in."""
    return any(PurePosixPath(path).is_relative_to(each) for each in paths)


@settings(deadline=None, max_examples=100)
@given(
    repo=st.sampled_from(["acme/web", ""]),
    branch=st.sampled_from(["main", "release/1.2"]),
    host=st.sampled_from([None, "gitlab.example.com"]),
    dockerfile=PATHS,
)
def test_p17_the_source_is_watched_and_what_we_write_is_not(
    repo: str, branch: str, host: str | None, dockerfile: str
) -> None:
    source = Source(provider="gitlab", host=host, repo=repo, branch=branch, dockerfile=dockerfile)
    image = ManagedImage(name="web", repo_url="ghcr.io/acme/web", source=source)

    plan = plan_charts(Inventory((image,)), KargoSettings(), KargoVersion(1, 11), providers=PLUGINS)

    ((_, warehouse),) = plan.planned.warehouses
    found = [item["git"] for item in warehouse["spec"]["subscriptions"] if "git" in item]
    assert len(found) == (1 if repo else 0)
    for git in found:
        assert git["repoURL"] == f"https://{host or 'gitlab.com'}/{repo}.git"
        assert git["branch"] == branch
        included, excluded = git.get("includePaths", ["."]), git.get("excludePaths", [])
        assert covers(included, dockerfile)
        for ours in ("image-factory/state/images/web.yaml", "image-factory/dist/image-factory.k8s.yaml"):
            assert not covers(included, ours) or covers(excluded, ours)
