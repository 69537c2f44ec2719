"""POST /emergency-rebuilds: the same order as the command `emergency` gives, by the same use-case.

The caller is whom the call's own token proves; who may is read from config.yaml as it was committed. A
token that proves nobody is refused before anything is read or written, so that nobody who is unknown
can make the audit log grow. Whom it proves and who may not is refused, and written down.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse

from image_factory.decide.orders import Order, read_order
from image_factory.errors import ImageFactoryError, UserError
from image_factory.usecases.emergency import Emergency, carry_out, identify_bearer, mark_told
from image_factory.usecases.outcome import Done, Failed, Skipped
from image_factory.usecases.workbench import Workbench
from image_factory_server.answers import Problem, Refused, read_object, refused_by
from image_factory_server.body import bearer_token, doubted, read_body
from image_factory_server.desk import Desk

log = logging.getLogger("image_factory.server")

if TYPE_CHECKING:
    from image_factory.decide.authorization import Identity
    from image_factory.usecases.commit import Committed

Text = Annotated[str, StringConstraints(max_length=4096)]


class EmergencyBody(BaseModel):
    """What is ordered: a vulnerability, the reason, and either a base or images."""

    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel, validate_by_alias=True)

    cve: Text = Field(default="", description="CVE-YYYY-NNNN or GHSA-xxxx-xxxx-xxxx; required.")
    reason: Text = Field(default="", description="Why it cannot wait; kept in the audit log for ever; required.")
    base: Text | None = Field(default=None, description="Rebuild all managed images built on this.")
    digest_range: Text | None = Field(default=None, description="FROM..TO, of base: only what holds one of these.")
    images: list[Text] = Field(default_factory=list, max_length=1000, description="Rebuild these; instead of base.")
    rebuild_anyway: bool = Field(default=False, description="Also where no fixed digest is known, or it was done.")


async def order_rebuilds(desk: Desk, request: Request) -> JSONResponse:
    """Answer a call: 202 where rebuilds are requested, or were already."""
    token = bearer_token(request)
    body = await read_body(request)
    identity = await run_in_threadpool(_identified, desk, token)
    order = read_order_body(read_object(body))
    return await run_in_threadpool(_ordered, desk, order, identity)


def read_order_body(said: Mapping[str, Any]) -> Order:
    """Return the order that a body's object gives.

    Raises:
        Refused: 400, with all that is wrong by field.
    """
    try:
        body = EmergencyBody.model_validate(said)
    except ValidationError as error:
        wrong = [Problem(each["msg"].lower(), ".".join(map(str, each["loc"])) or None) for each in error.errors()]
        fields = {str(problem.field).partition(".")[0] for problem in wrong}
        # The other fields are judged too, so that a caller learns of everything at once.
        rest = {key: value for key, value in said.items() if key in _FIELDS and key not in fields}
        try:
            read_order_body(rest)
        except Refused as more:
            wrong += [problem for problem in more.problems if problem.field not in fields | _either(fields)]
        raise Refused(400, wrong) from None
    order, problems = read_order(
        cve=body.cve,
        reason=body.reason,
        base=body.base,
        digest_range=body.digest_range,
        images=body.images,
        anyway=body.rebuild_anyway,
    )
    if order is None:
        # The hints are in the words of the command line, but for those of what is written in both.
        told = {"cve", "reason"}
        raise Refused(
            400,
            [
                Problem(error.message, to_camel(field), error.hint if field in told else "")
                for field, error in sorted(problems.items())
            ],
        )
    return order


_FIELDS = {to_camel(name) for name in EmergencyBody.model_fields}


def _either(fields: set[str]) -> set[str]:
    """Return what is missing only because it stands in a field that is wrong itself."""
    return {"base"} if fields & {"base", "images"} else set()


def _identified(desk: Desk, token: str) -> Identity:
    bench = desk.workbench()
    identity = identify_bearer(bench, token, http=desk.issuers)
    if identity.doubt:
        raise doubted(identity.doubt)
    return identity


def _ordered(desk: Desk, order: Order, identity: Identity) -> JSONResponse:
    kept: list[tuple[Emergency, Committed]] = []
    with desk.turn:
        bench = desk.workbench()
        bench.images()  # an absent images.yaml is ours to put right
        try:
            found, committed = carry_out(
                bench,
                order,
                identity,
                push=desk.push,
                environ=desk.environ,
                unpushed=lambda *written: kept.append(written),
            )
        except UserError as error:
            # The order names what is not known, or what is written cannot be committed as it is.
            raise refused_by(error, field="base" if order.base else "images") from error
        except ImageFactoryError as error:
            raise refused_by(error, rest=_answer(*kept[-1]) if kept else {}) from error
        desk.count(found.samples)
    telling = BackgroundTask(_tell, desk, bench, found)
    answer = _answer(found, committed)
    if found.refusal is not None:
        refused = refused_by(found.refusal)
        return JSONResponse({"errors": _errors(refused), **answer}, 403, background=telling)
    if found.outcomes and all(isinstance(outcome, Failed) for outcome in found.outcomes):
        failed = [outcome for outcome in found.outcomes if isinstance(outcome, Failed)]
        wrong = Refused(409, [Problem(f"{each.item}: {each.error}", "images", each.error.hint) for each in failed])
        return JSONResponse({"errors": _errors(wrong), **answer}, 409, background=telling)
    return JSONResponse(answer, 202, background=telling)


def _tell(desk: Desk, bench: Workbench, found: Emergency) -> None:
    """Tell people what is written down with an order; a failure is logged, and leaves it to the next run."""
    if found.outbox is None:
        return
    desk.tell(bench, found.outbox.events)
    with desk.turn:
        try:
            mark_told(bench, found.outbox, push=desk.push, environ=desk.environ)
        except ImageFactoryError as error:
            fields = {"image": None, "op": "notify", "input": None, "hint": error.hint}
            log.error("that notices are told is not written: %s", error, extra=fields)


def _errors(refused: Refused) -> list[dict[str, Any]]:
    return [{"field": each.field, "message": each.message, "hint": each.hint} for each in refused.problems]


def _answer(found: Emergency, committed: Committed) -> dict[str, Any]:
    return {
        "cve": found.order.cve,
        "actor": found.identity.actor,
        "audit": None if found.entry is None else found.entry.id,
        "requests": [{"image": request.name, "requestId": request.request_id} for request in found.requests],
        "affected": list(found.plan.affected),
        "outcomes": [_outcome(outcome) for outcome in found.outcomes],
        "alarm": found.alarm or None,
        "commit": committed.commit,
        "pushed": committed.pushed,
        "problems": [str(problem) for problem in found.problems],
    }


def _outcome(outcome: Done | Skipped | Failed) -> dict[str, Any]:
    match outcome:
        case Done():
            return {"image": outcome.item, "outcome": "done", "reason": ", ".join(outcome.changes)}
        case Skipped():
            return {"image": outcome.item, "outcome": "skipped", "reason": outcome.reason}
        case Failed():
            return {"image": outcome.item, "outcome": "failed", "reason": str(outcome.error)}
