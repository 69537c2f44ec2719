"""Answers that are remembered for a minute: whoever sends forged tokens has their issuer asked no more often. I/O."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

from image_factory.ports import Clock, Http, HttpRequest, HttpResponse

LIFETIME = timedelta(minutes=1)
"""How long an issuer's keys are believed; issuers publish a key well before they sign with it."""


class RememberedHttp:
    """An `Http` for what an issuer publishes: a GET that was answered with 200 is not sent again within `LIFETIME`."""

    def __init__(self, http: Http, clock: Clock) -> None:
        self._http = http
        self._clock = clock
        self._answers: dict[str, tuple[HttpResponse, datetime]] = {}
        self._lock = threading.Lock()

    def send(self, request: HttpRequest, *, max_bytes: int = 4 * 1024 * 1024) -> HttpResponse:
        """Return the answer, an earlier one if there is one; raises what `Http.send` raises."""
        is_public = request.method == "GET" and not any(name.lower() == "authorization" for name in request.headers)
        if not is_public:
            return self._http.send(request, max_bytes=max_bytes)
        # One at a time, so that many calls at once ask once.
        with self._lock:
            found = self._answers.get(request.url)
            if found is not None and self._clock.now() < found[1]:
                return found[0]
            answer = self._http.send(request, max_bytes=max_bytes)
            if answer.status == 200:
                self._answers[request.url] = answer, self._clock.now() + LIFETIME
            return answer
