"""What the last whole analysis was made from, so that one with nothing new need not read it all again.

Remembered only if nothing failed in it; anything that differs (a byte of images.yaml, a state file, a
commit, a setting, a plugin, this program) makes the next analysis read everything. Importing this is
cheap, and so is recalling: the heavy parts are imported only where a repository is not a local one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from image_factory.shell.run_memory import Question, Snapshot, ask, look, recall, remember

if TYPE_CHECKING:
    from image_factory.ports import SourceRepository

COMMAND = "analysis"


@dataclass(frozen=True, slots=True)
class Origin:
    """A branch that Dockerfiles were read from, and the commit that it named."""

    provider: str
    host: str | None
    path: str
    branch: str
    commit: str


@dataclass(frozen=True, slots=True)
class Covered:
    """What an analysis covered."""

    names: tuple[str, ...]
    """Of its images, sorted."""
    dockerfiles: int = 0
    """How many Dockerfiles it read."""


Revisions = Callable[[list[Origin]], Sequence[str | None]]
"""Tells what branches of repositories name now, or None where it cannot."""


def ask_analysis(flag: Path | None, environ: Mapping[str, str], cwd: Path) -> Question:
    """Return the question that an analysis of all images answers."""
    return ask(COMMAND, flag, environ, cwd)


def recall_analysis(question: Question, revisions: Revisions) -> Covered | None:
    """Return what the last analysis covered if nothing that it was made from has changed, else None."""
    report = recall(question)
    if report is None:
        return None
    try:
        origins = [Origin(**origin) for origin in report["origins"]]
        covered = Covered(tuple(str(name) for name in report["names"]), int(report["dockerfiles"]))
    except (KeyError, TypeError, ValueError):
        return None
    if origins and list(revisions(origins)) != [origin.commit for origin in origins]:
        return None
    return covered


def remember_analysis(
    question: Question, inputs: Snapshot, state: Sequence[Path], covered: Covered, origins: Iterable[Origin]
) -> None:
    """Keep what an analysis was made from; call it when its changes are written.

    Args:
        inputs: the files that people write, as they were before they were read.
        state: the folders of state, which only we write.
    """
    from dataclasses import asdict

    report = {**asdict(covered), "origins": [asdict(origin) for origin in origins]}
    remember(question, [inputs, look(folders=state, is_ours=True)], report)


def local_revisions(origins: list[Origin]) -> list[str | None]:
    """Return what branches of local repositories name now; None for any other."""
    return [local_revision(origin) for origin in origins]


def local_revision(origin: Origin) -> str | None:
    """Return what a branch of a local repository names now; None for any other, which a source must be asked for."""
    if origin.provider != "git" or origin.host is not None or not Path(origin.path).is_absolute():
        return None
    import subprocess

    words = ["git", "-C", origin.path, "rev-parse", "--verify", "--quiet", "--end-of-options"]
    # The branch was read through the git source before, which refuses what is no branch or is an option.
    done = subprocess.run(  # noqa: S603 - an argument list, and git found as the user's shell finds it
        [*words, f"refs/heads/{origin.branch}^{{commit}}"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or None


def origin_of(repository: SourceRepository, branch: str, commit: str) -> Origin:
    """Return where something was read from, as it is remembered."""
    return Origin(repository.provider, repository.host, repository.path, branch, commit)
