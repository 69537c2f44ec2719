"""What an issuer publishes is asked for once a minute; everything else each time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from image_factory.ports import HttpRequest, HttpResponse
from image_factory.testing.clock import FixedClock
from image_factory_server.remembered import LIFETIME, RememberedHttp

URL = "https://issuer.example.com/jwks"


class Counting:
    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.sent = 0

    def send(self, request: HttpRequest, *, max_bytes: int = 0) -> HttpResponse:
        self.sent += 1
        return HttpResponse(self.status, {}, str(self.sent).encode())


def test_an_answer_is_remembered_for_a_minute_and_no_longer() -> None:
    http, clock = Counting(), FixedClock()
    remembered = RememberedHttp(http, clock)

    first = remembered.send(HttpRequest("GET", URL))
    clock.advance(LIFETIME - timedelta(seconds=1))
    second = remembered.send(HttpRequest("GET", URL))
    clock.advance(timedelta(seconds=1))
    third = remembered.send(HttpRequest("GET", URL))

    assert (first.body, second.body, third.body) == (b"1", b"1", b"2")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        pytest.param(HttpRequest("POST", URL), 200, id="a POST"),
        pytest.param(HttpRequest("GET", URL, {"authorization": "Bearer x"}), 200, id="with a secret"),
        pytest.param(HttpRequest("GET", URL), 503, id="that was answered with an error"),
    ],
)
def test_what_is_no_public_answer_is_asked_for_each_time(request_: HttpRequest, status: int) -> None:
    http = Counting(status)
    remembered = RememberedHttp(http, FixedClock())

    remembered.send(request_)
    remembered.send(request_)

    assert http.sent == 2
