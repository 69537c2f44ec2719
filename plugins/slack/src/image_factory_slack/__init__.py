"""Notices to Slack: the notifier `slack` (`image_factory_slack.notifier`), where config.yaml sets it up.

What posts is imported only then, so that loading this is quick.
"""

from __future__ import annotations

from collections.abc import Callable

from image_factory.hookspecs import hookimpl
from image_factory.model.settings import Settings
from image_factory.ports import Clock, Http, Notifier


@hookimpl
def register_notifiers(register: Callable[[Notifier], None], settings: Settings, http: Http, clock: Clock) -> None:
    """Register Slack where `plugins.slack` sets it up."""
    given = settings.plugins.get("slack", {})
    if not given:
        return
    from image_factory_slack.notifier import Slack
    from image_factory_slack.options import read_options

    options = read_options(given)
    if options is not None:
        register(Slack(options, http, clock))
