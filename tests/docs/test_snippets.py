"""What the docs show at a prompt is run, and says what they say it says.

A block marked `console` whose lines begin with `$ ` is run in a folder of its own, in order; `> ` goes
on with the command above it; `…` stands for anything, on a line of its own for any lines. A comment
`<!-- not run: reason -->` above a block leaves it out.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *sorted((ROOT / "docs/tutorials").glob("*.md")),
    ROOT / "docs/how-to/archive-and-restore.md",
    ROOT / "docs/how-to/update-consumers.md",
]
BLOCK = re.compile(r"(?P<excuse><!-- not run: .+ -->\n)?```console\n(?P<body>.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Snippet:
    command: str
    expected: str


def snippets(text: str) -> Iterator[Snippet]:
    for block in BLOCK.finditer(text):
        if block["excuse"]:
            continue
        for part in re.split(r"^\$ ", block["body"], flags=re.MULTILINE)[1:]:
            lines = part.splitlines()
            continued = next((at for at, line in enumerate(lines[1:], 1) if not line.startswith(">")), len(lines))
            command = [lines[0], *(line.removeprefix(">").removeprefix(" ") for line in lines[1:continued])]
            yield Snippet("\n".join(command), "\n".join(lines[continued:]))


def fits(expected: str, actual: str) -> bool:
    """Whether the output is what the page shows; trailing blanks count for nothing."""
    pattern = "\n".join(re.escape(line.rstrip()).replace("…", ".*") for line in expected.splitlines())
    pattern = re.sub(r"(^|\n)\.\*$", lambda found: f"{found[1]}(?s:.*)", pattern)
    return re.fullmatch(pattern, "\n".join(line.rstrip() for line in actual.strip().splitlines())) is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_shows_is_what_happens(page: Path, tmp_path: Path) -> None:
    here, programs = tmp_path, f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
        "PATH": programs,
        "HOME": str(tmp_path),
        "NO_COLOR": "1",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        **{f"GIT_{who}_NAME": "You" for who in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{who}_EMAIL": "you@example.invalid" for who in ("AUTHOR", "COMMITTER")},
    }
    found = list(snippets(page.read_text(encoding="utf-8")))
    assert found

    for snippet in found:
        finished = subprocess.run(
            ["bash", "-c", f"{snippet.command}\ncode=$?; pwd > {tmp_path}/here; exit $code"],
            cwd=here,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        here = Path((tmp_path / "here").read_text(encoding="utf-8").strip())

        assert finished.returncode == 0, f"$ {snippet.command}\n{finished.stdout}{finished.stderr}"
        shown = f"$ {snippet.command}\n{finished.stdout}"
        assert not snippet.expected or fits(snippet.expected, finished.stdout), shown


def test_an_ellipsis_stands_for_anything_and_nothing_else_does() -> None:
    assert fits("committed …", "committed 335c27d\n")
    assert fits("a\n…", "a\nb\nc")
    assert not fits("1 changed", "2 changed")
    assert not fits("a.c", "abc")
    assert not fits("committed …", "committed 1\nmore")
