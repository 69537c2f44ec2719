"""A Slack on loopback: one workspace with an incoming webhook and `chat.postMessage`, and Slack's refusals.

Keeps the messages that it took and shows them as a person reads them; refuses payloads past Slack's
limits, bad credentials, archived channels, and more messages than its rate. Specification:
docs.slack.dev (incoming webhooks, chat.postMessage, Block Kit's blocks, rate limits); the limit on
all blocks together is undocumented and measured in github.com/slackapi/bolt-js/issues/2509. For
tests and plugin authors: it binds loopback only and speaks plain HTTP.
"""

from __future__ import annotations

import html
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from image_factory.ports import Clock
from image_factory.shell.clock import SystemClock

WEBHOOK_PATH = "/services/T0001/B0001/planted-webhook-secret"
TOKEN = "xoxb-planted-token"  # noqa: S105 - of a workspace that lives in this process
CHANNEL = "C0001"
MAX_BLOCKS, MAX_SECTION, MAX_HEADER, MAX_TEXT, MAX_ALL_BLOCKS = 50, 3_000, 150, 40_000, 13_200


@dataclass(frozen=True, slots=True)
class SlackMessage:
    """One message in the channel."""

    text: str
    blocks: tuple[Mapping[str, Any], ...]

    @property
    def shown(self) -> str:
        """What a person reads: entities, code, bold and links as Slack draws them."""
        texts = [block["text"]["text"] for block in self.blocks if "text" in block]
        texts += [each["text"] for block in self.blocks for each in block.get("elements", ())]
        return "\n".join(_drawn(text) for text in texts or [self.text])

    @property
    def source(self) -> str:
        """All text as it was sent."""
        return json.dumps([self.text, *self.blocks], ensure_ascii=False)


@dataclass(slots=True)
class SlackFailure:
    """Answers that go wrong before Slack is itself again."""

    status: int
    body: str
    times: int
    headers: Mapping[str, str] = field(default_factory=dict)


class SlackServer:
    """Slack on loopback, as a context manager.

    Args:
        rate: messages that one second takes; None sets no limit.
        clock: what the rate is counted by.
    """

    def __init__(self, *, rate: int | None = None, clock: Clock | None = None) -> None:
        self.rate = rate
        self.clock: Clock = clock or SystemClock()
        self.messages: list[SlackMessage] = []
        self.requests: list[int] = []
        """The status that each request was answered with."""
        self.failures: list[SlackFailure] = []
        self.is_revoked = False
        """Whether the webhook was removed and the token revoked."""
        self.is_archived = False
        self.members_only = False
        """Whether the bot is in no channel."""
        self.lock = threading.RLock()
        self._posted: list[datetime] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.slack = self
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def webhook_url(self) -> str:
        """The address of the webhook, which is a secret."""
        return self.url + WEBHOOK_PATH

    @property
    def api(self) -> str:
        """The Web API's address."""
        return f"{self.url}/api"

    def fail_next(self, status: int, body: str = "", times: int = 1, headers: Mapping[str, str] | None = None) -> None:
        """Answer `status` and `body` to the next `times` requests, then carry on."""
        with self.lock:
            self.failures.append(SlackFailure(status, body, times, dict(headers or {})))

    def __enter__(self) -> SlackServer:
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True, name="slack"
        )
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop answering and free the port."""
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._thread = None
        self._server.server_close()

    # --- answering -----------------------------------------------------------------------------

    def answer(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Mapping[str, str], str]:
        """Return the status, the headers and the body for one POST."""
        with self.lock:
            failure = next((each for each in self.failures if each.times > 0), None)
            if failure is not None:
                failure.times -= 1
                return failure.status, failure.headers, failure.body
            if path.startswith("/services/"):
                return self._webhook(path, body)
            if path == "/api/chat.postMessage":
                code, more = self._post(headers, body)
                answer = {"ok": True, "channel": CHANNEL, "ts": "1.2"} if not code else {"ok": False, "error": code}
                status = 429 if code == "ratelimited" else 200
                return status, {"Content-Type": "application/json; charset=utf-8", **more}, json.dumps(answer)
            return 404, {}, "no such page"

    def _webhook(self, path: str, body: bytes) -> tuple[int, Mapping[str, str], str]:
        if path != WEBHOOK_PATH or self.is_revoked:
            return 404, {}, "no_service"
        if self.is_archived:
            return 410, {}, "channel_is_archived"
        try:
            payload = json.loads(body)
        except ValueError:
            return 400, {}, "invalid_payload"
        code = _problem(payload)
        if code:
            return 400, {}, code
        if not self._take(payload):
            return 429, {"Retry-After": "1"}, "rate_limited"
        return 200, {"Content-Type": "text/html"}, "ok"

    def _post(self, headers: Mapping[str, str], body: bytes) -> tuple[str, Mapping[str, str]]:
        """Return the code of a refusal, or nothing, and headers."""
        given = headers.get("Authorization", "")
        if not given:
            return "not_authed", {}
        if given != f"Bearer {TOKEN}":
            return "invalid_auth", {}
        if self.is_revoked:
            return "token_revoked", {}
        try:
            payload = json.loads(body)
        except ValueError:
            return "invalid_json", {}
        if payload.get("channel") not in (CHANNEL, "#builds"):
            return "channel_not_found", {}
        if self.is_archived:
            return "is_archived", {}
        if self.members_only:
            return "not_in_channel", {}
        code = _problem(payload)
        if code:
            return code, {}
        return ("", {}) if self._take(payload) else ("ratelimited", {"Retry-After": "1"})

    def _take(self, payload: Mapping[str, Any]) -> bool:
        now = self.clock.now()
        self._posted = [at for at in self._posted if now - at < timedelta(seconds=1)]
        if self.rate is not None and len(self._posted) >= self.rate:
            return False
        self._posted.append(now)
        self.messages.append(SlackMessage(payload.get("text", ""), tuple(payload.get("blocks", ()))))
        return True


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    slack: SlackServer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        status, headers, text = self.server.slack.answer(self.path, dict(self.headers), body)
        self.server.slack.requests.append(status)
        content = text.encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        """Say nothing: the path is a secret."""


def _problem(payload: Any) -> str:
    """Return the code by which Slack refuses a payload, or nothing."""
    if not isinstance(payload, dict):
        return "invalid_payload"
    text, blocks = payload.get("text", ""), payload.get("blocks", [])
    if not text and not blocks:
        return "no_text"
    if not isinstance(text, str) or len(text) > MAX_TEXT:
        return "msg_too_long"
    if not isinstance(blocks, list) or len(blocks) > MAX_BLOCKS or not all(_is_block(block) for block in blocks):
        return "invalid_blocks"
    if len(json.dumps(blocks, ensure_ascii=False)) > MAX_ALL_BLOCKS:
        return "msg_blocks_too_long"
    return ""


def _is_block(block: Any) -> bool:
    match block:
        case {"type": "section", "text": {"type": "mrkdwn" | "plain_text", "text": str(text)}}:
            return 0 < len(text) <= MAX_SECTION
        case {"type": "header", "text": {"type": "plain_text", "text": str(text)}}:
            return 0 < len(text) <= MAX_HEADER
        case {"type": "context", "elements": [{"type": "mrkdwn" | "plain_text", "text": str(text)}]}:
            return 0 < len(text) <= MAX_SECTION
        case {"type": "divider"}:
            return True
    return False


def _drawn(text: str) -> str:
    """Return what Slack draws: nothing between backticks is read as a sign."""
    parts = re.split(r"`([^`\n]*)`", text)
    return html.unescape("".join(part if number % 2 else _marked(part) for number, part in enumerate(parts)))


def _marked(text: str) -> str:
    text = re.sub(r"<(https?://[^|>]*)\|([^>]*)>", r"\2 (\1)", text)
    # What is left between angle brackets is a mention, a link or a command: a name stands in its place.
    text = re.sub(r"<[^>]*>", "[mention]", text)
    return re.sub(r"(?<!\w)([*_~])([^*_~\n]+)\1(?!\w)", r"\2", text)
