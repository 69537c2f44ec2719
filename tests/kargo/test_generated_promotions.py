"""What Kargo does by our stages is what the embedded engine does: the same builds, the same files.

The manifests are those of the real command, the stages run by Kargo's own code, and what comes of them is held
against our own: the inputs of a build, and the text of a consumer's file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.kargo.judge import Judge
from tests.kargo.world import GITHUB_TOKEN, GITLAB_TOKEN, World, begun_world

pytest.importorskip("image_factory_github", reason="image_factory_github is not installed")
pytest.importorskip("image_factory_gitlab", reason="image_factory_gitlab is not installed")
pytest.importorskip("image_factory_yaml", reason="image_factory_yaml is not installed")
pytest.importorskip("image_factory_kustomize", reason="image_factory_kustomize is not installed")
pytest.importorskip("image_factory_helm", reason="image_factory_helm is not installed")

from image_factory.decide.build_inputs import IMAGE
from image_factory.model.enrollment import Enrollment
from image_factory.model.image_state import BaseSite, ImageConfiguration, ImageState
from image_factory.model.request import PinnedDigest, RebuildCause, RebuildRequest
from image_factory.model.settings import Settings
from image_factory.state.record_codec import dump_record
from image_factory.usecases.trigger import prepare_build
from image_factory_cli.folder import workbench

QUICK = (Phase.explicit, Phase.reuse, Phase.generate)
"""A promotion takes a quarter of a second: what fails is shown as it was found."""
Documents = list[dict[str, Any]]
BASES = {
    "alpine-3-22": "docker.io/library/alpine:3.22",
    "node-22": "docker.io/library/node:22",
    "our-base": "registry.example.com:5000/acme/base:1.0",
}
PINNED = st.builds(
    PinnedDigest,
    reference=st.sampled_from(sorted(BASES.values())),
    digest=st.integers(0, 15).map(lambda number: "sha256:" + f"{number:x}" * 64),
    role=st.sampled_from(["", "final", "copied"]),
)


@st.composite
def requests(draw: st.DrawFn) -> RebuildRequest:
    """Any request of `web` that the coordination could write; a cause is one of what it is built with."""
    unlike = (lambda pinned: pinned.reference, lambda pinned: pinned.digest)
    digests = draw(st.lists(PINNED, max_size=3, unique_by=unlike))
    moved = draw(st.lists(st.sampled_from(digests), unique=True)) if digests else []
    names = {reference: name for name, reference in BASES.items()}
    return RebuildRequest(
        name="web",
        request_id=draw(
            st.one_of(
                st.sampled_from(["web-20260301T120000Z-1a2b3c4d", "12", "1e3", "true", "null", "0x1f"]),
                st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,30}", fullmatch=True),
            )
        ),
        requested_at=datetime(2026, 5, 1, tzinfo=UTC),
        reason="due",
        triggered_by=draw(st.sampled_from(["policy", "cli", "emergency"])),
        version_bump=draw(st.sampled_from(["patch", "minor", "major"])),
        digests=tuple(digests),
        causes=tuple(
            RebuildCause.model_validate({"base": names[pinned.reference], "from": None, "to": pinned.digest})
            for pinned in moved
        ),
    )


@contextmanager
def enrolled(folder: Path, provider: str, **fields: Any) -> Iterator[tuple[World, Documents]]:
    """A world in which `web` is enrolled, and what `synth` makes of it."""
    with begun_world(folder) as world:
        world.gitlab.trigger_tokens["acme/web"] = world.secrets["gitlab-trigger"]["token"]
        entry = world.managed("web", "FROM alpine:3.22\n", provider=provider, **fields)
        world.enroll(entry)
        yield world, [each for each in yaml.safe_load_all(world.manifests()) if each]


def one(documents: Documents, kind: str, name: str) -> dict[str, Any]:
    (found,) = [each for each in documents if each["kind"] == kind and each["metadata"]["name"].startswith(name)]
    return found


def promoted(
    judge: Judge, world: World, documents: Documents, stage: str, freight: Mapping[str, Any]
) -> dict[str, Any]:
    found = one(documents, "Stage", stage)
    origin = found["spec"]["requestedFreight"][0]["origin"]
    return judge.promote(
        found,
        {"metadata": {"name": "f1"}, "origin": origin, **freight},
        tasks=[each for each in documents if each["kind"] == "PromotionTask"],
        warehouses=[one(documents, "Warehouse", origin["name"])],
        secrets=world.secrets,
        credentialsOverHTTP=True,
    )


@pytest.mark.parametrize("provider", ["github", "gitlab"])
def test_a_request_starts_the_build_that_the_embedded_engine_would_start(
    judge: Judge, provider: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", GITHUB_TOKEN)
    monkeypatch.setenv("GITLAB_TOKEN", GITLAB_TOKEN)
    with enrolled(tmp_path, provider) as (world, documents):
        ours = workbench(tmp_path, Settings.model_validate(world.config))
        enrollment = Enrollment.model_validate(world.enrolled[0])
        sites = tuple(
            BaseSite(name=name, reference=reference, role="final", file="Dockerfile", line=1)
            for name, reference in BASES.items()
        )
        state = ImageState(configuration=ImageConfiguration(name="web", enrollment=enrollment, references=sites))

        is_asked = provider == "gitlab"

        @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), phases=QUICK)
        @given(requests())
        def held_to_one_result(request: RebuildRequest) -> None:
            before = len(world.builds)
            commit = world.commit({"state/rebuild-requests/web.yaml": dump_record(request)}, "Request")
            commits = [{"repoURL": world.state_url, "id": commit, "branch": "main"}]

            answer = promoted(judge, world, documents, "rebuild-trigger-web", {"commits": commits})

            assert answer["phase"] == "Succeeded", answer
            (started,) = world.builds[before:]
            # Who promotes cannot ask whether a workflow declares the image's name, and has no way to leave an empty
            # base image out.
            told, expected = (
                {name: value for name, value in inputs.items() if value and (name != IMAGE or is_asked)}
                for inputs in (started.inputs, prepare_build(ours, request, enrollment, state).request.inputs)
            )
            assert told == expected

        held_to_one_result()
