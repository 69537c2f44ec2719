"""`replay`: two policies side by side, as a table and as JSON."""

from __future__ import annotations

from typing import Any

import pytest

Folder = Any  # of this package's conftest

MOVES = "".join(
    f"- at: '2026-01-{day:02}T00:00:00Z'\n  oldDigest: {'null' if day == 1 else f'sha256:{day - 1:064x}'}\n"
    f"  newDigest: sha256:{day:064x}\n  source: registry\n"
    for day in range(1, 29)
)


@pytest.fixture
def web(folder: Folder) -> Folder:
    """A month in which a base moved every day, written by hand."""
    folder.service("web", "FROM node:22\n")
    folder.managed("web")
    folder.registry.push_image("library/node", "22")
    folder.run("analyze")
    folder.run("observe")
    file = folder.root / "state/base-images/node-22.yaml"
    file.write_text(f"{file.read_text().partition('updateHistory:')[0]}updateHistory:\n{MOVES}")
    image = folder.root / "state/images/web.yaml"
    lines = image.read_text().splitlines()
    kept = [line if not line.startswith("enrolledAt") else "enrolledAt: '2026-01-01T00:00:00Z'" for line in lines]
    image.write_text("\n".join(kept) + "\n")
    return folder


UNTIL = ("--until", "2026-01-31")


def test_a_table_of_both_policies(web: Folder) -> None:
    ran = web.run("replay", "--delay", "3d", *UNTIL)

    assert ran.code == 0, ran.err
    told, headings, recorded, changed, happened = ran.out.splitlines()
    assert told == "From 2026-01-01T00:00:00Z to 2026-01-31T00:00:00Z: 1 image, 28 moves of bases."
    assert headings.startswith("POLICY")
    assert recorded.split()[:2] == ["recorded", "22"]
    assert changed.split()[:3] == ["rebuildDelay:", "3d", "26"]
    assert happened.split()[:4] == ["what", "was", "built", "0"]


def test_json(web: Folder) -> None:
    data = web.run("replay", "--mode", "first-change", "--window", "1h", "--json", *UNTIL).json

    assert data["change"] == {"delayMode": "first-change", "coordinationWindow": "1h"}
    assert data["changed"]["count"] < data["recorded"]["count"]


def test_the_builds_of_each_policy_can_be_listed(web: Folder) -> None:
    out = web.run("replay", "--set", "rebuildDelay=20d", "--builds", *UNTIL).out

    assert "2026-01-09T00:30:00Z  web" in out.partition("rebuildDelay: 20d:")[0]
    assert "2026-01-22T00:30:00Z  web" in out.partition("rebuildDelay: 20d:")[2]


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["--set", "nonsense"], id="no key and value"),
        pytest.param(["--set", "nonsense=1"], id="a key that is none"),
        pytest.param(["--delay", "soon"], id="no duration"),
        pytest.param(["--image", "nope"], id="an image that nobody knows"),
    ],
)
def test_bad_input_ends_with_2(web: Folder, words: list[str]) -> None:
    assert web.run("replay", *words).code == 2


def test_without_base_images_nothing_is_said_of_git(folder: Folder) -> None:
    folder.service("web", "FROM scratch\n")
    folder.managed("web")
    folder.run("analyze")

    ran = folder.run("replay", "--delay", "3d")

    assert ran.code == 0
    assert "git" not in ran.out + ran.err
