"""Deliveries of webhooks keep to the published description of them, and are signed as GitHub says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from image_factory.testing.github_answers import Urls
from image_factory.testing.github_openapi import WEBHOOKS_PACKAGE, WEBHOOKS_VARIABLE, Description, find_description
from image_factory.testing.github_webhooks import deliver, package_payload, ping_payload, push_payload

URLS = Urls("https://api.github.com", "https://github.com", "acme/web")
DIGEST = f"sha256:{'a' * 64}"
PAYLOADS: dict[str, tuple[str, dict[str, Any]]] = {
    "a push": ("push", push_payload(URLS, before="b" * 40, after="a" * 40, modified=["apps/web/Dockerfile"])),
    "a branch's first push": ("push", push_payload(URLS, branch="release", after="a" * 40, added=["Dockerfile"])),
    "a published image": ("package", package_payload(URLS, image="web", tag="1.2.3", digest=DIGEST)),
    "the same, as it was called before": (
        "registry_package",
        package_payload(URLS, image="platform/web", tag="1.2.3", digest=DIGEST, is_registry_package=True),
    ),
    "the ping": ("ping", ping_payload(URLS)),
}


@pytest.fixture(scope="module")
def description() -> Description:
    path, reason = find_description(package=WEBHOOKS_PACKAGE, variable=WEBHOOKS_VARIABLE)
    if path is None:
        pytest.skip(reason)
    return Description(path)


@pytest.mark.parametrize("case", PAYLOADS)
def test_what_is_delivered_is_described(case: str, description: Description) -> None:
    event, payload = PAYLOADS[case]

    assert description.webhook_problems(event, deliver(event, payload).body) == []


@pytest.mark.parametrize(
    ("event", "change"),
    [
        pytest.param("push", {"surprise": 1}, id="a field that there is not"),
        pytest.param("push", {"commits": None}, id="no commits"),
        pytest.param("push", {"repository": {"id": 1}}, id="half a repository"),
        pytest.param("pushed", {}, id="an event that there is not"),
    ],
)
def test_what_is_not_described_is_found(event: str, change: dict[str, Any], description: Description) -> None:
    payload = {**PAYLOADS["a push"][1], **change}

    assert description.webhook_problems(event, json.dumps(payload).encode()) != []


def test_a_published_image_says_which_as_people_pull_it() -> None:
    told = json.loads(deliver(*PAYLOADS["a published image"]).body)["package"]

    assert told["package_version"]["package_url"] == "ghcr.io/acme/web:1.2.3"
    assert told["package_version"]["container_metadata"]["tag"] == {"name": "1.2.3", "digest": DIGEST}


def test_a_delivery_is_signed_with_the_webhook_s_secret() -> None:
    # By openssl: printf '{}' | openssl dgst -sha256 -hmac SECRET
    signed = deliver("ping", {}, secret="It's a Secret to Everybody")

    assert signed.body == b"{}"
    assert signed.headers["X-Hub-Signature-256"] == f"sha256={SIGNATURE}"
    assert "X-Hub-Signature-256" not in deliver("ping", {}).headers
    assert signed.headers["X-GitHub-Event"] == "ping"


SIGNATURE = "50b0123e6e44430d2c43ecca0ee520d961ffd326425c07859f70a57161c3ebcd"
