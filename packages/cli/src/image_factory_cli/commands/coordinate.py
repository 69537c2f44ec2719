"""`image-factory coordinate`: decide which rebuilds are due, and request them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from image_factory.usecases.outcome import Outcome, Skipped, exit_code
from image_factory_cli.clone import clone_options, opened_folder
from image_factory_cli.folder import folder_options
from image_factory_cli.logs import LogFormat
from image_factory_cli.notices import notify_option, tell
from image_factory_cli.steps import Manner, Shown, show, step_options, write

if TYPE_CHECKING:
    from image_factory.usecases.commit import Committed
    from image_factory.usecases.coordinate import Coordination


@click.command(epilog="Example: image-factory coordinate --dry-run --verbose")
@clone_options
@notify_option
@step_options
@folder_options
def command(
    git_repo: str | None,
    git_branch: str | None,
    notify: bool,
    dry_run: bool,
    commit: bool,
    push: bool,
    as_json: bool,
    verbose: bool,
    directory: Path | None,
    log_format: LogFormat,
    log_level: str | None,
) -> int:
    """Decide of every managed image whether a rebuild is due, and write a request for each that is.

    Nothing outside is asked, and nothing is started: `image-factory dispatch` starts what is requested.
    With --verbose every image says what it waits for, and until when.
    """
    from image_factory.usecases.commit import changed_names, until_settled
    from image_factory.usecases.coordinate import coordinate
    from image_factory.usecases.outcome import sentences

    bench, must_push = click.get_current_context().with_resource(
        opened_folder(directory, git_repo, git_branch, log_format, log_level)
    )
    manner = Manner(commit, push or must_push, as_json, verbose, log_format == "json")

    def decide() -> tuple[Coordination, Committed | None]:
        decided = coordinate(bench)
        if dry_run:
            return decided, None
        subject = f"Request rebuilds of {changed_names(decided.outcomes)}"
        return decided, write(
            bench, decided.changes, manner, subject=subject, body=sentences(decided.outcomes),
            unpushed=lambda kept: show(_shown(decided, kept), manner, op="coordinate"),
        )  # fmt: skip

    decided, committed = until_settled(decide)
    show(_shown(decided, committed), manner, op="coordinate")
    if notify and not dry_run:
        tell(bench, decided.events)
    return exit_code(decided.outcomes) or (3 if decided.problems else 0)


def _shown(decided: Coordination, committed: Committed | None) -> Shown:
    listed = sorted(decided.plan.decisions.values(), key=lambda one: one.image)
    told = {outcome.item for outcome in decided.outcomes}
    waiting: list[Outcome] = [Skipped(one.image, _why(one)) for one in listed if one.image not in told]
    more = {"decisions": [_to_json(one) for one in listed]}
    return Shown((*decided.outcomes, *waiting), decided.changes, committed, decided.problems, more)


def _why(decision: Any) -> str:
    from image_factory.usecases.status import instant

    until = f", until {instant(decision.until)}" if decision.until else ""
    return f"{decision.reason}: {decision.because}{until}"


def _to_json(decision: Any) -> dict[str, Any]:
    from image_factory.usecases.status import instant

    causes = [cause.model_dump(mode="json", by_alias=True, exclude_none=True) for cause in decision.causes]
    return {
        "image": decision.image,
        "reason": str(decision.reason),
        "because": decision.because,
        "until": instant(decision.until),
        "causes": causes,
        "blockedBy": list(decision.blocked_by),
        "wave": decision.wave,
        "priority": decision.priority,
    }
