"""Analysis on a real git repository: what it learns, what it keeps, and that a bad image stops no other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from image_factory.decide.eligibility import Reason
from image_factory.errors import Conflict, NotFound
from image_factory.shell.dockerfile_cache import Reads
from image_factory.testing.image_content import build_image
from image_factory.usecases.analysis_memory import Covered, ask_analysis, local_revisions, recall_analysis
from image_factory.usecases.analyze import Analysis, analyze
from image_factory.usecases.coordinate import coordinate
from image_factory.usecases.dockerfiles import Dockerfiles
from image_factory.usecases.handover import Handover
from image_factory.usecases.observe import record_observed
from image_factory.usecases.outcome import Done, Failed, Skipped, exit_code

if TYPE_CHECKING:
    from .conftest import World
else:
    World = Any


def run(world: World, handover: Handover | None = None) -> Analysis:
    bench = world.bench()
    analysis = analyze(bench, handover)
    bench.store.apply(analysis.changes)
    return analysis


def image(world: World, name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(world.state(f"images/{name}.yaml"))
    return found


def test_bases_of_all_from_lines_are_found_and_get_files(world: World) -> None:
    world.service("web", "FROM node:22 AS build\nFROM nginx:1.27\nCOPY --from=build /a /a\n")
    world.enroll("web")

    analysis = run(world)

    assert analysis.outcomes == (Done("web", ("enrolled as managed", "built on nginx-1-27", "built on node-22")),)
    assert image(world, "web")["baseImages"] == ["nginx-1-27", "node-22"]
    assert yaml.safe_load(world.state("base-images/node-22.yaml"))["allowTags"] == "^22$"


def test_a_second_run_changes_no_byte(world: World) -> None:
    world.service("web", "FROM node:22\n")
    world.enroll("web")
    run(world)
    world.later(days=3)

    analysis = run(world)

    assert analysis.changes == ()
    assert analysis.outcomes == (Skipped("web", "nothing new"),)


@pytest.mark.parametrize("change", ["nothing", "enrollment", "dockerfile", "state"])
def test_what_a_whole_run_keeps_holds_until_something_changes(world: World, change: str) -> None:
    world.service("web", "FROM node:22\n")
    world.enroll("web")
    question = ask_analysis(world.root, {}, world.checkout)
    run(world).keep(question)

    if change == "enrollment":
        world.enroll(world.managed("web", rebuildDelay="3d"))
    elif change == "dockerfile":
        world.service("web", "FROM node:24\n")
    elif change == "state":
        (world.root / "state/base-images/node-22.yaml").unlink()

    found = recall_analysis(question, local_revisions)
    assert (None if found is None else (found.names, found.dockerfiles, found.is_done)) == (
        (("web",), 1, True) if change == "nothing" else None
    )


@pytest.fixture
def half(world: World) -> World:
    """`web`, which is well, and `api`, whose Dockerfile cannot be read."""
    world.service("web", "FROM node:22\n")
    world.service("api", "FROM node:${NOPE}\n")
    world.enroll("web", "api")
    run(world).keep(ask_analysis(world.root, {}, world.checkout))
    return world


def again(world: World) -> tuple[Covered | None, Analysis]:
    """Analyze as the program does: what has changed since the last time, and what failed then."""
    question = ask_analysis(world.root, {}, world.checkout)
    known = recall_analysis(question, local_revisions)
    bench = world.bench()
    analysis = analyze(bench, earlier=known)
    bench.store.apply(analysis.changes)
    analysis.keep(question)
    return known, analysis


def test_only_what_failed_is_tried_again_while_nothing_has_changed(half: World) -> None:
    for _ in range(2):
        known, analysis = again(half)

        assert known is not None
        assert (known.names, known.failed, known.is_done) == (("api", "web"), ("api",), False)
        assert analysis.dockerfiles == Reads(parsed=0, cached=2)
        failed, skipped = analysis.outcomes
        assert isinstance(failed, Failed)
        assert (failed.item, skipped) == ("api", Skipped("web", "nothing new"))
        assert analysis.changes == ()


def test_an_image_that_was_well_is_not_asked_for_again(half: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    read = Dockerfiles.read

    def spy(self: Dockerfiles, enrollments: Any, *, jobs: int) -> Any:
        asked.extend(enrollments)
        return read(self, enrollments, jobs=jobs)

    monkeypatch.setattr(Dockerfiles, "read", spy)
    again(half)

    assert asked == ["api"]


def test_what_failed_and_is_well_now_is_done(half: World) -> None:
    half.service("api", "FROM node:24\n")

    known, analysis = again(half)
    assert known is None, "the branch has moved"
    assert [type(outcome) for outcome in analysis.outcomes] == [Done, Skipped]
    known, analysis = again(half)

    assert known is not None
    assert known.is_done
    assert known.dockerfiles == 2


def test_a_change_of_a_file_that_is_well_makes_all_be_read(half: World) -> None:
    half.service("web", "FROM node:26\n")

    known, analysis = again(half)

    assert known is None
    assert image(half, "web")["baseImages"] == ["node-26"]
    assert analysis.dockerfiles == Reads(parsed=1, cached=1)


def test_a_commit_between_the_look_and_the_reading_is_not_missed(half: World) -> None:
    question = ask_analysis(half.root, {}, half.checkout)
    known = recall_analysis(question, local_revisions)
    assert known is not None
    half.service("web", "FROM node:26\n")  # after the look; what failed is read at this commit
    bench = half.bench()
    analysis = analyze(bench, earlier=known)
    bench.store.apply(analysis.changes)
    analysis.keep(question)

    assert again(half)[0] is None
    assert image(half, "web")["baseImages"] == ["node-26"]


def test_what_is_wrong_with_images_yaml_is_said_again_and_costs_the_others_nothing(world: World) -> None:
    world.service("web", "FROM node:22\n")
    world.enroll("web", {"name": "bad"})
    again(world)

    known, analysis = again(world)

    assert known is not None
    assert (known.failed, known.is_sound) == ((), False)
    assert [problem.message for problem in analysis.problems]
    assert analysis.outcomes == (Skipped("web", "nothing new"),)


def test_a_second_run_reads_no_dockerfile_whose_text_is_known(world: World) -> None:
    world.service("web", "FROM node:22\n")
    world.service("api", "FROM node:24\n")
    world.enroll("web", "api")
    first = run(world)
    first.keep(None)

    world.enroll(world.managed("web", rebuildDelay="3d"), "api")
    second = run(world)
    second.keep(None)
    world.service("web", "FROM node:26\n")
    third = run(world)

    assert [each.dockerfiles for each in (first, second, third)] == [Reads(2, 0), Reads(0, 2), Reads(1, 1)]
    assert image(world, "web")["baseImages"] == ["node-26"]


def test_a_changed_from_line_drops_the_old_base_into_the_archive_and_gains_the_new(world: World) -> None:
    world.service("web", "FROM node:22\n")
    world.enroll("web")
    run(world)
    before = world.state("base-images/node-22.yaml")
    world.service("web", "FROM node:24\n")
    world.later(days=1)

    analysis = run(world)

    assert analysis.outcomes == (Done("web", ("built on node-24", "no longer built on node-22")),)
    assert not (world.root / "state/base-images/node-22.yaml").exists()
    archived = world.state("_archive/base-images/node-22/2026-03-02T120000Z.yaml")
    assert archived.startswith(before.rstrip())
    assert yaml.safe_load(archived)["archive"] == {
        "archivedAt": "2026-03-02T12:00:00Z",
        "reason": "no image is built on it any more",
    }


def test_a_base_that_another_image_uses_stays(world: World) -> None:
    world.service("web", "FROM node:22\n")
    world.service("api", "FROM node:22\n")
    world.enroll("web", "api")
    run(world)
    world.service("web", "FROM node:24\n")

    run(world)

    assert (world.root / "state/base-images/node-22.yaml").exists()


def test_a_missing_dockerfile_fails_its_image_and_keeps_what_was_known(world: World) -> None:
    world.service("web", "FROM node:22\n")
    world.service("api", "FROM python:3.12\n")
    world.enroll("web", "api")
    run(world)
    world.enroll(world.managed("web", source={"dockerfile": "gone/Dockerfile"}), "api")

    analysis = run(world)

    assert exit_code(analysis.outcomes) == 3
    assert [type(outcome) for outcome in analysis.outcomes] == [Skipped, Failed]
    assert image(world, "web")["discoveryStatus"] == "failed"
    assert "gone/Dockerfile" in image(world, "web")["discoveryError"]
    assert image(world, "web")["baseImages"] == ["node-22"]


def test_an_argument_without_a_value_fails_with_its_line_and_is_no_image(world: World) -> None:
    world.service("web", "ARG V\nFROM node:${V}\n")
    world.enroll("web")

    analysis = run(world)

    assert exit_code(analysis.outcomes) != 0
    assert "web/Dockerfile:2: unresolved-arg" in image(world, "web")["discoveryError"]
    assert image(world, "web")["baseImages"] == []


def test_a_build_argument_of_the_enrollment_resolves_it(world: World) -> None:
    world.service("web", "ARG V\nFROM node:${V}\n")
    world.enroll(world.managed("web", source={"buildArgs": {"V": "22"}}))

    run(world)

    assert image(world, "web")["baseImages"] == ["node-22"]


def test_a_repository_that_does_not_answer_leaves_a_new_image_pending(world: World) -> None:
    world.enroll(world.managed("web", source={"repo": "http://127.0.0.1:9/services.git"}))

    analysis = run(world)

    assert isinstance(analysis.outcomes[0], Failed)
    assert image(world, "web")["discoveryStatus"] == "pending"


def test_a_repository_that_does_not_answer_leaves_a_known_image_as_it_is(world: World) -> None:
    world.service("web", "FROM node:22\n")
    world.enroll("web")
    run(world)
    state = image(world, "web")
    entry = world.managed("web", source={"repo": "http://127.0.0.1:9/services.git"})
    world.enroll(entry)

    run(world)

    state["enrollment"]["source"]["repo"] = entry["source"]["repo"]
    assert {**image(world, "web"), "lastDiscovery": None} == {**state, "lastDiscovery": None}


def test_an_external_image_carries_what_to_watch(world: World) -> None:
    world.enroll({"name": "postgres", "repository": "postgres", "allowTags": "^16-alpine$"})

    run(world)

    state = image(world, "postgres")
    assert (state["discoveryStatus"], state["allowTags"], state["repoURL"]) == (
        "external",
        "^16-alpine$",
        "docker.io/library/postgres",
    )


def test_a_managed_image_carries_nothing_to_watch(world: World) -> None:
    world.service("web", "FROM node:22\n")
    world.enroll(world.managed("web", allowTags="^1$"))

    run(world)

    assert not {"repoURL", "allowTags", "imageSelectionStrategy"} & set(image(world, "web"))


def test_an_image_from_scratch_has_no_bases_and_succeeds(world: World) -> None:
    world.service("web", "FROM scratch\nCOPY a /a\n")
    world.enroll("web")

    run(world)

    assert (image(world, "web")["baseImages"], image(world, "web")["discoveryStatus"]) == ([], "success")


def test_a_handover_records_version_digest_and_time_once(world: World) -> None:
    world.service("web", "FROM node:22\n")
    world.enroll("web")
    handover = Handover("web", tag="0.6.3", digest="sha256:abc123")

    run(world, handover)
    world.later(hours=1)
    again = run(world, handover)

    state = image(world, "web")
    assert (state["currentVersion"], state["currentDigest"]) == ("0.6.3", "sha256:abc123")
    assert state["lastBuilt"] == "2026-03-01T12:00:00Z"
    assert again.changes == ()


def test_a_handover_may_name_another_dockerfile(world: World) -> None:
    world.service("web", "FROM node:22\n")
    world.service("other", "FROM python:3.12\n")
    world.enroll("web")

    run(world, Handover("web", dockerfile="other/Dockerfile"))

    assert image(world, "web")["baseImages"] == ["python-3-12"]


def test_a_handover_for_an_image_that_is_not_enrolled_is_an_error(world: World) -> None:
    world.enroll()

    with pytest.raises(NotFound, match=r"no image 'web' in .*images\.yaml"):
        run(world, Handover("web"))


def test_a_dockerfile_for_an_external_image_is_an_error(world: World) -> None:
    world.enroll({"name": "postgres", "repository": "postgres", "tag": "16"})

    with pytest.raises(Conflict, match="is external"):
        run(world, Handover("postgres", dockerfile="Dockerfile"))


def test_a_managed_image_on_a_managed_image_gets_no_base_file(world: World) -> None:
    world.service("platform", "FROM node:22\n")
    world.service("web", "FROM ghcr.io/acme/platform:1.2\n")
    world.enroll("platform", "web")

    run(world)

    assert image(world, "web")["baseImages"] == ["platform"]
    assert sorted(path.name for path in (world.root / "state/base-images").iterdir()) == ["node-22.yaml"]


def test_a_broken_state_file_is_set_aside_and_rebuilt_and_the_others_are_done(world: World) -> None:
    world.service("web", "FROM node:22\n")
    world.service("api", "FROM python:3.12\n")
    world.enroll("web", "api")
    run(world)
    (world.root / "state/images/web.yaml").write_text("name: [broken\n")

    analysis = run(world)

    assert len(analysis.problems) == 1
    assert image(world, "web")["baseImages"] == ["node-22"]
    assert world.state("images/web.yaml.corrupt") == "name: [broken\n"
    assert (world.root / "state/base-images/node-22.yaml").exists()


def test_bad_entries_are_problems_beside_the_good_ones(world: World) -> None:
    world.service("web", "FROM node:22\n")
    world.enroll(
        "web",
        {
            "name": "bad",
            "registry": "ghcr.io",
            "repository": "acme/bad",
            "source": {"repo": "a/b"},
            "rebuildDelay": "7x",
        },
    )

    analysis = run(world)

    assert [str(outcome.item) for outcome in analysis.outcomes] == ["web"]
    assert len(analysis.problems) == 1
    assert "7x" in str(analysis.problems[0])


def test_an_unknown_provider_fails_its_image_with_what_to_install(world: World) -> None:
    world.enroll(world.managed("web", source={"provider": "gitlab", "repo": "acme/web"}))

    (outcome,) = run(world).outcomes

    assert isinstance(outcome, Failed)
    assert outcome.error.hint == "pip install 'image-factory[gitlab]'"


def test_a_plugin_that_raises_fails_its_own_images_and_is_named(world: World) -> None:
    from image_factory.hookspecs import hookimpl

    class Broken:
        name = "broken"

        def clone_url(self, repository: object) -> str:
            raise RuntimeError("boom")

        claims = credentials = revision = references = read = files = web_url = clone_url
        open_change_request = change_request = clone_url

    class Plugin:
        @hookimpl
        def register_sources(self, register: Any) -> None:
            register(Broken())

    world.plugins = {"broken": Plugin()}
    world.service("web", "FROM node:22\n")
    world.enroll("web", world.managed("bad", source={"provider": "broken", "repo": "acme/bad"}))

    bad, web = run(world).outcomes

    assert isinstance(bad, Failed)
    assert "plugin 'broken' failed" in str(bad.error)
    assert isinstance(web, Done)


def test_what_lies_in_the_work_tree_is_read_where_the_folder_is_in_the_source_repository(world: World) -> None:
    from .conftest import git

    git(world.checkout, "remote", "add", "origin", "https://github.example/acme/mono.git")
    (world.checkout / "Dockerfile").write_text("FROM alpine:3.20\n")
    entry = world.managed("web", source={"repo": "https://github.example/acme/mono", "dockerfile": "Dockerfile"})
    world.enroll(entry)

    run(world)

    assert image(world, "web")["baseImages"] == ["alpine-3-20"]


def test_a_link_out_of_the_work_tree_is_refused(world: World) -> None:
    from .conftest import git

    git(world.checkout, "remote", "add", "origin", "https://github.example/acme/mono.git")
    (world.checkout / "Dockerfile").symlink_to("/etc/passwd")
    world.enroll(world.managed("web", source={"repo": "https://github.example/acme/mono", "dockerfile": "Dockerfile"}))

    (outcome,) = run(world).outcomes

    assert isinstance(outcome, Failed)
    assert "leads out of the repository" in str(outcome.error)
    assert "root:" not in str(outcome.error)


def test_an_enrollment_may_point_at_a_bake_target(world: World) -> None:
    from .conftest import git

    world.service("app", "ARG V\nFROM node:${V}\nCOPY --from=assets /a /a\n")
    world.service("assets", "FROM golang:1.23\n")
    (world.services / "docker-bake.hcl").write_text(
        'variable "V" { default = "22" }\n'
        'target "assets" { context = "assets" }\n'
        'target "app" {\n  context = "app"\n  args = { V = V }\n  contexts = { assets = "target:assets" }\n}\n'
        'target "other" { context = "nowhere" }\n'
    )
    git(world.services, "add", ".")
    git(world.services, "commit", "--quiet", "--message", "Bake")
    world.enroll(world.managed("app", source={"dockerfile": "docker-bake.hcl", "target": "app"}))

    run(world)

    state = image(world, "app")
    assert state["discoveryStatus"] == "success", state
    assert state["baseImages"] == ["golang-1-23", "node-22"]
    assert {site["file"] for site in state["references"]} == {"app/Dockerfile", "assets/Dockerfile"}


def test_an_enrollment_may_point_at_a_compose_service(world: World) -> None:
    from .conftest import git

    world.service("app", "FROM node:22 AS final\nFROM redis:7\n")
    (world.services / "compose.yaml").write_text(
        "services:\n  app:\n    build: {context: app, target: final}\n  db:\n    image: postgres:16\n"
    )
    git(world.services, "add", ".")
    git(world.services, "commit", "--quiet", "--message", "Compose")
    world.enroll(world.managed("app", source={"dockerfile": "compose.yaml", "target": "app"}))

    run(world)

    state = image(world, "app")
    assert state["baseImages"] == ["node-22", "redis-7"]
    assert [site.get("reachable", True) for site in state["references"]] == [True, False]


def test_an_image_whose_state_can_be_neither_read_nor_replaced_has_failed(world: World) -> None:
    world.service("web", "FROM node:22\n")
    world.enroll("web")
    (world.root / "state/images/web.yaml").mkdir(parents=True)

    (outcome,) = run(world).outcomes

    assert isinstance(outcome, Failed)
    assert "web.yaml" in str(outcome.error)


def base(world: World, name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(world.state(f"base-images/{name}.yaml"))
    return found


def moved(world: World, name: str, digit: str) -> None:
    """Let a base be seen at another digest."""
    bench = world.bench()
    bench.store.apply(record_observed(bench, name, f"sha256:{digit * 64}").changes)


@pytest.fixture
def waiting(world: World) -> World:
    """`web`, under the default delay of seven days, and a base that has moved on 2 March."""
    world.service("web", "FROM node:22\n")
    world.service("api", "FROM node:22\n")
    world.enroll("web", "api")
    run(world)
    for digit in "ab":
        moved(world, "node-22", digit)
        world.later(days=1)
    assert base(world, "node-22")["rebuildEligibleAt"] == dict.fromkeys(
        ("default", "api", "web"), "2026-03-09T12:00:00Z"
    )
    return world


def test_another_delay_changes_from_when_the_base_s_record_says_an_image_may_be_rebuilt(waiting: World) -> None:
    waiting.enroll(waiting.managed("web", rebuildDelay="2d"), "api")

    run(waiting)

    assert base(waiting, "node-22")["rebuildEligibleAt"] == {
        "default": "2026-03-09T12:00:00Z",
        "api": "2026-03-09T12:00:00Z",
        "web": "2026-03-04T12:00:00Z",
    }


def test_the_mode_of_the_delay_counts_too(waiting: World) -> None:
    moved(waiting, "node-22", "c")

    waiting.enroll(waiting.managed("web", delayMode="first-change", rebuildDelay="1h"), "api")
    run(waiting)

    assert base(waiting, "node-22")["rebuildEligibleAt"]["web"] == "2026-03-02T13:00:00Z"


def test_an_image_that_is_not_built_on_the_base_any_more_has_no_time(waiting: World) -> None:
    waiting.service("web", "FROM node:24\n")

    run(waiting)

    assert set(base(waiting, "node-22")["rebuildEligibleAt"]) == {"default", "api"}


def test_the_times_stay_as_they_are_while_time_goes_by(waiting: World) -> None:
    waiting.later(days=30)

    assert run(waiting).changes == ()


@pytest.mark.parametrize("is_whole", [True, False], ids=["all", "one image"])
def test_an_image_whose_record_cannot_be_read_keeps_its_time(waiting: World, is_whole: bool) -> None:
    (waiting.root / "state/images/api.yaml").write_text("name: [")
    waiting.enroll(waiting.managed("web", rebuildDelay="2d"), "api")

    run(waiting, None if is_whole else Handover("web"))

    assert base(waiting, "node-22")["rebuildEligibleAt"]["api"] == "2026-03-09T12:00:00Z"
    assert base(waiting, "node-22")["rebuildEligibleAt"]["web"] == "2026-03-04T12:00:00Z"


def test_a_broken_record_and_a_failing_dockerfile_cost_no_base_image_its_record(world: World) -> None:
    world.service("web", "FROM node:22\n")
    world.service("api", "FROM redis:7\n")
    world.enroll("web", "api")
    run(world)
    (world.root / "state/images/web.yaml").write_text("name: [")
    world.service("web", "FROM node:${NOPE}\n")

    for _ in range(2):
        analysis = run(world)
        assert {outcome.item for outcome in analysis.outcomes if isinstance(outcome, Failed)} == {"web"}
        assert "web.yaml" in str(analysis.problems[0].location)
    assert base(world, "node-22")["fullImage"] == "docker.io/library/node:22"
    assert not (world.root / "state/_archive").exists()

    world.service("web", "FROM node:22\n")
    run(world)

    assert image(world, "web")["baseImages"] == ["node-22"]
    assert (world.root / "state/images/web.yaml.corrupt").exists()


@pytest.mark.parametrize("built_on", ["the newest", "an older one", "nothing that it says"])
def test_what_was_built_elsewhere_on_a_base_is_not_built_again_for_it(world: World, built_on: str) -> None:
    world.service("web", "FROM node:22\n")
    world.enroll(world.managed("web", rebuildDelay="0"))
    run(world)
    digests = []
    for seed in ("one", "two"):
        digests.append(str(world.registry.push_image("library/node", "22", seed=seed)))
        moved_to(world, "node-22", digests[-1])
        world.later(days=1)
    labels = {
        "the newest": {"org.opencontainers.image.base.digest": digests[1]},
        "an older one": {"org.opencontainers.image.base.digest": digests[0]},
    }
    published = world.registry.push("acme/web", ["1.0.0"], build_image(seed="web", labels=labels.get(built_on, {})))

    run(world, Handover("web", tag="1.0.0", digest=str(published)))

    (decision,) = coordinate(world.bench()).plan.decisions.values()
    # Its owner's CI took what was there, as far as nobody says otherwise: a cached layer may be older than that.
    assert (decision.reason is Reason.UP_TO_DATE) == (built_on != "an older one")


def moved_to(world: World, name: str, digest: str) -> None:
    bench = world.bench()
    bench.store.apply(record_observed(bench, name, digest).changes)


def test_a_registry_that_cannot_tell_of_what_was_handed_over_changes_nothing(world: World) -> None:
    world.service("web", "FROM node:22\n")
    world.enroll("web")

    run(world, Handover("web", tag="1.0.0", digest=f"sha256:{'a' * 64}"))

    assert image(world, "web")["currentVersion"] == "1.0.0"
    assert "metadata" not in image(world, "web")
