"""The fake Slack refuses what Slack refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from image_factory.ports import HttpRequest, HttpResponse
from image_factory.shell.http import HttpClient, HttpLimits
from image_factory.testing.slack_server import CHANNEL, TOKEN, SlackMessage, SlackServer


@pytest.fixture
def server() -> Iterator[SlackServer]:
    with SlackServer() as server:
        yield server


def post(url: str, payload: Any, token: str = "") -> HttpResponse:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with HttpClient(limits=HttpLimits(attempts=1)) as http:
        return http.send(HttpRequest("POST", url, headers, json.dumps(payload).encode()))


def section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ([], "invalid_payload"),
        ({}, "no_text"),
        ({"text": "x" * 40_001}, "msg_too_long"),
        ({"blocks": [section("x")] * 51}, "invalid_blocks"),
        ({"blocks": [section("x" * 3_001)]}, "invalid_blocks"),
        ({"blocks": [section("x" * 2_900)] * 5}, "msg_blocks_too_long"),
        ({"blocks": [{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}]}, "invalid_blocks"),
        ({"blocks": [{"type": "hologram"}]}, "invalid_blocks"),
    ],
)
def test_a_payload_past_the_limits_is_refused(server: SlackServer, payload: Any, code: str) -> None:
    answer = post(server.webhook_url, payload)

    assert (answer.status, answer.body.decode()) == (400, code)
    assert server.messages == []


def test_a_webhook_that_is_not_there_or_revoked_is_no_service(server: SlackServer) -> None:
    assert post(f"{server.url}/services/T/B/x", {"text": "x"}).body == b"no_service"
    server.is_revoked = True
    assert post(server.webhook_url, {"text": "x"}).body == b"no_service"


def test_the_web_api_says_in_json_what_is_wrong(server: SlackServer) -> None:
    url = f"{server.api}/chat.postMessage"
    given = {"channel": CHANNEL, "text": "x"}

    def code(token: str, payload: Any = given) -> Any:
        answer = json.loads(post(url, payload, token).body)
        return answer.get("error", answer["ok"])

    assert [code(""), code("wrong"), code(TOKEN, {"channel": "C9", "text": "x"}), code(TOKEN)] == [
        "not_authed",
        "invalid_auth",
        "channel_not_found",
        True,
    ]
    server.members_only = True
    assert code(TOKEN) == "not_in_channel"
    server.rate, server.members_only = 0, False
    assert code(TOKEN) == "ratelimited"


def test_a_person_sees_signs_drawn_and_code_as_it_stands() -> None:
    text = "*bold* `*code* &lt;x&gt;` <https://x.example?a&amp;b|Look> <!channel> _it_"

    message = SlackMessage("", (section(text),))

    assert message.shown == "bold *code* <x> Look (https://x.example?a&b) [mention] it"
