"""GitLab's refusals as our errors, each with what to do next. Pure: the instant is an argument.

Statuses: docs.gitlab.com/api/rest/troubleshooting; limits: docs.gitlab.com/security/rate_limits. No
header of the request is at hand here, so none can be shown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

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

DEFAULT_WAIT = timedelta(minutes=1)
"""How long to wait where a limit says nothing: the window of most of GitLab's."""
MAX_WAIT = timedelta(hours=2)
"""The longest wait that is believed."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_VARIABLES = "on GitLab: Settings > CI/CD > Variables > Minimum role to use pipeline variables: allow the token's role"


def refusal(status: int, headers: Mapping[str, str], body: str, doing: str, now: datetime) -> ImageFactoryError:
    """Return the error for an answer that is none of those wanted.

    Args:
        headers: names in lower case.
        doing: how the message begins, such as `cannot read Dockerfile in acme/web`.
    """
    said = message_of(body)
    text = f"{doing}: {status} {said.removeprefix(f'{status} ')}".rstrip()
    if status == 429:
        wait = rate_limit(headers, now)
        hint = f"GitLab takes requests again in {int(wait.total_seconds())} s"
        return RateLimited(text, retry_after=wait, hint=hint)
    if status == 401:
        return AuthenticationRequired(
            text, hint="the token is missing, wrong or expired: set GITLAB_TOKEN, or what plugins.gitlab names, anew"
        )
    if status == 403:
        scope = "give the token the scope api" if "scope" in said.lower() else "give the token a role that may"
        return AuthenticationRequired(text, hint=f"the token may not do this: {scope}, or use another")
    if status == 400 and "pipeline variables" in said.lower():
        return AuthenticationRequired(text, hint=_VARIABLES)
    if status in (404, 410) or (status == 400 and "reference not found" in said.lower()):
        return RemoteNotFound(
            text, hint="it does not exist, or the token may not see it: check the name, and what the token may read"
        )
    if status in (400, 405, 406, 409, 412, 413, 422):
        return RemoteRefused(text, hint="GitLab will refuse it again: change what it complains about")
    if status in (301, 302, 303, 307, 308):
        return RemoteRefused(text, hint="the project or host has moved: write its new name into the enrollment")
    if status >= 500:
        return Unavailable(text, hint="GitLab has trouble: try again later")
    return ProtocolError(text, hint="is this a GitLab? check source.host")


def message_of(body: str) -> str:
    """Return what an error answer says, its details included, in one bounded line.

    GitLab says it as text, as a list, or as a map from field to list, under `message` or `error`.
    """
    try:
        parsed = json.loads(body)
        words = [word for word in _words(parsed) if word] if isinstance(parsed, dict) else []
    except (ValueError, RecursionError):
        return "(no JSON)" if body.strip() else ""
    return _CONTROL.sub(" ", "; ".join(words[:8]))[:300]


def rate_limit(headers: Mapping[str, str], now: datetime) -> timedelta:
    """Return how long a 429 asks to wait: `Retry-After` in either form, else `RateLimit-Reset`, within reason."""
    wait = retry_after(headers, now)
    reset = headers.get("ratelimit-reset", "").strip()
    if wait is None and re.fullmatch(r"\d{1,11}", reset):
        wait = datetime.fromtimestamp(int(reset), UTC) - now
    return min(max(DEFAULT_WAIT if wait is None else wait, timedelta(seconds=1)), MAX_WAIT)


def _words(parsed: Mapping[str, object]) -> Iterator[str]:
    for key in ("message", "error", "error_description"):
        told = parsed.get(key)
        if isinstance(told, dict):
            for name, value in told.items():
                values = value if isinstance(value, list) else [value]
                yield from (str(one) if name == "base" else f"{name} {one}" for one in values)
        elif isinstance(told, list):
            yield from map(str, told)
        elif told is not None:
            yield str(told)
