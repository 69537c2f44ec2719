"""Every call: its path and method, what needs no token, and errors that are JSON and tell nothing of the inside."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from image_factory import __version__

if TYPE_CHECKING:
    from .conftest import Serving, Site
else:
    Serving = Site = Any


def test_health_needs_no_token(api: httpx.Client) -> None:
    answer = api.get("/health")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "version": __version__})


def test_metrics_are_prometheus_text_there_and_where_prometheus_looks(api: httpx.Client) -> None:
    parser = pytest.importorskip("prometheus_client.parser", reason="prometheus-client is not installed")

    answer = api.get("/metrics")
    at_the_root = httpx.get(str(api.base_url.copy_with(path="/metrics")), trust_env=False)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert at_the_root.text == answer.text
    families = {family.name: family for family in parser.text_string_to_metric_families(answer.text)}
    samples = families["image_factory_emergency_rebuilds"].samples
    assert {(sample.labels["outcome"], sample.value) for sample in samples} == {("granted", 0), ("refused", 0)}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("GET", "/nothing", 404, id="no such path"),
        pytest.param("GET", "/emergency-rebuilds", 405, id="another method"),
        pytest.param("POST", "/health", 405, id="nothing to post"),
        pytest.param("GET", "/docs", 404, id="no page that loads scripts"),
        pytest.param("GET", "/../../etc/passwd", 404, id="a path out of here"),
    ],
)
def test_what_there_is_not_is_answered_as_json(api: httpx.Client, method: str, path: str, status: int) -> None:
    answer = api.request(method, path)

    assert answer.status_code == status
    assert answer.json()["errors"][0]["message"]


def test_the_description_of_the_calls_holds_the_order_s_fields(api: httpx.Client) -> None:
    described = api.get("/openapi.json").json()

    (schema,) = described["paths"]["/api/image-factory/emergency-rebuilds"]["post"]["requestBody"]["content"].values()
    assert set(schema["schema"]["properties"]) == {"cve", "reason", "base", "digestRange", "images", "rebuildAnyway"}


def test_a_defect_is_answered_with_500_and_nothing_of_it(
    site: Site, serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def text(self) -> str:
            raise RuntimeError("planted-secret")

    answer = serving(site.desk(counts=Broken())).get("/metrics")

    assert answer.status_code == 500
    assert answer.json()["errors"][0]["message"] == "a defect of ours"
    assert "planted-secret" not in answer.text
    assert "planted-secret" in caplog.text


def test_headers_that_never_end_are_refused(api: httpx.Client) -> None:
    with socket.create_connection((api.base_url.host, int(api.base_url.port or 0)), timeout=30) as connection:
        connection.sendall(b"GET /api/image-factory/health HTTP/1.1\r\nHost: here\r\nX-Long: " + b"x" * 400_000)
        answer = connection.recv(1000)

    assert answer.startswith(b"HTTP/1.1 400 ")
