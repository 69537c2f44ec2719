"""Order an emergency rebuild: who may, of what, at once, and written down for ever.

Gather: the facts of a plan, who may by config.yaml alone, the audit log. Decide: whom it concerns, whether
the actor may, what becomes of each image. Act: a request for each image and one entry of the audit log,
written and committed together (`carry_out`). A refusal is an entry too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from image_factory.decide.affected import Affected
from image_factory.decide.authorization import Authorization, Identity, decide_authorization
from image_factory.decide.emergencies import EmergencyPlan, decide_affected, decide_emergency
from image_factory.decide.emergency_progress import decide_emergency_finished, decide_emergency_requested
from image_factory.decide.orders import Order
from image_factory.errors import ImageFactoryError, VerificationError
from image_factory.model.duration import format_duration
from image_factory.model.event import Event, EventKind
from image_factory.model.metric import EMERGENCY_REBUILDS, Sample, count
from image_factory.model.request import EmergencyOrder, RebuildRequest
from image_factory.model.settings import EmergencySettings, Settings
from image_factory.ports import Http
from image_factory.shell.git import Checkout
from image_factory.shell.identity import Trust, identify, is_committed, trusted_repositories, verify_token
from image_factory.shell.settings import load_settings
from image_factory.shell.store import FileChange
from image_factory.state.audit import AuditEntry, AuditOutcome
from image_factory.state.layout import SETTINGS_FILE
from image_factory.state.outbox import Outbox
from image_factory.usecases.audit import append_entry, broken_log, count_recent, read_chain
from image_factory.usecases.commit import Batch, Committed, until_settled, write_and_commit
from image_factory.usecases.coordinate import gather_facts
from image_factory.usecases.notify import notify
from image_factory.usecases.observe import short_digest
from image_factory.usecases.outbox import new_outbox, plan_outbox, plan_told
from image_factory.usecases.outcome import Done, Failed, Outcome, Skipped, sentences
from image_factory.usecases.run_id import new_run_id
from image_factory.usecases.trigger import new_request_id
from image_factory.usecases.workbench import Workbench

if TYPE_CHECKING:
    from image_factory.usecases.settle import Settled


@dataclass(frozen=True, slots=True)
class Emergency:
    """What an order comes to; nothing is written yet."""

    order: Order
    identity: Identity
    authorization: Authorization
    plan: EmergencyPlan
    requests: tuple[RebuildRequest, ...] = ()
    """The new ones, in their order."""
    entry: AuditEntry | None = None
    """What is written down; None where nothing is requested and nothing refused."""
    recent: int = 0
    """Orders granted within `alertWindow`, this one included."""
    alarm: str = ""
    """What is said where that is too many."""
    outcomes: tuple[Outcome, ...] = ()
    changes: tuple[FileChange, ...] = ()
    events: tuple[Event, ...] = ()
    problems: tuple[ImageFactoryError, ...] = ()
    outbox: Outbox | None = None
    """What is written down with it to be told; None where nobody is to be."""

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The order as it is counted; an order that comes to nothing is none."""
        return () if self.entry is None else (count(EMERGENCY_REBUILDS, {"outcome": str(self.entry.outcome)}),)

    @property
    def refusal(self) -> VerificationError | None:
        """Why the order is refused as a whole."""
        if self.authorization.is_granted:
            return None
        return VerificationError(self.authorization.because, hint=self.authorization.hint)


def authority(bench: Workbench) -> Settings:
    """Return the settings that say who may: config.yaml's, whatever flags and the environment say."""
    return load_settings(bench.root, {}, {}, cwd=bench.root)


def identify_actor(bench: Workbench, order: Order, *, http: Http, environ: Mapping[str, str]) -> Identity:
    """Return who gives `order`; raises what `identify` raises."""
    text = order.text(bench.clock.now().replace(microsecond=0))
    return identify(bench.root, _trust(bench), text, http=http, clock=bench.clock, environ=environ)


def identify_bearer(bench: Workbench, token: str, *, http: Http) -> Identity:
    """Return whom a token proves that came with a request; raises what `verify_token` raises.

    Nothing else counts: neither this process' environment nor git's key here is the caller's.
    """
    return verify_token(token, _trust(bench), http=http, clock=bench.clock)


def _trust(bench: Workbench) -> Trust:
    settings = authority(bench)
    return Trust(
        settings.emergency.trusted_identities,
        settings.emergency.oidc_issuers,
        trusted_repositories(bench.root, settings.kargo.state_repository),
    )


def carry_out(
    bench: Workbench,
    order: Order,
    identity: Identity,
    *,
    is_told: bool = True,
    commit: bool = True,
    push: bool = False,
    environ: Mapping[str, str] | None = None,
    unpushed: Callable[[Emergency, Committed], object] = lambda found, committed: None,
) -> tuple[Emergency, Committed]:
    """Return what `order` comes to, written and committed, granted or refused; done again where others were quicker.

    Args:
        is_told: whether its notices are written down with it; `tell_people` is to be called then.
        unpushed: told of what is kept here because its push failed, before the error is raised.

    Raises:
        NotFound, UserError: the order names what is not known.
        RemoteError: the commit cannot be pushed.
    """

    by = new_run_id(bench.clock.now())

    def work() -> tuple[Emergency, Committed]:
        said: list[Emergency] = []
        batch = Batch(
            bench, commit=commit, push=push, environ=environ, unpushed=lambda kept: unpushed(said[0], kept)
        )  # fmt: skip
        started = _started_by_kargo(bench, order, identity)
        if started is not None:
            batch.write(started.changes, sentences(started.outcomes))
        found = order_emergency(bench, order, identity)
        if started is not None:
            found = replace(found, events=(*started.events, *found.events))
        found = replace(found, outbox=new_outbox(bench, by, found.events) if is_told else None)
        said.append(found)
        batch.write((*found.changes, *plan_outbox(bench, found.outbox)), _message(found))
        if batch.is_empty and not commit:
            return found, Committed(None, "nothing changed")
        verb = "Refuse" if found.refusal else "Order"
        return found, batch.commit(f"{verb} an emergency rebuild for {order.cve}")

    return until_settled(work)


def _started_by_kargo(bench: Workbench, order: Order, identity: Identity) -> Settled | None:
    """Return what Kargo made of the open requests of the images that `order` concerns; None where nothing is new.

    A new request takes the place of an open one. Of one whose build Kargo has started, and of which no Job
    has told yet, nothing would be known any more, and the image would be built twice.
    """
    if bench.settings.starts_builds:
        return None
    facts, _ = gather_facts(bench)
    affected = decide_affected(order, facts)
    asked = [
        name
        for name in affected.images
        if name in facts.requests and facts.requests[name].status.is_open and facts.requests[name].dispatch is None
    ]
    if not asked or not _authorize(bench, identity, affected, authority(bench).emergency).is_granted:
        return None
    from image_factory.usecases.settle import settle

    found = settle(bench, asked)
    return found if found.changes else None


def tell_people(
    bench: Workbench,
    found: Emergency,
    *,
    commit: bool = True,
    push: bool = False,
    environ: Mapping[str, str] | None = None,
) -> None:
    """Deliver what was written down with an order, and write that it is told; who is stopped leaves it to a later run.

    Raises:
        RemoteError: the second commit cannot be pushed; it is kept here.
    """
    if found.outbox is not None:
        notify(bench, found.outbox.events)
        mark_told(bench, found.outbox, commit=commit, push=push, environ=environ)


def mark_told(
    bench: Workbench,
    outbox: Outbox,
    *,
    commit: bool = True,
    push: bool = False,
    environ: Mapping[str, str] | None = None,
) -> None:
    """Write that an order's notices are told; raises what `tell_people` raises."""
    until_settled(
        lambda: write_and_commit(
            bench,
            plan_told(bench, [outbox]),
            subject="Emergency: notices are told",
            commit=commit,
            push=push,
            environ=environ,
        )
    )


def _message(found: Emergency) -> list[str]:
    order = found.order
    lines = [f"Reason: {order.reason}", f"Ordered by: {found.identity.actor} ({found.identity.kind})"]
    if found.refusal is not None:
        lines.append(f"Refused: {found.authorization.because}")
    return lines + [f"{request.name}: request {request.request_id}" for request in found.requests]


def order_emergency(bench: Workbench, order: Order, identity: Identity) -> Emergency:
    """Return what `order` comes to; the same order again, while nothing has changed, comes to nothing.

    Raises:
        NotFound, UserError: the order names what is not known.
    """
    facts, problems = gather_facts(bench)
    now = bench.clock.now().replace(microsecond=0)
    affected = decide_affected(order, facts)
    chain = read_chain(bench)
    warning = broken_log(chain)
    if warning is not None:
        problems = (*problems, warning)
    settings = authority(bench).emergency
    granted = _authorize(bench, identity, affected, settings)
    if not granted.is_granted:
        plan = EmergencyPlan((*affected.images, *affected.circular))
        entry = _entry(bench, order, identity, AuditOutcome.REFUSED, granted.because, plan)
        sealed, path, text = append_entry(bench, entry, chain)
        changes = bench.store.plan_text(path, text)
        return Emergency(order, identity, granted, plan, entry=sealed, changes=changes, problems=problems)
    plan = decide_emergency(order, facts, affected, now=now, new_id=lambda name: new_request_id(name, now))
    recent = count_recent(chain, now=now, window=settings.alert_window)
    if not plan.requests:
        return Emergency(order, identity, granted, plan, recent=recent, outcomes=_outcomes(plan, ()), problems=problems)
    entry = _entry(bench, order, identity, AuditOutcome.GRANTED, granted.because, plan)
    sealed, path, text = append_entry(bench, entry, chain)
    told = EmergencyOrder(
        cve=order.cve, reason=order.reason, actor=identity.actor, identity=str(identity.kind), audit=sealed.id
    )
    requests = tuple(
        request.model_copy(
            update={"emergency": told, "approved_by": identity.actor if request.approved_at is not None else None}
        )
        for request in plan.requests
    )
    recent += 1
    alarm = ""
    events = [decide_emergency_requested(order, requests, audit=sealed.id, actor=identity.actor)]
    if recent > settings.alert_after:
        alarm = (
            f"{recent} emergency rebuilds were ordered within {format_duration(settings.alert_window)}, "
            f"more than {settings.alert_after}"
        )
        facts_told = {"Ordered by": identity.actor, "Vulnerability": order.cve, "Audit": sealed.id}
        events.append(Event(EventKind.EMERGENCY_ALARM, now, order.base or requests[0].name, f"{alarm}.", facts_told))
    after = {**facts.requests, **{request.name: request for request in requests}}
    events += decide_emergency_finished(facts.requests, after)
    changes = (*bench.store.plan(requests=requests), *bench.store.plan_text(path, text))
    return Emergency(
        order,
        identity,
        granted,
        plan,
        requests,
        sealed,
        recent,
        alarm,
        _outcomes(plan, requests),
        tuple(sorted(changes, key=lambda change: change.path)),
        tuple(events),
        problems,
    )


def _authorize(bench: Workbench, identity: Identity, affected: Affected, settings: EmergencySettings) -> Authorization:
    checkout = Checkout.find(bench.root)
    if checkout is not None and not is_committed(checkout, bench.root / SETTINGS_FILE):
        return Authorization(
            False,
            f"{SETTINGS_FILE} is not as it was committed: who may order is read from git alone",
            hint="commit it, the way your repository lets such a change through",
        )
    return decide_authorization(identity, (*affected.images, *affected.circular), settings)


def _entry(
    bench: Workbench, order: Order, identity: Identity, outcome: AuditOutcome, because: str, plan: EmergencyPlan
) -> AuditEntry:
    return AuditEntry(
        number=1,
        at=bench.clock.now().replace(microsecond=0),
        outcome=outcome,
        because=because,
        actor=identity.actor,
        identity=str(identity.kind),
        issuer=identity.issuer,
        signature=identity.signature,
        order=identity.order,
        cve=order.cve,
        reason=order.reason,
        base=order.base or "",
        digest_range=order.digest_range or "",
        images=tuple(request.name for request in plan.requests) or plan.affected,
        digests={cause.base: cause.to for request in plan.requests for cause in request.causes},
        requests={request.name: request.request_id for request in plan.requests},
    )


def _outcomes(plan: EmergencyPlan, requests: tuple[RebuildRequest, ...]) -> tuple[Outcome, ...]:
    done: list[Outcome] = [Done(request.name, _sentences(request, plan)) for request in requests]
    done += [Skipped(name, why) for name, why in plan.kept.items()]
    done += [Failed(name, error) for name, error in plan.refused.items()]
    return tuple(done)


def _sentences(request: RebuildRequest, plan: EmergencyPlan) -> tuple[str, ...]:
    told = [f"rebuild requested ({request.request_id})"]
    told += [f"on {cause.base} {short_digest(cause.to)}" for cause in request.causes]
    if request.waits_for:
        told.append(f"after {', '.join(request.waits_for)}")
    if request.name in plan.notes:
        told.append(plan.notes[request.name])
    return tuple(told)
