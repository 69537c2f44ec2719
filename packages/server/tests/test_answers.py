"""Which of our errors is answered with which status."""

from __future__ import annotations

from datetime import timedelta

import pytest

from image_factory.errors import (
    AuthenticationRequired,
    ImageFactoryError,
    NotFound,
    PluginError,
    RateLimited,
    Unavailable,
    VerificationError,
)
from image_factory_server.answers import refused_by


@pytest.mark.parametrize(
    ("error", "status", "headers"),
    [
        pytest.param(NotFound("no such image"), 400, {}, id="what the caller wrote"),
        pytest.param(VerificationError("may not"), 403, {}, id="what they may not"),
        pytest.param(Unavailable("down"), 503, {}, id="what may be back"),
        pytest.param(RateLimited("slow"), 503, {}, id="too often"),
        pytest.param(
            RateLimited("slow", retry_after=timedelta(seconds=0.2)), 503, {"Retry-After": "1"}, id="too often, for now"
        ),
        pytest.param(AuthenticationRequired("our token"), 502, {}, id="a service behind us"),
        pytest.param(PluginError("a plugin"), 500, {}, id="a defect"),
    ],
)
def test_a_status_says_who_acts_next(error: ImageFactoryError, status: int, headers: dict[str, str]) -> None:
    refused = refused_by(error, field="base")

    assert (refused.status, refused.headers) == (status, headers)
    assert [(problem.field, problem.message) for problem in refused.problems] == [("base", error.message)]
