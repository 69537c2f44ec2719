"""What became of one item of a batch. A batch never stops at a bad item; it reports each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from image_factory.errors import ImageFactoryError, RemoteError, UserError


@dataclass(frozen=True, slots=True)
class Done:
    """The item was worked on; `changes` are sentences of what is new, none where nothing is."""

    item: str
    changes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Skipped:
    """There was nothing to do, for a reason."""

    item: str
    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The item could not be done; the others were."""

    item: str
    error: ImageFactoryError


Outcome = Done | Skipped | Failed

SOME_FAILED = 3
"""Exit code: some images failed, the others are done (requirements, "Command line")."""


def exit_code(outcomes: Iterable[Outcome]) -> int:
    """Return 0 where nothing failed, 3 where some did, and the error's own code where one item was all there was.

    Where all failed since something outside is unavailable, that is what is said (5): none of it is an item's fault.
    """
    listed = list(outcomes)
    failed = [outcome for outcome in listed if isinstance(outcome, Failed)]
    if not failed:
        return 0
    if len(listed) == 1 and isinstance(failed[0].error, (UserError, RemoteError)):
        return failed[0].error.exit_code
    if len(failed) == len(listed) and {outcome.error.exit_code for outcome in failed} == {RemoteError.exit_code}:
        return RemoteError.exit_code
    return SOME_FAILED


def sentences(outcomes: Iterable[Outcome]) -> list[str]:
    """Return a line for each image that changed or failed, for a commit's message."""
    lines = []
    for outcome in outcomes:
        if isinstance(outcome, Done):
            lines.append(f"{outcome.item}: {', '.join(outcome.changes)}")
        elif isinstance(outcome, Failed):
            lines.append(f"{outcome.item}: failed")
    return lines
