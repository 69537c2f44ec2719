"""How the plugin comes in: through its entry point, quickly, as a source and a trigger called github."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from image_factory.errors import InvalidSettings
from image_factory.model.settings import Settings
from image_factory.plugins import load_plugins
from image_factory.ports import Http


class SteadyClock:
    """A clock that stands still."""

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def sleep(self, duration: timedelta) -> None: ...


def load(settings: Settings) -> tuple[object, object]:
    # The plugin asks no Http: PyGithub brings its own.
    table = load_plugins(settings, cast(Http, None), SteadyClock(), builtins={})
    return table.source_named("github"), table.trigger_named("github")


def test_it_registers_a_source_and_a_trigger_through_its_entry_point() -> None:
    source, trigger = load(Settings())

    assert (repr(source), repr(trigger)) == ("GitHubSource()", "GitHubTrigger()")


def test_wrong_settings_stop_the_start_with_their_place() -> None:
    with pytest.raises(InvalidSettings, match=r"plugins\.github\.tokn"):
        load(Settings(plugins={"github": {"tokn": "X"}}))


def test_loading_it_loads_neither_pygithub_nor_requests() -> None:
    program = "import sys, image_factory_github; print([m for m in ('github', 'requests', 'jwt') if m in sys.modules])"

    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert finished.stdout.strip() == "[]"
