"""How the plugin comes in: through its entry point, quickly, as a source and a trigger called gitlab."""

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
    # The plugin asks no Http: python-gitlab brings its own.
    table = load_plugins(settings, cast(Http, None), SteadyClock(), builtins={})
    return table.source_named("gitlab"), table.trigger_named("gitlab")


def test_it_registers_a_source_and_a_trigger_through_its_entry_point() -> None:
    source, trigger = load(Settings())

    assert (repr(source), repr(trigger)) == ("GitLabSource()", "GitLabTrigger()")


def test_wrong_settings_stop_the_start_with_their_place() -> None:
    with pytest.raises(InvalidSettings, match=r"plugins\.gitlab\.tokn"):
        load(Settings(plugins={"gitlab": {"tokn": "X"}}))


def test_loading_it_loads_neither_python_gitlab_nor_requests() -> None:
    program = "import sys, image_factory_gitlab; print([m for m in ('gitlab', 'requests') if m in sys.modules])"

    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert finished.stdout.strip() == "[]"
