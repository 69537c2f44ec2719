"""Slack: notices by an incoming webhook, or by a bot's token. One message a batch.

Sources: docs.slack.dev/messaging/sending-messages-using-incoming-webhooks,
docs.slack.dev/reference/methods/chat.postMessage. The address of a webhook and the token are
secrets: the settings name the environment variables that hold them, which are read when there is
something to tell.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from image_factory.errors import InvalidSettings, ProtocolError, RateLimited, RemoteError, RemoteRefused, Unavailable
from image_factory.hookspecs import hookimpl
from image_factory.model.event import Event
from image_factory.model.settings import Settings
from image_factory.ports import Clock, Http, HttpRequest, HttpResponse, Notifier
from image_factory_slack.answers import check_api, check_webhook
from image_factory_slack.message import build_message

API = "https://slack.com/api"
KEYS = ("webhookUrlEnv", "tokenEnv", "channel", "api")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAX_ANSWER = 64 * 1024


@hookimpl
def register_notifiers(register: Callable[[Notifier], None], settings: Settings, http: Http, clock: Clock) -> None:
    """Register Slack where `plugins.slack` sets it up."""
    options = read_options(settings.plugins.get("slack", {}))
    if options is not None:
        register(Slack(options, http, clock))


@dataclass(frozen=True, slots=True)
class Options:
    """`plugins.slack` of config.yaml, checked."""

    webhook_variable: str = ""
    """The environment variable with the webhook's address; or these:"""
    token_variable: str = ""
    channel: str = ""
    api: str = API


def read_options(given: Mapping[str, Any]) -> Options | None:
    """Return the options that settings hold, or None where Slack is not set up.

    Raises:
        InvalidSettings: a key is unknown, a value is no text, or they do not fit together.
    """
    if not given:
        return None
    for key, value in given.items():
        if key not in KEYS:
            raise InvalidSettings(f"plugins.slack: unknown key {key!r}", hint=f"known: {', '.join(KEYS)}")
        if not isinstance(value, str) or not value:
            raise InvalidSettings(f"plugins.slack.{key} is no text", hint="write a text, or leave the key out")
    for key in ("webhookUrlEnv", "tokenEnv"):
        # The value is not shown: people put the secret itself here.
        if key in given and not _VARIABLE.fullmatch(given[key]):
            hint = "write the name of the variable that holds the secret, such as SLACK_WEBHOOK_URL"
            raise InvalidSettings(f"plugins.slack.{key} is no name of an environment variable", hint=hint)
    options = Options(
        given.get("webhookUrlEnv", ""),
        given.get("tokenEnv", ""),
        given.get("channel", ""),
        given.get("api", API).rstrip("/"),
    )
    if bool(options.webhook_variable) == bool(options.token_variable):
        raise InvalidSettings(
            "plugins.slack wants one of webhookUrlEnv and tokenEnv", hint="a webhook needs nothing else"
        )
    if bool(options.token_variable) != bool(options.channel):
        raise InvalidSettings(
            "plugins.slack: tokenEnv and channel belong together", hint="a webhook has a channel of its own"
        )
    return options


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
            with _unlogged(secret):
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


@contextmanager
def _unlogged(secret: str) -> Iterator[None]:
    """Keep `secret` out of the log of httpx, which says every address that it asks, paths included."""

    def redact(record: logging.LogRecord) -> bool:
        if secret in record.getMessage():
            record.msg, record.args = record.getMessage().replace(secret, "/…"), ()
        return True

    log = logging.getLogger("httpx")
    log.addFilter(redact)
    try:
        yield
    finally:
        log.removeFilter(redact)
