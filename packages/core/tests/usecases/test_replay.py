"""Replay: over a state repository, beside the policy that it was made under; git remembers what files forget."""

from __future__ import annotations

import shutil
import subprocess
from copy import copy, deepcopy
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from image_factory.errors import NotFound, UserError
from image_factory.model.image_state import BaseState, DigestUpdate
from image_factory.model.settings import Settings
from image_factory.shell.store import Store
from image_factory.state.codec import dump_base
from image_factory.testing.clock import FixedClock
from image_factory.testing.rebuild_world import START, RebuildWorld, fake_digest
from image_factory.usecases.replay import PolicyChange, Replay, collect_moves, replay, replay_to_json
from image_factory.usecases.workbench import Workbench

DAY = timedelta(days=1)
STEP = timedelta(minutes=30)


def git(folder: Path, *words: str, stdin: str | None = None) -> str:
    identity = ("-c", "user.name=Someone", "-c", "user.email=someone@example.com", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True, input=stdin
    )
    return done.stdout


class Engine:
    """A simulated engine whose state lies in a repository, a commit a day; files keep the last ten moves."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.world = RebuildWorld()
        self.root.mkdir(parents=True)
        git(root, "init", "--quiet", "--initial-branch=main")

    def live(self, days: int, *bases: str, every: int = 1) -> None:
        """Let these bases move every so many days, and runs follow each other every half hour."""
        for day in range(days):
            for _ in range(48):
                self.world.finish_all()
                if self.world.now.hour == 6 and self.world.now.minute == 0 and day % every == 0:
                    for base in bases:
                        self.world.move(base)
                self.world.run()
                self.world.now += STEP
            self.write()
        self.world.finish_all()
        self.write()

    def write(self) -> None:
        bench = self.bench()
        entries = [one.model_dump(mode="json", by_alias=True, exclude_defaults=True)
                   for one in self.world.enrollments.values()]  # fmt: skip
        (self.root / "images.yaml").write_text(yaml.safe_dump(entries, sort_keys=False))
        images, bases, requests = bench.store.images(), bench.store.bases(), bench.store.requests()
        assert not (*images.problems, *bases.problems, *requests.problems)
        changes = bench.store.plan(
            self.world.images.values(), map(_thinned, self.world.bases.values()), requests=self.world.requests.values()
        )
        bench.store.apply(changes)
        git(self.root, "add", "images.yaml", "state")
        git(self.root, "commit", "--quiet", "--allow-empty", "--message", "Run")

    def bench(self) -> Workbench:
        def load() -> Any:
            raise AssertionError("a replay asks nobody")

        settings = Settings()
        return Workbench(self.root, settings, Store(self.root, settings), FixedClock(self.world.now), load)

    def replay(self, *images: str, since: datetime | None = None, **values: str) -> Replay:
        return self.tried(values, *images, since=since)

    def tried(self, values: dict[str, str], *images: str, since: datetime | None = None) -> Replay:
        return replay(self.bench(), PolicyChange(values, images), since=since)


def _thinned(base: BaseState) -> BaseState:
    history = base.history.model_copy(update={"update_history": base.history.update_history[-10:]})
    return base.model_copy(update={"history": history})


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """Two images on a base that moved every day for a month, one on the other."""
    made = Engine(tmp_path_factory.mktemp("lived") / "image-factory")
    made.world.enroll("web", ["node"], delay=7 * DAY)
    made.world.enroll("page", ["web"], delay=2 * DAY)
    made.live(30, "node")
    return made


@pytest.fixture
def engine(lived: Engine, tmp_path: Path) -> Engine:
    """A copy of that, for each test."""
    made = copy(lived)
    made.root, made.world = tmp_path / "image-factory", deepcopy(lived.world)
    shutil.copytree(lived.root, made.root)
    return made


def test_the_recorded_policy_gives_the_builds_that_really_were(engine: Engine) -> None:
    found = engine.replay()

    def shown(builds: Any) -> list[tuple[Any, ...]]:
        return [(one.image, one.requested_at, one.finished_at, one.digest) for one in builds]

    assert len(found.happened) > 40
    assert shown(found.recorded.builds) == shown(found.happened)
    assert (found.changed, found.moves, found.begin) == (None, 31, START)


def test_three_days_instead_of_seven(engine: Engine) -> None:
    found = engine.replay(rebuildDelay="3d")

    assert found.changed is not None
    assert found.changed.lag.median < found.recorded.lag.median
    assert len(found.changed.builds) == len(found.recorded.builds) + 8  # of each image one for each of four days


def test_without_git_only_the_files_are_known_and_that_is_said(engine: Engine) -> None:
    for path in (engine.root / ".git").iterdir():
        if path.name == "HEAD":
            path.unlink()

    found = engine.replay()

    assert found.moves == 10
    assert found.notes == ("the state lies in no git repository: only the moves that its files hold are known",)


def test_a_shallow_clone_says_that_its_past_is_cut(engine: Engine, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--depth", "3", f"file://{engine.root}", "shallow")
    engine.root = tmp_path / "shallow"

    found = engine.replay()

    assert found.moves < 31
    assert "shallow clone" in found.notes[0]


def test_the_images_that_are_named_change_and_count_alone(engine: Engine) -> None:
    engine.world.enroll("other", ["node"], delay=DAY)
    engine.live(3, "node")

    found = engine.replay("web", rebuildDelay="1d")

    assert found.changed is not None
    assert set(found.changed.lags) == {"web"}
    assert {build.image for build in (*found.changed.builds, *found.happened)} == {"web"}


def test_a_part_of_the_time(engine: Engine) -> None:
    since = START + 20 * DAY

    found = engine.replay(since=since)

    assert found.begin == since
    assert min(build.requested_at for build in found.recorded.builds) >= since
    assert [build.digest for build in found.recorded.builds] == [build.digest for build in found.happened]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        pytest.param({"delay": "3d"}, "not a key", id="a key that is none"),
        pytest.param({"rebuildDelay": "soon"}, "rebuildDelay", id="no duration"),
        pytest.param({"maxConcurrentRebuilds": "0"}, "maxConcurrentRebuilds", id="a number that cannot be"),
        pytest.param({"autoRebuild": "[", "group": "a"}, "autoRebuild", id="no YAML"),
    ],
)
def test_what_cannot_be_tried_is_named(engine: Engine, values: dict[str, str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        engine.tried(values)


def test_an_image_that_nobody_builds_is_named(engine: Engine) -> None:
    with pytest.raises(NotFound, match="'node'"):
        engine.replay("node", rebuildDelay="1d")


def test_no_time_to_look_at_is_an_error(engine: Engine) -> None:
    with pytest.raises(UserError, match="is not before"):
        engine.replay(since=engine.world.now)


def test_settings_of_all_images_can_be_tried(engine: Engine) -> None:
    found = engine.replay(coordinationWindow="12h", maxConcurrentRebuilds="1")

    assert found.changed is not None
    assert found.changed.builds[0].requested_at == found.recorded.builds[0].requested_at + timedelta(hours=11.5)


def test_json_has_both_policies_with_their_builds(engine: Engine) -> None:
    data = replay_to_json(engine.replay(rebuildDelay="3d"))

    assert data["change"] == {"rebuildDelay": "3d"}
    assert data["recorded"]["count"] == data["happened"]["count"] == len(data["recorded"]["builds"])
    assert data["changed"]["lag"]["medianDays"] < data["recorded"]["lag"]["medianDays"]
    assert set(data["changed"]["images"]) == {"web", "page"}
    build = data["recorded"]["builds"][0]
    assert (build["image"], build["result"], build["causes"][0]["base"]) == ("web", "succeeded", "node")


# --- moves that only earlier versions hold -------------------------------------------------------------


def updates(first: int, last: int) -> tuple[DigestUpdate, ...]:
    return tuple(
        DigestUpdate(at=START + number * DAY, old_digest=fake_digest(number), new_digest=fake_digest(number + 1))
        for number in range(first, last + 1)
    )


def version(found: tuple[DigestUpdate, ...], problem: str | None = None) -> BaseState:
    """Return a record of a base with these moves."""
    world = RebuildWorld()
    world.add_base("node")
    base = world.bases["node"]
    history = base.history.model_copy(update={"update_history": found})
    runtime = base.runtime.model_copy(update={"problem": problem})
    return base.model_copy(update={"history": history, "runtime": runtime})


def collected(*records: BaseState | None) -> tuple[tuple[DigestUpdate, ...], int, int]:
    """Return the moves that versions hold, the oldest first; how many were lost; and how many were read."""
    texts = ["name: [\n" if record is None else dump_base(record) for record in records]
    read: list[str] = []

    def text(number: str) -> str:
        read.append(number)
        return texts[int(number)]

    live = next(record for record in reversed(records) if record is not None)
    found, lost = collect_moves(text, [str(number) for number in reversed(range(len(texts)))], live)
    return found, lost, len(read)


def test_versions_are_read_in_part_and_nothing_is_lost() -> None:
    found, lost, read = collected(*(version(updates(max(0, number - 9), number)) for number in range(500)))

    assert (found, lost) == (updates(0, 499), 0)
    assert read < 500 / 7


def test_versions_that_add_nothing_are_passed_over() -> None:
    found, _, read = collected(*(version(updates(0, number // 50), str(number)) for number in range(400)))

    assert found == updates(0, 7)
    assert read < 20


def test_several_moves_in_one_version_leave_no_gap() -> None:
    found, _, _ = collected(*(version(updates(max(0, number * 7 - 9), number * 7)) for number in range(60)))

    assert found == updates(0, 59 * 7)


def test_an_old_move_that_was_kept_hides_no_gap() -> None:
    """What is not taken in is kept beyond the last ten: it joins no version to those long before."""
    kept = updates(0, 0)
    found, _, _ = collected(*(version((*kept, *updates(max(1, number - 9), number))) for number in range(1, 60)))

    assert found == updates(0, 59)


def test_a_version_that_cannot_be_read_is_counted_and_the_others_are_read() -> None:
    found, lost, _ = collected(*(None if number == 1 else version(updates(number, number)) for number in range(4)))

    assert (found, lost) == ((*updates(0, 0), *updates(2, 3)), 1)


def test_a_base_that_was_never_committed_keeps_what_its_file_says() -> None:
    assert collect_moves(lambda _: None, [], version(updates(0, 3))) == (updates(0, 3), 0)
