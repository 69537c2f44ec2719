"""Notices by mail: one mail a batch, handed to an SMTP server.

Sources: RFC 5321 (SMTP), RFC 3207 (STARTTLS), RFC 8314 (TLS from the start), RFC 4954 (AUTH). TLS is
always verified; without it mail goes to this machine alone. User name and password are read from
environment variables when there is something to tell.
"""

from __future__ import annotations

import os
import smtplib
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from email.message import EmailMessage

from image_factory.errors import (
    AuthenticationRequired,
    ImageFactoryError,
    InvalidSettings,
    RemoteRefused,
    Unavailable,
)
from image_factory.model.event import Event
from image_factory.ports import Clock
from image_factory_email.message import build_message
from image_factory_email.options import Options, Security

TIMEOUT = timedelta(seconds=30)
"""For each step of a conversation; RFC 5321, section 4.5.3.2, allows servers minutes, a run does not."""
_LATER = "it is tried again"


@dataclass(frozen=True)
class Email:
    """Mail to a few people as a `Notifier`."""

    options: Options
    clock: Clock = field(repr=False)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    timeout: timedelta = TIMEOUT

    @property
    def name(self) -> str:
        return "email"

    def deliver(self, events: Sequence[Event]) -> None:
        """Hand in one mail that tells all of `events`."""
        if not events:
            return
        options = self.options
        username, password = self._login()
        message = build_message(events, options.sender, options.recipients, self.clock.now())
        try:
            refused = self._hand_in(message, username, password)
        except ImageFactoryError:
            raise
        except (smtplib.SMTPException, OSError) as error:
            # smtplib's errors hold what the server said, which may repeat what it was told.
            raise self._error(error) from None
        if refused:
            # The others have the mail already: to try again would send it to them twice.
            raise RemoteRefused(
                f"{options.host} takes no mail for {', '.join(sorted(refused))}; the others have it",
                hint="correct plugins.email.to in config.yaml",
            )

    def _login(self) -> tuple[str, str]:
        """Return user name and password, empty where no login is wanted."""
        values = []
        for variable in (self.options.username_variable, self.options.password_variable):
            value = self.environ.get(variable, "") if variable else ""
            if variable and not value:
                raise InvalidSettings(
                    f"the environment variable {variable} is not set", hint="plugins.email in config.yaml names it"
                )
            if not value.isascii():
                raise InvalidSettings(f"{variable} holds more than ASCII", hint="SMTP's logins take ASCII alone")
            values.append(value)
        return values[0], values[1]

    def _hand_in(self, message: EmailMessage, username: str, password: str) -> Mapping[str, tuple[int, bytes]]:
        """Return the recipients that were refused where others were taken."""
        options, timeout = self.options, self.timeout.total_seconds()
        if options.security is Security.TLS:
            server: smtplib.SMTP = smtplib.SMTP_SSL(options.host, options.port, timeout=timeout, context=self._trust())
        else:
            server = smtplib.SMTP(options.host, options.port, timeout=timeout)
        try:
            if options.security is Security.STARTTLS:
                # Raises where the server offers none: nothing goes out unprotected.
                server.starttls(context=self._trust())
            if username:
                server.login(username, password)
            refused = server.send_message(message)
            # The mail is theirs now, however they say goodbye.
            with suppress(smtplib.SMTPException, OSError):
                server.quit()
            return refused
        finally:
            server.close()

    def _trust(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.options.ca_file:
            try:
                context.load_verify_locations(self.options.ca_file)
            except (OSError, ssl.SSLError) as error:
                raise InvalidSettings(
                    f"cannot read the CA file {self.options.ca_file}: {error}", hint="plugins.email.caFile names it"
                ) from error
        return context

    def _error(self, error: smtplib.SMTPException | OSError) -> ImageFactoryError:
        """Return what went wrong by who acts next; never what the server said, but its code."""
        host = f"{self.options.host}:{self.options.port}"
        match error:
            case smtplib.SMTPAuthenticationError(smtp_code=code) if code < 500:
                return Unavailable(f"{host} takes no login just now (SMTP {code})", hint=_LATER)
            case smtplib.SMTPAuthenticationError(smtp_code=code):
                hint = "check the variables that plugins.email.usernameEnv and passwordEnv name"
                return AuthenticationRequired(f"{host} refuses the login (SMTP {code})", hint=hint)
            case smtplib.SMTPRecipientsRefused(recipients=recipients):
                codes = sorted({code for code, _ in recipients.values()})
                said = f"{host} takes no mail for {', '.join(sorted(recipients))} (SMTP {', '.join(map(str, codes))})"
                if all(400 <= code < 500 for code in codes):
                    return Unavailable(said, hint=_LATER)
                return RemoteRefused(said, hint="correct plugins.email.to, or log in: usernameEnv, passwordEnv")
            case smtplib.SMTPResponseException(smtp_code=code) if 400 <= code < 500 or code < 0:
                return Unavailable(f"{host} does not take the mail just now (SMTP {code})", hint=_LATER)
            case smtplib.SMTPResponseException(smtp_code=530 as code):
                hint = "log in: plugins.email.usernameEnv and passwordEnv"
                return AuthenticationRequired(f"{host} wants a login (SMTP {code})", hint=hint)
            case smtplib.SMTPResponseException(smtp_code=code):
                hint = f"may {self.options.sender.addr_spec} send there? plugins.email.from in config.yaml"
                return RemoteRefused(f"{host} refuses the mail (SMTP {code})", hint=hint)
            case smtplib.SMTPNotSupportedError():
                hint = "it may want another port, or plugins.email.security: tls"
                return RemoteRefused(f"{host} offers no STARTTLS, no login or no UTF-8 address", hint=hint)
            case ssl.SSLCertVerificationError():
                hint = "for a CA of your own, write plugins.email.caFile in config.yaml"
                return RemoteRefused(f"cannot trust {host}: {error.verify_message}", hint=hint)
            case ssl.SSLError():
                hint = "does plugins.email.security fit the port? 465 is tls, 587 and 25 are starttls"
                return RemoteRefused(f"{host} does not speak TLS as expected", hint=hint)
            case TimeoutError():
                return Unavailable(f"no answer in time from {host}", hint=_LATER)
            case smtplib.SMTPException():
                return Unavailable(f"{host} broke off the conversation: {type(error).__name__}", hint=_LATER)
            case _:
                return Unavailable(f"cannot reach {host}: {error.strerror or type(error).__name__}", hint=_LATER)
