"""Slack: notices by an incoming webhook, or by a bot's token. One message a batch.

Sources: docs.slack.dev/messaging/sending-messages-using-incoming-webhooks,
docs.slack.dev/reference/methods/chat.postMessage. The address of a webhook and the token are
secrets: the settings name the environment variables that hold them, which are read when there is
something to tell.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from image_factory.errors import InvalidSettings, ProtocolError, RateLimited, RemoteError, RemoteRefused, Unavailable
from image_factory.model.event import Event
from image_factory.ports import Clock, Http, HttpRequest, HttpResponse
from image_factory_slack.answers import check_api, check_webhook
from image_factory_slack.message import build_message
from image_factory_slack.options import Options

_MAX_ANSWER = 64 * 1024


@dataclass(frozen=True)
class Slack:
    """A channel of Slack's as a `Notifier`."""

    options: Options
    http: Http = field(repr=False)
    clock: Clock = field(repr=False)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)

    @property
    def name(self) -> str:
        return "slack"

    def deliver(self, events: Sequence[Event]) -> None:
        """Post one message that tells all of `events`."""
        if not events:
            return
        message = build_message(events)
        if self.options.webhook_variable:
            url = self._secret(self.options.webhook_variable)
            if urlsplit(url).scheme not in ("http", "https"):
                raise InvalidSettings(
                    f"{self.options.webhook_variable} holds no https address", hint="copy the webhook's from Slack"
                )
            # The path is the secret; the host may be said.
            check_webhook(self._send(url, {}, message, urlsplit(url).path), self.clock.now())
            return
        token = self._secret(self.options.token_variable)
        url = f"{self.options.api}/chat.postMessage"
        posted = {"channel": self.options.channel, **message}
        check_api(self._send(url, {"Authorization": f"Bearer {token}"}, posted, token), self.clock.now())

    def _secret(self, variable: str) -> str:
        value = self.environ.get(variable, "").strip()
        if not value:
            raise InvalidSettings(
                f"the environment variable {variable} is not set", hint="plugins.slack in config.yaml names it"
            )
        return value

    def _send(self, url: str, headers: Mapping[str, str], payload: Mapping[str, Any], secret: str) -> HttpResponse:
        body = json.dumps(payload, ensure_ascii=False).encode()
        request = HttpRequest("POST", url, {"Content-Type": "application/json; charset=utf-8", **headers}, body)
        try:
            return self.http.send(request, max_bytes=_MAX_ANSWER)
        except RemoteError as error:
            # The client's errors may hold the address.
            said, hint = (text.replace(secret, "/…") for text in (error.message, error.hint))
            kind = RemoteRefused if isinstance(error, ProtocolError) else type(error)
            if isinstance(error, RateLimited):
                raise RateLimited(said, retry_after=error.retry_after, hint=hint) from None
            if isinstance(error, Unavailable):
                raise Unavailable(said, hint=hint or "it is tried again") from None
            raise kind(said, hint=hint or "check the address that the settings name") from None
