"""`hold` as people call it: it stops an image or a digest, says who, why and until when, and lets go again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

Folder = Any  # of this package's conftest

DIGEST = f"sha256:{'c' * 64}"


@pytest.fixture
def web(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.setenv("GITHUB_ACTOR", "alice")
    folder.service("web", "FROM node:22\n")
    folder.managed("web")
    folder.run("analyze")
    folder.run("observe", "--base", "node-22", "--digest", DIGEST)
    return folder


def test_an_image_is_held_with_who_why_and_until_when(web: Folder) -> None:
    ran = web.run("hold", "web", "--reason", "a release", "--until", "2099-12-24")

    held = yaml.safe_load((web.root / "state/holds/web.yaml").read_text())
    assert ran.code == 0
    assert "web: held until 2099-12-24 00:00 UTC: a release" in ran.out
    assert [held[key] for key in ("name", "image", "reason", "by")] == ["web", "web", "a release", "alice"]
    assert held["until"] == "2099-12-24T00:00:00Z"
    assert web.git("log", "-1", "--format=%s") == "Hold web\n"
    assert web.git("status", "--porcelain", "image-factory/state") == ""


def test_a_digest_may_be_given_as_it_is_shown(web: Folder) -> None:
    ran = web.run("hold", DIGEST[:19], "--reason", "it breaks", "--until", "7d")

    held = yaml.safe_load((web.root / "state/holds/sha256-cccccccccccc.yaml").read_text())
    assert ran.code == 0
    assert "a digest of node-22" in ran.out
    assert held["digest"] == DIGEST
    until = datetime.fromisoformat(held["until"])
    assert timedelta(days=6) < until - datetime.now(UTC) <= timedelta(days=7)


def test_a_dry_run_writes_nothing(web: Folder) -> None:
    ran = web.run("hold", "web", "--reason", "r", "--dry-run")

    assert "+image: web" in ran.out
    assert not (web.root / "state/holds").exists()


@pytest.mark.parametrize("words", [(), ("--list",)], ids=" ".join)
def test_holds_are_listed_and_ended_ones_said_to_be(web: Folder, words: tuple[str, ...]) -> None:
    assert web.run("hold", *words).out == "nothing is held\n"
    web.run("hold", "web", "--reason", "a release")
    web.write(
        "state/holds/old.yaml",
        "name: old\nimage: old\nreason: r\nat: '2020-01-01T00:00:00Z'\nuntil: '2020-01-02T00:00:00Z'\n",
    )

    ran = web.run("hold", *words)

    assert [line.split()[:3] for line in ran.out.splitlines()[1:]] == [
        ["web", "held", "released"],
        ["old", "ended", "2020-01-02T00:00:00Z"],
    ]
    assert [one["ended"] for one in web.run("hold", *words, "--json").json["holds"]] == [False, True]


@pytest.mark.parametrize("subject", ["web", DIGEST, DIGEST[:19], "sha256-cccccccccccc"])
def test_a_hold_is_released(web: Folder, subject: str) -> None:
    web.run("hold", "web" if subject == "web" else DIGEST, "--reason", "a release")

    ran = web.run("hold", subject, "--release")

    assert ran.code == 0
    assert "held no more (it was: a release)" in ran.out
    assert list((web.root / "state/holds").glob("*.yaml")) == []
    assert web.git("log", "-1", "--format=%s").startswith("Release ")


def test_holding_again_changes_reason_and_end_and_the_same_once_more_nothing(web: Folder) -> None:
    web.run("hold", "web", "--reason", "a release")
    web.run("hold", "web", "--reason", "two releases", "--until", "2099-01-01")
    count = web.git("rev-list", "--count", "HEAD")

    again = web.run("hold", "web", "--reason", "two releases", "--until", "2099-01-01")

    assert "1 unchanged" in again.out
    assert web.git("rev-list", "--count", "HEAD") == count
    assert "two releases" in web.run("hold").out


WRONG = {
    "an unknown image": (("nope", "--reason", "r"), "no managed image is called 'nope'", "known are web"),
    "a base image": (("node-22", "--reason", "r"), "node-22 is a base image", f"hold its digest: {DIGEST}"),
    "no digest": (("sha256:xyz", "--reason", "r"), "too few digits", "give 12 or more"),
    "a wrong digest": (("sha256:xyzxyzxyzxyz", "--reason", "r"), "sha256:xyzxyzxyzxyz", ""),
    "no reason": (("web",), "--reason is missing", "say why"),
    "an empty reason": (("web", "--reason", " \n"), "no reason", "say why"),
    "a time that has passed": (("web", "--reason", "r", "--until", "2020-01-01"), "has passed", "such as 7d"),
    "no time": (("web", "--reason", "r", "--until", "soon"), "not a time: 'soon'", "2026-12-24"),
    "a time without end": (("web", "--reason", "r", "--until", "999999999d"), "not a time", "7d"),
    "what is not held": (("web", "--release"), "'web' is not held", "held: nothing"),
    "release with a reason": (("web", "--release", "--reason", "r"), "--release with", "at once"),
    "a reason for nothing": (("--reason", "r"), "--reason without an image", "hold IMAGE"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_held_is_said_with_what_to_do(web: Folder, case: str) -> None:
    words, message, hint = WRONG[case]

    ran = web.run("hold", *words)

    assert ran.code == 2
    assert message in ran.err
    assert hint in ran.err
    assert not (web.root / "state/holds").exists()


def test_a_reason_stays_one_line_and_is_no_yaml(web: Folder) -> None:
    web.run("hold", "web", "--reason", "a: {b\n- c # \u202e" + "x" * 900)

    held = yaml.safe_load((web.root / "state/holds/web.yaml").read_text())
    assert held["reason"].startswith("a: {b - c # �x")
    assert len(held["reason"]) <= 500


def test_a_broken_hold_is_said(web: Folder) -> None:
    web.write("state/holds/web.yaml", "name: [\n")

    assert web.run("hold").code == 3
    assert web.run("hold", "web", "--release").code == 2
