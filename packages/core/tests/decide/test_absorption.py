"""Which digest of a base an image holds, as far as state tells."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from image_factory.decide.absorption import absorbed_digest
from image_factory.model.enrollment import Enrollment
from image_factory.model.image_state import (
    BaseConfiguration,
    BaseHistory,
    BaseRuntime,
    BaseSite,
    BaseState,
    Build,
    DigestUpdate,
    ImageConfiguration,
    ImageHistory,
    ImageRuntime,
    ImageState,
)

START = datetime(2026, 3, 1, tzinfo=UTC)
ENROLLMENT = Enrollment.model_validate(
    {"name": "web", "registry": "ghcr.io", "repository": "acme/web", "source": {"repo": "acme/web"}}
)


def image(*, built_day: int | None = None, builds: tuple[Build, ...] = ()) -> ImageState:
    built = None if built_day is None else START + timedelta(days=built_day)
    return ImageState(
        configuration=ImageConfiguration(name="web", enrollment=ENROLLMENT, base_images=("node",)),
        runtime=ImageRuntime(last_built=built),
        history=ImageHistory(rebuild_history=builds),
    )


def base(*days: int, first: str | None = None) -> BaseState:
    updates = [
        DigestUpdate(
            at=START + timedelta(days=day), old_digest=f"d{number - 1}" if number else first, new_digest=f"d{number}"
        )
        for number, day in enumerate(days)
    ]
    return BaseState(
        configuration=BaseConfiguration(
            name="node", full_image="docker.io/library/node:22", registry="docker.io", repository="library/node"
        ),
        runtime=BaseRuntime(current_digest=updates[-1].new_digest if updates else "now"),
        history=BaseHistory(update_history=tuple(updates)),
    )


def build(result: str, **cause: Any) -> Build:
    return Build(at=START, reason="base moved", trigger="run", result=result, causes=(cause,))


@pytest.mark.parametrize(
    ("state", "seen", "expected"),
    [
        pytest.param(image(), base(0, 2, 4), "d0", id="never built here: what we first saw"),
        pytest.param(image(), base(2, 4, first="older"), "older", id="the first entry's old digest, where it has one"),
        pytest.param(image(built_day=3), base(0, 2, 4), "d1", id="built: what the base pointed at then"),
        pytest.param(image(built_day=2), base(0, 2, 4), "d1", id="built at the instant of a move"),
        pytest.param(image(built_day=-5), base(0, 2), "d0", id="built before our first sight"),
        pytest.param(image(), base(), "now", id="no history: what it points at"),
        pytest.param(
            image(built_day=3, builds=(build("succeeded", base="node", to="d9"),)),
            base(0, 2),
            "d9",
            id="a rebuild's record comes first",
        ),
        pytest.param(
            image(built_day=3, builds=(build("failed", base="node", to="d9"),)),
            base(0, 2),
            "d1",
            id="a rebuild that failed took nothing in",
        ),
        pytest.param(
            image(built_day=3, builds=(build("succeeded", base="other", to="d9"),)),
            base(0, 2),
            "d0",
            id="a rebuild for another base was told to keep this one as it was",
        ),
    ],
)
def test_an_image_holds_what_its_records_tell(state: ImageState, seen: BaseState, expected: str) -> None:
    assert absorbed_digest(state, seen) == expected


def ours(day: float, end: float, **cause: Any) -> Build:
    at, finished = START + timedelta(days=day), START + timedelta(days=end)
    return Build(
        at=at, reason="due", trigger="policy", result="succeeded", finished_at=finished, digest="ours", causes=(cause,)
    )


def published(day: float, digest: str = "theirs") -> DigestUpdate:
    return DigestUpdate(at=START + timedelta(days=day), old_digest="x", new_digest=digest, source="build")


@pytest.mark.parametrize(
    ("builds", "updates", "expected"),
    [
        pytest.param([], [published(3)], "d1", id="built by its owner: what the base pointed at then"),
        pytest.param(
            [ours(3, 3.1, base="other", to="o1")],
            [published(3.1, "ours")],
            "d0",
            id="ours, for another base: as before",
        ),
        pytest.param(
            [ours(3, 3.1, base="other", to="o1")],
            [published(2.5), published(3.1, "ours")],
            "d1",
            id="ours, for another base, after one of its owner's",
        ),
        pytest.param(
            [ours(1, 3, base="other", to="o1")],
            [published(2.5), published(3, "ours")],
            "d0",
            id="ours, asked for before its owner's and finished after",
        ),
        pytest.param(
            [ours(3, 3.1, base="node", to="d1")],
            [published(3.1, "ours"), published(5)],
            "d2",
            id="its owner's, after ours for this base",
        ),
    ],
)
def test_ours_are_told_what_to_take_and_its_owners_take_what_there_is(
    builds: list[Build], updates: list[DigestUpdate], expected: str
) -> None:
    state = image()
    history = ImageHistory(rebuild_history=tuple(builds), update_history=tuple(updates))
    runtime = ImageRuntime(last_built=updates[-1].at, current_digest=updates[-1].new_digest)

    found = absorbed_digest(state.model_copy(update={"history": history, "runtime": runtime}), base(0, 2, 4))

    assert found == expected


def test_a_rebuild_that_published_on_the_wrong_base_has_taken_nothing_in() -> None:
    failed = build("failed", base="node", to="d1").model_copy(update={"digest": "ours", "at": START})
    state = image(built_day=9, builds=(failed,))
    update = DigestUpdate(at=START + timedelta(days=9), old_digest=None, new_digest="ours", source="build")
    runtime = state.runtime.model_copy(update={"current_digest": "ours"})
    history = state.history.model_copy(update={"update_history": (update,)})

    assert absorbed_digest(state.model_copy(update={"runtime": runtime, "history": history}), base(0, 5)) == "d0"


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        pytest.param({"base": "platform", "to": "d1"}, "d1", id="under the name of the managed image that it was"),
        pytest.param({"base": "platform", "to": "other"}, "d0", id="what it took of another that is gone"),
        pytest.param({"base": "debian", "to": "d1"}, "d0", id="what it took of another that has the same digest"),
    ],
)
def test_a_base_that_has_another_name_now_is_known_by_its_digests(cause: dict[str, Any], expected: str) -> None:
    known = image(builds=(build("succeeded", **cause),))
    both = known.configuration.model_copy(update={"base_images": ("debian", "node")})

    assert absorbed_digest(known.model_copy(update={"configuration": both}), base(0, 1, 2)) == expected


def labelled(digest: str, *, role: str = "final", builds: tuple[Build, ...] = ()) -> ImageState:
    known = image(built_day=9, builds=builds)
    site = BaseSite(name="node", reference="docker.io/library/node:22", role=role, file="Dockerfile", line=1)
    configuration = known.configuration.model_copy(update={"references": (site,)})
    metadata = {"labels": {"org.opencontainers.image.base.digest": digest}}
    runtime = known.runtime.model_copy(update={"metadata": metadata})
    return known.model_copy(update={"configuration": configuration, "runtime": runtime})


@pytest.mark.parametrize(
    ("digest", "expected"),
    [
        pytest.param("d0", "d0", id="an older one than it could have taken"),
        pytest.param("d2", "d2", id="the newest"),
        pytest.param("amd64-1", "d1", id="one platform of an index"),
        pytest.param("never-seen", "d2", id="one that we never saw says nothing: what was there when it was built"),
    ],
)
def test_the_image_s_own_label_is_believed_first(digest: str, expected: str) -> None:
    node = base(0, 1, 2)
    updates = tuple(
        update.model_copy(update={"platforms": {"linux/amd64": f"amd64-{update.new_digest[1:]}"}})
        for update in node.history.update_history
    )
    node = node.model_copy(update={"history": node.history.model_copy(update={"update_history": updates})})

    assert absorbed_digest(labelled(digest), node) == expected


def test_the_label_is_about_the_last_stage_s_base_alone() -> None:
    assert absorbed_digest(labelled("d0", role="stage"), base(0, 1, 2)) == "d2"
