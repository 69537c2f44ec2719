"""Answers that are errors: one shape for all, `{"errors": [{"field", "message", "hint"}]}`, and never a traceback."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from image_factory.errors import ImageFactoryError, RateLimited, RemoteError, Unavailable, UserError, VerificationError

log = logging.getLogger("image_factory.server")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    message: str
    field: str | None = None
    """The field of the body that it is about; None for the whole call."""
    hint: str = ""


class Refused(Exception):
    """A call that is answered with an error; `status` is its HTTP status code."""

    def __init__(
        self,
        status: int,
        problems: Iterable[Problem],
        *,
        headers: Mapping[str, str] | None = None,
        rest: Mapping[str, Any] | None = None,
    ) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(problem.message for problem in self.problems))
        self.status = status
        self.headers = dict(headers or {})
        self.rest = dict(rest or {})
        """What else the answer holds."""


def refused_by(error: ImageFactoryError, *, field: str | None = None, rest: Mapping[str, Any] | None = None) -> Refused:
    """Return the answer to a call that ended with one of our errors.

    400 what the caller wrote, 403 what they may not, 503 what may be back later, 502 another fault of a
    service behind us, 500 a defect.
    """
    headers = {}
    status = 500
    match error:
        case UserError():
            status = 400
        case VerificationError():
            status = 403
        case Unavailable() | RateLimited():
            status = 503
            wait = error.retry_after if isinstance(error, RateLimited) else None
            headers = {} if wait is None else {"Retry-After": str(max(1, round(wait.total_seconds())))}
        case RemoteError():
            status = 502
    return Refused(status, [Problem(error.message, field, error.hint)], headers=headers, rest=rest)


async def answer_refused(request: Request, error: Exception) -> JSONResponse:
    """Answer with what a `Refused` says."""
    assert isinstance(error, Refused)
    told = [{"field": each.field, "message": each.message, "hint": each.hint} for each in error.problems]
    if error.status >= 500:
        fields = {"image": None, "op": request.url.path, "input": None, "hint": error.problems[0].hint}
        log.error("answered %d: %s", error.status, error, extra=fields)
    return JSONResponse({"errors": told, **error.rest}, error.status, headers=error.headers)


async def answer_ours(request: Request, error: Exception) -> JSONResponse:
    """Answer with one of our errors that no route expected."""
    assert isinstance(error, ImageFactoryError)
    return await answer_refused(request, refused_by(error))


async def answer_http(request: Request, error: Exception) -> JSONResponse:
    """Answer what no route answers: no such path, another method."""
    assert isinstance(error, HTTPException)
    refused = Refused(error.status_code, [Problem(str(error.detail).lower())], headers=error.headers)
    return await answer_refused(request, refused)


async def answer_defect(request: Request, error: Exception) -> JSONResponse:
    """Answer with 500 and nothing of what went wrong; the log has it."""
    log.error("a defect", exc_info=error, extra={"image": None, "op": request.url.path, "input": None})
    return JSONResponse(
        {"errors": [{"field": None, "message": "a defect of ours", "hint": "see the server's log"}]}, 500
    )


def read_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object that a body is.

    Raises:
        Refused: it is none.
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(400, [Problem("the body is no JSON", hint="send an object as application/json")]) from None
    if not isinstance(found, dict):
        raise Refused(400, [Problem("the body is no JSON object", hint='send one such as {"cve": "CVE-2026-12345"}')])
    return found
