"""Notices by mail: the notifier `email` (`image_factory_email.notifier`), where config.yaml sets it up.

What speaks SMTP is imported only then, so that loading this is quick.
"""

from __future__ import annotations

from collections.abc import Callable

from image_factory.hookspecs import hookimpl
from image_factory.model.settings import Settings
from image_factory.ports import Clock, Notifier


@hookimpl
def register_notifiers(register: Callable[[Notifier], None], settings: Settings, clock: Clock) -> None:
    """Register mail where `plugins.email` sets it up."""
    given = settings.plugins.get("email", {})
    if not given:
        return
    from image_factory_email.notifier import Email
    from image_factory_email.options import read_options

    options = read_options(given)
    if options is not None:
        register(Email(options, clock))
