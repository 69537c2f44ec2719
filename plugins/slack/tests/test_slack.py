"""Slack by webhook and by token, held to the contract of notifiers; its limits, its refusals, its settings."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from image_factory.errors import (
    AuthenticationRequired,
    ImageFactoryError,
    InvalidSettings,
    RateLimited,
    RemoteNotFound,
    RemoteRefused,
    Unavailable,
)
from image_factory.model.event import Event, EventKind
from image_factory.model.settings import Settings
from image_factory.plugins import load_plugins
from image_factory.ports import HttpRequest, HttpResponse
from image_factory.shell.http import HttpClient
from image_factory.testing.clock import FixedClock
from image_factory.testing.notifier_contract import NotifierContract, NotifierWorld, Trouble
from image_factory.testing.slack_server import TOKEN, WEBHOOK_PATH, SlackServer
from image_factory_slack.notifier import Slack
from image_factory_slack.options import Options, read_options

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECRETS = (WEBHOOK_PATH, WEBHOOK_PATH.rpartition("/")[2], TOKEN)
MOVED = Event(EventKind.BASE_MOVED, AT, "node-22", "node-22 points at another image now.")


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(AT)


@pytest.fixture
def server(clock: FixedClock) -> Iterator[SlackServer]:
    with SlackServer(clock=clock) as server:
        yield server


@pytest.fixture
def http(clock: FixedClock) -> Iterator[HttpClient]:
    with HttpClient(clock=clock) as http:
        yield http


@pytest.fixture
def webhook(server: SlackServer, http: HttpClient, clock: FixedClock) -> Slack:
    return Slack(Options(webhook_variable="HOOK"), http, clock, {"HOOK": server.webhook_url})


@pytest.fixture
def bot(server: SlackServer, http: HttpClient, clock: FixedClock) -> Slack:
    return Slack(Options(token_variable="TOKEN", channel="#builds", api=server.api), http, clock, {"TOKEN": TOKEN})


def world(slack: Slack, server: SlackServer) -> NotifierWorld:
    def trouble(kind: Trouble) -> None:
        match kind:
            case Trouble.DOWN:
                server.fail_next(500, "rollup_error", times=99)
            case Trouble.BUSY:
                server.fail_next(429, "rate_limited", times=99, headers={"Retry-After": "30"})
            case Trouble.LOCKED_OUT:
                server.is_revoked = True
            case Trouble.REFUSED:
                server.is_archived = True

    return NotifierWorld(slack, lambda: [message.shown for message in server.messages], trouble, SECRETS)


class TestWebhook(NotifierContract):
    @pytest.fixture
    def world(self, webhook: Slack, server: SlackServer) -> NotifierWorld:
        return world(webhook, server)


class TestBot(NotifierContract):
    @pytest.fixture
    def world(self, bot: Slack, server: SlackServer) -> NotifierWorld:
        return world(bot, server)


# --- messages ------------------------------------------------------------------------------------------


def test_nothing_in_a_message_calls_a_channel_or_makes_a_link(webhook: Slack, server: SlackServer) -> None:
    text = "<!channel> <@U1> <https://x.example|here> & `<!here>`"
    webhook.deliver([Event(EventKind.ANALYSIS_FAILED, AT, text, text, {text: text})])

    (message,) = server.messages
    assert "<" not in message.source
    assert "[mention]" not in message.shown


def test_a_link_is_one_only_for_a_browser_and_cannot_be_left(webhook: Slack, server: SlackServer) -> None:
    for url in (
        "https://ci.example/1?a=1&b=2",
        "javascript:x",
        "https://x.example/>|<!channel>",
        "https://u:p@x.example",
    ):
        webhook.deliver([Event(EventKind.REBUILD_FAILED, AT, "web", "it failed.", url=url)])

    links = [message.source.count("|Look>") for message in server.messages]
    assert links == [1, 0, 1, 0]
    assert "<https://ci.example/1?a=1&amp;b=2|Look>" in server.messages[0].source
    assert "<!channel>" not in server.messages[2].source


def test_a_batch_of_long_events_fits_one_message_and_counts_the_others(webhook: Slack, server: SlackServer) -> None:
    events = [
        Event(EventKind.ANALYSIS_FAILED, AT, f"web-{number:02}", "&" * 900, {"Error": "<" * 3_000})
        for number in range(40)
    ]

    webhook.deliver(events)

    (message,) = server.messages
    shown = sum(f"web-{number:02}" in message.shown for number in range(40))
    assert 2 <= shown < 40
    assert f"{40 - shown} more events are left out here: {40 - shown} × Analysis failed" in message.shown
    assert message.text == "Image Factory: 40 × Analysis failed"


def test_facts_that_do_not_fit_a_section_are_counted(webhook: Slack, server: SlackServer) -> None:
    facts = {f"fact {number}": "x " * 200 for number in range(20)}

    webhook.deliver([Event(EventKind.BASE_MOVED, AT, "web", "it moved.", facts)])

    (message,) = server.messages
    shown = sum(f"fact {number}:" in message.shown for number in range(20))
    assert 1 <= shown < 20
    assert f"{20 - shown} more facts are left out here" in message.shown


# --- refusals --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, "invalid_payload", RemoteRefused),
        (400, "invalid_blocks", RemoteRefused),
        (403, "action_prohibited", RemoteRefused),
        (403, "invalid_token", AuthenticationRequired),
        (404, "no_service", RemoteNotFound),
        (404, "channel_not_found", RemoteNotFound),
        (410, "channel_is_archived", RemoteNotFound),
        (500, "rollup_error", Unavailable),
        (503, "<html>later</html>", Unavailable),
        (429, "rate_limited", RateLimited),
        (200, "<html>log in to the wireless network</html>", RemoteRefused),
        (200, '{"ok": true}', RemoteRefused),
        (403, "<html>proxy</html>", AuthenticationRequired),
        (418, "new_word", RemoteRefused),
    ],
)
def test_every_answer_of_a_webhook_is_an_error_of_ours_with_a_hint(
    webhook: Slack, server: SlackServer, status: int, body: str, error: type[ImageFactoryError]
) -> None:
    server.fail_next(status, body, times=9)

    with pytest.raises(error) as caught:
        webhook.deliver([MOVED])

    assert type(caught.value) is error
    assert caught.value.hint
    assert "<html>" not in str(caught.value)
    assert (body in str(caught.value)) == (body.replace("_", "").isalpha() and status != 200)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("invalid_auth", AuthenticationRequired),
        ("missing_scope", AuthenticationRequired),
        ("channel_not_found", RemoteNotFound),
        ("is_archived", RemoteNotFound),
        ("not_in_channel", RemoteRefused),
        ("restricted_action_read_only_channel", RemoteRefused),
        ("msg_blocks_too_long", RemoteRefused),
        ("ratelimited", RateLimited),
        ("internal_error", Unavailable),
        ("a word of tomorrow", RemoteRefused),
    ],
)
def test_an_answer_that_is_not_ok_is_an_error_of_ours(
    bot: Slack, server: SlackServer, code: str, error: type[ImageFactoryError]
) -> None:
    server.fail_next(200, json.dumps({"ok": False, "error": code}))

    with pytest.raises(error) as caught:
        bot.deliver([MOVED])

    assert type(caught.value) is error
    assert caught.value.hint


@pytest.mark.parametrize("body", ["ok", "[]", "null", "[" * 10_000, '{"ok": "true"}', '{"ok": false, "error": 7}'])
def test_an_answer_that_is_none_of_the_web_api_is_refused(bot: Slack, server: SlackServer, body: str) -> None:
    server.fail_next(200, body)

    with pytest.raises(RemoteRefused):
        bot.deliver([MOVED])


def test_a_rate_limit_is_waited_out(webhook: Slack, server: SlackServer, clock: FixedClock) -> None:
    server.rate = 1

    webhook.deliver([MOVED])
    webhook.deliver([MOVED])

    assert server.requests == [200, 429, 200]
    assert timedelta(seconds=1) <= clock.slept[0] < timedelta(seconds=2)


def test_how_long_slack_asks_to_wait_is_told(webhook: Slack, server: SlackServer) -> None:
    server.fail_next(429, "rate_limited", headers={"Retry-After": "120"})

    with pytest.raises(RateLimited) as caught:
        webhook.deliver([MOVED])

    assert caught.value.retry_after == timedelta(seconds=120)


def test_a_server_that_is_gone_is_unavailable(webhook: Slack, server: SlackServer) -> None:
    server.stop()

    with pytest.raises(Unavailable):
        webhook.deliver([MOVED])


def test_a_redirect_to_another_host_gets_no_message(webhook: Slack, server: SlackServer) -> None:
    with SlackServer() as other:
        server.fail_next(307, "", headers={"Location": other.webhook_url})

        with pytest.raises(RemoteRefused) as caught:
            webhook.deliver([MOVED])

        assert other.messages == []
    assert WEBHOOK_PATH not in str(caught.value)


def test_the_http_client_s_own_words_cannot_tell_the_address(clock: FixedClock) -> None:
    class Loud:
        def send(self, request: HttpRequest, *, max_bytes: int = 0) -> HttpResponse:
            raise Unavailable(f"cannot reach {request.url}", hint=f"is {request.url} right?")

    slack = Slack(Options(webhook_variable="HOOK"), Loud(), clock, {"HOOK": f"https://hooks.example{WEBHOOK_PATH}"})

    with pytest.raises(Unavailable) as caught:
        slack.deliver([MOVED])

    assert str(caught.value) == "cannot reach https://hooks.example/…"
    assert WEBHOOK_PATH not in caught.value.hint


# --- settings --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"webhookUrl": "x"}, "unknown key 'webhookUrl'"),
        ({"webhookUrlEnv": 7}, "webhookUrlEnv is no text"),
        ({"webhookUrlEnv": "https://hooks.slack.com/services/T/B/planted"}, "no name of an environment variable"),
        ({"tokenEnv": "xoxb-planted", "channel": "#x"}, "no name of an environment variable"),
        ({"channel": "#x"}, "one of webhookUrlEnv and tokenEnv"),
        ({"webhookUrlEnv": "A", "tokenEnv": "B", "channel": "#x"}, "one of webhookUrlEnv and tokenEnv"),
        ({"tokenEnv": "B"}, "tokenEnv and channel belong together"),
        ({"webhookUrlEnv": "A", "channel": "#x"}, "tokenEnv and channel belong together"),
    ],
)
def test_settings_that_cannot_be_used_are_refused_without_showing_a_secret(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidSettings, match=message) as caught:
        read_options(given)

    assert caught.value.hint
    assert "planted" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize("environ", [{}, {"HOOK": "  "}, {"HOOK": "planted"}], ids=["unset", "empty", "no address"])
def test_a_variable_without_an_address_fails_the_delivery_alone(
    http: HttpClient, clock: FixedClock, environ: dict[str, str]
) -> None:
    slack = Slack(Options(webhook_variable="HOOK"), http, clock, environ)

    with pytest.raises(InvalidSettings, match="HOOK") as caught:
        slack.deliver([MOVED])

    assert "planted" not in str(caught.value)


@pytest.mark.parametrize(
    ("plugins", "notifiers"),
    [({}, []), ({"slack": {}}, []), ({"slack": {"webhookUrlEnv": "HOOK"}}, ["slack"])],
)
def test_it_is_registered_only_where_it_is_set_up(
    http: HttpClient, clock: FixedClock, plugins: dict[str, dict[str, str]], notifiers: list[str]
) -> None:
    points = [point for point in importlib.metadata.entry_points(group="image_factory") if point.name == "slack"]

    table = load_plugins(Settings(plugins=plugins), http, clock, builtins={}, found=points)

    assert list(table.notifiers) == notifiers
