from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, cast

import pytest

from image_factory.errors import Conflict, NotFound, UserError
from image_factory.model.settings import Settings
from image_factory.plugins import PluginTable
from image_factory.ports import Source, SourceRepository
from image_factory.shell.images_file import load_images_text
from image_factory.shell.store import Store
from image_factory.state.images_yaml import PluginNames, read_images
from image_factory.testing.clock import FixedClock
from image_factory.usecases.enroll import EntryRefused, claimed_repository, enroll
from image_factory.usecases.workbench import Workbench

ENTRY: dict[str, Any] = {"name": "redis", "repository": "library/redis", "tag": "7-alpine"}
OURS = b"# ours\r\n- name: postgres\r\n  repository: library/postgres\r\n  tag: '16'\r\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "images.yaml").write_bytes(OURS)
    return tmp_path


def test_an_entry_is_added_and_every_byte_before_it_stays(root: Path) -> None:
    (root / "images.yaml").chmod(0o640)

    enrolled = enroll(root, Settings(), ENTRY)

    written = (root / "images.yaml").read_bytes()
    assert written.startswith(OURS)
    assert written.decode() == enrolled.new
    assert (root / "images.yaml").stat().st_mode & 0o777 == 0o640
    assert not list(root.glob(".images.yaml*"))


def test_a_dry_run_changes_nothing(root: Path) -> None:
    enrolled = enroll(root, Settings(), ENTRY, dry_run=True)

    assert (root / "images.yaml").read_bytes() == OURS
    assert "redis" in enrolled.new


def test_the_name_of_a_base_image_is_refused(root: Path) -> None:
    (root / "state/base-images").mkdir(parents=True)
    (root / "state/base-images/redis.yaml").write_text("name: redis\n")

    with pytest.raises(Conflict, match=r"redis: name: a base image has this name: .*redis\.yaml"):
        enroll(root, Settings(), ENTRY)

    assert (root / "images.yaml").read_bytes() == OURS


def test_everything_that_is_wrong_is_told_at_once_and_nothing_is_written(root: Path) -> None:
    plugins = PluginNames({"source": frozenset({"git"})}, {"source": frozenset({"github"})})
    entry = {"name": "Web", "repository": "a/b", "source": {"repo": "a/b", "branch": "--upload-pack=x"}}

    with pytest.raises(EntryRefused) as caught:
        enroll(root, Settings(), entry, plugins=plugins)

    said = "\n".join(map(str, caught.value.problems))
    assert all(field in said for field in ("name", "registry", "source.branch", "source.provider"))
    assert caught.value.exit_code == 2
    assert (root / "images.yaml").read_bytes() == OURS


def test_a_name_that_is_taken_is_a_conflict(root: Path) -> None:
    with pytest.raises(Conflict):
        enroll(root, Settings(), {**ENTRY, "name": "postgres"})


def test_without_a_file_the_hint_names_init(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        enroll(tmp_path, Settings(), ENTRY)

    assert "image-factory init" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_two_at_once_lose_nothing(root: Path) -> None:
    """Each is enrolled, or told that the file has changed; never is one overwritten by the other."""
    outcomes: dict[str, bool] = {}

    def add(name: str) -> None:
        try:
            enroll(root, Settings(), {**ENTRY, "name": name, "repository": f"acme/{name}"})
            outcomes[name] = True
        except Conflict:
            outcomes[name] = False

    threads = [threading.Thread(target=add, args=(f"image-{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    images = read_images(load_images_text(root / "images.yaml", root), "images.yaml")
    assert images.problems == ()
    assert {name for name, done in outcomes.items() if done} == images.names - {"postgres"}
    assert any(outcomes.values())


class Claimant:
    """A source that claims what it is asked about."""

    name = "github"

    def claims(self, url: str) -> bool:
        return True


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("https://github.com/acme/state.git", "github.com", "acme/state"),
        ("https://git.example.com:8443/acme/sub/state", "git.example.com:8443", "acme/sub/state"),
        ("http://127.0.0.1:8080/acme/state.git", "http://127.0.0.1:8080", "acme/state"),
        ("git@github.com:acme/state.git", "github.com", "acme/state"),
        ("ssh://git@git.example.com:2222/acme/state.git", "git.example.com", "acme/state"),
    ],
)
def test_a_clone_url_names_the_repository_that_a_request_is_opened_in(url: str, host: str, path: str) -> None:
    table = PluginTable((), {}, {"github": cast("Source", Claimant())}, {}, {}, {}, {})
    bench = Workbench(Path(), Settings(), Store(Path(), Settings()), FixedClock(), lambda: table)

    assert claimed_repository(bench, url) == SourceRepository("github", host, path)


def test_plain_git_opens_no_requests() -> None:
    table = PluginTable((), {}, {}, {}, {}, {}, {})
    bench = Workbench(Path(), Settings(), Store(Path(), Settings()), FixedClock(), lambda: table)

    with pytest.raises(UserError, match="no plugin opens change requests at /srv/state"):
        claimed_repository(bench, "/srv/state.git")
