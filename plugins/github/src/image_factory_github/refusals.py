"""GitHub's refusals as our errors, each with what to do next. Pure: the instant is an argument.

Statuses and headers: docs.github.com/rest/using-the-rest-api/troubleshooting-the-rest-api and
rate-limits-for-the-rest-api. No header of the request is at hand here, so none can be shown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from image_factory.errors import (
    AuthenticationRequired,
    ImageFactoryError,
    ProtocolError,
    RateLimited,
    RemoteNotFound,
    RemoteRefused,
    Unavailable,
)
from image_factory.oci.distribution import retry_after

SECONDARY_WAIT = timedelta(minutes=1)
"""How long to wait where a secondary limit says nothing: "at least one minute" in GitHub's words."""
MAX_WAIT = timedelta(hours=2)
"""The longest wait that is believed; GitHub's own window is one hour."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def refusal(status: int, headers: Mapping[str, str], body: str, doing: str, now: datetime) -> ImageFactoryError:
    """Return the error for an answer that is none of those wanted.

    Args:
        headers: names in lower case.
        doing: how the message begins, such as `cannot read Dockerfile in acme/web`.
    """
    said = message_of(body)
    text = f"{doing}: {status} {said}".rstrip()
    limited = _rate_limit(status, headers, said, now)
    if limited is not None:
        return RateLimited(
            text, retry_after=limited, hint=f"GitHub takes requests again in {int(limited.total_seconds())} s"
        )
    if status == 401:
        return AuthenticationRequired(
            text, hint="the token is missing, wrong or expired: set GITHUB_TOKEN, or what plugins.github names, anew"
        )
    if status == 403 and "already running" in said.lower():
        return RemoteRefused(text, hint="wait until the run has ended")
    if status == 403:
        return AuthenticationRequired(text, hint=_missing_permission(headers))
    if status in (404, 410) or (status == 422 and "no commit found" in said.lower()):
        return RemoteNotFound(
            text, hint="it does not exist, or the token may not see it: check the name, and what the token may read"
        )
    if status in (409, 422):
        return RemoteRefused(text, hint="GitHub will refuse it again: change what it complains about")
    if status in (301, 302, 307, 308):
        return RemoteRefused(text or doing, hint="the repository has moved: write its new name into the enrollment")
    if status >= 500:
        return Unavailable(text, hint="GitHub has trouble: try again later (githubstatus.com)")
    return ProtocolError(text, hint="is this a GitHub? check source.host and plugins.github.hosts")


def message_of(body: str) -> str:
    """Return what an error answer says, its details included, in one bounded line."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return "(no JSON)" if body.strip() else ""
    if not isinstance(parsed, dict):
        return ""
    words = [str(parsed.get("message", ""))]
    errors = parsed.get("errors")
    for error in errors[:5] if isinstance(errors, list) else []:
        if isinstance(error, dict):
            words.append(str(error.get("message") or f"{error.get('field', '')} {error.get('code', '')}".strip()))
        else:
            words.append(str(error))
    return _CONTROL.sub(" ", "; ".join(word for word in words if word))[:300]


def _rate_limit(status: int, headers: Mapping[str, str], said: str, now: datetime) -> timedelta | None:
    """Return how long to wait where this is a rate limit, primary or secondary; None where it is none."""
    if status not in (403, 429):
        return None
    waits = headers.get("retry-after", "").strip()
    is_spent = headers.get("x-ratelimit-remaining", "").strip() == "0"
    lower = said.lower()
    if status == 403 and not waits and not is_spent and "rate limit" not in lower and "abuse detection" not in lower:
        return None
    wait = retry_after(headers, now)
    return min(max(SECONDARY_WAIT if wait is None else wait, timedelta(seconds=1)), MAX_WAIT)


def _missing_permission(headers: Mapping[str, str]) -> str:
    if "x-github-sso" in headers:
        return "the organisation wants single sign-on: authorise the token for it on GitHub"
    wanted = _CONTROL.sub(" ", headers.get("x-accepted-github-permissions", ""))[:120]
    return f"the token may not do this: give it {wanted or 'the permission'}, or use another"
