"""`cleanup` as people call it: it lists, it moves, it brings back, and it removes for good where that is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

Folder = Any  # of this package's conftest


@pytest.fixture
def gone(folder: Folder) -> Folder:
    """A folder with an image that was just removed from images.yaml."""
    for name in ("web", "api"):
        folder.service(name, f"FROM {'node:22' if name == 'web' else 'python:3.12'}\n")
    folder.managed("web", "api")
    folder.run("analyze")
    folder.managed("api")
    return folder


def archived(folder: Folder) -> list[str]:
    root = folder.root / "state/_archive"
    return sorted(path.parent.relative_to(root).as_posix() for path in root.rglob("*.yaml"))


@pytest.mark.parametrize("words", [(), ("list",), ("--dry-run",), ("apply", "--dry-run")], ids=" ".join)
def test_it_lists_what_it_would_move_and_moves_nothing(gone: Folder, words: tuple[str, ...]) -> None:
    ran = gone.run("cleanup", *words)

    assert ran.code == 0
    assert "web: removed from images.yaml, archived" in ran.out
    assert "node-22: no image is built on it any more: archived" in ran.out
    assert "nothing is moved yet: image-factory cleanup --apply" in ran.out
    assert archived(gone) == []
    assert (gone.root / "state/images/web.yaml").exists()


@pytest.mark.parametrize("words", [("--apply",), ("apply",)], ids=" ".join)
def test_it_moves_all_of_it_in_one_commit(gone: Folder, words: tuple[str, ...]) -> None:
    file = gone.checkout / "a.prom"

    ran = gone.run("cleanup", *words, "--metrics-file", str(file))

    assert ran.code == 0
    assert archived(gone) == ["base-images/node-22", "images/web"]
    assert sorted(path.name for path in (gone.root / "state/images").iterdir()) == ["api.yaml"]
    assert gone.git("log", "-1", "--format=%s").startswith("Clean up ")
    assert gone.git("status", "--porcelain", "image-factory/state") == ""
    assert '{from="managed",to="archived"} 1' in file.read_text()
    assert "nothing to archive" in gone.run("cleanup").out


def test_what_is_archived_is_listed_with_when_and_why(gone: Folder) -> None:
    gone.run("cleanup", "--apply")

    ran = gone.run("cleanup", "list")
    listed = gone.run("cleanup", "list", "--json").json["archived"]

    assert [line.split()[:2] for line in ran.out.splitlines() if line.startswith(("web", "node"))] == [
        ["web", "image"],
        ["node-22", "base"],
    ]
    assert [(one["folder"], one["name"], one["reason"]) for one in listed] == [
        ("images", "web", "removed from images.yaml"),
        ("base-images", "node-22", "no image is built on it any more"),
    ]


def test_one_image_may_be_archived_alone(gone: Folder) -> None:
    ran = gone.run("cleanup", "archive", "web")

    assert ran.code == 0
    assert archived(gone) == ["images/web"]
    assert gone.run("cleanup", "archive", "node-22").code == 0
    assert archived(gone) == ["base-images/node-22", "images/web"]


def test_an_image_that_is_enrolled_again_is_restored_by_hand(gone: Folder) -> None:
    before = (gone.root / "state/images/web.yaml").read_text()
    gone.run("cleanup", "--apply")
    gone.managed("web", "api")

    shown = gone.run("cleanup", "restore", "web", "--dry-run")
    ran = gone.run("cleanup", "restore", "web")

    assert "restored from the archive of" in shown.out
    assert (ran.code, archived(gone)) == (0, ["base-images/node-22"])
    assert (gone.root / "state/images/web.yaml").read_text() == before
    assert gone.git("log", "-1", "--format=%s") == "Restore web\n"


def test_what_is_another_image_now_is_refused_or_gets_the_history_alone(gone: Folder) -> None:
    state = gone.root / "state/images/web.yaml"
    state.write_text(
        f"{state.read_text()}\nrebuildHistory:\n- {{at: '2026-02-01T00:00:00Z', reason: r, trigger: t, result: x}}\n"
    )
    gone.run("cleanup", "--apply")
    gone.managed("web", "api")
    file = gone.root / "images.yaml"
    file.write_text(file.read_text().replace("acme/web", "acme/shop"))

    refused = gone.run("cleanup", "restore", "web")
    ran = gone.run("cleanup", "restore", "web", "--history-only")

    assert refused.code == 2
    assert "web is not what it was: it was ghcr.io/acme/web, and is ghcr.io/acme/shop now" in refused.err
    assert (ran.code, archived(gone)) == (0, ["base-images/node-22", "images/web"])
    assert "2026-02-01" in state.read_text()
    assert "repository: acme/shop" in state.read_text()
    assert gone.run("cleanup", "restore", "web", "--history-only").out.startswith("1 unchanged")


def test_old_archives_are_removed_for_good_and_others_stay(gone: Folder) -> None:
    gone.run("cleanup", "--apply")
    (file,) = (gone.root / "state/_archive/images/web").iterdir()
    file.write_text(file.read_text().replace("archivedAt: '20", "archivedAt: '19"))

    shown = gone.run("cleanup", "prune", "--older-than", "365d", "--dry-run")
    ran = gone.run("cleanup", "prune", "--older-than", "365d")

    assert shown.code == ran.code == 0
    assert "images/web: archived 19" in shown.out
    assert archived(gone) == ["base-images/node-22"]


def test_a_broken_file_of_the_archive_is_said_and_left(gone: Folder) -> None:
    gone.run("cleanup", "--apply")
    (file,) = (gone.root / "state/_archive/images/web").iterdir()
    file.write_text("name: web\n")

    listed = gone.run("cleanup")
    pruned = gone.run("cleanup", "prune", "--older-than", "0")

    assert listed.code == pruned.code == 3
    assert file.name in listed.err
    assert file.read_text() == "name: web\n"


WRONG = {
    "an enrolled image": (("archive", "api"), "api is enrolled"),
    "a base in use": (("archive", "python-3-12"), "api is built on python-3-12"),
    "an unknown image to archive": (("archive", "nope"), "no image is called 'nope'"),
    "an unknown image to restore": (("restore", "nope"), "nothing of 'nope' is archived"),
    "an image with nothing archived": (("restore", "api"), "nothing of api is archived"),
    "an image that is not enrolled": (("restore", "web"), "web is not used: it would be archived again"),
    "restore without a name": (("restore",), "restore of what?"),
    "prune without a time": (("prune",), "prune of what?"),
    "prune with a wrong time": (("prune", "--older-than", "long"), "not a duration: 'long'"),
    "a name that is not taken": (("apply", "web"), "apply takes no image"),
    "history of nothing": (("--history-only",), "--history-only with list"),
    "both": (("--apply", "--dry-run"), "--apply and --dry-run together"),
    "apply with another word": (("prune", "--apply"), "--apply with prune"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_done_is_said_with_what_to_do_instead(gone: Folder, case: str) -> None:
    words, message = WRONG[case]
    if "web" in words and "restore" in words:
        gone.run("cleanup", "--apply")
    before = {path: path.read_bytes() for path in Path(gone.root).rglob("*.yaml")}

    ran = gone.run("cleanup", *words)

    assert ran.code == 2
    assert message in ran.err
    assert "hint:" in ran.err
    assert {path: path.read_bytes() for path in Path(gone.root).rglob("*.yaml")} == before


def test_a_hold_that_has_ended_goes(gone: Folder) -> None:
    gone.write(
        "state/holds/api.yaml",
        "name: api\nimage: api\nreason: r\nat: '2020-01-01T00:00:00Z'\nuntil: '2020-01-02T00:00:00Z'\n",
    )

    ran = gone.run("cleanup", "--apply")

    assert "hold api: ended 2020-01-02 00:00 UTC: removed" in ran.out
    assert not (gone.root / "state/holds/api.yaml").exists()


def test_two_clones_that_archive_at_once_lose_nothing(
    gone: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote, other = tmp_path / "remote.git", tmp_path / "other"
    gone.git("add", ".")
    gone.git("commit", "--quiet", "--message", "Remove web")
    gone.git("clone", "--quiet", "--bare", str(gone.checkout), str(remote))
    gone.git("remote", "add", "origin", str(remote))
    gone.git("fetch", "--quiet", "origin")
    gone.git("clone", "--quiet", str(remote), str(other))
    text = (gone.root / "state/images/web.yaml").read_text()

    first = gone.run("cleanup", "--apply", "--push")
    stamp = next((gone.root / "state/_archive/images/web").iterdir())
    gone.git("mv", str(stamp), str(stamp.with_name("2020-01-01T000000Z.yaml")))  # as if a second lay between
    gone.git("commit", "--quiet", "--amend", "--no-edit")
    gone.git("push", "--quiet", "--force", "origin", "HEAD:main")
    monkeypatch.chdir(other)
    second = gone.run("cleanup", "--apply", "--push")

    assert (first.code, second.code) == (0, 0)
    listed = gone.git("ls-tree", "-r", "--name-only", "main", folder=remote).split()
    kept = [path for path in listed if "/web" in path]
    assert kept
    assert all(
        "_archive/" in path and gone.git("show", f"main:{path}", folder=remote).startswith(text) for path in kept
    )
