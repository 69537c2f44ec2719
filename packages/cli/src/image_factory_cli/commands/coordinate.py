"""`image-factory coordinate`: decide which rebuilds are due, and request them."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from image_factory.usecases.outcome import Outcome, Skipped, exit_code
from image_factory_cli.clone import clone_options, opened_folder
from image_factory_cli.folder import folder_options
from image_factory_cli.logs import LogFormat
from image_factory_cli.notices import notify_option, tell
from image_factory_cli.steps import Manner, Shown, show, step_options

if TYPE_CHECKING:
    from image_factory.model.event import Event
    from image_factory.shell.store import FileChange
    from image_factory.usecases.commit import Committed
    from image_factory.usecases.coordinate import Coordination
    from image_factory.usecases.observe import Observation
    from image_factory.usecases.settle import Settled


@click.command(epilog="Example: image-factory coordinate --dry-run --verbose")
@click.option(
    "--settle",
    "settle_first",
    is_flag=True,
    help="Record first what became of the builds that were started, as settle.",
)
@clone_options
@notify_option
@step_options
@folder_options
def command(
    settle_first: bool,
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

    Nothing outside is asked, and nothing is started: `image-factory dispatch` starts what is requested, or
    Kargo does. With --settle the builds that were started are asked after first, and both make one commit;
    with `engine: kargo` registries are asked then whether the bases of what is due still are what Kargo saw.
    With --verbose every image says what it waits for, and until when.
    """
    from image_factory.usecases.commit import until_settled

    bench, must_push = click.get_current_context().with_resource(
        opened_folder(directory, git_repo, git_branch, log_format, log_level)
    )
    manner = Manner(commit, push or must_push, as_json, verbose, log_format == "json")
    if dry_run:
        decided = _rehearse(bench, settle_first=settle_first)
        show(_shown(decided, None), manner, op="coordinate")
    else:
        decided, committed = until_settled(lambda: _decide(bench, manner, settle_first=settle_first))
        show(_shown(decided, committed), manner, op="coordinate")
        if notify:
            tell(bench, decided.events)
    return exit_code(decided.outcomes) or (3 if decided.coordination.problems else 0)


@dataclass(frozen=True, slots=True)
class _Decided:
    """What was settled, what was seen at a second look, and what was decided then."""

    coordination: Coordination
    settled: Settled | None = None
    seen: Observation | None = None

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        return tuple(outcome for part in self._parts for outcome in part.outcomes)

    @property
    def changes(self) -> tuple[FileChange, ...]:
        return tuple(change for part in self._parts for change in part.changes)

    @property
    def events(self) -> tuple[Event, ...]:
        return tuple(event for part in self._parts for event in part.events)

    @property
    def _parts(self) -> tuple[Settled | Observation | Coordination, ...]:
        return tuple(part for part in (self.settled, self.seen, self.coordination) if part is not None)


def _decide(bench: Any, manner: Manner, *, settle_first: bool) -> tuple[_Decided, Committed]:
    """Settle and decide, and commit both as one."""
    from image_factory.usecases.commit import Batch, Committed, changed_names
    from image_factory.usecases.coordinate import coordinate
    from image_factory.usecases.outcome import sentences

    found: list[_Decided] = []
    batch = Batch(
        bench, commit=manner.commit, push=manner.push, environ=os.environ,
        unpushed=lambda kept: show(_shown(found[0], kept), manner, op="coordinate"),
    )  # fmt: skip
    settled = None
    if settle_first:
        settled = _settle(bench)
        batch.write(settled.changes, sentences(settled.outcomes))
    coordination, seen = coordinate(bench), None
    if settle_first and coordination.requests and not bench.settings.starts_builds:
        from image_factory.usecases.second_look import look_again

        seen = look_again(bench, coordination.requests)
        if seen is not None:
            batch.write(seen.changes, sentences(seen.outcomes))
            coordination = coordinate(bench)
    batch.write(coordination.changes, sentences(coordination.outcomes))
    found.append(_Decided(coordination, settled, seen))
    told = [f"request rebuilds of {changed_names(coordination.outcomes)}"] if coordination.changes else []
    if settled is not None and settled.changes:
        told.insert(0, f"settle {changed_names(settled.outcomes)}")
    if seen is not None:
        told.append(f"observe {changed_names(seen.outcomes)}")
    subject = ", ".join(told) or "request no rebuild"
    if batch.is_empty and not manner.commit:
        return found[0], Committed(None, "nothing changed")
    return found[0], batch.commit(f"{subject[0].upper()}{subject[1:]}")


def _rehearse(bench: Any, *, settle_first: bool) -> _Decided:
    """Return what would be decided; what would be settled before it is tried on a copy of the state."""
    from image_factory.usecases.coordinate import coordinate

    if not settle_first:
        return _Decided(coordinate(bench))
    from image_factory.usecases.rehearsal import joined_changes, place_in_original, rehearsal

    with rehearsal(bench) as copy:
        settled = _settle(copy)
        copy.store.apply(settled.changes)
        coordination = coordinate(copy)
        place_in_original(coordination.problems, bench, copy)
        changes = joined_changes((*settled.changes, *coordination.changes), bench, copy)
    return _Decided(replace(coordination, changes=changes), replace(settled, changes=()))


def _settle(bench: Any) -> Settled:
    from image_factory.usecases.settle import settle

    return settle(bench)


def _shown(decided: _Decided, committed: Committed | None) -> Shown:
    listed = sorted(decided.coordination.plan.decisions.values(), key=lambda one: one.image)
    told = {outcome.item for outcome in decided.outcomes}
    waiting: list[Outcome] = [Skipped(one.image, _why(one)) for one in listed if one.image not in told]
    more = {"decisions": [_to_json(one) for one in listed]}
    return Shown((*decided.outcomes, *waiting), decided.changes, committed, decided.coordination.problems, more)


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
