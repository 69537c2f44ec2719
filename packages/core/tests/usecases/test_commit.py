"""One run, one commit, of exactly what it wrote."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest

from image_factory.errors import Conflict, NotFound
from image_factory.shell.git import Checkout
from image_factory.shell.store import Overtaken
from image_factory.shell.unfinished import read_unfinished
from image_factory.usecases.analyze import analyze
from image_factory.usecases.commit import Batch, changed_names, until_settled, write_and_commit
from image_factory.usecases.handover import Handover
from image_factory.usecases.outcome import Done, Outcome, Skipped

if TYPE_CHECKING:
    from .conftest import World
else:
    World = Any


def run(world: World, **options: Any) -> Any:
    bench = world.bench()
    return write_and_commit(bench, analyze(bench).changes, subject="Analyze web", body=["web: new"], **options)


@pytest.fixture
def ready(world: World) -> World:
    world.service("web", "FROM node:22\nFROM nginx:1\nFROM redis:7\n")
    world.enroll("web")
    return world


def test_all_files_of_a_run_are_in_one_commit_by_the_bot(ready: World) -> None:
    from .conftest import git

    made = run(ready)

    assert made.commit == git(ready.checkout, "rev-parse", "HEAD").strip()
    assert git(ready.checkout, "log", "--format=%an|%s|%b").strip() == "Image Factory Bot|Analyze web|web: new"
    files = git(ready.checkout, "show", "--name-only", "--format=").split()
    assert len(files) == 4
    assert all(file.startswith("image-factory/state/") for file in files)


def test_a_run_without_changes_makes_no_commit(ready: World) -> None:
    from .conftest import git

    run(ready)

    assert run(ready).reason == "nothing changed"
    assert git(ready.checkout, "rev-list", "--count", "HEAD").strip() == "1"


def test_left_uncommitted_the_files_are_written_all_the_same(ready: World) -> None:
    assert run(ready, commit=False).commit is None
    assert (ready.root / "state/images/web.yaml").exists()


def test_outside_a_checkout_the_files_are_written_and_it_is_said(ready: World) -> None:
    import shutil

    shutil.rmtree(ready.checkout / ".git")

    assert run(ready).reason == "the folder lies in no git checkout"
    assert (ready.root / "state/images/web.yaml").exists()


def test_a_push_brings_the_commit_to_the_remote(ready: World, tmp_path: Any) -> None:
    from .conftest import git

    bare = tmp_path / "remote.git"
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(bare))
    git(ready.checkout, "remote", "add", "origin", str(bare))

    made = run(ready, push=True)

    assert made.pushed
    assert git(bare, "rev-parse", "main").strip() == made.commit


def test_what_a_killed_run_wrote_is_committed_by_the_next_one(ready: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from .conftest import git

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Checkout, "commit", killed)
    with pytest.raises(KeyboardInterrupt):
        run(ready)
    monkeypatch.undo()

    made = run(ready)

    assert made.commit == git(ready.checkout, "rev-parse", "HEAD").strip()
    assert git(ready.checkout, "log", "--format=%s|%b").strip() == "Analyze web|web: new"
    assert len(git(ready.checkout, "show", "--name-only", "--format=").split()) == 4
    assert run(ready).reason == "nothing changed"


def test_what_could_not_be_pushed_is_pushed_by_the_next_run_that_pushes(ready: World, tmp_path: Any) -> None:
    from .conftest import git

    with pytest.raises(NotFound, match="no remote 'origin'"):
        run(ready, push=True)
    bare = tmp_path / "remote.git"
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(bare))
    git(ready.checkout, "remote", "add", "origin", str(bare))
    run(ready)

    made = run(ready, push=True)

    assert made.pushed
    assert git(bare, "rev-parse", "main").strip() == git(ready.checkout, "rev-parse", "HEAD").strip()
    assert git(bare, "rev-list", "--count", "main").strip() == "1"
    assert run(ready, push=True).reason == "nothing changed"


def test_a_run_that_lost_a_race_leaves_nothing_to_finish(ready: World) -> None:
    bench = ready.bench()
    changes = analyze(bench).changes
    run(ready)
    (ready.root / "state/images/web.yaml").write_text("name: web\n")

    with pytest.raises(Conflict, match="was changed while this run worked on it"):
        write_and_commit(bench, changes, subject="Analyze web")

    assert read_unfinished(ready.root) is None


def test_of_two_that_found_the_same_base_both_land(ready: World, tmp_path: Any) -> None:
    """Two jobs on clones of one repository, a minute apart, with a base in common that is new to both."""
    from .conftest import git

    bare = tmp_path / "remote.git"
    ready.service("api", "FROM node:22\n")
    ready.enroll("web", "api")
    git(ready.checkout, "add", ".")
    git(ready.checkout, "commit", "--quiet", "--message", "Enroll")
    git(tmp_path, "clone", "--quiet", "--bare", str(ready.checkout), str(bare))
    git(tmp_path, "clone", "--quiet", str(bare), str(tmp_path / "other"))
    other = replace(ready, checkout=tmp_path / "other", now=ready.now + timedelta(minutes=1))
    git(ready.checkout, "remote", "add", "origin", str(bare))

    def learn(world: World, name: str) -> Any:
        bench = world.bench()
        return write_and_commit(bench, analyze(bench, Handover(name)).changes, subject=f"Analyze {name}", push=True)

    learn(ready, "web")
    with pytest.raises(Overtaken, match="node-22"):
        learn(other, "api")
    assert git(other.checkout, "status", "--short").strip() == ""
    assert git(other.checkout, "rev-parse", "HEAD") == git(bare, "rev-parse", "main")
    assert read_unfinished(other.root) is None

    made = until_settled(lambda: learn(other, "api"), sleep=lambda _: None)

    assert git(bare, "rev-parse", "main").strip() == made.commit
    assert git(bare, "log", "--format=%s").splitlines() == ["Analyze api", "Analyze web", "Enroll"]


def test_what_the_user_has_changed_is_not_taken_back(ready: World, tmp_path: Any) -> None:
    from .conftest import git

    bare = tmp_path / "remote.git"
    git(ready.checkout, "add", ".")
    git(ready.checkout, "commit", "--quiet", "--message", "Enroll")
    git(tmp_path, "clone", "--quiet", "--bare", str(ready.checkout), str(bare))
    git(tmp_path, "clone", "--quiet", str(bare), str(tmp_path / "other"))
    other = replace(ready, checkout=tmp_path / "other", now=ready.now + timedelta(minutes=1))
    git(ready.checkout, "remote", "add", "origin", str(bare))
    (ready.checkout / "notes").write_text("the remote's\n")
    git(ready.checkout, "add", ".")
    git(ready.checkout, "commit", "--quiet", "--message", "Notes")
    run(ready, push=True)
    (other.checkout / "notes").write_text("the user's own\n")

    with pytest.raises(Conflict, match="in different ways") as caught:
        run(other, push=True)

    assert not isinstance(caught.value, Overtaken)
    assert (other.checkout / "notes").read_text() == "the user's own\n"
    assert git(other.checkout, "log", "-1", "--format=%s").strip() == "Analyze web"


def test_work_is_done_again_until_nobody_overtakes_it() -> None:
    tries: list[int] = []

    def work() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise Overtaken("others were first")
        return "done"

    assert until_settled(work, sleep=lambda _: None) == "done"
    tries.clear()
    with pytest.raises(Overtaken):
        until_settled(work, attempts=2, sleep=lambda _: None)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        pytest.param(0, "images", id="nothing changed"),
        pytest.param(2, "i0, i1", id="a few are named"),
        pytest.param(6, "i0, i1, i2, i3 and 2 more", id="of many the first are"),
    ],
)
def test_a_commit_s_first_line_names_what_changed(count: int, expected: str) -> None:
    outcomes: list[Outcome] = [Done(f"i{number}") for number in range(count)]

    assert changed_names([*outcomes, Skipped("same", "nothing new")]) == expected


def test_the_steps_of_a_batch_make_one_commit(ready: World) -> None:
    from .conftest import git

    bench = ready.bench()
    batch = Batch(bench)
    batch.write(analyze(bench).changes, ["web: new"])
    batch.write(bench.store.plan_text(PurePosixPath("outbox/run-1.yaml"), "a: b\n"), ["a notice"])
    made = batch.commit("Run: analyze 1")

    assert made.commit == git(ready.checkout, "rev-parse", "HEAD").strip()
    assert git(ready.checkout, "log", "--format=%s|%b").strip() == "Run: analyze 1|web: new\na notice"
    assert len(git(ready.checkout, "show", "--name-only", "--format=").split()) == 5
    assert read_unfinished(ready.root) is None


def test_a_batch_that_is_stopped_between_its_steps_is_finished_by_the_next(ready: World) -> None:
    from .conftest import git

    bench = ready.bench()
    Batch(bench).write(analyze(bench).changes, ["web: new"])

    later = Batch(ready.bench())
    assert not later.is_empty
    later.write(bench.store.plan_text(PurePosixPath("outbox/run-1.yaml"), "a: b\n"))
    later.commit("Run: finish")

    assert len(git(ready.checkout, "show", "--name-only", "--format=").split()) == 5
    assert Batch(ready.bench()).is_empty


def test_a_batch_without_changes_is_empty(ready: World) -> None:
    batch = Batch(ready.bench())
    batch.write(())

    assert batch.is_empty
    assert batch.commit("Run").commit is None


def test_a_step_that_is_overtaken_leaves_the_steps_before_it_noted(ready: World) -> None:
    bench = ready.bench()
    batch = Batch(bench)
    batch.write(analyze(bench).changes)
    noted = read_unfinished(ready.root)
    stale = bench.store.plan_text(PurePosixPath("outbox/run-1.yaml"), "a: b\n")
    (ready.root / "state" / "outbox").mkdir()
    (ready.root / "state" / "outbox" / "run-1.yaml").write_text("c: d\n")

    with pytest.raises(Overtaken):
        batch.write(stale)

    assert read_unfinished(ready.root) == noted
