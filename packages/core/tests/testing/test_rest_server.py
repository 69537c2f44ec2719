"""What REST servers on loopback share, over one that repeats what it hears."""

from __future__ import annotations

import httpx

from image_factory.testing.rest_server import Reply, Request, RestServer


class Echo(RestServer):
    """Answers with the method, the path and the body."""

    def respond(self, request: Request) -> Reply:
        return Reply(200, f"{request.method} {request.path} {request.query.get('q')}".encode() + request.body)


def test_a_request_is_answered_and_recorded_as_it_was_sent() -> None:
    with Echo() as echo:
        answer = httpx.post(f"{echo.origin}/a%2Fb?q=1", content=b"!")

    assert answer.content == b"POST /a%2Fb 1!"
    assert echo.exchanges[0].request.body == b"!"
    assert echo.exchanges[0].reply.body == answer.content


def test_trouble_comes_as_often_as_it_was_asked_for_and_where() -> None:
    with Echo() as echo:
        echo.trouble(429, {"message": "slow down"}, headers={"Retry-After": "7"}, matches="GET /b", times=2)

        answers = [httpx.get(f"{echo.origin}{path}") for path in ("/a", "/b", "/b", "/b")]

    assert [answer.status_code for answer in answers] == [200, 429, 429, 200]
    assert answers[1].headers["Retry-After"] == "7"
    assert len(echo.exchanges) == 2


def test_every_instant_is_later_than_the_one_before() -> None:
    echo = Echo()

    instants = [echo.tick() for _ in range(100)]

    assert instants == sorted(set(instants))
