"""Listening: where nothing can listen, that is said."""

from __future__ import annotations

import pytest

from image_factory.errors import Unavailable, UserError
from image_factory_server.serve import listen


def test_a_port_that_is_taken_is_said() -> None:
    with listen("127.0.0.1", 0) as first, pytest.raises(Unavailable, match="cannot listen at 127") as caught:
        listen("127.0.0.1", first.getsockname()[1])

    assert "--port" in caught.value.hint


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_an_address_that_is_not_ours_is_said(host: str) -> None:
    with pytest.raises(UserError, match="cannot listen at") as caught:
        listen(host, 0)

    assert "--host" in caught.value.hint
