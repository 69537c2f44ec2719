"""Slack's answers as our errors. Pure.

Sources: docs.slack.dev/messaging/sending-messages-using-incoming-webhooks (a word as the body),
docs.slack.dev/reference/methods/chat.postMessage (`ok` and `error` in JSON, mostly with 200),
docs.slack.dev/apis/web-api/rate-limits (429 with Retry-After). Only words of Slack's shape are
shown, never an answer's free text: it may echo what was sent.
"""

from __future__ import annotations

import json
import re
from datetime import datetime

from image_factory.errors import (
    AuthenticationRequired,
    RateLimited,
    RemoteError,
    RemoteNotFound,
    RemoteRefused,
    Unavailable,
)
from image_factory.oci.distribution import retry_after
from image_factory.ports import HttpResponse

_CODE = re.compile(r"[a-z][a-z0-9_]{1,60}")
_LATER = "it is tried again"
_NEW_WEBHOOK = "make a new webhook in Slack, and put its address in the environment variable of webhookUrlEnv"
_NEW_TOKEN = "put a bot token with the scope chat:write in the environment variable of tokenEnv"  # noqa: S105
_CHANNEL = "check plugins.slack.channel in config.yaml: a channel's ID, such as C0123456789, is safest"
_DEFECT = "report it: this message should have been within Slack's limits"

_GONE = {
    "no_service": _NEW_WEBHOOK,
    "no_service_id": _NEW_WEBHOOK,
    "no_active_hooks": _NEW_WEBHOOK,
    "no_team": _NEW_WEBHOOK,
    "team_disabled": _NEW_WEBHOOK,
    "channel_not_found": _CHANNEL,
    "channel_is_archived": "unarchive the channel, or choose another one",
    "is_archived": "unarchive the channel, or choose another one",
    "user_not_found": _CHANNEL,
}
_REFUSED_CREDENTIALS = {
    "invalid_token": _NEW_WEBHOOK,
    **dict.fromkeys(
        (
            "not_authed",
            "invalid_auth",
            "token_revoked",
            "token_expired",
            "account_inactive",
            "missing_scope",
            "no_permission",
            "not_allowed_token_type",
            "org_login_required",
            "two_factor_setup_required",
        ),
        _NEW_TOKEN,
    ),
}
_REFUSED = {
    "not_in_channel": "invite the app to the channel: /invite @its-name",
    "action_prohibited": "an administrator of the workspace has to allow the webhook to post there",
    "posting_to_general_channel_denied": "choose another channel, or let an administrator allow it",
    "restricted_action": "an administrator of the workspace has to allow the app to post there",
    "invalid_payload": _DEFECT,
    "invalid_blocks": _DEFECT,
    "invalid_blocks_format": _DEFECT,
    "msg_blocks_too_long": _DEFECT,
    "msg_too_long": _DEFECT,
    "no_text": _DEFECT,
}
_BUSY = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})
_DOWN = frozenset({"internal_error", "fatal_error", "service_unavailable", "request_timeout", "rollup_error"})


def check_webhook(response: HttpResponse, now: datetime) -> None:
    """Return where a webhook took the message; raise by who acts next otherwise.

    Args:
        response: the answer.
        now: the instant that a `Retry-After` date counts from.
    """
    text = response.body[:200].decode("ascii", "replace").strip()
    if response.status == 200 and text == "ok":
        return
    raise _error(response, text if _CODE.fullmatch(text) else "", now)


def check_api(response: HttpResponse, now: datetime) -> None:
    """Return where the Web API took the message; raise by who acts next otherwise."""
    try:
        answer = json.loads(response.body)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise _error(response, "", now)
    if response.status == 200 and answer.get("ok") is True:
        return
    code = answer.get("error")
    raise _error(response, code if isinstance(code, str) and _CODE.fullmatch(code) else "", now)


def _error(response: HttpResponse, code: str, now: datetime) -> RemoteError:
    status = response.status
    said = f"Slack does not take the message: {code or f'HTTP {status}'}"
    if status == 429 or code in _BUSY:
        return RateLimited(said, retry_after=retry_after(response.headers, now), hint=_LATER)
    if code in _GONE:
        return RemoteNotFound(said, hint=_GONE[code])
    if code in _REFUSED_CREDENTIALS:
        return AuthenticationRequired(said, hint=_REFUSED_CREDENTIALS[code])
    if code in _REFUSED or code.startswith("restricted_action"):
        return RemoteRefused(said, hint=_REFUSED.get(code, _REFUSED["restricted_action"]))
    if status == 408 or status >= 500 or code in _DOWN:
        return Unavailable(said, hint=_LATER)
    if status in (401, 403):
        return AuthenticationRequired(said, hint="check the webhook or the token that the settings name")
    if status in (404, 410):
        return RemoteNotFound(said, hint="check the address: plugins.slack in config.yaml")
    hint = "look the word up in Slack's documentation" if code else "is the address that of a Slack webhook or API?"
    return RemoteRefused(said, hint=hint)
