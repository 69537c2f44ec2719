"""`plugins.email` of config.yaml, checked. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.headerregistry import Address
from email.policy import SMTP
from enum import StrEnum
from typing import Any

from image_factory.errors import InvalidSettings
from image_factory.shell.http import is_loopback

KEYS = ("host", "port", "security", "from", "to", "usernameEnv", "passwordEnv", "caFile")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?|[0-9a-fA-F:.]{2,45}")


class Security(StrEnum):
    """How a connection is protected."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


_PORTS = {Security.STARTTLS: 587, Security.TLS: 465, Security.NONE: 25}


@dataclass(frozen=True, slots=True)
class Options:
    """Where mail is handed in, by whom, and to whom it goes."""

    host: str
    port: int
    security: Security
    sender: Address
    recipients: tuple[Address, ...]
    username_variable: str = ""
    password_variable: str = ""
    ca_file: str = ""


def read_options(given: Mapping[str, Any]) -> Options | None:
    """Return the options that settings hold, or None where mail is not set up.

    Raises:
        InvalidSettings: a key is unknown or missing, or a value cannot be used.
    """
    if not given:
        return None
    for key in given:
        if key not in KEYS:
            raise InvalidSettings(f"plugins.email: unknown key {key!r}", hint=f"known: {', '.join(KEYS)}")
    host = _text(given, "host")
    if not _HOST.fullmatch(host):
        raise InvalidSettings(f"plugins.email.host is no host: {host!r}", hint="write one such as smtp.example.com")
    security = _security(_text(given, "security", Security.STARTTLS), host)
    port = given.get("port", _PORTS[security])
    if isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65_536:
        raise InvalidSettings(f"plugins.email.port is no port: {port!r}", hint="write a number such as 587")
    recipients = given.get("to")
    listed = [recipients] if isinstance(recipients, str) else recipients
    if not isinstance(listed, (list, tuple)) or not listed:
        raise InvalidSettings("plugins.email.to names nobody", hint="write a list of addresses")
    username, password = (_variable(given, key) for key in ("usernameEnv", "passwordEnv"))
    if bool(username) != bool(password):
        raise InvalidSettings("plugins.email: usernameEnv and passwordEnv belong together", hint="give both, or none")
    return Options(
        host,
        port,
        security,
        _address(_text(given, "from"), "from"),
        tuple(_address(each, "to") for each in listed),
        username,
        password,
        _text(given, "caFile", "-") if "caFile" in given else "",
    )


def _text(given: Mapping[str, Any], key: str, default: str | None = None) -> str:
    value = given.get(key, default)
    if not isinstance(value, str) or not value:
        raise InvalidSettings(f"plugins.email.{key} is missing, or no text", hint="write a text")
    return value


def _security(word: str, host: str) -> Security:
    if word not in list(Security):
        raise InvalidSettings(
            f"plugins.email.security is none of {', '.join(Security)}: {word!r}", hint="most servers take starttls"
        )
    security = Security(word)
    if security is Security.NONE and not is_loopback(f"[{host}]" if ":" in host else host):
        raise InvalidSettings(
            f"plugins.email.security: mail is not handed to {host} without TLS", hint="write starttls or tls"
        )
    return security


def _variable(given: Mapping[str, Any], key: str) -> str:
    if key not in given:
        return ""
    value = given[key]
    if not isinstance(value, str) or not _VARIABLE.fullmatch(value):
        # The value is not shown: people put the secret itself here.
        hint = "write the name of the variable that holds it, such as SMTP_PASSWORD"
        raise InvalidSettings(f"plugins.email.{key} is no name of an environment variable", hint=hint)
    return value


def _address(text: object, key: str) -> Address:
    """Return `Name <local@domain>` or a bare address, read as a mail's header is."""
    if isinstance(text, str) and text.isprintable():
        header = SMTP.header_factory("To", text)
        if not header.defects and len(header.addresses) == 1:
            (address,) = header.addresses
            if isinstance(address, Address) and address.username and address.domain:
                return address
    raise InvalidSettings(f"plugins.email.{key} is no address: {text!r}", hint="write one such as builds@example.com")
