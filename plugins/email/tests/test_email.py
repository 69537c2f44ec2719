"""Mail against a real SMTP server, held to the contract of notifiers; TLS, logins, refusals, settings."""

from __future__ import annotations

import asyncio
import datetime
import email
import html
import importlib.metadata
import ipaddress
import logging
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from image_factory.errors import (
    AuthenticationRequired,
    ImageFactoryError,
    InvalidSettings,
    RemoteRefused,
    Unavailable,
)
from image_factory.model.event import Event, EventKind
from image_factory.model.settings import Settings
from image_factory.plugins import load_plugins
from image_factory.shell.http import HttpClient
from image_factory.testing.clock import FixedClock
from image_factory.testing.notifier_contract import NotifierContract, NotifierWorld, Trouble
from image_factory_email.notifier import Email
from image_factory_email.options import read_options

smtp = pytest.importorskip("aiosmtpd.smtp", reason="aiosmtpd is the SMTP server: pip install aiosmtpd")

AT = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.UTC)
PASSWORD = "planted-password-61"
LOGIN = {"SMTP_USER": "robot", "SMTP_PASSWORD": PASSWORD}
MOVED = Event(EventKind.BASE_MOVED, AT, "node-22", "node-22 points at another image now.")


class Server:
    """An SMTP server on loopback that keeps mail, and refuses what it was told to refuse."""

    def __init__(self, certificate: Path, *, tls: str, login: bool) -> None:
        self.mails: list[EmailMessage] = []
        self.replies: dict[str, str] = {}
        """Command, or address of a recipient → what is answered in place of taking it."""
        self.password = PASSWORD
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, certificate.with_name("key.pem"))
        options: dict[str, Any] = {"hostname": "localhost", "enable_SMTPUTF8": True}
        if tls == "starttls":
            options |= {"tls_context": context, "require_starttls": True}
        if login:
            options |= {"authenticator": self._check, "auth_required": True, "auth_require_tls": tls == "starttls"}
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(
            self._loop.create_server(
                lambda: smtp.SMTP(self, loop=self._loop, **options),
                "127.0.0.1",
                0,
                ssl=context if tls == "tls" else None,
            )
        )
        self.port: int = self._server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="smtp")
        self._thread.start()

    def stop(self) -> None:
        async def end() -> None:
            self._server.close()
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _check(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> Any:
        is_right = (data.login, data.password) == (b"robot", self.password.encode())
        return smtp.AuthResult(success=is_right, handled=False)

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:  # noqa: N802
        envelope.mail_from = address
        return self.replies.get("MAIL", "250 OK")

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:  # noqa: N802
        reply = self.replies.get(address, self.replies.get("RCPT", "250 OK"))
        if reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        reply = self.replies.get("DATA", "250 OK")
        if reply.startswith("250"):
            message = email.message_from_bytes(envelope.content, policy=default)
            assert isinstance(message, EmailMessage)
            self.mails.append(message)
        return reply

    async def handle_QUIT(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        return self.replies.get("QUIT", "221 Bye")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail")])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("certificate")
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(made.public_bytes(pem))
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(secret)
    return folder / "ca.pem"


Serve = Callable[..., tuple[Server, Email]]


@pytest.fixture
def serve(certificate: Path) -> Iterator[Serve]:
    """Return what starts a server, and sets mail up for it."""
    servers: list[Server] = []
    # The server's log tells what a client sent, as a server's does; what the client logs is what is tested.
    log = logging.getLogger("mail.log")
    log.disabled = True

    def start(tls: str = "starttls", *, login: bool = True, **changes: Any) -> tuple[Server, Email]:
        servers.append(Server(certificate, tls=tls, login=login))
        given = {
            "host": "127.0.0.1",
            "port": servers[-1].port,
            "security": tls,
            "from": "Image Factory <factory@example.com>",
            "to": ["team@example.com", "ops@example.com"],
            "usernameEnv": "SMTP_USER",
            "passwordEnv": "SMTP_PASSWORD",
            "caFile": str(certificate),
            **changes,
        }
        options = read_options({key: value for key, value in given.items() if value is not None})
        assert options is not None
        return servers[-1], Email(options, FixedClock(AT), LOGIN)

    yield start
    for server in servers:
        server.stop()
    log.disabled = False


def world(serve: Serve, shown: Callable[[EmailMessage], str]) -> NotifierWorld:
    server, notifier = serve()

    def trouble(kind: Trouble) -> None:
        match kind:
            case Trouble.DOWN:
                server.replies["DATA"] = f"451 4.3.0 later, {PASSWORD}"
            case Trouble.BUSY:
                server.replies["RCPT"] = "450 4.7.1 greylisted"
            case Trouble.LOCKED_OUT:
                server.password = "another"
            case Trouble.REFUSED:
                server.replies["RCPT"] = "550 5.1.1 no such user"

    return NotifierWorld(notifier, lambda: [shown(mail) for mail in server.mails], trouble, (PASSWORD,))


def text_of(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def html_of(mail: EmailMessage) -> str:
    part = mail.get_body(("html",))
    assert part is not None
    return str(part.get_content())


def drawn(mail: EmailMessage) -> str:
    """Return what a reader of the HTML sees."""
    return html.unescape(re.sub(r"<[^>]*>", " ", html_of(mail)))


class TestText(NotifierContract):
    @pytest.fixture
    def world(self, serve: Serve) -> NotifierWorld:
        return world(serve, text_of)


class TestHtml(NotifierContract):
    @pytest.fixture
    def world(self, serve: Serve) -> NotifierWorld:
        return world(serve, drawn)


# --- mails -------------------------------------------------------------------------------------------------


def test_a_mail_says_who_what_and_that_no_person_wrote_it(serve: Serve) -> None:
    server, notifier = serve()

    notifier.deliver([MOVED])

    (mail,) = server.mails
    assert mail["Subject"] == "Base image moved: node-22"
    assert mail["From"] == "Image Factory <factory@example.com>"
    assert mail["To"] == "team@example.com, ops@example.com"
    assert mail["Date"].datetime == AT
    assert mail["Auto-Submitted"] == "auto-generated"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]


def test_a_mail_that_is_sent_again_is_known_by_its_id(serve: Serve) -> None:
    server, notifier = serve()

    notifier.deliver([MOVED])
    notifier.deliver([MOVED])
    notifier.deliver([MOVED, MOVED])

    first, again, other = (mail["Message-ID"] for mail in server.mails)
    assert first == again != other


def test_no_image_can_write_a_header(serve: Serve) -> None:
    server, notifier = serve()
    evil = "web\r\nBcc: all@example.com\r\n\r\n<script>"

    notifier.deliver([Event(EventKind.ANALYSIS_FAILED, AT, evil, evil, {evil: evil}, url=f"https://x.example/{evil}")])

    (mail,) = server.mails
    assert mail["Bcc"] is None
    assert mail["Subject"].startswith("Analysis failed: web Bcc: all@example.com")
    assert "<script>" not in html_of(mail)


def test_a_digest_of_many_events_is_one_mail_of_bounded_size(serve: Serve) -> None:
    server, notifier = serve()
    facts = {f"fact {number}": "<" * 5_000 for number in range(30)}

    notifier.deliver(
        [Event(EventKind.ANALYSIS_FAILED, AT, f"web-{number:03}", "&" * 5_000, facts) for number in range(500)]
    )

    (mail,) = server.mails
    told = sum(f": web-{number:03} (" in text_of(mail) for number in range(500))
    assert 2 <= told < 500
    assert f"{500 - told} more events are left out here: {500 - told} × Analysis failed" in text_of(mail)
    assert "10 more facts are left out here" in text_of(mail)
    assert len(mail.as_bytes()) < 2_000_000
    assert mail["Subject"] == "Image Factory: 500 × Analysis failed"


# --- connections --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_mail_is_handed_in_over_verified_tls_with_a_login(serve: Serve, tls: str) -> None:
    server, notifier = serve(tls, login=tls == "starttls", **({} if tls == "starttls" else NO_LOGIN))

    notifier.deliver([MOVED])

    assert len(server.mails) == 1


NO_LOGIN = {"usernameEnv": None, "passwordEnv": None}


def test_this_machine_s_own_server_may_do_without_tls(serve: Serve) -> None:
    server, notifier = serve("none", login=False, **NO_LOGIN)

    notifier.deliver([MOVED])

    assert len(server.mails) == 1


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_a_certificate_that_nobody_vouches_for_is_not_trusted(serve: Serve, tls: str) -> None:
    server, notifier = serve(tls, login=False, caFile=None)

    with pytest.raises(RemoteRefused, match="cannot trust"):
        notifier.deliver([MOVED])

    assert server.mails == []


def test_a_server_without_starttls_gets_neither_password_nor_mail(serve: Serve) -> None:
    server, notifier = serve("none", login=False, security="starttls")

    with pytest.raises(RemoteRefused, match="offers no STARTTLS"):
        notifier.deliver([MOVED])

    assert server.mails == []


def test_the_wrong_port_for_tls_is_told_with_what_to_check(serve: Serve) -> None:
    _, notifier = serve("none", login=False, security="tls", **NO_LOGIN)

    with pytest.raises(ImageFactoryError) as caught:
        notifier.deliver([MOVED])

    assert isinstance(caught.value, RemoteRefused)
    assert "plugins.email.security" in caught.value.hint


def test_a_server_that_is_gone_is_unavailable(serve: Serve) -> None:
    _, notifier = serve(port=1)

    with pytest.raises(Unavailable, match="cannot reach"):
        notifier.deliver([MOVED])


@pytest.mark.parametrize(
    ("command", "reply", "error"),
    [
        ("MAIL", "550 5.7.1 not you", RemoteRefused),
        ("MAIL", "530 5.7.0 log in first", AuthenticationRequired),
        ("MAIL", "452 4.3.1 full", Unavailable),
        ("RCPT", "554 5.7.1 relay denied", RemoteRefused),
        ("RCPT", "450 4.2.0 greylisted", Unavailable),
        ("DATA", "552 5.3.4 too big", RemoteRefused),
        ("DATA", "421 4.3.2 going down", Unavailable),
    ],
)
def test_every_refusal_is_an_error_of_ours_with_its_code_and_a_hint(
    serve: Serve, command: str, reply: str, error: type[ImageFactoryError]
) -> None:
    server, notifier = serve()
    server.replies[command] = reply

    with pytest.raises(error) as caught:
        notifier.deliver([MOVED])

    assert type(caught.value) is error
    assert f"SMTP {reply[:3]}" in str(caught.value)
    assert caught.value.hint
    assert server.mails == []


def test_one_refused_recipient_is_named_and_the_others_have_the_mail(serve: Serve) -> None:
    server, notifier = serve()
    server.replies["ops@example.com"] = "450 4.2.1 mailbox full"

    with pytest.raises(RemoteRefused, match=r"no mail for ops@.*; the others have it"):
        notifier.deliver([MOVED])

    assert len(server.mails) == 1


def test_a_strange_goodbye_does_not_undo_a_delivery(serve: Serve) -> None:
    server, notifier = serve()
    server.replies["QUIT"] = "500 what?"

    notifier.deliver([MOVED])

    assert len(server.mails) == 1


# --- settings -------------------------------------------------------------------------------------------------

GOOD: dict[str, Any] = {"host": "smtp.example.com", "from": "a@example.com", "to": ["b@example.com"]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"user": "x"}, "unknown key 'user'"),
        ({"host": ""}, "host is missing"),
        ({"host": "smtp example"}, "no host"),
        ({"port": 0}, "no port"),
        ({"port": True}, "no port"),
        ({"security": "ssl"}, "none of starttls, tls, none"),
        ({"security": "none"}, "without TLS"),
        ({"from": "nobody"}, "from is no address"),
        ({"from": "a@x.example, b@x.example"}, "from is no address"),
        ({"from": "a@x.example\r\nBcc: c@x.example"}, "from is no address"),
        ({"to": []}, "names nobody"),
        ({"to": [7]}, "to is no address"),
        ({"usernameEnv": "USER"}, "belong together"),
        ({"usernameEnv": "USER", "passwordEnv": PASSWORD}, "no name of an environment variable"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidSettings, match=message) as caught:
        read_options(GOOD | changes)

    assert caught.value.hint
    assert PASSWORD not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(("security", "port"), [(None, 587), ("starttls", 587), ("tls", 465)])
def test_the_port_follows_from_the_protection(security: str | None, port: int) -> None:
    options = read_options(GOOD | ({"security": security} if security else {}))

    assert options is not None
    assert options.port == port


@pytest.mark.parametrize("environ", [{}, {"SMTP_USER": "robot"}, LOGIN | {"SMTP_PASSWORD": "pässword"}], ids=str)
def test_a_login_that_is_not_there_fails_the_delivery_alone(serve: Serve, environ: dict[str, str]) -> None:
    _, notifier = serve()

    with pytest.raises(InvalidSettings, match="SMTP_") as caught:
        Email(notifier.options, notifier.clock, environ).deliver([MOVED])

    assert "pässword" not in str(caught.value)


@pytest.mark.parametrize(
    ("plugins", "notifiers"), [({}, []), ({"email": GOOD}, ["email"])], ids=["not set up", "set up"]
)
def test_it_is_registered_only_where_it_is_set_up(plugins: dict[str, dict[str, Any]], notifiers: list[str]) -> None:
    points = [point for point in importlib.metadata.entry_points(group="image_factory") if point.name == "email"]

    with HttpClient() as http:
        table = load_plugins(Settings(plugins=plugins), http, FixedClock(AT), builtins={}, found=points)

    assert list(table.notifiers) == notifiers
