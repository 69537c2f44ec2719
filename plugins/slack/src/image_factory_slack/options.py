"""`plugins.slack` of config.yaml: which variable holds the secret, and where to post. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from image_factory.errors import InvalidSettings

API = "https://slack.com/api"
KEYS = ("webhookUrlEnv", "tokenEnv", "channel", "api")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


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
