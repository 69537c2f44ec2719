"""What the last whole analysis was made from, so that one with nothing new need not read it all again.

What failed in it is remembered as such, to be tried again alone; anything that differs (a byte of
images.yaml, a state file, a commit, a setting, a plugin, this program) makes the next analysis read
everything. Importing this is cheap, and so is recalling: the heavy parts are imported only where a
repository is not a local one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
    """How many Dockerfiles it read of those that did not fail."""
    failed: tuple[str, ...] = ()
    """The images that failed, sorted."""
    is_sound: bool = True
    """Whether all of images.yaml and of the state could be read; what could not is to be said again."""
    origins: tuple[Origin, ...] = ()
    """What Dockerfiles were read from."""
    inputs: Snapshot | None = field(default=None, compare=False)
    """The files that people write, as they were and still are, where it is not done."""

    @property
    def is_done(self) -> bool:
        """Whether nothing of it is to be done again."""
        return self.is_sound and not self.failed


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
        covered = Covered(
            tuple(str(name) for name in report["names"]),
            int(report["dockerfiles"]),
            tuple(str(name) for name in report["failed"]),
            bool(report["is_sound"]),
            tuple(Origin(**origin) for origin in report["origins"]),
        )
        files = [Path(file) for file in report["inputs"]]
    except (KeyError, TypeError, ValueError):
        return None
    origins = list(covered.origins)
    if origins and list(revisions(origins)) != [origin.commit for origin in origins]:
        return None
    if not covered.is_done:
        # What is tried again is remembered with what was analyzed before, so that has to be as it was until now.
        covered = replace(covered, inputs=look(files))
        return covered if recall(question) is not None else None
    return covered


def remember_analysis(question: Question, inputs: Snapshot, state: Sequence[Path], covered: Covered) -> None:
    """Keep what an analysis was made from; call it when its changes are written.

    Args:
        inputs: the files that people write, as they were before they were read.
        state: the folders of state, which only we write.
    """
    from dataclasses import asdict

    report = {**asdict(replace(covered, inputs=None)), "inputs": sorted(inputs.files)}
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
